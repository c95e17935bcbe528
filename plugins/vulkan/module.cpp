#include "plugins/vulkan/module.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "plugins/vulkan/capabilities.hpp"
#include "plugins/vulkan/compiler.hpp"
#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"

namespace flagos::vulkan {
namespace {

constexpr std::uint32_t pack_mark = 0x46475650;  // "PVGF"
constexpr const char* spirv_format = "spirv";
constexpr const char* glsl_format = "glsl";

std::uint32_t word_at(std::span<const std::byte> image, std::size_t index) {
  std::uint32_t word;
  std::memcpy(&word, image.data() + index * 4, 4);
  return word;
}

// The modules of an image, copied: an image may lie at any address.
std::vector<Words> split(std::span<const std::byte> image) {
  if (image.size() < 4 || image.size() % 4 != 0)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "{} bytes are no SPIR-V: it consists of 32-bit words",
                image.size());
  const auto words_at = [&](std::size_t first, std::size_t count) {
    Words words(count);
    std::memcpy(words.data(), image.data() + first * 4, count * 4);
    return words;
  };
  const std::size_t total = image.size() / 4;
  std::vector<Words> modules;
  if (word_at(image, 0) != pack_mark) {
    modules.push_back(words_at(0, total));
    return modules;
  }
  std::size_t at = 2;
  const std::uint32_t count = total < 2 ? 0 : word_at(image, 1);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t words = at < total ? word_at(image, at) : 0;
    if (words == 0 || words > total - at - 1)
      throw_error(FLAGOS_STATUS_INVALID_IMAGE, "module {} of {} in the image is cut", i + 1, count);
    modules.push_back(words_at(at + 1, words));
    at += 1 + words;
  }
  if (modules.empty() || at != total)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "an image of {} words with {} modules in {} words",
                total, count, at);
  return modules;
}

void must_succeed(const CompiledKernels& compiled) {
  if (compiled.succeeded) return;
  throw_error(FLAGOS_STATUS_COMPILE_FAILED, "glsl: {}", compiled.log);
}

CompiledKernels compile(const Device& device, const flagos_module_desc_t& desc) {
  const std::string_view source(static_cast<const char*>(desc.data), desc.size_bytes);
  if (source.empty()) throw_error(FLAGOS_STATUS_INVALID_IMAGE, "the glsl source is empty");
  if (source.find('\0') != std::string_view::npos)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "the glsl source has a NUL at byte {}",
                source.find('\0'));
  return compile_glsl(source, desc.options != nullptr ? desc.options : "",
                      device.physical().properties().apiVersion, device.physical().has_addresses());
}

// What portable kernels are lowered for.
std::string source_target(const PhysicalDevice& device) {
  const Features& features = device.features();
  std::string without;
  if (features.base.features.shaderFloat64 == VK_FALSE) without += ",f64";
  if (features.base.features.shaderInt64 == VK_FALSE) without += ",i64";
  if (features.vulkan12.shaderBufferInt64Atomics == VK_FALSE) without += ",atomic64";
  if (!without.empty()) without.replace(0, 1, ";no=");
  constexpr std::uint32_t usual_threads = 128;
  return fmt::format("{};threads={};local={}{}", glsl_format,
                     std::min({usual_threads, device.limits().maxComputeWorkGroupInvocations,
                               device.limits().maxComputeWorkGroupSize[0]}),
                     device.limits().maxComputeSharedMemorySize, without);
}

// What flagos_compiled_t points to.
struct Compiled {
  std::vector<std::byte> image;
  std::string log;
};

}  // namespace

std::vector<std::byte> pack_modules(const std::vector<Words>& modules) {
  Words words;
  if (modules.size() == 1) {
    words = modules.front();
  } else {
    words = {pack_mark, static_cast<std::uint32_t>(modules.size())};
    for (const Words& module : modules) {
      words.push_back(static_cast<std::uint32_t>(module.size()));
      words.insert(words.end(), module.begin(), module.end());
    }
  }
  std::vector<std::byte> image(words.size() * 4);
  std::memcpy(image.data(), words.data(), image.size());
  return image;
}

Module::Module(Device& device, std::span<const std::byte> image)
    : device_(device), image_(image.begin(), image.end()) {
  try {
    for (const Words& words : split(image)) add(words);
  } catch (...) {
    release();
    throw;
  }
}

Module::~Module() { release(); }

void Module::release() noexcept {
  kernels_.clear();
  for (const VkShaderModule shader : shaders_)
    device_.vk().vkDestroyShaderModule(device_.handle(), shader, nullptr);
}

void Module::add(std::span<const std::uint32_t> words) {
  validate_spirv(words, device_.physical().properties().apiVersion);
  SpirvModule reflection = reflect_spirv(words);
  check_capabilities(reflection.capabilities, device_.physical());
  VkShaderModuleCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO;
  create.codeSize = words.size_bytes();
  create.pCode = words.data();
  shaders_.reserve(shaders_.size() + 1);
  VkShaderModule shader = VK_NULL_HANDLE;
  check(device_.vk().vkCreateShaderModule(device_.handle(), &create, nullptr, &shader),
        "vkCreateShaderModule of {} bytes", words.size_bytes());
  shaders_.push_back(shader);
  for (SpirvKernel& kernel : reflection.kernels) {
    const bool is_known = std::any_of(kernels_.begin(), kernels_.end(), [&](const auto& other) {
      return other->name() == kernel.name;
    });
    if (is_known)
      throw_error(FLAGOS_STATUS_INVALID_IMAGE, "the image has two kernels '{}'", kernel.name);
    kernels_.push_back(std::make_unique<Kernel>(device_, shader, std::move(kernel)));
  }
}

Kernel& Module::kernel(const std::string& name) const {
  for (const auto& kernel : kernels_)
    if (kernel->name() == name) return *kernel;
  std::string names;
  for (const auto& kernel : kernels_) names += (names.empty() ? "" : ", ") + kernel->name();
  throw_error(FLAGOS_STATUS_NOT_FOUND, "the module has no kernel '{}'; it has {}", name, names);
}

flagos_status_t module_get_format(flagos_plugin_device_t* device, std::uint32_t index,
                                  flagos_format_info_t* out_info) noexcept {
  const Device& self = from_c(device);
  return entry(self.host(), [&]() -> flagos_status_t {
    const std::uint32_t count = has_compiler() ? 2 : 1;
    if (index >= count) return FLAGOS_STATUS_NOT_FOUND;
    const bool is_newest = self.physical().properties().apiVersion >= VK_API_VERSION_1_3;
    out_info->flags = FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_REFLECTION;
    out_info->schedule_class = FLAGOS_SCHEDULE_CLASS_SIMT;
    if (index == 0) {
      std::strcpy(out_info->name, spirv_format);
      std::strcpy(out_info->version, is_newest ? "1.6" : "1.5");
      std::strcpy(out_info->target, "vulkan");
      out_info->priority = 20;
    } else {
      out_info->flags |= FLAGOS_FORMAT_FLAG_COMPILE;
      std::strcpy(out_info->name, glsl_format);
      std::strcpy(out_info->version, "4.60");
      const std::string target = source_target(self.physical());
      std::strncpy(out_info->target, target.c_str(), sizeof(out_info->target) - 1);
      out_info->priority = 10;
    }
    return FLAGOS_STATUS_OK;
  });
}

flagos_status_t module_load(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                            flagos_plugin_module_t** out_module) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    std::unique_ptr<Module> module;
    if (std::strcmp(desc->format, glsl_format) == 0) {
      const CompiledKernels compiled = compile(self, *desc);
      must_succeed(compiled);
      module = std::make_unique<Module>(self, pack_modules(compiled.modules));
      module->log = compiled.log;
    } else {
      module = std::make_unique<Module>(
          self, std::span(static_cast<const std::byte*>(desc->data), desc->size_bytes));
    }
    *out_module = to_c(module.release());
  });
}

void module_unload(flagos_plugin_module_t* module) noexcept { delete &from_c(module); }

flagos_status_t module_get_kernel(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                                  flagos_plugin_kernel_t** out_kernel) noexcept {
  const Module& self = from_c(module);
  return entry(self.device().host(), [&] {
    Kernel& kernel = self.kernel(desc->name);
    const auto& own = kernel.reflection().parameters;
    if (desc->parameters != nullptr) {
      const auto is_same = [](const flagos_parameter_t& a, const flagos_parameter_t& b) {
        return a.dtype == b.dtype && a.size_bytes == b.size_bytes &&
               a.offset_bytes == b.offset_bytes;
      };
      if (!std::equal(own.begin(), own.end(), desc->parameters,
                      desc->parameters + desc->parameter_count, is_same))
        throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                    "the signature of {} parameters contradicts that of kernel '{}', which has {}",
                    desc->parameter_count, desc->name, own.size());
    }
    *out_kernel = to_c(&kernel);
  });
}

flagos_status_t module_get_kernel_name(flagos_plugin_module_t* module, std::uint32_t index,
                                       const char** out_name) noexcept {
  const Kernel* kernel = from_c(module).kernel_at(index);
  if (kernel == nullptr) return FLAGOS_STATUS_NOT_FOUND;
  *out_name = kernel->name().c_str();
  return FLAGOS_STATUS_OK;
}

flagos_status_t module_get_log(flagos_plugin_module_t* module, const char** out_text) noexcept {
  *out_text = from_c(module).log.c_str();
  return FLAGOS_STATUS_OK;
}

flagos_status_t module_get_binary(flagos_plugin_module_t* module, const void** out_data,
                                  std::uint64_t* out_size_bytes) noexcept {
  *out_data = from_c(module).image().data();
  *out_size_bytes = from_c(module).image().size();
  return FLAGOS_STATUS_OK;
}

flagos_status_t module_compile(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                               flagos_compiled_t* out_compiled) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&]() -> flagos_status_t {
    auto made = std::make_unique<Compiled>();
    CompiledKernels compiled = compile(self, *desc);
    made->log = compiled.log;
    if (compiled.succeeded) made->image = pack_modules(compiled.modules);
    out_compiled->data = compiled.succeeded ? made->image.data() : nullptr;
    out_compiled->size_bytes = made->image.size();
    out_compiled->format = spirv_format;
    out_compiled->log = made->log.c_str();
    const char* const key = made->log.c_str();
    self.keep(key, std::shared_ptr<const void>(std::move(made)));
    must_succeed(compiled);
    return FLAGOS_STATUS_OK;
  });
}

void module_free_compiled(flagos_plugin_device_t* device, flagos_compiled_t* compiled) noexcept {
  from_c(device).let_go(compiled->log);
}

}  // namespace flagos::vulkan
