// Targets as text: "dialect;name=value;...".
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "compiler/lower.hpp"

namespace flagos::compiler {
namespace {

struct DialectRow {
  std::string_view name;
  Dialect dialect;
  Schedule schedule;
};
constexpr std::array<DialectRow, 5> kDialects = {{{"gnu-c++", Dialect::gnu_cxx, Schedule::serial},
                                                  {"opencl-c", Dialect::opencl_c, Schedule::simt},
                                                  {"glsl", Dialect::glsl, Schedule::simt},
                                                  {"cuda-c", Dialect::cuda_c, Schedule::simt},
                                                  {"tile-c", Dialect::tile_c, Schedule::tile_calls}}};
constexpr std::array<std::string_view, 3> kSchedules = {"serial", "simt", "tile-calls"};
// What a device, or its compiler, may lack: element types, atomics of 64 bits, tensor cores for f8.
constexpr std::array<std::string_view, 11> kFeatures = {"f64", "f16", "bf16",  "f8",       "i64",   "i16",
                                                        "i8",  "i1",  "print", "atomic64", "mma_f8"};

[[noreturn]] void refuse(std::string_view text, std::string_view part, std::string_view reason) {
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "target '{}': '{}' {}", text, part, reason);
}

template <typename T>
T parse_number(std::string_view text, std::string_view part, std::string_view value, std::uint64_t low,
               std::uint64_t high) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < low || number > high)
    refuse(text, part, fmt::format("is no number from {} to {}", low, high));
  return static_cast<T>(number);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// The widest vectors that an instruction set has for sure.
std::uint32_t vector_bits_of(std::string_view isa) {
  if (isa.starts_with("x86-64-v4")) return 512;
  if (isa.starts_with("x86-64-v3")) return 256;
  return 128;
}

bool is_isa(std::string_view isa) {
  return !isa.empty() && std::all_of(isa.begin(), isa.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '+' || c == '.';
  });
}

const DialectRow& row_of(Dialect dialect) {
  return *std::find_if(kDialects.begin(), kDialects.end(),
                       [&](const DialectRow& row) { return row.dialect == dialect; });
}

void read_part(Target& target, std::string_view text, std::string_view part) {
  const std::size_t equals = part.find('=');
  const std::string_view name = part.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
  if (name == "schedule") {
    const auto found = std::find(kSchedules.begin(), kSchedules.end(), value);
    if (found == kSchedules.end()) refuse(text, part, "is none of serial, simt, tile-calls");
    target.schedule = static_cast<Schedule>(found - kSchedules.begin());
  } else if (name == "isa") {
    if (!is_isa(value)) refuse(text, part, "is no instruction set");
    target.isa = value;
    target.vector_bits = vector_bits_of(value);
  } else if (name == "vector") {
    target.vector_bits = parse_number<std::uint32_t>(text, part, value, 64, 2048);
    if ((target.vector_bits & (target.vector_bits - 1)) != 0) refuse(text, part, "is no power of two");
  } else if (name == "threads") {
    target.threads = parse_number<std::uint32_t>(text, part, value, 1, 1024);
  } else if (name == "local") {
    target.local_bytes = parse_number<std::uint64_t>(text, part, value, 0, std::uint64_t{1} << 40);
  } else if (name == "scratch") {
    target.scratch_bytes = parse_number<std::uint64_t>(text, part, value, 0, std::uint64_t{1} << 31);
  } else if (name == "unroll") {
    target.unroll = parse_number<std::uint32_t>(text, part, value, 1, 4096);
  } else if (name == "no") {
    for (const std::string_view feature : split(value, ',')) {
      if (std::find(kFeatures.begin(), kFeatures.end(), feature) == kFeatures.end())
        refuse(text, part, fmt::format("names '{}', which is no feature", feature));
      target.without.emplace_back(feature);
    }
  } else {
    refuse(text, part, "is not known");
  }
}

}  // namespace

Target parse_target(std::string_view text) {
  std::vector<std::string_view> parts = split(text, ';');
  const auto row =
      std::find_if(kDialects.begin(), kDialects.end(), [&](const DialectRow& r) { return r.name == parts[0]; });
  if (row == kDialects.end())
    refuse(text, parts[0], "is no dialect; there are gnu-c++, opencl-c, glsl, cuda-c and tile-c");
  Target target;
  target.dialect = row->dialect;
  target.schedule = row->schedule;
  target.vector_bits = vector_bits_of("");
  parts.erase(parts.begin());
  // The instruction set gives defaults, wherever it stands.
  std::stable_partition(parts.begin(), parts.end(), [](std::string_view part) { return part.starts_with("isa="); });
  for (const std::string_view part : parts) read_part(target, text, part);
  std::sort(target.without.begin(), target.without.end());
  target.without.erase(std::unique(target.without.begin(), target.without.end()), target.without.end());
  return target;
}

std::string print_target(const Target& target) {
  const DialectRow& row = row_of(target.dialect);
  const Target usual;
  std::string text(row.name);
  const auto add = [&](std::string_view name, const auto& value) { text += fmt::format(";{}={}", name, value); };
  if (target.schedule != row.schedule) add("schedule", kSchedules[static_cast<std::size_t>(target.schedule)]);
  if (!target.isa.empty()) add("isa", target.isa);
  if (target.vector_bits != vector_bits_of(target.isa)) add("vector", target.vector_bits);
  if (target.threads != usual.threads) add("threads", target.threads);
  if (target.local_bytes != usual.local_bytes) add("local", target.local_bytes);
  if (target.scratch_bytes != usual.scratch_bytes) add("scratch", target.scratch_bytes);
  if (target.unroll != usual.unroll) add("unroll", target.unroll);
  if (!target.without.empty()) add("no", fmt::format("{}", fmt::join(target.without, ",")));
  return text;
}

}  // namespace flagos::compiler
