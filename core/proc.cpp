// flagos_get_proc: every exported function by name.
#include <cstring>

#include "core/entry.hpp"

namespace flagos::core {

namespace {

struct Proc {
  const char* name;
  flagos_proc_t function;
};

#define FLAGOS_PROC(name) \
  { #name, reinterpret_cast < flagos_proc_t>(&name) }
// In the order of flagos.h; tests/symbols compares it with what the library exports.
constexpr std::size_t proc_count = 171;
const Proc procs[proc_count] = {
    FLAGOS_PROC(flagos_status_get_name),
    FLAGOS_PROC(flagos_last_error),
    FLAGOS_PROC(flagos_set_last_error),
    FLAGOS_PROC(flagos_get_version),
    FLAGOS_PROC(flagos_runtime_create),
    FLAGOS_PROC(flagos_runtime_destroy),
    FLAGOS_PROC(flagos_runtime_abandon),
    FLAGOS_PROC(flagos_runtime_add_plugin),
    FLAGOS_PROC(flagos_runtime_get_candidate_count),
    FLAGOS_PROC(flagos_runtime_get_candidate),
    FLAGOS_PROC(flagos_set_log_callback),
    FLAGOS_PROC(flagos_get_proc),
    FLAGOS_PROC(flagos_device_get_count),
    FLAGOS_PROC(flagos_device_describe),
    FLAGOS_PROC(flagos_device_find),
    FLAGOS_PROC(flagos_device_open),
    FLAGOS_PROC(flagos_device_close),
    FLAGOS_PROC(flagos_device_get_info),
    FLAGOS_PROC(flagos_device_get_feature),
    FLAGOS_PROC(flagos_device_query_memory),
    FLAGOS_PROC(flagos_device_query_status),
    FLAGOS_PROC(flagos_device_synchronize),
    FLAGOS_PROC(flagos_device_recover),
    FLAGOS_PROC(flagos_device_attach),
    FLAGOS_PROC(flagos_device_get_attachment),
    FLAGOS_PROC(flagos_device_get_table),
    FLAGOS_PROC(flagos_stream_get_plugin_object),
    FLAGOS_PROC(flagos_event_get_plugin_object),
    FLAGOS_PROC(flagos_kernel_get_plugin_object),
    FLAGOS_PROC(flagos_memory_alloc),
    FLAGOS_PROC(flagos_memory_free),
    FLAGOS_PROC(flagos_memory_host_register),
    FLAGOS_PROC(flagos_memory_host_unregister),
    FLAGOS_PROC(flagos_memory_get_info),
    FLAGOS_PROC(flagos_memory_copy),
    FLAGOS_PROC(flagos_memory_copy_peer),
    FLAGOS_PROC(flagos_memory_copy_2d),
    FLAGOS_PROC(flagos_memory_fill),
    FLAGOS_PROC(flagos_memory_update),
    FLAGOS_PROC(flagos_memory_prefetch),
    FLAGOS_PROC(flagos_memory_pool_create),
    FLAGOS_PROC(flagos_memory_pool_destroy),
    FLAGOS_PROC(flagos_memory_pool_alloc),
    FLAGOS_PROC(flagos_memory_pool_free),
    FLAGOS_PROC(flagos_memory_pool_trim),
    FLAGOS_PROC(flagos_memory_pool_set_limit),
    FLAGOS_PROC(flagos_memory_pool_get_statistics),
    FLAGOS_PROC(flagos_stream_create),
    FLAGOS_PROC(flagos_stream_destroy),
    FLAGOS_PROC(flagos_stream_query),
    FLAGOS_PROC(flagos_stream_synchronize),
    FLAGOS_PROC(flagos_stream_wait_event),
    FLAGOS_PROC(flagos_stream_wait_timeline),
    FLAGOS_PROC(flagos_stream_signal_timeline),
    FLAGOS_PROC(flagos_stream_launch_host),
    FLAGOS_PROC(flagos_stream_write_value),
    FLAGOS_PROC(flagos_stream_wait_value),
    FLAGOS_PROC(flagos_stream_reset),
    FLAGOS_PROC(flagos_stream_get_device),
    FLAGOS_PROC(flagos_event_create),
    FLAGOS_PROC(flagos_event_destroy),
    FLAGOS_PROC(flagos_event_record),
    FLAGOS_PROC(flagos_event_query),
    FLAGOS_PROC(flagos_event_synchronize),
    FLAGOS_PROC(flagos_event_get_elapsed),
    FLAGOS_PROC(flagos_timeline_create),
    FLAGOS_PROC(flagos_timeline_destroy),
    FLAGOS_PROC(flagos_timeline_query),
    FLAGOS_PROC(flagos_timeline_signal),
    FLAGOS_PROC(flagos_timeline_wait),
    FLAGOS_PROC(flagos_timeline_fail),
    FLAGOS_PROC(flagos_module_get_format_count),
    FLAGOS_PROC(flagos_module_get_format),
    FLAGOS_PROC(flagos_module_compile),
    FLAGOS_PROC(flagos_blob_get_data),
    FLAGOS_PROC(flagos_blob_get_log),
    FLAGOS_PROC(flagos_blob_destroy),
    FLAGOS_PROC(flagos_module_load),
    FLAGOS_PROC(flagos_module_unload),
    FLAGOS_PROC(flagos_module_get_log),
    FLAGOS_PROC(flagos_module_get_kernel),
    FLAGOS_PROC(flagos_module_get_kernel_count),
    FLAGOS_PROC(flagos_module_get_kernel_name),
    FLAGOS_PROC(flagos_module_get_global),
    FLAGOS_PROC(flagos_module_get_binary),
    FLAGOS_PROC(flagos_kernel_get_info),
    FLAGOS_PROC(flagos_kernel_get_parameter),
    FLAGOS_PROC(flagos_kernel_launch),
    FLAGOS_PROC(flagos_kernel_get_occupancy),
    FLAGOS_PROC(flagos_kernel_suggest_block),
    FLAGOS_PROC(flagos_kernel_prepare),
    FLAGOS_PROC(flagos_kernel_launch_prepared),
    FLAGOS_PROC(flagos_prepared_destroy),
    FLAGOS_PROC(flagos_graph_create),
    FLAGOS_PROC(flagos_graph_destroy),
    FLAGOS_PROC(flagos_graph_clone),
    FLAGOS_PROC(flagos_graph_add_node),
    FLAGOS_PROC(flagos_graph_add_dependency),
    FLAGOS_PROC(flagos_graph_get_info),
    FLAGOS_PROC(flagos_graph_get_nodes),
    FLAGOS_PROC(flagos_graph_get_node_info),
    FLAGOS_PROC(flagos_graph_get_dependencies),
    FLAGOS_PROC(flagos_graph_dump),
    FLAGOS_PROC(flagos_graph_instantiate),
    FLAGOS_PROC(flagos_graph_exec_destroy),
    FLAGOS_PROC(flagos_graph_exec_launch),
    FLAGOS_PROC(flagos_graph_exec_update),
    FLAGOS_PROC(flagos_graph_exec_set_node),
    FLAGOS_PROC(flagos_stream_begin_capture),
    FLAGOS_PROC(flagos_stream_end_capture),
    FLAGOS_PROC(flagos_stream_get_capture_status),
    FLAGOS_PROC(flagos_device_get_link),
    FLAGOS_PROC(flagos_device_get_locality),
    FLAGOS_PROC(flagos_memory_export),
    FLAGOS_PROC(flagos_memory_import),
    FLAGOS_PROC(flagos_event_export),
    FLAGOS_PROC(flagos_event_import),
    FLAGOS_PROC(flagos_device_get_native),
    FLAGOS_PROC(flagos_stream_get_native),
    FLAGOS_PROC(flagos_event_get_native),
    FLAGOS_PROC(flagos_memory_get_native),
    FLAGOS_PROC(flagos_device_wrap_native),
    FLAGOS_PROC(flagos_stream_wrap_native),
    FLAGOS_PROC(flagos_event_wrap_native),
    FLAGOS_PROC(flagos_memory_wrap_native),
    FLAGOS_PROC(flagos_dlpack_export),
    FLAGOS_PROC(flagos_dlpack_import),
    FLAGOS_PROC(flagos_dlpack_release),
    FLAGOS_PROC(flagos_operator_get_count),
    FLAGOS_PROC(flagos_operator_get_info),
    FLAGOS_PROC(flagos_operator_query),
    FLAGOS_PROC(flagos_operator_run),
    FLAGOS_PROC(flagos_virtual_memory_get_granularity),
    FLAGOS_PROC(flagos_physical_memory_create),
    FLAGOS_PROC(flagos_physical_memory_destroy),
    FLAGOS_PROC(flagos_physical_memory_export),
    FLAGOS_PROC(flagos_physical_memory_import),
    FLAGOS_PROC(flagos_virtual_memory_reserve),
    FLAGOS_PROC(flagos_virtual_memory_release),
    FLAGOS_PROC(flagos_virtual_memory_map),
    FLAGOS_PROC(flagos_virtual_memory_unmap),
    FLAGOS_PROC(flagos_virtual_memory_set_access),
    FLAGOS_PROC(flagos_collective_query),
    FLAGOS_PROC(flagos_collective_id_create),
    FLAGOS_PROC(flagos_communicator_create),
    FLAGOS_PROC(flagos_communicator_split),
    FLAGOS_PROC(flagos_communicator_abort),
    FLAGOS_PROC(flagos_communicator_destroy),
    FLAGOS_PROC(flagos_communicator_query_error),
    FLAGOS_PROC(flagos_communicator_get_info),
    FLAGOS_PROC(flagos_communicator_register),
    FLAGOS_PROC(flagos_communicator_deregister),
    FLAGOS_PROC(flagos_collective_all_reduce),
    FLAGOS_PROC(flagos_collective_reduce),
    FLAGOS_PROC(flagos_collective_reduce_scatter),
    FLAGOS_PROC(flagos_collective_broadcast),
    FLAGOS_PROC(flagos_collective_all_gather),
    FLAGOS_PROC(flagos_collective_gather),
    FLAGOS_PROC(flagos_collective_scatter),
    FLAGOS_PROC(flagos_collective_all_to_all),
    FLAGOS_PROC(flagos_collective_send),
    FLAGOS_PROC(flagos_collective_receive),
    FLAGOS_PROC(flagos_collective_group_begin),
    FLAGOS_PROC(flagos_collective_group_end),
    FLAGOS_PROC(flagos_profiler_create),
    FLAGOS_PROC(flagos_profiler_destroy),
    FLAGOS_PROC(flagos_profiler_enable),
    FLAGOS_PROC(flagos_profiler_drain),
    FLAGOS_PROC(flagos_profiler_get_clock),
    FLAGOS_PROC(flagos_range_push),
    FLAGOS_PROC(flagos_range_pop),
};
#undef FLAGOS_PROC

}  // namespace

}  // namespace flagos::core

flagos_status_t flagos_get_proc(const char* name, uint32_t abi_version, flagos_proc_t* out_proc) {
  using namespace flagos;
  using namespace flagos::core;
  if (out_proc != nullptr) *out_proc = nullptr;
  return entry(
      __func__,
      [&] {
        require(name, "name");
        require(out_proc, "out_proc");
        if (FLAGOS_VERSION_MAJOR(abi_version) != FLAGOS_ABI_MAJOR || abi_version > FLAGOS_ABI_VERSION)
          throw_error(FLAGOS_STATUS_UNSUPPORTED_VERSION,
                      "ABI {}.{} was asked for, this flagos implements {}.0 to {}.{}",
                      FLAGOS_VERSION_MAJOR(abi_version), FLAGOS_VERSION_MINOR(abi_version), FLAGOS_ABI_MAJOR,
                      FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR);
        for (const Proc& proc : procs) {
          if (std::strcmp(proc.name, name) != 0) continue;
          *out_proc = proc.function;
          return;
        }
        throw_error(FLAGOS_STATUS_NOT_FOUND, "no function '{}' in ABI {}.{}",
                    std::string_view(name, ::strnlen(name, 128)), FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR);
      },
      Callback::allowed);
}
