// The in-memory form of flagos.tile: a module has kernels, a kernel a body of operations in static single assignment.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/dtype.hpp"
#include "compiler/op_table.hpp"

namespace flagos::compiler {

// What any module may have at most. Beyond, a module is refused, so that hostile text costs bounded time and memory.
struct Limits {
  static constexpr std::size_t text_bytes = std::size_t{16} << 20;
  static constexpr std::size_t kernels = 1024;
  static constexpr std::size_t arguments = 256;
  static constexpr std::size_t operations = 200'000;  // of a module
  static constexpr std::size_t list = 128;            // operands, results, attributes of one operation
  static constexpr int nesting = 48;
  static constexpr int rank = 6;
  static constexpr std::int64_t tile_elements = std::int64_t{1} << 20;
};

struct Type {
  enum class Kind : std::uint8_t { none, scalar, tile, pointer, view };
  Kind kind = Kind::none;
  DType dtype = DType::i32;
  std::uint8_t rank = 0;  // of a tile or view
  std::array<std::int32_t, Limits::rank> dims{};

  static Type scalar(DType dtype) { return {Kind::scalar, dtype, 0, {}}; }
  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_tile() const { return kind == Kind::tile; }
  bool is_data() const { return is_scalar() || is_tile(); }
  std::int64_t elements() const;
  // The same shape with other elements.
  Type with(DType other) const;
  bool same_shape(const Type& other) const { return kind == other.kind && rank == other.rank && dims == other.dims; }
  friend bool operator==(const Type&, const Type&) = default;
};
std::string print_type(const Type& type);

// `?` in a list of a view: the extent or stride is an operand.
inline constexpr std::int64_t kDynamic = INT64_MIN;

// name, or name=value. The rule of the operation says which member holds the value.
struct Attribute {
  enum class Form : std::uint8_t { flag, number, list, word, string };
  std::string name;
  Form form = Form::flag;
  std::string text;          // of a word or string; of a number as it was written, "" once it is resolved
  std::int64_t integer = 0;  // of a number: its integer, or the bits of a literal
  std::vector<std::int64_t> list;
};

using ValueId = std::uint32_t;
struct Block;

struct Op {
  OpCode code = OpCode::yield;
  std::uint32_t line = 0;  // in the text
  std::uint32_t column = 0;
  std::int32_t file = -1;  // of the author: index into Module::files
  std::uint32_t file_line = 0;
  std::vector<ValueId> operands;
  std::vector<ValueId> results;
  std::vector<Attribute> attributes;
  std::vector<Block> regions;

  const Attribute* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  // The attribute's value, or the default that the table of operations gives.
  std::int64_t integer(std::string_view name) const;
  std::string_view word(std::string_view name) const;
};

struct Block {
  std::vector<ValueId> arguments;
  std::vector<Op> ops;
};

struct Argument {
  std::string name;
  std::vector<Attribute> facts;
};

struct Kernel {
  std::string name;
  std::uint32_t line = 0;
  std::vector<Argument> arguments;   // they are values 0, 1, ...
  std::vector<Attribute> constants;  // constexpr(...): for people, logs and the tuner
  std::vector<Attribute> hints;
  std::vector<Type> values;  // type of every value, by its id
  Block body;
};

struct Module {
  std::vector<std::string> files;  // that locations name
  std::vector<Kernel> kernels;
};

}  // namespace flagos::compiler
