// The one exported symbol and the function tables: a table of contents.
#include <flagos_plugin.h>

#include <memory>

#include "base/plugin_open.hpp"
#include "plugins/opencl/device.hpp"
#include "plugins/opencl/event.hpp"
#include "plugins/opencl/handles.hpp"
#include "plugins/opencl/interop.hpp"
#include "plugins/opencl/kernel.hpp"
#include "plugins/opencl/memory.hpp"
#include "plugins/opencl/module.hpp"
#include "plugins/opencl/stream.hpp"
#include "plugins/opencl/topology.hpp"
#include "plugins/opencl/transfer.hpp"

namespace flagos::opencl {
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
                                                .prefetch = nullptr,
                                                .copy_peer = nullptr};

constexpr flagos_stream_table_t stream_table = {.struct_size = sizeof(flagos_stream_table_t),
                                                .group_version = 1,
                                                .create = stream_create,
                                                .destroy = stream_destroy,
                                                .synchronize = stream_synchronize,
                                                .wait_event = stream_wait_event,
                                                .launch_host = nullptr,
                                                .write_value = nullptr,
                                                .wait_value = nullptr,
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
                                                .get_global = nullptr,
                                                .get_log = module_get_log,
                                                .get_binary = module_get_binary,
                                                .compile = module_compile,
                                                .free_compiled = module_free_compiled,
                                                .get_compiler = nullptr};

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

constexpr flagos_profiling_table_t profiling_table = {
    .struct_size = sizeof(flagos_profiling_table_t),
    .group_version = 1,
    .enable = profiling_enable,
    .get_clock = profiling_get_clock,
    .begin_launch = stream_begin_launch,
    .end_launch = stream_end_launch};

// OpenCL takes memory of others in but gives none out, so core exports what is registered with us.
constexpr flagos_interop_table_t interop_table = {.struct_size = sizeof(flagos_interop_table_t),
                                                  .group_version = 1,
                                                  .export_memory = nullptr,
                                                  .import_memory = nullptr,
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

flagos_plugin_t make_table() noexcept {
  flagos_plugin_t table{};
  table.abi_version_min = table.abi_version_max = own_version;
  table.name = "opencl";
  table.vendor = "flagos";
  table.version = FLAGOS_OPENCL_VERSION;
  table.close = instance_close;
  table.device = &device_table;
  table.memory = &memory_table;
  table.stream = &stream_table;
  table.event = &event_table;
  table.module = &module_table;
  table.kernel = &kernel_table;
  table.profiling = &profiling_table;
  table.interop = &interop_table;
  table.topology = &topology_table;
  return table;
}

}  // namespace
}  // namespace flagos::opencl

extern "C" flagos_status_t flagos_plugin_open(const flagos_host_t* host,
                                              flagos_plugin_t* out_plugin) {
  using namespace flagos::opencl;
  const flagos::Host services(*host);
  return entry(services, [&] {
    flagos::answer_open(*host, *out_plugin, make_table(), [&](flagos_plugin_t& table) {
      table.instance = to_c(std::make_unique<Instance>(*host).release());
    });
  });
}
