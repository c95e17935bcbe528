// Part of flagos/tile.hpp: operations across a tile (reductions, scans, sorts, products), random numbers, calls by name.
#ifndef FLAGOS_TILE_COLLECTIVE_HPP
#define FLAGOS_TILE_COLLECTIVE_HPP

#include "tile.hpp"

namespace flagos::tile {

// ---- across a tile -----------------------------------------------------------------------------------------------

namespace detail {
inline Tile fold(const char* name, const Tile& x, int axis, const char* op, const std::string& more, Location at) {
  const std::size_t checked = check_axis(x, axis, at);
  const bool reduces = std::string(name) == "reduce";
  return make(x.body(), name, {x.ref()}, reduces ? without_axis(x.type(), checked) : x.type(),
              join_attributes({key("axis", static_cast<int>(checked)), std::string("op=") + op, more}), at);
}

// `body(accumulated..., next...)` gives as many scalars as there are tiles.
template <std::size_t N, typename F>
std::array<Tile, N> fold_region(const char* name, const std::array<Tile, N>& x, int axis, const std::string& more,
                                F function, Location at) {
  const std::size_t checked = check_axis(x[0], axis, at);
  const bool reduces = std::string(name) == "reduce";
  Body* body = x[0].body();
  Node node;
  node.op = name;
  node.at = at;
  node.attributes = join_attributes({key("axis", static_cast<int>(checked)), more});
  std::vector<Type> scalars;
  for (int half = 0; half < 2; ++half)
    for (const Tile& tile : x) scalars.push_back(scalar_type(tile.dtype()));
  for (const Tile& tile : x) {
    node.operands.push_back(tile.ref());
    node.types.push_back(reduces ? without_axis(tile.type(), checked) : tile.type());
  }
  fill_region<N>(body, node, scalars, function);
  return to_array<N>(make_many(body, std::move(node)));
}
}  // namespace detail

// Several values that a loop carries or a region gives: `auto [a, b] = k.loop(..., carry(a, b), ...)`.
template <typename... T>
std::array<Tile, sizeof...(T)> carry(const T&... tiles) {
  return {tiles...};
}

inline Tile sum(const Tile& x, int axis, Location at = Location::here()) {
  return detail::fold("reduce", x, axis, "add", "", at);
}
inline Tile product(const Tile& x, int axis, Location at = Location::here()) {
  return detail::fold("reduce", x, axis, "mul", "", at);
}
inline Tile reduce_min(const Tile& x, int axis, Nan nan = Nan::propagate, Location at = Location::here()) {
  return detail::fold("reduce", x, axis, "min", detail::nan_text(nan), at);
}
inline Tile reduce_max(const Tile& x, int axis, Nan nan = Nan::propagate, Location at = Location::here()) {
  return detail::fold("reduce", x, axis, "max", detail::nan_text(nan), at);
}
inline Tile all(const Tile& x, int axis, Location at = Location::here()) {
  return detail::fold("reduce", x, axis, "and", "", at);
}
inline Tile any(const Tile& x, int axis, Location at = Location::here()) {
  return detail::fold("reduce", x, axis, "or", "", at);
}
// `function(a, b)` is associative and sees its own two scalars only.
template <typename F>
Tile reduce(const Tile& x, int axis, F function, Location at = Location::here()) {
  return detail::fold_region<1>(
      "reduce", {x}, axis, "", [&](const std::vector<Tile>& t) { return carry(function(t[0], t[1])); }, at)[0];
}
// Of tuples: `function(array a, array b)` gives an array; see carry.
template <std::size_t N, typename F>
std::array<Tile, N> reduce(const std::array<Tile, N>& x, int axis, F function, Location at = Location::here()) {
  return detail::fold_region<N>(
      "reduce", x, axis, "",
      [&](const std::vector<Tile>& t) {
        return function(std::vector<Tile>(t.begin(), t.begin() + N), std::vector<Tile>(t.begin() + N, t.end()));
      },
      at);
}
inline Tile cumsum(const Tile& x, int axis, bool reverse = false, Location at = Location::here()) {
  return detail::fold("scan", x, axis, "add", reverse ? "reverse" : "", at);
}
template <typename F>
Tile scan(const Tile& x, int axis, F function, bool reverse = false, Location at = Location::here()) {
  return detail::fold_region<1>(
      "scan", {x}, axis, reverse ? "reverse" : "",
      [&](const std::vector<Tile>& t) { return carry(function(t[0], t[1])); }, at)[0];
}
template <std::size_t N, typename F>
std::array<Tile, N> scan(const std::array<Tile, N>& x, int axis, F function, bool reverse = false,
                         Location at = Location::here()) {
  return detail::fold_region<N>(
      "scan", x, axis, reverse ? "reverse" : "",
      [&](const std::vector<Tile>& t) {
        return function(std::vector<Tile>(t.begin(), t.begin() + N), std::vector<Tile>(t.begin() + N, t.end()));
      },
      at);
}
namespace detail {
inline std::array<Tile, 2> argreduce(const char* op, const Tile& x, int axis, Location at) {
  const std::size_t checked = check_axis(x, axis, at);
  Node node;
  node.op = "argreduce";
  node.operands = {x.ref()};
  node.types = {without_axis(x.type(), checked), without_axis(x.type(), checked).with(DType::i32)};
  node.attributes = join_attributes({key("axis", static_cast<int>(checked)), std::string("op=") + op});
  node.at = at;
  return to_array<2>(make_many(x.body(), std::move(node)));
}
}  // namespace detail
// {value, index of the first}
inline std::array<Tile, 2> argmin(const Tile& x, int axis, Location at = Location::here()) {
  return detail::argreduce("min", x, axis, at);
}
inline std::array<Tile, 2> argmax(const Tile& x, int axis, Location at = Location::here()) {
  return detail::argreduce("max", x, axis, at);
}
// Sorts keys, and payloads with them; stable.
inline std::vector<Tile> sort(const Tile& keys, const std::vector<Tile>& payload, int axis, bool descending = false,
                              Location at = Location::here()) {
  detail::Node node;
  node.op = "sort";
  node.operands = {keys.ref()};
  node.types = {keys.type()};
  for (const Tile& tile : payload) {
    node.operands.push_back(tile.ref());
    node.types.push_back(tile.type());
  }
  node.attributes = detail::join_attributes(
      {detail::key("axis", static_cast<int>(detail::check_axis(keys, axis, at))), descending ? "desc" : ""});
  node.at = at;
  return detail::make_many(keys.body(), std::move(node));
}
inline Tile histogram(const Tile& x, int bins, Location at = Location::here()) {
  return detail::make(x.body(), "histogram", {x.ref()}, detail::tile_type(DType::i32, {bins}), "", at);
}
inline Tile histogram(const Tile& x, const Tile& mask, int bins, Location at = Location::here()) {
  return detail::make(x.body(), "histogram", {x.ref(), mask.ref()}, detail::tile_type(DType::i32, {bins}), "", at);
}
// a times b plus accumulator. `reduced` allows less than the precision of the types.
inline Tile dot(const Tile& a, const Tile& b, const Tile& accumulator, bool reduced = false,
                Location at = Location::here()) {
  const std::size_t rank = a.shape().size();
  if (rank < 2 || b.shape().size() != rank || a.shape()[rank - 1] != b.shape()[rank - 2])
    throw BuildError(at, "dot of " + a.type().text() + " and " + b.type().text());
  return detail::make(a.body(), "dot", {a.ref(), b.ref(), accumulator.ref()}, accumulator.type(),
                      reduced ? "precision=reduced" : "", at);
}
// Of blocks of `block` products that share a scale, a power of two whose exponent is a u8 with a bias of 127.
inline Tile dot_scaled(const Tile& a, const Tile& a_scale, const Tile& b, const Tile& b_scale, const Tile& accumulator,
                       int block = 32, Location at = Location::here()) {
  return detail::make(a.body(), "dot_scaled", {a.ref(), a_scale.ref(), b.ref(), b_scale.ref(), accumulator.ref()},
                      accumulator.type(), block == 32 ? "" : detail::key("block", block), at);
}
namespace detail {
inline std::array<Tile, 4> philox(const Tile& seed, const Tile& offset, const Tile* stream, Location at) {
  const Type type = offset.type().with(DType::u32);
  Node node;
  node.op = "philox";
  node.operands = {seed.ref(), offset.ref()};
  if (stream) node.operands.push_back(stream->ref());
  node.types = {type, type, type, type};
  node.at = at;
  return to_array<4>(make_many(offset.body(), std::move(node)));
}
}  // namespace detail
// Four u32 for each offset; other streams, such as one for each row, give other numbers.
inline std::array<Tile, 4> philox(const Tile& seed, const Tile& offset, Location at = Location::here()) {
  return detail::philox(seed, offset, nullptr, at);
}
inline std::array<Tile, 4> philox(const Tile& seed, const Tile& offset, const Tile& stream,
                                  Location at = Location::here()) {
  return detail::philox(seed, offset, &stream, at);
}

// ---- escape and remarks --------------------------------------------------------------------------------------------

// What `function` computes of its own arguments: `call("gelu", carry(x), [](const Tile& a) { return carry(...); })`.
// A target that knows the name may do it its own way.
template <std::size_t N, typename F>
auto call(const std::string& name, const std::array<Tile, N>& x, F function, Location at = Location::here()) {
  using Values = decltype(std::apply(function, x));
  constexpr std::size_t kCount = std::tuple_size<Values>::value;
  detail::Body* body = x[0].body();
  detail::Node node;
  node.op = "extern";
  node.at = at;
  node.attributes = "name=\"" + name + "\"";
  std::vector<detail::Type> types;
  for (const Tile& tile : x) {
    node.operands.push_back(tile.ref());
    types.push_back(tile.type());
  }
  const auto yields = detail::fill_region<kCount>(
      body, node, types, [&](const std::vector<Tile>& t) { return std::apply(function, detail::to_array<N>(t)); });
  for (const Tile& tile : yields) node.types.push_back(tile.type());
  return detail::to_array<kCount>(detail::make_many(body, std::move(node)));
}

namespace detail {
// The operation that gave x once more, with an attribute.
inline Tile with_attribute(const Tile& x, const std::string& attribute, Location at) {
  const Node& node = *x.ref().node;
  if (node.op.empty() || !node.names.empty())
    throw BuildError(at, attribute + " is said of an operation where it is written, such as fast(exp(x))");
  Node marked = node;
  marked.attributes = join_attributes({node.attributes, attribute});
  return {x.body(), {x.body()->add(std::move(marked)), x.ref().result}};
}
}  // namespace detail
// The target may be less exact in this one operation: fast(exp(x)).
inline Tile fast(const Tile& x, Location at = Location::here()) { return detail::with_attribute(x, "fast", at); }
// The target must round as written, and not join a product with a sum: strict(strict(a * b) + c).
inline Tile strict(const Tile& x, Location at = Location::here()) { return detail::with_attribute(x, "strict", at); }
// A word to lowerings, which may ignore it: hint(dot(a, b, c), "cpu.mr", 6).
inline Tile hint(const Tile& x, const std::string& name, long long value, Location at = Location::here()) {
  return detail::with_attribute(x, "hint." + name + "=" + std::to_string(value), at);
}

}  // namespace flagos::tile

#endif
