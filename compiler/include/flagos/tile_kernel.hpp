// Part of flagos/tile.hpp: kernels and modules; arguments, memory, loops and branches.
#ifndef FLAGOS_TILE_KERNEL_HPP
#define FLAGOS_TILE_KERNEL_HPP

#include "tile.hpp"

namespace flagos::tile {

// An extent or stride: a number, or a value of the kernel.
using Extent = Operand;

enum class Order { relaxed, acquire, release, acq_rel };

class Kernel {
 public:
  // `facts`: what holds for every call, such as "readonly, align=16" or "div=16".
  Pointer pointer(const std::string& name, DType dtype, const std::string& facts = "") {
    return {argument(name, {detail::Type::Kind::pointer, dtype, {}}, facts)};
  }
  Tile scalar(const std::string& name, DType dtype, const std::string& facts = "") {
    return {&body_, argument(name, detail::scalar_type(dtype), facts)};
  }

  // A word to lowerings about the whole kernel, which they may ignore: hint("simt.threads", 128).
  void hint(const std::string& name, long long value) { hints_["hint." + name] = value; }

  Tile program_id(int axis, Location at = Location::here()) {
    return make("program_id", {}, detail::scalar_type(DType::i32), detail::key("axis", axis), at);
  }
  Tile num_programs(int axis, Location at = Location::here()) {
    return make("num_programs", {}, detail::scalar_type(DType::i32), detail::key("axis", axis), at);
  }
  Tile constant(DType dtype, const Operand& value) {
    return detail::constant(&body_, value, detail::scalar_type(dtype));
  }
  Tile full(DType dtype, const std::vector<int>& shape, const Operand& value) {
    return detail::fit(&body_, value, detail::tile_type(dtype, shape));
  }
  // start, start + 1, ...
  Tile range(int count, DType dtype = DType::i32, long long start = 0, Location at = Location::here()) {
    return make("range", {}, detail::tile_type(dtype, {count}), start == 0 ? "" : detail::key("start", start), at);
  }

  // ---- memory ----------------------------------------------------------------------------------------------------

  // Memory at `pointer` as an array; strides in elements.
  View view(const Pointer& pointer, const std::vector<Extent>& shape, const std::vector<Extent>& strides,
            Location at = Location::here()) {
    detail::Node node;
    node.op = "view";
    node.operands = {pointer.ref()};
    const std::string extents = extent_list(shape, node);
    node.attributes = "shape=" + extents + ", strides=" + extent_list(strides, node);
    node.types = {{detail::Type::Kind::view, pointer.ref().type().dtype, std::vector<int>(shape.size())}};
    node.at = at;
    return {{body_.add(std::move(node)), 0}};
  }

  // The block of `shape` whose corner is at `offsets`; `pad` outside of the view. Without a shape, one element.
  Tile load(const View& view, const std::vector<Operand>& offsets, const std::vector<int>& shape = {},
            const Operand& pad = 0, Location at = Location::here()) {
    detail::Node node = memory_node("load", view, offsets, at);
    node.types = {detail::tile_type(view.dtype(), shape)};
    return add_load(std::move(node), pad);
  }
  void store(const View& view, const std::vector<Operand>& offsets, const Operand& value,
             Location at = Location::here()) {
    detail::Node node = memory_node("store", view, offsets, at);
    node.operands.push_back(value_of(value, view.dtype()).ref());
    body_.add_statement(std::move(node));
  }
  // Elements at index tiles, all of one shape; `pad` outside of the view and where the mask does not hold.
  Tile gather(const View& view, const std::vector<Tile>& indices, const Operand& pad = 0,
              Location at = Location::here()) {
    return gather_if(view, indices, nullptr, pad, at);
  }
  Tile gather(const View& view, const std::vector<Tile>& indices, const Tile& mask, const Operand& pad = 0,
              Location at = Location::here()) {
    return gather_if(view, indices, &mask, pad, at);
  }
  void scatter(const View& view, const std::vector<Tile>& indices, const Operand& value,
               Location at = Location::here()) {
    body_.add_statement(indexed_node("scatter", view, indices, {value}, nullptr, at));
  }
  void scatter(const View& view, const std::vector<Tile>& indices, const Operand& value, const Tile& mask,
               Location at = Location::here()) {
    body_.add_statement(indexed_node("scatter", view, indices, {value}, &mask, at));
  }
  // `op` is add, min, max, and, or, xor or exchange. Gives what was there before.
  Tile atomic(const char* op, const View& view, const std::vector<Tile>& indices, const Operand& value,
              const Tile* mask = nullptr, Order order = Order::relaxed, Location at = Location::here()) {
    detail::Node node = indexed_node("atomic_rmw", view, indices, {value}, mask, at);
    node.attributes = detail::join_attributes({std::string("op=") + op, order_text(order)});
    node.types = {node.operands[1].type().with(view.dtype())};
    return {&body_, {body_.add_statement(std::move(node)), 0}};
  }
  Tile atomic_cas(const View& view, const std::vector<Tile>& indices, const Operand& expected, const Operand& value,
                  const Tile* mask = nullptr, Order order = Order::relaxed, Location at = Location::here()) {
    detail::Node node = indexed_node("atomic_cas", view, indices, {expected, value}, mask, at);
    node.attributes = order_text(order);
    node.types = {node.operands[1].type().with(view.dtype())};
    return {&body_, {body_.add_statement(std::move(node)), 0}};
  }

  // ---- reports ---------------------------------------------------------------------------------------------------

  void require(const Tile& condition, const std::string& message, Location at = Location::here()) {
    report("assert", {condition}, message, at);
  }
  void print(const std::string& message, const std::vector<Tile>& values = {}, Location at = Location::here()) {
    report("print", values, message, at);
  }

  // ---- loops and branches ----------------------------------------------------------------------------------------

  // for (i = low; i < high; i += step) body(i)
  template <typename F>
  void loop(const Operand& low, const Operand& high, const Operand& step, F body, Location at = Location::here()) {
    loop_carrying(
        low, high, step, std::array<Tile, 0>{},
        [&](const Tile& i, const std::array<Tile, 0>&) {
          body(i);
          return std::array<Tile, 0>{};
        },
        at);
  }
  // Carries values: auto [a, b] = k.loop(0, n, 1, carry(a0, b0), [&](Tile i, Tile a, Tile b) { return carry(..); })
  template <std::size_t N, typename F>
  std::array<Tile, N> loop(const Operand& low, const Operand& high, const Operand& step,
                           const std::array<Tile, N>& initial, F body, Location at = Location::here()) {
    return loop_carrying(
        low, high, step, initial,
        [&](const Tile& i, const std::array<Tile, N>& carried) {
          return std::apply([&](const auto&... values) { return std::array<Tile, N>(body(i, values...)); }, carried);
        },
        at);
  }
  template <typename F>
  Tile loop(const Operand& low, const Operand& high, const Operand& step, const Tile& initial, F body,
            Location at = Location::here()) {
    return loop_carrying(
        low, high, step, std::array<Tile, 1>{initial},
        [&](const Tile& i, const std::array<Tile, 1>& carried) { return std::array<Tile, 1>{body(i, carried[0])}; },
        at)[0];
  }
  // while (test(carried...)) carried = body(carried...)
  template <std::size_t N, typename Test, typename F>
  std::array<Tile, N> loop_while(const std::array<Tile, N>& initial, Test test, F body,
                                 Location at = Location::here()) {
    const std::vector<detail::Type> types = types_of(initial);
    const auto names = body_.begin("while", N, refs_of(initial), at);
    body_.close_region({std::apply(test, tiles_of<N>(body_.open_region("test", types))).ref()}, at);
    body_.close_region(refs_of(std::array<Tile, N>(std::apply(body, tiles_of<N>(body_.open_region("do", types))))), at);
    return tiles_of<N>(body_.end(names, types, at));
  }

  // if (condition) then()
  template <typename Then>
  void branch(const Tile& condition, Then then, Location at = Location::here()) {
    const auto names = body_.begin("if", 0, {condition.ref()}, at);
    body_.open_region("then", {});
    then();
    body_.close_region({}, at);
    body_.end(names, {}, at);
  }
  // What one of the two gives: auto [a, b] = k.branch(c, [&] { return carry(..); }, [&] { return carry(..); })
  template <typename Then, typename Else, typename Values = std::invoke_result_t<Then>>
  Values branch(const Tile& condition, Then then, Else otherwise, Location at = Location::here()) {
    constexpr std::size_t kCount = std::tuple_size<Values>::value;
    const auto names = body_.begin("if", kCount, {condition.ref()}, at);
    body_.open_region("then", {});
    const Values first = then();
    body_.close_region(refs_of(first), at);
    body_.open_region("else", {});
    const Values second = otherwise();
    body_.close_region(refs_of(second), at);
    return tiles_of<kCount>(body_.end(names, types_of(first), at));
  }

 private:
  friend class Module;

  detail::Ref argument(const std::string& name, const detail::Type& type, const std::string& facts) {
    arguments_ += (arguments_.empty() ? "%" : ", %") + name + ": " + type.text();
    if (!facts.empty()) arguments_ += " {" + facts + "}";
    return body_.make_refs({"%" + name}, {type}, {"", 0})[0];
  }
  Tile make(const char* op, std::vector<detail::Ref> operands, detail::Type type, std::string attributes, Location at) {
    return detail::make(&body_, op, std::move(operands), std::move(type), std::move(attributes), at);
  }
  Tile value_of(const Operand& operand, DType dtype) {
    if (!operand.tile()) return detail::constant(&body_, operand, detail::scalar_type(dtype));
    if (operand.tile()->dtype() != dtype)
      throw BuildError(operand.at(), operand.tile()->type().text() + " meets memory of " + detail::dtype_name(dtype));
    return *operand.tile();
  }
  detail::Ref index_of(const Operand& operand) {
    return operand.tile() ? operand.tile()->ref() : constant(DType::i32, operand).ref();
  }
  std::string extent_list(const std::vector<Extent>& extents, detail::Node& node) {
    std::string text;
    for (const Extent& extent : extents) {
      if (extent.tile()) node.operands.push_back(extent.tile()->ref());
      text += (text.empty() ? "" : ", ") + (extent.tile() ? "?" : extent.text(DType::i64));
    }
    return "[" + text + "]";
  }
  static void check_rank(const View& view, std::size_t indices, Location at) {
    if (indices != static_cast<std::size_t>(view.rank()))
      throw BuildError(at, std::to_string(indices) + " indices into " + view.ref().type().text());
  }
  detail::Node memory_node(const char* op, const View& view, const std::vector<Operand>& offsets, Location at) {
    check_rank(view, offsets.size(), at);
    detail::Node node;
    node.op = op;
    node.at = at;
    node.operands = {view.ref()};
    for (const Operand& offset : offsets) node.operands.push_back(index_of(offset));
    return node;
  }
  detail::Node indexed_node(const char* op, const View& view, const std::vector<Tile>& indices,
                            const std::vector<Operand>& values, const Tile* mask, Location at) {
    check_rank(view, indices.size(), at);
    detail::Node node;
    node.op = op;
    node.at = at;
    node.operands = {view.ref()};
    for (const Tile& index : indices) node.operands.push_back(index.ref());
    const detail::Type& shape = indices.front().type();
    for (const Operand& value : values)
      node.operands.push_back(detail::fit(&body_, value, shape.with(view.dtype())).ref());
    if (mask) node.operands.push_back(detail::fit(&body_, Operand(*mask, at), shape.with(DType::i1)).ref());
    return node;
  }
  Tile gather_if(const View& view, const std::vector<Tile>& indices, const Tile* mask, const Operand& pad,
                 Location at) {
    detail::Node node = indexed_node("gather", view, indices, {}, mask, at);
    node.types = {indices.front().type().with(view.dtype())};
    return add_load(std::move(node), pad);
  }
  Tile add_load(detail::Node node, const Operand& pad) {
    const std::string text = pad.text(node.types[0].dtype);
    if (text != "0" && text != "0.0" && text != "false") node.attributes = "pad=" + text;
    node.is_load = true;
    return {&body_, {body_.add(std::move(node)), 0}};
  }
  static std::string order_text(Order order) {
    static constexpr const char* kNames[] = {"", "order=acquire", "order=release", "order=acq_rel"};
    return kNames[static_cast<int>(order)];
  }
  void report(const char* op, const std::vector<Tile>& values, const std::string& message, Location at) {
    detail::Node node;
    node.op = op;
    node.at = at;
    for (const Tile& value : values) node.operands.push_back(value.ref());
    node.attributes = "message=\"";
    for (const char c : message) {
      if (c == '"' || c == '\\') node.attributes += '\\';
      node.attributes += c == '\n' ? std::string("\\n") : std::string(1, c);
    }
    node.attributes += '"';
    body_.add_statement(std::move(node));
  }

  template <std::size_t N>
  static std::vector<detail::Ref> refs_of(const std::array<Tile, N>& tiles) {
    std::vector<detail::Ref> refs;
    for (const Tile& tile : tiles) refs.push_back(tile.ref());
    return refs;
  }
  template <std::size_t N>
  static std::vector<detail::Type> types_of(const std::array<Tile, N>& tiles) {
    std::vector<detail::Type> types;
    for (const Tile& tile : tiles) types.push_back(tile.type());
    return types;
  }
  template <std::size_t N>
  std::array<Tile, N> tiles_of(const std::vector<detail::Ref>& refs, std::size_t first = 0) {
    return tiles_of(refs, first, std::make_index_sequence<N>());
  }
  template <std::size_t... I>
  std::array<Tile, sizeof...(I)> tiles_of([[maybe_unused]] const std::vector<detail::Ref>& refs,
                                          [[maybe_unused]] std::size_t first, std::index_sequence<I...>) {
    return {Tile(&body_, refs[first + I])...};
  }
  template <std::size_t N, typename F>
  std::array<Tile, N> loop_carrying(const Operand& low, const Operand& high, const Operand& step,
                                    const std::array<Tile, N>& initial, F body, Location at) {
    detail::Type index = detail::scalar_type(DType::i32);
    for (const Operand* bound : {&high, &low, &step})
      if (bound->tile()) index = bound->tile()->type();
    std::vector<detail::Ref> operands;
    for (const Operand* bound : {&low, &high, &step}) operands.push_back(detail::fit(&body_, *bound, index).ref());
    std::vector<detail::Type> types = types_of(initial);
    for (const Tile& tile : initial) operands.push_back(tile.ref());
    const auto names = body_.begin("for", N, operands, at);
    std::vector<detail::Type> arguments = types;
    arguments.insert(arguments.begin(), index);
    const auto inner = body_.open_region("do", arguments);
    body_.close_region(refs_of(body(Tile(&body_, inner[0]), tiles_of<N>(inner, 1))), at);
    return tiles_of<N>(body_.end(names, types, at));
  }

  detail::Body body_;
  std::string arguments_;
  std::map<std::string, long long> hints_;
};

// The compile-time parameters a kernel was made with: written down for people, logs and the tuner.
using Constants = std::vector<std::pair<std::string, long long>>;

class Module {
 public:
  template <typename F>
  void kernel(const std::string& name, const Constants& constants, F build) {
    Kernel k;
    build(k);
    const std::string body = k.body_.finish();
    text_ += "\nkernel @" + name + "(" + k.arguments_ + ")" + named_list("constexpr", constants) +
             named_list("hints", k.hints_) + " {\n" + body + "}\n";
    add_locations(name, k.body_.locations());
  }

  // flagos.tile; with the part that says where each operation was written, so that errors name the author's line.
  std::string text(bool with_locations = true) const {
    const std::string kernels = "flagos.tile 1.0\n" + text_;
    return with_locations && !files_.empty() ? kernels + "\nlocations\n" + file_lines_ + at_lines_ : kernels;
  }

 private:
  template <typename Pairs>
  static std::string named_list(const char* keyword, const Pairs& pairs) {
    std::string text;
    for (const auto& [name, value] : pairs) text += (text.empty() ? "" : ", ") + name + "=" + std::to_string(value);
    return text.empty() ? "" : std::string(" ") + keyword + "(" + text + ")";
  }
  void add_locations(const std::string& name, const std::vector<Location>& locations) {
    at_lines_ += "at @" + name + "\n";
    for (std::size_t i = 0; i < locations.size(); ++i) {
      at_lines_ += std::to_string(file_index(locations[i].file)) + ":" + std::to_string(locations[i].line);
      at_lines_ += i % 12 == 11 || i + 1 == locations.size() ? "\n" : " ";
    }
  }
  std::size_t file_index(const char* path) {
    const std::string file = detail::short_path(path);
    for (std::size_t i = 0; i < files_.size(); ++i)
      if (files_[i] == file) return i;
    files_.push_back(file);
    file_lines_ += "file \"" + file + "\"\n";
    return files_.size() - 1;
  }

  std::string text_, file_lines_, at_lines_;
  std::vector<std::string> files_;
};

}  // namespace flagos::tile

#endif
