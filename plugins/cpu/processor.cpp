#include "plugins/cpu/processor.hpp"

#include <algorithm>
#include <array>

namespace flagos::cpu {
namespace {

// Each runs what those before it run.
constexpr std::array<std::string_view, 4> x86_levels = {"x86-64", "x86-64-v2", "x86-64-v3",
                                                        "x86-64-v4"};

}  // namespace

std::string probe_isa() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) return "x86-64-v4";
  if (__builtin_cpu_supports("x86-64-v3")) return "x86-64-v3";
  if (__builtin_cpu_supports("x86-64-v2")) return "x86-64-v2";
  return "x86-64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "";
#endif
}

bool runs_on(std::string_view isa, std::string_view own) {
  if (isa == own) return true;
  const auto level = std::find(x86_levels.begin(), x86_levels.end(), isa);
  const auto limit = std::find(x86_levels.begin(), x86_levels.end(), own);
  return limit != x86_levels.end() && level <= limit;
}

}  // namespace flagos::cpu
