// Device code: formats, compile, load, and the kernels of a loaded program.
#pragma once

#include <flagos_plugin.h>

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "plugins/opencl/device.hpp"
#include "plugins/opencl/program.hpp"

namespace flagos::opencl {

class Kernel;

class Module {
 public:
  Module(Device& device, Program program, std::vector<std::byte> image);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  Device& device() const noexcept { return device_; }
  const Host& host() const noexcept { return device_.host(); }
  const Program& program() const noexcept { return program_; }
  const std::vector<std::byte>& image() const noexcept { return image_; }
  // One object per name. Throws NOT_FOUND with the names there are.
  Kernel& get_kernel(const flagos_kernel_desc_t& desc);

 private:
  Device& device_;
  Program program_;  // its signatures stay where they are
  const std::vector<std::byte> image_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::unique_ptr<Kernel>> kernels_;
};

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

}  // namespace flagos::opencl
