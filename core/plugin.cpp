// Opens a plugin through its one symbol and serves it.
#include "core/plugin.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "core/device.hpp"
#include "core/entry.hpp"
#include "core/log.hpp"
#include "core/profiler.hpp"
#include "core/runtime.hpp"
#include "core/validation.hpp"

namespace flagos::core {

// The functions of the host table. None of them throws.
struct HostServices {
  static Plugin& plugin(flagos_host_context_t* context) { return *static_cast<Plugin*>(context); }

  static void set_error(flagos_host_context_t*, flagos_status_t status, const char* text) {
    set_plugin_text(status, text);
  }

  static void log(flagos_host_context_t* context, flagos_log_level_t level, const char* text) {
    if (text == nullptr || level < FLAGOS_LOG_LEVEL_TRACE || level >= FLAGOS_LOG_LEVEL_OFF) return;
    // While it opens a plugin has told no name yet.
    const std::string& name = plugin(context).name_;
    core::log(level, "{}{}{}", name, name.empty() ? "" : ": ", text);
  }

  static void* allocate(flagos_host_context_t*, std::uint64_t size_bytes, std::uint64_t alignment_bytes) {
    if (!std::has_single_bit(alignment_bytes) || size_bytes == 0 || size_bytes > UINT64_MAX - alignment_bytes)
      return nullptr;
    const std::uint64_t alignment = std::max<std::uint64_t>(alignment_bytes, sizeof(void*));
    const std::uint64_t rounded = (size_bytes + alignment - 1) / alignment * alignment;
    return std::aligned_alloc(alignment, rounded);
  }

  static void deallocate(flagos_host_context_t*, void* pointer) { std::free(pointer); }

  static const char* get_config(flagos_host_context_t* context, const char* name) {
    Plugin& self = plugin(context);
    if (!self.environment_ || name == nullptr || !is_open_to_plugins(name)) return nullptr;
    const char* value = ::secure_getenv(name);
    if (value == nullptr) return nullptr;
    try {
      std::lock_guard lock(self.mutex_);
      // The first answer stands: its text must live until close.
      return self.config_.emplace(name, value).first->second.c_str();
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }

  // Our own variables, and those that name the user's cache folder, programs and the folder for temporary files: a
  // plugin has no other way into the environment through core.
  static bool is_open_to_plugins(const char* name) {
    static constexpr const char* others[] = {"XDG_CACHE_HOME", "HOME", "PATH", "TMPDIR"};
    return std::strncmp(name, "FLAGOS_", 7) == 0 ||
           std::any_of(std::begin(others), std::end(others),
                       [&](const char* other) { return std::strcmp(name, other) == 0; });
  }

  static void report_device_error(flagos_host_context_t* context, flagos_plugin_device_t* native,
                                  flagos_status_t status, const char* text) {
    Plugin& self = plugin(context);
    Ref<Device> device;
    {
      std::lock_guard lock(self.mutex_);
      const auto found = self.open_devices_.find(native);
      if (found == self.open_devices_.end()) return;
      if (!found->second->try_retain()) return;
      device = Ref<Device>::adopt(found->second);
    }
    device->set_lost(known_status(status) && FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER
                         ? status
                         : FLAGOS_STATUS_DEVICE_LOST,
                     text == nullptr ? "" : text);
  }

  static void emit_record(flagos_host_context_t* context, flagos_plugin_device_t* native,
                          const flagos_record_t* record) {
    if (record == nullptr) return;
    Plugin& self = plugin(context);
    std::lock_guard lock(self.mutex_);
    const auto found = self.open_devices_.find(native);
    if (found != self.open_devices_.end()) profiler_emit(*found->second, *record);
  }

  static std::uint64_t host_now_ns(flagos_host_context_t*) { return now_ns(); }
};

Plugin::Plugin(Runtime& runtime, std::string path, bool environment)
    : runtime_(runtime), path_(std::move(path)), environment_(environment) {
  host_.struct_size = sizeof(host_);
  host_.abi_version_min = FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR, 0);
  host_.abi_version_max = FLAGOS_ABI_VERSION;
  host_.context = this;
  host_.set_error = HostServices::set_error;
  host_.log = HostServices::log;
  host_.allocate = HostServices::allocate;
  host_.deallocate = HostServices::deallocate;
  host_.get_config = HostServices::get_config;
  host_.report_device_error = HostServices::report_device_error;
  host_.emit_record = HostServices::emit_record;
  host_.now_ns = HostServices::host_now_ns;
}

Plugin::~Plugin() {
  const PluginManners manners(path_, "closed");
  if (opened_ && tables_.root.close != nullptr) tables_.root.close(tables_.root.instance);
}

namespace {

std::string version_text(std::uint32_t version) {
  return fmt::format("{}.{}", FLAGOS_VERSION_MAJOR(version), FLAGOS_VERSION_MINOR(version));
}

bool valid_name(const char* name) {
  if (name == nullptr || name[0] < 'a' || name[0] > 'z') return false;
  for (std::size_t i = 0; i < 64; ++i) {
    const char c = name[i];
    if (c == '\0') return true;
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
  }
  return false;
}

// A plugin's string, cut to what we can show.
std::string bounded(const char* text) {
  return text == nullptr ? std::string() : std::string(text, ::strnlen(text, 63));
}

bool terminated(const char* text, std::size_t size) { return std::memchr(text, '\0', size) != nullptr; }

// Core trusts no number: whatever core itself will compute with must make sense.
std::string fault_of(const flagos_device_info_t& info) {
  if (!terminated(info.name, sizeof(info.name)) || !terminated(info.vendor, sizeof(info.vendor)) ||
      !terminated(info.driver_version, sizeof(info.driver_version)) || !terminated(info.bus_id, sizeof(info.bus_id)))
    return "a string has no end";
  if (!std::has_single_bit(info.allocation_alignment) || info.allocation_alignment < 256)
    return fmt::format("allocation_alignment is {}, not a power of two of at least 256", info.allocation_alignment);
  if (info.max_allocation_bytes == 0 || info.max_allocation_bytes > info.memory_bytes)
    return fmt::format("max_allocation_bytes is {} of {}", info.max_allocation_bytes, info.memory_bytes);
  if (info.compute_units == 0 || info.subgroup_size == 0 || info.max_block_threads == 0)
    return "compute_units, subgroup_size or max_block_threads is 0";
  for (int i = 0; i < 3; ++i) {
    if (info.max_grid[i] == 0 || info.max_block[i] == 0) return "a dimension of max_grid or max_block is 0";
  }
  if (info.max_argument_bytes < 4096)
    return fmt::format("max_argument_bytes is {}, at least 4096 is needed", info.max_argument_bytes);
  if (info.priority_high > info.priority_low) return "priority_high is above priority_low";
  if (std::all_of(std::begin(info.uuid), std::end(info.uuid), [](std::uint8_t byte) { return byte == 0; }))
    return "the uuid is all zero";
  return {};
}

}  // namespace

void Plugin::open(flagos_plugin_open_t entry_point) {
  crash_report_watch(path_.c_str(), reinterpret_cast<const void*>(entry_point));
  flagos_plugin_t raw{};
  raw.struct_size = sizeof(raw);
  const flagos_status_t status = [&] {
    const PluginManners manners(path_, "opened");
    return entry_point(&host_, &raw);
  }();
  if (status != FLAGOS_STATUS_OK) {
    if (raw.abi_version_max != 0 && status == FLAGOS_STATUS_UNSUPPORTED_VERSION)
      throw_error(status, "it implements ABI {} to {}, this flagos offers {} to {}", version_text(raw.abi_version_min),
                  version_text(raw.abi_version_max), version_text(host_.abi_version_min),
                  version_text(host_.abi_version_max));
    throw_plugin_failed(status, FLAGOS_PLUGIN_OPEN_SYMBOL);
  }
  if (raw.abi_version < host_.abi_version_min || raw.abi_version > host_.abi_version_max)
    throw_error(FLAGOS_STATUS_UNSUPPORTED_VERSION, "it answered with ABI {}, this flagos offers {} to {}",
                version_text(raw.abi_version), version_text(host_.abi_version_min),
                version_text(host_.abi_version_max));
  constexpr std::size_t least = offsetof(flagos_plugin_t, kernel) + sizeof(raw.kernel);
  if (raw.struct_size < least)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "its root table has struct_size {}, at least {} is needed",
                raw.struct_size, least);
  // A member that the size cuts in two is not there.
  const std::size_t whole = raw.struct_size - raw.struct_size % sizeof(void*);
  if (whole < sizeof(raw)) std::memset(reinterpret_cast<char*>(&raw) + whole, 0, sizeof(raw) - whole);
  if (!valid_name(raw.name))
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "its name is not of the form [a-z][a-z0-9_]* with at most 63 bytes");
  if (raw.close == nullptr) throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "its required slot close is NULL");
  name_ = raw.name;
  tables_.root = raw;
  opened_ = true;  // from here on the destructor closes it
  complete_tables(raw, tables_);
}

void Plugin::read_devices() {
  constexpr std::uint32_t most = 4096;
  std::uint32_t count = 0;
  expect(tables_.device.get_count(instance(), &count), "device.get_count");
  if (count > most) throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "it reports {} devices, more than {}", count, most);
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_device_info_t info{};
    info.struct_size = sizeof(info);
    expect(tables_.device.get_info(instance(), i, &info), "device.get_info");
    info.struct_size = sizeof(info);
    const std::string fault = fault_of(info);
    if (!fault.empty())
      throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the description of its device {} makes no sense: {}", i, fault);
    devices_.push_back(info);
  }
}

std::string Plugin::vendor() const { return bounded(tables_.root.vendor); }
std::string Plugin::version() const { return bounded(tables_.root.version); }

void Plugin::attach(flagos_plugin_device_t* native, Device* device) {
  std::lock_guard lock(mutex_);
  open_devices_[native] = device;
}

void Plugin::detach(flagos_plugin_device_t* native) {
  std::lock_guard lock(mutex_);
  open_devices_.erase(native);
}

}  // namespace flagos::core
