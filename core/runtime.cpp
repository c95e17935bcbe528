// Runtimes: search, candidates, device numbering, and the end of it all.
#include "core/runtime.hpp"

#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/device.hpp"
#include "core/entry.hpp"
#include "core/loader.hpp"
#include "core/log.hpp"
#include "core/reaper.hpp"
#include "core/soft_queue.hpp"
#include "core/trace.hpp"

namespace flagos::core {

namespace {

std::atomic<int> live_runtimes{0};

// In the child of a fork that happened while a runtime lived nothing of core works any more, above all no lock and no
// thread. Before the first runtime there is nothing to lose, and parent and child each begin anew.
[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, [] {
  if (live_runtimes.load(std::memory_order_relaxed) > 0)
    process_state.fetch_or(process_forked, std::memory_order_relaxed);
});

template <std::size_t capacity>
void set_text(char (&target)[capacity], std::string_view text) {
  const std::size_t size = std::min(text.size(), capacity - 1);
  std::memcpy(target, text.data(), size);
  target[size] = '\0';
}

void refuse(flagos_candidate_info_t& candidate, flagos_verdict_t verdict, std::string_view reason) {
  candidate.verdict = verdict;
  candidate.abi_version = 0;
  candidate.device_count = 0;
  set_text(candidate.reason, fmt::format("{}: {}", candidate.path, escape(reason)));
}

flagos_verdict_t verdict_of(const Error& error) {
  switch (error.status()) {
    case FLAGOS_STATUS_UNSUPPORTED_VERSION:
      return FLAGOS_VERDICT_VERSION;
    case FLAGOS_STATUS_PLUGIN_PROTOCOL:
      return FLAGOS_VERDICT_BAD_TABLE;
    default:
      return FLAGOS_VERDICT_OPEN_FAILED;
  }
}

// Whatever else a plugin throws while it is opened is its fault too, not a reason to fail the search.
template <typename Body>
void run_plugin_code(Body&& body) {
  flagos_status_t failed = FLAGOS_STATUS_OK;
  std::string text;
  failed = guard(std::forward<Body>(body), [&](flagos_status_t, const char* what) {
    try {
      text = what;
    } catch (const std::bad_alloc&) {
      text.clear();
    }
  });
  if (failed != FLAGOS_STATUS_OK) throw Error(failed, text);
}

void set_log_level_from_environment() {
  const char* level = ::secure_getenv("FLAGOS_LOG_LEVEL");
  if (level == nullptr) return;
  static constexpr const char* names[] = {"trace", "debug", "info", "warning", "error", "off"};
  for (int i = 0; i < 6; ++i) {
    if (std::strcmp(level, names[i]) == 0) return set_log_level(i);
  }
  log(FLAGOS_LOG_LEVEL_WARNING, "FLAGOS_LOG_LEVEL is '{}', not one of trace debug info warning error off", level);
}

}  // namespace

Runtime::Runtime(const flagos_runtime_desc_t& desc)
    : Object(Tag::runtime), environment_((desc.flags & FLAGOS_RUNTIME_FLAG_NO_ENVIRONMENT) == 0) {
  if (environment_) set_log_level_from_environment();
  const char* layers = desc.layers;
  if (layers == nullptr && environment_) layers = ::secure_getenv("FLAGOS_LAYERS");
  if (layers != nullptr && layers[0] != '\0')
    enable_layers(layers, environment_ ? ::secure_getenv("FLAGOS_TRACE_FILE") : nullptr);
  live_runtimes.fetch_add(1);
  if ((desc.flags & FLAGOS_RUNTIME_FLAG_NO_SEARCH) == 0) search();
}

Runtime::~Runtime() {
  plugins_.clear();
  if (live_runtimes.fetch_sub(1) == 1) {
    soft_shutdown();
    reaper_shutdown();
  }
  flush_trace();
}

void Runtime::search() {
  bool named = false;
  const std::vector<std::string> files = find_libraries(environment_, named);
  std::lock_guard lock(mutex_);
  std::string rejected;
  for (const std::string& file : files) {
    const flagos_candidate_info_t candidate = consider(file);
    if (candidate.verdict == FLAGOS_VERDICT_LOADED) continue;
    log(named ? FLAGOS_LOG_LEVEL_ERROR : FLAGOS_LOG_LEVEL_INFO, "plugin refused: {}", candidate.reason);
    if (named && rejected.empty()) rejected = candidate.reason;
  }
  if (rejected.empty()) return;
  plugins_.clear();  // a destructor will not run: the constructor is about to fail
  live_runtimes.fetch_sub(1);
  throw_error(FLAGOS_STATUS_PLUGIN_REJECTED, "FLAGOS_PLUGIN_FILES: {}", rejected);
}

bool Runtime::has_plugin(const std::string& name) const {
  return std::any_of(plugins_.begin(), plugins_.end(), [&](const auto& plugin) { return plugin->name() == name; });
}

flagos_candidate_info_t Runtime::consider(const std::string& path, flagos_status_t* out_failure) {
  flagos_candidate_info_t candidate{};
  candidate.struct_size = sizeof(candidate);
  set_text(candidate.path, escape(path));
  try {
    LoadContext context;
    context.is_loaded = [&](const std::string& resolved) {
      return std::any_of(plugins_.begin(), plugins_.end(),
                         [&](const auto& plugin) { return plugin->path() == resolved; });
    };
    context.has_name = [&](const std::string& name) { return has_plugin(name); };
    const LoadedLibrary library = load_library(path, context);
    if (library.manifest) {
      set_text(candidate.name, escape(library.manifest->name));
      set_text(candidate.vendor, escape(library.manifest->vendor));
      set_text(candidate.version, escape(library.manifest->version));
    }
    auto plugin = std::make_unique<Plugin>(*this, library.path, environment_);
    open_plugin(std::move(plugin), library.open, candidate);
  } catch (const Refused& refused) {
    refuse(candidate, refused.verdict, refused.reason);
  } catch (const Error& error) {
    refuse(candidate, verdict_of(error), error.what());
    if (out_failure != nullptr) *out_failure = error.status();
  }
  candidates_.push_back(candidate);
  return candidate;
}

void Runtime::open_plugin(std::unique_ptr<Plugin> plugin, flagos_plugin_open_t open,
                          flagos_candidate_info_t& candidate) {
  run_plugin_code([&] {
    plugin->open(open);
    plugin->read_devices();
  });
  if (candidate.name[0] != '\0' && plugin->name() != candidate.name)
    throw Refused{FLAGOS_VERDICT_MANIFEST,
                  fmt::format("it calls itself '{}', its manifest '{}'", plugin->name(), candidate.name)};
  if (has_plugin(plugin->name()))
    throw Refused{FLAGOS_VERDICT_DUPLICATE, fmt::format("a plugin named '{}' is loaded already", plugin->name())};
  set_text(candidate.name, plugin->name());
  set_text(candidate.vendor, escape(plugin->vendor()));
  set_text(candidate.version, escape(plugin->version()));
  candidate.abi_version = plugin->abi_version();
  candidate.device_count = static_cast<std::uint32_t>(plugin->devices().size());
  for (std::uint32_t ordinal = 0; ordinal < plugin->devices().size(); ++ordinal) {
    flagos_device_info_t info = plugin->devices()[ordinal];
    info.index = static_cast<std::uint32_t>(devices_.size());
    set_text(info.id, fmt::format("{}:{}", plugin->name(), ordinal).substr(0, sizeof(info.id) - 1));
    if (info.dlpack_device_type == 0) {
      constexpr std::int32_t extension_device = 12;  // DLPack's kDLExtDev: none of the devices that it lists
      info.dlpack_device_type = extension_device;
      info.dlpack_device_id = static_cast<std::int32_t>(info.index);
    }
    devices_.push_back({plugin.get(), ordinal, info});
  }
  plugins_.push_back(std::move(plugin));
}

void Runtime::add_plugin(const std::string& path) {
  std::lock_guard lock(mutex_);
  flagos_status_t failure = FLAGOS_STATUS_PLUGIN_REJECTED;
  const flagos_candidate_info_t candidate = consider(path, &failure);
  if (candidate.verdict == FLAGOS_VERDICT_LOADED) return;
  const bool no_memory = failure == FLAGOS_STATUS_OUT_OF_HOST_MEMORY;  // that is nothing about the plugin
  throw_error(no_memory ? failure : flagos_status_t{FLAGOS_STATUS_PLUGIN_REJECTED}, "{}", candidate.reason);
}

void Runtime::add_opened(const std::string& path, flagos_plugin_open_t open) {
  std::lock_guard lock(mutex_);
  flagos_candidate_info_t candidate{};
  candidate.struct_size = sizeof(candidate);
  set_text(candidate.path, path);
  open_plugin(std::make_unique<Plugin>(*this, path, environment_), open, candidate);
  candidates_.push_back(candidate);
}

std::vector<flagos_candidate_info_t> Runtime::candidates() {
  std::lock_guard lock(mutex_);
  return candidates_;
}

std::vector<Runtime::DeviceEntry> Runtime::devices() {
  std::lock_guard lock(mutex_);
  return devices_;
}

void Runtime::attach(Device* device) {
  std::lock_guard lock(mutex_);
  open_devices_.push_back(device);
}

void Runtime::detach(Device* device) {
  std::lock_guard lock(mutex_);
  std::erase(open_devices_, device);
}

bool Runtime::shut_down() {
  constexpr std::uint64_t patience_ns = 10'000'000'000;
  std::vector<Ref<Device>> devices;
  {
    std::lock_guard lock(mutex_);
    for (Device* device : open_devices_) {
      if (device->try_retain()) devices.push_back(Ref<Device>::adopt(device));
    }
  }
  const Deadline deadline(patience_ns);
  for (const Ref<Device>& device : devices) {
    device->attachments().release_all(to_handle<flagos_device_t>(*device));
    device->destroy_children(patience_ns);
    remove_handle(device.get());
  }
  devices.clear();
  while (true) {
    epoch::synchronize();
    {
      std::lock_guard lock(mutex_);
      if (open_devices_.empty()) return true;
      for (Device* device : open_devices_) {
        if (device->try_retain()) devices.push_back(Ref<Device>::adopt(device));
      }
    }
    for (const Ref<Device>& device : devices) device->releases().poll();
    devices.clear();
    if (deadline.expired()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  log(FLAGOS_LOG_LEVEL_ERROR, "a device is still in use 10 s after its runtime was destroyed; it stays open for good");
  return false;
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_get_version(flagos_version_info_t* out_info) {
  return entry(
      __func__,
      [&] {
        begin_out(out_info, "out_info");
        flagos_version_info_t info{};
        info.abi_version = FLAGOS_ABI_VERSION;
        info.abi_version_min = FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR, 0);
        set_text(info.product_version, FLAGOS_PRODUCT_VERSION);
        finish_out(out_info, info);
      },
      Callback::allowed);
}

flagos_status_t flagos_runtime_create(const flagos_runtime_desc_t* desc, flagos_runtime_t** out_runtime) {
  clear_out(out_runtime);
  return entry(__func__, [&] {
    require(out_runtime, "out_runtime");
    flagos_runtime_desc_t used{};
    used.abi_version = FLAGOS_ABI_VERSION;
    if (desc != nullptr) used = check_desc(desc, "flagos_runtime_desc_t");
    check_flags(used.flags, FLAGOS_RUNTIME_FLAG_NO_SEARCH | FLAGOS_RUNTIME_FLAG_NO_ENVIRONMENT,
                "flagos_runtime_desc_t.flags");
    if (FLAGOS_VERSION_MAJOR(used.abi_version) != FLAGOS_ABI_MAJOR || used.abi_version > FLAGOS_ABI_VERSION)
      throw_error(FLAGOS_STATUS_UNSUPPORTED_VERSION,
                  "the caller's header is ABI {}.{}, this flagos implements {}.0 to {}.{}",
                  FLAGOS_VERSION_MAJOR(used.abi_version), FLAGOS_VERSION_MINOR(used.abi_version), FLAGOS_ABI_MAJOR,
                  FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR);
    auto runtime = Ref<Runtime>::adopt(new Runtime(used));
    handles.insert(runtime.get());
    *out_runtime = to_handle<flagos_runtime_t>(*runtime.detach());
  });
}

flagos_status_t flagos_runtime_destroy(flagos_runtime_t* runtime) {
  if (runtime == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] {
    Ref<Runtime> object(&resolve<Runtime>(runtime, "runtime"));
    if (!remove_handle(object.get())) throw_handle_gone(Tag::runtime);
    Pause pause;
    // A device that is still in use keeps its plugin, and so the runtime.
    if (!object->shut_down()) object.detach();
  });
}

flagos_status_t flagos_runtime_abandon(flagos_runtime_t* runtime) {
  // Nothing here may take a lock: the fork may have happened while another thread held it.
  if ((process_state.load() & process_forked) == 0)
    return entry(__func__, [&] {
      if (runtime == nullptr) return;
      resolve<Runtime>(runtime, "runtime");
      throw_error(FLAGOS_STATUS_NOT_PERMITTED,
                  "this is not the child of a fork; end the runtime with flagos_runtime_destroy");
    });
  if (runtime == nullptr) return FLAGOS_STATUS_OK;
  return guard([&] { handles.forget(&resolve<Runtime>(runtime, "runtime")); }, set_error_text);
}

flagos_status_t flagos_runtime_add_plugin(flagos_runtime_t* runtime, const char* path) {
  return entry(__func__, [&] {
    Runtime& object = resolve<Runtime>(runtime, "runtime");
    require(path, "path");
    if (path[0] == '\0') throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "path is empty");
    object.add_plugin(path);
  });
}

flagos_status_t flagos_runtime_get_candidate_count(flagos_runtime_t* runtime, uint32_t* out_count) {
  clear_out(out_count);
  return entry(__func__, [&] {
    Runtime& object = resolve<Runtime>(runtime, "runtime");
    require(out_count, "out_count") = static_cast<std::uint32_t>(object.candidates().size());
  });
}

flagos_status_t flagos_runtime_get_candidate(flagos_runtime_t* runtime, uint32_t index,
                                             flagos_candidate_info_t* out_info) {
  return entry(__func__, [&] {
    begin_out(out_info, "out_info");
    const auto candidates = resolve<Runtime>(runtime, "runtime").candidates();
    if (index >= candidates.size())
      throw_error(FLAGOS_STATUS_NOT_FOUND, "candidate {} of {}", index, candidates.size());
    finish_out(out_info, candidates[index]);
  });
}
