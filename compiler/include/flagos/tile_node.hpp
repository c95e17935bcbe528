// Part of flagos/tile.hpp: the expressions that an author's C++ builds, and how they become lines of text.
//
// C++ does not say in which order the operands of an expression are evaluated, and gcc and clang differ. So nothing is
// written when an expression is built: values are nodes, written with their operands left to right when a statement
// (a store, an atomic, a loop, a branch) needs them. Loads are written no later than the next statement.
#ifndef FLAGOS_TILE_NODE_HPP
#define FLAGOS_TILE_NODE_HPP

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace flagos::tile {

enum class DType { i1, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64, f8e4m3, f8e5m2 };

// Where the author wrote something: a default argument of everything that makes an operation.
struct Location {
  const char* file;
  int line;
  static constexpr Location here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

// A kernel that cannot be: shapes that do not match, a value used outside of its loop.
class BuildError : public std::logic_error {
 public:
  BuildError(Location at, const std::string& reason)
      : std::logic_error(std::string(at.file) + ":" + std::to_string(at.line) + ": " + reason) {}
};

namespace detail {

inline const char* dtype_name(DType dtype) {
  static constexpr const char* kNames[] = {"i1",  "i8",  "i16",  "i32", "i64", "u8",     "u16",   "u32",
                                           "u64", "f16", "bf16", "f32", "f64", "f8e4m3", "f8e5m2"};
  return kNames[static_cast<int>(dtype)];
}
inline bool is_float(DType dtype) { return dtype >= DType::f16; }

struct Type {
  enum class Kind { scalar, tile, pointer, view };
  Kind kind = Kind::scalar;
  DType dtype = DType::i32;
  std::vector<int> shape;  // of a tile; of a view, as many values as it has axes

  bool is_tile() const { return kind == Kind::tile; }
  bool operator==(const Type& other) const {
    return kind == other.kind && dtype == other.dtype && shape == other.shape;
  }
  Type with(DType other) const { return {kind, other, shape}; }
  std::string text() const {
    const std::string element = dtype_name(dtype);
    if (kind == Kind::scalar) return element;
    if (kind == Kind::pointer) return "ptr<" + element + ">";
    if (kind == Kind::view) return "view<" + element + ", " + std::to_string(shape.size()) + ">";
    std::string out = "tile<";
    for (const int extent : shape) out += std::to_string(extent) + "x";
    return out + element + ">";
  }
};

inline Type scalar_type(DType dtype) { return {Type::Kind::scalar, dtype, {}}; }
inline Type tile_type(DType dtype, std::vector<int> shape) {
  return shape.empty() ? scalar_type(dtype) : Type{Type::Kind::tile, dtype, std::move(shape)};
}

struct Node;
struct Ref {  // one result of a node
  std::shared_ptr<Node> node;
  std::size_t result = 0;
  const Type& type() const;
};

struct Region {  // of a reduction or scan: sees its own values only
  std::vector<Ref> arguments;
  std::vector<Ref> yields;
};

struct Node {
  std::string op;  // "" for an argument
  std::vector<Ref> operands;
  std::string attributes;
  std::vector<Type> types;  // of the results
  std::shared_ptr<Region> region;
  Location at{"", 0};
  bool is_load = false;
  std::vector<std::string> names;  // once it is written
  int scope = 0;                   // the region in which it was made
  std::uint64_t hash = 0;          // of what it computes: the same for every compiler
};

inline const Type& Ref::type() const { return node->types[result]; }

class Hash {
 public:
  void add(const std::string& text) {
    for (const char c : text) value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    value_ = (value_ ^ 0xffU) * 0x100000001b3U;
  }
  void add(std::uint64_t number) { add(std::to_string(number)); }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325U;
};

inline std::uint64_t hash_of(const Node& node) {
  Hash hash;
  hash.add(node.op);
  hash.add(node.attributes);
  for (const Type& type : node.types) hash.add(type.text());
  for (const std::string& name : node.names) hash.add(name);
  for (const Ref& operand : node.operands) {
    hash.add(operand.node->hash);
    hash.add(operand.result);
  }
  if (node.region)
    for (const Ref& yield : node.region->yields) {
      hash.add(yield.node->hash);
      hash.add(yield.result);
    }
  return hash.value();
}

// The last two parts of a path, so that text does not depend on where the source lies.
inline std::string short_path(const std::string& path) {
  std::size_t cut = path.rfind('/');
  if (cut != std::string::npos && cut > 0) cut = path.rfind('/', cut - 1);
  return cut == std::string::npos ? path : path.substr(cut + 1);
}

// Writes the body of one kernel.
class Body {
 public:
  using Ptr = std::shared_ptr<Node>;

  // A value that is not written yet. Its operands must be usable here.
  Ptr add(Node node) {
    for (const Ref& operand : node.operands) check_usable(*operand.node, node.at);
    node.scope = scopes_.back().id;
    node.hash = hash_of(node);
    auto made = std::make_shared<Node>(std::move(node));
    if (!made->op.empty()) pending_.push_back(made);
    return made;
  }

  // An operation that has an effect: what was loaded before is loaded first.
  Ptr add_statement(Node node) {
    flush(true);
    Ptr made = std::make_shared<Node>(std::move(node));
    made->scope = scopes_.back().id;
    write(made);
    made->hash = hash_of(*made);
    return made;
  }

  // Opens an operation with regions: writes all values that live, and the line without its result types. The names of
  // the results come back.
  std::vector<std::string> begin(const std::string& op, std::size_t results, const std::vector<Ref>& operands,
                                 Location at) {
    flush(false);
    for (const Ref& operand : operands) {
      check_usable(*operand.node, at);
      write(operand.node);
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < results; ++i) names.push_back(next_name());
    put_line_start(names, op, operands, "", at);
    types_at_.push_back(text_.size());
    return names;
  }

  std::vector<Ref> open_region(const std::string& keyword, const std::vector<Type>& types) {
    text_ += " " + keyword;
    scopes_.push_back({++last_scope_, {}});
    std::vector<Ref> arguments = put_region_arguments(types);
    text_ += " {\n";
    return arguments;
  }

  void close_region(const std::vector<Ref>& yields, Location at) {
    flush(true);
    for (const Ref& value : yields) {
      check_usable(*value.node, at);
      write(value.node);
    }
    put_line_start({}, "yield", yields, "", at);
    text_ += "\n";
    scopes_.pop_back();
    indent();
    text_ += "}";
  }

  std::vector<Ref> end(const std::vector<std::string>& names, const std::vector<Type>& types, Location at) {
    text_.insert(types_at_.back(), print_types(types));
    types_at_.pop_back();
    text_ += "\n";
    return make_refs(names, types, at);
  }

  // Values that have names from the start: arguments, results of loops.
  std::vector<Ref> make_refs(const std::vector<std::string>& names, const std::vector<Type>& types, Location at) {
    std::vector<Ref> refs;
    for (std::size_t i = 0; i < names.size(); ++i) {
      Node node;
      node.types = {types[i]};
      node.names = {names[i]};
      node.at = at;
      refs.push_back({add(std::move(node)), 0});
    }
    return refs;
  }

  // A region that is written with its node, later.
  std::shared_ptr<Region> begin_isolated(const std::vector<Type>& types, Location at) {
    if (building_isolated_) throw BuildError(at, "a body of a reduction, scan or call holds no other");
    building_isolated_ = true;
    scopes_.push_back({++last_scope_, {}});
    auto region = std::make_shared<Region>();
    for (std::size_t i = 0; i < types.size(); ++i) {
      Node node;
      node.types = {types[i]};
      node.at = at;
      node.attributes = std::to_string(i);  // for the hash: which argument
      region->arguments.push_back({add(std::move(node)), 0});
    }
    return region;
  }
  void end_isolated() {
    building_isolated_ = false;
    scopes_.pop_back();
  }

  // Writes what must be written before the body ends, and takes the text.
  std::string finish() {
    flush(true);
    return text_;
  }
  const std::vector<Location>& locations() const { return locations_; }

 private:
  struct Scope {
    int id;
    std::map<std::string, std::string> constants;  // that are written in it, and their names
  };

  void check_usable(const Node& node, Location at) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (scope->id == node.scope) return;
      if (building_isolated_) throw BuildError(at, "the body of a region sees its own values only");
    }
    throw BuildError(at, "a value is used outside of the loop, branch or region that made it");
  }

  // Writes values that still live and are not written: loads, or everything. The order follows from where they were
  // written and what they compute, not from when they were made.
  void flush(bool loads_only) {
    std::vector<Ptr> live;
    for (const auto& weak : pending_)
      if (Ptr node = weak.lock())
        if (node->names.empty()) live.push_back(std::move(node));
    pending_.assign(live.begin(), live.end());
    std::set<const Node*> used;
    for (const Ptr& node : live)
      for (const Ref& operand : node->operands) used.insert(operand.node.get());
    std::vector<Ptr> roots;
    for (const Ptr& node : live)
      if (used.count(node.get()) == 0 && is_open(*node)) roots.push_back(node);
    std::map<const Node*, int> lines;
    std::stable_sort(roots.begin(), roots.end(), [&](const Ptr& a, const Ptr& b) {
      return std::make_tuple(std::string(a->at.file), first_line(*a, lines), a->hash) <
             std::make_tuple(std::string(b->at.file), first_line(*b, lines), b->hash);
    });
    std::set<const Node*> seen;
    for (const Ptr& root : roots) {
      if (loads_only) {
        write_loads(root, seen);
      } else {
        write(root);
      }
    }
  }

  // Where an expression starts. Of an expression over several lines, compilers name different lines as that of an
  // operator, but agree on the first.
  static int first_line(const Node& node, std::map<const Node*, int>& lines) {
    const auto known = lines.find(&node);
    if (known != lines.end()) return known->second;
    int line = node.at.line;
    for (const Ref& operand : node.operands)
      if (operand.node->names.empty() && std::string(operand.node->at.file) == node.at.file)
        line = std::min(line, first_line(*operand.node, lines));
    lines[&node] = line;
    return line;
  }

  bool is_open(const Node& node) const {
    return std::any_of(scopes_.begin(), scopes_.end(), [&](const Scope& scope) { return scope.id == node.scope; });
  }

  // `seen`: an expression may use a value many times, and is walked once.
  void write_loads(const Ptr& node, std::set<const Node*>& seen) {
    if (!node->names.empty() || !seen.insert(node.get()).second) return;
    for (const Ref& operand : node->operands) write_loads(operand.node, seen);
    if (node->is_load) write(node);
  }

  void write(const Ptr& node) {
    if (!node->names.empty() || (node->op.empty() && node->names.empty())) {
      if (node->names.empty()) throw BuildError(node->at, "a region's argument is used outside of it");
      return;
    }
    if (node->op == "const" && reuse_constant(*node)) return;
    for (const Ref& operand : node->operands) write(operand.node);
    for (std::size_t i = 0; i < node->types.size(); ++i) node->names.push_back(next_name());
    put_line_start(node->names, node->op, node->operands, node->attributes, node->at);
    text_ += print_types(node->types);
    if (node->region) put_isolated(*node->region, node->at);
    text_ += "\n";
    if (node->op == "const") scopes_.back().constants[constant_key(*node)] = node->names[0];
    node->scope = scopes_.back().id;
  }

  static std::string constant_key(const Node& node) { return node.attributes + " : " + node.types[0].text(); }

  bool reuse_constant(Node& node) {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      const auto found = scope->constants.find(constant_key(node));
      if (found != scope->constants.end()) {
        node.names = {found->second};
        node.scope = scope->id;
        return true;
      }
      if (scope->id == isolated_) break;
    }
    return false;
  }

  void put_isolated(const Region& region, Location at) {
    text_ += " with";
    scopes_.push_back({++last_scope_, {}});
    const int outer = std::exchange(isolated_, last_scope_);
    for (std::size_t i = 0; i < region.arguments.size(); ++i) {
      Node& argument = *region.arguments[i].node;
      argument.names = {next_name()};
      text_ += (i == 0 ? " (" : ", ") + argument.names[0] + ": " + argument.types[0].text();
    }
    text_ += ") {\n";
    for (const Ref& value : region.yields) write(value.node);
    put_line_start({}, "yield", region.yields, "", at);
    text_ += "\n";
    isolated_ = outer;
    scopes_.pop_back();
    indent();
    text_ += "}";
  }

  std::vector<Ref> put_region_arguments(const std::vector<Type>& types) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < types.size(); ++i) {
      names.push_back(next_name());
      text_ += (i == 0 ? " (" : ", ") + names[i] + ": " + types[i].text();
    }
    if (!types.empty()) text_ += ")";
    return make_refs(names, types, {"", 0});
  }

  static std::string print_types(const std::vector<Type>& types) {
    std::string text;
    for (const Type& type : types) text += (text.empty() ? " : " : ", ") + type.text();
    return text;
  }

  void put_line_start(const std::vector<std::string>& results, const std::string& op, const std::vector<Ref>& operands,
                      const std::string& attributes, Location at) {
    locations_.push_back(at);
    indent();
    for (std::size_t i = 0; i < results.size(); ++i) text_ += (i == 0 ? "" : ", ") + results[i];
    text_ += (results.empty() ? "" : " = ") + op;
    for (std::size_t i = 0; i < operands.size(); ++i)
      text_ += (i == 0 ? " " : ", ") + operands[i].node->names[operands[i].result];
    if (!attributes.empty()) text_ += " {" + attributes + "}";
  }

  void indent() { text_.append(scopes_.size() * 2, ' '); }
  std::string next_name() { return "%" + std::to_string(next_++); }

  std::string text_;
  std::vector<Location> locations_;
  std::vector<Scope> scopes_{{0, {}}};
  std::vector<std::size_t> types_at_;
  std::vector<std::weak_ptr<Node>> pending_;
  int last_scope_ = 0;
  int isolated_ = -1;  // the scope of the isolated region that is written
  bool building_isolated_ = false;
  unsigned next_ = 0;
};

}  // namespace detail
}  // namespace flagos::tile

#endif
