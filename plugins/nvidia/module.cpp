#include "plugins/nvidia/module.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "plugins/nvidia/handles.hpp"
#include "plugins/nvidia/image.hpp"
#include "plugins/nvidia/kernel.hpp"
#include "plugins/nvidia/nvrtc.hpp"
#include "plugins/nvidia/signature.hpp"

namespace flagos::nvidia {
namespace {

// What a kernel may have of shared memory that it declares itself.
constexpr std::uint32_t static_shared_bytes = 48 << 10;

template <std::size_t size>
void copy_text(char (&target)[size], const std::string& text) {
  std::memset(target, 0, size);
  std::memcpy(target, text.data(), std::min(text.size(), size - 1));
}

// The newest PTX that a driver of this CUDA takes.
std::string newest_ptx(int version) {
  const int major = version / 1000, minor = version % 1000 / 10;
  if (major >= 13) return fmt::format("{}.{}", major - 4, minor);
  if (major == 12) return fmt::format("8.{}", minor <= 5 ? minor : minor - 1);
  return fmt::format("7.{}", minor);
}

std::vector<flagos_format_info_t> formats_of(const Device& device) {
  std::vector<flagos_format_info_t> formats;
  const int capability = device.description().capability;
  const auto add = [&](const char* name, std::uint32_t flags, const std::string& version,
                       const std::string& target, std::int32_t priority) {
    flagos_format_info_t& info = formats.emplace_back();
    info.flags = FLAGOS_FORMAT_FLAG_LOAD | flags;
    copy_text(info.name, name);
    copy_text(info.version, version);
    copy_text(info.target, target);
    info.priority = priority;
    info.schedule_class = FLAGOS_SCHEDULE_CLASS_SIMT;
  };
  const Nvrtc* nvrtc = device.instance().nvrtc();
  if (nvrtc != nullptr)
    add(source_format, FLAGOS_FORMAT_FLAG_COMPILE | FLAGOS_FORMAT_FLAG_REFLECTION, nvrtc->version(),
        fmt::format("{};local={};isa=sm_{}{}", source_format,
                    std::min(static_shared_bytes, device.description().info.max_shared_bytes),
                    capability, capability >= 89 && !nvrtc->knows_mma_f8() ? ";no=mma_f8" : ""),
        100);
  add(ptx_format, 0, newest_ptx(device.driver().version), "", 50);
  add(cubin_format, 0, "1", fmt::format("sm_{}", capability), 40);
  add(fatbin_format, 0, "1", "", 30);
  return formats;
}

std::span<const std::byte> bytes_of(const flagos_module_desc_t& desc) {
  return {static_cast<const std::byte*>(desc.data), desc.size_bytes};
}

// Thrown beside Error: the text is for people, the log for those who wrote the source.
class BuildError : public Error {
 public:
  BuildError(std::string text, std::string log)
      : Error(FLAGOS_STATUS_COMPILE_FAILED, std::move(text)), log_(std::move(log)) {}
  const std::string& log() const noexcept { return log_; }

 private:
  std::string log_;
};

std::string first_lines(const std::string& log) {
  return log.substr(0, std::min<std::size_t>({log.size(), log.find_last_not_of(" \n") + 1, 700}));
}

Nvrtc::Result build(Device& device, const flagos_module_desc_t& desc) {
  const Nvrtc* nvrtc = device.instance().nvrtc();
  if (nvrtc == nullptr || std::string_view(desc.format) != source_format)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "this device compiles no format '{}'", desc.format);
  const std::string source = read_source(bytes_of(desc));
  const int capability = device.description().capability;
  const std::string options = desc.options != nullptr ? desc.options : "";
  const std::vector<std::string> failing = failing_in_source(source);
  std::vector<std::string> known = kernels_in_source(source);
  Nvrtc::Result result =
      nvrtc->compile(source + signature_text(known, failing), capability, options);
  // What stands wrong in the source is told of the source alone.
  if (result.image.empty()) result = nvrtc->compile(source, capability, options);
  if (result.image.empty())
    throw BuildError(
        fmt::format("NVRTC {} refused the source: {}", nvrtc->version(), first_lines(result.log)),
        result.log);
  // Kernels that macros made are known by now.
  std::vector<std::string> all = kernel_names(ptx_format, std::as_bytes(std::span(result.ptx)));
  std::erase_if(all, [](const std::string& name) {
    return name.starts_with("_Z") || name.find('$') != std::string::npos;
  });
  if (all.size() > known.size()) {
    Nvrtc::Result again =
        nvrtc->compile(source + signature_text(all, failing), capability, options);
    if (!again.image.empty()) return again;
  }
  return result;
}

// What free_compiled frees.
struct Compiled {
  std::vector<char> image;
  std::string log;
};

std::string signature_key(const flagos_kernel_desc_t& desc) {
  std::string key = std::string(desc.name) + '\0';
  if (desc.parameters != nullptr)
    key.append(reinterpret_cast<const char*>(desc.parameters),
               desc.parameter_count * sizeof(flagos_parameter_t));
  return key;
}

}  // namespace

Module::Module(Device& device, const std::string& format, std::span<const std::byte> image,
               std::vector<std::byte> given, std::string log)
    : device_(device), driver_(device.driver()), given_(std::move(given)), log_(std::move(log)) {
  check_image(format, image);
  load(format, image);
  try {
    names_ = list_names(format, image);
  } catch (...) {
    driver_.cuModuleUnload(handle_);
    throw;
  }
}

Module::~Module() {
  kernels_.clear();
  driver_.cuModuleUnload(handle_);
}

void Module::load(const std::string& format, std::span<const std::byte> image) {
  // PTX ends with a NUL.
  std::vector<char> bytes(image.size() + 1, '\0');
  std::memcpy(bytes.data(), image.data(), image.size());
  std::array<char, 4096> said{};
  std::array<CUjit_option, 2> options = {CU_JIT_ERROR_LOG_BUFFER,
                                         CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  std::array<void*, 2> values = {said.data(), reinterpret_cast<void*>(said.size() - 1)};
  const CUresult code = driver_.cuModuleLoadDataEx(&handle_, bytes.data(), options.size(),
                                                   options.data(), values.data());
  if (code == CUDA_SUCCESS) return;
  const std::string text = first_lines(said.data());
  if (code == CUDA_ERROR_UNSUPPORTED_PTX_VERSION)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "the image is PTX {}, this driver is for CUDA {}.{} and takes PTX {} at most: "
                "install a newer driver, or compile with "
                "an older NVRTC",
                ptx_version({bytes.data(), image.size()}), driver_.version / 1000,
                driver_.version % 1000 / 10, newest_ptx(driver_.version));
  if (code == CUDA_ERROR_NO_BINARY_FOR_GPU)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "the {} has no code for compute capability {}.{} of '{}'", format,
                device_.description().capability / 10, device_.description().capability % 10,
                device_.description().info.name);
  if (code == CUDA_ERROR_JIT_COMPILER_NOT_FOUND)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "the driver's compiler for PTX (libnvidia-ptxjitcompiler.so.1) is missing: install "
                "it, or load a cubin");
  if (is_sticky(code)) device_.fail(code, "cuModuleLoadData");
  driver_.fail(
      code, "cuModuleLoadData",
      fmt::format("{} of {} bytes{}{}", format, image.size(), text.empty() ? "" : ": ", text));
}

std::vector<std::string> Module::list_names(const std::string& format,
                                            std::span<const std::byte> image) const {
  if (driver_.cuModuleGetFunctionCount == nullptr ||
      driver_.cuModuleEnumerateFunctions == nullptr || driver_.cuFuncGetName == nullptr)
    return kernel_names(format, image);
  unsigned count = 0;
  device_.check(driver_.cuModuleGetFunctionCount(&count, handle_), "cuModuleGetFunctionCount");
  std::vector<CUfunction> functions(count);
  if (count != 0)
    device_.check(driver_.cuModuleEnumerateFunctions(functions.data(), count, handle_),
                  "cuModuleEnumerateFunctions");
  std::vector<std::string> names;
  for (CUfunction function : functions) {
    const char* name = nullptr;
    device_.check(driver_.cuFuncGetName(&name, function), "cuFuncGetName");
    names.emplace_back(name);
  }
  return names;
}

bool Module::find_global(const char* name, CUdeviceptr* out_address, std::size_t* out_size) const {
  const CUresult code = driver_.cuModuleGetGlobal_v2(out_address, out_size, handle_, name);
  if (code == CUDA_ERROR_NOT_FOUND) return false;
  device_.check(code, "cuModuleGetGlobal");
  return true;
}

// False for a module that another compiler made.
bool Module::find_signature(const std::string& kernel, Signature* out_signature) const {
  CUdeviceptr address = 0;
  std::size_t size = 0;
  if (!find_global(signature_name(kernel).c_str(), &address, &size)) return false;
  std::vector<std::uint32_t> words(size / sizeof(std::uint32_t));
  device_.check(driver_.cuMemcpyAsync(reinterpret_cast<CUdeviceptr>(words.data()), address,
                                      words.size() * sizeof(words[0]), device_.service_stream()),
                "cuMemcpyAsync");
  device_.check(driver_.cuStreamSynchronize(device_.service_stream()), "cuStreamSynchronize");
  *out_signature = read_signature(kernel, words);
  return true;
}

Kernel& Module::get_kernel(const flagos_kernel_desc_t& desc) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Kernel>& kernel = kernels_[signature_key(desc)];
  if (kernel) return *kernel;
  try {
    kernel = std::make_unique<Kernel>(*this, desc);
  } catch (...) {
    kernels_.erase(signature_key(desc));
    throw;
  }
  return *kernel;
}

// ---- entries ----------------------------------------------------------------------------------

flagos_status_t module_get_format(flagos_plugin_device_t* device, std::uint32_t index,
                                  flagos_format_info_t* out_info) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    const std::vector<flagos_format_info_t> formats = formats_of(self);
    if (index >= formats.size()) return FLAGOS_STATUS_NOT_FOUND;
    const std::uint32_t room = out_info->struct_size;
    flagos_format_info_t info = formats[index];
    info.struct_size = room;
    std::memcpy(out_info, &info, std::min<std::size_t>(room, sizeof(info)));
    return FLAGOS_STATUS_OK;
  });
}

flagos_status_t module_load(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                            flagos_plugin_module_t** out_module) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    const std::span<const std::byte> bytes = bytes_of(*desc);
    std::vector<std::byte> given(bytes.begin(), bytes.end());
    if (std::string_view(desc->format) != source_format) {
      *out_module =
          to_c(std::make_unique<Module>(self, desc->format, bytes, std::move(given), "").release());
      return;
    }
    const Nvrtc::Result built = build(self, *desc);
    *out_module =
        to_c(std::make_unique<Module>(self, built.format, std::as_bytes(std::span(built.image)),
                                      std::move(given), built.log)
                 .release());
  });
}

void module_unload(flagos_plugin_module_t* module) noexcept {
  Device& device = from_c(module).device();
  device_entry(device, [&] { delete &from_c(module); });
}

flagos_status_t module_get_kernel(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                                  flagos_plugin_kernel_t** out_kernel) noexcept {
  Module& self = from_c(module);
  return device_entry(self.device(), [&] { *out_kernel = to_c(&self.get_kernel(*desc)); });
}

flagos_status_t module_get_kernel_name(flagos_plugin_module_t* module, std::uint32_t index,
                                       const char** out_name) noexcept {
  const std::vector<std::string>& names = from_c(module).names();
  if (index >= names.size()) return FLAGOS_STATUS_NOT_FOUND;
  *out_name = names[index].c_str();
  return FLAGOS_STATUS_OK;
}

flagos_status_t module_get_global(flagos_plugin_module_t* module, const char* name,
                                  flagos_address_t* out_address,
                                  std::uint64_t* out_size_bytes) noexcept {
  const Module& self = from_c(module);
  return device_entry(self.device(), [&] {
    CUdeviceptr address = 0;
    std::size_t size = 0;
    if (!self.find_global(name, &address, &size))
      throw_error(FLAGOS_STATUS_NOT_FOUND, "no global variable '{}'", name);
    *out_address = address;
    *out_size_bytes = size;
  });
}

flagos_status_t module_get_log(flagos_plugin_module_t* module, const char** out_text) noexcept {
  *out_text = from_c(module).log().c_str();
  return FLAGOS_STATUS_OK;
}

// The image as it was loaded: text stays text.
flagos_status_t module_get_binary(flagos_plugin_module_t* module, const void** out_data,
                                  std::uint64_t* out_size_bytes) noexcept {
  const std::vector<std::byte>& image = from_c(module).given();
  *out_data = image.data();
  *out_size_bytes = image.size();
  return FLAGOS_STATUS_OK;
}

flagos_status_t module_compile(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                               flagos_compiled_t* out_compiled) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    auto compiled = std::make_unique<Compiled>();
    flagos_status_t status = FLAGOS_STATUS_OK;
    const char* format = cubin_format;
    try {
      Nvrtc::Result built = build(self, *desc);
      if (built.format == ptx_format) format = ptx_format;
      compiled->image = std::move(built.image);
      compiled->log = std::move(built.log);
    } catch (const BuildError& error) {
      compiled->log = error.log();
      status = error.status();
      self.host().set_error(status, error.what());
    }
    out_compiled->data = compiled->image.empty() ? nullptr : compiled->image.data();
    out_compiled->size_bytes = compiled->image.size();
    out_compiled->format = format;
    out_compiled->log = compiled->log.c_str();
    const std::lock_guard lock(self.compiled_mutex);
    self.compiled[out_compiled->log] = std::shared_ptr<void>(std::move(compiled));
    return status;
  });
}

void module_free_compiled(flagos_plugin_device_t* device, flagos_compiled_t* compiled) noexcept {
  Device& self = from_c(device);
  const std::lock_guard lock(self.compiled_mutex);
  self.compiled.erase(compiled->log);
}

// Another NVRTC makes other code; another driver changes nothing in a cubin, and takes PTX as it is.
flagos_status_t module_get_compiler(flagos_plugin_device_t* device, const char* format,
                                    const char** out_identity) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    const Nvrtc* nvrtc = self.instance().nvrtc();
    if (nvrtc == nullptr || std::string_view(format) != source_format)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "this device compiles no format '{}'", format);
    *out_identity = self.compiler_identity.c_str();
  });
}

}  // namespace flagos::nvidia
