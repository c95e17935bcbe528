// flagos/tile.hpp: writes portable kernels, in C++17 and with nothing else. SPDX-License-Identifier: Apache-2.0
//
//   tile::Module module;
//   module.kernel("scale", {{"BLOCK", 256}}, [](tile::Kernel& k) {
//     auto x = k.pointer("x", f32), y = k.pointer("y", f32);
//     auto n = k.scalar("n", i32);
//     auto at = k.program_id(0) * 256;
//     k.store(k.view(y, {n}, {1}), {at}, k.load(k.view(x, {n}, {1}), {at}, {256}) * 2.0);
//   });
//   std::string text = module.text();  // flagos.tile, for flagos_tile_module_create
//
// Sizes and types are C++ values, so generic kernels are C++ functions. docs/tile.md tells what the operations do.
// Loops, branches, stores and atomics are statements: write each in a statement of its own.
#ifndef FLAGOS_TILE_HPP
#define FLAGOS_TILE_HPP

#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <initializer_list>

#include "tile_node.hpp"

namespace flagos::tile {

class Kernel;

// A scalar or tile of a kernel.
class Tile {
 public:
  Tile(detail::Body* body, detail::Ref ref) : body_(body), ref_(std::move(ref)) {}
  DType dtype() const { return ref_.type().dtype; }
  const std::vector<int>& shape() const { return ref_.type().shape; }
  const detail::Type& type() const { return ref_.type(); }
  const detail::Ref& ref() const { return ref_; }
  detail::Body* body() const { return body_; }

 private:
  detail::Body* body_;
  detail::Ref ref_;
};

// A Tile, or a number that takes its type from what it meets. Remembers where it was written.
class Operand {
 public:
  Operand(Tile tile, Location at = Location::here()) : tile_{std::move(tile)}, at_(at) {}
  Operand(int number, Location at = Location::here()) : integer_(number), at_(at) {}
  Operand(long number, Location at = Location::here()) : integer_(number), at_(at) {}
  Operand(long long number, Location at = Location::here()) : integer_(number), at_(at) {}
  Operand(double number, Location at = Location::here()) : number_(number), is_number_(true), at_(at) {}
  const Tile* tile() const { return tile_.empty() ? nullptr : &tile_.front(); }
  Location at() const { return at_; }
  // The number as text of a type.
  std::string text(DType dtype) const {
    if (!detail::is_float(dtype)) {
      if (is_number_) throw BuildError(at_, "a floating-point number meets integers");
      if (dtype == DType::i1) return integer_ != 0 ? "true" : "false";
      return std::to_string(integer_);
    }
    const double value = is_number_ ? number_ : static_cast<double>(integer_);
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    char buffer[64];
    // The shortest text that names the number in its type; that of f16, bf16 and f8 is canonical once it was read.
    const auto end = dtype == DType::f64 ? std::to_chars(buffer, buffer + sizeof buffer, value)
                                         : std::to_chars(buffer, buffer + sizeof buffer, static_cast<float>(value));
    std::string text(buffer, end.ptr);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }

 private:
  std::vector<Tile> tile_;  // none or one
  long long integer_ = 0;
  double number_ = 0;
  bool is_number_ = false;
  Location at_;
};

class Pointer {
 public:
  Pointer(detail::Ref ref) : ref_(std::move(ref)) {}
  const detail::Ref& ref() const { return ref_; }

 private:
  detail::Ref ref_;
};

class View {
 public:
  View(detail::Ref ref) : ref_(std::move(ref)) {}
  const detail::Ref& ref() const { return ref_; }
  DType dtype() const { return ref_.type().dtype; }
  int rank() const { return static_cast<int>(ref_.type().shape.size()); }

 private:
  detail::Ref ref_;
};

namespace detail {

inline Tile make(Body* body, std::string op, std::vector<Ref> operands, Type type, std::string attributes,
                 Location at) {
  Node node;
  node.op = std::move(op);
  node.operands = std::move(operands);
  node.types = {std::move(type)};
  node.attributes = std::move(attributes);
  node.at = at;
  return {body, {body->add(std::move(node)), 0}};
}

inline std::vector<Tile> make_many(Body* body, Node node) {
  const auto made = body->add(std::move(node));
  std::vector<Tile> tiles;
  for (std::size_t i = 0; i < made->types.size(); ++i) tiles.emplace_back(body, Ref{made, i});
  return tiles;
}

template <std::size_t... I>
std::array<Tile, sizeof...(I)> to_array(const std::vector<Tile>& tiles, std::index_sequence<I...>) {
  return {tiles[I]...};
}
template <std::size_t N>
std::array<Tile, N> to_array(const std::vector<Tile>& tiles) {
  return to_array(tiles, std::make_index_sequence<N>());
}

// The values of a region that sees its own only: `function(arguments)` gives N.
template <std::size_t N, typename F>
std::array<Tile, N> fill_region(Body* body, Node& node, const std::vector<Type>& types, F function) {
  node.region = body->begin_isolated(types, node.at);
  std::vector<Tile> arguments;
  for (const Ref& ref : node.region->arguments) arguments.emplace_back(body, ref);
  const std::array<Tile, N> yields = function(arguments);
  for (const Tile& tile : yields) node.region->yields.push_back(tile.ref());
  body->end_isolated();
  return yields;
}

inline std::string list(const std::vector<int>& values) {
  std::string text;
  for (const int value : values) text += (text.empty() ? "" : ", ") + std::to_string(value);
  return "[" + text + "]";
}

inline std::string key(const char* name, long long value) { return std::string(name) + "=" + std::to_string(value); }
inline std::string join_attributes(std::initializer_list<std::string> parts) {
  std::string text;
  for (const std::string& part : parts)
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  return text;
}

inline std::size_t check_axis(const Tile& x, int axis, Location at) {
  const int rank = static_cast<int>(x.shape().size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) throw BuildError(at, "axis " + std::to_string(axis) + " of " + x.type().text());
  return static_cast<std::size_t>(axis);
}

inline Type without_axis(const Type& type, std::size_t axis) {
  std::vector<int> shape = type.shape;
  shape.erase(shape.begin() + static_cast<long>(axis));
  return tile_type(type.dtype, std::move(shape));
}

inline Tile constant(Body* body, const Operand& number, const Type& type) {
  return make(body, "const", {}, type, "value=" + number.text(type.dtype), number.at());
}

// Operands brought to one shape: numbers become tiles, scalars are spread, extents of 1 grow.
inline Tile fit(Body* body, const Operand& operand, const Type& type) {
  const Tile* tile = operand.tile();
  if (!tile) return constant(body, operand, type);
  if (tile->dtype() != type.dtype)
    throw BuildError(operand.at(), tile->type().text() + " meets " + type.text() + ": cast one of them");
  if (tile->type() == type) return *tile;
  if (!tile->type().is_tile()) return make(body, "full", {tile->ref()}, type, "", operand.at());
  return make(body, "broadcast", {tile->ref()}, type, "", operand.at());
}

inline Type common_type(std::initializer_list<const Operand*> operands) {
  const Operand* first = nullptr;
  Type type;
  for (const Operand* operand : operands) {
    const Tile* tile = operand->tile();
    if (!tile) continue;
    if (!first) {
      type = tile->type();
      first = operand;
    } else if (tile->type().is_tile() && !type.is_tile()) {
      type.kind = Type::Kind::tile;
      type.shape = tile->shape();
    } else if (tile->type().is_tile()) {
      bool fits = tile->shape().size() == type.shape.size();
      for (std::size_t i = 0; fits && i < type.shape.size(); ++i) {
        fits = tile->shape()[i] == type.shape[i] || tile->shape()[i] == 1 || type.shape[i] == 1;
        type.shape[i] = std::max(type.shape[i], tile->shape()[i]);
      }
      if (!fits) throw BuildError(operand->at(), first->tile()->type().text() + " meets " + tile->type().text());
    }
  }
  return type;
}

inline Body* body_of(std::initializer_list<const Operand*> operands, Location at) {
  for (const Operand* operand : operands)
    if (operand->tile()) return operand->tile()->body();
  throw BuildError(at, "an operation on numbers alone");
}

// An elementwise operation. `truth`: it gives i1.
inline Tile elementwise(const char* op, std::initializer_list<const Operand*> operands, bool truth = false,
                        std::string attributes = "") {
  const Location at = (*operands.begin())->at();
  Body* body = body_of(operands, at);
  const Type type = common_type(operands);
  std::vector<Ref> refs;
  for (const Operand* operand : operands) refs.push_back(fit(body, *operand, type).ref());
  return make(body, op, std::move(refs), truth ? type.with(DType::i1) : type, std::move(attributes), at);
}

}  // namespace detail

// ---- elementwise -------------------------------------------------------------------------------------------------

#define FLAGOS_TILE_BINARY(symbol, op, truth) \
  inline Tile operator symbol(const Operand& a, const Operand& b) { return detail::elementwise(op, {&a, &b}, truth); }
FLAGOS_TILE_BINARY(+, "add", false)
FLAGOS_TILE_BINARY(-, "sub", false)
FLAGOS_TILE_BINARY(*, "mul", false)
FLAGOS_TILE_BINARY(/, "div", false)
FLAGOS_TILE_BINARY(%, "rem", false)
FLAGOS_TILE_BINARY(&, "and", false)
FLAGOS_TILE_BINARY(|, "or", false)
FLAGOS_TILE_BINARY(^, "xor", false)
FLAGOS_TILE_BINARY(<<, "shl", false)
FLAGOS_TILE_BINARY(>>, "shr", false)
FLAGOS_TILE_BINARY(==, "eq", true)
FLAGOS_TILE_BINARY(!=, "ne", true)
FLAGOS_TILE_BINARY(<, "lt", true)
FLAGOS_TILE_BINARY(<=, "le", true)
FLAGOS_TILE_BINARY(>, "gt", true)
FLAGOS_TILE_BINARY(>=, "ge", true)
#undef FLAGOS_TILE_BINARY
inline Tile operator-(const Operand& x) { return detail::elementwise("neg", {&x}); }
inline Tile operator~(const Operand& x) { return detail::elementwise("not", {&x}); }
inline Tile operator!(const Operand& x) { return detail::elementwise("not", {&x}); }

#define FLAGOS_TILE_UNARY(name, truth) \
  inline Tile name(const Operand& x) { return detail::elementwise(#name, {&x}, truth); }
FLAGOS_TILE_UNARY(abs, false)
FLAGOS_TILE_UNARY(exp, false)
FLAGOS_TILE_UNARY(exp2, false)
FLAGOS_TILE_UNARY(log, false)
FLAGOS_TILE_UNARY(log2, false)
FLAGOS_TILE_UNARY(log1p, false)
FLAGOS_TILE_UNARY(expm1, false)
FLAGOS_TILE_UNARY(sqrt, false)
FLAGOS_TILE_UNARY(rsqrt, false)
FLAGOS_TILE_UNARY(rcp, false)
FLAGOS_TILE_UNARY(sin, false)
FLAGOS_TILE_UNARY(cos, false)
FLAGOS_TILE_UNARY(tan, false)
FLAGOS_TILE_UNARY(asin, false)
FLAGOS_TILE_UNARY(acos, false)
FLAGOS_TILE_UNARY(atan, false)
FLAGOS_TILE_UNARY(sinh, false)
FLAGOS_TILE_UNARY(cosh, false)
FLAGOS_TILE_UNARY(tanh, false)
FLAGOS_TILE_UNARY(erf, false)
FLAGOS_TILE_UNARY(floor, false)
FLAGOS_TILE_UNARY(ceil, false)
FLAGOS_TILE_UNARY(trunc, false)
FLAGOS_TILE_UNARY(rint, false)
FLAGOS_TILE_UNARY(isnan, true)
FLAGOS_TILE_UNARY(isinf, true)
#undef FLAGOS_TILE_UNARY

enum class Nan { propagate, ignore };
namespace detail {
inline std::string nan_text(Nan nan) { return nan == Nan::ignore ? "nan=ignore" : ""; }
}  // namespace detail

inline Tile min(const Operand& a, const Operand& b, Nan nan = Nan::propagate) {
  return detail::elementwise("min", {&a, &b}, false, detail::nan_text(nan));
}
inline Tile max(const Operand& a, const Operand& b, Nan nan = Nan::propagate) {
  return detail::elementwise("max", {&a, &b}, false, detail::nan_text(nan));
}
inline Tile clamp(const Operand& x, const Operand& low, const Operand& high, Nan nan = Nan::propagate) {
  return detail::elementwise("clamp", {&x, &low, &high}, false, detail::nan_text(nan));
}
inline Tile fma(const Operand& a, const Operand& b, const Operand& c) {
  return detail::elementwise("fma", {&a, &b, &c});
}
inline Tile pow(const Operand& a, const Operand& b) { return detail::elementwise("pow", {&a, &b}); }
inline Tile atan2(const Operand& y, const Operand& x) { return detail::elementwise("atan2", {&y, &x}); }
inline Tile mulhi(const Operand& a, const Operand& b) { return detail::elementwise("mulhi", {&a, &b}); }
// Rounds toward minus infinity; operator/ and % of integers toward zero.
inline Tile floor_div(const Operand& a, const Operand& b) {
  return detail::elementwise("div", {&a, &b}, false, "mode=floor");
}
inline Tile floor_rem(const Operand& a, const Operand& b) {
  return detail::elementwise("rem", {&a, &b}, false, "mode=floor");
}
inline Tile where(const Tile& condition, const Operand& a, const Operand& b) {
  detail::Body* body = condition.body();
  detail::Type type = detail::common_type({&a, &b});
  if (!a.tile() && !b.tile()) throw BuildError(a.at(), "where: one of the two must have a type");
  const Operand mask(condition, a.at());
  if (condition.type().is_tile()) {
    const Operand shaped(detail::fit(body, a, type), a.at());
    type.shape = detail::common_type({&mask, &shaped}).shape;
    type.kind = detail::Type::Kind::tile;
  }
  const detail::Ref chosen =
      condition.type().is_tile() ? detail::fit(body, mask, type.with(DType::i1)).ref() : condition.ref();
  return detail::make(body, "select", {chosen, detail::fit(body, a, type).ref(), detail::fit(body, b, type).ref()},
                      type, "", a.at());
}

// ---- casts and shapes --------------------------------------------------------------------------------------------

enum class Round { nearest_even, toward_zero };
inline Tile cast(const Tile& x, DType dtype, Round round = Round::nearest_even, bool saturate = false,
                 Location at = Location::here()) {
  if (x.dtype() == dtype) return x;
  return detail::make(
      x.body(), "cast", {x.ref()}, x.type().with(dtype),
      detail::join_attributes({round == Round::toward_zero ? "rounding=toward_zero" : "", saturate ? "saturate" : ""}),
      at);
}
inline Tile bitcast(const Tile& x, DType dtype, Location at = Location::here()) {
  return detail::make(x.body(), "bitcast", {x.ref()}, x.type().with(dtype), "", at);
}
// Inserts an axis of extent 1.
inline Tile expand(const Tile& x, int axis, Location at = Location::here()) {
  std::vector<int> shape = x.shape();
  if (axis < 0 || axis > static_cast<int>(shape.size())) throw BuildError(at, "expand: axis " + std::to_string(axis));
  shape.insert(shape.begin() + axis, 1);
  return detail::make(x.body(), "expand", {x.ref()}, detail::tile_type(x.dtype(), shape), detail::key("axis", axis),
                      at);
}
inline Tile broadcast(const Tile& x, const std::vector<int>& shape, Location at = Location::here()) {
  return detail::fit(x.body(), Operand(x, at), detail::tile_type(x.dtype(), shape));
}
inline Tile reshape(const Tile& x, const std::vector<int>& shape, Location at = Location::here()) {
  return detail::make(x.body(), "reshape", {x.ref()}, detail::tile_type(x.dtype(), shape), "", at);
}
inline Tile trans(const Tile& x, const std::vector<int>& perm = {1, 0}, Location at = Location::here()) {
  std::vector<int> shape;
  for (const int axis : perm) shape.push_back(x.shape()[detail::check_axis(x, axis, at)]);
  return detail::make(x.body(), "trans", {x.ref()}, detail::tile_type(x.dtype(), shape), "perm=" + detail::list(perm),
                      at);
}
inline Tile join(const Tile& a, const Tile& b, Location at = Location::here()) {
  std::vector<int> shape = a.shape();
  shape.push_back(2);
  return detail::make(a.body(), "join", {a.ref(), b.ref()}, detail::tile_type(a.dtype(), shape), "", at);
}
inline std::array<Tile, 2> split(const Tile& x, Location at = Location::here()) {
  const detail::Type half = detail::without_axis(x.type(), detail::check_axis(x, -1, at));
  detail::Node node;
  node.op = "split";
  node.operands = {x.ref()};
  node.types = {half, half};
  node.at = at;
  return detail::to_array<2>(detail::make_many(x.body(), std::move(node)));
}
inline Tile slice(const Tile& x, const std::vector<int>& start, const std::vector<int>& shape,
                  Location at = Location::here()) {
  return detail::make(x.body(), "slice", {x.ref()}, detail::tile_type(x.dtype(), shape), "start=" + detail::list(start),
                      at);
}
inline Tile flip(const Tile& x, int axis, Location at = Location::here()) {
  const auto checked = static_cast<int>(detail::check_axis(x, axis, at));
  return detail::make(x.body(), "flip", {x.ref()}, x.type(), detail::key("axis", checked), at);
}

}  // namespace flagos::tile

#include "tile_collective.hpp"
#include "tile_kernel.hpp"

#endif
