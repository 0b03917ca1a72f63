# The record of an update as a page of the run.
# Values come from the application too: shown as they are, whatever they hold.
def cell: tostring | gsub("[\n\r]"; " ") | gsub("&"; "&amp;") | gsub("<"; "&lt;") | gsub("[|]"; "&#124;");
def row: "| " + (map(cell) | join(" | ")) + " |";
def table($head): if length == 0 then empty else ($head | row), ($head | map("---") | row), (.[] | row), "" end;
def ms: if . then "\(.) ms" else "-" end;
def traffic: "\(.answered) answered, \(.serverErrors) failed, p50 \(.p50Ms | ms), p99 \(.p99Ms | ms)";

"### Staged update to \(.version): \(.outcome // .state)", "",
([ ["update", .id], ["from", .fromVersion], ["asked for by", .requestedBy], ["started", .startedAt], ["finished", .finishedAt // "not yet"],
   ["staging shard", if .staging then "\(.staging.shard), seeded from \([.staging.seededFrom | to_entries[] | "\(.key) (\(.value))"] | join(", "))" else "none yet" end],
   ["shards", "\(.shards.old | join(", ")) -> \([.shards.new[].shard] | join(", "))"],
   ["moves", "\(.moves.count), of them more than once \(.moves.movedMoreThanOnce), moved back \(.moves.movedBack)"] ]
 + (if .cancelledBy then [["cancelled by", .cancelledBy]] else [] end)
 + (if .rollBack then [["rolled back", .rollBack.reason]] else [] end)
 + (if .error then [["error", "\(.error.code): \(.error.message) \(.error.remedy)"]] else [] end)
 | table(["", ""])),
(.verification | select(.) |
  "**Verification:** \(.verdict), \(.reason)\(if .note then " (\(.note))" else "" end)", "",
  (.probes | select(.) | .results | map([.template, .name // "no probe", if .name then "\(.method) \(.path)" else "" end, if .passed then "passed" else "failed: \(.error)" end]) | table(["template", "probe", "request", ""])),
  (.shadow | select(.) | "Shadow reads: \(.compared) compared, \(.different) different, \(.skipped) skipped, \(.failed) failed.", "",
    (.examples | map([.endpoint, .path, .reason, .expected // "", .got // ""]) | table(["endpoint", "path", "differs in", "old", "new"])))),
(.waves | map([.number, "\(.percent) %", .state, .slots, .endpoints]
  + (.gate | if . then [(.inputs.old | traffic), (.inputs.new | traffic), "\(.verdict): \(.reason)"] else ["", "", ""] end))
 | table(["wave", "", "state", "slots", "placed endpoints", "old version", "new version", "gate"]))
