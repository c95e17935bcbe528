// What the serial schedule asks of a language with vectors. It writes the C that the languages share: the element types
// (i8 to f64, and f16, bf16, f8 and i1 as they lie in memory), pointers to them, loops, and functions by name. A lane is
// what a vector is made of: f16, bf16 and f8 are computed as f32, i1 is a mask. A number of lanes of 1 is a scalar.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/lower.hpp"

namespace flagos::compiler::serial {

class Writer;

// Where a pointer leads: to a program's own places, or to what the caller has given.
enum class Area : std::uint8_t { scratch, memory };

// How products of bf16 are multiplied: as f32, two at a time (AVX-512 BF16), or in tiles (AMX).
enum class Bf16 : std::uint8_t { plain, pairs, tiles };

struct SerialKernel {
  const Kernel* kernel = nullptr;
  std::size_t index = 0;  // in its module
  std::size_t scratch_bytes = 0;
  bool fails = false;
  bool has_location = false;
  Bf16 bf16 = Bf16::plain;
  std::string body;
};

// What the kernels of a text use beside.
struct SerialNeeds {
  bool fails = false;
  bool dot = false;
  Bf16 bf16 = Bf16::plain;
};

// A factor of a product: where its elements lie, and which of them are there (expressions of a Range).
struct Factor {
  Area area = Area::scratch;
  DType dtype = DType::f32;
  std::string data, row, column, rows, columns, inside = "true";
};
struct Product {
  Factor a, b;
  DType dtype = DType::f32;  // of the sum
  std::string c;
  std::int64_t m = 0, n = 0, k = 0;
  Bf16 bf16 = Bf16::plain;
};

// Which of many floats is looked for.
struct Extreme {
  bool least = false, ignores_nan = false;
  DType dtype = DType::f32;
  int lanes = 0;
};

class SerialDialect {
 public:
  virtual ~SerialDialect() = default;

  // ---- types, constants ----
  virtual std::string vector_type(DType lane, int lanes) const = 0;  // where a value of it is declared with its value
  virtual std::string pointer_type(Area area, DType dtype) const = 0;
  virtual std::string literal(DType dtype, std::uint64_t bits) const = 0;         // as a scalar lane
  virtual std::string memory_literal(DType dtype, std::uint64_t bits) const = 0;  // as an element in memory

  // ---- functions ----
  // The name to call a function of the prelude by; `area` and `lanes` tell which one where it comes in several.
  virtual std::string function(std::string_view name, Area area, DType dtype, int lanes) const = 0;
  std::string function(std::string_view name, DType dtype, int lanes = 1) const {
    return function(name, Area::scratch, dtype, lanes);
  }
  // An elementwise operation, cast, bitcast or select of lanes that have names. `from` is the type of operand 0.
  virtual std::string elementwise(const Op& op, DType from, DType to, int lanes,
                                  const std::vector<std::string>& operands) const = 0;
  // The least or the greatest of many floats: a variable `name` that holds it, takes lanes in, joins another one.
  virtual std::string begin_extreme(const Extreme& of, const std::string& name) const = 0;
  virtual std::string take_extreme(const Extreme& of, const std::string& name, const std::string& x) const = 0;
  virtual std::string join_extreme(const Extreme& of, const std::string& name, const std::string& other) const = 0;
  virtual std::string end_extreme(Writer& out, const Extreme& of, const std::string& name) const = 0;
  // One value of all lanes; may write statements.
  virtual std::string fold(Writer& out, std::string_view how, std::string_view nan, DType dtype, int lanes,
                           const std::string& x) const = 0;
  virtual std::string reference(const std::string& name) const = 0;  // how a result is handed to a function

  // ---- a kernel ----
  virtual std::string argument(std::size_t index) const = 0;
  virtual std::string program(bool count, std::int64_t axis) const = 0;  // which one, or how many there are
  // A statement that returns: with the author's text, or a word that stands for it.
  virtual std::string fail(const std::string& text, std::uint32_t word, const std::string& element) const = 0;
  // Text and values for the host. False where the language has no way to.
  virtual bool print(Writer& out, const std::string& text, const std::vector<Type>& types,
                     const std::vector<std::string>& values) const = 0;
  // The old value at `pointer`, which the operation changes.
  virtual std::string atomic(const Op& op, DType dtype, const std::string& pointer,
                             const std::vector<std::string>& values) const = 0;
  virtual void product(Writer& out, const Product& product) const = 0;
  // Rows of a product that are held in registers at once; its panels have two vectors.
  virtual int rows_at_once() const = 0;

  // ---- the text ----
  virtual std::string symbol(const Kernel& kernel) const { return kernel.name; }  // what the text calls a kernel
  virtual std::string text(const Module& module, const std::vector<SerialKernel>& kernels,
                           const SerialNeeds& needs) const = 0;
  virtual std::uint64_t launch_scratch(std::size_t bytes) const = 0;  // of a program, for the launch record
  virtual std::vector<std::string> options(const SerialNeeds& needs) const = 0;

  // `a` combined with `b` as reduce, scan and atomics name it: "add", "min", ...
  std::string combine(std::string_view name, std::string_view nan, DType dtype, int lanes, std::string_view a,
                      std::string_view b) const;
  // What leaves the other operand of `combine` as it is.
  std::string identity(std::string_view name, std::string_view nan, DType dtype) const;
};

std::string lane_type(DType dtype);
DType lane_dtype(DType dtype);
std::string memory_type(DType dtype);
std::string integer(std::int64_t value);
std::string quote(std::string_view text);

std::unique_ptr<SerialDialect> make_gnu_cxx(const Target& target);
std::unique_ptr<SerialDialect> make_opencl_lanes(const Target& target);

}  // namespace flagos::compiler::serial
