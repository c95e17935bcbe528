// The one exported symbol and the function tables: a table of contents.
#include <flagos_plugin.h>

#include <memory>

#include "base/plugin_open.hpp"
#include "plugins/cpu/collective.hpp"
#include "plugins/cpu/device.hpp"
#include "plugins/cpu/event.hpp"
#include "plugins/cpu/graph.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/interop.hpp"
#include "plugins/cpu/kernel.hpp"
#include "plugins/cpu/memory.hpp"
#include "plugins/cpu/module.hpp"
#include "plugins/cpu/operators.hpp"
#include "plugins/cpu/stream.hpp"
#include "plugins/cpu/timeline.hpp"
#include "plugins/cpu/virtual_memory.hpp"

namespace flagos::cpu {
namespace {

constexpr std::uint32_t own_version = FLAGOS_MAKE_VERSION(1, 0);

constexpr flagos_device_table_t device_table = {.struct_size = sizeof(flagos_device_table_t),
                                                .group_version = 1,
                                                .get_count = device_get_count,
                                                .get_info = device_get_info,
                                                .open = device_open,
                                                .close = device_close,
                                                .query_memory = device_query_memory,
                                                .synchronize = device_synchronize,
                                                .query_status = device_query_status,
                                                .recover = device_recover};

constexpr flagos_memory_table_t memory_table = {.struct_size = sizeof(flagos_memory_table_t),
                                                .group_version = 1,
                                                .alloc = memory_alloc,
                                                .free = memory_free,
                                                .copy = memory_copy,
                                                .fill = memory_fill,
                                                .copy_2d = memory_copy_2d,
                                                .update = memory_update,
                                                .host_register = memory_host_register,
                                                .host_unregister = memory_host_unregister,
                                                .prefetch = memory_prefetch,
                                                .copy_peer = memory_copy_peer};

constexpr flagos_stream_table_t stream_table = {.struct_size = sizeof(flagos_stream_table_t),
                                                .group_version = 1,
                                                .create = stream_create,
                                                .destroy = stream_destroy,
                                                .synchronize = stream_synchronize,
                                                .wait_event = stream_wait_event,
                                                .launch_host = stream_launch_host,
                                                .write_value = stream_write_value,
                                                .wait_value = stream_wait_value,
                                                .reset = stream_reset};

constexpr flagos_event_table_t event_table = {.struct_size = sizeof(flagos_event_table_t),
                                              .group_version = 1,
                                              .create = event_create,
                                              .destroy = event_destroy,
                                              .record = event_record,
                                              .synchronize = event_synchronize,
                                              .get_elapsed = event_get_elapsed};

constexpr flagos_module_table_t module_table = {.struct_size = sizeof(flagos_module_table_t),
                                                .group_version = 1,
                                                .get_format = module_get_format,
                                                .load = module_load,
                                                .unload = module_unload,
                                                .get_kernel = module_get_kernel,
                                                .get_kernel_name = module_get_kernel_name,
                                                .get_global = module_get_global,
                                                .get_log = module_get_log,
                                                .get_binary = module_get_binary,
                                                .compile = module_compile,
                                                .free_compiled = module_free_compiled,
                                                .get_compiler = module_get_compiler};

constexpr flagos_kernel_table_t kernel_table = {.struct_size = sizeof(flagos_kernel_table_t),
                                                .group_version = 1,
                                                .get_info = kernel_get_info,
                                                .get_parameter = kernel_get_parameter,
                                                .launch = kernel_launch,
                                                .get_occupancy = kernel_get_occupancy,
                                                .suggest_block = kernel_suggest_block,
                                                .prepare = kernel_prepare,
                                                .launch_prepared = kernel_launch_prepared,
                                                .destroy_prepared = kernel_destroy_prepared};

constexpr flagos_timeline_table_t timeline_table = {.struct_size = sizeof(flagos_timeline_table_t),
                                                    .group_version = 1,
                                                    .create = timeline_create,
                                                    .destroy = timeline_destroy,
                                                    .query = timeline_query,
                                                    .signal = timeline_signal,
                                                    .wait = timeline_wait,
                                                    .fail = timeline_fail,
                                                    .stream_wait = timeline_stream_wait,
                                                    .stream_signal = timeline_stream_signal};

constexpr flagos_graph_table_t graph_table = {.struct_size = sizeof(flagos_graph_table_t),
                                              .group_version = 1,
                                              .instantiate = graph_instantiate,
                                              .update = graph_update,
                                              .launch = graph_launch,
                                              .destroy = graph_destroy};

constexpr flagos_profiling_table_t profiling_table = {
    .struct_size = sizeof(flagos_profiling_table_t),
    .group_version = 1,
    .enable = profiling_enable,
    .get_clock = profiling_get_clock,
    .begin_launch = stream_begin_launch,
    .end_launch = stream_end_launch};

constexpr flagos_interop_table_t interop_table = [] {
  flagos_interop_table_t table{};
  table.struct_size = sizeof(table);
  table.group_version = 1;
  table.get_native_memory = memory_get_native;
  table.wrap_native_memory = memory_wrap_native;
  return table;
}();

constexpr flagos_topology_table_t topology_table = {.struct_size = sizeof(flagos_topology_table_t),
                                                    .group_version = 1,
                                                    .get_link = topology_get_link};

constexpr flagos_operators_table_t operators_table = {
    .struct_size = sizeof(flagos_operators_table_t),
    .group_version = 1,
    .get_info = operator_get_info,
    .query = operator_query,
    .run = operator_run};

constexpr flagos_virtual_memory_table_t virtual_memory_table = {
    .struct_size = sizeof(flagos_virtual_memory_table_t),
    .group_version = 1,
    .get_granularity = virtual_memory_get_granularity,
    .reserve = virtual_memory_reserve,
    .release = virtual_memory_release,
    .create = physical_memory_create,
    .destroy = physical_memory_destroy,
    .map = virtual_memory_map,
    .unmap = virtual_memory_unmap,
    .set_access = virtual_memory_set_access,
    .export_memory = physical_memory_export,
    .import_memory = physical_memory_import};

constexpr flagos_collective_table_t collective_table = [] {
  flagos_collective_table_t table{};
  table.struct_size = sizeof(table);
  table.group_version = 1;
  table.query = collective_query;
  table.unique_id_create = unique_id_create;
  table.communicator_create = communicator_create;
  table.communicator_destroy = communicator_destroy;
  table.communicator_query_error = communicator_query_error;
  table.communicator_split = communicator_split;
  table.communicator_abort = communicator_abort;
  table.all_reduce = collective_run<FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE>;
  table.reduce = collective_run<FLAGOS_COLLECTIVE_OPERATION_REDUCE>;
  table.reduce_scatter = collective_run<FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER>;
  table.broadcast = collective_run<FLAGOS_COLLECTIVE_OPERATION_BROADCAST>;
  table.all_gather = collective_run<FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER>;
  table.gather = collective_run<FLAGOS_COLLECTIVE_OPERATION_GATHER>;
  table.scatter = collective_run<FLAGOS_COLLECTIVE_OPERATION_SCATTER>;
  table.all_to_all = collective_run<FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL>;
  table.send = collective_run<FLAGOS_COLLECTIVE_OPERATION_SEND>;
  table.receive = collective_run<FLAGOS_COLLECTIVE_OPERATION_RECEIVE>;
  table.group_begin = collective_group_begin;
  table.group_end = collective_group_end;
  return table;
}();

flagos_plugin_t make_table() noexcept {
  flagos_plugin_t table{};
  table.abi_version_min = table.abi_version_max = own_version;
  table.name = "cpu";
  table.vendor = "flagos";
  table.version = FLAGOS_CPU_VERSION;
  table.close = instance_close;
  table.device = &device_table;
  table.memory = &memory_table;
  table.stream = &stream_table;
  table.event = &event_table;
  table.module = &module_table;
  table.kernel = &kernel_table;
  table.timeline = &timeline_table;
  table.graph = &graph_table;
  table.profiling = &profiling_table;
  table.interop = &interop_table;
  table.topology = &topology_table;
  table.operators = &operators_table;
  table.virtual_memory = &virtual_memory_table;
  table.collective = &collective_table;
  return table;
}

}  // namespace
}  // namespace flagos::cpu

extern "C" flagos_status_t flagos_plugin_open(const flagos_host_t* host,
                                              flagos_plugin_t* out_plugin) {
  using namespace flagos::cpu;
  const flagos::Host services(*host);
  return entry(services, [&] {
    flagos::answer_open(*host, *out_plugin, make_table(), [&](flagos_plugin_t& table) {
      table.instance = to_c(std::make_unique<Instance>(*host).release());
    });
  });
}
