# What an update does now, in one line: a line is printed when it changes.
def wave: .waves | map(select(.state != "planned")) | last;
[ .id,
  (if .state == "finished" then .outcome else "step \({ staging: 1, warm: 2, verify: 3, grow: 4, wave: 5, gate: 6, removeOld: 7, record: 8, rollBack: 9 }[.step]) \(.step)" end),
  (if .state == "awaitingApproval" then "waits for an approval" else empty end),
  (if (.step | IN("wave", "gate")) and .state != "finished" then (wave | select(.) | "wave \(.number) (\(.percent) %) \(.state)\(.gate | if . == null then "" elif .verdict == "watching" then ": watching" else ": \(.verdict), \(.reason)" end)") else empty end),
  (if .state != "finished" then .stepText // empty else empty end)
] | join(", ")
