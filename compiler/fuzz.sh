#!/usr/bin/env bash
# Runs the fuzz target for a few seconds, from the modules in a folder, with a fixed seed.
# usage: fuzz.sh PROGRAM SEED_FOLDER [SECONDS]
set -euo pipefail
[[ $# -ge 2 && -x "$1" && -d "$2" ]] || { sed -n 's/^# usage/usage/p' "${BASH_SOURCE[0]}" >&2 && exit 2; }
work="$(mktemp -d)"
trap 'rm -rf "${work}"' EXIT
# New inputs go to a folder that is thrown away; a failing one is kept and named.
"$1" -seed=1 -max_len=4096 -max_total_time="${3:-5}" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
  -artifact_prefix="$(pwd)/" "${work}" "$2" >"${work}.log" 2>&1 || { tail -n 40 "${work}.log" >&2 && exit 1; }
runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "${work}.log")"
rm -f "${work}.log"
[[ "${runs:-0}" -gt 100 ]] || { printf 'fuzz: only %s inputs were tried\n' "${runs:-0}" >&2 && exit 1; }
printf 'fuzz: %s inputs, none of them a fault\n' "${runs}"
