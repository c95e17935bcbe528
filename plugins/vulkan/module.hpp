// Modules: SPIR-V, given as it is or compiled from GLSL.
//
// The convention for kernels (README.md tells it at length):
//  - a kernel is a compute entry point; its name is the entry point's;
//  - its arguments are one block: the push constants, or, where they do not fit the device, the
//    uniform or storage buffer at set 0, binding 0. The parameters are the block's members in order,
//    at the offsets that the module says; an array of 8-bit integers, or a struct, is a struct by
//    value, another array of scalars as many parameters;
//  - memory is passed as an address: a buffer_reference, or a 64-bit integer called ..._address.
//    ..._bf16 and ..._bool name the types that GLSL does not have;
//  - the block size is the launch's: local_size_x_id, _y_id and _z_id (or LocalSizeId) are set. A
//    fixed size is the only one that a launch may ask for;
//  - specialization constant 3 is the launch's dynamic shared memory in bytes, at least 16;
//  - a last member `flagos_status`, a buffer_reference to an int, is no parameter: what the kernel
//    writes there, if it is not 0, is the status that the launch fails with.
#pragma once

#include <flagos_plugin.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plugins/vulkan/driver.hpp"
#include "plugins/vulkan/kernel.hpp"
#include "plugins/vulkan/spirv.hpp"

namespace flagos::vulkan {

class Device;

class Module {
 public:
  Module(Device& device, std::span<const std::byte> image);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  Device& device() const noexcept { return device_; }
  Kernel& kernel(const std::string& name) const;
  const Kernel* kernel_at(std::size_t index) const noexcept {
    return index < kernels_.size() ? kernels_[index].get() : nullptr;
  }
  const std::vector<std::byte>& image() const noexcept { return image_; }
  std::string log;

 private:
  void add(std::span<const std::uint32_t> words);
  void release() noexcept;

  Device& device_;
  const std::vector<std::byte> image_;
  std::vector<VkShaderModule> shaders_;
  std::vector<std::unique_ptr<Kernel>> kernels_;
};

// Several modules in one image: a mark, their number, and each behind its number of words.
std::vector<std::byte> pack_modules(const std::vector<Words>& modules);

flagos_status_t module_get_format(flagos_plugin_device_t* device, std::uint32_t index,
                                  flagos_format_info_t* out_info) noexcept;
flagos_status_t module_load(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                            flagos_plugin_module_t** out_module) noexcept;
void module_unload(flagos_plugin_module_t* module) noexcept;
flagos_status_t module_get_kernel(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                                  flagos_plugin_kernel_t** out_kernel) noexcept;
flagos_status_t module_get_kernel_name(flagos_plugin_module_t* module, std::uint32_t index,
                                       const char** out_name) noexcept;
flagos_status_t module_get_log(flagos_plugin_module_t* module, const char** out_text) noexcept;
flagos_status_t module_get_binary(flagos_plugin_module_t* module, const void** out_data,
                                  std::uint64_t* out_size_bytes) noexcept;
flagos_status_t module_compile(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                               flagos_compiled_t* out_compiled) noexcept;
void module_free_compiled(flagos_plugin_device_t* device, flagos_compiled_t* compiled) noexcept;

}  // namespace flagos::vulkan
