#!/usr/bin/env bash
# scripts/new-plugin: refuses what it should, and its copy of the skeleton builds against an installed tree.
# usage: new_plugin.sh PREFIX
set -euo pipefail

fail() {
  printf 'new_plugin: error: %s\n' "$*" >&2
  exit 1
}
[[ $# -eq 1 && -d "$1/include/flagos" ]] || fail "usage: new_plugin.sh PREFIX, an installed tree"
prefix="$1"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "${work}"' EXIT

refuses() { # TEXT ARGUMENT...
  local text="$1" output
  shift
  if output="$("${root}/scripts/new-plugin" "$@" 2>&1)"; then
    fail "new-plugin $* was not refused"
  fi
  [[ "${output}" == *"${text}"* ]] || fail "new-plugin $*: expected '${text}', got: ${output}"
}
refuses "is not a name" Acme --out "${work}/x"
refuses "is not a name" 1acme --out "${work}/x"
refuses "is not a name" ../acme --out "${work}/x"
refuses "is not a name" "a b" --out "${work}/x"
refuses "the name of the sample" skeleton --out "${work}/x"
refuses "usage"
refuses "needs a folder" acme --out
[[ ! -e "${work}/x" ]] || fail "a refused call left ${work}/x"

if [[ ! -d "${root}/samples/05_skeleton_plugin" ]]; then
  refuses "is missing" acme --out "${work}/x"
  printf 'new_plugin: refusals are right; there is no skeleton to copy\n'
  exit 0
fi

"${root}/scripts/new-plugin" acme_npu --out "${work}/acme" >/dev/null
refuses "exists already" acme_npu --out "${work}/acme"
if left="$(grep -rniE 'skeleton' "${work}/acme")" || left="$(find "${work}/acme" -iname '*skeleton*' | grep .)"; then
  fail "the copy still speaks of the skeleton: ${left}"
fi
cmake -G Ninja -S "${work}/acme" -B "${work}/build" -DCMAKE_PREFIX_PATH="${prefix}" >"${work}/log" 2>&1 ||
  fail "configuring the copy failed: $(cat "${work}/log")"
cmake --build "${work}/build" >"${work}/log" 2>&1 || fail "building the copy failed: $(cat "${work}/log")"
library="$(find "${work}/build" -name libflagos_plugin_acme_npu.so)"
[[ -f "${library}" ]] || fail "the copy built no libflagos_plugin_acme_npu.so"
[[ "$(nm -D --defined-only "${library}" | awk '{ print $3 }')" == flagos_plugin_open ]] ||
  fail "the copy exports more than flagos_plugin_open"
printf 'new_plugin: refusals are right, and the copy builds\n'
