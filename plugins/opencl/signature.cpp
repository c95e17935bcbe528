#include "plugins/opencl/signature.hpp"

#include <algorithm>
#include <charconv>

#include "base/error.hpp"

namespace flagos::opencl {
namespace {

struct Scalar {
  std::string_view name;
  flagos_dtype_t dtype;
  std::uint32_t size_bytes;
};

// The flagos_ names are typedefs that a source makes where OpenCL C has no such type by value.
constexpr Scalar scalars[] = {
    {"char", FLAGOS_DTYPE_INT8, 1},
    {"signed char", FLAGOS_DTYPE_INT8, 1},
    {"uchar", FLAGOS_DTYPE_UINT8, 1},
    {"unsigned char", FLAGOS_DTYPE_UINT8, 1},
    {"short", FLAGOS_DTYPE_INT16, 2},
    {"ushort", FLAGOS_DTYPE_UINT16, 2},
    {"unsigned short", FLAGOS_DTYPE_UINT16, 2},
    {"int", FLAGOS_DTYPE_INT32, 4},
    {"uint", FLAGOS_DTYPE_UINT32, 4},
    {"unsigned int", FLAGOS_DTYPE_UINT32, 4},
    {"long", FLAGOS_DTYPE_INT64, 8},
    {"ulong", FLAGOS_DTYPE_UINT64, 8},
    {"unsigned long", FLAGOS_DTYPE_UINT64, 8},
    {"half", FLAGOS_DTYPE_FLOAT16, 2},
    {"float", FLAGOS_DTYPE_FLOAT32, 4},
    {"double", FLAGOS_DTYPE_FLOAT64, 8},
    {"flagos_float16_t", FLAGOS_DTYPE_FLOAT16, 2},
    {"flagos_bfloat16_t", FLAGOS_DTYPE_BFLOAT16, 2},
    {"flagos_bool_t", FLAGOS_DTYPE_BOOL, 1},
    {"flagos_address_t", FLAGOS_DTYPE_ADDRESS, 8},
};

const Scalar* find_scalar(std::string_view name) {
  const auto* found = std::find_if(std::begin(scalars), std::end(scalars),
                                   [&](const Scalar& scalar) { return scalar.name == name; });
  return found != std::end(scalars) ? found : nullptr;
}

// "float4" is "float" and 4; 0 when there is no such number behind the name.
std::uint32_t split_lanes(std::string_view& name) {
  const auto digits = name.find_last_not_of("0123456789") + 1;
  std::uint32_t lanes = 0;
  std::from_chars(name.data() + digits, name.data() + name.size(), lanes);
  name = name.substr(0, digits);
  const bool is_known = lanes == 2 || lanes == 3 || lanes == 4 || lanes == 8 || lanes == 16;
  return is_known ? lanes : 0;
}

}  // namespace

bool set_builtin_type(Argument& argument) {
  if (const Scalar* scalar = find_scalar(argument.type)) {
    argument.dtype = scalar->dtype;
    argument.size_bytes = argument.alignment_bytes = scalar->size_bytes;
    return true;
  }
  std::string_view name = argument.type;
  const std::uint32_t lanes = split_lanes(name);
  const Scalar* scalar = find_scalar(name);
  if (lanes == 0 || scalar == nullptr) return false;
  // Opaque bytes to the contract, whose scalars have at most 8; three lanes take the room of four.
  argument.dtype = FLAGOS_DTYPE_BYTES;
  argument.size_bytes = scalar->size_bytes * (lanes == 3 ? 4 : lanes);
  argument.alignment_bytes = std::min<std::uint32_t>(64, argument.size_bytes);
  return true;
}

void lay_out(Signature& signature) {
  std::uint32_t end = 0;
  std::uint32_t alignment = 1;
  const auto round_up = [](std::uint32_t value, std::uint32_t unit) {
    return (value + unit - 1) / unit * unit;
  };
  for (Argument& argument : signature.arguments) {
    if (!argument.is_in_block()) continue;
    argument.offset_bytes = round_up(end, argument.alignment_bytes);
    end = argument.offset_bytes + argument.size_bytes;
    alignment = std::max(alignment, argument.alignment_bytes);
  }
  signature.argument_bytes = round_up(end, alignment);
}

void check_given(const Signature& signature, const flagos_kernel_desc_t& desc) {
  if (desc.parameters == nullptr) return;
  std::vector<const Argument*> own;
  for (const Argument& argument : signature.arguments)
    if (argument.is_in_block()) own.push_back(&argument);
  if (desc.parameter_count != own.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "kernel '{}' has {} parameters, the signature given has {}", signature.name,
                own.size(), desc.parameter_count);
  for (std::size_t i = 0; i < own.size(); ++i) {
    const flagos_parameter_t& given = desc.parameters[i];
    if (given.dtype != own[i]->dtype || given.size_bytes != own[i]->size_bytes ||
        given.offset_bytes != own[i]->offset_bytes)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "parameter {} ('{}') of kernel '{}' has dtype {:#x} and {} bytes at {}; the "
                  "signature given says dtype {:#x} and {} bytes at {}",
                  i, own[i]->name, signature.name, own[i]->dtype, own[i]->size_bytes,
                  own[i]->offset_bytes, given.dtype, given.size_bytes, given.offset_bytes);
  }
}

}  // namespace flagos::opencl
