// What the SIMT lowering asks of a language. The lowering writes the C that all of them share: the types i32, u32, i64,
// u64, f32, f64 and bool, functions that take and give values, private arrays, and the words of a group's local memory
// as `L[i]`. A dialect defines what differs, mostly as macros; docs/add-a-dialect.md lists them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "compiler/lower.hpp"
#include "compiler/simt_tiling.hpp"

namespace flagos::compiler {

struct SimtKernel {
  const Kernel* kernel = nullptr;
  std::uint32_t threads = 0;
  std::uint32_t local_words = 0;  // of 32 bits
  bool fails = false;             // has the word of failure
  std::string body;
};

// What a text uses that not every device has.
struct SimtNeeds {
  bool f64 = false;
  bool atomic = false;         // any
  bool atomic64 = false;       // of 64 bits
  bool strict = false;         // an operation that must not be contracted
  bool tensor = false;         // tensor cores, and copies to local memory that go on beside the work
  bool tensor_f8 = false;      // tensor cores for f8
  bool shared_memory = false;  // threads read what others of their group wrote to global memory
};

class SimtDialect {
 public:
  virtual ~SimtDialect() = default;
  // Everything before the functions that all dialects share.
  virtual std::string prelude(const Module& module, const SimtNeeds& needs) const = 0;
  // The kernel as a whole, around its body, which uses t (this thread), group_id(axis) and group_count(axis).
  virtual std::string kernel(const SimtKernel& kernel) const = 0;
  // What the text calls a kernel.
  virtual std::string symbol(const Kernel& kernel) const { return kernel.name; }
  // The language's own function of f32 or f64 for an operation, "" where it has none that is exact enough.
  virtual std::string function(OpCode code, DType dtype) const = 0;
  // What stands before the letter of a conversion of 64 bits in the language's printf; nothing where it has no printf.
  virtual std::optional<std::string_view> printf_length() const { return std::nullopt; }
  // Which tensor cores of the target the dialect can use.
  virtual TensorCores tensor_cores(const Target&) const { return {}; }
  // `#line` for the statement that follows.
  virtual std::string location(std::uint32_t line, std::string_view file) const = 0;
};

// The type in OpenCL C of an element in memory, or of an argument.
std::string_view opencl_type(DType dtype);

std::unique_ptr<SimtDialect> make_opencl_c();
std::unique_ptr<SimtDialect> make_glsl();
std::unique_ptr<SimtDialect> make_cuda_c();

}  // namespace flagos::compiler
