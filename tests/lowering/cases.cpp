#include "tests/lowering/cases.hpp"

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "compiler/test_support.hpp"

namespace flagos::compiler::test {
namespace {

// Bits of every kind among ordinary numbers.
std::vector<std::byte> odd_memory(DType dtype, std::size_t count, std::uint64_t seed) {
  std::vector<std::byte> memory = random_memory(dtype, count, seed);
  const auto bytes = static_cast<std::size_t>(info(dtype).bytes);
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> odd;
  if (is_float(dtype)) {
    constexpr double inf = std::numeric_limits<double>::infinity();
    for (const double number : {0.0, -0.0, 1.0,  -1.5,  inf,   -inf,   1e-3,  65519.9, 65520.0,
                                3e9, -3e9, 1e19, -1e19, 448.0, 465.0,  1e-7,  5.96e-8, 3e-8,
                                0.5, 2.5,  -2.5, 127.5, 255.9, -128.9, 1e-40, 3.3e38})
      odd.push_back(encode_float(dtype, number));
    odd.push_back(encode_float(dtype, std::numeric_limits<double>::quiet_NaN()));
  } else if (dtype != DType::i1) {
    const std::uint64_t top = std::uint64_t{1} << (info(dtype).bits - 1);
    for (const std::uint64_t word :
         {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}, top, top - 1, top + 1,
          std::uint64_t{7}, std::uint64_t{31}, std::uint64_t{33}})
      odd.push_back(encode_int(dtype, word));
  }
  for (std::size_t i = 0; i < count && !odd.empty(); ++i) {
    std::uint64_t word = i < odd.size() ? odd[i] : odd[random() % odd.size()];
    if (i >= odd.size() && random() % 2 == 0) {
      if (random() % 2 == 0) continue;
      word = encode_int(DType::u64, random()) & (~std::uint64_t{0} >> (64 - info(dtype).bits));
    }
    std::memcpy(&memory[i * bytes], &word, bytes);
  }
  return memory;
}

class Builder {
 public:
  Builder(std::string name, std::uint64_t seed, bool odd) : seed_(seed), odd_(odd) {
    made_.name = std::move(name);
  }

  std::string input(const std::string& type, bool readonly = true) {
    return argument(type, readonly ? " {readonly}" : "", true);
  }
  std::string memory(DType dtype, std::size_t count, bool filled = true) {
    const std::string pointer = fmt::format("%a{}", made_.arguments.size());
    arguments_ +=
        fmt::format("{}{}: ptr<{}>", arguments_.empty() ? "" : ", ", pointer, info(dtype).name);
    auto block = odd_ ? odd_memory(dtype, count, seed_++) : random_memory(dtype, count, seed_++);
    if (!filled) std::fill(block.begin(), block.end(), std::byte{0});
    made_.arguments.push_back({dtype, std::move(block), true});
    return pointer;
  }
  void output(const std::string& type, const std::string& value) {
    const Type parsed = type_of(type);
    const auto count = static_cast<std::size_t>(parsed.elements());
    const std::string pointer = memory(parsed.dtype, count, false), n = fmt::format("{}", next_++);
    const std::string_view dtype = info(parsed.dtype).name;
    line("%w{} = view {} {{shape=[{}], strides=[1]}} : view<{}, 1>", n, pointer, count, dtype);
    line("%z{} = const {{value=0}} : i32", n);
    std::string flat = value;
    if (parsed.is_tile() && parsed.rank != 1) {
      flat = "%y" + n;
      line("{} = reshape {} : tile<{}x{}>", flat, value, count, dtype);
    }
    line("store %w{0}, %z{0}, {1}", n, flat);
  }
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    body_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
  void text(const std::string& more) { body_ += more; }
  Case done(std::array<std::uint32_t, 3> grid = {1, 1, 1}) {
    made_.grid = grid;
    made_.text = fmt::format("flagos.tile 1.0\nkernel @k({}) {{\n{}}}\n", arguments_, body_);
    return std::move(made_);
  }

 private:
  std::string argument(const std::string& type, const std::string& facts, bool) {
    const Type parsed = type_of(type);
    const auto count = static_cast<std::size_t>(parsed.elements());
    const std::string pointer = memory(parsed.dtype, count);
    arguments_ += facts;
    const std::string n = fmt::format("{}", next_++);
    const std::string_view dtype = info(parsed.dtype).name;
    line("%w{} = view {} {{shape=[{}], strides=[1]}} : view<{}, 1>", n, pointer, count, dtype);
    line("%z{} = const {{value=0}} : i32", n);
    if (parsed.is_scalar() || parsed.rank == 1) {
      line("%x{0} = load %w{0}, %z{0} : {1}", n, type);
    } else {
      line("%y{0} = load %w{0}, %z{0} : tile<{1}x{2}>\n%x{0} = reshape %y{0} : {3}", n, count,
           dtype, type);
    }
    return "%x" + n;
  }

  Case made_;
  std::string arguments_, body_;
  std::uint64_t seed_;
  bool odd_;
  int next_ = 0;
};

struct Operation {
  std::string op;
  std::vector<std::string> inputs, outputs;
  std::string attributes = "", region = "";
  bool odd = false;
};

Case op_case(const Operation& operation, std::uint64_t seed) {
  Builder builder(
      operation.op + (operation.attributes.empty() ? "" : " {" + operation.attributes + "}"), seed,
      operation.odd);
  std::string operands, results, types;
  for (const std::string& type : operation.inputs)
    operands += (operands.empty() ? " " : ", ") + builder.input(type);
  for (std::size_t i = 0; i < operation.outputs.size(); ++i) {
    results += fmt::format("{}%r{}", i == 0 ? "" : ", ", i);
    types += fmt::format("{}{}", i == 0 ? " : " : ", ", operation.outputs[i]);
  }
  builder.line("{} = {}{}{}{}{}", results, operation.op, operands,
               operation.attributes.empty() ? "" : " {" + operation.attributes + "}", types,
               operation.region.empty() ? "" : " " + operation.region);
  for (std::size_t i = 0; i < operation.outputs.size(); ++i)
    builder.output(operation.outputs[i], fmt::format("%r{}", i));
  return builder.done();
}

std::string tile(std::string_view shape, DType dtype) {
  return fmt::format("tile<{}x{}>", shape, info(dtype).name);
}

// One type to all others.
void add_casts(std::vector<Case>& cases, std::uint64_t seed) {
  for (int from = 0; from < kDTypeCount; ++from) {
    for (const std::string attributes : {"", " {rounding=toward_zero}", " {saturate}"}) {
      const auto source = static_cast<DType>(from);
      if (!attributes.empty() && (source == DType::i1 || info(source).bits == 8)) continue;
      Builder builder(fmt::format("cast{} of {}", attributes, info(source).name),
                      seed + static_cast<unsigned>(from), true);
      const std::string x = builder.input(tile("300", source));
      for (int to = 0; to < kDTypeCount; ++to) {
        const auto target = static_cast<DType>(to);
        if (!attributes.empty() && !is_float(target)) continue;
        builder.line("%c{} = cast {}{} : {}", to, x, attributes, tile("300", target));
        builder.output(tile("300", target), fmt::format("%c{}", to));
      }
      cases.push_back(builder.done());
    }
  }
}

// All exact elementwise operations of a type on odd numbers.
void add_arithmetic(std::vector<Case>& cases, std::uint64_t seed) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    Builder builder(fmt::format("arithmetic of {}", info(dtype).name),
                    seed + static_cast<unsigned>(i) * 16, true);
    const std::string type = tile("270", dtype), truth = tile("270", DType::i1);
    const std::string a = builder.input(type), b = builder.input(type), c = builder.input(type);
    int next = 0;
    for (const OpInfo& op : op_table()) {
      if (!op.is_elementwise() || (op.domain == Domain::floating && op.find("fast") &&
                                   op.name != "sqrt" && op.name != "rcp"))
        continue;
      const bool fits = op.domain == Domain::any ||
                        (op.domain == Domain::number && dtype != DType::i1) ||
                        (op.domain == Domain::floating && is_float(dtype)) ||
                        (op.domain == Domain::integer && is_int(dtype)) ||
                        (op.domain == Domain::bits && !is_float(dtype));
      if (!fits) continue;
      std::vector<std::string> ways{""};
      if (op.find("nan")) ways.emplace_back(" {nan=ignore}");
      if (op.find("mode") && !(is_float(dtype) && op.name == "div"))
        ways.emplace_back(" {mode=floor}");
      for (const std::string& way : ways) {
        std::string operands =
            a + (op.operands_min > 1 ? ", " + b : "") + (op.operands_min > 2 ? ", " + c : "");
        const std::string& result = op.result == Result::truth ? truth : type;
        builder.line("%o{} = {} {}{} : {}", next, op.name, operands, way, result);
        builder.output(result, fmt::format("%o{}", next++));
      }
    }
    cases.push_back(builder.done());
  }
}

// Functions of numbers of every size side by side: lanes of a vector must not change each other.
void add_functions(std::vector<Case>& cases, std::uint64_t seed) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const OpInfo& op : op_table()) {
      const bool function = op.domain == Domain::floating && op.find("fast");
      if (!op.is_elementwise() || (!function && op.name != "rem")) continue;
      const std::string type = tile("270", dtype);
      Builder builder(fmt::format("function {} of {}", op.name, info(dtype).name), seed++, true);
      const std::string a = builder.input(type);
      const std::string b = op.operands_min > 1 ? ", " + builder.input(type) : "";
      builder.line("%o = {} {}{} : {}", op.name, a, b, type);
      builder.output(type, "%o");
      cases.push_back(builder.done());
    }
  }
}

// Comparisons of what was widened: compilers like to bring them back to the narrow type.
void add_widened(std::vector<Case>& cases, std::uint64_t seed) {
  for (const DType from : {DType::i8, DType::u8, DType::i16, DType::u16, DType::i32, DType::u32}) {
    Builder builder(fmt::format("widened {}", info(from).name), seed++, true);
    const std::string narrow = builder.input(tile("100", from));
    int next = 0;
    for (const DType to : {DType::i32, DType::i64, DType::u64}) {
      if (info(to).bits <= info(from).bits) continue;
      const std::string type = tile("100", to), truth = tile("100", DType::i1);
      builder.line("%n{} = cast {} : {}", info(to).name, narrow, type);
      for (const int number : {-1, 0, 5}) {
        if (number < 0 && !is_signed(to)) continue;
        builder.line("%k{} = const {{value={}}} : {}", next, number, type);
        for (const std::string op : {"lt", "le", "gt", "ge", "eq", "ne"}) {
          builder.line("%c{0}{1} = {1} %n{2}, %k{0} : {3}", next, op, info(to).name, truth);
          builder.output(truth, fmt::format("%c{}{}", next, op));
        }
        ++next;
      }
    }
    cases.push_back(builder.done());
  }
}

const std::vector<Operation>& operations() {
  static const std::vector<Operation> all = {
      {"argreduce", {"tile<5x40xf32>"}, {"tile<5xf32>", "tile<5xi32>"}, "axis=1, op=min", "", true},
      {"argreduce", {"tile<40x3xf16>"}, {"tile<3xf16>", "tile<3xi32>"}, "axis=0, op=max", "", true},
      {"argreduce", {"tile<300xi64>"}, {"i64", "i32"}, "axis=0, op=min", "", true},
      {"argreduce", {"tile<2x150x2xu8>"}, {"tile<2x2xu8>", "tile<2x2xi32>"}, "axis=1, op=max"},
      {"sort",
       {"tile<200xf32>", "tile<200xi64>"},
       {"tile<200xf32>", "tile<200xi64>"},
       "axis=0",
       "",
       true},
      {"sort", {"tile<200xf32>"}, {"tile<200xf32>"}, "axis=0, desc", "", true},
      {"sort",
       {"tile<6x30xi8>", "tile<6x30xf64>"},
       {"tile<6x30xi8>", "tile<6x30xf64>"},
       "axis=1, desc"},
      {"sort",
       {"tile<30x6xbf16>", "tile<30x6xi1>"},
       {"tile<30x6xbf16>", "tile<30x6xi1>"},
       "axis=0",
       "",
       true},
      {"sort", {"tile<1xf32>"}, {"tile<1xf32>"}, "axis=0"},
      {"histogram", {"tile<300xi32>"}, {"tile<40xi32>"}},
      {"histogram", {"tile<300xi64>", "tile<300xi1>"}, {"tile<7xi32>"}},
      {"histogram", {"tile<1xu8>"}, {"tile<256xi32>"}},
      {"reduce", {"tile<300xf32>"}, {"f32"}, "axis=0, op=add"},
      {"reduce", {"tile<300xf64>"}, {"f64"}, "axis=0, op=max", "", true},
      {"reduce", {"tile<7x300xf32>"}, {"tile<7xf32>"}, "axis=1, op=add"},
      {"reduce", {"tile<300x7xi32>"}, {"tile<7xi32>"}, "axis=0, op=xor"},
      {"reduce", {"tile<3x20x5xbf16>"}, {"tile<3x5xbf16>"}, "axis=1, op=add"},
      {"reduce", {"tile<200x2xi1>"}, {"tile<200xi1>"}, "axis=1, op=and"},
      {"reduce", {"tile<200x3xu64>"}, {"tile<200xu64>"}, "axis=1, op=mul"},
      {"reduce", {"tile<150x2xf32>"}, {"tile<2xf32>"}, "axis=0, op=min, nan=ignore", "", true},
      {"reduce", {"tile<1xf32>"}, {"f32"}, "axis=0, op=add"},
      {"scan", {"tile<300xf32>"}, {"tile<300xf32>"}, "axis=0, op=add"},
      {"scan", {"tile<300xi32>"}, {"tile<300xi32>"}, "axis=0, op=add, reverse"},
      {"scan", {"tile<4x70xi64>"}, {"tile<4x70xi64>"}, "axis=1, op=mul"},
      {"scan", {"tile<70x4xf16>"}, {"tile<70x4xf16>"}, "axis=0, op=add, reverse"},
      {"scan", {"tile<200x3xu8>"}, {"tile<200x3xu8>"}, "axis=1, op=max"},
      // Not commutative: the second of a pair, unless it is 0; with how many there were.
      {"reduce",
       {"tile<3x100xi32>", "tile<3x100xi64>"},
       {"tile<3xi32>", "tile<3xi64>"},
       "axis=1",
       "with (%a: i32, %b: i64, %c: i32, %d: i64) {\n%z = const {value=3} : i32\n%p = and %c, %z : "
       "i32\n%q = const "
       "{value=0} : i32\n%n = ne %p, %q : i1\n%s = select %n, %c, %a : i32\n%t = add %b, %d : "
       "i64\nyield %s, %t\n}"},
      {"scan",
       {"tile<100xi32>", "tile<100xu8>"},
       {"tile<100xi32>", "tile<100xu8>"},
       "axis=0, reverse",
       "with (%a: i32, %b: u8, %c: i32, %d: u8) {\n%z = const {value=3} : i32\n%p = and %c, %z : "
       "i32\n%q = const "
       "{value=0} : i32\n%n = ne %p, %q : i1\n%s = if %n : i32 then {\nyield %c\n} else {\nyield "
       "%a\n}\n%t = add %b, "
       "%d : u8\nyield %s, %t\n}"},
      {"dot", {"tile<16x8xf32>", "tile<8x32xf32>", "tile<16x32xf32>"}, {"tile<16x32xf32>"}},
      {"dot", {"tile<9x7xf16>", "tile<7x11xf16>", "tile<9x11xf32>"}, {"tile<9x11xf32>"}},
      {"dot",
       {"tile<3x5x4xf64>", "tile<3x4x6xf64>", "tile<3x5x6xf64>"},
       {"tile<3x5x6xf64>"},
       "strict"},
      {"dot", {"tile<2x3xu8>", "tile<3x200xu8>", "tile<2x200xi32>"}, {"tile<2x200xi32>"}},
      {"dot", {"tile<1x9xf8e5m2>", "tile<9x1xf8e5m2>", "tile<1x1xf32>"}, {"tile<1x1xf32>"}},
      {"dot_scaled",
       {"tile<4x8xf8e4m3>", "tile<4x2xu8>", "tile<8x6xf8e4m3>", "tile<2x6xu8>", "tile<4x6xf32>"},
       {"tile<4x6xf32>"},
       "block=4"},
      {"philox",
       {"i64", "tile<300xi32>"},
       {"tile<300xu32>", "tile<300xu32>", "tile<300xu32>", "tile<300xu32>"}},
      {"philox", {"u32", "i64", "i8"}, {"u32", "u32", "u32", "u32"}},
      {"philox",
       {"u64", "tile<9xu64>", "tile<9xi64>"},
       {"tile<9xu32>", "tile<9xu32>", "tile<9xu32>", "tile<9xu32>"}},
      {"join", {"tile<5x30xf32>", "tile<5x30xf32>"}, {"tile<5x30x2xf32>"}},
      {"join", {"tile<1xi64>", "tile<1xi64>"}, {"tile<1x2xi64>"}},
      {"split", {"tile<150x2xi16>"}, {"tile<150xi16>", "tile<150xi16>"}},
      {"split", {"tile<1x2xf64>"}, {"tile<1xf64>", "tile<1xf64>"}},
      {"slice", {"tile<20x20xi64>"}, {"tile<3x17xi64>"}, "start=[5, 2]"},
      {"slice", {"tile<300xi1>"}, {"tile<1xi1>"}, "start=[133]"},
      {"flip", {"tile<10x30xbf16>"}, {"tile<10x30xbf16>"}, "axis=0"},
      {"trans", {"tile<4x6x8xf32>"}, {"tile<8x4x6xf32>"}, "perm=[2, 0, 1]"},
      {"broadcast", {"tile<5x1x7xf64>"}, {"tile<5x9x7xf64>"}},
      {"broadcast", {"tile<1x1xi32>"}, {"tile<30x9xi32>"}},
      {"extern",
       {"tile<200xf32>"},
       {"tile<200xf32>"},
       "name=\"twice\"",
       "with (%a: tile<200xf32>) {\n%b = add %a, %a : tile<200xf32>\nyield %b\n}"},
  };
  return all;
}

void add_indexed(std::vector<Case>& cases, std::uint64_t seed) {
  for (const DType dtype : {DType::f32, DType::i8, DType::u64, DType::bf16}) {
    const std::string_view name = info(dtype).name;
    const std::string type = tile("200", dtype);
    {
      Builder b(fmt::format("gather of {}", name), seed++, false);
      const std::string index = b.input("tile<200xi32>"), mask = b.input("tile<200xi1>");
      b.line("%v = view {} {{shape=[5, 9], strides=[9, 1]}} : view<{}, 2>", b.memory(dtype, 45),
             name);
      b.line("%one = const {{value=2}} : tile<200xi32>\n%half = shr {}, %one : tile<200xi32>",
             index);
      b.line("%g = gather %v, %half, {}, {} {{pad=3{}}} : {}", index, mask,
             is_float(dtype) ? ".0" : "", type);
      b.output(type, "%g");
      cases.push_back(b.done());
    }
    Builder b(fmt::format("scatter of {}", name), seed++, false);
    const std::string index = b.input("tile<200xi64>"), mask = b.input("tile<200xi1>"),
                      x = b.input(type);
    b.line("%v = view {} {{shape=[40], strides=[2]}} : view<{}, 1>", b.memory(dtype, 80), name);
    b.line("scatter %v, {}, {}, {}", index, x, mask);
    b.line("%w = view {} {{shape=[40], strides=[1]}} : view<{}, 1>", b.memory(dtype, 40), name);
    b.line("scatter %w, {}, {}", index, x);
    cases.push_back(b.done());
  }
}

void add_atomics(std::vector<Case>& cases, std::uint64_t seed) {
  for (const DType dtype : {DType::i32, DType::u32, DType::i64, DType::u64, DType::f32, DType::f64,
                            DType::f16, DType::bf16}) {
    const std::string_view name = info(dtype).name;
    for (const std::string op : {"add", "min", "max", "and", "or", "xor", "exchange"}) {
      const bool bitwise = op == "and" || op == "or" || op == "xor";
      if ((bitwise && is_float(dtype)) || (op == "exchange" && info(dtype).bits < 32)) continue;
      Builder b(fmt::format("atomic {} of {}", op, name), seed++, false);
      const std::string x = b.input(tile("150", dtype)), mask = b.input("tile<150xi1>");
      // Each place once: what was there before is then known.
      b.line(
          "%v = view {} {{shape=[140], strides=[1]}} : view<{}, 1>\n%i = range {{start=3}} : "
          "tile<150xi32>",
          b.memory(dtype, 153), name);
      b.line("%old = atomic_rmw %v, %i, {}, {} {{op={}, order=acq_rel}} : {}", x, mask, op,
             tile("150", dtype));
      b.output(tile("150", dtype), "%old");
      if (!is_float(dtype) && op != "exchange") {
        b.line(
            "%w = view {} {{shape=[1], strides=[1]}} : view<{}, 1>\n%z = const {{value=0}} : "
            "tile<150xi32>",
            b.memory(dtype, 1), name);
        b.line("%all = atomic_rmw %w, %z, {} {{op={}}} : {}", x, op, tile("150", dtype));
      }
      b.line("%s = view {} {{shape=[1], strides=[1]}} : view<{}, 1>\n%o = const {{value=0}} : i32",
             b.memory(dtype, 1), name);
      b.line("%c = const {{value=5{0}}} : {1}\n%was = atomic_rmw %s, %o, %c {{op={2}}} : {1}",
             is_float(dtype) ? ".0" : "", name, op);
      b.output(std::string(name), "%was");
      cases.push_back(b.done());
    }
    if (is_float(dtype)) continue;
    Builder b(fmt::format("atomic cas of {}", name), seed++, false);
    const std::string x = b.input(tile("50", dtype));
    b.line("%v = view {} {{shape=[50], strides=[1]}} : view<{}, 1>\n%i = range : tile<50xi32>",
           b.memory(dtype, 50), name);
    b.line(
        "%old = gather %v, %i : {0}\n%was = atomic_cas %v, %i, %old, {1} : {0}\n%no = atomic_cas "
        "%v, %i, %old, %old : {0}",
        tile("50", dtype), x);
    b.output(tile("50", dtype), "%was");
    b.output(tile("50", dtype), "%no");
    cases.push_back(b.done());
  }
}

const char* const kPrograms[] = {
    // Effects in order: what one thread stores another loads.
    "%v = view %a0 {shape=[200], strides=[1]} : view<i32, 1>\n%z = const {value=0} : i32\n%o = "
    "const {value=1} : i32\n%n = "
    "const {value=9} : i32\n%x = load %v, %z : tile<200xi32>\nfor %z, %n, %o do (%i: i32) {\n%y = "
    "load %v, %o : "
    "tile<200xi32>\n%k = add %y, %y : tile<200xi32>\nstore %v, %z, %k\n%s = load %v, %i : i32\n%t "
    "= add %s, %i : i32\nstore "
    "%v, %n, %t\nyield\n}\n",
    // Carried values change places; a while loop; an if.
    "%v = view %a0 {shape=[200], strides=[1]} : view<i32, 1>\n%z = const {value=0} : i32\n%o = "
    "const {value=1} : i32\n%n = "
    "const {value=7} : i32\n%x = load %v, %z : tile<90xi32>\n%y = load %v, %n : tile<90xi32>\n%p, "
    "%q, %r = for %z, %n, %o, %x, "
    "%y, %o : tile<90xi32>, tile<90xi32>, i32 do (%i: i32, %a: tile<90xi32>, %b: tile<90xi32>, %c: "
    "i32) {\n%f = full %c : "
    "tile<90xi32>\n%g = add %a, %f : tile<90xi32>\n%d = add %c, %i : i32\nyield %b, %g, %d\n}\n%h, "
    "%l = while %r, %p : i32, "
    "tile<90xi32> test (%c1: i32, %t1: tile<90xi32>) {\n%m = gt %c1, %z : i1\nyield %m\n} do (%c2: "
    "i32, %t2: tile<90xi32>) "
    "{\n%e = sub %c2, %n : i32\n%u = flip %t2 {axis=0} : tile<90xi32>\n%k = add %u, %q : "
    "tile<90xi32>\nyield %e, %k\n}\n%m2 = "
    "lt %h, %z : i1\n%w = if %m2 : tile<90xi32> then {\n%s = sub %l, %p : tile<90xi32>\nyield "
    "%s\n} else {\nyield "
    "%l\n}\nstore %v, %z, %w\nstore %v, %z, %h\n",
    // Views with strides, edges on all sides, extents of 0, and blocks of three axes.
    "%n = const {value=-3} : i32\n%o = const {value=2} : i64\n%e = const {value=6} : i64\n%v = "
    "view %a0, %o, %e {shape=[?, 9, "
    "4], strides=[40, ?, 1]} : view<i32, 3>\n%x = load %v, %n, %n, %n {pad=7} : "
    "tile<6x5x4xi32>\n%z = const {value=0} : "
    "i32\n%y = view %a0 {shape=[200], strides=[1]} : view<i32, 1>\n%h = const {value=80} : i32\n%f "
    "= reshape %x : "
    "tile<120xi32>\nstore %y, %h, %f\n%w = view %a0, %n {shape=[?], strides=[1]} : view<i32, "
    "1>\nstore %w, %z, %h\n%s = load %w, "
    "%z {pad=5} : i32\nstore %y, %z, %s\n",
    // A loop up to the highest number, 64-bit indices, constants that need no memory.
    "%v = view %a0 {shape=[200], strides=[1]} : view<i32, 1>\n%z = const {value=0} : i64\n%b = "
    "const "
    "{value=9223372036854775800} : i64\n%e = const {value=9223372036854775807} : i64\n%s = const "
    "{value=3} : i64\n%c = for %b, "
    "%e, %s, %z : i64 do (%i: i64, %k: i64) {\n%l = add %k, %i : i64\n%o = const {value=1} : "
    "i64\n%m = xor %l, %o : i64\nyield "
    "%m\n}\n%d = cast %c : i32\n%r = range {start=2147483640} : tile<16xi32>\n%f = full %d : "
    "tile<16xi32>\n%g = add %r, %f : "
    "tile<16xi32>\n%x = expand %g {axis=1} : tile<16x1xi32>\n%y = broadcast %x : "
    "tile<16x8xi32>\n%t = trans %y {perm=[1, 0]} : "
    "tile<8x16xi32>\n%w = slice %t {start=[2, 3]} : tile<5x13xi32>\n%q = reshape %w : "
    "tile<65xi32>\nstore %v, %z, %q\n",
    // Branches within loops that need barriers, one program of several.
    "%v = view %a0 {shape=[3, 60], strides=[60, 1]} : view<i32, 2>\n%p = program_id {axis=1} : "
    "i32\n%c = num_programs {axis=1} : "
    "i32\n%z = const {value=0} : i32\n%o = const {value=1} : i32\n%x = load %v, %p, %z : "
    "tile<1x60xi32>\n%r = for %z, %c, %o, "
    "%x : tile<1x60xi32> do (%i: i32, %a: tile<1x60xi32>) {\n%m = eq %i, %p : i1\n%b = if %m : "
    "tile<1x60xi32> then {\n%f = flip "
    "%a {axis=1} : tile<1x60xi32>\n%s = scan %f {axis=1, op=add} : tile<1x60xi32>\nyield %s\n} "
    "else {\n%t = reduce %a {axis=1, "
    "op=max} : tile<1xi32>\n%e = expand %t {axis=1} : tile<1x1xi32>\n%w = broadcast %e : "
    "tile<1x60xi32>\n%u = sub %w, %a : "
    "tile<1x60xi32>\nyield %u\n}\nyield %b\n}\nstore %v, %p, %z, %r\n",
};

}  // namespace

std::vector<Case> directed_cases(std::uint64_t seed) {
  std::vector<Case> cases;
  add_casts(cases, seed);
  add_arithmetic(cases, seed + 1000);
  add_functions(cases, seed + 1500);
  add_widened(cases, seed + 1800);
  for (const Operation& operation : operations()) cases.push_back(op_case(operation, seed += 16));
  add_indexed(cases, seed + 2000);
  add_atomics(cases, seed + 3000);
  for (Case& made : product_cases(seed + 4000)) cases.push_back(std::move(made));
  for (const char* program : kPrograms) {
    Case made;
    made.text = fmt::format("flagos.tile 1.0\nkernel @k(%a0: ptr<i32>) {{\n{}}}\n", program);
    made.arguments.push_back({DType::i32, random_memory(DType::i32, 200, seed++), true});
    made.grid = {1, 3, 1};
    cases.push_back(std::move(made));
  }
  // Only the last is for several programs.
  for (std::size_t i = 0; i < 4; ++i) cases[cases.size() - 5 + i].grid = {1, 1, 1};
  for (std::size_t i = 0; i < 5; ++i)
    cases[cases.size() - 5 + i].name = fmt::format("program {}", i);
  return cases;
}

}  // namespace flagos::compiler::test
