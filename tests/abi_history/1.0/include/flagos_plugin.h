/* flagos_plugin.h of ABI 1.0 without its comments; written by scripts/update-layout. Apache-2.0 */
#ifndef FLAGOS_PLUGIN_H
#define FLAGOS_PLUGIN_H
#include "flagos.h"
#ifdef __cplusplus
extern "C" {
#endif
#define FLAGOS_HAS(table, type, member)                                        \
  ((table)->struct_size >= offsetof(type, member) + sizeof((table)->member) && \
   (table)->member != NULL)
typedef struct flagos_plugin_instance_t flagos_plugin_instance_t;
typedef struct flagos_plugin_device_t flagos_plugin_device_t;
typedef struct flagos_plugin_stream_t flagos_plugin_stream_t;
typedef struct flagos_plugin_event_t flagos_plugin_event_t;
typedef struct flagos_plugin_module_t flagos_plugin_module_t;
typedef struct flagos_plugin_kernel_t flagos_plugin_kernel_t;
typedef struct flagos_plugin_prepared_t flagos_plugin_prepared_t;
typedef struct flagos_plugin_memory_pool_t flagos_plugin_memory_pool_t;
typedef struct flagos_plugin_timeline_t flagos_plugin_timeline_t;
typedef struct flagos_plugin_graph_t flagos_plugin_graph_t;
typedef struct flagos_plugin_physical_memory_t flagos_plugin_physical_memory_t;
typedef struct flagos_plugin_communicator_t flagos_plugin_communicator_t;
typedef struct flagos_plugin_registration_t flagos_plugin_registration_t;
typedef struct flagos_host_context_t flagos_host_context_t;
typedef struct flagos_host_t {
  uint32_t struct_size;
  uint32_t abi_version_min;
  uint32_t abi_version_max;
  uint32_t padding;
  flagos_host_context_t* context;
  void (*set_error)(flagos_host_context_t* context, flagos_status_t status, const char* text);
  void (*log)(flagos_host_context_t* context, flagos_log_level_t level, const char* text);
  void* (*allocate)(flagos_host_context_t* context, uint64_t size_bytes, uint64_t alignment_bytes);
  void (*deallocate)(flagos_host_context_t* context, void* pointer);
  const char* (*get_config)(flagos_host_context_t* context, const char* name);
  void (*report_device_error)(flagos_host_context_t* context, flagos_plugin_device_t* device,
                              flagos_status_t status, const char* text);
  void (*emit_record)(flagos_host_context_t* context, flagos_plugin_device_t* device,
                      const flagos_record_t* record);
  uint64_t (*now_ns)(flagos_host_context_t* context);
} flagos_host_t;
typedef struct flagos_device_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*get_count)(flagos_plugin_instance_t* instance, uint32_t* out_count);
  flagos_status_t (*get_info)(flagos_plugin_instance_t* instance, uint32_t index,
                              flagos_device_info_t* out_info);
  flagos_status_t (*open)(flagos_plugin_instance_t* instance, uint32_t index,
                          flagos_plugin_device_t** out_device);
  void (*close)(flagos_plugin_device_t* device);
  flagos_status_t (*query_memory)(flagos_plugin_device_t* device, uint64_t* out_free_bytes,
                                  uint64_t* out_total_bytes);
  flagos_status_t (*synchronize)(flagos_plugin_device_t* device, uint64_t timeout_ns);
  flagos_status_t (*query_status)(flagos_plugin_device_t* device);
  flagos_status_t (*recover)(flagos_plugin_device_t* device);
} flagos_device_table_t;
typedef struct flagos_memory_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*alloc)(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                           flagos_address_t* out_address);
  void (*free)(flagos_plugin_device_t* device, flagos_address_t address);
  flagos_status_t (*copy)(flagos_plugin_stream_t* stream, flagos_address_t target,
                          flagos_address_t source, uint64_t size_bytes);
  flagos_status_t (*fill)(flagos_plugin_stream_t* stream, flagos_address_t target,
                          const void* pattern, uint32_t pattern_size_bytes, uint64_t size_bytes);
  flagos_status_t (*copy_2d)(flagos_plugin_stream_t* stream, const flagos_copy_2d_desc_t* desc);
  flagos_status_t (*update)(flagos_plugin_stream_t* stream, flagos_address_t target,
                            const void* data, uint64_t size_bytes);
  flagos_status_t (*host_register)(flagos_plugin_device_t* device, void* pointer,
                                   uint64_t size_bytes, uint32_t flags,
                                   flagos_address_t* out_address);
  flagos_status_t (*host_unregister)(flagos_plugin_device_t* device, void* pointer);
  flagos_status_t (*prefetch)(flagos_plugin_stream_t* stream, flagos_address_t address,
                              uint64_t size_bytes);
  flagos_status_t (*copy_peer)(flagos_plugin_stream_t* stream, flagos_address_t target,
                               flagos_plugin_device_t* target_device, flagos_address_t source,
                               flagos_plugin_device_t* source_device, uint64_t size_bytes);
} flagos_memory_table_t;
typedef struct flagos_stream_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*create)(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                            flagos_plugin_stream_t** out_stream);
  void (*destroy)(flagos_plugin_stream_t* stream);
  flagos_status_t (*synchronize)(flagos_plugin_stream_t* stream, uint64_t timeout_ns);
  flagos_status_t (*wait_event)(flagos_plugin_stream_t* stream, flagos_plugin_event_t* event);
  flagos_status_t (*launch_host)(flagos_plugin_stream_t* stream, flagos_host_function_t function,
                                 void* user_data);
  flagos_status_t (*write_value)(flagos_plugin_stream_t* stream, flagos_address_t target,
                                 uint64_t value, uint32_t size_bytes);
  flagos_status_t (*wait_value)(flagos_plugin_stream_t* stream, flagos_address_t source,
                                uint64_t value, uint32_t size_bytes, flagos_compare_t compare);
  flagos_status_t (*reset)(flagos_plugin_stream_t* stream);
} flagos_stream_table_t;
typedef struct flagos_event_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*create)(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                            flagos_plugin_event_t** out_event);
  void (*destroy)(flagos_plugin_event_t* event);
  flagos_status_t (*record)(flagos_plugin_event_t* event, flagos_plugin_stream_t* stream);
  flagos_status_t (*synchronize)(flagos_plugin_event_t* event, uint64_t timeout_ns);
  flagos_status_t (*get_elapsed)(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                 int64_t* out_elapsed_ns);
} flagos_event_table_t;
typedef struct flagos_compiled_t {
  uint32_t struct_size;
  uint32_t padding;
  const void* data;
  uint64_t size_bytes;
  const char* format;
  const char* log;
} flagos_compiled_t;
typedef struct flagos_module_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*get_format)(flagos_plugin_device_t* device, uint32_t index,
                                flagos_format_info_t* out_info);
  flagos_status_t (*load)(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                          flagos_plugin_module_t** out_module);
  void (*unload)(flagos_plugin_module_t* module);
  flagos_status_t (*get_kernel)(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                                flagos_plugin_kernel_t** out_kernel);
  flagos_status_t (*get_kernel_name)(flagos_plugin_module_t* module, uint32_t index,
                                     const char** out_name);
  flagos_status_t (*get_global)(flagos_plugin_module_t* module, const char* name,
                                flagos_address_t* out_address, uint64_t* out_size_bytes);
  flagos_status_t (*get_log)(flagos_plugin_module_t* module, const char** out_text);
  flagos_status_t (*get_binary)(flagos_plugin_module_t* module, const void** out_data,
                                uint64_t* out_size_bytes);
  flagos_status_t (*compile)(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                             flagos_compiled_t* out_compiled);
  void (*free_compiled)(flagos_plugin_device_t* device, flagos_compiled_t* compiled);
  flagos_status_t (*get_compiler)(flagos_plugin_device_t* device, const char* format,
                                  const char** out_identity);
} flagos_module_table_t;
typedef struct flagos_kernel_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*get_info)(flagos_plugin_kernel_t* kernel, flagos_kernel_info_t* out_info);
  flagos_status_t (*get_parameter)(flagos_plugin_kernel_t* kernel, uint32_t index,
                                   flagos_parameter_t* out_parameter);
  flagos_status_t (*launch)(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                            const flagos_launch_desc_t* desc);
  flagos_status_t (*get_occupancy)(flagos_plugin_kernel_t* kernel, uint32_t block_threads,
                                   uint32_t shared_bytes, uint32_t* out_blocks);
  flagos_status_t (*suggest_block)(flagos_plugin_kernel_t* kernel, uint32_t shared_bytes,
                                   uint32_t* out_block_threads);
  flagos_status_t (*prepare)(flagos_plugin_kernel_t* kernel, const flagos_launch_desc_t* desc,
                             flagos_plugin_prepared_t** out_prepared);
  flagos_status_t (*launch_prepared)(flagos_plugin_stream_t* stream,
                                     flagos_plugin_prepared_t* prepared);
  void (*destroy_prepared)(flagos_plugin_prepared_t* prepared);
} flagos_kernel_table_t;
typedef struct flagos_memory_pool_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*create)(flagos_plugin_device_t* device, const flagos_memory_pool_desc_t* desc,
                            flagos_plugin_memory_pool_t** out_pool);
  void (*destroy)(flagos_plugin_memory_pool_t* pool);
  flagos_status_t (*alloc)(flagos_plugin_memory_pool_t* pool, flagos_plugin_stream_t* stream,
                           uint64_t size_bytes, flagos_address_t* out_address);
  flagos_status_t (*free)(flagos_plugin_memory_pool_t* pool, flagos_plugin_stream_t* stream,
                          flagos_address_t address);
  flagos_status_t (*trim)(flagos_plugin_memory_pool_t* pool, uint64_t keep_bytes);
  flagos_status_t (*set_limit)(flagos_plugin_memory_pool_t* pool, uint64_t limit_bytes);
  flagos_status_t (*get_statistics)(flagos_plugin_memory_pool_t* pool,
                                    flagos_memory_pool_statistics_t* out_statistics);
} flagos_memory_pool_table_t;
typedef struct flagos_timeline_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*create)(flagos_plugin_device_t* device, uint64_t initial_value,
                            flagos_plugin_timeline_t** out_timeline);
  void (*destroy)(flagos_plugin_timeline_t* timeline);
  flagos_status_t (*query)(flagos_plugin_timeline_t* timeline, uint64_t* out_value);
  flagos_status_t (*signal)(flagos_plugin_timeline_t* timeline, uint64_t value);
  flagos_status_t (*wait)(uint32_t count, flagos_plugin_timeline_t* const* timelines,
                          const uint64_t* values, flagos_wait_mode_t mode, uint64_t timeout_ns,
                          uint32_t* out_index);
  flagos_status_t (*fail)(flagos_plugin_timeline_t* timeline, flagos_status_t status);
  flagos_status_t (*stream_wait)(flagos_plugin_stream_t* stream, flagos_plugin_timeline_t* timeline,
                                 uint64_t value);
  flagos_status_t (*stream_signal)(flagos_plugin_stream_t* stream,
                                   flagos_plugin_timeline_t* timeline, uint64_t value);
} flagos_timeline_table_t;
typedef struct flagos_plugin_graph_node_t {
  flagos_graph_node_type_t type;
  uint32_t dependency_count;
  const uint32_t* dependencies;
  flagos_plugin_kernel_t* kernel;
  const flagos_launch_desc_t* launch;
  flagos_copy_2d_desc_t copy;
  flagos_address_t fill_target;
  uint64_t fill_size_bytes;
  uint8_t fill_pattern[16];
  uint32_t fill_pattern_size_bytes;
  uint32_t padding;
  flagos_host_function_t host_function;
  void* host_user_data;
  flagos_plugin_event_t* event;
} flagos_plugin_graph_node_t;
typedef struct flagos_graph_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*instantiate)(flagos_plugin_device_t* device,
                                 const flagos_plugin_graph_node_t* nodes, uint32_t node_count,
                                 flagos_plugin_graph_t** out_graph);
  flagos_status_t (*update)(flagos_plugin_graph_t* graph, const flagos_plugin_graph_node_t* nodes,
                            uint32_t node_count);
  flagos_status_t (*launch)(flagos_plugin_graph_t* graph, flagos_plugin_stream_t* stream);
  void (*destroy)(flagos_plugin_graph_t* graph);
} flagos_graph_table_t;
typedef struct flagos_profiling_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*enable)(flagos_plugin_device_t* device, uint32_t enabled);
  flagos_status_t (*get_clock)(flagos_plugin_device_t* device, uint64_t* out_device_ns,
                               uint64_t* out_host_ns);
  void (*begin_launch)(flagos_plugin_stream_t* stream);
  void (*end_launch)(flagos_plugin_stream_t* stream);
} flagos_profiling_table_t;
typedef struct flagos_plugin_external_t {
  int32_t fd;
  uint32_t type;
  uint64_t size_bytes;
  uint8_t data[64];
} flagos_plugin_external_t;
typedef struct flagos_interop_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*export_memory)(flagos_plugin_device_t* device, flagos_address_t address,
                                   flagos_plugin_external_t* out_external);
  flagos_status_t (*import_memory)(flagos_plugin_device_t* device,
                                   const flagos_plugin_external_t* external,
                                   flagos_address_t* out_address);
  flagos_status_t (*get_native_device)(flagos_plugin_device_t* device, flagos_native_t* out_native);
  flagos_status_t (*get_native_stream)(flagos_plugin_stream_t* stream, flagos_native_t* out_native);
  flagos_status_t (*get_native_event)(flagos_plugin_event_t* event, flagos_native_t* out_native);
  flagos_status_t (*get_native_memory)(flagos_plugin_device_t* device, flagos_address_t address,
                                       flagos_native_t* out_native);
  flagos_status_t (*wrap_native_device)(flagos_plugin_instance_t* instance, uint32_t index,
                                        const flagos_native_t* native, uint64_t flags,
                                        flagos_plugin_device_t** out_device);
  flagos_status_t (*wrap_native_stream)(flagos_plugin_device_t* device,
                                        const flagos_native_t* native, uint64_t flags,
                                        flagos_plugin_stream_t** out_stream);
  flagos_status_t (*wrap_native_event)(flagos_plugin_device_t* device,
                                       const flagos_native_t* native, uint64_t flags,
                                       flagos_plugin_event_t** out_event);
  flagos_status_t (*wrap_native_memory)(flagos_plugin_device_t* device,
                                        const flagos_native_t* native, uint64_t size_bytes,
                                        uint64_t flags, flagos_address_t* out_address);
} flagos_interop_table_t;
typedef struct flagos_topology_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*get_link)(flagos_plugin_instance_t* instance, uint32_t from_index,
                              uint32_t to_index, flagos_link_info_t* out_info);
} flagos_topology_table_t;
typedef struct flagos_operators_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*get_info)(flagos_plugin_device_t* device, uint32_t index,
                              flagos_operator_info_t* out_info);
  flagos_status_t (*query)(flagos_plugin_device_t* device, const flagos_operator_desc_t* desc,
                           flagos_operator_support_t* out_support);
  flagos_status_t (*run)(flagos_plugin_stream_t* stream, const flagos_operator_desc_t* desc);
} flagos_operators_table_t;
typedef struct flagos_virtual_memory_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*get_granularity)(flagos_plugin_device_t* device,
                                     const flagos_physical_memory_desc_t* desc,
                                     uint64_t* out_minimum_bytes, uint64_t* out_recommended_bytes);
  flagos_status_t (*reserve)(flagos_plugin_device_t* device, uint64_t size_bytes,
                             uint64_t alignment_bytes, flagos_address_t wanted,
                             flagos_address_t* out_address);
  void (*release)(flagos_plugin_device_t* device, flagos_address_t address, uint64_t size_bytes);
  flagos_status_t (*create)(flagos_plugin_device_t* device,
                            const flagos_physical_memory_desc_t* desc,
                            flagos_plugin_physical_memory_t** out_memory);
  void (*destroy)(flagos_plugin_physical_memory_t* memory);
  flagos_status_t (*map)(flagos_plugin_device_t* device, flagos_address_t address,
                         uint64_t size_bytes, flagos_plugin_physical_memory_t* memory,
                         uint64_t offset_bytes);
  void (*unmap)(flagos_plugin_device_t* device, flagos_address_t address, uint64_t size_bytes);
  flagos_status_t (*set_access)(flagos_plugin_device_t* device, flagos_address_t address,
                                uint64_t size_bytes, flagos_plugin_device_t* accessor,
                                flagos_memory_access_t access);
  flagos_status_t (*export_memory)(flagos_plugin_physical_memory_t* memory,
                                   flagos_plugin_external_t* out_external);
  flagos_status_t (*import_memory)(flagos_plugin_device_t* device,
                                   const flagos_plugin_external_t* external,
                                   flagos_plugin_physical_memory_t** out_memory);
} flagos_virtual_memory_table_t;
typedef flagos_status_t (*flagos_collective_function_t)(flagos_plugin_communicator_t* communicator,
                                                        flagos_plugin_stream_t* stream,
                                                        const flagos_collective_desc_t* desc);
typedef struct flagos_collective_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*query)(flagos_plugin_device_t* device, flagos_collective_operation_t operation,
                           flagos_dtype_t dtype, flagos_collective_reduction_t reduction,
                           flagos_collective_support_t* out_support);
  flagos_status_t (*unique_id_create)(flagos_plugin_device_t* device,
                                      flagos_collective_id_t* out_id);
  flagos_status_t (*communicator_create)(flagos_plugin_device_t* device,
                                         const flagos_communicator_desc_t* desc,
                                         flagos_plugin_communicator_t** out_communicator);
  void (*communicator_destroy)(flagos_plugin_communicator_t* communicator);
  flagos_status_t (*communicator_query_error)(flagos_plugin_communicator_t* communicator,
                                              flagos_status_t* out_status);
  flagos_status_t (*communicator_split)(flagos_plugin_communicator_t* communicator, int32_t color,
                                        int32_t key,
                                        flagos_plugin_communicator_t** out_communicator,
                                        uint32_t* out_rank, uint32_t* out_size);
  flagos_status_t (*communicator_abort)(flagos_plugin_communicator_t* communicator);
  flagos_collective_function_t all_reduce;
  flagos_collective_function_t reduce;
  flagos_collective_function_t reduce_scatter;
  flagos_collective_function_t broadcast;
  flagos_collective_function_t all_gather;
  flagos_collective_function_t gather;
  flagos_collective_function_t scatter;
  flagos_collective_function_t all_to_all;
  flagos_collective_function_t send;
  flagos_collective_function_t receive;
  flagos_status_t (*group_begin)(flagos_plugin_instance_t* instance);
  flagos_status_t (*group_end)(flagos_plugin_instance_t* instance);
  flagos_status_t (*buffer_register)(flagos_plugin_communicator_t* communicator,
                                     flagos_address_t address, uint64_t size_bytes,
                                     flagos_plugin_registration_t** out_registration);
  void (*buffer_deregister)(flagos_plugin_communicator_t* communicator,
                            flagos_plugin_registration_t* registration);
} flagos_collective_table_t;
typedef struct flagos_plugin_t {
  uint32_t struct_size;
  uint32_t abi_version;
  uint32_t abi_version_min;
  uint32_t abi_version_max;
  flagos_plugin_instance_t* instance;
  const char* name;
  const char* vendor;
  const char* version;
  void (*close)(flagos_plugin_instance_t* instance);
  const flagos_device_table_t* device;
  const flagos_memory_table_t* memory;
  const flagos_stream_table_t* stream;
  const flagos_event_table_t* event;
  const flagos_module_table_t* module;
  const flagos_kernel_table_t* kernel;
  const flagos_memory_pool_table_t* memory_pool;
  const flagos_timeline_table_t* timeline;
  const flagos_graph_table_t* graph;
  const flagos_profiling_table_t* profiling;
  const flagos_interop_table_t* interop;
  const flagos_topology_table_t* topology;
  const flagos_operators_table_t* operators;
  const flagos_virtual_memory_table_t* virtual_memory;
  const flagos_collective_table_t* collective;
} flagos_plugin_t;
#define FLAGOS_PLUGIN_OPEN_SYMBOL "flagos_plugin_open"
typedef flagos_status_t (*flagos_plugin_open_t)(const flagos_host_t* host,
                                                flagos_plugin_t* out_plugin);
#if defined(FLAGOS_PLUGIN_BUILD)
__attribute__((visibility("default"))) flagos_status_t flagos_plugin_open(
    const flagos_host_t* host, flagos_plugin_t* out_plugin);
#endif
#ifdef __cplusplus
}
#endif
#endif
