#!/usr/bin/env bash
# A package from beginning to end, checked with the tools that anybody has: tar, sha256sum, openssl
# and python3, as docs/certification.md says. Needs no plugin: the cases are those of the runner's
# own test.
# usage: package.sh PATH-OF-flagos-conformance
set -euo pipefail

program="$(realpath -- "$1")"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf -- "${work}"' EXIT
cd "${work}"
failures=0

check() { # description, expected, found
  if [[ "$2" == "$3" ]]; then return; fi
  printf 'package: %s: expected "%s", found "%s"\n' "$1" "$2" "$3" >&2
  failures=$((failures + 1))
}
# Runs a command; its exit code is printed, what it says goes to a file.
code() {
  local result=0
  "$@" >"${work}/said" 2>&1 || result=$?
  echo "${result}"
}
said() { grep -qF -- "$1" "${work}/said" && echo yes || echo "no: $(tail -n 3 "${work}/said")"; }

openssl genpkey -algorithm ed25519 -out vendor.key 2>/dev/null
openssl pkey -in vendor.key -pubout -out vendor.pub
openssl genpkey -algorithm ed25519 -out other.key 2>/dev/null
openssl pkey -in other.key -pubout -out other.pub
openssl genrsa -out rsa.key 2048 2>/dev/null

suite() { "${program}" --selftest --level full --orders 2 --only selftest.pass --only selftest.optional_skip "$@"; }
check 'a run with a package' 0 "$(code suite --seed 5 --out report --package --sign vendor.key)"
check 'the package is named' yes "$(said 'package: report/flagos-conformance-')"
package="$(echo report/flagos-conformance-*.tar.zst)"

# 1 to 4 of docs/certification.md, without a program of ours.
mkdir unpacked
tar --zstd -xf "${package}" -C unpacked
folder="$(echo unpacked/*)"
check 'the folder is named like the file' "$(basename "${package}" .tar.zst)" "$(basename "${folder}")"
check 'sha256sum -c' 0 "$(cd "${folder}" && code sha256sum -c --strict SHA256SUMS)"
python3 -B - "${folder}/attestation.json" <<'PYTHON'
import base64, json, sys
envelope = json.load(open(sys.argv[1]))
payload = base64.b64decode(envelope["payload"])
kind = envelope["payloadType"].encode()
open("signed", "wb").write(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
open("signature", "wb").write(base64.b64decode(envelope["signatures"][0]["sig"]))
open("statement.json", "wb").write(payload)
PYTHON
verify() { openssl pkeyutl -verify -pubin -inkey "$1" -rawin -in signed -sigfile signature; }
check 'openssl accepts the signature' 0 "$(code verify vendor.pub)"
check 'openssl refuses another key' 1 "$(code verify other.pub)"
check 'the key id' "$(openssl pkey -pubin -in vendor.pub -outform DER | sha256sum | cut -c 1-64)" \
  "$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["signatures"][0]["keyid"])' "${folder}/attestation.json")"
check 'the statement binds SHA256SUMS' "$(sha256sum <"${folder}/SHA256SUMS" | cut -c 1-64)" \
  "$(python3 -c 'import json; print(json.load(open("statement.json"))["predicate"]["x-flagos"]["sha256sums"])')"
root="$(python3 -B - "${folder}/events.jsonl" <<'PYTHON'
import hashlib, json, sys
previous = "0" * 64
for line in open(sys.argv[1], "rb").read().splitlines():
    assert json.loads(line)["prev"] == previous, "the chain is broken"
    previous = hashlib.sha256(line).hexdigest()
print(previous)
PYTHON
)"
check 'the chain ends at its root' "${root}" \
  "$(python3 -c 'import json; print(json.load(open("statement.json"))["predicate"]["x-flagos"]["chain_root"])')"
check 'caps.json has the hash that the statement says' "$(sha256sum <"${folder}/report.json" | cut -c 1-64)" \
  "$(grep ' report.json$' "${folder}/SHA256SUMS" | cut -c 1-64)"

# 5 and 6, with ours. A run of the runner's own test is genuine, and no certificate.
for form in "${package}" "${folder}" report; do
  check "verify ${form}" 2 "$(code "${program}" verify "${form}" --key vendor.pub)"
  check "verify ${form} says so" yes "$(said 'VERIFIED as a report')"
done
check 'another key is refused' 1 "$(code "${program}" verify "${package}" --key other.pub)"
check 'and named' yes "$(said 'is not signed by the key')"
check 'replay' 2 "$(code "${program}" verify "${package}" --replay --replay-plugin "${program}")"
check 'replay counts' yes "$(said '1 digests were computed again')"
check 'replay without its plugin' 3 "$(code "${program}" verify "${package}" --replay --replay-plugin "${program}.so")"
check 'is named' yes "$(said 'there is no plugin file')"
check 'a key of another kind' 3 "$(code suite --out bad --sign rsa.key)"
check 'is named' yes "$(said 'is not of ed25519')"
check 'a package that is not there' 3 "$(code "${program}" verify nothing)"
check 'no package' 3 "$(code "${program}" verify)"
head -c 1000 "${package}" >cut.tar.zst
check 'a package that was cut off' 1 "$(code "${program}" verify cut.tar.zst)"
check 'says why' yes "$(said 'is no package')"

# A forger with patience: what he changes he hashes again.
tamper() { # python that changes `report`, `digests` or `log`
  rm -rf forged && cp -r "${folder}" forged
  python3 -B - "$1" <<'PYTHON'
import hashlib, json, pathlib, sys
folder = pathlib.Path("forged")
report = (folder / "report.json").read_text()
digests = (folder / "digests.json").read_text()
log = (folder / "events.jsonl").read_text()
scope = {"report": report, "digests": digests, "log": log, "json": json, "hashlib": hashlib}
exec(sys.argv[1], scope)
for name, key in (("report.json", "report"), ("digests.json", "digests"), ("events.jsonl", "log")):
    (folder / name).write_text(scope[key])
lines = []
for line in (folder / "SHA256SUMS").read_text().splitlines():
    name = line[66:]
    lines.append(hashlib.sha256((folder / name).read_bytes()).hexdigest() + "  " + name)
(folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
PYTHON
}
tamper 'report = report.replace("\"status\":\"NOT_SUPPORTED", "\"status\":\"PASS")'
check 'a forged status' 1 "$(code "${program}" verify forged)"
check 'is named' yes "$(said 'report.json is not what events.jsonl gives')"
tamper 'digests = digests.replace("a", "b")'
check 'a forged digest' 1 "$(code "${program}" verify forged)"
check 'is named' yes "$(said 'digests.json is not what events.jsonl gives')"
tamper 'log = "".join(log.splitlines(True)[:-1])'
check 'a log without its end' 1 "$(code "${program}" verify forged)"
check 'is named' yes "$(said 'the line with the totals is missing')"

# One who makes everything fit has only claimed another digest: the replay sees it.
digest="$(python3 -c 'import json,sys; print(list(json.load(open(sys.argv[1])).values())[0])' "${folder}/digests.json")"
tamper "
import pathlib
false = '0' * 64
lines, previous = [], '0' * 64
for line in log.replace('${digest}', false).splitlines():
    event = json.loads(line)
    line = line.replace(event['prev'], previous)
    previous = hashlib.sha256(line.encode()).hexdigest()
    lines.append(line + chr(10))
log = ''.join(lines)
report = report.replace('${digest}', false).replace('${root}', previous)
digests = digests.replace('${digest}', false)
page = pathlib.Path('forged/report.html')
page.write_text(page.read_text().replace('${root}', previous))
pathlib.Path('forged/attestation.json').unlink()
"
check 'a false claim that fits' 2 "$(code "${program}" verify forged)"
check 'is seen by its replay' 1 "$(code "${program}" verify forged --replay --replay-plugin "${program}")"
check 'and named' yes "$(said 'has another digest')"
check 'and by whoever asks for a signature' 1 "$(code "${program}" verify forged --key vendor.pub)"

# The shards of a run, made on machines of their own, as one package.
shard() { suite --seed 5 --shard "$1/2" --out "shard$1" --package --sign vendor.key; }
check 'the first shard' 0 "$(code shard 1)"
check 'the second shard' 0 "$(code shard 2)"
merge() { "${program}" merge "$@" --out merged --key vendor.pub; }
check 'a shard is missing' 1 "$(code merge shard1/*.tar.zst shard1/*.tar.zst)"
check 'is named' yes "$(said 'shard 1/2 is there 2 times')"
check 'a whole run instead of a shard' 1 "$(code merge shard1 report)"
check 'is named' yes "$(said 'refused: a whole run is no shard')"
cp -r shard2 spoilt && sed -i 's/"PASS"/"FAIL"/' spoilt/events.jsonl
check 'a spoilt shard' 1 "$(code merge shard1 spoilt)"
check 'is named with its file' yes "$(said "'spoilt': events.jsonl does not have the hash")"
check 'nothing was written' no "$([[ -e merged ]] && echo yes || echo no)"
check 'merged' 2 "$(code merge shard2 shard1/*.tar.zst --package --sign other.key)"
check 'the merged package' 2 "$(code "${program}" verify merged/*.tar.zst --key other.pub)"
check 'is genuine' yes "$(said 'VERIFIED as a report')"
check 'and says the same as one run' 0 "$(code "${program}" diff report merged)"

# Two runs compared, and the page of both.
check 'a second run' 0 "$(code suite --seed 5 --out second)"
check 'no difference' 0 "$(code "${program}" diff "${package}" second --json diff.json --html diff.html)"
check 'the difference for programs' 0 "$(python3 -c 'import json; print(json.load(open("diff.json"))["exit_code"])')"
check 'a worse run' 1 "$(code suite --seed 5 --only selftest.fail --out worse)"
check 'is worse' 2 "$(code "${program}" diff second worse)"
check 'in words' yes "$(said 'new case: selftest.fail')"
check 'one of another size' 3 "$(code suite --seed 5 --quick --out quick >/dev/null; code "${program}" diff second quick)"
check 'a matrix' 0 "$(code "${program}" matrix "${package}" second worse/report.json --out matrix.html)"
for page in matrix.html diff.html second/report.html worse/report.html; do
  check "${page}" 0 "$(code python3 -B "${here}/check_page.py" "${page}")"
  check "${page} says" '' "$(grep -v '^ok' said || true)"
done

if [[ "${failures}" -ne 0 ]]; then
  printf 'package: %d checks failed\n' "${failures}" >&2
  exit 1
fi
echo 'package: what is made can be checked, and what is changed is seen'
