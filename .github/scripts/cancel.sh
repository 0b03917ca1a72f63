#!/usr/bin/env bash
# Cancels an update that still runs, and waits until its endpoints are back where they were. One that has ended already is left as it is.
#   UPDATE  its id; empty: there was none yet
. "$(dirname "$0")/lib.sh"
IDEMPOTENCY_KEY=
[ -n "${UPDATE:-}" ] || { echo "No update was started."; exit 0; }
# Refused where it has ended already, or has begun to remove the old shards, after which it only goes forward.
(call POST "updates/$UPDATE/cancel") > "$work/cancelled" && echo "Asked to cancel $UPDATE." || true
# Not done is what was asked for here; who cannot be asked at all is the only failure.
TO_THE_END=true "$scripts/follow.sh" || [ $? -eq 1 ]
