// What a SPIR-V module tells of its kernels: names, arguments, block sizes, shared memory. The bytes
// are judged by the validator of SPIRV-Tools first (spirv_validate.cpp).
#pragma once

#include <flagos.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace flagos::vulkan {

using Words = std::vector<std::uint32_t>;

// One dimension of a block, or another number that a pipeline may set.
struct SpirvSize {
  static constexpr std::uint32_t fixed = UINT32_MAX;
  std::uint32_t spec_id = fixed;
  std::uint32_t value = 1;  // when it is fixed
};

enum class ArgumentBlock { push_constants, storage_buffer, uniform_buffer };

// A buffer that is bound to a kernel: the argument at this offset is an address in it.
struct SpirvBuffer {
  std::uint32_t binding;
  std::uint32_t offset = UINT32_MAX;
};

struct SpirvKernel {
  std::string name;
  ArgumentBlock block = ArgumentBlock::push_constants;
  std::uint32_t block_bytes = 0;     // with what is hidden
  std::uint32_t argument_bytes = 0;  // of the caller's block
  std::vector<flagos_parameter_t> parameters;
  std::vector<std::uint32_t> address_offsets;  // without those in bound buffers
  std::uint32_t status_offset = UINT32_MAX;    // of the hidden member flagos_status
  std::vector<SpirvBuffer> buffers;
  SpirvSize size[3];
  std::uint32_t static_shared_bytes = 0;
  bool has_dynamic_shared = false;
};

struct SpirvModule {
  std::vector<SpirvKernel> kernels;
  std::vector<std::uint32_t> capabilities;
};

// The specialization constant that holds the dynamic shared memory, in bytes.
constexpr std::uint32_t shared_spec_id = 3;

// Throws INVALID_IMAGE, or UNSUPPORTED for a module that is none of Vulkan's.
void validate_spirv(std::span<const std::uint32_t> words, std::uint32_t api_version);
// Throws INVALID_IMAGE for a kernel that does not keep to the convention of module.hpp.
SpirvModule reflect_spirv(std::span<const std::uint32_t> words);
// Names its one entry point; for compilers that call it main.
Words rename_entry_point(std::span<const std::uint32_t> words, const std::string& name);

}  // namespace flagos::vulkan
