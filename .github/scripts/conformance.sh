#!/usr/bin/env bash
# Writes to counters of the Rooms sample through a router while something happens to the shards, then counts: what failed, what was answered and is lost, what counts twice.
#   ROUTER        address that clients use
#   MOVES         how often all rooms are moved to another shard meanwhile, 1 to 1,000; 10 where nothing is said
#   DURING        a script beside this one that runs meanwhile instead of moves, e.g. follow.sh, with what it needs in the environment
#   ROOMS         how many rooms, 1 to 97; 20 where nothing is said
#   WRITERS       how many write at the same time, each to rooms of its own; 4 where nothing is said
#   REPORT        file that the report is added to as well; empty: none
#   POLL_SECONDS  how often to look at a move; 1 where nothing is said
# Exit code 0: everything held; 1: something failed, was lost, counted twice, or was not done; 2, 4 and 5: as in lib.sh.
. "$(dirname "$0")/lib.sh"
: "${ROUTER:?is missing: the address of a router.}"
router=${ROUTER%/} rooms=${ROOMS:-20} writers=${WRITERS:-4} moves=${MOVES:-10}
for number in "$rooms" "$writers" "$moves"; do [[ $number =~ ^[1-9][0-9]{0,3}$ ]] || fail 2 "'$number' is not a whole number from 1 on."; done

# One line for each write: room, status (000: no answer), seconds. Each room is written to at least once.
write() { # number of the writer
  local room
  while :; do
    for ((room = $1; room <= rooms; room += writers)); do
      curl --silent --max-time 100 --request POST --output /dev/null --write-out "$room %{http_code} %{time_total}\n" "$router/rooms/conformance-$room/increment" >> "$work/writes-$1" || true
    done
    [ -e "$work/writing" ] || return 0
  done
}

count() { # prints each room with its counter
  local room
  for ((room = 1; room <= rooms; room++)); do
    curl --silent --show-error --fail --max-time 100 --retry 5 "$router/rooms/conformance-$room" > "$work/room" || fail 5 "Room conformance-$room could not be read at $router."
    echo "$room $(jq .value "$work/room")"
  done
}

# Moves all rooms to the shard after the one that owns the first. One line of the table for each move.
move() {
  local owner to id until=$((SECONDS + 600))
  owner=$(call GET 'map?endpoint=rooms/conformance-1' | jq --raw-output .shard)
  to=$(call GET shards | jq --raw-output --arg owner "$owner" '[.shards[] | select(.ready and (.cordoned | not)) | .shard] as $ready | $ready[(($ready | index($owner) // -1) + 1) % ($ready | length)]')
  [ "$to" != "$owner" ] || fail 2 "All rooms are at $owner, and there is no other shard that is ready."
  id=$(IDEMPOTENCY_KEY=$(key) call POST migrations "$(jq --null-input --compact-output --arg to "$to" --argjson rooms "$rooms" '{ endpoints: [range(1; $rooms + 1) | "rooms/conformance-\(.)"], $to, reason: "conformance" }')" | jq --raw-output .id)
  while call GET "migrations/$id" > "$work/migration.json" && ! jq --exit-status '.state == "finished"' "$work/migration.json" > /dev/null; do
    [ "$SECONDS" -lt "$until" ] || fail 5 "$id has not ended after 600 s; see it with: shardcloud migration show $id"
    sleep "${POLL_SECONDS:-1}"
  done
  jq --raw-output '"| \(.id) | \(.to) | \(.outcome) | \(.batches | length) | \(.costs.pauseP50Ms // "-") | \(.costs.pauseMaxMs // "-") | \(.costs.maxWaitMs) | \((.finishedAt[:19] + "Z" | fromdate) - (.createdAt[:19] + "Z" | fromdate)) |"' "$work/migration.json" >> "$work/moves"
  tail -n 1 "$work/moves"
}

count > "$work/before"
touch "$work/writing" # It goes with the folder too, so that no writer outlives this script.
for ((writer = 1; writer <= writers && writer <= rooms; writer++)); do write "$writer" & done
code=0
if [ -n "${DURING:-}" ]; then
  what=$DURING
  "$scripts/$DURING" || code=$?
else
  what="$moves moves"
  for ((number = 1; number <= moves; number++)); do move; done
  code=$(grep --count --invert-match '| done |' "$work/moves" || true)
fi
rm "$work/writing"
wait
count > "$work/after"

# A write without a good answer may have counted or not; one with it must have, once.
read -r answered failed lost twice <<< "$(awk '
  FILENAME ~ /before$/ { before[$1] = $2; next }
  FILENAME ~ /after$/ { after[$1] = $2; next }
  $2 ~ /^2/ { good[$1]++; answered++; next }
  { open[$1]++; failed++ }
  END {
    for (room in before) {
      gained = after[room] - before[room]
      if (gained < good[room]) lost += good[room] - gained
      if (gained > good[room] + open[room]) twice += gained - good[room] - open[room]
    }
    printf "%d %d %d %d\n", answered, failed, lost, twice
  }' "$work/before" "$work/after" "$work"/writes-*)"
times=$(cat "$work"/writes-* | awk '$2 ~ /^2/ { print $3 * 1000 }' | sort --general-numeric-sort | awk '{ all[NR] = $1 } END { if (NR) printf "p50 %.0f ms, p99 %.0f ms, max %.0f ms", all[int((NR - 1) * 0.5) + 1], all[int((NR - 1) * 0.99) + 1], all[NR] }')
held=true
[ "$code" -eq 0 ] && [ "$answered" -gt 0 ] && [ "$failed" -eq 0 ] && [ "$lost" -eq 0 ] && [ "$twice" -eq 0 ] || held=false

{
  echo "### Writes during $what: $([ $held = true ] && echo held || echo broken)"
  echo
  echo '| | |'
  echo '| --- | --- |'
  echo "| writes | $answered answered, $failed failed |"
  [ "$failed" -eq 0 ] || echo "| failures by status | $(cat "$work"/writes-* | awk '$2 !~ /^2/ { by[$2]++ } END { for (status in by) printf "%s: %d ", status, by[status] }')|"
  echo "| lost, counted twice | $lost, $twice |"
  echo "| latency, a connection for each | ${times:--} |"
  [ -z "${DURING:-}" ] || echo "| $DURING | exit code $code |"
  echo
  if [ -f "$work/moves" ]; then
    echo '| migration | to | outcome | batches | pause p50, ms | longest, ms | longest wait, ms | in all, s |'
    echo '| --- | --- | --- | --- | --- | --- | --- | --- |'
    cat "$work/moves"
    echo
  fi
} > "$work/report"
summarize < "$work/report"
[ -z "${REPORT:-}" ] || cat "$work/report" >> "$REPORT"
[ $held = true ] || fail 1 "During $what $failed of $((answered + failed)) writes failed, $lost are lost and $twice counted twice; what ran meanwhile ended with $code."
