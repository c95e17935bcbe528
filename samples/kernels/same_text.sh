#!/usr/bin/env bash
# The kernels of this folder have the same text whether gcc or clang builds them, optimised or not.
# usage: same_text.sh INCLUDE_DIR PROGRAM, the program as the tree built it
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[[ $# -eq 2 && -x "$2" ]] || { sed -n 's/^# usage/usage/p' "${BASH_SOURCE[0]}" >&2 && exit 2; }
for compiler in g++ clang++; do
  command -v "${compiler}" >/dev/null || { printf 'same_text: skipped: %s is not installed\n' "${compiler}" && exit 77; }
done
work="$(mktemp -d)"
trap 'rm -rf "${work}"' EXIT
"$2" --no-locations >"${work}/tree"
for compiler in g++ clang++; do
  "${compiler}" -std=c++17 -O0 -Wall -Wextra -Wpedantic -Wshadow -Werror -I"$1" -o "${work}/print" \
    "${here}/kernels.cpp" "${here}/print.cpp"
  "${work}/print" --no-locations >"${work}/${compiler}"
  cmp "${work}/tree" "${work}/${compiler}"
done
lines="$(wc -l <"${work}/tree")"
[[ ${lines} -gt 100 ]] || { printf 'same_text: only %d lines were printed\n' "${lines}" >&2 && exit 1; }
printf 'same_text: %d lines, the same from both compilers\n' "${lines}"
