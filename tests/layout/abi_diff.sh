#!/usr/bin/env bash
# Compares the headers with their stored baseline by abidiff.
# usage: abi_diff.sh write BASELINE | abi_diff.sh check BASELINE | abi_diff.sh self-test
#        BASELINE is a file of abidw; scripts/update-layout writes the one of the tree.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

skip() {
  printf 'abi_diff: skipped: %s\n' "$*"
  exit 77
}
for tool in abidiff abidw; do
  command -v "${tool}" >/dev/null || skip "${tool} is not installed; scripts/setup installs it"
done

work="$(mktemp -d)"
trap 'rm -rf "${work}"' EXIT

# libflagos itself is full of the types of C++; a library made of the headers alone has those of the contract.
write() { # BASELINE HEADERS
  python3 "${here}/header_library.py" "${work}/headers.so" --abi "$2"
  # Paths and line numbers would tell of one machine and change with every comment.
  abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed \
    --out-file "$1" "${work}/headers.so"
}

# New functions and types are growth. All else that abidiff sees is looked at by a person: a retyped member sets
# bit 4 only, a lost function bit 8 too; bits 1 and 2 are errors of abidiff or of this call.
compare() { # BASELINE HEADERS
  local status=0
  python3 "${here}/header_library.py" "${work}/headers.so" --abi "$2"
  abidiff --no-added-syms --no-show-locs "$1" "${work}/headers.so" || status=$?
  if [[ $((status & 3)) -ne 0 ]]; then
    printf 'abi_diff: abidiff itself failed (%d)\n' "${status}" >&2
  fi
  return "${status}"
}

self_test() {
  make() { # NAME DECLARATIONS
    mkdir -p "${work}/$1"
    printf '#define FLAGOS_API\n%s\n' "$2" >"${work}/$1/x.h"
  }
  expect() { # NAME STATUS-PATTERN
    local status=0
    compare "${work}/base.abi" "${work}/$1" >"${work}/out" || status=$?
    # shellcheck disable=SC2053 # the right side is a pattern
    [[ ${status} == $2 ]] || {
      printf 'abi_diff: self-test: %s gave %d, expected %s\n' "$1" "${status}" "$2" >&2
      cat "${work}/out" >&2
      exit 1
    }
  }
  local s='struct s { int a; long b; };' f='FLAGOS_API int f(struct s* x);'
  local t='typedef struct {
  int (*run)(struct s* x);
} table;'
  make base "${s}
${t}
${f}"
  write "${work}/base.abi" "${work}/base"
  make same "/* a comment */ ${s}
${t}
${f}"
  make added "${s}
typedef struct {
  int c;
} more;
${t}
${f}
FLAGOS_API int g(more* x);"
  make retyped "struct s { int a; double b; };
${t}
${f}"
  make swapped "struct s { long b; int a; };
${t}
${f}"
  make slot "${s}
typedef struct {
  int (*run)(struct s* x, int y);
} table;
${f}"
  make parameter "${s}
${t}
FLAGOS_API int f(struct s* x, int y);"
  make lost "${s}
${t}
FLAGOS_API int g(struct s* x);"
  expect same 0
  expect added 0
  local name
  for name in retyped swapped slot parameter lost; do expect "${name}" '[1-9]*'; done
  printf 'abi_diff: planted changes were seen\n'
}

case "$#:${1:-}" in
  1:self-test) self_test ;;
  2:write) write "$2" "${here}/../../abi" ;;
  2:check)
    [[ -f "$2" ]] || skip "there is no baseline; scripts/update-layout writes it"
    if ! compare "$2" "${here}/../../abi"; then
      printf 'abi_diff: the headers differ from their baseline. If that is meant, run scripts/update-layout.\n' >&2
      exit 1
    fi
    printf 'abi_diff: no change but additions\n'
    ;;
  *)
    sed -n '3,4s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
