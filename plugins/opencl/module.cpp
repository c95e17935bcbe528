#include "plugins/opencl/module.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include "plugins/opencl/handles.hpp"
#include "plugins/opencl/image.hpp"
#include "plugins/opencl/kernel.hpp"
#include "plugins/opencl/spirv.hpp"

namespace flagos::opencl {
namespace {

constexpr const char* source_format = "opencl-c";
constexpr const char* il_format = "spirv";
constexpr const char* binary_format = "opencl-binary";

template <std::size_t size>
void copy_text(char (&target)[size], const std::string& text) {
  std::memset(target, 0, size);
  std::memcpy(target, text.data(), std::min(text.size(), size - 1));
}

// "1.2" of "OpenCL C 1.2 PoCL" or "SPIR-V_1.2".
std::string version_in(const std::string& text) {
  const auto first = text.find_first_of("0123456789");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_first_not_of("0123456789.", first) - first);
}

// What portable kernels are lowered for: groups of threads, and on a processor programs with vectors first.
struct SourceTarget {
  std::string text;
  flagos_schedule_class_t schedule_class;
};
std::vector<SourceTarget> source_targets(const Device& device) {
  constexpr std::uint32_t usual_threads = 128;
  // Of a program's private memory, which is on the stack of one of the driver's threads: those have 2 MiB or more.
  constexpr std::uint32_t scratch_bytes = 3u << 19;
  const flagos_device_info_t& info = device.description().info;
  const auto lacks = [&](const char* extension) {
    return device.description().extensions.find(extension) == std::string::npos;
  };
  std::string without;
  if (lacks("cl_khr_fp64")) without += ",f64";
  if (lacks("cl_khr_int64_base_atomics") || lacks("cl_khr_int64_extended_atomics"))
    without += ",atomic64";
  if (!without.empty()) without.replace(0, 1, ";no=");
  const auto threads = [&](std::uint32_t count) {
    return SourceTarget{fmt::format("{};threads={};local={}{}", source_format, count,
                                    info.max_shared_bytes, without),
                        FLAGOS_SCHEDULE_CLASS_SIMT};
  };
  if (info.type != FLAGOS_DEVICE_TYPE_CPU)
    return {threads(std::min({usual_threads, info.max_block_threads, info.max_block[0]}))};
  // Groups cost a processor barriers, and give it no vectors. What vectors cannot say, a thread of one lane does.
  const cl_uint floats =
      device.driver().device_value(device.id(), CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, cl_uint{4});
  const std::uint32_t vector_bits = floats >= 16 ? 512 : floats >= 8 ? 256 : 128;
  return {{fmt::format("{};schedule=serial;vector={};scratch={}{}", source_format, vector_bits,
                       scratch_bytes, without),
           FLAGOS_SCHEDULE_CLASS_SERIAL},
          threads(1)};
}

std::vector<flagos_format_info_t> formats_of(Device& device) {
  std::vector<flagos_format_info_t> formats;
  const auto add = [&](const char* name, const std::string& version, const std::string& target,
                       std::int32_t priority, flagos_schedule_class_t schedule_class) {
    flagos_format_info_t& info = formats.emplace_back();
    info.flags =
        FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE | FLAGOS_FORMAT_FLAG_REFLECTION;
    copy_text(info.name, name);
    copy_text(info.version, version);
    copy_text(info.target, target);
    info.priority = priority;
    info.schedule_class = schedule_class;
  };
  const Driver& driver = device.driver();
  if (driver.device_value(device.id(), CL_DEVICE_COMPILER_AVAILABLE, cl_bool{CL_TRUE}) !=
      CL_FALSE) {
    std::int32_t priority = 100;
    for (const SourceTarget& target : source_targets(device))
      add(source_format, version_in(driver.device_text(device.id(), CL_DEVICE_OPENCL_C_VERSION)),
          target.text, priority--, target.schedule_class);
  }
  if (!device.description().il_version.empty())
    add(il_format, version_in(device.description().il_version), "", 90, FLAGOS_SCHEDULE_CLASS_SIMT);
  add(binary_format, "1", device.description().info.name, 10, FLAGOS_SCHEDULE_CLASS_SIMT);
  formats.back().flags &= ~std::uint32_t{FLAGOS_FORMAT_FLAG_COMPILE};
  return formats;
}

// Whose binaries a device takes.
std::string target_of(const Device& device) {
  const DeviceDescription& description = device.description();
  return fmt::format("{} / {} / {}", description.platform_name, description.info.name,
                     description.info.driver_version);
}

std::span<const std::byte> bytes_of(const flagos_module_desc_t& desc) {
  if (desc.size_bytes == 0)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "an empty image of format '{}'", desc.format);
  return {static_cast<const std::byte*>(desc.data), desc.size_bytes};
}

// Compilers are not made for bytes that are no text.
std::string read_source(std::span<const std::byte> bytes) {
  std::string source(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto is_text = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20
               ? byte != 0x7f
               : byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f' || byte == '\v';
  };
  const auto wrong = std::find_if_not(source.begin(), source.end(), is_text);
  if (wrong != source.end())
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "OpenCL C is text: byte {} of the image is {:#04x}",
                wrong - source.begin(), static_cast<unsigned char>(*wrong));
  return source;
}

Program load_binary(Device& device, std::span<const std::byte> bytes) {
  Image image = read_image(bytes);
  if (image.device != target_of(device))
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "an image made for '{}'; this device is '{}'",
                image.device, target_of(device));
  if (image.is_wrapped == device.memory().is_native())
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "an image made for {}; this device is open with {} (FLAGOS_OPENCL_MEMORY)",
                image.is_wrapped ? "buffer objects" : "native addresses",
                image.is_wrapped ? "native addresses" : "buffer objects");
  return Program::from_binary(device, image.binary, std::move(image.signatures), image.is_wrapped);
}

Program build_program(Device& device, const flagos_module_desc_t& desc) {
  const std::span<const std::byte> bytes = bytes_of(desc);
  const std::string options = desc.options != nullptr ? desc.options : "";
  const std::string_view format = desc.format;
  if (format == source_format) return Program::from_source(device, read_source(bytes), options);
  if (format == il_format) return Program::from_il(device, bytes, reflect_spirv(bytes), options);
  if (format == binary_format) return load_binary(device, bytes);
  throw_error(FLAGOS_STATUS_UNSUPPORTED, "this device takes no format '{}'", format);
}

// What free_compiled frees.
struct Compiled {
  std::shared_ptr<const std::vector<std::byte>> data;
  std::string log;
};

}  // namespace

Module::Module(Device& device, Program program, std::vector<std::byte> image)
    : device_(device), program_(std::move(program)), image_(std::move(image)) {}

Module::~Module() = default;

Kernel& Module::get_kernel(const flagos_kernel_desc_t& desc) {
  const std::lock_guard lock(mutex_);
  const std::vector<Signature>& all = program_.signatures();
  const auto signature = std::find_if(all.begin(), all.end(), [&](const Signature& candidate) {
    return candidate.name == desc.name;
  });
  if (signature == all.end()) {
    std::string names;
    for (const Signature& known : all) names += (names.empty() ? "" : ", ") + known.name;
    throw_error(FLAGOS_STATUS_NOT_FOUND, "no kernel '{}'; the module has: {}", desc.name, names);
  }
  if (signature->has_unknown_type() && signature->unusable.empty()) program_.measure();
  check_given(*signature, desc);
  std::unique_ptr<Kernel>& kernel = kernels_[desc.name];
  if (!kernel) kernel = std::make_unique<Kernel>(*this, *signature);
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
  return entry(self.host(), [&] {
    Program program = build_program(self, *desc);
    const std::span<const std::byte> bytes = bytes_of(*desc);
    *out_module = to_c(std::make_unique<Module>(self, std::move(program),
                                                std::vector<std::byte>(bytes.begin(), bytes.end()))
                           .release());
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
  const std::vector<Signature>& all = from_c(module).program().signatures();
  if (index >= all.size()) return FLAGOS_STATUS_NOT_FOUND;
  *out_name = all[index].name.c_str();
  return FLAGOS_STATUS_OK;
}

flagos_status_t module_get_log(flagos_plugin_module_t* module, const char** out_text) noexcept {
  *out_text = from_c(module).program().log().c_str();
  return FLAGOS_STATUS_OK;
}

// The image as it was loaded: text stays text.
flagos_status_t module_get_binary(flagos_plugin_module_t* module, const void** out_data,
                                  std::uint64_t* out_size_bytes) noexcept {
  const std::vector<std::byte>& image = from_c(module).image();
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
    try {
      Program program = build_program(self, *desc);
      program.measure();
      compiled->log = program.log();
      if (!program.image())
        program.set_image(std::make_shared<const std::vector<std::byte>>(write_image(
            {target_of(self), program.is_wrapped(), program.signatures(), program.binary()})));
      compiled->data = program.image();
    } catch (const BuildError& error) {
      compiled->log = error.log();
      status = error.status();
      self.host().set_error(status, error.what());
    }
    out_compiled->data = compiled->data ? compiled->data->data() : nullptr;
    out_compiled->size_bytes = compiled->data ? compiled->data->size() : 0;
    out_compiled->format = binary_format;
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

}  // namespace flagos::opencl
