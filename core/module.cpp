// Modules: loading, kernels by name, and what can be asked of them.
#include "core/module.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/entry.hpp"
#include "core/log.hpp"
#include "core/tile_program.hpp"
#include "core/tile_road.hpp"
#include "core/validation.hpp"

namespace flagos::core {

Module::Module(Device& device, std::shared_ptr<TileProgram> program)
    : Child(Tag::module, device), program_(std::move(program)), native_(program_->native()) {}

void Module::on_destroy() {
  std::lock_guard lock(mutex_);
  destroyed_ = true;
  for (const auto& [key, kernel] : kernels_) {
    if (remove_handle(kernel)) device().count(Tag::kernel, -1);
  }
  kernels_.clear();
}

void Module::release() {
  if (!program_) {
    validate_gone(&device(), NativeKind::module, native_);
    tables().module.unload(native_);
  }
  delete this;
}

namespace {

void check_signature(const flagos_kernel_desc_t& desc, std::uint32_t max_argument_bytes) {
  if (desc.parameters == nullptr) {
    if (desc.parameter_count != 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "parameter_count is {} and parameters is NULL", desc.parameter_count);
    return;
  }
  if (desc.parameter_count > max_argument_bytes)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} parameters; the argument block has at most {} bytes",
                desc.parameter_count, max_argument_bytes);
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < desc.parameter_count; ++i) {
    const flagos_parameter_t& parameter = desc.parameters[i];
    if (!std::has_single_bit(parameter.alignment_bytes) || parameter.alignment_bytes > 64 ||
        parameter.offset_bytes % parameter.alignment_bytes != 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "parameter {} at offset {} is misaligned for alignment {}", i,
                  parameter.offset_bytes, parameter.alignment_bytes);
    const std::uint64_t next = std::uint64_t{parameter.offset_bytes} + parameter.size_bytes;
    if (parameter.size_bytes == 0 || next > max_argument_bytes)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "parameter {} of {} bytes at offset {} does not fit {} bytes", i,
                  parameter.size_bytes, parameter.offset_bytes, max_argument_bytes);
    if (parameter.offset_bytes < end)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "parameter {} at offset {} overlaps the one before", i,
                  parameter.offset_bytes);
    end = next;
  }
}

// A signature that the caller gives must be the kernel's own, where it has one.
void check_same_signature(const Kernel& kernel, const flagos_kernel_desc_t& desc) {
  if (desc.parameters == nullptr || !kernel.has_signature()) return;
  const auto& own = kernel.parameters();
  const auto same = [](const flagos_parameter_t& a, const flagos_parameter_t& b) {
    return a.dtype == b.dtype && a.size_bytes == b.size_bytes && a.offset_bytes == b.offset_bytes;
  };
  if (!std::equal(own.begin(), own.end(), desc.parameters, desc.parameters + desc.parameter_count, same))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the signature given for kernel '{}' has {} parameters and is not its own, which has {}",
                kernel.info().name, desc.parameter_count, own.size());
}

std::string join_names(const std::vector<std::string>& names) {
  constexpr std::size_t most = 16;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most); ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > most) text += fmt::format(" and {} more", names.size() - most);
  return text;
}

// The desc that the plugin gets; throws unless the device takes the format in that way.
flagos_module_desc_t check_module_desc(Device& device, const flagos_module_desc_t* given, std::uint32_t flag,
                                       const char* verb) {
  flagos_module_desc_t desc = check_desc(given, "flagos_module_desc_t");
  desc.struct_size = sizeof(desc);
  desc.next = nullptr;
  check_flags(desc.flags, 0, "flagos_module_desc_t.flags");
  require(desc.format, "format");
  if ((desc.path != nullptr) == (desc.data != nullptr))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "give either path or data; {} given",
                desc.path != nullptr ? "both were" : "neither was");
  std::string known;
  // The compiler of portable kernels is opened for those alone.
  const bool portable = std::strncmp(desc.format, tile_format, std::strlen(tile_format)) == 0;
  for (const flagos_format_info_t& format : portable ? all_formats(device) : plugin_formats(device)) {
    if ((format.flags & flag) == 0) continue;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", format.name);
    if (std::strncmp(desc.format, format.name, sizeof(format.name)) != 0) continue;
    if (desc.path != nullptr && (format.flags & FLAGOS_FORMAT_FLAG_PATH) == 0)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "device {} takes '{}' from memory only, not by path", device.info().id,
                  format.name);
    return desc;
  }
  throw_error(FLAGOS_STATUS_UNSUPPORTED, "device {} does not {} the format '{}'; it takes: {}", device.info().id, verb,
              std::string_view(desc.format, ::strnlen(desc.format, 64)), known.empty() ? "none" : known);
}

void check_image(const flagos_module_desc_t& desc) {
  if (desc.data != nullptr && desc.size_bytes == 0) throw_error(FLAGOS_STATUS_INVALID_IMAGE, "the image is empty");
  if (desc.size_bytes > UINTPTR_MAX - reinterpret_cast<std::uintptr_t>(desc.data))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "an image of {} bytes wraps around", desc.size_bytes);
  struct stat status {};
  if (desc.path != nullptr && ::stat(desc.path, &status) != 0)
    throw_error(FLAGOS_STATUS_NOT_FOUND, "{}: {}", desc.path, std::strerror(errno));
}

bool is_format(const flagos_module_desc_t& desc, const char* format) { return std::strcmp(desc.format, format) == 0; }

// Whether the plugin itself takes a format in that way.
bool plugin_has(Device& device, const char* name, std::uint32_t flag) {
  const auto formats = plugin_formats(device);
  return std::any_of(formats.begin(), formats.end(),
                     [&](const auto& f) { return std::strcmp(f.name, name) == 0 && (f.flags & flag) != 0; });
}

std::string_view text_of(const flagos_module_desc_t& desc) {
  return {static_cast<const char*>(desc.data), desc.size_bytes};
}

const char* options_of(const flagos_module_desc_t& desc) { return desc.options == nullptr ? "" : desc.options; }

// A text that the plugin takes itself: what was made for it before is better still, and so is what core makes, where that
// format has the higher priority. nullptr when the plugin is to have it.
std::shared_ptr<TileProgram> load_before_plugin(Device& device, const flagos_module_desc_t& desc) {
  try {
    TileRoads roads(device);
    if (roads.goes_first()) return device.tiles().load(text_of(desc), options_of(desc));
    if (auto binary = roads.find_in_packs(text_of(desc)))
      return std::make_shared<TileProgram>(device, std::move(*binary));
  } catch (const Error& error) {
    // What the lowerings cannot do the plugin may; the rest is for it to say as well.
    const bool asks = error.status() == FLAGOS_STATUS_UNSUPPORTED || error.status() == FLAGOS_STATUS_INVALID_IMAGE ||
                      error.status() == FLAGOS_STATUS_UNSUPPORTED_VERSION;
    if (!asks) throw;
    log(FLAGOS_LOG_LEVEL_DEBUG, "device {} takes a portable module as it is: {}", device.info().id, error.what());
  }
  return nullptr;
}

// A portable module through core's own roads; nullptr when the plugin is to have the desc as it is.
std::shared_ptr<TileProgram> load_tile(Device& device, const flagos_module_desc_t& desc) {
  if (is_format(desc, tile_binary_format) && !plugin_has(device, tile_binary_format, FLAGOS_FORMAT_FLAG_LOAD)) {
    TileBinary binary = read_tile_binary(std::as_bytes(std::span(text_of(desc))));
    TileRoads(device).check_target(binary);
    return std::make_shared<TileProgram>(device, std::move(binary));
  }
  if (!is_format(desc, tile_format)) return nullptr;
  if (plugin_has(device, tile_format, FLAGOS_FORMAT_FLAG_LOAD)) return load_before_plugin(device, desc);
  return device.tiles().load(text_of(desc), options_of(desc));
}

// The same text once more: the one path that has to be fast.
std::shared_ptr<TileProgram> find_tile(Device& device, const flagos_module_desc_t* desc) {
  const flagos_module_desc_t& given = check_desc(desc, "flagos_module_desc_t");
  if (given.format == nullptr || given.data == nullptr || given.path != nullptr || given.flags != 0 ||
      !is_format(given, tile_format))
    return nullptr;
  device.throw_if_lost();
  return device.tiles().find(text_of(given), options_of(given));
}

// Compilers take their time: meanwhile nobody has to wait for this thread's read section.
template <typename Body>
auto paused(Body&& body) {
  Pause pause;
  return body();
}

}  // namespace

std::vector<std::string> Module::kernel_names() const {
  std::vector<std::string> names;
  if (program_) {
    for (const TileRecord& record : program_->binary().kernels) names.push_back(record.name);
    return names;
  }
  if (!tables().has.kernel_names) return names;
  constexpr std::uint32_t most = 1u << 20;
  for (std::uint32_t i = 0; i < most; ++i) {
    const char* name = nullptr;
    const flagos_status_t status = tables().module.get_kernel_name(native_, i, &name);
    if (status == FLAGOS_STATUS_NOT_FOUND) break;
    expect(status, "module.get_kernel_name");
    names.emplace_back(name == nullptr ? "" : name);
  }
  return names;
}

// A portable kernel brings its signature: plugins without reflection have it from there.
flagos_plugin_kernel_t* Module::find_native(const flagos_kernel_desc_t& desc) {
  flagos_kernel_desc_t used = desc;
  const TileRecord* record = program_ ? program_->binary().find(desc.name) : nullptr;
  if (record != nullptr && !record->symbol.empty()) used.name = record->symbol.c_str();
  if (record != nullptr && !record->parameters.empty()) {
    used.parameters = record->parameters.data();
    used.parameter_count = static_cast<std::uint32_t>(record->parameters.size());
  }
  flagos_plugin_kernel_t* native = nullptr;
  const flagos_status_t status =
      program_ && record == nullptr ? FLAGOS_STATUS_NOT_FOUND : tables().module.get_kernel(native_, &used, &native);
  if (status == FLAGOS_STATUS_NOT_FOUND) {
    const std::string names = join_names(kernel_names());
    throw_error(status, "no kernel '{}' in the module{}{}", desc.name, names.empty() ? "" : "; there are: ", names);
  }
  expect(status, "module.get_kernel");
  if (native == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from module.get_kernel");
  validate_kernel(&device(), native_, native, used.name);
  return native;
}

Kernel& Module::kernel(const flagos_kernel_desc_t& desc) {
  check_signature(desc, device().info().max_argument_bytes);
  const std::string signature(reinterpret_cast<const char*>(desc.parameters),
                              desc.parameter_count * sizeof(flagos_parameter_t));
  std::lock_guard lock(mutex_);
  if (destroyed_) throw_handle_gone(Tag::module);
  const auto key = std::make_pair(std::string(desc.name), signature);
  if (const auto found = kernels_.find(key); found != kernels_.end()) return *found->second;

  flagos_plugin_kernel_t* native = find_native(desc);
  auto kernel = Ref<Kernel>::adopt(new Kernel(*this, native, program_ ? program_->binary().find(desc.name) : nullptr));
  check_same_signature(*kernel, desc);
  const auto place = kernels_.emplace(key, kernel.get()).first;
  try {
    publish<flagos_kernel_t>(kernel);
  } catch (...) {
    kernels_.erase(place);
    throw;
  }
  return *place->second;
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_module_get_format_count(flagos_device_t* device, uint32_t* out_count) {
  clear_out(out_count);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_count, "out_count") = static_cast<std::uint32_t>(all_formats(object).size());
  });
}

flagos_status_t flagos_module_get_format(flagos_device_t* device, uint32_t index, flagos_format_info_t* out_info) {
  return entry(__func__, [&] {
    begin_out(out_info, "out_info");
    const auto formats = all_formats(resolve<Device>(device, "device"));
    if (index >= formats.size()) throw_error(FLAGOS_STATUS_NOT_FOUND, "format {} of {}", index, formats.size());
    finish_out(out_info, formats[index]);
  });
}

flagos_status_t flagos_module_load(flagos_device_t* device, const flagos_module_desc_t* desc,
                                   flagos_module_t** out_module) {
  clear_out(out_module);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_module, "out_module");
    if (auto known = find_tile(object, desc)) {
      *out_module = publish<flagos_module_t>(Ref<Module>::adopt(new Module(object, std::move(known))));
      return;
    }
    const flagos_module_desc_t used = check_module_desc(object, desc, FLAGOS_FORMAT_FLAG_LOAD, "load");
    check_image(used);
    object.throw_if_lost();
    Ref<Device> keep(&object);
    if (auto program = paused([&] { return load_tile(object, used); })) {
      resolve<Device>(device, "device");  // it may be closed by now
      *out_module = publish<flagos_module_t>(Ref<Module>::adopt(new Module(object, std::move(program))));
      return;
    }
    flagos_plugin_module_t* native = nullptr;
    expect(object.tables().module.load(object.native(), &used, &native), "module.load");
    if (native == nullptr)
      throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from module.load");
    validate_made(&object, NativeKind::module, native, "module.load");
    const auto unload = [&object](flagos_plugin_module_t* module) {
      validate_gone(&object, NativeKind::module, module);
      object.tables().module.unload(module);
    };
    std::unique_ptr<flagos_plugin_module_t, decltype(unload)> kept(native, unload);
    Ref<Module> made = Ref<Module>::adopt(new Module(object, native));
    kept.release();
    *out_module = publish<flagos_module_t>(std::move(made));
  });
}

flagos_status_t flagos_module_unload(flagos_module_t* module) {
  if (module == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] { destroy_child(resolve<Module>(module, "module")); });
}

flagos_status_t flagos_module_get_log(flagos_module_t* module, uint64_t capacity_bytes, char* text,
                                      uint64_t* out_size_bytes) {
  clear_out(out_size_bytes);
  return entry(__func__, [&] {
    Module& object = resolve<Module>(module, "module");
    require(out_size_bytes, "out_size_bytes");
    const char* log = "";
    if (object.program() != nullptr && !object.program()->binary().log.empty())
      log = object.program()->binary().log.c_str();
    else if (object.tables().has.log)
      expect(object.tables().module.get_log(object.native(), &log), "module.get_log");
    if (log == nullptr) log = "";
    give_out(log, std::strlen(log) + 1, capacity_bytes, text, out_size_bytes, "text");
  });
}

flagos_status_t flagos_module_get_kernel(flagos_module_t* module, const flagos_kernel_desc_t* desc,
                                         flagos_kernel_t** out_kernel) {
  clear_out(out_kernel);
  return entry(__func__, [&] {
    Module& object = resolve<Module>(module, "module");
    flagos_kernel_desc_t used = check_desc(desc, "flagos_kernel_desc_t");
    used.struct_size = sizeof(used);
    used.next = nullptr;
    require(out_kernel, "out_kernel");
    check_flags(used.flags, 0, "flagos_kernel_desc_t.flags");
    if (used.padding != 0) throw_error(FLAGOS_STATUS_UNSUPPORTED, "flagos_kernel_desc_t.padding is not 0");
    require(used.name, "name");
    if (used.name[0] == '\0') throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the kernel's name is empty");
    object.device().throw_if_lost();
    *out_kernel = to_handle<flagos_kernel_t>(object.kernel(used));
  });
}

flagos_status_t flagos_module_get_kernel_count(flagos_module_t* module, uint32_t* out_count) {
  clear_out(out_count);
  return entry(__func__, [&] {
    Module& object = resolve<Module>(module, "module");
    require(out_count, "out_count") = static_cast<std::uint32_t>(object.kernel_names().size());
  });
}

flagos_status_t flagos_module_get_kernel_name(flagos_module_t* module, uint32_t index, const char** out_name) {
  clear_out(out_name);
  return entry(__func__, [&] {
    Module& object = resolve<Module>(module, "module");
    require(out_name, "out_name");
    const char* name = nullptr;
    if (object.program() != nullptr) {
      const auto& kernels = object.program()->binary().kernels;
      if (index >= kernels.size()) throw_error(FLAGOS_STATUS_NOT_FOUND, "the module has no kernel number {}", index);
      *out_name = kernels[index].name.c_str();
      return;
    }
    const flagos_status_t status = object.tables().has.kernel_names
                                       ? object.tables().module.get_kernel_name(object.native(), index, &name)
                                       : FLAGOS_STATUS_NOT_FOUND;
    if (status == FLAGOS_STATUS_NOT_FOUND) throw_error(status, "the module has no kernel number {}", index);
    expect(status, "module.get_kernel_name");
    *out_name = name;
  });
}

flagos_status_t flagos_module_get_global(flagos_module_t* module, const char* name, flagos_address_t* out_address,
                                         uint64_t* out_size_bytes) {
  clear_out(out_address);
  clear_out(out_size_bytes);
  return entry(__func__, [&] {
    Module& object = resolve<Module>(module, "module");
    require(name, "name");
    require(out_address, "out_address");
    require(out_size_bytes, "out_size_bytes");
    object.device().require_feature(FLAGOS_FEATURE_MODULE_GLOBAL, "globals of modules");
    flagos_address_t address = 0;
    std::uint64_t size = 0;
    const flagos_status_t status = object.tables().module.get_global(object.native(), name, &address, &size);
    if (status == FLAGOS_STATUS_NOT_FOUND) throw_error(status, "no global '{}' in the module", name);
    expect(status, "module.get_global");
    *out_address = address;
    *out_size_bytes = size;
  });
}

flagos_status_t flagos_module_get_binary(flagos_module_t* module, uint64_t capacity_bytes, void* data,
                                         uint64_t* out_size_bytes) {
  clear_out(out_size_bytes);
  return entry(__func__, [&] {
    Module& object = resolve<Module>(module, "module");
    require(out_size_bytes, "out_size_bytes");
    if (object.program() != nullptr) {
      const std::vector<std::byte> whole = write_tile_binary(object.program()->binary());
      give_out(whole.data(), whole.size(), capacity_bytes, static_cast<std::byte*>(data), out_size_bytes, "data");
      return;
    }
    if (!object.tables().has.binary)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "device {} does not keep the images of modules",
                  object.device().info().id);
    const void* bytes = nullptr;
    std::uint64_t size = 0;
    expect(object.tables().module.get_binary(object.native(), &bytes, &size), "module.get_binary");
    give_out(static_cast<const std::byte*>(bytes), size, capacity_bytes, static_cast<std::byte*>(data), out_size_bytes,
             "data");
  });
}

// ---- compiled blobs ------------------------------------------------------------------------------------------------

namespace {

// What is wrong with the text or with what it asks of the device is, to a caller of compile, a failed compilation.
bool is_compile_failure(flagos_status_t status) {
  return status == FLAGOS_STATUS_COMPILE_FAILED || status == FLAGOS_STATUS_INVALID_IMAGE ||
         status == FLAGOS_STATUS_UNSUPPORTED_VERSION || status == FLAGOS_STATUS_UNSUPPORTED;
}

// The blob is also given when that failed: then with the messages alone, before the error.
flagos_blob_t* compile_tile(flagos_device_t* handle, const flagos_module_desc_t& desc, Ref<Blob> blob,
                            flagos_blob_t** out) {
  Device& device = blob->device();
  try {
    const TileBinary binary = paused([&] { return TileRoads(device).make(text_of(desc), options_of(desc)); });
    resolve<Device>(handle, "device");  // it may be closed by now
    blob->log = binary.log;
    blob->data = write_tile_binary(binary);
    blob->format = tile_binary_format;
  } catch (const Error& error) {
    if (!is_compile_failure(error.status())) throw;
    const auto* refused = dynamic_cast<const TileCompileError*>(&error);
    blob->log = refused != nullptr ? refused->log() : error.what();
    *out = publish<flagos_blob_t>(std::move(blob));
    throw_error(FLAGOS_STATUS_COMPILE_FAILED, "{}", error.what());
  }
  return publish<flagos_blob_t>(std::move(blob));
}

}  // namespace

flagos_status_t flagos_module_compile(flagos_device_t* device, const flagos_module_desc_t* desc,
                                      flagos_blob_t** out_blob) {
  clear_out(out_blob);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_blob, "out_blob");
    const flagos_module_desc_t used = check_module_desc(object, desc, FLAGOS_FORMAT_FLAG_COMPILE, "compile");
    check_image(used);
    object.throw_if_lost();
    auto blob = Ref<Blob>::adopt(new Blob(object));
    if (is_format(used, tile_format) && !plugin_has(object, tile_format, FLAGOS_FORMAT_FLAG_COMPILE)) {
      *out_blob = compile_tile(device, used, std::move(blob), out_blob);
      return;
    }
    flagos_compiled_t compiled{};
    compiled.struct_size = sizeof(compiled);
    const flagos_status_t status = object.tables().module.compile(object.native(), &used, &compiled);
    if (status != FLAGOS_STATUS_OK && status != FLAGOS_STATUS_COMPILE_FAILED) expect(status, "module.compile");
    struct Free {
      Device& device;
      flagos_compiled_t& compiled;
      ~Free() { device.tables().module.free_compiled(device.native(), &compiled); }
    } free_at_end{object, compiled};
    if (compiled.log != nullptr) blob->log = compiled.log;
    if (status == FLAGOS_STATUS_OK && compiled.data != nullptr) {
      const auto* bytes = static_cast<const std::byte*>(compiled.data);
      blob->data.assign(bytes, bytes + compiled.size_bytes);
      blob->format = compiled.format == nullptr ? "" : compiled.format;
    }
    *out_blob = publish<flagos_blob_t>(std::move(blob));
    expect(status, "module.compile");
  });
}

flagos_status_t flagos_blob_get_data(flagos_blob_t* blob, const void** out_data, uint64_t* out_size_bytes,
                                     const char** out_format) {
  clear_out(out_data);
  clear_out(out_size_bytes);
  clear_out(out_format);
  return entry(__func__, [&] {
    Blob& object = resolve<Blob>(blob, "blob");
    require(out_data, "out_data");
    require(out_size_bytes, "out_size_bytes");
    *out_data = object.data.data();
    *out_size_bytes = object.data.size();
    if (out_format != nullptr) *out_format = object.format.c_str();
  });
}

flagos_status_t flagos_blob_get_log(flagos_blob_t* blob, const char** out_text) {
  clear_out(out_text);
  return entry(__func__, [&] {
    Blob& object = resolve<Blob>(blob, "blob");
    require(out_text, "out_text") = object.log.c_str();
  });
}

flagos_status_t flagos_blob_destroy(flagos_blob_t* blob) {
  if (blob == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] { destroy_child(resolve<Blob>(blob, "blob")); });
}
