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

// The image of a complete shared object.
Compiled check_object(const flagos_module_desc_t& desc) {
  check_options(desc);
  Compiled compiled{read_image(desc), {}};
  const ElfLibrary symbols = read_elf_library(compiled.image);
  compiled.log = fmt::format("{}: {}", module_format, fmt::join(list_kernels(symbols), ", "));
  return compiled;
}

bool is_source(const flagos_module_desc_t& desc) {
  return std::strcmp(desc.format, source_format) == 0;
}

Compiled compile_source(Device& device, const flagos_module_desc_t& desc) {
  return device.instance().compiler().compile(
      {static_cast<const char*>(desc.data), desc.size_bytes},
      desc.options != nullptr ? desc.options : "");
}

void describe_object(flagos_format_info_t& info) {
  info.flags = FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE | FLAGOS_FORMAT_FLAG_PATH |
               FLAGOS_FORMAT_FLAG_REFLECTION;
  std::strncpy(info.name, module_format, sizeof(info.name) - 1);
  std::strncpy(info.target, target_name, sizeof(info.target) - 1);
}

// What portable kernels are lowered for.
void describe_source(ChildCompiler& compiler, flagos_format_info_t& info) {
  info.flags = FLAGOS_FORMAT_FLAG_REFLECTION;
  // Without a compiler it is only what finished binaries may be made for.
  if (compiler.is_there()) info.flags |= FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE;
  std::strncpy(info.name, source_format, sizeof(info.name) - 1);
  const std::string target = fmt::format("{};isa={}", source_format, compiler.isa());
  std::strncpy(info.target, target.c_str(), sizeof(info.target) - 1);
  info.priority = -10;
}

// Behind gnu-c++: for what has no compiler, and what cannot be lowered.
void describe_tile(flagos_format_info_t& info) {
  info.flags = FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_REFLECTION;
  std::strncpy(info.name, tile_format, sizeof(info.name) - 1);
  info.priority = -20;
}

std::unique_ptr<Module> load_tile(Device& device, const flagos_module_desc_t& desc) {
  check_options(desc);
  const CompilerLibrary* library = find_interpreter();
  if (library == nullptr)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "the interpreter of portable kernels cannot be opened");
  auto module = std::make_unique<Module>(device.host(), *library, read_image(desc));
  if (device.instance().first_interpreted())
    device.host().log(
        FLAGOS_LOG_LEVEL_WARNING,
        device.instance().compiler().is_there()
            ? "a portable kernel that cannot be lowered is interpreted, which is slow"
            : "there is no C++ compiler on this machine (clang 14 or g++ 12, or later; FLAGOS_CC "
              "names another): portable kernels are interpreted, which is slow");
  return module;
}

}  // namespace

flagos_status_t module_get_format(flagos_plugin_device_t* device, std::uint32_t index,
                                  flagos_format_info_t* out_info) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&]() -> flagos_status_t {
    ChildCompiler& compiler = self.instance().compiler();
    // With a compiler the interpreter is for what cannot be lowered; then nothing is opened to ask.
    const bool interprets = compiler.is_there() || find_interpreter() != nullptr;
    if (index >= (interprets ? 3u : 2u)) return FLAGOS_STATUS_NOT_FOUND;
    std::strncpy(out_info->version, "1.0", sizeof(out_info->version) - 1);
    out_info->schedule_class = FLAGOS_SCHEDULE_CLASS_SERIAL;
    if (index == 0)
      describe_object(*out_info);
    else if (index == 1)
      describe_source(compiler, *out_info);
    else
      describe_tile(*out_info);
    return FLAGOS_STATUS_OK;
  });
}

flagos_status_t module_load(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                            flagos_plugin_module_t** out_module) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    if (is_source(*desc)) {
      Compiled compiled = compile_source(self, *desc);
      auto module = std::make_unique<Module>(self.host(), std::move(compiled.image));
      module->add_log(compiled.log);
      *out_module = to_c(module.release());
      return;
    }
    if (std::strcmp(desc->format, tile_format) == 0) {
      *out_module = to_c(load_tile(self, *desc).release());
      return;
    }
    check_options(*desc);
    *out_module = to_c(std::make_unique<Module>(self.host(), read_image(*desc)).release());
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

// Nothing of an object runs: it is judged by its bytes.
flagos_status_t module_compile(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                               flagos_compiled_t* out_compiled) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    Compiled compiled;
    flagos_status_t status = FLAGOS_STATUS_OK;
    const auto fail = [&](const char* text, const std::string& log) {
      status = FLAGOS_STATUS_COMPILE_FAILED;
      self.host().set_error(status, text);
      compiled.log = log;
    };
    try {
      compiled = is_source(*desc) ? compile_source(self, *desc) : check_object(*desc);
    } catch (const CompileError& error) {
      fail(error.what(), error.log());
    } catch (const Error& error) {
      if (is_source(*desc) || error.status() == FLAGOS_STATUS_NOT_FOUND) throw;
      fail(error.what(), error.what());
    }
    hand_over(compiled, *out_compiled);
    return status;
  });
}

void module_free_compiled(flagos_plugin_device_t*, flagos_compiled_t* compiled) noexcept {
  ::operator delete(const_cast<char*>(compiled->log));
}

flagos_status_t module_get_compiler(flagos_plugin_device_t* device, const char* format,
                                    const char** out_identity) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    *out_identity = "";
    if (std::strcmp(format, source_format) == 0)
      *out_identity = self.instance().compiler().identity().c_str();
  });
}

}  // namespace flagos::cpu
