#include "conformance/cases/plugin_probe.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <ctime>

#include "conformance/case.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

void log(flagos_host_context_t*, flagos_log_level_t, const char*) {}
const char* get_config(flagos_host_context_t*, const char*) { return nullptr; }
void report_device_error(flagos_host_context_t*, flagos_plugin_device_t*, flagos_status_t,
                         const char*) {}
void emit_record(flagos_host_context_t*, flagos_plugin_device_t*, const flagos_record_t*) {}
std::uint64_t now_ns(flagos_host_context_t*) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

ProbeHost::ProbeHost() {
  table_.struct_size = sizeof table_;
  table_.context = reinterpret_cast<flagos_host_context_t*>(this);
  table_.set_error = &set_error;
  table_.log = &log;
  table_.allocate = &allocate;
  table_.deallocate = &deallocate;
  table_.get_config = &get_config;
  table_.report_device_error = &report_device_error;
  table_.emit_record = &emit_record;
  table_.now_ns = &now_ns;
  offer(FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION);
}

void ProbeHost::offer(std::uint32_t abi_min, std::uint32_t abi_max) {
  table_.abi_version_min = abi_min;
  table_.abi_version_max = abi_max;
}

std::string ProbeHost::last_error() const {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

void ProbeHost::set_error(flagos_host_context_t* context, flagos_status_t, const char* text) {
  ProbeHost& host = of(context);
  const std::lock_guard lock(host.mutex_);
  host.last_error_ = text == nullptr ? "" : text;
}

void* ProbeHost::allocate(flagos_host_context_t* context, std::uint64_t size,
                          std::uint64_t alignment) {
  ProbeHost& host = of(context);
  if (host.allowed_ >= 0 && host.allowed_.fetch_sub(1) <= 0) {
    host.allowed_ = 0;
    return nullptr;
  }
  void* made = nullptr;
  if (posix_memalign(&made, alignment < sizeof(void*) ? sizeof(void*) : alignment,
                     size == 0 ? 1 : size) != 0)
    return nullptr;
  ++host.live_;
  return made;
}

void ProbeHost::deallocate(flagos_host_context_t* context, void* pointer) {
  if (pointer == nullptr) return;
  --of(context).live_;
  std::free(pointer);
}

// Under a sanitizer libraries stay: what the variables of one hold would else be a leak once it is gone.
PluginLibrary::PluginLibrary(const std::string& path)
    : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | (sanitized() ? RTLD_NODELETE : 0))) {
  if (handle_ == nullptr) {
    error_ = dlerror();
    return;
  }
  open_ = reinterpret_cast<flagos_plugin_open_t>(dlsym(handle_, FLAGOS_PLUGIN_OPEN_SYMBOL));
  if (open_ == nullptr) error_ = path + " does not export " FLAGOS_PLUGIN_OPEN_SYMBOL;
}

PluginLibrary::~PluginLibrary() {
  if (handle_ != nullptr) dlclose(handle_);
}

PluginProbe::PluginProbe(const PluginLibrary& library, std::uint32_t abi_min,
                         std::uint32_t abi_max) {
  host_.offer(abi_min, abi_max);
  plugin_.struct_size = sizeof plugin_;
  if (library.open() != nullptr) status_ = library.open()(host_.table(), &plugin_);
}

PluginProbe::~PluginProbe() {
  if (status_ == ok && plugin_.close != nullptr) plugin_.close(plugin_.instance);
}

namespace {

// What one smoke makes, destroyed in the order that the contract asks for.
struct Session {
  const flagos_plugin_t& plugin;
  flagos_plugin_device_t* device = nullptr;
  flagos_plugin_stream_t* stream = nullptr;
  flagos_plugin_event_t* event = nullptr;
  flagos_address_t memory = 0;

  ~Session() {
    if (stream != nullptr) plugin.stream->synchronize(stream, a_minute);
    if (event != nullptr) plugin.event->destroy(event);
    if (stream != nullptr) plugin.stream->destroy(stream);
    if (memory != 0) plugin.memory->free(device, memory);
    if (device != nullptr) plugin.device->close(device);
  }
};

constexpr std::size_t smoke_size = 4096;

std::string prepare(Session& session, std::uint32_t ordinal) {
  const flagos_plugin_t& plugin = session.plugin;
  const flagos_stream_desc_t stream_desc{sizeof stream_desc, 0, nullptr, 0};
  const flagos_event_desc_t event_desc{sizeof event_desc, 0, nullptr};
  const flagos_memory_desc_t memory_desc{
      sizeof memory_desc, FLAGOS_MEMORY_KIND_DEVICE, nullptr, smoke_size, 256, 0};
  std::uint32_t count = 0;
  if (plugin.device->get_count(plugin.instance, &count) != ok) return "device.get_count fails";
  if (ordinal >= count)
    return "device " + std::to_string(ordinal) + " is not among " + std::to_string(count);
  if (plugin.device->open(plugin.instance, ordinal, &session.device) != ok)
    return "device.open fails";
  if (plugin.stream->create(session.device, &stream_desc, &session.stream) != ok)
    return "stream.create fails";
  if (plugin.event->create(session.device, &event_desc, &session.event) != ok)
    return "event.create fails";
  if (plugin.memory->alloc(session.device, &memory_desc, &session.memory) != ok ||
      session.memory == 0)
    return "memory.alloc fails";
  return "";
}

std::string move_data(const Session& session) {
  const flagos_plugin_t& plugin = session.plugin;
  const auto address = [](const void* pointer) {
    return reinterpret_cast<flagos_address_t>(pointer);
  };
  std::vector<std::uint8_t> sent(smoke_size), expected, received(smoke_size);
  for (std::size_t i = 0; i < smoke_size; ++i)
    sent[i] = static_cast<std::uint8_t>(i * 31 + i / 256);
  expected = sent;
  std::memset(expected.data() + 1024, 0x3c, 512);
  const std::uint8_t pattern = 0x3c;
  const bool queued =
      plugin.memory->copy(session.stream, session.memory, address(sent.data()), smoke_size) == ok &&
      plugin.memory->fill(session.stream, session.memory + 1024, &pattern, 1, 512) == ok &&
      plugin.memory->copy(session.stream, address(received.data()), session.memory, smoke_size) ==
          ok &&
      plugin.event->record(session.event, session.stream) == ok;
  const bool finished = plugin.event->synchronize(session.event, a_minute) == ok &&
                        plugin.stream->synchronize(session.stream, a_minute) == ok;
  if (!queued) return "copy, fill or record fails";
  if (!finished) return "the stream does not finish";
  return received == expected ? "" : "the bytes that come back are not those that were sent";
}

}  // namespace

std::string PluginProbe::smoke(std::uint32_t ordinal) {
  if (status_ != ok) return "flagos_plugin_open fails: " + host_.last_error();
  Session session{plugin_};
  const std::string problem = prepare(session, ordinal);
  return problem.empty() ? move_data(session) : problem;
}

std::vector<Slot> slots_of(const flagos_plugin_t& plugin) {
  std::vector<Slot> slots;
#define FLAGOS_SLOT(group, member, required) \
  slots.push_back(                           \
      {#group, #member, required,            \
       plugin.group != nullptr && FLAGOS_HAS(plugin.group, flagos_##group##_table_t, member)})
#include "conformance/cases/plugin_slots.inc"
#undef FLAGOS_SLOT
  return slots;
}

bool slot_filled(const std::vector<Slot>& slots, const std::string& group,
                 const std::string& name) {
  for (const Slot& slot : slots)
    if (group == slot.group && name == slot.name) return slot.filled;
  return false;
}

std::string inconsistent_set(const flagos_plugin_t& plugin) {
  const auto slots = slots_of(plugin);
  const std::vector<std::pair<const char*, std::vector<const char*>>> together{
      {"module", {"compile", "free_compiled"}},
      {"kernel", {"prepare", "launch_prepared", "destroy_prepared"}},
      {"memory", {"host_register", "host_unregister"}},
      {"interop", {"export_memory", "import_memory"}},
      {"collective", {"group_begin", "group_end"}},
      {"collective", {"buffer_register", "buffer_deregister"}}};
  for (const auto& [group, names] : together)
    for (const char* const name : names)
      if (slot_filled(slots, group, name) != slot_filled(slots, group, names.front()))
        return std::string(group) + "." + name;
  const std::pair<const char*, const void*> optional_groups[] = {
      {"memory_pool", plugin.memory_pool},
      {"timeline", plugin.timeline},
      {"graph", plugin.graph},
      {"profiling", plugin.profiling},
      {"topology", plugin.topology},
      {"operators", plugin.operators},
      {"virtual_memory", plugin.virtual_memory}};
  for (const auto& [group, table] : optional_groups)
    for (const Slot& slot : slots)
      if (table != nullptr && std::string(slot.group) == group && !slot.filled)
        return std::string(group) + "." + slot.name;
  for (const char* const name : {"query", "unique_id_create", "communicator_create",
                                 "communicator_destroy", "communicator_query_error"})
    if (plugin.collective != nullptr && !slot_filled(slots, "collective", name))
      return std::string("collective.") + name;
  return "";
}

}  // namespace flagos::conformance
