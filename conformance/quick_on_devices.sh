#!/usr/bin/env bash
# Runs the suite on a plugin that may have no device on this machine: then it says so and exits 77 (skipped).
# usage: quick_on_devices.sh FLAGOS RUNNER PLUGIN [ARGUMENTS OF THE RUNNER...]
set -euo pipefail

flagos=$1 runner=$2 plugin=$3
shift 3
report=$("$flagos" doctor "$plugin") || {
  printf '%s\n' "$report"
  # A plugin that is broken is no reason to skip.
  grep -q "^FAIL .*: loaded$" <<<"$report" && exit 77
  exit 1
}
exec "$runner" --plugin "$plugin" "$@"
