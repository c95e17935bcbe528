#!/usr/bin/env bash
# Compares libflagos with its stored baseline by abidiff.
# usage: abi_diff.sh yes|no LIBRARY BASELINE   (no: this build cannot be compared)
#        abi_diff.sh self-test
set -euo pipefail

skip() {
  printf 'abi_diff: skipped: %s\n' "$*"
  exit 77
}
command -v abidiff >/dev/null || skip "abidiff is not installed; scripts/setup installs it"

# New symbols are growth. All else that abidiff sees in the public types is looked at by a person: a retyped
# member sets bit 4 only, a lost symbol bit 8 too; bits 1 and 2 are errors of abidiff or of this call.
compare() { # BASELINE LIBRARY HEADERS
  local status=0
  abidiff --no-added-syms --no-show-locs --drop-private-types --headers-dir2 "$3" "$1" "$2" || status=$?
  if [[ $((status & 3)) -ne 0 ]]; then
    printf 'abi_diff: abidiff itself failed (%d)\n' "${status}" >&2
  fi
  return "${status}"
}

self_test() {
  local work good
  work="$(mktemp -d)"
  # shellcheck disable=SC2064 # the folder is known now
  trap "rm -rf '${work}'" EXIT
  good='struct s { int a; long b; }; int f(struct s* x);'
  build() { # NAME DECLARATIONS CODE
    mkdir -p "${work}/$1"
    printf '%s\n' "$2" >"${work}/$1/x.h"
    printf '#include "x.h"\n%s\n' "$3" >"${work}/$1/x.c"
    gcc -g -shared -fPIC -Wl,-soname,x.so -o "${work}/$1/x.so" "${work}/$1/x.c"
  }
  expect() { # NAME STATUS-PATTERN
    local status=0
    compare "${work}/base.abi" "${work}/$1/x.so" "${work}/$1" >"${work}/out" || status=$?
    # shellcheck disable=SC2053 # the right side is a pattern
    [[ ${status} == $2 ]] || {
      printf 'abi_diff: self-test: %s gave %d, expected %s\n' "$1" "${status}" "$2" >&2
      cat "${work}/out" >&2
      exit 1
    }
  }
  build base "${good}" 'int f(struct s* x) { return x->a; }'
  abidw --headers-dir "${work}/base" --drop-private-types --out-file "${work}/base.abi" "${work}/base/x.so"
  build same "${good}" 'int f(struct s* x) { return x->a; }'
  build added "${good} int g(void);" 'int f(struct s* x) { return x->a; } int g(void) { return 0; }'
  build retyped 'struct s { int a; double b; }; int f(struct s* x);' 'int f(struct s* x) { return x->a; }'
  build lost 'struct s { int a; long b; }; int g(void);' 'int g(void) { return 0; }'
  expect same 0
  expect added 0
  expect retyped '[1-9]*'
  expect lost '[1-9]*'
  printf 'abi_diff: planted changes were seen\n'
}

if [[ "${1:-}" == self-test ]]; then
  self_test
  exit 0
fi
[[ $# -eq 3 ]] || {
  sed -n '3,4s/^# //p' "${BASH_SOURCE[0]}" >&2
  exit 2
}
[[ "$1" == yes ]] || skip "only the dev build (RelWithDebInfo, no sanitizer) is compared"
[[ -f "$3" ]] || skip "there is no baseline; scripts/update-layout writes it"
headers="$(cd "$(dirname "${BASH_SOURCE[0]}")/../../abi" && pwd)"
if ! compare "$3" "$2" "${headers}"; then
  printf 'abi_diff: the library differs from its baseline. If that is meant, run scripts/update-layout.\n' >&2
  exit 1
fi
printf 'abi_diff: no change but additions\n'
