#!/usr/bin/env bash
# Starts a staged update.
#   VERSION          published version to update to
#   STRATEGY         JSON of the strategy, or a file with it; empty: the defaults
#   IDEMPOTENCY_KEY  the same key is the same update, however often the step runs
. "$(dirname "$0")/lib.sh"
: "${VERSION:?is missing: a published version.}"

strategy=${STRATEGY:-}
[ ! -f "$strategy" ] || strategy=$(cat "$strategy")
jq --exit-status 'type == "object"' <<< "${strategy:-{\}}" > /dev/null 2>&1 || fail 2 "The strategy is neither a JSON object nor a file with one: $strategy"

update=$(call POST updates "$(jq --null-input --compact-output --arg version "$VERSION" --argjson strategy "${strategy:-null}" '{ $version } + if $strategy then { $strategy } else {} end')" | jq --raw-output .id)
echo "Started $update."
output update "$update"
