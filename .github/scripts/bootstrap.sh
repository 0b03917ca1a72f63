#!/usr/bin/env bash
# Makes the first shards and gives them everything, where nothing is bootstrapped yet; makes those of a cloud that was shut down again. Follows until they serve.
#   VERSION       published version of the application
#   SHARDS        how many shards, 1 to 64; 3 where nothing is said
#   POLL_SECONDS  how often to look; 5 where nothing is said
. "$(dirname "$0")/lib.sh"
IDEMPOTENCY_KEY=
: "${VERSION:?is missing: a published version.}"

call GET status > "$work/status.json"
if jq --exit-status '.bootstrapped and (.ended | not)' "$work/status.json" > /dev/null; then
  jq --raw-output '"It is bootstrapped already: \(.shardsReady) shards are ready."' "$work/status.json"
  exit 0
fi
operation=$(call POST bootstrap "$(jq --null-input --compact-output --arg version "$VERSION" --arg shards "${SHARDS:-3}" '{ shards: ($shards | tonumber), $version }')" | jq --raw-output .id)
follow_operation "$operation"
