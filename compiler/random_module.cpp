#include "compiler/random_module.hpp"

#include <fmt/format.h>

#include <array>
#include <random>

#include "compiler/parser.hpp"
#include "compiler/printer.hpp"

namespace flagos::compiler::test {
namespace {

struct Value {
  std::string name;
  Type type;
};

Type tile_of(DType dtype, const std::vector<int>& shape) {
  Type type{Type::Kind::tile, dtype, static_cast<std::uint8_t>(shape.size()), {}};
  for (std::size_t i = 0; i < shape.size(); ++i) type.dims[i] = shape[i];
  return type;
}

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}
  RandomModule make();

 private:
  std::size_t pick(std::size_t count) { return random_() % count; }
  bool chance(unsigned percent) { return random_() % 100 < percent; }
  DType any_dtype() {
    static constexpr std::array kDTypes{DType::f32,  DType::f32, DType::f32, DType::f64, DType::f16,
                                        DType::bf16, DType::i32, DType::i32, DType::i64, DType::i8,
                                        DType::u8,   DType::u32, DType::u64, DType::i16};
    return kDTypes[pick(kDTypes.size())];
  }
  std::vector<int> any_shape() {
    static const std::vector<std::vector<int>> shapes = {{8},    {16},      {64},   {4, 8}, {8, 4},
                                                         {8, 8}, {2, 4, 8}, {1, 8}, {7},    {3, 5}};
    return shapes[pick(shapes.size())];
  }

  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    body_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
  // Writes `%new = op : type`, and gives the new value.
  Value add(const std::string& op, const Type& type) {
    const std::string name = fmt::format("%v{}", next_++);
    line("{} = {} : {}", name, op, print_type(type));
    values_.push_back({name, type});
    return values_.back();
  }
  Value constant(const Type& type) {
    const int number = static_cast<int>(pick(9)) - (is_signed(type.dtype) || is_float(type.dtype) ? 4 : 0);
    const std::string text = type.dtype == DType::i1 ? (number > 3 ? "true" : "false")
                             : is_float(type.dtype)  ? fmt::format("{}.5", number)
                                                     : std::to_string(number);
    return add(fmt::format("const {{value={}}}", text), type);
  }
  // A value of the type: one that is there, or a new one.
  Value of_type(const Type& type) {
    std::vector<Value> fitting;
    for (const Value& value : values_)
      if (value.type == type) fitting.push_back(value);
    if (!fitting.empty() && !chance(10)) return fitting[pick(fitting.size())];
    return constant(type);
  }
  Value any_tile() {
    std::vector<Value> tiles;
    for (const Value& value : values_)
      if (value.type.is_tile() && value.type.dtype != DType::i1) tiles.push_back(value);
    if (tiles.empty() || chance(10)) return constant(tile_of(any_dtype(), any_shape()));
    return tiles[pick(tiles.size())];
  }

  void load();
  void store(std::size_t output);
  void step(int depth);
  void elementwise();
  void change_type();
  void shape();
  void fold();
  void product();
  void loop(int depth);
  void branch(int depth);
  void region(int steps, int depth);

  std::mt19937_64 random_;
  std::string body_;
  std::vector<Value> values_;
  std::vector<DType> inputs_, outputs_;
  unsigned next_ = 0;
};

RandomModule Generator::make() {
  for (std::size_t i = 0; i < 3; ++i) inputs_.push_back(any_dtype());
  std::string arguments;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    arguments += fmt::format("{}%in{}: ptr<{}> {{readonly}}", i == 0 ? "" : ", ", i, info(inputs_[i]).name);
    line("%w{} = view %in{} {{shape=[64], strides=[1]}} : view<{}, 1>", i, i, info(inputs_[i]).name);
  }
  add("program_id {axis=0}", Type::scalar(DType::i32));
  for (int i = 0; i < 3; ++i) load();
  const int steps = 4 + static_cast<int>(pick(12));
  for (int i = 0; i < steps; ++i) step(0);
  for (std::size_t i = 0; i < 2; ++i) {
    store(i);
    arguments += fmt::format(", %out{}: ptr<{}>", i, info(outputs_[i]).name);
  }
  RandomModule made;
  made.text = print(parse(fmt::format("flagos.tile 1.0\nkernel @random({}) {{\n{}}}\n", arguments, body_)));
  made.buffers = inputs_;
  made.buffers.insert(made.buffers.end(), outputs_.begin(), outputs_.end());
  made.inputs = inputs_.size();
  return made;
}

void Generator::load() {
  const std::size_t input = pick(inputs_.size());
  const std::vector<int> shape = any_shape();
  const Type type = tile_of(inputs_[input], shape);
  const Value at = of_type(Type::scalar(DType::i32));
  const Value flat =
      add(fmt::format("load %w{}, {}", input, at.name), tile_of(inputs_[input], {static_cast<int>(type.elements())}));
  if (shape.size() > 1) add(fmt::format("reshape {}", flat.name), type);
}

// Each program has a half of the output.
void Generator::store(std::size_t output) {
  const Value value = any_tile();
  outputs_.push_back(value.type.dtype);
  const auto count = static_cast<int>(value.type.elements());
  Value flat = count == 64 && value.type.rank == 1
                   ? value
                   : add(fmt::format("reshape {}", value.name), tile_of(value.type.dtype, {count}));
  if (count > 32)
    flat = add(fmt::format("slice {} {{start=[{}]}}", flat.name, pick(static_cast<std::size_t>(count) - 31)),
               tile_of(value.type.dtype, {32}));
  const Value program = add("program_id {axis=0}", Type::scalar(DType::i32));
  const std::string half = fmt::format("%v{}", next_++);
  line("{} = const {{value=32}} : i32", half);
  const Value at = add(fmt::format("mul {}, {}", program.name, half), Type::scalar(DType::i32));
  line("%y{} = view %out{} {{shape=[64], strides=[1]}} : view<{}, 1>", output, output, info(value.type.dtype).name);
  line("store %y{}, {}, {}", output, at.name, flat.name);
}

void Generator::step(int depth) {
  switch (pick(depth < 2 ? 14 : 12)) {
    case 0:
    case 1:
      return change_type();
    case 2:
    case 3:
      return shape();
    case 4:
    case 5:
      return fold();
    case 6:
      return product();
    case 7:
      return load();
    case 12:
      return loop(depth);
    case 13:
      return branch(depth);
    default:
      return elementwise();
  }
}

void Generator::elementwise() {
  const Value a = any_tile();
  std::vector<const OpInfo*> fitting;
  for (const OpInfo& op : op_table()) {
    const bool numbers = op.domain == Domain::number || op.domain == Domain::any;
    if (numbers || (op.domain == Domain::floating && is_float(a.type.dtype)) ||
        ((op.domain == Domain::integer || op.domain == Domain::bits) && is_int(a.type.dtype)))
      fitting.push_back(&op);
  }
  const OpInfo& op = *fitting[pick(fitting.size())];
  std::string text = fmt::format("{} {}", op.name, a.name);
  for (int i = 1; i < op.operands_min; ++i) text += ", " + of_type(a.type).name;
  if (op.find("nan") && chance(50)) text += " {nan=ignore}";
  if (op.find("mode") && is_int(a.type.dtype) && chance(50)) text += " {mode=floor}";
  const Value made = add(text, op.result == Result::truth ? a.type.with(DType::i1) : a.type);
  if (op.result == Result::truth)
    add(fmt::format("select {}, {}, {}", made.name, a.name, of_type(a.type).name), a.type);
}

void Generator::change_type() {
  const Value a = any_tile();
  const Type to = a.type.with(any_dtype());
  if (info(to.dtype).bits == info(a.type.dtype).bits && chance(30)) {
    add(fmt::format("bitcast {}", a.name), to);
  } else {
    add(fmt::format("cast {}{}", a.name, chance(30) ? " {rounding=toward_zero}" : ""), to);
  }
}

void Generator::shape() {
  const Value a = any_tile();
  const Type& type = a.type;
  const auto axis = pick(type.rank);
  Type to = type;
  switch (pick(4)) {
    case 0:
      add(fmt::format("flip {} {{axis={}}}", a.name, axis), type);
      return;
    case 1:
      if (type.rank != 2) return;
      std::swap(to.dims[0], to.dims[1]);
      add(fmt::format("trans {} {{perm=[1, 0]}}", a.name), to);
      return;
    case 2:
      if (type.rank >= 3) return;
      for (std::size_t i = type.rank; i > axis; --i) to.dims[i] = to.dims[i - 1];
      to.dims[axis] = 1;
      ++to.rank;
      add(fmt::format("expand {} {{axis={}}}", a.name, axis), to);
      return;
    default:
      if (type.dims[axis] != 1) return;
      to.dims[axis] = 4;
      add(fmt::format("broadcast {}", a.name), to);
  }
}

void Generator::fold() {
  const Value a = any_tile();
  const auto axis = pick(a.type.rank);
  static constexpr std::array kOps{"add", "min", "max", "mul"};
  const std::string op = kOps[pick(kOps.size())];
  if (chance(40)) {
    add(fmt::format("scan {} {{axis={}, op={}{}}}", a.name, axis, op, chance(30) ? ", reverse" : ""), a.type);
    return;
  }
  Type to = a.type;
  for (std::size_t i = axis; i + 1 < a.type.rank; ++i) to.dims[i] = to.dims[i + 1];
  to.dims[--to.rank] = 0;
  if (to.rank == 0) to = Type::scalar(a.type.dtype);
  const Value made = add(fmt::format("reduce {} {{axis={}, op={}}}", a.name, axis, op), to);
  if (to.is_scalar()) add(fmt::format("full {}", made.name), a.type);
}

void Generator::product() {
  const DType dtype = chance(70) ? DType::f32 : chance(50) ? DType::bf16 : DType::i8;
  const Value a = of_type(tile_of(dtype, {4, 8})), b = of_type(tile_of(dtype, {8, 4}));
  const Type to = tile_of(dtype == DType::i8 ? DType::i32 : DType::f32, {4, 4});
  add(fmt::format("dot {}, {}, {}", a.name, b.name, of_type(to).name), to);
}

// Some steps in a scope of their own.
void Generator::region(int steps, int depth) {
  for (int i = 0; i < steps; ++i) step(depth + 1);
}

void Generator::loop(int depth) {
  const Value carried = any_tile();
  const Type index = Type::scalar(DType::i32);
  const auto number = [&](std::size_t value) { return add(fmt::format("const {{value={}}}", value), index).name; };
  const std::string low = number(pick(3)), high = number(pick(6)), step_by = number(1 + pick(2));
  const std::string result = fmt::format("%v{}", next_++), i = fmt::format("%v{}", next_++),
                    inner = fmt::format("%v{}", next_++);
  const std::string type = print_type(carried.type);
  line("{} = for {}, {}, {}, {} : {} do ({}: i32, {}: {}) {{", result, low, high, step_by, carried.name, type, i, inner,
       type);
  const std::vector<Value> outside = values_;
  values_.push_back({i, index});
  values_.push_back({inner, carried.type});
  region(1 + static_cast<int>(pick(3)), depth);
  const Value next = add(fmt::format("max {}, {}", of_type(carried.type).name, inner), carried.type);
  line("yield {}\n}}", next.name);
  values_ = outside;
  values_.push_back({result, carried.type});
}

void Generator::branch(int depth) {
  const Value a = of_type(Type::scalar(DType::i32)), b = of_type(Type::scalar(DType::i32));
  const Value condition = add(fmt::format("lt {}, {}", a.name, b.name), Type::scalar(DType::i1));
  const Type type = any_tile().type;
  const std::string result = fmt::format("%v{}", next_++);
  line("{} = if {} : {} then {{", result, condition.name, print_type(type));
  const std::vector<Value> outside = values_;
  for (int side = 0; side < 2; ++side) {
    region(1 + static_cast<int>(pick(2)), depth);
    line("yield {}", of_type(type).name);
    body_ += side == 0 ? "} else {\n" : "}\n";
    values_ = outside;
  }
  values_.push_back({result, type});
}

}  // namespace

RandomModule make_random_module(std::uint64_t seed) { return Generator(seed).make(); }

}  // namespace flagos::compiler::test
