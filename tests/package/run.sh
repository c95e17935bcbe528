#!/usr/bin/env bash
# Installs a build into a fresh prefix and uses it from a fresh folder: once by find_package, once by
# pkg-config, in C and in C++.
# usage: run.sh BUILD_DIR
set -euo pipefail

fail() {
  printf 'package: error: %s\n' "$*" >&2
  exit 1
}
step() { printf 'package: %s\n' "$*"; }

[[ $# -eq 1 && -f "$1/CMakeCache.txt" ]] || fail "usage: run.sh BUILD_DIR, a configured and built tree"
build="$(realpath -- "$1")"
if grep -q '^FLAGOS_SANITIZE:[A-Z]*=.' "${build}/CMakeCache.txt"; then
  printf 'package: skipped: a sanitized library is not for users\n'
  exit 77
fi
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
command -v pkg-config >/dev/null || fail "pkg-config is not installed; scripts/setup installs it"

work="$(mktemp -d)"
trap 'rm -rf "${work}"' EXIT
prefix="${work}/prefix"

run_consumer() {
  local output
  # From another folder and with nothing set, so that only what is installed can be found.
  output="$(cd / && env -u FLAGOS_PLUGIN_PATH -u FLAGOS_PLUGIN_FILES "$@")" ||
    fail "$(basename "${!#}") failed: ${output}"
  [[ "${output}" =~ ^flagos\ [0-9]+\.[0-9]+\.[0-9]+,\ [1-9][0-9]*\ devices$ ]] ||
    fail "$(basename "${!#}") printed: ${output}"
  step "$(basename "${!#}"): ${output}"
}

step "install"
cmake --install "${build}" --prefix "${work}/first" >"${work}/install.log" ||
  fail "cmake --install failed: $(tail -n 5 "${work}/install.log")"
# An installed tree can be moved: nothing in it may know where it was installed.
mv "${work}/first" "${prefix}"

libdir="$(dirname "$(find "${prefix}" -name libflagos.so -print -quit)")"
[[ -f "${libdir}/libflagos.so" ]] || fail "no libflagos.so was installed"
for file in include/flagos/flagos.h include/flagos/flagos_plugin.h include/flagos/flagos_cpu_kernel.h \
  include/flagos/flagos_compiler.h include/flagos/flagos_ops.h include/flagos/flagos_comm.h include/flagos/tile.hpp; do
  [[ -f "${prefix}/${file}" ]] || fail "${file} was not installed"
done
for file in libflagos_plugin_cpu.so libflagos_plugin_cpu.json; do
  [[ -f "${libdir}/flagos/plugins/${file}" ]] || fail "flagos/plugins/${file} was not installed"
done
if texts="$(grep -rlIF -e "${work}/first" -e "${build}" "${prefix}")"; then
  fail "installed files name the build or the first prefix: ${texts}"
fi

step "find_package"
cmake -G Ninja -S "${here}/consumer" -B "${work}/build" -DCMAKE_PREFIX_PATH="${prefix}" \
  >"${work}/cmake.log" 2>&1 ||
  fail "configuring the consumer failed: $(cat "${work}/cmake.log")"
cmake --build "${work}/build" >"${work}/build.log" 2>&1 ||
  fail "building the consumer failed: $(cat "${work}/build.log")"
run_consumer "${work}/build/consumer_c"
run_consumer "${work}/build/consumer_cpp"
[[ "$("${work}/build/consumer_kernel")" == "y[3] is 6" ]] || fail "consumer_kernel does not run its kernel"
exports="$(nm -D --defined-only "${work}/build/lib/flagos/plugins/libflagos_plugin_consumer.so" | awk '{ print $3 }')"
[[ "${exports}" == flagos_plugin_open ]] || fail "the consumer's plugin exports: ${exports}"
[[ -f "${work}/build/lib/flagos/plugins/libflagos_plugin_consumer.json" ]] || fail "the consumer's plugin has no manifest"

step "pkg-config"
export PKG_CONFIG_PATH="${libdir}/pkgconfig"
read -r -a cflags < <(pkg-config --cflags flagos)
read -r -a libs < <(pkg-config --libs flagos)
cc -std=c11 "${cflags[@]}" -o "${work}/pc_c" "${here}/consumer/consumer.c" "${libs[@]}"
c++ -std=c++17 "${cflags[@]}" -o "${work}/pc_cpp" "${here}/consumer/consumer.cpp" "${libs[@]}"
run_consumer env LD_LIBRARY_PATH="${libdir}" "${work}/pc_c"
run_consumer env LD_LIBRARY_PATH="${libdir}" "${work}/pc_cpp"

for program in flagos flagos-conformance; do
  if [[ -x "${build}/bin/${program}" ]]; then
    [[ -x "${prefix}/bin/${program}" ]] || fail "bin/${program} was not installed"
    "${prefix}/bin/${program}" --help >/dev/null || fail "the installed ${program} --help failed"
    step "bin/${program} runs"
  fi
done
step "new-plugin"
"${here}/new_plugin.sh" "${prefix}"
step "all users of the installed tree work"
