#include "plugins/cpu/processor.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <array>

namespace flagos::cpu {
namespace {

constexpr std::array<std::string_view, 5> known = {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4",
                                                   "aarch64"};

#if defined(__x86_64__)
// Tiles and their products of bf16. Whether the system lets a process use them its kernels ask.
[[maybe_unused]] bool has_amx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & bf16) != 0 &&
         (edx & tile) != 0;
}
#endif

}  // namespace

std::string probe_isa() {
#if defined(__x86_64__) && defined(__clang__) && __clang_major__ < 18
  return "";  // it does not know the levels by name
#elif defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) {
    // Beside tiles kernels use products in pairs; every processor with AMX has them.
    if (!__builtin_cpu_supports("avx512bf16")) return "x86-64-v4";
    return has_amx() ? "x86-64-v4+amx" : "x86-64-v4+bf16";
  }
  if (__builtin_cpu_supports("x86-64-v3")) return "x86-64-v3";
  if (__builtin_cpu_supports("x86-64-v2")) return "x86-64-v2";
  return "x86-64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "";
#endif
}

// A source asks for what stands behind + function by function.
std::string march_of(std::string_view isa) {
  const std::string_view level = isa.substr(0, isa.find('+'));
  if (std::find(known.begin(), known.end(), level) == known.end()) return {};
  return level == "aarch64" ? "armv8-a" : std::string(level);
}

}  // namespace flagos::cpu
