// A module: a shared object, given as a file or as bytes, checked before the dynamic linker sees it
// and loaded from memory of its own, so that two loads are independent and a file that changes
// later does not matter.
#pragma once

#include <flagos_cpu_kernel.h>
#include <flagos_plugin.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/elf.hpp"
#include "base/plugin_host.hpp"
#include "plugins/cpu/child_compiler.hpp"
#include "plugins/cpu/interpreter.hpp"
#include "plugins/cpu/kernel.hpp"

namespace flagos::cpu {

constexpr const char* module_format = "elf-so";

using Image = std::vector<std::byte>;

// The bytes that a desc names. Throws NOT_FOUND for a path where there is no file.
Image read_image(const flagos_module_desc_t& desc);

// A loaded shared object.
class SharedObject {
 public:
  explicit SharedObject(std::span<const std::byte> image);
  ~SharedObject();
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  void* find(const std::string& symbol) const noexcept;

 private:
  void* handle_;
};

class Module {
 public:
  Module(const Host& host, Image image);
  // Portable kernels for the interpreter; `text` is kept as the image.
  Module(const Host& host, const CompilerLibrary& library, Image text);

  const Host& host() const noexcept { return host_; }
  Kernel& get_kernel(const flagos_kernel_desc_t& desc);
  const std::vector<std::string>& kernel_names() const noexcept { return names_; }
  const Image& image() const noexcept { return image_; }
  const std::string& log() const noexcept { return log_; }
  // What the compiler said, before the module is handed out.
  void add_log(const std::string& text) {
    if (!text.empty()) log_ += "\n" + text;
  }
  // Throws NOT_FOUND.
  std::span<std::byte> get_global(const std::string& name) const;

 private:
  const ElfSymbol* find_symbol(const std::string& name) const noexcept;
  const flagos_cpu_kernel_t* find_descriptor(const std::string& name) const;
  std::unique_ptr<Kernel> make_kernel(const flagos_kernel_desc_t& desc);
  std::unique_ptr<Kernel> make_interpreted(const flagos_kernel_desc_t& desc);
  bool has_own_signature(const std::string& name) const noexcept;

  const Host& host_;
  const Image image_;
  const ElfLibrary symbols_;
  const std::optional<SharedObject> object_;
  const std::unique_ptr<const Interpreter> interpreter_;
  std::vector<std::string> names_;
  std::string log_;
  std::mutex mutex_;
  std::multimap<std::string, std::unique_ptr<Kernel>>
      kernels_;  // one name may have several signatures
};

// The kernels of a shared object by name: native ones first, then the other exported functions.
std::vector<std::string> list_kernels(const ElfLibrary& symbols);

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

}  // namespace flagos::cpu
