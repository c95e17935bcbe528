#!/usr/bin/env bash
# Writes docs/conformance-cases.md from the cases in the program; with --check only compares.
# usage: update_docs.sh [--check] PATH-OF-flagos-conformance
set -euo pipefail

check=0
if [[ "${1:-}" == --check ]]; then
  check=1
  shift
fi
[[ $# -eq 1 ]] || {
  sed -n '3s/^# //p' "${BASH_SOURCE[0]}" >&2
  exit 2
}
page="$(dirname "${BASH_SOURCE[0]}")/../docs/conformance-cases.md"
draft="$(mktemp)"
trap 'rm -f -- "${draft}"' EXIT
"$1" --list --markdown >"${draft}"
if [[ ${check} -eq 0 ]]; then
  mkdir -p "$(dirname "${page}")"
  cp -- "${draft}" "${page}"
  chmod 644 "${page}"
elif ! diff -u "${page}" "${draft}" >&2; then
  echo "docs/conformance-cases.md is out of date: run conformance/update_docs.sh $1" >&2
  exit 1
fi
