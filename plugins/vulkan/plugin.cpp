// The one exported symbol and the function tables: a table of contents.
#include <flagos_plugin.h>

#include <memory>

#include "base/plugin_open.hpp"
#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/event.hpp"
#include "plugins/vulkan/external.hpp"
#include "plugins/vulkan/handles.hpp"
#include "plugins/vulkan/interop.hpp"
#include "plugins/vulkan/kernel.hpp"
#include "plugins/vulkan/memory.hpp"
#include "plugins/vulkan/module.hpp"
#include "plugins/vulkan/profile.hpp"
#include "plugins/vulkan/stream.hpp"
#include "plugins/vulkan/timeline.hpp"
#include "plugins/vulkan/topology.hpp"

namespace flagos::vulkan {
namespace {

// A slot that is nullptr is emulated by core, or absent.

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
                                                .recover = nullptr};

constexpr flagos_memory_table_t memory_table = {.struct_size = sizeof(flagos_memory_table_t),
                                                .group_version = 1,
                                                .alloc = memory_alloc,
                                                .free = memory_free,
                                                .copy = memory_copy,
                                                .fill = memory_fill,
                                                .copy_2d = nullptr,
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
                                                .launch_host = stream_launch_host,
                                                .write_value = nullptr,
                                                .wait_value = nullptr,
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
                                                .get_occupancy = nullptr,
                                                .suggest_block = nullptr,
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

constexpr flagos_profiling_table_t profiling_table = {
    .struct_size = sizeof(flagos_profiling_table_t),
    .group_version = 1,
    .enable = profiling_enable,
    .get_clock = profiling_get_clock,
    .begin_launch = stream_begin_launch,
    .end_launch = stream_end_launch};

constexpr flagos_interop_table_t interop_table_of(bool shares_memory) {
  return {.struct_size = sizeof(flagos_interop_table_t),
          .group_version = 1,
          .export_memory = shares_memory ? memory_export : nullptr,
          .import_memory = shares_memory ? memory_import : nullptr,
          .get_native_device = device_get_native,
          .get_native_stream = stream_get_native,
          .get_native_event = event_get_native,
          .get_native_memory = memory_get_native,
          .wrap_native_device = device_wrap_native,
          .wrap_native_stream = stream_wrap_native,
          .wrap_native_event = event_wrap_native,
          .wrap_native_memory = memory_wrap_native};
}
// One for all devices of an instance; without export where one of them cannot.
constexpr flagos_interop_table_t interop_table = interop_table_of(true);
constexpr flagos_interop_table_t interop_table_without_export = interop_table_of(false);

constexpr flagos_topology_table_t topology_table = {.struct_size = sizeof(flagos_topology_table_t),
                                                    .group_version = 1,
                                                    .get_link = device_get_link};

flagos_plugin_t make_table() noexcept {
  flagos_plugin_t table{};
  table.abi_version_min = table.abi_version_max = own_version;
  table.name = "vulkan";
  table.vendor = "flagos";
  table.version = FLAGOS_VULKAN_VERSION;
  table.close = instance_close;
  table.device = &device_table;
  table.memory = &memory_table;
  table.stream = &stream_table;
  table.event = &event_table;
  table.module = &module_table;
  table.kernel = &kernel_table;
  table.timeline = &timeline_table;
  table.profiling = &profiling_table;
  table.interop = &interop_table;
  table.topology = &topology_table;
  return table;
}

}  // namespace
}  // namespace flagos::vulkan

extern "C" flagos_status_t flagos_plugin_open(const flagos_host_t* host,
                                              flagos_plugin_t* out_plugin) {
  using namespace flagos::vulkan;
  const flagos::Host services(*host);
  return entry(services, [&] {
    flagos::answer_open(*host, *out_plugin, make_table(), [&](flagos_plugin_t& table) {
      auto instance = std::make_unique<Instance>(*host);
      if (!instance->shares_memory()) table.interop = &interop_table_without_export;
      table.instance = to_c(instance.release());
    });
  });
}
