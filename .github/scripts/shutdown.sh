#!/usr/bin/env bash
# Ends every shard of a cloud and follows until none is left; what `shardcloud down --cloud NAME` does. Map, log, records and packages stay.
#   CLOUD         name of the application: it says that this cloud is meant
#   POLL_SECONDS  how often to look; 5 where nothing is said
. "$(dirname "$0")/lib.sh"
IDEMPOTENCY_KEY=
: "${CLOUD:?is missing: the name of the application.}"

operation=$(call POST shutdown "$(jq --null-input --compact-output --arg cloud "$CLOUD" '{ $cloud }')" | jq --raw-output .id)
follow_operation "$operation"
jq --raw-output '"Ended: \(.shards | if length == 0 then "no shard was left" else join(", ") end)."' "$work/operation.json"
