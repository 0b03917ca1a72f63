#!/usr/bin/env bash
# Lets an update go on to the wave that it waits for.
#   UPDATE  its id
#   WAVE    the wave; empty: the one it waits for
. "$(dirname "$0")/lib.sh"
IDEMPOTENCY_KEY=
: "${UPDATE:?is missing: the id of an update.}"
call POST "updates/$UPDATE/approve" "$(jq --null-input --compact-output --arg wave "${WAVE:-}" 'if $wave == "" then {} else { wave: ($wave | tonumber) } end')" > "$work/approved"
echo "Approved wave ${WAVE:-} of $UPDATE."
