#!/usr/bin/env bash
# usage: mutants.sh PROGRAM REFERENCE INTERPOSER
# The hunt and the runner on a few mutants, each of which must be told for what it is.
set -uo pipefail
program=$1 reference=$2 interposer=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

expect() { # what, then a command that must succeed
  local what=$1
  shift
  if "$@"; then echo "ok: $what"; else echo "FAILED: $what"; failed=1; fi
}
hunt() { "$program" mutants --plugin "$reference" --interposer "$interposer" "$@"; }
make_mutant() { hunt --make "$1" --out "$2"; }

# Each operator once but for no-wait, which shows in processor time only, and the baselines that must pass, on the cases that are about them.
sample=(M05 M11 M17 M19 M21 M33 M39 M45 M51 M55
  memory.copy/skip memory.copy/skip-7th memory.copy/fail memory.copy/fail-7th memory.copy/fail-after
  memory.copy/late memory.copy/size+1 memory.copy/size-1 memory.copy/address1+1 memory.copy/swap-address1-address2
  memory.copy/other-object kernel.launch/twice kernel.launch/in.grid-x-1 memory.alloc/out-previous memory.alloc/out-none
  memory.alloc/swallow-failure memory.alloc/other-status event.synchronize/timeout-is-ok
  kernel.get_parameter/out.offset+8 stream.create/out-previous none max-caps null liar)
arguments=()
for mutant in "${sample[@]}"; do arguments+=(--only "$mutant"); done
hunt "${arguments[@]}" --cases 'copy.*' --cases 'fill.*' --cases 'event.*' --cases 'krn.*' --cases 'mem.alloc.*' \
  --cases 'cb.*' --cases 'mod.*' --cases 'stream.*' --cases 'graph.replay*' --jobs 2 --out "$folder/sample" > "$folder/sample.log" 2>&1
expect "the sample is found, and what is right passes" test $? -eq 0
grep -E "^(not reached|generic)|survived|alarm" "$folder/sample.log"

# Gone on with: nothing is hunted twice.
hunt "${arguments[@]}" --cases 'copy.*' --cases 'fill.*' --cases 'event.*' --cases 'krn.*' --cases 'mem.alloc.*' \
  --cases 'cb.*' --cases 'mod.*' --cases 'stream.*' --cases 'graph.replay*' --jobs 2 --out "$folder/sample" --resume > "$folder/again.log" 2>&1
expect "a hunt that is gone on with ends as it did" test $? -eq 0
expect "nothing is hunted twice" grep -q "mutants: 0 to hunt, ${#sample[@]} were before" "$folder/again.log"
hunt --only M11 --cases 'fill.*' --out "$folder/sample" --resume > "$folder/other.log" 2>&1
expect "another hunt is not gone on with" grep -q "is of another run: /cases" "$folder/other.log"

# Two shards are one hunt, and every case says what it finds.
small=(--only 'memory.copy/*' --cases 'copy.self' --cases 'copy.len_zero' --cases 'copy.offsets_matrix')
hunt "${small[@]}" --shard 1/2 --out "$folder/one" > "$folder/one.log" 2>&1
hunt "${small[@]}" --shard 2/2 --out "$folder/two" > "$folder/two.log" 2>&1
hunt "${small[@]}" --merge "$folder/one" --merge "$folder/two" --before "$folder/one" --each-case --out "$folder/both" > "$folder/both.log" 2>&1
expect "merged shards leave nothing to hunt" grep -q "mutants: 0 to hunt" "$folder/both.log"
expect "every case is in the matrix" python3 - "$folder/both/kill-matrix.json" <<'PYTHON'
import json, sys
matrix = json.load(open(sys.argv[1]))
sys.exit(not (matrix["missing"] == 0 and "copy.self" in matrix["found_by_case"]))
PYTHON
hunt "${small[@]}" --merge "$folder/sample" --out "$folder/none" > "$folder/unlike.log" 2>&1
expect "a hunt with other cases is not merged" grep -q "is of another hunt" "$folder/unlike.log"
hunt --only M11 --cases copy.offsets_matrix --times 3 --out "$folder/rate" > "$folder/rate.log" 2>&1
expect "a rate is measured" grep -q "M11: killed 3 of 3 times" "$folder/rate.log"

# A survivor without a reason is told.
hunt --only event.record/late --cases event.create.flags --out "$folder/survivor" > "$folder/survivor.log" 2>&1
expect "a survivor ends with 1" test $? -eq 1
expect "it is named" grep -q "not reached: event.record/late survives without a reason" "$folder/survivor.log"

# The n-th call of each process crashes or hangs: the runner says so of the case, and goes on with the others.
judge() { # plugin, status that must be there
  local status=0
  "$program" --plugin "$1" --only copy.len_zero --only copy.many_small_1m --only copy.self --quick --level full --seed 1 --jobs 2 --timeout-scale 0.1 --out "$folder/report-$2" \
    > "$folder/report-$2.log" 2>&1 || status=$?
  expect "a run with $2 ends with 1, it is $status" test "$status" -eq 1
  expect "every case has a result, and one has $2" python3 - "$folder/report-$2/report.json" "$2" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))
statuses = [case["status"] for case in report["cases"]]
sys.exit(not (statuses.count(sys.argv[2]) == 1 and "PASS" in statuses and not report["missing"]
              and not {"NOT_RUN", "HARNESS_ERROR"} & set(statuses)))
PYTHON
}
make_mutant crash@2000 "$folder/crash.so" && judge "$folder/crash.so" CRASH
make_mutant hang@2000 "$folder/hang.so" && judge "$folder/hang.so" TIMEOUT

hunt --make M12 --out "$folder/none.so" > "$folder/none.log" 2>&1
expect "an unknown mutant is an error of use" test $? -eq 3
expect "and says so" grep -q "there is no mutant 'M12'" "$folder/none.log"
exit $failed
