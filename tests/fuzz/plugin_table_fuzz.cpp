// What a plugin tells about itself: sizes, strings, descriptions of devices, slots that are missing and slots that
// lie. Core refuses it, or what goes through it ends with a status.
#include <array>

#include "tests/fuzz/runtime.hpp"

namespace flagos::fuzz {
namespace {

// The tables of the cpu plugin, copied, so that they can be changed.
struct Tables {
  flagos_plugin_t root{};
  flagos_device_table_t device{};
  flagos_memory_table_t memory{};
  flagos_stream_table_t stream{};
  flagos_event_table_t event{};
  flagos_module_table_t module{};
  flagos_kernel_table_t kernel{};
  flagos_timeline_table_t timeline{};
  flagos_graph_table_t graph{};
  flagos_interop_table_t interop{};
};

Tables tables;
std::vector<std::uint8_t> edits;
const flagos_device_table_t* real_device = nullptr;
std::uint32_t told_count = 0;
std::uint32_t info_offset = 0;
std::array<std::uint8_t, 16> info_bytes{};
std::uint32_t info_size = 0;
flagos_status_t lie = 0;
bool has_liar = false;
char strings[3][80];

// Stands in slots of any type: says something and writes nothing.
__attribute__((no_sanitize("function"))) flagos_status_t liar() { return lie; }

flagos_status_t get_count(flagos_plugin_instance_t* instance, std::uint32_t* out_count) {
  const flagos_status_t status = real_device->get_count(instance, out_count);
  if (told_count != 0) *out_count = told_count;
  return status;
}

flagos_status_t get_info(flagos_plugin_instance_t* instance, std::uint32_t,
                         flagos_device_info_t* out_info) {
  const flagos_status_t status = real_device->get_info(instance, 0, out_info);
  if (info_size != 0)
    std::memcpy(reinterpret_cast<char*>(out_info) + info_offset, info_bytes.data(), info_size);
  return status;
}

// However many it says there are: each is its first.
flagos_status_t open_first(flagos_plugin_instance_t* instance, std::uint32_t,
                           flagos_plugin_device_t** out_device) {
  return real_device->open(instance, 0, out_device);
}

template <typename Table>
void copy(Table& target, const Table*& source) {
  if (source == nullptr) return;
  std::memcpy(&target, source, std::min<std::size_t>(sizeof(target), source->struct_size));
  source = &target;
}

// One change of a table: its size, its version, or a slot that goes or lies.
template <typename Table>
void change(Table& table, Bytes& bytes) {
  const std::uint32_t what = bytes.below(4);
  if (what == 0) {
    // A plugin's claim to have written more than there is room for cannot be checked by anybody.
    table.struct_size = bytes.number<std::uint16_t>() % (sizeof(table) + 1);
  } else if (what == 1) {
    table.group_version = bytes.number<std::uint32_t>();
  } else {
    constexpr std::size_t slots = (sizeof(table) - 8) / sizeof(void*);
    const std::size_t slot = bytes.below(slots);
    has_liar |= what == 3;
    void* const value = what == 2 ? nullptr : reinterpret_cast<void*>(&liar);
    std::memcpy(reinterpret_cast<char*>(&table) + 8 + slot * sizeof(void*), &value, sizeof(value));
  }
}

void change_string(Bytes& bytes) {
  const std::uint32_t which = bytes.below(3);
  const auto text = bytes.take(bytes.below(sizeof(strings[0])));
  std::memcpy(strings[which], text.data(), text.size());
  strings[which][text.size()] = '\0';
  const char** const place[3] = {&tables.root.name, &tables.root.vendor, &tables.root.version};
  *place[which] = bytes.below(8) == 0 ? nullptr : strings[which];
}

void change_info(Bytes& bytes) {
  info_size = 1 + bytes.below(info_bytes.size());
  info_offset = bytes.number<std::uint16_t>() % (sizeof(flagos_device_info_t) - info_bytes.size());
  const auto taken = bytes.take(info_size);
  std::copy(taken.begin(), taken.end(), info_bytes.begin());
}

void change_one(Bytes& bytes) {
  switch (bytes.below(14)) {
    case 0:
      tables.root.abi_version = bytes.number<std::uint32_t>();
      break;
    case 1:
      tables.root.struct_size = bytes.number<std::uint16_t>() % (sizeof(tables.root) + 1);
      break;
    case 2:
      change_string(bytes);
      break;
    case 3:
      told_count = bytes.number<std::uint32_t>();
      break;
    case 4:
      change_info(bytes);
      break;
    case 5:
      change(tables.device, bytes);
      break;
    case 6:
      change(tables.memory, bytes);
      break;
    case 7:
      change(tables.stream, bytes);
      break;
    case 8:
      change(tables.event, bytes);
      break;
    case 9:
      change(tables.module, bytes);
      break;
    case 10:
      change(tables.kernel, bytes);
      break;
    case 11:
      change(tables.timeline, bytes);
      break;
    case 12:
      change(tables.graph, bytes);
      break;
    default:
      lie = bytes.number<std::int32_t>();
      break;
  }
}

flagos_status_t open_changed(const flagos_host_t* host, flagos_plugin_t* out_plugin) {
  tables = Tables{};
  flagos_plugin_t& root = tables.root;
  root.struct_size = sizeof(root);
  const flagos_status_t status = flagos_plugin_open(host, &root);
  demand(status == FLAGOS_STATUS_OK, "the cpu plugin opens");
  real_device = root.device;
  copy(tables.device, root.device);
  copy(tables.memory, root.memory);
  copy(tables.stream, root.stream);
  copy(tables.event, root.event);
  copy(tables.module, root.module);
  copy(tables.kernel, root.kernel);
  copy(tables.timeline, root.timeline);
  copy(tables.graph, root.graph);
  copy(tables.interop, root.interop);
  tables.device.get_count = get_count;
  tables.device.get_info = get_info;
  tables.device.open = open_first;
  told_count = info_size = 0;
  lie = FLAGOS_STATUS_OK;
  has_liar = false;
  Bytes bytes(edits.data(), edits.size());
  while (!bytes.at_end()) change_one(bytes);
  *out_plugin = root;
  return FLAGOS_STATUS_OK;
}

// Everything short that a program does first.
void use(flagos_runtime_t* runtime) {
  std::uint32_t count = 0;
  if (flagos_device_get_count(runtime, &count) != FLAGOS_STATUS_OK) return;
  for (std::uint32_t i = 0; i < std::min(count, 2u); ++i) {
    flagos_device_info_t info{};
    info.struct_size = sizeof(info);
    flagos_device_describe(runtime, i, &info);
    flagos_device_t* device = nullptr;
    if (flagos_device_open(runtime, i, &device) != FLAGOS_STATUS_OK) continue;
    std::uint64_t free_bytes = 0, total_bytes = 0;
    flagos_device_query_memory(device, &free_bytes, &total_bytes);
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = 4096;
    flagos_address_t memory = 0;
    flagos_stream_t* stream = nullptr;
    flagos_event_t* event = nullptr;
    flagos_timeline_t* timeline = nullptr;
    flagos_graph_t* graph = nullptr;
    flagos_memory_alloc(device, &desc, &memory);
    flagos_stream_create(device, nullptr, &stream);
    flagos_event_create(device, nullptr, &event);
    flagos_timeline_create(device, 0, &timeline);
    flagos_graph_create(device, &graph);
    const std::uint32_t word = 0x5eed;
    // A plugin that says of work that it is done, and goes on with it, writes to what was freed: nobody can see that.
    if (memory != 0 && stream != nullptr && !has_liar) {
      flagos_memory_fill(stream, memory, &word, sizeof(word), 4096);
      flagos_memory_update(stream, memory, &word, sizeof(word));
    }
    if (event != nullptr && stream != nullptr) flagos_event_record(event, stream);
    if (timeline != nullptr && stream != nullptr)
      flagos_stream_signal_timeline(stream, timeline, 1);
    if (stream != nullptr) flagos_stream_synchronize(stream, 50'000'000);
    flagos_graph_destroy(graph);
    flagos_timeline_destroy(timeline);
    flagos_event_destroy(event);
    flagos_stream_destroy(stream);
    flagos_memory_free(device, memory);
    flagos_device_close(device);
  }
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all = {std::string(1, '\0')};
  for (char table = 0; table < 14; ++table) {
    all.push_back({table, 0, 16, 0});
    all.push_back({table, 2, 1});
    all.push_back({table, 0, 21, 0});  // cuts a slot in two
    all.push_back({table, 3, 0});
    all.push_back({table, 3, 4, 13, 1, 0, 0, 1});
  }
  return all;
}

}  // namespace flagos::fuzz

// A slot that lies about destroying leaks what it should have destroyed.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flagos::fuzz;
  flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_OFF);
  edits.assign(data, data + std::min<std::size_t>(size, 256));
  flagos_runtime_t* const runtime = make_runtime("changed", open_changed);
  use(runtime);
  const flagos_status_t destroyed = flagos_runtime_destroy(runtime);
  demand(destroyed == FLAGOS_STATUS_OK || destroyed == FLAGOS_STATUS_BUSY,
         "a runtime can be destroyed");
  return 0;
}
