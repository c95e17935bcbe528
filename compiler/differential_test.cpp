// Random modules, lowered, compiled and run, against the interpreter: bit for bit where nothing inexact is involved,
// else within what the allowed errors of the inexact operations do to the interpreter's own result.
// FLAGOS_TEST_SEED, FLAGOS_TEST_MODULES and FLAGOS_TEST_TARGET choose others.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <random>

#include "compiler/child_compiler.hpp"
#include "compiler/random_module.hpp"
#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

using Memory = std::vector<std::vector<std::byte>>;

struct Case {
  std::uint64_t seed;
  RandomModule made;
  Module module;
};

Memory make_memory(const RandomModule& module, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Memory memory;
  for (std::size_t i = 0; i < module.buffers.size(); ++i) {
    const DType dtype = module.buffers[i];
    Words words(RandomModule::elements);
    for (std::uint64_t& word : words) {
      const double number = std::ldexp(static_cast<double>(random() % 2048) - 1024, -6);
      word = i >= module.inputs ? 0 : is_float(dtype) ? encode_float(dtype, number) : encode_int(dtype, random());
    }
    memory.push_back(pack({fmt::format("tile<64x{}>", info(dtype).name), words}));
  }
  return memory;
}

std::vector<ArgumentValue> arguments_of(Memory& memory) {
  std::vector<ArgumentValue> arguments;
  for (std::vector<std::byte>& buffer : memory)
    arguments.push_back({reinterpret_cast<std::uintptr_t>(buffer.data()), buffer.size()});
  return arguments;
}

// ---- what the inexact operations may do --------------------------------------------------------

bool is_function(OpCode code) {
  return (code >= OpCode::exp && code <= OpCode::pow) && code != OpCode::sqrt && code != OpCode::rcp;
}

double ulp_of(DType dtype, double value) {
  const int digits = dtype == DType::f64 ? 53 : dtype == DType::f32 ? 24 : dtype == DType::f16 ? 11 : 8;
  const int lowest = dtype == DType::f64 ? -1074 : dtype == DType::f16 ? -24 : dtype == DType::bf16 ? -133 : -149;
  if (value == 0 || !std::isfinite(value)) return std::ldexp(1.0, lowest);
  return std::ldexp(1.0, std::max(std::ilogb(value) + 1 - digits, lowest));
}

// Moves the results of inexact operations within their bounds.
class Perturb {
 public:
  explicit Perturb(std::uint64_t seed) : random_(seed) {}
  void operator()(Interpreter& run, const Op& op) {
    if (op.results.empty() || !run.result_type(op).is_data()) return;
    const DType dtype = run.result_type(op).dtype;
    if (!is_float(dtype)) return;
    Words& words = run.words(op.results[0]);
    if (info(op.code).is_elementwise() || op.code == OpCode::reduce || op.code == OpCode::scan ||
        op.code == OpCode::dot)
      spoil_nan(dtype, words);
    const std::string_view how = op.code == OpCode::reduce || op.code == OpCode::scan ? op.word("op") : "";
    if (is_function(op.code)) {
      // A value in a small type is rounded twice.
      move(dtype, words,
           [&](std::size_t, double value) { return (dtype == DType::f64 ? 4 : 3) * ulp_of(dtype, value); });
    } else if (how == "add" || how == "mul") {
      const double size = size_of(run, op, how == "add");
      move(dtype, words, [&](std::size_t, double value) {
        const double scale = how == "add" ? size : std::fabs(value) * 64;
        return scale * (dtype == DType::f64 ? 0x1p-52 : 0x1p-23) + (info(dtype).bits < 32 ? ulp_of(dtype, value) : 0);
      });
    } else if (op.code == OpCode::dot) {
      const double size = product_of(run, op);
      move(dtype, words, [&](std::size_t, double) { return size * 0x1p-23; });
    }
  }

 private:
  template <typename F>
  void move(DType dtype, Words& words, F bound) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const double value = decode_float(dtype, words[i]);
      if (!std::isfinite(value)) continue;
      const double step = bound(i, value);
      const double part = random_() % 4 == 0 ? std::uniform_real_distribution<double>(-1, 1)(random_)
                                             : static_cast<double>(random_() % 3) - 1;
      words[i] = encode_float(dtype, value + part * step);
    }
  }
  // Which NaN comes out is open.
  void spoil_nan(DType dtype, Words& words) {
    for (std::uint64_t& word : words)
      if (std::isnan(decode_float(dtype, word)) && random_() % 2 == 0)
        word ^= std::uint64_t{1} << (info(dtype).bits - 1);
  }
  static double size_of(Interpreter& run, const Op& op, bool) {
    double size = 0;
    for (const double x : numbers_of(run.operand_type(op, 0).dtype, run.operand(op, 0)))
      if (std::isfinite(x)) size += std::fabs(x);
    return size;
  }
  static double product_of(Interpreter& run, const Op& op) {
    std::array<double, 3> most{};
    for (std::size_t i = 0; i < 3; ++i)
      for (const double x : numbers_of(run.operand_type(op, i).dtype, run.operand(op, i)))
        if (std::isfinite(x)) most[i] = std::max(most[i], std::fabs(x));
    return most[0] * most[1] * 64 + most[2] * 8;
  }
  std::mt19937_64 random_;
};

Memory run_interpreter(const Case& test, const std::function<void(Interpreter&, const Op&)>& adjust) {
  Memory memory = make_memory(test.made, test.seed);
  const std::vector<ArgumentValue> arguments = arguments_of(memory);
  Launch launch;
  launch.grid = {2, 1, 1};
  launch.arguments = arguments;
  launch.adjust = adjust;
  interpret(test.module, test.module.kernels[0], launch);
  return memory;
}

bool is_nan(DType dtype, std::uint64_t bits) { return is_float(dtype) && std::isnan(decode_float(dtype, bits)); }

double number_of(DType dtype, std::uint64_t bits) {
  return is_float(dtype) ? decode_float(dtype, bits) : static_cast<double>(decode_int(dtype, bits));
}

// Whether `got` is one of the results that `seen` spans.
bool is_within(DType dtype, std::uint64_t got, const std::vector<std::uint64_t>& seen) {
  double low = HUGE_VAL, high = -HUGE_VAL;
  bool nan = false;
  for (const std::uint64_t bits : seen) {
    if (bits == got || (is_nan(dtype, bits) && is_nan(dtype, got))) return true;
    nan |= is_nan(dtype, bits);
    if (!is_nan(dtype, bits)) {
      low = std::min(low, number_of(dtype, bits));
      high = std::max(high, number_of(dtype, bits));
    }
  }
  const double width = high - low;
  const double size = std::max(std::fabs(low), std::fabs(high));
  if (width == 0 && !nan) return false;
  if (nan || !(width < size / 256)) return true;  // small errors decide what comes out
  const double value = number_of(dtype, got);
  return value >= low - width && value <= high + width;
}

struct Counts {
  int exact = 0, bounded = 0;
};

std::string compare(const Case& test, const Memory& got, Counts& counts) {
  std::vector<Memory> runs = {run_interpreter(test, {})};
  if (got == runs[0]) {
    ++counts.exact;
    return "";
  }
  const auto more = [&](std::size_t count) {
    while (runs.size() < count) runs.push_back(run_interpreter(test, Perturb(runs.size())));
  };
  for (std::size_t b = test.made.inputs; b < got.size(); ++b) {
    const DType dtype = test.made.buffers[b];
    const Words mine = unpack(got[b], dtype);
    for (std::size_t i = 0; i < mine.size(); ++i) {
      const auto seen = [&] {
        std::vector<std::uint64_t> all;
        for (const Memory& run : runs) all.push_back(unpack(run[b], dtype)[i]);
        return all;
      };
      if (is_within(dtype, mine[i], {seen()[0]})) continue;
      more(8);
      if (is_within(dtype, mine[i], seen())) continue;
      more(200);
      if (is_within(dtype, mine[i], seen())) continue;
      return fmt::format("buffer {}, element {}: {} instead of {}", b, i, print_literal(dtype, mine[i]),
                         print_literal(dtype, seen()[0]));
    }
  }
  for (std::size_t b = 0; b < test.made.inputs; ++b)
    if (got[b] != runs[0][b]) return fmt::format("input {} was written", b);
  ++counts.bounded;
  return "";
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* given = std::getenv(variable);
  return given ? std::strtoull(given, nullptr, 10) : otherwise;
}

void run_batch(const std::vector<Case>& cases, const Target& target, Counts& counts) {
  Module all;
  for (const Case& test : cases) all.kernels.push_back(test.module.kernels[0]);
  for (std::size_t i = 0; i < cases.size(); ++i) all.kernels[i].name = fmt::format("random_{}", cases[i].seed);
  // Contraction is left to the functions that want it, so that the rest is exact.
  const ChildLibrary library(
      lower(all, target),
      {std::getenv("FLAGOS_TEST_OPTIMIZE") ? std::getenv("FLAGOS_TEST_OPTIMIZE") : "-O1", "-ffp-contract=off"});
  for (const Case& test : cases) {
    Memory memory = make_memory(test.made, test.seed);
    const std::string failure = library.run(fmt::format("random_{}", test.seed), {2, 1, 1}, all, arguments_of(memory));
    CAPTURE(test.seed);
    CAPTURE(test.made.text);
    CHECK(failure == "");
    CHECK(compare(test, memory, counts) == "");
  }
}

}  // namespace

TEST_CASE("random modules, lowered to C++") {
  if (!has_child_compiler()) {
    MESSAGE("no C++ compiler is found: nothing is compared");
    return;
  }
  const std::uint64_t first = number_from("FLAGOS_TEST_SEED", std::random_device()());
  const std::uint64_t count = number_from("FLAGOS_TEST_MODULES", 300);
  const std::uint64_t batch = number_from("FLAGOS_TEST_BATCH", 50);
  const char* given = std::getenv("FLAGOS_TEST_TARGET");
  const std::string target = given != nullptr ? given : host_target();
  MESSAGE("seed ", first, ", target ", target);
  Counts counts;
  for (std::uint64_t seed = first; seed < first + count; seed += batch) {
    std::vector<Case> cases;
    for (std::uint64_t s = seed; s < std::min(seed + batch, first + count); ++s) {
      RandomModule made = make_random_module(s);
      Module module = load(made.text);
      cases.push_back({s, std::move(made), std::move(module)});
    }
    run_batch(cases, parse_target(target), counts);
  }
  MESSAGE(counts.exact, " modules are equal bit for bit, ", counts.bounded, " within the bounds");
  CHECK(counts.exact > static_cast<int>(count / 4));
}
