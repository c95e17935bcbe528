#include "compiler/simt_emitter.hpp"

#include <algorithm>
#include <functional>

#include "base/error.hpp"

namespace flagos::compiler {
namespace {

bool overlap(const LocalRange& a, const LocalRange& b) { return a.begin < b.end && b.begin < a.end; }

bool overlaps(const std::vector<LocalRange>& ranges, const LocalRange& range) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const LocalRange& other) { return overlap(other, range); });
}

}  // namespace

AxisText split_index(const Type& type, const std::string& index) {
  AxisText axes(type.rank);
  std::int64_t inner = 1;
  for (std::size_t axis = type.rank; axis-- > 0;) {
    const std::int64_t extent = type.dims[axis];
    std::string text = inner == 1 ? index : fmt::format("{} / {}u", index, inner);
    if (extent == 1) {
      text = "0u";
    } else if (inner * extent != type.elements()) {
      text = fmt::format("{} % {}u", inner == 1 ? text : "(" + text + ")", extent);
    }
    axes[axis] = text == index || text == "0u" ? text : "(" + text + ")";
    inner *= extent;
  }
  return axes;
}

std::string join_index(const Type& type, const AxisText& index) {
  std::string text;
  std::int64_t stride = type.elements();
  for (std::size_t axis = 0; axis < type.rank; ++axis) {
    stride /= type.dims[axis];
    if (index[axis] == "0u") continue;
    text += text.empty() ? "" : " + ";
    text += stride == 1 ? index[axis] : fmt::format("{} * {}u", index[axis], stride);
  }
  return text.empty() ? "0u" : text;
}

ValueId SimtEmitter::root(ValueId value) const {
  while (alias_[value] != value) value = alias_[value];
  return value;
}

void SimtEmitter::line(const std::string& text) {
  if (text.empty()) return;
  (in_loop() ? loop_->body : text_) += text + "\n";
}

std::string SimtEmitter::fresh() { return fmt::format("x{}", next_++); }

void SimtEmitter::open(std::int64_t count) {
  if (count == 1) {
    close();
    return;
  }
  if (loop_ && loop_->count == count) return;
  close();
  loop_.emplace();
  loop_->count = count;
  located_ = nullptr;
}

void SimtEmitter::close() {
  if (!loop_) return;
  Loop loop = std::move(*loop_);
  loop_.reset();
  located_ = nullptr;
  const std::int64_t rounds = (loop.count + threads_ - 1) / threads_;
  for (const auto& [value, name] : loop.names) {
    if (values_[value].uses <= 0) {
      values_[value].kind = Value::Kind::unset;
      continue;
    }
    const std::string array = fmt::format("r{}", value);
    declare(value, array);
    loop.body += fmt::format("{}[j] = {};\n", array, name);
  }
  if (rounds > 1) {
    const auto tiling = tilings_.find(loop.count);
    const bool tiled = tiling != tilings_.end();
    const std::string element = tiled ? tiling->second.element() : fmt::format("t + j * {}u", threads_);
    // What the tensor cores sum in must stay in registers, and so have constant indices.
    const bool few = rounds <= static_cast<std::int64_t>(target_.unroll) || (tiled && tiling->second.tensor);
    text_ += fmt::format("{1}for (u32 j = 0u; j < {0}u; ++j) {{\nconst u32 e = {2};\n", rounds,
                         few ? fmt::format("UNROLL({}) ", rounds) : "", element);
  } else {
    text_ += "{\nconst u32 j = 0u, e = t;\n";
  }
  const bool partial = loop.count % threads_ != 0;
  text_ += (partial ? fmt::format("if (e < {}u) {{\n", loop.count) : "") + loop.body + (partial ? "}\n}\n" : "}\n");
  touched_.insert(touched_.end(), loop.touched.begin(), loop.touched.end());
}

std::string SimtEmitter::own(ValueId value) {
  value = root(value);
  const Value& known = values_[value];
  if (known.kind == Value::Kind::uniform) return known.name;
  if (loop_) {
    const auto found = loop_->names.find(value);
    if (found != loop_->names.end()) return found->second;
  }
  if (known.kind == Value::Kind::formula) return at(value, "e");
  if (known.kind != Value::Kind::registers)
    throw_error(FLAGOS_STATUS_INTERNAL, "simt: value {} of kernel '{}' is not there", value, kernel_.name);
  return known.name + "[j]";
}

std::string SimtEmitter::at(ValueId value, const std::string& index) {
  value = root(value);
  if (values_[value].kind == Value::Kind::uniform) return values_[value].name;
  if (in_loop()) {
    const auto known = loop_->formulas.find({value, index});
    if (known != loop_->formulas.end()) return known->second;
  }
  const std::string text = formula(*values_[value].op, index);
  const std::string variable = fresh();
  line("const {} {} = {};", register_type(type(value).dtype), variable, text);
  if (in_loop()) loop_->formulas[{value, index}] = variable;
  return variable;
}

std::string SimtEmitter::index_name(const std::string& text) {
  if (text.find(' ') == std::string::npos) return text;
  constexpr ValueId none = UINT32_MAX;
  if (in_loop()) {
    const auto known = loop_->formulas.find({none, text});
    if (known != loop_->formulas.end()) return known->second;
  }
  const std::string variable = fresh();
  line("const u32 {} = {};", variable, text);
  if (in_loop()) loop_->formulas[{none, text}] = variable;
  return variable;
}

void SimtEmitter::define(ValueId value, const std::string& text) {
  const Outside outside(*this, is_uniform(value));
  const std::string variable = fmt::format("v{}", root(value));
  line("const {} {} = {};", register_type(type(value).dtype), variable, text);
  name(value, variable);
}

void SimtEmitter::name(ValueId value, const std::string& variable) {
  value = root(value);
  if (is_uniform(value)) {
    values_[value].kind = Value::Kind::uniform;
    values_[value].name = variable;
  } else {
    loop_->names[value] = variable;
  }
}

void SimtEmitter::used(const Op& op) {
  for (const ValueId operand : op.operands) used(operand);
}

void SimtEmitter::declare(ValueId value, const std::string& name) {
  value = root(value);
  Value& known = values_[value];
  const std::string dtype = register_type(type(value).dtype);
  known.name = name;
  if (is_uniform(value)) {
    known.kind = Value::Kind::uniform;
    text_ += fmt::format("{} {};\n", dtype, name);
    return;
  }
  known.kind = Value::Kind::registers;
  text_ += fmt::format("{} {}[{}];\n", dtype, name, (type(value).elements() + threads_ - 1) / threads_);
}

// Gives declared values what the sources hold, all at once: a source may be one of the targets. What is the same in
// every thread comes last, since formulas of the others may read it.
void SimtEmitter::assign(const std::vector<ValueId>& targets, const std::vector<ValueId>& sources) {
  std::map<std::int64_t, std::vector<std::size_t>, std::greater<>> by_count;
  for (std::size_t i = 0; i < targets.size(); ++i) by_count[type(targets[i]).elements()].push_back(i);
  for (const auto& [count, group] : by_count) {
    open(count);
    std::string stores;
    for (const std::size_t i : group) {
      const std::string target = values_[root(targets[i])].name + (count == 1 ? "" : "[j]");
      const std::string source = own(sources[i]);
      used(sources[i]);
      if (source == target) continue;
      const std::string variable = fresh();
      line("const {} {} = {};", register_type(type(targets[i]).dtype), variable, source);
      stores += fmt::format("{}{} = {};", stores.empty() ? "" : "\n", target, variable);
    }
    line(stores);
    close();
  }
}

LocalRange SimtEmitter::allocate(const Op& op, std::uint64_t words) {
  if (plan_.cores.any) words = (words + 3) / 4 * 4;  // rows start at 16 bytes
  LocalRange range{0, words};
  for (bool moved = true; moved;) {
    moved = false;
    for (const LocalRange& other : live_) {
      if (!overlap(range, other)) continue;
      range = {other.end, other.end + words};
      moved = true;
    }
  }
  if (range.end * 4 > target_.local_bytes)
    fail(op, fmt::format("it needs {} bytes of local memory, and the target has {}; smaller tiles need less",
                         range.end * 4, target_.local_bytes));
  live_.push_back(range);
  local_words_ = std::max(local_words_, range.end);
  return range;
}

void SimtEmitter::release(const LocalRange& range) {
  live_.erase(
      std::find_if(live_.begin(), live_.end(), [&](const LocalRange& one) { return one.begin == range.begin; }));
}

void SimtEmitter::touch(const LocalRange& range) { (loop_ ? loop_->touched : touched_).push_back(range); }

void SimtEmitter::settle(const LocalRange& range) {
  if (loop_ && overlaps(loop_->touched, range)) {
    const std::int64_t count = loop_->count;
    close();
    open(count);
  }
  if (!overlaps(touched_, range)) return;
  if (threads_ > 1) text_ += "LOCAL_BARRIER;\n";
  touched_.clear();
}

void SimtEmitter::barrier() {
  close();
  if (threads_ > 1) text_ += "LOCAL_BARRIER;\n";
  touched_.clear();
}

void SimtEmitter::forget() {
  close();
  touched_ = {{0, UINT64_MAX}};
  global_read_ = kernel_reads_;
  global_written_ = kernel_writes_;
}

std::string SimtEmitter::read_local(DType dtype, const LocalRange& range, const std::string& index) const {
  const auto word = [&](std::uint64_t offset) {
    const std::string place = is_wide(dtype) ? fmt::format("({}) * 2u", index) : index;
    return fmt::format("L[{}{}]", offset == 0 ? "" : fmt::format("{}u + ", offset), place);
  };
  if (is_wide(dtype)) {
    const std::string bits = fmt::format("U64({}, {})", word(range.begin + 1), word(range.begin));
    return dtype == DType::u64 ? bits : fmt::format("{}({})", dtype == DType::f64 ? "f64_bits" : "to_i64", bits);
  }
  const std::string bits = word(range.begin);
  if (dtype == DType::i1) return fmt::format("({} != 0u)", bits);
  if (dtype == DType::f32) return fmt::format("f32_bits({})", bits);
  return is_signed(dtype) ? fmt::format("to_i32({})", bits) : bits;
}

std::string SimtEmitter::write_local(DType dtype, const LocalRange& range, const std::string& index,
                                     const std::string& value) const {
  const std::string offset = range.begin == 0 ? "" : fmt::format("{}u + ", range.begin);
  if (is_wide(dtype)) {
    const std::string bits = fmt::format("{}({})", dtype == DType::f64 ? "bits_f64" : "to_u64", value);
    return fmt::format("{{ const u64 w = {0}; L[{1}({2}) * 2u] = to_u32(w); L[{3}u + ({2}) * 2u] = to_u32(w >> 32); }}",
                       bits, offset, index, range.begin + 1);
  }
  std::string bits = value;
  if (dtype == DType::i1) bits = fmt::format("({}) ? 1u : 0u", value);
  if (dtype == DType::f32) bits = fmt::format("bits_f32({})", value);
  if (is_signed(dtype)) bits = fmt::format("to_u32({})", value);
  return fmt::format("L[{}{}] = {};", offset, index, bits);
}

LocalRange SimtEmitter::put_as(const Op& op, ValueId value, DType held, std::int64_t padding) {
  const Type& tile = type(value);
  const auto count = static_cast<std::uint64_t>(tile.elements());
  const DType dtype = tile.dtype;
  const std::int64_t columns = tile.is_tile() ? tile.dims[tile.rank - 1U] : 1;
  const std::uint64_t room = count + count / static_cast<std::uint64_t>(columns) * static_cast<std::uint64_t>(padding);
  const LocalRange range = allocate(op, room * (is_wide(held) ? 2 : 1));
  open_for(value);
  settle(range);
  std::string text = own(value);
  if (held != dtype) text = cast(dtype, held, text, Rounding::nearest_even, false);
  const std::string place = padding == 0 ? "e" : fmt::format("(e + e / {}u * {}u)", columns, padding);
  text = write_local(held, range, count == 1 ? "0u" : place, text);
  line(count == 1 ? fmt::format("if (t == 0u) {{ {} }}", text) : text);
  touch(range);
  used(value);
  return range;
}

LocalRange SimtEmitter::put(const Op& op, ValueId value) { return put_as(op, value, type(value).dtype); }

}  // namespace flagos::compiler
