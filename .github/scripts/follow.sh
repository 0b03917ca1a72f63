#!/usr/bin/env bash
# Follows an update to its end, or to a wave that nobody has approved yet, and writes the report of what it did.
#   UPDATE        its id
#   TO_THE_END    not empty: approvals are no end, for who has asked to cancel
#   POLL_SECONDS  how often to look; 5 where nothing is said
# Exit code 0: done, or it waits for an approval; 1: it ended otherwise; 4 and 5: as in lib.sh.
. "$(dirname "$0")/lib.sh"
IDEMPOTENCY_KEY=
: "${UPDATE:?is missing: the id of an update.}"

said=
while :; do
  call GET "updates/$UPDATE" > "$work/update.json"
  line=$(jq --raw-output --from-file "$scripts/progress.jq" "$work/update.json")
  [ "$line" = "$said" ] || echo "$line"
  said=$line
  # An approval counts from its answer on, and the update's state follows a moment later.
  waits=$(jq --raw-output 'if .state == "awaitingApproval" then (.approved as $approved | .waves[] | select(.state == "awaitingApproval" and (.number | IN($approved[]) | not)) | .number) else empty end' "$work/update.json")
  state=$(jq --raw-output .state "$work/update.json")
  if [ "$state" = finished ] || { [ -n "$waits" ] && [ -z "${TO_THE_END:-}" ]; }; then break; fi
  sleep "${POLL_SECONDS:-5}"
done

jq --raw-output --from-file "$scripts/report.jq" "$work/update.json" | summarize
outcome=$(jq --raw-output '.outcome // ""' "$work/update.json")
output state "$state"
output outcome "$outcome"
output approve-before "$(jq --compact-output .strategy.approveBefore "$work/update.json")"
if [ "$state" = finished ] && [ "$outcome" != done ]; then
  [ -n "${TO_THE_END:-}" ] || echo "::error title=Staged update::$UPDATE ended as $outcome: $(jq --raw-output '[.error | select(.) | "\(.code): \(.message) \(.remedy)"] + [.rollBack | select(.) | .reason] | first // "see its report"' "$work/update.json")" >&2
  exit 1
fi
