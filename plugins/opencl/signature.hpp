// What a kernel takes: its parameters, where each stands in the packed block, and which arguments of
// the driver's kernel they become.
#pragma once

#include <flagos_plugin.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flagos::opencl {

enum class ArgumentKind : std::uint8_t {
  value,
  address,  // a __global or __constant pointer
  local,    // a __local pointer: gets the launch's shared bytes, stands not in the block
  failure   // flagos_failure, see base/held_queue.hpp: stands not in the block
};

struct Argument {
  ArgumentKind kind = ArgumentKind::value;
  bool is_constant = false;  // __constant
  flagos_dtype_t dtype = FLAGOS_DTYPE_NONE;
  std::uint32_t size_bytes = 0;
  std::uint32_t alignment_bytes = 1;
  std::uint32_t offset_bytes = 0;
  std::string type;  // as the driver names it: "uint*", "float4", "struct point"
  std::string name;

  bool is_in_block() const noexcept {
    return kind == ArgumentKind::value || kind == ArgumentKind::address;
  }
  // A type that the source makes itself, see Program::measure.
  bool has_unknown_type() const noexcept { return kind == ArgumentKind::value && size_bytes == 0; }
};

struct Signature {
  std::string name;
  std::vector<Argument> arguments;  // in the order of the source
  std::uint32_t argument_bytes = 0;
  std::uint32_t fixed_block[3] = {0, 0, 0};  // reqd_work_group_size; 0: none
  std::string unusable;                      // why it cannot be launched; "" when it can

  bool has_unknown_type() const noexcept {
    return std::any_of(arguments.begin(), arguments.end(),
                       [](const Argument& argument) { return argument.has_unknown_type(); });
  }
};

// Fills dtype, size and alignment of a value from its type's name; false for a type that is not
// built in, whose size only a compiler knows.
bool set_builtin_type(Argument& argument);
// Sets the offsets, as a C struct of the parameters has them, and the size of the block.
void lay_out(Signature& signature);
// Throws INVALID_ARGUMENT where a signature given by the caller contradicts the kernel's own.
void check_given(const Signature& signature, const flagos_kernel_desc_t& desc);

}  // namespace flagos::opencl
