#!/usr/bin/env bash
# Tests the runner with cases that crash, hang, leave, lie and shout. Needs no plugin.
# usage: selftest.sh PATH-OF-flagos-conformance
set -euo pipefail

program="$(realpath -- "$1")"
work="$(mktemp -d)"
trap 'rm -rf -- "${work}"' EXIT
export FLAGOS_CONFORMANCE_SELFTEST_FILE="${work}/flaky"
failures=0

check() { # description, expected, found
  if [[ "$2" == "$3" ]]; then return; fi
  printf 'selftest: %s: expected "%s", found "%s"\n' "$1" "$2" "$3" >&2
  failures=$((failures + 1))
}
# Runs the program, prints its exit code; what it says goes to a file.
run() {
  local code=0
  "${program}" --selftest --level full --seed 7 "$@" >"${work}/stdout" 2>"${work}/stderr" || code=$?
  echo "${code}"
}
# A member of a case in a report: query FOLDER ID MEMBER.
query() {
  python3 -B - "$@" <<'PYTHON'
import json, sys
folder, case, member = sys.argv[1:]
for entry in json.load(open(f"{folder}/report.json"))["cases"]:
    if entry["id"] == case:
        print(entry[member])
PYTHON
}
status() { query "${work}/$1" "selftest.$2" status; }
text() { query "${work}/$1" "selftest.$2" text; }
contains() { [[ "$2" == *"$1"* ]] && echo yes || echo no; }

# Everything at once: each case has its own outcome, whatever its neighbours do.
check 'exit code of the whole run' 1 "$(run --jobs 2 --out "${work}/all")"
check 'status of pass' PASS "$(status all pass)"
check 'status of fail' FAIL "$(status all fail)"
check 'status of nocheck' FAIL "$(status all nocheck)"
check 'status of crash' CRASH "$(status all crash)"
check 'status of exit' CRASH "$(status all exit)"
check 'status of late_crash' CRASH "$(status all late_crash)"
check 'status of hang' TIMEOUT "$(status all hang)"
check 'status of noise' PASS "$(status all noise)"
check 'status of forge' FAIL "$(status all forge)"
check 'status of throw' FAIL "$(status all throw)"
check 'status of core_skip' FAIL "$(status all core_skip)"
check 'status of optional_skip' NOT_SUPPORTED "$(status all optional_skip)"

# Attribution: the text says what happened, and what was printed stands with its own case.
check 'signal is named' yes "$(contains SIGSEGV "$(text all crash)")"
check 'signal behind the result is named' yes "$(contains SIGABRT "$(text all late_crash)")"
check 'exit is named' yes "$(contains 'exit code 0' "$(text all exit)")"
check 'subcase is named' yes "$(contains 'value=1' "$(text all fail)")"
check 'missing check is named' yes "$(contains 'no check executed' "$(text all nocheck)")"
check 'real outcome of the forger' yes "$(contains 'the real outcome' "$(text all forge)")"
check 'output of the crash' yes "$(contains 'about to crash' "$(cat "${work}/all/logs/selftest.crash.txt")")"
check 'stacks of the hang' yes "$(contains 'stacks' "$(cat "${work}/all/logs/selftest.hang.txt")")"
check 'noise of a neighbour' no "$(contains 'xxxxxxxx' "$(cat "${work}"/all/logs/*.txt)")"
check 'a repro line' yes \
  "$(contains '--only selftest.crash --seed 7' "$(cat "${work}/stderr")")"
check 'sums of the files' 0 "$(cd "${work}/all" && sha256sum --quiet -c SHA256SUMS >&2 && echo 0)"
check 'a run of the selftest cannot certify' yes \
  "$(contains 'NOT FOR CERTIFICATION' "$(cat "${work}/all/report.html")")"

# The repro line does what the run did.
check 'crash again' 1 "$(run --only selftest.crash --out "${work}/again")"
check 'status of the crash again' CRASH "$(status again crash)"

# One worker at a time: the rest of a batch is run again after a crash, in another worker.
check 'exit code with one job' 1 \
  "$(run --jobs 1 --only 'selftest.crash' --only 'selftest.pass' --only 'selftest.exit' --out "${work}/one")"
check 'pass behind a crash' PASS "$(status one pass)"
check 'exit behind a crash' CRASH "$(status one exit)"

# Passing runs, repeats, orders.
check 'exit code of a pass' 0 "$(run --only selftest.pass --out "${work}/pass")"
check 'exit code of a skip' 0 "$(run --only selftest.optional_skip)"
check 'digest' yes "$([[ -n "$(query "${work}/pass" selftest.pass digest)" ]] && echo yes)"
check 'exit code of results' 0 "$(run --only selftest.results --only selftest.private_digest --out "${work}/results")"
check 'digests of subcases' '["selftest.results[size=2]"]' \
  "$(python3 -c 'import json,sys; print(json.dumps(list(json.load(open(sys.argv[1]))))) ' "${work}/results/digests.json")"
check 'figures' '[["copy[size=2]", "GB/s", [1.5, 2.5]]]' \
  "$(python3 -c 'import json,sys; print(json.dumps([[f["name"], f["unit"], f["samples"]] for f in json.load(open(sys.argv[1]))["performance"]]))' "${work}/results/report.json")"
check 'a figure on the page' yes "$(contains '1.5 to 2.5' "$(cat "${work}/results/report.html")")"
rm -f "${FLAGOS_CONFORMANCE_SELFTEST_FILE}"
check 'exit code of a flaky case' 1 "$(run --only selftest.flaky --repeat 2 --jobs 1 --out "${work}/flaky.out")"
check 'status of a flaky case' FLAKY "$(status flaky.out flaky)"
check 'exit code of two orders' 0 "$(run --only selftest.pass --orders 2 --repeat 3 --out "${work}/two")"
check 'runs in two orders' 6 \
  "$(query "${work}/two" selftest.pass runs | tr ',' '\n' | grep -c PASS)"

# A known failure is waived, a known failure that passes is not.
cat >"${work}/expectations.json" <<'JSON'
{"cases": [{"id": "selftest.fail", "expect": "expected_failure",
            "reason": "this case is made to fail"},
           {"id": "selftest.pass", "expect": "expected_failure",
            "reason": "wrong, for this case passes"}]}
JSON
check 'exit code of a waived case' 0 \
  "$(run --only selftest.fail --expectations "${work}/expectations.json" --out "${work}/waived")"
check 'status of a waived case' WAIVED "$(status waived fail)"
check 'exit code of an xpass' 1 \
  "$(run --only selftest.pass --expectations "${work}/expectations.json" --out "${work}/xpass")"
check 'status of an xpass' XPASS "$(status xpass pass)"
echo '{"cases": [{"id": "selftest.none", "expect": "unsupported", "reason": "no such case is known"}]}' \
  >"${work}/unknown.json"
check 'exit code of unknown expectations' 3 "$(run --expectations "${work}/unknown.json")"
check 'unknown case is named' yes "$(contains selftest.none "$(cat "${work}/stderr")")"

# Mistakes of the caller.
check 'exit code of an unknown option' 3 "$(run --frobnicate)"
check 'exit code of a pattern that matches nothing' 3 "$(run --only 'selftest.none*')"
check 'exit code of a bad shard' 3 "$(run --shard 3/2)"
check 'exit code of a foreign folder' 3 "$(mkdir "${work}/full" && touch "${work}/full/mine" &&
  run --only selftest.pass --out "${work}/full")"
check 'exit code of --certify with --only' 3 "$(run --certify --only selftest.pass)"
check 'exit code of a missing plugin' 3 \
  "$("${program}" --plugin "${work}/none.so" 2>/dev/null >&2 && echo 0 || echo $?)"
check 'hidden cases in the list' no "$(contains selftest. "$("${program}" --list --level full)")"

# Shards: together they are the whole, and no case is in two of them.
for shard in 1 2 3; do
  run --shard "${shard}/3" --except 'selftest.hang' --out "${work}/shard${shard}" >/dev/null
done
check 'cases of three shards' "$(run --except selftest.hang --out "${work}/whole" >/dev/null &&
  python3 -c 'import json,sys; print(sorted(c["id"] for c in json.load(open(sys.argv[1]))["cases"]))' \
    "${work}/whole/report.json")" \
  "$(python3 -c 'import json,sys; print(sorted(c["id"] for f in sys.argv[1:] for c in json.load(open(f))["cases"]))' \
    "${work}"/shard?/report.json)"

# A run that is killed goes on where it was: nothing is run twice, the chain holds.
"${program}" --selftest --level full --seed 11 --jobs 1 --out "${work}/resume" >/dev/null 2>&1 &
victim=$!
for _ in $(seq 200); do
  [[ "$(grep -c '"event":"result"' "${work}/resume/events.jsonl" 2>/dev/null || true)" -ge 3 ]] && break
  sleep 0.02
done
kill -9 "${victim}" 2>/dev/null || true
wait "${victim}" 2>/dev/null || true
before="$(grep -c '"event":"result"' "${work}/resume/events.jsonl")"
check 'some results before the kill' yes "$([[ "${before}" -ge 3 ]] && echo yes || echo no)"
check 'exit code of the resumed run' 1 "$(run --resume --out "${work}/resume")"
check 'seed of the resumed run' 11 \
  "$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["run"]["seed"])' "${work}/resume/report.json")"
check 'each case is in the log once' "$("${program}" --selftest --list --level full | wc -l)" \
  "$(grep -c '"event":"result"' "${work}/resume/events.jsonl")"
check 'status of pass in the resumed run' PASS "$(status resume pass)"
sed -i '2s/./X/3' "${work}/resume/events.jsonl"
check 'exit code on a broken chain' 3 "$(run --resume --out "${work}/resume")"
check 'the broken line is named' yes "$(contains 'line' "$(cat "${work}/stderr")")"

# An interrupted run is incomplete, and says so.
"${program}" --selftest --only selftest.hang --timeout-scale 20 --out "${work}/interrupted" \
  >/dev/null 2>&1 &
victim=$!
for _ in $(seq 200); do
  [[ -s "${work}/interrupted/events.jsonl" ]] && break
  sleep 0.02
done
sleep 0.3
kill -INT "${victim}" || true
code=0
wait "${victim}" || code=$?
check 'exit code of an interrupted run' 2 "${code}"
check 'status after an interrupt' NOT_RUN "$(status interrupted hang)"

if [[ "${failures}" -ne 0 ]]; then
  printf 'selftest: %d checks failed\n' "${failures}" >&2
  exit 1
fi
echo 'selftest: the runner does what it says'
