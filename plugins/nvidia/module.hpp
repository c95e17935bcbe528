// Device code that was loaded, and what the compiler makes of CUDA C++.
#pragma once

#include <flagos_plugin.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "plugins/nvidia/device.hpp"
#include "plugins/nvidia/driver.hpp"

namespace flagos::nvidia {

class Kernel;
struct Signature;

class Module {
 public:
  // `image` is of `format`, one that the driver loads; `given` is what the program gave. In the device's context.
  Module(Device& device, const std::string& format, std::span<const std::byte> image,
         std::vector<std::byte> given, std::string log);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  Device& device() const noexcept { return device_; }
  const Host& host() const noexcept { return device_.host(); }
  CUmodule handle() const noexcept { return handle_; }
  const std::vector<std::byte>& given() const noexcept { return given_; }
  const std::string& log() const noexcept { return log_; }
  const std::vector<std::string>& names() const noexcept { return names_; }
  Kernel& get_kernel(const flagos_kernel_desc_t& desc);
  // False when there is none.
  bool find_signature(const std::string& kernel, Signature* out_signature) const;
  bool find_global(const char* name, CUdeviceptr* out_address, std::size_t* out_size) const;

 private:
  void load(const std::string& format, std::span<const std::byte> image);
  std::vector<std::string> list_names(const std::string& format,
                                      std::span<const std::byte> image) const;

  Device& device_;
  const Driver& driver_;
  CUmodule handle_ = nullptr;
  const std::vector<std::byte> given_;
  std::string log_;
  std::vector<std::string> names_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Kernel>> kernels_;  // by name and signature
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
flagos_status_t module_get_global(flagos_plugin_module_t* module, const char* name,
                                  flagos_address_t* out_address,
                                  std::uint64_t* out_size_bytes) noexcept;
flagos_status_t module_get_log(flagos_plugin_module_t* module, const char** out_text) noexcept;
flagos_status_t module_get_binary(flagos_plugin_module_t* module, const void** out_data,
                                  std::uint64_t* out_size_bytes) noexcept;
flagos_status_t module_compile(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                               flagos_compiled_t* out_compiled) noexcept;
void module_free_compiled(flagos_plugin_device_t* device, flagos_compiled_t* compiled) noexcept;
flagos_status_t module_get_compiler(flagos_plugin_device_t* device, const char* format,
                                    const char** out_identity) noexcept;

}  // namespace flagos::nvidia
