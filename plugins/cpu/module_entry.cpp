// The module functions as core calls them, and the check of an object without loading it.
#include <algorithm>
#include <cstring>
#include <utility>

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/module.hpp"

namespace flagos::cpu {
namespace {

#if defined(__x86_64__)
constexpr const char* target_name = "x86_64";
#elif defined(__aarch64__)
constexpr const char* target_name = "aarch64";
#else
constexpr const char* target_name = "";
#endif

struct Compiled {
  Image image;
  std::string log;
};

// One block holds both, the text in front: freeing the text frees all.
void hand_over(const Compiled& compiled, flagos_compiled_t& out) {
  const std::size_t text_bytes = (compiled.log.size() + 1 + 63) / 64 * 64;
  auto* block = static_cast<char*>(::operator new(text_bytes + compiled.image.size()));
  std::memcpy(block, compiled.log.c_str(), compiled.log.size() + 1);
  if (!compiled.image.empty()) {
    std::memcpy(block + text_bytes, compiled.image.data(), compiled.image.size());
    out.data = block + text_bytes;
  }
  out.size_bytes = compiled.image.size();
  out.format = module_format;
  out.log = block;
}

void check_options(const flagos_module_desc_t& desc) {
  if (desc.options != nullptr && *desc.options != '\0')
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "options '{}': a shared object takes none",
                desc.options);
}

// `compiled` gets the image only if that is a complete shared object.
void check_object(const flagos_module_desc_t& desc, Compiled& compiled) {
  check_options(desc);
  Image image = read_image(desc);
  const ElfLibrary symbols = read_elf_library(image);
  compiled.log = fmt::format("{}: {}", module_format, fmt::join(list_kernels(symbols), ", "));
  compiled.image = std::move(image);
}

}  // namespace

flagos_status_t module_get_format(flagos_plugin_device_t*, std::uint32_t index,
                                  flagos_format_info_t* out_info) noexcept {
  if (index != 0) return FLAGOS_STATUS_NOT_FOUND;
  out_info->flags = FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE | FLAGOS_FORMAT_FLAG_PATH |
                    FLAGOS_FORMAT_FLAG_REFLECTION;
  std::strncpy(out_info->name, module_format, sizeof(out_info->name) - 1);
  std::strncpy(out_info->version, "1.0", sizeof(out_info->version) - 1);
  std::strncpy(out_info->target, target_name, sizeof(out_info->target) - 1);
  out_info->schedule_class = FLAGOS_SCHEDULE_CLASS_SERIAL;
  return FLAGOS_STATUS_OK;
}

flagos_status_t module_load(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                            flagos_plugin_module_t** out_module) noexcept {
  const Host& host = from_c(device).host();
  return entry(host, [&] {
    check_options(*desc);
    *out_module = to_c(std::make_unique<Module>(host, read_image(*desc)).release());
  });
}

void module_unload(flagos_plugin_module_t* module) noexcept { delete &from_c(module); }

flagos_status_t module_get_kernel(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                                  flagos_plugin_kernel_t** out_kernel) noexcept {
  Module& self = from_c(module);
  return entry(self.host(), [&] { *out_kernel = to_c(&self.get_kernel(*desc)); });
}

flagos_status_t module_get_kernel_name(flagos_plugin_module_t* module, std::uint32_t index,
                                       const char** out_name) noexcept {
  const Module& self = from_c(module);
  if (index >= self.kernel_names().size()) return FLAGOS_STATUS_NOT_FOUND;
  *out_name = self.kernel_names()[index].c_str();
  return FLAGOS_STATUS_OK;
}

flagos_status_t module_get_global(flagos_plugin_module_t* module, const char* name,
                                  flagos_address_t* out_address,
                                  std::uint64_t* out_size_bytes) noexcept {
  const Module& self = from_c(module);
  return entry(self.host(), [&] {
    const std::span<std::byte> global = self.get_global(name);
    *out_address = reinterpret_cast<flagos_address_t>(global.data());
    *out_size_bytes = global.size();
  });
}

flagos_status_t module_get_log(flagos_plugin_module_t* module, const char** out_text) noexcept {
  *out_text = from_c(module).log().c_str();
  return FLAGOS_STATUS_OK;
}

flagos_status_t module_get_binary(flagos_plugin_module_t* module, const void** out_data,
                                  std::uint64_t* out_size_bytes) noexcept {
  const Image& image = from_c(module).image();
  *out_data = image.data();
  *out_size_bytes = image.size();
  return FLAGOS_STATUS_OK;
}

// Nothing of the object runs: it is judged by its bytes.
flagos_status_t module_compile(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                               flagos_compiled_t* out_compiled) noexcept {
  const Host& host = from_c(device).host();
  return entry(host, [&] {
    Compiled compiled;
    flagos_status_t status = guard([&] { check_object(*desc, compiled); },
                                   [&](flagos_status_t, const char* text) { compiled.log = text; });
    if (status == FLAGOS_STATUS_NOT_FOUND) throw Error(status, compiled.log);
    if (status != FLAGOS_STATUS_OK) {
      status = FLAGOS_STATUS_COMPILE_FAILED;
      host.set_error(status, compiled.log.c_str());
    }
    hand_over(compiled, *out_compiled);
    return status;
  });
}

void module_free_compiled(flagos_plugin_device_t*, flagos_compiled_t* compiled) noexcept {
  ::operator delete(const_cast<char*>(compiled->log));
}

}  // namespace flagos::cpu
