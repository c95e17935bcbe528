// The one exported symbol and the function tables: a table of contents.
#include <flagos_plugin.h>

#include <memory>

#include "base/plugin_open.hpp"
#include "plugins/nvidia/collective.hpp"
#include "plugins/nvidia/device.hpp"
#include "plugins/nvidia/event.hpp"
#include "plugins/nvidia/graph.hpp"
#include "plugins/nvidia/handles.hpp"
#include "plugins/nvidia/interop.hpp"
#include "plugins/nvidia/kernel.hpp"
#include "plugins/nvidia/memory.hpp"
#include "plugins/nvidia/module.hpp"
#include "plugins/nvidia/operators.hpp"
#include "plugins/nvidia/stream.hpp"
#include "plugins/nvidia/topology.hpp"
#include "plugins/nvidia/transfer.hpp"
#include "plugins/nvidia/virtual_memory.hpp"

namespace flagos::nvidia {
namespace {

constexpr std::uint32_t own_version = FLAGOS_MAKE_VERSION(1, 0);

constexpr flagos_device_table_t device_table = {.struct_size = sizeof(flagos_device_table_t),
                                                .group_version = 1,
                                                .get_count = device_get_count,
                                                .get_info = device_get_info,
                                                .open = device_open,
                                                .close = device_close,
                                                .query_memory = device_query_memory,
                                                .synchronize = nullptr,
                                                .query_status = device_query_status,
                                                .recover = nullptr};

constexpr flagos_memory_table_t memory_table = {.struct_size = sizeof(flagos_memory_table_t),
                                                .group_version = 1,
                                                .alloc = memory_alloc,
                                                .free = memory_free,
                                                .copy = memory_copy,
                                                .fill = memory_fill,
                                                .copy_2d = memory_copy_2d,
                                                .update = nullptr,
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
                                                .launch_host = nullptr,
                                                .write_value = stream_write_value,
                                                .wait_value = stream_wait_value,
                                                .reset = nullptr};

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

constexpr flagos_interop_table_t interop_table = {.struct_size = sizeof(flagos_interop_table_t),
                                                  .group_version = 1,
                                                  .export_memory = memory_export,
                                                  .import_memory = memory_import,
                                                  .get_native_device = device_get_native,
                                                  .get_native_stream = stream_get_native,
                                                  .get_native_event = event_get_native,
                                                  .get_native_memory = memory_get_native,
                                                  .wrap_native_device = device_wrap_native,
                                                  .wrap_native_stream = stream_wrap_native,
                                                  .wrap_native_event = event_wrap_native,
                                                  .wrap_native_memory = memory_wrap_native};

constexpr flagos_topology_table_t topology_table = {.struct_size = sizeof(flagos_topology_table_t),
                                                    .group_version = 1,
                                                    .get_link = device_get_link};

constexpr flagos_operators_table_t operators_table = {
    .struct_size = sizeof(flagos_operators_table_t),
    .group_version = 1,
    .get_info = operator_get_info,
    .query = operator_query,
    .run = operator_run};

constexpr flagos_collective_table_t collective_table = {
    .struct_size = sizeof(flagos_collective_table_t),
    .group_version = 1,
    .query = collective_query,
    .unique_id_create = unique_id_create,
    .communicator_create = communicator_create,
    .communicator_destroy = communicator_destroy,
    .communicator_query_error = communicator_query_error,
    .communicator_split = communicator_split,
    .communicator_abort = communicator_abort,
    .all_reduce = collective_run<FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE>,
    .reduce = collective_run<FLAGOS_COLLECTIVE_OPERATION_REDUCE>,
    .reduce_scatter = collective_run<FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER>,
    .broadcast = collective_run<FLAGOS_COLLECTIVE_OPERATION_BROADCAST>,
    .all_gather = collective_run<FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER>,
    .gather = collective_run<FLAGOS_COLLECTIVE_OPERATION_GATHER>,
    .scatter = collective_run<FLAGOS_COLLECTIVE_OPERATION_SCATTER>,
    .all_to_all = collective_run<FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL>,
    .send = collective_run<FLAGOS_COLLECTIVE_OPERATION_SEND>,
    .receive = collective_run<FLAGOS_COLLECTIVE_OPERATION_RECEIVE>,
    .group_begin = collective_group_begin,
    .group_end = collective_group_end,
    .buffer_register = communicator_register,
    .buffer_deregister = communicator_deregister};

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

flagos_plugin_t make_table() noexcept {
  flagos_plugin_t table{};
  table.abi_version_min = table.abi_version_max = own_version;
  table.name = "nvidia";
  table.vendor = "flagos";
  table.version = FLAGOS_NVIDIA_VERSION;
  table.close = instance_close;
  table.device = &device_table;
  table.memory = &memory_table;
  table.stream = &stream_table;
  table.event = &event_table;
  table.module = &module_table;
  table.kernel = &kernel_table;
  table.graph = &graph_table;
  table.profiling = &profiling_table;
  table.interop = &interop_table;
  table.topology = &topology_table;
  table.virtual_memory = &virtual_memory_table;
  return table;
}

}  // namespace
}  // namespace flagos::nvidia

extern "C" flagos_status_t flagos_plugin_open(const flagos_host_t* host,
                                              flagos_plugin_t* out_plugin) {
  using namespace flagos::nvidia;
  const flagos::Host services(*host);
  return entry(services, [&] {
    flagos::answer_open(*host, *out_plugin, make_table(), [&](flagos_plugin_t& table) {
      auto instance = std::make_unique<Instance>(*host);
      if (instance->nccl() != nullptr) table.collective = &collective_table;
      if (instance->cublaslt() != nullptr) table.operators = &operators_table;
      table.instance = to_c(instance.release());
    });
  });
}
