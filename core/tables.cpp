// Completes a plugin's tables, so that nobody ever calls NULL.
#include <cstring>
#include <string>

#include "core/collective.hpp"
#include "core/entry.hpp"
#include "core/plugin.hpp"

namespace flagos::core {

namespace {

// What stands in a slot that the plugin left out.
template <typename Function>
struct Stub;
template <typename... Arguments>
struct Stub<flagos_status_t (*)(Arguments...)> {
  static flagos_status_t call(Arguments...) {
    set_plugin_text(FLAGOS_STATUS_UNSUPPORTED, "the plugin does not offer this function");
    return FLAGOS_STATUS_UNSUPPORTED;
  }
};
template <typename... Arguments>
struct Stub<void (*)(Arguments...)> {
  static void call(Arguments...) {}
};

// Copies what the plugin's version of a table has; the rest is NULL.
template <typename Table>
void copy_table(const Table* raw, Table& table, const char* group) {
  if (raw == nullptr) return;
  // The least a table can be is its head; which slots must be there is checked one by one.
  constexpr std::uint32_t head = 2 * sizeof(std::uint32_t);
  if (raw->struct_size < head)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "its table '{}' has struct_size {}, at least {} is needed", group,
                raw->struct_size, head);
  // A slot that the size cuts in two is not there.
  const std::size_t whole = raw->struct_size - raw->struct_size % sizeof(void*);
  std::memcpy(static_cast<void*>(&table), raw, std::min(whole, sizeof(Table)));
  table.struct_size = sizeof(Table);
}

template <typename Function>
void required(Function& slot, const char* name) {
  if (slot == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "its required slot {} is NULL or past the end of its table", name);
}

// Whether the plugin filled the slot; fills it otherwise.
template <typename Function>
bool optional(Function& slot) {
  if (slot != nullptr) return true;
  slot = &Stub<Function>::call;
  return false;
}

template <typename First, typename... Rest>
bool all_or_none(const char* what, First& first, Rest&... rest) {
  const bool present = optional(first);
  if (((optional(rest) != present) || ...))
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "it fills some of the slots {}, which come together or not at all",
                what);
  return present;
}

void complete_device(flagos_device_table_t& table, Tables& tables) {
  required(table.get_count, "device.get_count");
  required(table.get_info, "device.get_info");
  required(table.open, "device.open");
  required(table.close, "device.close");
  required(table.query_memory, "device.query_memory");
  tables.has.synchronize = optional(table.synchronize);
  tables.has.query_status = optional(table.query_status);
  tables.has.recover = optional(table.recover);
}

void complete_memory(flagos_memory_table_t& table, Tables& tables) {
  required(table.alloc, "memory.alloc");
  required(table.free, "memory.free");
  required(table.copy, "memory.copy");
  required(table.fill, "memory.fill");
  tables.has.copy_2d = optional(table.copy_2d);
  tables.has.update = optional(table.update);
  tables.has.host_register =
      all_or_none("memory.host_register and host_unregister", table.host_register, table.host_unregister);
  tables.has.prefetch = optional(table.prefetch);
  tables.has.copy_peer = optional(table.copy_peer);
}

void complete_stream(flagos_stream_table_t& table, Tables& tables) {
  required(table.create, "stream.create");
  required(table.destroy, "stream.destroy");
  required(table.synchronize, "stream.synchronize");
  required(table.wait_event, "stream.wait_event");
  tables.has.launch_host = optional(table.launch_host);
  tables.has.write_value = optional(table.write_value);
  tables.has.wait_value = optional(table.wait_value);
  tables.has.reset = optional(table.reset);
}

void complete_event(flagos_event_table_t& table) {
  required(table.create, "event.create");
  required(table.destroy, "event.destroy");
  required(table.record, "event.record");
  required(table.synchronize, "event.synchronize");
  required(table.get_elapsed, "event.get_elapsed");
}

void complete_module(flagos_module_table_t& table, Tables& tables) {
  required(table.get_format, "module.get_format");
  required(table.load, "module.load");
  required(table.unload, "module.unload");
  required(table.get_kernel, "module.get_kernel");
  tables.has.kernel_names = optional(table.get_kernel_name);
  tables.has.global = optional(table.get_global);
  tables.has.log = optional(table.get_log);
  tables.has.binary = optional(table.get_binary);
  tables.has.compile = all_or_none("module.compile and free_compiled", table.compile, table.free_compiled);
  tables.has.compiler = optional(table.get_compiler);
}

void complete_kernel(flagos_kernel_table_t& table, Tables& tables) {
  required(table.get_info, "kernel.get_info");
  required(table.get_parameter, "kernel.get_parameter");
  required(table.launch, "kernel.launch");
  tables.has.occupancy = optional(table.get_occupancy);
  tables.has.suggest_block = optional(table.suggest_block);
  tables.has.prepare = all_or_none("kernel.prepare, launch_prepared and destroy_prepared", table.prepare,
                                   table.launch_prepared, table.destroy_prepared);
}

// In an optional group that is there every slot is required; in one that is not every slot is a stub.
template <typename... Slots>
bool complete_group(bool present, const char* group, Slots&... slots) {
  if (!present) {
    (optional(slots), ...);
    return false;
  }
  if (((slots == nullptr) || ...))
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "its table '{}' has a slot that is NULL or past its end", group);
  return true;
}

void complete_optional_groups(const flagos_plugin_t& raw, Tables& tables) {
  auto& pool = tables.memory_pool;
  tables.has.memory_pool = complete_group(raw.memory_pool != nullptr, "memory_pool", pool.create, pool.destroy,
                                          pool.alloc, pool.free, pool.trim, pool.set_limit, pool.get_statistics);
  auto& timeline = tables.timeline;
  tables.has.timeline =
      complete_group(raw.timeline != nullptr, "timeline", timeline.create, timeline.destroy, timeline.query,
                     timeline.signal, timeline.wait, timeline.fail, timeline.stream_wait, timeline.stream_signal);
  auto& graph = tables.graph;
  tables.has.graph =
      complete_group(raw.graph != nullptr, "graph", graph.instantiate, graph.update, graph.launch, graph.destroy);
  auto& profiling = tables.profiling;
  tables.has.profiling = complete_group(raw.profiling != nullptr, "profiling", profiling.enable, profiling.get_clock);
  all_or_none("profiling.begin_launch and end_launch", profiling.begin_launch, profiling.end_launch);
  auto& topology = tables.topology;
  tables.has.topology = complete_group(raw.topology != nullptr, "topology", topology.get_link);
  auto& operators = tables.operators;
  tables.has.operators =
      complete_group(raw.operators != nullptr, "operators", operators.get_info, operators.query, operators.run);
  auto& memory = tables.virtual_memory;
  tables.has.virtual_memory =
      complete_group(raw.virtual_memory != nullptr, "virtual_memory", memory.get_granularity, memory.reserve,
                     memory.release, memory.create, memory.destroy, memory.map, memory.unmap, memory.set_access);
  tables.has.export_physical_memory =
      all_or_none("virtual_memory.export_memory and import_memory", memory.export_memory, memory.import_memory);
}

// Of the operations a library may offer any.
void complete_collective(bool present, flagos_collective_table_t& table, Tables& tables) {
  auto& has = tables.has;
  has.collective = complete_group(present, "collective", table.query, table.unique_id_create, table.communicator_create,
                                  table.communicator_destroy, table.communicator_query_error);
  optional(table.communicator_split);
  has.communicator_abort = optional(table.communicator_abort);
  for (flagos_collective_operation_t operation = 0; operation < FLAGOS_COLLECTIVE_OPERATION_COUNT; ++operation)
    has.collectives[operation] = optional(collective_slot(table, operation));
  has.collective_groups = all_or_none("collective.group_begin and group_end", table.group_begin, table.group_end);
  all_or_none("collective.buffer_register and buffer_deregister", table.buffer_register, table.buffer_deregister);
}

// Of this group a driver may offer any part.
void complete_interop(flagos_interop_table_t& table, Tables& tables) {
  tables.has.export_memory =
      all_or_none("interop.export_memory and import_memory", table.export_memory, table.import_memory);
  const bool shows = optional(table.get_native_device) | optional(table.get_native_stream) |
                     optional(table.get_native_event) | optional(table.get_native_memory);
  const bool wraps = optional(table.wrap_native_device) | optional(table.wrap_native_stream) |
                     optional(table.wrap_native_event) | optional(table.wrap_native_memory);
  tables.has.native_objects = shows || wraps;
}

}  // namespace

void complete_tables(const flagos_plugin_t& raw, Tables& tables) {
  tables = Tables{};
  if (raw.device == nullptr || raw.memory == nullptr || raw.stream == nullptr || raw.event == nullptr ||
      raw.module == nullptr || raw.kernel == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL,
                "one of its required tables device, memory, stream, event, module, kernel is NULL");
  copy_table(raw.device, tables.device, "device");
  copy_table(raw.memory, tables.memory, "memory");
  copy_table(raw.stream, tables.stream, "stream");
  copy_table(raw.event, tables.event, "event");
  copy_table(raw.module, tables.module, "module");
  copy_table(raw.kernel, tables.kernel, "kernel");
  copy_table(raw.memory_pool, tables.memory_pool, "memory_pool");
  copy_table(raw.timeline, tables.timeline, "timeline");
  copy_table(raw.graph, tables.graph, "graph");
  copy_table(raw.profiling, tables.profiling, "profiling");
  copy_table(raw.interop, tables.interop, "interop");
  copy_table(raw.topology, tables.topology, "topology");
  copy_table(raw.operators, tables.operators, "operators");
  copy_table(raw.virtual_memory, tables.virtual_memory, "virtual_memory");
  copy_table(raw.collective, tables.collective, "collective");
  complete_device(tables.device, tables);
  complete_memory(tables.memory, tables);
  complete_stream(tables.stream, tables);
  complete_event(tables.event);
  complete_module(tables.module, tables);
  complete_kernel(tables.kernel, tables);
  complete_optional_groups(raw, tables);
  complete_collective(raw.collective != nullptr, tables.collective, tables);
  complete_interop(tables.interop, tables);

  tables.root = raw;
  tables.root.struct_size = sizeof(flagos_plugin_t);
  tables.root.device = &tables.device;
  tables.root.memory = &tables.memory;
  tables.root.stream = &tables.stream;
  tables.root.event = &tables.event;
  tables.root.module = &tables.module;
  tables.root.kernel = &tables.kernel;
  tables.root.memory_pool = &tables.memory_pool;
  tables.root.timeline = &tables.timeline;
  tables.root.graph = &tables.graph;
  tables.root.profiling = &tables.profiling;
  tables.root.interop = &tables.interop;
  tables.root.topology = &tables.topology;
  tables.root.operators = &tables.operators;
  tables.root.virtual_memory = &tables.virtual_memory;
  tables.root.collective = &tables.collective;
}

}  // namespace flagos::core
