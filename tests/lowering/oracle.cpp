#include "tests/lowering/oracle.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <random>

#include "compiler/interpret_op.hpp"
#include "compiler/parser.hpp"
#include "compiler/verifier.hpp"

namespace flagos::compiler::test {
namespace {

using Memory = std::vector<std::vector<std::byte>>;

std::uint64_t word_at(const std::vector<std::byte>& memory, DType dtype, std::size_t i) {
  const auto bytes = static_cast<std::size_t>(info(dtype).bytes);
  std::uint64_t word = 0;
  std::memcpy(&word, &memory[i * bytes], bytes);
  return word;
}

double unit_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 0x1p-53;
    case DType::f32:
      return 0x1p-24;
    case DType::f16:
      return 0x1p-11;
    case DType::bf16:
      return 0x1p-8;
    default:
      return 0x1p-3;
  }
}

// Moves what may come out in several ways.
class Shake {
 public:
  Shake(std::uint64_t seed, const Tolerance& tolerance) : random_(seed), tolerance_(tolerance) {}

  void operator()(Interpreter& run, const Op& op) {
    if (op.code == OpCode::bitcast) return open_nan(run, op);
    if (op.results.empty() || !run.type(op.results[0]).is_data()) return;
    const DType dtype = run.type(op.results[0]).dtype;
    if (!is_float(dtype)) return;
    const bool function = info(op.code).is_elementwise() && info(op.code).find("fast") &&
                          info(op.code).domain == Domain::floating && op.code != OpCode::sqrt &&
                          op.code != OpCode::rcp;
    if (function) return relative(run, op, tolerance_.ulps);
    const std::string_view fold =
        op.code == OpCode::reduce || op.code == OpCode::scan ? op.word("op") : "";
    const auto extent = fold.empty() ? 1.0 : static_cast<double>(run.operand(op, 0).size());
    if (fold == "mul")
      return order_matters(run, op) ? anything(run, op) : relative(run, op, 2 * extent);
    if (fold == "add") return absolute(run, op, 2 * extent * largest(run, op, 0));
    if (fold == "region") return absolute(run, op, 4 * extent * largest(run, op, 0));
    if (op.code == OpCode::dot) {
      const Type& a = run.operand_type(op, 0);
      const double depth = a.dims[a.rank - 1U], product = largest(run, op, 0) * largest(run, op, 1);
      // Factors of f32 may lose 13 bits; sums of f8 may keep 13.
      const bool reduced = op.has("precision") && op.word("precision") == "reduced";
      absolute(run, op, 2 * depth * ((reduced ? 0x1p14 : 1) * product + largest(run, op, 2)));
    }
    if (op.code == OpCode::dot_scaled) relative(run, op, 64);
  }

 private:
  static double largest(Interpreter& run, const Op& op, std::size_t i) {
    double most = 0;
    for (const std::uint64_t word : run.operand(op, i)) {
      const double value = std::fabs(decode_float(run.operand_type(op, i).dtype, word));
      if (std::isfinite(value)) most = std::max(most, value);
    }
    return most;
  }
  // A product of all may leave the range on one way and not on another.
  static bool order_matters(Interpreter& run, const Op& op) {
    const DType dtype = run.operand_type(op, 0).dtype;
    double up = 0, down = 0;
    for (const std::uint64_t word : run.operand(op, 0)) {
      const double value = std::fabs(decode_float(dtype, word));
      if (value == 0 || !std::isfinite(value)) continue;
      const double digits = std::log2(value);
      (digits > 0 ? up : down) += std::fabs(digits);
    }
    const double range = dtype == DType::f64 ? 1000 : 120;
    return up > range || down > range;
  }
  void anything(Interpreter& run, const Op& op) {
    const DType dtype = run.type(op.results[0]).dtype;
    for (std::uint64_t& word : run.words(op.results[0]))
      word = encode_float(dtype, random_() % 3 == 0   ? std::nan("")
                                 : random_() % 2 == 0 ? 0.0
                                                      : HUGE_VAL);
  }
  // From -1 to 1, the ends most often.
  double part() {
    const std::uint64_t bits = random_();
    return bits % 3 == 0 ? -1 : bits % 3 == 1 ? 1 : static_cast<double>(bits >> 11) * 0x1p-52 - 1;
  }
  template <typename F>
  void each(Interpreter& run, const Op& op, F f) {
    for (const ValueId result : op.results) {
      const DType dtype = run.type(result).dtype;
      if (!is_float(dtype)) continue;
      for (std::uint64_t& word : run.words(result)) {
        const double value = decode_float(dtype, word);
        if (std::isfinite(value)) word = encode_float(dtype, f(value, dtype));
      }
    }
  }
  void relative(Interpreter& run, const Op& op, double units) {
    each(run, op, [&](double value, DType dtype) {
      // A narrow result was computed in f32, and may have been rounded the other way.
      const double unit = info(dtype).bits < 32 ? 2 * unit_of(dtype) : units * 2 * unit_of(dtype);
      const double moved = value + value * part() * unit;
      return tolerance_.flushes && std::fabs(moved) < 0x1p-120 && dtype != DType::f64 ? 0 : moved;
    });
  }
  void absolute(Interpreter& run, const Op& op, double scale) {
    each(run, op, [&](double value, DType dtype) {
      const double held = info(dtype).bits < 32
                              ? std::fabs(value) * 2 * unit_of(dtype) + scale * 0x1p-24
                              : scale * unit_of(dtype);
      return value + part() * held;
    });
  }
  // The bits of a NaN that was computed are anything.
  void open_nan(Interpreter& run, const Op& op) {
    const DType from = run.operand_type(op, 0).dtype;
    if (!is_float(from)) return;
    Words& out = run.words(op.results[0]);
    for (std::size_t i = 0; i < out.size(); ++i)
      if (std::isnan(decode_float(from, run.operand(op, 0)[i])))
        out[i] = encode_int(DType::u64, random_()) & (~std::uint64_t{0} >> (64 - info(from).bits));
  }

  std::mt19937_64 random_;
  const Tolerance& tolerance_;
};

Memory interpret_once(const Module& module, const Case& made,
                      const std::function<void(Interpreter&, const Op&)>& after) {
  Memory memory;
  for (const Case::Argument& argument : made.arguments) memory.push_back(argument.memory);
  std::vector<ArgumentValue> values;
  for (std::size_t i = 0; i < memory.size(); ++i) {
    if (made.arguments[i].pointer) {
      values.push_back({reinterpret_cast<std::uintptr_t>(memory[i].data()), memory[i].size()});
    } else {
      values.push_back({word_at(memory[i], made.arguments[i].dtype, 0), 0});
    }
  }
  Launch launch;
  launch.grid = made.grid;
  launch.arguments = values;
  launch.adjust = after;
  interpret(module, module.kernels[0], launch);
  return memory;
}

Module load_case(const Case& made) {
  Module module = parse(made.text);
  verify(module);
  return module;
}

// One element against what the runs gave. 0: the same bits, 1: close, 2: anything is right, 3: wrong.
// `shaken`: elements of its argument came out in several ways, so this one may have stayed by chance.
int judge(DType dtype, std::uint64_t got, const std::vector<std::uint64_t>& runs, bool shaken,
          const Tolerance& tolerance) {
  if (!is_float(dtype)) {
    for (const std::uint64_t run : runs)
      if (run != runs[0]) return 2;
    return got == runs[0] ? 0 : 3;
  }
  const double base = decode_float(dtype, runs[0]), value = decode_float(dtype, got);
  double spread = 0;
  bool moved = false;
  for (const std::uint64_t run : runs) {
    const double other = decode_float(dtype, run);
    if (std::isfinite(other) != std::isfinite(base) || std::isnan(other) != std::isnan(base))
      return 2;
    if (std::isinf(other) && other != base) return 2;
    if (std::isfinite(other)) spread = std::max(spread, std::fabs(other - base));
    moved |= run != runs[0];
  }
  if (std::isnan(base)) return std::isnan(value) ? 0 : 3;
  if (got == runs[0]) return moved ? 1 : 0;
  if (!std::isfinite(base)) return value == base ? 0 : 3;
  if (tolerance.flushes && dtype != DType::f64 && std::fabs(base) < 0x1p-120 &&
      std::fabs(value) < 0x1p-120)
    return 1;
  if (!shaken) return 3;
  const double by_chance = 4 * unit_of(dtype) * std::fabs(base);
  return std::fabs(value - base) <= 4 * spread + by_chance ? 1 : 3;
}

}  // namespace

std::vector<std::byte> random_memory(DType dtype, std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto bytes = static_cast<std::size_t>(info(dtype).bytes);
  std::vector<std::byte> memory(count * bytes);
  for (std::size_t i = 0; i < count; ++i) {
    const double number = std::ldexp(static_cast<double>(random() % 2048) - 1024, -6);
    std::uint64_t word =
        is_float(dtype) ? encode_float(dtype, number) : encode_int(dtype, random());
    if (is_int(dtype) && random() % 2 == 0)
      word = encode_int(dtype, random() % 41 - (is_signed(dtype) ? 20 : 0));
    if (dtype == DType::i1) word = random() % 2;
    std::memcpy(&memory[i * bytes], &word, bytes);
  }
  return memory;
}

Case make_case(const RandomModule& module, std::uint64_t seed) {
  Case made;
  made.name = fmt::format("random module {}", seed);
  made.text = module.text;
  made.grid = {2, 1, 1};
  for (std::size_t i = 0; i < module.buffers.size(); ++i) {
    auto memory = random_memory(module.buffers[i], RandomModule::elements, seed * 8 + i);
    if (i >= module.inputs) std::fill(memory.begin(), memory.end(), std::byte{0});
    made.arguments.push_back({module.buffers[i], std::move(memory), true});
  }
  return made;
}

std::vector<std::vector<std::byte>> interpret_case(const Case& made) {
  return interpret_once(load_case(made), made, nullptr);
}

std::string compare(const Case& made, const std::vector<std::vector<std::byte>>& results,
                    const Tolerance& tolerance, Counted& counted) {
  const Module module = load_case(made);
  std::vector<Memory> runs{interpret_once(module, made, nullptr)};
  const auto shake = [&](std::size_t count) {
    while (runs.size() < count && !made.exact)
      runs.push_back(interpret_once(module, made, Shake(runs.size(), tolerance)));
  };
  shake(5);
  for (std::size_t k = 0; k < made.arguments.size(); ++k) {
    if (!made.arguments[k].pointer) continue;
    const DType dtype = made.arguments[k].dtype;
    const std::size_t count = results[k].size() / static_cast<std::size_t>(info(dtype).bytes);
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<std::uint64_t> words;
      const std::uint64_t got = word_at(results[k], dtype, i);
      const auto judged = [&] {
        const bool shaken = std::any_of(runs.begin(), runs.end(),
                                        [&](const Memory& run) { return run[k] != runs[0][k]; });
        words.clear();
        for (const Memory& run : runs) words.push_back(word_at(run[k], dtype, i));
        return judge(dtype, got, words, shaken, tolerance);
      };
      int verdict = judged();
      if (verdict == 3 && runs.size() == 5) {
        shake(60);  // a few runs may have missed one of the ways
        verdict = judged();
      }
      ++(verdict == 0 ? counted.exact : verdict == 1 ? counted.close : counted.open);
      if (verdict == 3)
        return fmt::format("{}: argument {}, element {} is {} ({:#x}), not {} ({:#x})", made.name,
                           k, i, print_literal(dtype, got), got, print_literal(dtype, words[0]),
                           words[0]);
    }
  }
  return "";
}

}  // namespace flagos::compiler::test
