#!/usr/bin/env bash
# Adds a shard and then removes the one that owns most: what it owns is moved away first.
#   VERSION       of the application, for the new one
#   POLL_SECONDS  how often to look; 5 where nothing is said
. "$(dirname "$0")/lib.sh"
: "${VERSION:?is missing: a published version.}"

IDEMPOTENCY_KEY=$(key)
operation=$(call POST shards "$(jq --null-input --compact-output --arg version "$VERSION" '{ $version }')" | jq --raw-output .id)
follow_operation "$operation"
added=$(jq --raw-output '.shards[0]' "$work/operation.json")

removed=$(call GET shards | jq --raw-output --arg added "$added" '[.shards[] | select(.shard != $added)] | max_by(.slots) | .shard // ""')
[ -n "$removed" ] || fail 2 "There is no shard but $added."
IDEMPOTENCY_KEY=$(key)
operation=$(call DELETE "shards/$removed" | jq --raw-output .id)
follow_operation "$operation"
echo "Added $added, removed $removed."
