/* flagos.h of ABI 1.0 without its comments; written by scripts/update-layout. Apache-2.0 */
#ifndef FLAGOS_H
#define FLAGOS_H
#include <stddef.h>
#include <stdint.h>
#if defined(FLAGOS_BUILD)
#define FLAGOS_API __attribute__((visibility("default")))
#else
#define FLAGOS_API
#endif
#ifdef __cplusplus
extern "C" {
#endif
#define FLAGOS_ABI_MAJOR 1
#define FLAGOS_ABI_MINOR 0
#define FLAGOS_MAKE_VERSION(major, minor) (((uint32_t)(major) << 16) | (uint32_t)(minor))
#define FLAGOS_VERSION_MAJOR(version) ((uint32_t)(version) >> 16)
#define FLAGOS_VERSION_MINOR(version) ((uint32_t)(version)&0xffffu)
#define FLAGOS_ABI_VERSION FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR)
typedef int32_t flagos_status_t;
enum {
  FLAGOS_STATUS_OK = 0,
  FLAGOS_STATUS_TIMEOUT = 0x00000001,
  FLAGOS_STATUS_NOT_READY = 0x00000002,
  FLAGOS_STATUS_INVALID_ARGUMENT = 0x01000001,
  FLAGOS_STATUS_INVALID_HANDLE = 0x01000002,
  FLAGOS_STATUS_INVALID_STRUCT_SIZE = 0x01000003,
  FLAGOS_STATUS_BUFFER_TOO_SMALL = 0x01000004,
  FLAGOS_STATUS_NOT_FOUND = 0x01000005,
  FLAGOS_STATUS_NOT_PERMITTED = 0x01000006,
  FLAGOS_STATUS_BAD_PROCESS = 0x01000007,
  FLAGOS_STATUS_INVALID_IMAGE = 0x01000008,
  FLAGOS_STATUS_COMPILE_FAILED = 0x01000009,
  FLAGOS_STATUS_INVALID_GRAPH = 0x0100000a,
  FLAGOS_STATUS_GRAPH_MISMATCH = 0x0100000b,
  FLAGOS_STATUS_PLUGIN_REJECTED = 0x0100000c,
  FLAGOS_STATUS_OUT_OF_HOST_MEMORY = 0x02000001,
  FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY = 0x02000002,
  FLAGOS_STATUS_OUT_OF_RESOURCES = 0x02000003,
  FLAGOS_STATUS_BUSY = 0x02000004,
  FLAGOS_STATUS_UNSUPPORTED = 0x03000001,
  FLAGOS_STATUS_UNSUPPORTED_VERSION = 0x03000002,
  FLAGOS_STATUS_DEVICE_LOST = 0x04000001,
  FLAGOS_STATUS_EXECUTION_FAILED = 0x04000002,
  FLAGOS_STATUS_CANCELLED = 0x04000003,
  FLAGOS_STATUS_RANK_FAILED = 0x05000001,
  FLAGOS_STATUS_RANK_MISMATCH = 0x05000002,
  FLAGOS_STATUS_COMM_TIMEOUT = 0x05000003,
  FLAGOS_STATUS_COMM_ABORTED = 0x05000004,
  FLAGOS_STATUS_COMM_REFUSED = 0x05000005,
  FLAGOS_STATUS_INTERNAL = 0x06000001,
  FLAGOS_STATUS_PLUGIN_PROTOCOL = 0x06000002
};
#define FLAGOS_STATUS_CLASS(status) (((uint32_t)(status) >> 24) & 0xffu)
enum {
  FLAGOS_STATUS_CLASS_ANSWER = 0,
  FLAGOS_STATUS_CLASS_ARGUMENT = 1,
  FLAGOS_STATUS_CLASS_RESOURCE = 2,
  FLAGOS_STATUS_CLASS_UNSUPPORTED = 3,
  FLAGOS_STATUS_CLASS_DEVICE = 4,
  FLAGOS_STATUS_CLASS_COMM = 5,
  FLAGOS_STATUS_CLASS_INTERNAL = 6
};
FLAGOS_API const char* flagos_status_get_name(flagos_status_t status);
FLAGOS_API const char* flagos_last_error(void);
FLAGOS_API void flagos_set_last_error(const char* text);
typedef struct flagos_runtime_t flagos_runtime_t;
typedef struct flagos_device_t flagos_device_t;
typedef struct flagos_stream_t flagos_stream_t;
typedef struct flagos_event_t flagos_event_t;
typedef struct flagos_module_t flagos_module_t;
typedef struct flagos_blob_t flagos_blob_t;
typedef struct flagos_kernel_t flagos_kernel_t;
typedef struct flagos_prepared_t flagos_prepared_t;
typedef struct flagos_memory_pool_t flagos_memory_pool_t;
typedef struct flagos_timeline_t flagos_timeline_t;
typedef struct flagos_graph_t flagos_graph_t;
typedef struct flagos_graph_exec_t flagos_graph_exec_t;
typedef struct flagos_profiler_t flagos_profiler_t;
typedef struct flagos_physical_memory_t flagos_physical_memory_t;
typedef struct flagos_communicator_t flagos_communicator_t;
typedef uint64_t flagos_address_t;
#define FLAGOS_TIMEOUT_INFINITE UINT64_MAX
typedef struct flagos_extension_t {
  uint32_t struct_size;
  uint32_t type;
  const struct flagos_extension_t* next;
} flagos_extension_t;
#define FLAGOS_EXTENSION_IGNORABLE 0x80000000u
#define FLAGOS_EXTENSION_CHAIN_MAX 64
typedef uint32_t flagos_dtype_t;
#define FLAGOS_MAKE_DTYPE(code, bits, lanes) \
  ((uint32_t)(code) | ((uint32_t)(bits) << 8) | ((uint32_t)(lanes) << 16))
#define FLAGOS_DTYPE_CODE(dtype) ((uint32_t)(dtype)&0xffu)
#define FLAGOS_DTYPE_BITS(dtype) (((uint32_t)(dtype) >> 8) & 0xffu)
#define FLAGOS_DTYPE_LANES(dtype) (((uint32_t)(dtype) >> 16) & 0xffffu)
enum {
  FLAGOS_DTYPE_NONE = 0,
  FLAGOS_DTYPE_INT8 = 0x00010800,
  FLAGOS_DTYPE_INT16 = 0x00011000,
  FLAGOS_DTYPE_INT32 = 0x00012000,
  FLAGOS_DTYPE_INT64 = 0x00014000,
  FLAGOS_DTYPE_UINT8 = 0x00010801,
  FLAGOS_DTYPE_UINT16 = 0x00011001,
  FLAGOS_DTYPE_UINT32 = 0x00012001,
  FLAGOS_DTYPE_UINT64 = 0x00014001,
  FLAGOS_DTYPE_FLOAT16 = 0x00011002,
  FLAGOS_DTYPE_FLOAT32 = 0x00012002,
  FLAGOS_DTYPE_FLOAT64 = 0x00014002,
  FLAGOS_DTYPE_ADDRESS = 0x00014003,
  FLAGOS_DTYPE_BYTES = 0x00010803,
  FLAGOS_DTYPE_BFLOAT16 = 0x00011004,
  FLAGOS_DTYPE_COMPLEX64 = 0x00014005,
  FLAGOS_DTYPE_BOOL = 0x00010806,
  FLAGOS_DTYPE_FLOAT8_E4M3FN = 0x0001080a,
  FLAGOS_DTYPE_FLOAT8_E5M2 = 0x0001080c
};
typedef int32_t flagos_log_level_t;
enum {
  FLAGOS_LOG_LEVEL_TRACE = 0,
  FLAGOS_LOG_LEVEL_DEBUG = 1,
  FLAGOS_LOG_LEVEL_INFO = 2,
  FLAGOS_LOG_LEVEL_WARNING = 3,
  FLAGOS_LOG_LEVEL_ERROR = 4,
  FLAGOS_LOG_LEVEL_OFF = 5
};
enum { FLAGOS_RUNTIME_FLAG_NO_SEARCH = 1, FLAGOS_RUNTIME_FLAG_NO_ENVIRONMENT = 2 };
typedef struct flagos_runtime_desc_t {
  uint32_t struct_size;
  uint32_t abi_version;
  const flagos_extension_t* next;
  uint64_t flags;
  const char* layers;
} flagos_runtime_desc_t;
typedef int32_t flagos_verdict_t;
enum {
  FLAGOS_VERDICT_LOADED = 0,
  FLAGOS_VERDICT_MISSING = 1,
  FLAGOS_VERDICT_PERMISSIONS = 2,
  FLAGOS_VERDICT_MANIFEST = 3,
  FLAGOS_VERDICT_NOT_A_LIBRARY = 4,
  FLAGOS_VERDICT_LOAD_FAILED = 5,
  FLAGOS_VERDICT_NO_ENTRY = 6,
  FLAGOS_VERDICT_VERSION = 7,
  FLAGOS_VERDICT_BAD_TABLE = 8,
  FLAGOS_VERDICT_OPEN_FAILED = 9,
  FLAGOS_VERDICT_DUPLICATE = 10,
  FLAGOS_VERDICT_CRASHED = 11
};
typedef struct flagos_candidate_info_t {
  uint32_t struct_size;
  flagos_verdict_t verdict;
  char path[1024];
  char name[64];
  char reason[512];
  char vendor[64];
  char version[64];
  uint32_t abi_version;
  uint32_t device_count;
} flagos_candidate_info_t;
typedef struct flagos_version_info_t {
  uint32_t struct_size;
  uint32_t abi_version;
  uint32_t abi_version_min;
  uint32_t padding;
  char product_version[32];
} flagos_version_info_t;
FLAGOS_API flagos_status_t flagos_get_version(flagos_version_info_t* out_info);
FLAGOS_API flagos_status_t flagos_runtime_create(const flagos_runtime_desc_t* desc,
                                                 flagos_runtime_t** out_runtime);
FLAGOS_API flagos_status_t flagos_runtime_destroy(flagos_runtime_t* runtime);
FLAGOS_API flagos_status_t flagos_runtime_abandon(flagos_runtime_t* runtime);
FLAGOS_API flagos_status_t flagos_runtime_add_plugin(flagos_runtime_t* runtime, const char* path);
FLAGOS_API flagos_status_t flagos_runtime_get_candidate_count(flagos_runtime_t* runtime,
                                                              uint32_t* out_count);
FLAGOS_API flagos_status_t flagos_runtime_get_candidate(flagos_runtime_t* runtime, uint32_t index,
                                                        flagos_candidate_info_t* out_info);
typedef void (*flagos_log_callback_t)(void* user_data, flagos_log_level_t level, const char* text);
FLAGOS_API flagos_status_t flagos_set_log_callback(flagos_log_callback_t callback, void* user_data,
                                                   flagos_log_level_t min_level);
typedef void (*flagos_proc_t)(void);
FLAGOS_API flagos_status_t flagos_get_proc(const char* name, uint32_t abi_version,
                                           flagos_proc_t* out_proc);
typedef int32_t flagos_device_type_t;
enum {
  FLAGOS_DEVICE_TYPE_OTHER = 0,
  FLAGOS_DEVICE_TYPE_CPU = 1,
  FLAGOS_DEVICE_TYPE_GPU = 2,
  FLAGOS_DEVICE_TYPE_NPU = 3
};
typedef int32_t flagos_schedule_class_t;
enum {
  FLAGOS_SCHEDULE_CLASS_SERIAL = 0,
  FLAGOS_SCHEDULE_CLASS_SIMT = 1,
  FLAGOS_SCHEDULE_CLASS_TILE = 2
};
enum {
  FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT = 1 << 0,
  FLAGOS_DEVICE_CAPABILITY_PAGEABLE_COPY_SYNC = 1 << 1,
  FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS = 1 << 2,
  FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES = 1 << 3,
  FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS = 1 << 4,
  FLAGOS_DEVICE_CAPABILITY_FAKE = 1 << 5,
  FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH = 1 << 6,
  FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH = 1 << 7
};
typedef struct flagos_device_info_t {
  uint32_t struct_size;
  uint32_t index;
  char id[64];
  char name[128];
  char vendor[64];
  char driver_version[64];
  uint8_t uuid[16];
  char bus_id[32];
  flagos_device_type_t type;
  flagos_schedule_class_t schedule_class;
  uint64_t capabilities;
  uint64_t memory_bytes;
  uint64_t max_allocation_bytes;
  uint32_t allocation_alignment;
  uint32_t compute_units;
  uint32_t max_grid[3];
  uint32_t max_block[3];
  uint32_t max_block_threads;
  uint32_t subgroup_size;
  uint32_t max_shared_bytes;
  uint32_t max_argument_bytes;
  int32_t priority_low;
  int32_t priority_high;
  int32_t dlpack_device_type;
  int32_t dlpack_device_id;
} flagos_device_info_t;
typedef int32_t flagos_feature_t;
enum {
  FLAGOS_FEATURE_COPY_2D = 0,
  FLAGOS_FEATURE_WIDE_FILL = 1,
  FLAGOS_FEATURE_MEMORY_UPDATE = 2,
  FLAGOS_FEATURE_PINNED_MEMORY = 3,
  FLAGOS_FEATURE_MANAGED_MEMORY = 4,
  FLAGOS_FEATURE_HOST_REGISTER = 5,
  FLAGOS_FEATURE_PREFETCH = 6,
  FLAGOS_FEATURE_MEMORY_POOL = 7,
  FLAGOS_FEATURE_HOST_CALLBACK = 8,
  FLAGOS_FEATURE_STREAM_VALUE = 9,
  FLAGOS_FEATURE_TIMELINE = 10,
  FLAGOS_FEATURE_GRAPH = 11,
  FLAGOS_FEATURE_CAPTURE = 12,
  FLAGOS_FEATURE_COMPILE = 13,
  FLAGOS_FEATURE_PREPARED_LAUNCH = 14,
  FLAGOS_FEATURE_PROFILING = 15,
  FLAGOS_FEATURE_RECOVER = 16,
  FLAGOS_FEATURE_MODULE_GLOBAL = 17,
  FLAGOS_FEATURE_PEER_COPY = 18,
  FLAGOS_FEATURE_EXPORT_MEMORY = 19,
  FLAGOS_FEATURE_EXPORT_EVENT = 20,
  FLAGOS_FEATURE_NATIVE_OBJECTS = 21,
  FLAGOS_FEATURE_OPERATORS = 22,
  FLAGOS_FEATURE_VIRTUAL_MEMORY = 23,
  FLAGOS_FEATURE_COLLECTIVE = 24,
  FLAGOS_FEATURE_COUNT = 25
};
typedef int32_t flagos_support_t;
enum { FLAGOS_SUPPORT_ABSENT = 0, FLAGOS_SUPPORT_EMULATED = 1, FLAGOS_SUPPORT_NATIVE = 2 };
FLAGOS_API flagos_status_t flagos_device_get_count(flagos_runtime_t* runtime, uint32_t* out_count);
FLAGOS_API flagos_status_t flagos_device_describe(flagos_runtime_t* runtime, uint32_t index,
                                                  flagos_device_info_t* out_info);
FLAGOS_API flagos_status_t flagos_device_find(flagos_runtime_t* runtime, const char* id,
                                              uint32_t* out_index);
FLAGOS_API flagos_status_t flagos_device_open(flagos_runtime_t* runtime, uint32_t index,
                                              flagos_device_t** out_device);
FLAGOS_API flagos_status_t flagos_device_close(flagos_device_t* device);
FLAGOS_API flagos_status_t flagos_device_get_info(flagos_device_t* device,
                                                  flagos_device_info_t* out_info);
FLAGOS_API flagos_status_t flagos_device_get_feature(flagos_device_t* device,
                                                     flagos_feature_t feature,
                                                     flagos_support_t* out_support);
FLAGOS_API flagos_status_t flagos_device_query_memory(flagos_device_t* device,
                                                      uint64_t* out_free_bytes,
                                                      uint64_t* out_total_bytes);
FLAGOS_API flagos_status_t flagos_device_query_status(flagos_device_t* device);
FLAGOS_API flagos_status_t flagos_device_synchronize(flagos_device_t* device, uint64_t timeout_ns);
FLAGOS_API flagos_status_t flagos_device_recover(flagos_device_t* device);
typedef void (*flagos_attachment_release_t)(flagos_device_t* device, void* attachment);
FLAGOS_API flagos_status_t flagos_device_attach(flagos_device_t* device, const void* key,
                                                void* attachment,
                                                flagos_attachment_release_t release,
                                                void** out_attachment);
FLAGOS_API flagos_status_t flagos_device_get_attachment(flagos_device_t* device, const void* key,
                                                        void** out_attachment);
struct flagos_plugin_t;
struct flagos_plugin_device_t;
struct flagos_plugin_stream_t;
struct flagos_plugin_event_t;
struct flagos_plugin_kernel_t;
FLAGOS_API flagos_status_t flagos_device_get_table(flagos_device_t* device,
                                                   const struct flagos_plugin_t** out_table,
                                                   struct flagos_plugin_device_t** out_object);
FLAGOS_API flagos_status_t flagos_stream_get_plugin_object(
    flagos_stream_t* stream, struct flagos_plugin_stream_t** out_object);
FLAGOS_API flagos_status_t
flagos_event_get_plugin_object(flagos_event_t* event, struct flagos_plugin_event_t** out_object);
FLAGOS_API flagos_status_t flagos_kernel_get_plugin_object(
    flagos_kernel_t* kernel, struct flagos_plugin_kernel_t** out_object);
typedef int32_t flagos_memory_kind_t;
enum {
  FLAGOS_MEMORY_KIND_UNKNOWN = 0,
  FLAGOS_MEMORY_KIND_DEVICE = 1,
  FLAGOS_MEMORY_KIND_PINNED = 2,
  FLAGOS_MEMORY_KIND_MANAGED = 3,
  FLAGOS_MEMORY_KIND_REGISTERED = 4
};
enum { FLAGOS_MEMORY_FLAG_ZERO = 1, FLAGOS_MEMORY_FLAG_EXPORTABLE = 2 };
typedef struct flagos_memory_desc_t {
  uint32_t struct_size;
  flagos_memory_kind_t kind;
  const flagos_extension_t* next;
  uint64_t size_bytes;
  uint64_t alignment_bytes;
  uint64_t flags;
} flagos_memory_desc_t;
typedef struct flagos_memory_info_t {
  uint32_t struct_size;
  flagos_memory_kind_t kind;
  flagos_address_t base;
  uint64_t size_bytes;
  uint32_t device_index;
  uint32_t padding;
} flagos_memory_info_t;
typedef struct flagos_copy_2d_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  const flagos_extension_t* next;
  flagos_address_t target;
  flagos_address_t source;
  uint64_t target_pitch_bytes;
  uint64_t source_pitch_bytes;
  uint64_t width_bytes;
  uint64_t height;
} flagos_copy_2d_desc_t;
FLAGOS_API flagos_status_t flagos_memory_alloc(flagos_device_t* device,
                                               const flagos_memory_desc_t* desc,
                                               flagos_address_t* out_address);
FLAGOS_API flagos_status_t flagos_memory_free(flagos_device_t* device, flagos_address_t address);
FLAGOS_API flagos_status_t flagos_memory_host_register(flagos_device_t* device, void* pointer,
                                                       uint64_t size_bytes, uint32_t flags,
                                                       flagos_address_t* out_address);
FLAGOS_API flagos_status_t flagos_memory_host_unregister(flagos_device_t* device, void* pointer);
FLAGOS_API flagos_status_t flagos_memory_get_info(flagos_device_t* device, flagos_address_t address,
                                                  flagos_memory_info_t* out_info);
FLAGOS_API flagos_status_t flagos_memory_copy(flagos_stream_t* stream, flagos_address_t target,
                                              flagos_address_t source, uint64_t size_bytes);
FLAGOS_API flagos_status_t flagos_memory_copy_peer(flagos_stream_t* stream, flagos_address_t target,
                                                   flagos_device_t* target_device,
                                                   flagos_address_t source,
                                                   flagos_device_t* source_device,
                                                   uint64_t size_bytes);
FLAGOS_API flagos_status_t flagos_memory_copy_2d(flagos_stream_t* stream,
                                                 const flagos_copy_2d_desc_t* desc);
FLAGOS_API flagos_status_t flagos_memory_fill(flagos_stream_t* stream, flagos_address_t target,
                                              const void* pattern, uint32_t pattern_size_bytes,
                                              uint64_t size_bytes);
#define FLAGOS_MEMORY_UPDATE_MAX 65536u
FLAGOS_API flagos_status_t flagos_memory_update(flagos_stream_t* stream, flagos_address_t target,
                                                const void* data, uint64_t size_bytes);
FLAGOS_API flagos_status_t flagos_memory_prefetch(flagos_stream_t* stream, flagos_address_t address,
                                                  uint64_t size_bytes);
typedef struct flagos_memory_pool_desc_t {
  uint32_t struct_size;
  flagos_memory_kind_t kind;
  const flagos_extension_t* next;
  uint64_t flags;
  uint64_t limit_bytes;
} flagos_memory_pool_desc_t;
typedef struct flagos_memory_pool_statistics_t {
  uint32_t struct_size;
  uint32_t padding;
  uint64_t used_bytes;
  uint64_t used_high_bytes;
  uint64_t reserved_bytes;
  uint64_t reserved_high_bytes;
  uint64_t live_blocks;
  uint64_t allocations;
  uint64_t device_allocations;
} flagos_memory_pool_statistics_t;
FLAGOS_API flagos_status_t flagos_memory_pool_create(flagos_device_t* device,
                                                     const flagos_memory_pool_desc_t* desc,
                                                     flagos_memory_pool_t** out_pool);
FLAGOS_API flagos_status_t flagos_memory_pool_destroy(flagos_memory_pool_t* pool);
FLAGOS_API flagos_status_t flagos_memory_pool_alloc(flagos_memory_pool_t* pool,
                                                    flagos_stream_t* stream, uint64_t size_bytes,
                                                    flagos_address_t* out_address);
FLAGOS_API flagos_status_t flagos_memory_pool_free(flagos_memory_pool_t* pool,
                                                   flagos_stream_t* stream,
                                                   flagos_address_t address);
FLAGOS_API flagos_status_t flagos_memory_pool_trim(flagos_memory_pool_t* pool, uint64_t keep_bytes);
FLAGOS_API flagos_status_t flagos_memory_pool_set_limit(flagos_memory_pool_t* pool,
                                                        uint64_t limit_bytes);
FLAGOS_API flagos_status_t flagos_memory_pool_get_statistics(
    flagos_memory_pool_t* pool, flagos_memory_pool_statistics_t* out_statistics);
typedef struct flagos_stream_desc_t {
  uint32_t struct_size;
  int32_t priority;
  const flagos_extension_t* next;
  uint64_t flags;
} flagos_stream_desc_t;
typedef void (*flagos_host_function_t)(void* user_data, flagos_status_t status);
typedef int32_t flagos_compare_t;
enum { FLAGOS_COMPARE_EQUAL = 0, FLAGOS_COMPARE_GREATER_EQUAL = 1 };
FLAGOS_API flagos_status_t flagos_stream_create(flagos_device_t* device,
                                                const flagos_stream_desc_t* desc,
                                                flagos_stream_t** out_stream);
FLAGOS_API flagos_status_t flagos_stream_destroy(flagos_stream_t* stream);
FLAGOS_API flagos_status_t flagos_stream_query(flagos_stream_t* stream, uint32_t* out_complete);
FLAGOS_API flagos_status_t flagos_stream_synchronize(flagos_stream_t* stream, uint64_t timeout_ns);
FLAGOS_API flagos_status_t flagos_stream_wait_event(flagos_stream_t* stream, flagos_event_t* event);
FLAGOS_API flagos_status_t flagos_stream_wait_timeline(flagos_stream_t* stream,
                                                       flagos_timeline_t* timeline, uint64_t value);
FLAGOS_API flagos_status_t flagos_stream_signal_timeline(flagos_stream_t* stream,
                                                         flagos_timeline_t* timeline,
                                                         uint64_t value);
FLAGOS_API flagos_status_t flagos_stream_launch_host(flagos_stream_t* stream,
                                                     flagos_host_function_t function,
                                                     void* user_data);
FLAGOS_API flagos_status_t flagos_stream_write_value(flagos_stream_t* stream,
                                                     flagos_address_t target, uint64_t value,
                                                     uint32_t size_bytes);
FLAGOS_API flagos_status_t flagos_stream_wait_value(flagos_stream_t* stream,
                                                    flagos_address_t source, uint64_t value,
                                                    uint32_t size_bytes, flagos_compare_t compare);
FLAGOS_API flagos_status_t flagos_stream_reset(flagos_stream_t* stream);
FLAGOS_API flagos_status_t flagos_stream_get_device(flagos_stream_t* stream,
                                                    flagos_device_t** out_device);
enum {
  FLAGOS_EVENT_FLAG_NO_TIMING = 1,
  FLAGOS_EVENT_FLAG_BLOCKING_SYNC = 2,
  FLAGOS_EVENT_FLAG_EXPORTABLE = 4
};
typedef struct flagos_event_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  const flagos_extension_t* next;
} flagos_event_desc_t;
FLAGOS_API flagos_status_t flagos_event_create(flagos_device_t* device,
                                               const flagos_event_desc_t* desc,
                                               flagos_event_t** out_event);
FLAGOS_API flagos_status_t flagos_event_destroy(flagos_event_t* event);
FLAGOS_API flagos_status_t flagos_event_record(flagos_event_t* event, flagos_stream_t* stream);
FLAGOS_API flagos_status_t flagos_event_query(flagos_event_t* event, uint32_t* out_complete);
FLAGOS_API flagos_status_t flagos_event_synchronize(flagos_event_t* event, uint64_t timeout_ns);
FLAGOS_API flagos_status_t flagos_event_get_elapsed(flagos_event_t* start, flagos_event_t* end,
                                                    int64_t* out_elapsed_ns);
FLAGOS_API flagos_status_t flagos_timeline_create(flagos_device_t* device, uint64_t initial_value,
                                                  flagos_timeline_t** out_timeline);
FLAGOS_API flagos_status_t flagos_timeline_destroy(flagos_timeline_t* timeline);
FLAGOS_API flagos_status_t flagos_timeline_query(flagos_timeline_t* timeline, uint64_t* out_value);
FLAGOS_API flagos_status_t flagos_timeline_signal(flagos_timeline_t* timeline, uint64_t value);
typedef int32_t flagos_wait_mode_t;
enum { FLAGOS_WAIT_MODE_ALL = 0, FLAGOS_WAIT_MODE_ANY = 1 };
FLAGOS_API flagos_status_t flagos_timeline_wait(uint32_t count, flagos_timeline_t* const* timelines,
                                                const uint64_t* values, flagos_wait_mode_t mode,
                                                uint64_t timeout_ns, uint32_t* out_index);
FLAGOS_API flagos_status_t flagos_timeline_fail(flagos_timeline_t* timeline,
                                                flagos_status_t status);
enum {
  FLAGOS_FORMAT_FLAG_LOAD = 1,
  FLAGOS_FORMAT_FLAG_COMPILE = 2,
  FLAGOS_FORMAT_FLAG_PATH = 4,
  FLAGOS_FORMAT_FLAG_REFLECTION = 8
};
typedef struct flagos_format_info_t {
  uint32_t struct_size;
  uint32_t flags;
  char name[32];
  char version[16];
  char target[64];
  int32_t priority;
  flagos_schedule_class_t schedule_class;
} flagos_format_info_t;
typedef struct flagos_module_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  const flagos_extension_t* next;
  const char* format;
  const char* path;
  const void* data;
  uint64_t size_bytes;
  const char* options;
} flagos_module_desc_t;
typedef struct flagos_parameter_t {
  flagos_dtype_t dtype;
  uint32_t size_bytes;
  uint32_t alignment_bytes;
  uint32_t offset_bytes;
} flagos_parameter_t;
typedef struct flagos_kernel_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  const flagos_extension_t* next;
  const char* name;
  const flagos_parameter_t* parameters;
  uint32_t parameter_count;
  uint32_t padding;
} flagos_kernel_desc_t;
FLAGOS_API flagos_status_t flagos_module_get_format_count(flagos_device_t* device,
                                                          uint32_t* out_count);
FLAGOS_API flagos_status_t flagos_module_get_format(flagos_device_t* device, uint32_t index,
                                                    flagos_format_info_t* out_info);
FLAGOS_API flagos_status_t flagos_module_compile(flagos_device_t* device,
                                                 const flagos_module_desc_t* desc,
                                                 flagos_blob_t** out_blob);
FLAGOS_API flagos_status_t flagos_blob_get_data(flagos_blob_t* blob, const void** out_data,
                                                uint64_t* out_size_bytes, const char** out_format);
FLAGOS_API flagos_status_t flagos_blob_get_log(flagos_blob_t* blob, const char** out_text);
FLAGOS_API flagos_status_t flagos_blob_destroy(flagos_blob_t* blob);
FLAGOS_API flagos_status_t flagos_module_load(flagos_device_t* device,
                                              const flagos_module_desc_t* desc,
                                              flagos_module_t** out_module);
FLAGOS_API flagos_status_t flagos_module_unload(flagos_module_t* module);
FLAGOS_API flagos_status_t flagos_module_get_log(flagos_module_t* module, uint64_t capacity_bytes,
                                                 char* text, uint64_t* out_size_bytes);
FLAGOS_API flagos_status_t flagos_module_get_kernel(flagos_module_t* module,
                                                    const flagos_kernel_desc_t* desc,
                                                    flagos_kernel_t** out_kernel);
FLAGOS_API flagos_status_t flagos_module_get_kernel_count(flagos_module_t* module,
                                                          uint32_t* out_count);
FLAGOS_API flagos_status_t flagos_module_get_kernel_name(flagos_module_t* module, uint32_t index,
                                                         const char** out_name);
FLAGOS_API flagos_status_t flagos_module_get_global(flagos_module_t* module, const char* name,
                                                    flagos_address_t* out_address,
                                                    uint64_t* out_size_bytes);
FLAGOS_API flagos_status_t flagos_module_get_binary(flagos_module_t* module,
                                                    uint64_t capacity_bytes, void* data,
                                                    uint64_t* out_size_bytes);
enum { FLAGOS_KERNEL_FLAG_SIGNATURE = 1 };
typedef struct flagos_kernel_info_t {
  uint32_t struct_size;
  uint32_t flags;
  char name[256];
  uint32_t parameter_count;
  uint32_t argument_bytes;
  uint32_t max_block_threads;
  uint32_t static_shared_bytes;
  uint32_t registers;
  uint32_t padding;
} flagos_kernel_info_t;
typedef struct flagos_argument_t {
  flagos_dtype_t dtype;
  uint32_t size_bytes;
  uint64_t value;
} flagos_argument_t;
enum { FLAGOS_LAUNCH_FLAG_COOPERATIVE = 1 };
#define FLAGOS_LAUNCH_CLUSTER(x, y, z) \
  ((uint32_t)(x) << 8 | (uint32_t)(y) << 16 | (uint32_t)(z) << 24)
typedef struct flagos_launch_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  const flagos_extension_t* next;
  uint32_t grid[3];
  uint32_t block[3];
  uint32_t shared_bytes;
  uint32_t argument_count;
  const void* argument_block;
  uint64_t argument_bytes;
  const flagos_argument_t* arguments;
} flagos_launch_desc_t;
FLAGOS_API flagos_status_t flagos_kernel_get_info(flagos_kernel_t* kernel,
                                                  flagos_kernel_info_t* out_info);
FLAGOS_API flagos_status_t flagos_kernel_get_parameter(flagos_kernel_t* kernel, uint32_t index,
                                                       flagos_parameter_t* out_parameter);
FLAGOS_API flagos_status_t flagos_kernel_launch(flagos_stream_t* stream, flagos_kernel_t* kernel,
                                                const flagos_launch_desc_t* desc);
FLAGOS_API flagos_status_t flagos_kernel_get_occupancy(flagos_kernel_t* kernel,
                                                       uint32_t block_threads,
                                                       uint32_t shared_bytes, uint32_t* out_blocks);
FLAGOS_API flagos_status_t flagos_kernel_suggest_block(flagos_kernel_t* kernel,
                                                       uint32_t shared_bytes,
                                                       uint32_t* out_block_threads);
FLAGOS_API flagos_status_t flagos_kernel_prepare(flagos_kernel_t* kernel,
                                                 const flagos_launch_desc_t* desc,
                                                 flagos_prepared_t** out_prepared);
FLAGOS_API flagos_status_t flagos_kernel_launch_prepared(flagos_stream_t* stream,
                                                         flagos_prepared_t* prepared);
FLAGOS_API flagos_status_t flagos_prepared_destroy(flagos_prepared_t* prepared);
typedef uint64_t flagos_graph_node_t;
typedef int32_t flagos_graph_node_type_t;
enum {
  FLAGOS_GRAPH_NODE_TYPE_EMPTY = 0,
  FLAGOS_GRAPH_NODE_TYPE_KERNEL = 1,
  FLAGOS_GRAPH_NODE_TYPE_COPY = 2,
  FLAGOS_GRAPH_NODE_TYPE_COPY_2D = 3,
  FLAGOS_GRAPH_NODE_TYPE_FILL = 4,
  FLAGOS_GRAPH_NODE_TYPE_HOST = 5,
  FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD = 6,
  FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT = 7,
  FLAGOS_GRAPH_NODE_TYPE_CHILD = 8,
  FLAGOS_GRAPH_NODE_TYPE_OPERATOR = 9,
  FLAGOS_GRAPH_NODE_TYPE_COLLECTIVE = 10
};
typedef struct flagos_kernel_node_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  flagos_kernel_t* kernel;
  const flagos_launch_desc_t* launch;
} flagos_kernel_node_desc_t;
typedef struct flagos_copy_node_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  flagos_address_t target;
  flagos_address_t source;
  uint64_t size_bytes;
} flagos_copy_node_desc_t;
typedef struct flagos_fill_node_desc_t {
  uint32_t struct_size;
  uint32_t pattern_size_bytes;
  flagos_address_t target;
  uint64_t size_bytes;
  uint8_t pattern[16];
} flagos_fill_node_desc_t;
typedef struct flagos_host_node_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  flagos_host_function_t function;
  void* user_data;
} flagos_host_node_desc_t;
typedef struct flagos_event_node_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  flagos_event_t* event;
} flagos_event_node_desc_t;
typedef struct flagos_child_node_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  flagos_graph_t* graph;
} flagos_child_node_desc_t;
typedef struct flagos_graph_node_desc_t {
  uint32_t struct_size;
  flagos_graph_node_type_t type;
  const flagos_extension_t* next;
  const void* payload;
  const flagos_graph_node_t* dependencies;
  uint64_t dependency_count;
} flagos_graph_node_desc_t;
typedef struct flagos_graph_info_t {
  uint32_t struct_size;
  uint32_t padding;
  uint64_t node_count;
  uint64_t edge_count;
} flagos_graph_info_t;
typedef struct flagos_graph_node_info_t {
  uint32_t struct_size;
  flagos_graph_node_type_t type;
  uint64_t dependency_count;
} flagos_graph_node_info_t;
FLAGOS_API flagos_status_t flagos_graph_create(flagos_device_t* device, flagos_graph_t** out_graph);
FLAGOS_API flagos_status_t flagos_graph_destroy(flagos_graph_t* graph);
FLAGOS_API flagos_status_t flagos_graph_clone(flagos_graph_t* graph, flagos_graph_t** out_graph);
FLAGOS_API flagos_status_t flagos_graph_add_node(flagos_graph_t* graph,
                                                 const flagos_graph_node_desc_t* desc,
                                                 flagos_graph_node_t* out_node);
FLAGOS_API flagos_status_t flagos_graph_add_dependency(flagos_graph_t* graph,
                                                       flagos_graph_node_t from,
                                                       flagos_graph_node_t to);
FLAGOS_API flagos_status_t flagos_graph_get_info(flagos_graph_t* graph,
                                                 flagos_graph_info_t* out_info);
FLAGOS_API flagos_status_t flagos_graph_get_nodes(flagos_graph_t* graph, uint64_t capacity,
                                                  flagos_graph_node_t* out_nodes,
                                                  uint64_t* out_count);
FLAGOS_API flagos_status_t flagos_graph_get_node_info(flagos_graph_t* graph,
                                                      flagos_graph_node_t node,
                                                      flagos_graph_node_info_t* out_info);
FLAGOS_API flagos_status_t flagos_graph_get_dependencies(flagos_graph_t* graph,
                                                         flagos_graph_node_t node,
                                                         uint64_t capacity,
                                                         flagos_graph_node_t* out_nodes,
                                                         uint64_t* out_count);
FLAGOS_API flagos_status_t flagos_graph_dump(flagos_graph_t* graph, uint64_t capacity_bytes,
                                             char* text, uint64_t* out_size_bytes);
FLAGOS_API flagos_status_t flagos_graph_instantiate(flagos_graph_t* graph,
                                                    flagos_graph_exec_t** out_exec);
FLAGOS_API flagos_status_t flagos_graph_exec_destroy(flagos_graph_exec_t* exec);
FLAGOS_API flagos_status_t flagos_graph_exec_launch(flagos_graph_exec_t* exec,
                                                    flagos_stream_t* stream);
FLAGOS_API flagos_status_t flagos_graph_exec_update(flagos_graph_exec_t* exec,
                                                    flagos_graph_t* graph);
FLAGOS_API flagos_status_t flagos_graph_exec_set_node(flagos_graph_exec_t* exec,
                                                      flagos_graph_node_t node,
                                                      const flagos_graph_node_desc_t* desc);
typedef int32_t flagos_capture_status_t;
enum {
  FLAGOS_CAPTURE_STATUS_NONE = 0,
  FLAGOS_CAPTURE_STATUS_ACTIVE = 1,
  FLAGOS_CAPTURE_STATUS_INVALIDATED = 2
};
FLAGOS_API flagos_status_t flagos_stream_begin_capture(flagos_stream_t* stream);
FLAGOS_API flagos_status_t flagos_stream_end_capture(flagos_stream_t* stream,
                                                     flagos_graph_t** out_graph);
FLAGOS_API flagos_status_t flagos_stream_get_capture_status(flagos_stream_t* stream,
                                                            flagos_capture_status_t* out_status,
                                                            uint64_t* out_id);
typedef int32_t flagos_link_type_t;
enum {
  FLAGOS_LINK_TYPE_UNKNOWN = 0,
  FLAGOS_LINK_TYPE_SAME = 1,
  FLAGOS_LINK_TYPE_HOST_MEMORY = 2,
  FLAGOS_LINK_TYPE_FABRIC = 3,
  FLAGOS_LINK_TYPE_PCI = 4,
  FLAGOS_LINK_TYPE_SYSTEM = 5
};
enum {
  FLAGOS_LINK_FLAG_NATIVE_COPY = 1,
  FLAGOS_LINK_FLAG_DIRECT_ACCESS = 2,
  FLAGOS_LINK_FLAG_ATOMICS = 4
};
typedef struct flagos_link_info_t {
  uint32_t struct_size;
  flagos_link_type_t type;
  uint64_t flags;
  uint64_t bandwidth_bytes_per_s;
  uint32_t distance;
  uint32_t padding;
} flagos_link_info_t;
typedef struct flagos_locality_info_t {
  uint32_t struct_size;
  int32_t numa_node;
  char processors[256];
} flagos_locality_info_t;
FLAGOS_API flagos_status_t flagos_device_get_link(flagos_runtime_t* runtime, uint32_t from_index,
                                                  uint32_t to_index, flagos_link_info_t* out_info);
FLAGOS_API flagos_status_t flagos_device_get_locality(flagos_runtime_t* runtime, uint32_t index,
                                                      flagos_locality_info_t* out_info);
typedef struct flagos_external_t {
  uint32_t struct_size;
  int32_t fd;
  uint8_t blob[192];
} flagos_external_t;
FLAGOS_API flagos_status_t flagos_memory_export(flagos_device_t* device, flagos_address_t address,
                                                flagos_external_t* out_external);
FLAGOS_API flagos_status_t flagos_memory_import(flagos_device_t* device,
                                                const flagos_external_t* external,
                                                flagos_address_t* out_address,
                                                uint64_t* out_size_bytes);
FLAGOS_API flagos_status_t flagos_event_export(flagos_event_t* event,
                                               flagos_external_t* out_external);
FLAGOS_API flagos_status_t flagos_event_import(flagos_device_t* device,
                                               const flagos_external_t* external,
                                               flagos_event_t** out_event);
typedef struct flagos_native_t {
  uint32_t struct_size;
  uint32_t handle_count;
  char type[32];
  uint64_t handles[6];
} flagos_native_t;
enum { FLAGOS_WRAP_FLAG_OWN = 1 };
FLAGOS_API flagos_status_t flagos_device_get_native(flagos_device_t* device,
                                                    flagos_native_t* out_native);
FLAGOS_API flagos_status_t flagos_stream_get_native(flagos_stream_t* stream,
                                                    flagos_native_t* out_native);
FLAGOS_API flagos_status_t flagos_event_get_native(flagos_event_t* event,
                                                   flagos_native_t* out_native);
FLAGOS_API flagos_status_t flagos_memory_get_native(flagos_device_t* device,
                                                    flagos_address_t address,
                                                    flagos_native_t* out_native);
FLAGOS_API flagos_status_t flagos_device_wrap_native(flagos_runtime_t* runtime, uint32_t index,
                                                     const flagos_native_t* native, uint64_t flags,
                                                     flagos_device_t** out_device);
FLAGOS_API flagos_status_t flagos_stream_wrap_native(flagos_device_t* device,
                                                     const flagos_native_t* native, uint64_t flags,
                                                     flagos_stream_t** out_stream);
FLAGOS_API flagos_status_t flagos_event_wrap_native(flagos_device_t* device,
                                                    const flagos_native_t* native, uint64_t flags,
                                                    flagos_event_t** out_event);
FLAGOS_API flagos_status_t flagos_memory_wrap_native(flagos_device_t* device,
                                                     const flagos_native_t* native,
                                                     uint64_t size_bytes, uint64_t flags,
                                                     flagos_address_t* out_address);
enum { FLAGOS_TENSOR_FLAG_READ_ONLY = 1 };
typedef struct flagos_tensor_t {
  uint32_t struct_size;
  flagos_dtype_t dtype;
  flagos_address_t address;
  uint32_t flags;
  uint32_t rank;
  const int64_t* shape;
  const int64_t* strides;
} flagos_tensor_t;
typedef void (*flagos_release_t)(void* user_data);
FLAGOS_API flagos_status_t flagos_dlpack_export(flagos_device_t* device,
                                                const flagos_tensor_t* tensor,
                                                flagos_stream_t* producer,
                                                flagos_stream_t* consumer, flagos_release_t release,
                                                void* user_data, uint32_t major,
                                                void** out_managed);
FLAGOS_API flagos_status_t flagos_dlpack_import(flagos_device_t* device, const void* managed,
                                                uint32_t major, flagos_tensor_t* out_tensor);
FLAGOS_API flagos_status_t flagos_dlpack_release(void* managed, uint32_t major);
typedef struct flagos_operator_info_t {
  uint32_t struct_size;
  uint32_t padding;
  const char* name;
  const char* schema;
} flagos_operator_info_t;
typedef int32_t flagos_operator_argument_type_t;
enum {
  FLAGOS_OPERATOR_ARGUMENT_TYPE_NONE = 0,
  FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR = 1,
  FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSORS = 2,
  FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGER = 3,
  FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGERS = 4,
  FLAGOS_OPERATOR_ARGUMENT_TYPE_REAL = 5,
  FLAGOS_OPERATOR_ARGUMENT_TYPE_BOOLEAN = 6,
  FLAGOS_OPERATOR_ARGUMENT_TYPE_TEXT = 7
};
typedef struct flagos_operator_argument_t {
  flagos_operator_argument_type_t type;
  uint32_t count;
  uint64_t value;
} flagos_operator_argument_t;
#define FLAGOS_OPERATOR_MAX_ARGUMENTS 32
typedef struct flagos_operator_desc_t {
  uint32_t struct_size;
  uint32_t index;
  const flagos_extension_t* next;
  uint64_t flags;
  const flagos_operator_argument_t* arguments;
  uint32_t argument_count;
  uint32_t padding;
  flagos_address_t workspace;
  uint64_t workspace_bytes;
} flagos_operator_desc_t;
enum { FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS = 1, FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE = 2 };
typedef struct flagos_operator_support_t {
  uint32_t struct_size;
  uint32_t flags;
  uint64_t workspace_bytes;
} flagos_operator_support_t;
FLAGOS_API flagos_status_t flagos_operator_get_count(flagos_device_t* device, uint32_t* out_count);
FLAGOS_API flagos_status_t flagos_operator_get_info(flagos_device_t* device, uint32_t index,
                                                    flagos_operator_info_t* out_info);
FLAGOS_API flagos_status_t flagos_operator_query(flagos_device_t* device,
                                                 const flagos_operator_desc_t* desc,
                                                 flagos_operator_support_t* out_support);
FLAGOS_API flagos_status_t flagos_operator_run(flagos_stream_t* stream,
                                               const flagos_operator_desc_t* desc);
typedef struct flagos_physical_memory_desc_t {
  uint32_t struct_size;
  flagos_memory_kind_t kind;
  const flagos_extension_t* next;
  uint64_t size_bytes;
  uint64_t flags;
} flagos_physical_memory_desc_t;
typedef int32_t flagos_memory_access_t;
enum {
  FLAGOS_MEMORY_ACCESS_NONE = 0,
  FLAGOS_MEMORY_ACCESS_READ = 1,
  FLAGOS_MEMORY_ACCESS_READ_WRITE = 3
};
FLAGOS_API flagos_status_t flagos_virtual_memory_get_granularity(
    flagos_device_t* device, const flagos_physical_memory_desc_t* desc, uint64_t* out_minimum_bytes,
    uint64_t* out_recommended_bytes);
FLAGOS_API flagos_status_t flagos_physical_memory_create(flagos_device_t* device,
                                                         const flagos_physical_memory_desc_t* desc,
                                                         flagos_physical_memory_t** out_memory);
FLAGOS_API flagos_status_t flagos_physical_memory_destroy(flagos_physical_memory_t* memory);
FLAGOS_API flagos_status_t flagos_physical_memory_export(flagos_physical_memory_t* memory,
                                                         flagos_external_t* out_external);
FLAGOS_API flagos_status_t flagos_physical_memory_import(flagos_device_t* device,
                                                         const flagos_external_t* external,
                                                         flagos_physical_memory_t** out_memory,
                                                         uint64_t* out_size_bytes);
FLAGOS_API flagos_status_t flagos_virtual_memory_reserve(flagos_device_t* device,
                                                         uint64_t size_bytes,
                                                         uint64_t alignment_bytes,
                                                         flagos_address_t wanted,
                                                         flagos_address_t* out_address);
FLAGOS_API flagos_status_t flagos_virtual_memory_release(flagos_device_t* device,
                                                         flagos_address_t address);
FLAGOS_API flagos_status_t flagos_virtual_memory_map(flagos_device_t* device,
                                                     flagos_address_t address, uint64_t size_bytes,
                                                     flagos_physical_memory_t* memory,
                                                     uint64_t offset_bytes);
FLAGOS_API flagos_status_t flagos_virtual_memory_unmap(flagos_device_t* device,
                                                       flagos_address_t address);
FLAGOS_API flagos_status_t flagos_virtual_memory_set_access(flagos_device_t* device,
                                                            flagos_address_t address,
                                                            uint64_t size_bytes,
                                                            flagos_device_t* accessor,
                                                            flagos_memory_access_t access);
typedef struct flagos_collective_id_t {
  uint32_t size_bytes;
  uint32_t padding;
  uint8_t bytes[4600];
} flagos_collective_id_t;
typedef int32_t flagos_collective_operation_t;
enum {
  FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE = 0,
  FLAGOS_COLLECTIVE_OPERATION_REDUCE = 1,
  FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER = 2,
  FLAGOS_COLLECTIVE_OPERATION_BROADCAST = 3,
  FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER = 4,
  FLAGOS_COLLECTIVE_OPERATION_GATHER = 5,
  FLAGOS_COLLECTIVE_OPERATION_SCATTER = 6,
  FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL = 7,
  FLAGOS_COLLECTIVE_OPERATION_SEND = 8,
  FLAGOS_COLLECTIVE_OPERATION_RECEIVE = 9,
  FLAGOS_COLLECTIVE_OPERATION_COUNT = 10
};
typedef int32_t flagos_collective_reduction_t;
enum {
  FLAGOS_COLLECTIVE_REDUCTION_SUM = 0,
  FLAGOS_COLLECTIVE_REDUCTION_PRODUCT = 1,
  FLAGOS_COLLECTIVE_REDUCTION_MIN = 2,
  FLAGOS_COLLECTIVE_REDUCTION_MAX = 3,
  FLAGOS_COLLECTIVE_REDUCTION_AVERAGE = 4,
  FLAGOS_COLLECTIVE_REDUCTION_BIT_AND = 5,
  FLAGOS_COLLECTIVE_REDUCTION_BIT_OR = 6,
  FLAGOS_COLLECTIVE_REDUCTION_BIT_XOR = 7,
  FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM = 8
};
enum {
  FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS = 1,
  FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE = 2,
  FLAGOS_COLLECTIVE_SUPPORT_FLAG_HOST_MEMORY = 4,
  FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY = 8,
  FLAGOS_COLLECTIVE_SUPPORT_FLAG_PREFERRED = 16
};
typedef struct flagos_collective_support_t {
  uint32_t struct_size;
  uint32_t flags;
} flagos_collective_support_t;
typedef struct flagos_communicator_desc_t {
  uint32_t struct_size;
  uint32_t rank;
  const flagos_extension_t* next;
  uint64_t flags;
  const flagos_collective_id_t* id;
  uint32_t size;
  uint32_t padding;
  uint64_t timeout_ns;
} flagos_communicator_desc_t;
typedef struct flagos_communicator_info_t {
  uint32_t struct_size;
  uint32_t rank;
  uint32_t size;
  uint32_t padding;
  flagos_device_t* device;
} flagos_communicator_info_t;
typedef struct flagos_collective_desc_t {
  uint32_t struct_size;
  flagos_dtype_t dtype;
  const flagos_extension_t* next;
  uint64_t flags;
  flagos_address_t source;
  flagos_address_t target;
  uint64_t count;
  flagos_collective_reduction_t reduction;
  uint32_t peer;
  double scale;
} flagos_collective_desc_t;
FLAGOS_API flagos_status_t flagos_collective_query(flagos_device_t* device,
                                                   flagos_collective_operation_t operation,
                                                   flagos_dtype_t dtype,
                                                   flagos_collective_reduction_t reduction,
                                                   flagos_collective_support_t* out_support);
FLAGOS_API flagos_status_t flagos_collective_id_create(flagos_device_t* device,
                                                       flagos_collective_id_t* out_id);
FLAGOS_API flagos_status_t flagos_communicator_create(flagos_device_t* device,
                                                      const flagos_communicator_desc_t* desc,
                                                      flagos_communicator_t** out_communicator);
#define FLAGOS_COMMUNICATOR_COLOR_NONE (-1)
FLAGOS_API flagos_status_t flagos_communicator_split(flagos_communicator_t* communicator,
                                                     int32_t color, int32_t key,
                                                     flagos_communicator_t** out_communicator);
FLAGOS_API flagos_status_t flagos_communicator_abort(flagos_communicator_t* communicator);
FLAGOS_API flagos_status_t flagos_communicator_destroy(flagos_communicator_t* communicator);
FLAGOS_API flagos_status_t flagos_communicator_query_error(flagos_communicator_t* communicator,
                                                           flagos_status_t* out_status);
FLAGOS_API flagos_status_t flagos_communicator_get_info(flagos_communicator_t* communicator,
                                                        flagos_communicator_info_t* out_info);
FLAGOS_API flagos_status_t flagos_communicator_register(flagos_communicator_t* communicator,
                                                        flagos_address_t address,
                                                        uint64_t size_bytes);
FLAGOS_API flagos_status_t flagos_communicator_deregister(flagos_communicator_t* communicator,
                                                          flagos_address_t address);
FLAGOS_API flagos_status_t flagos_collective_all_reduce(flagos_communicator_t* communicator,
                                                        flagos_stream_t* stream,
                                                        const flagos_collective_desc_t* desc);
FLAGOS_API flagos_status_t flagos_collective_reduce(flagos_communicator_t* communicator,
                                                    flagos_stream_t* stream,
                                                    const flagos_collective_desc_t* desc);
FLAGOS_API flagos_status_t flagos_collective_reduce_scatter(flagos_communicator_t* communicator,
                                                            flagos_stream_t* stream,
                                                            const flagos_collective_desc_t* desc);
FLAGOS_API flagos_status_t flagos_collective_broadcast(flagos_communicator_t* communicator,
                                                       flagos_stream_t* stream,
                                                       const flagos_collective_desc_t* desc);
FLAGOS_API flagos_status_t flagos_collective_all_gather(flagos_communicator_t* communicator,
                                                        flagos_stream_t* stream,
                                                        const flagos_collective_desc_t* desc);
FLAGOS_API flagos_status_t flagos_collective_gather(flagos_communicator_t* communicator,
                                                    flagos_stream_t* stream,
                                                    const flagos_collective_desc_t* desc);
FLAGOS_API flagos_status_t flagos_collective_scatter(flagos_communicator_t* communicator,
                                                     flagos_stream_t* stream,
                                                     const flagos_collective_desc_t* desc);
FLAGOS_API flagos_status_t flagos_collective_all_to_all(flagos_communicator_t* communicator,
                                                        flagos_stream_t* stream,
                                                        const flagos_collective_desc_t* desc);
FLAGOS_API flagos_status_t flagos_collective_send(flagos_communicator_t* communicator,
                                                  flagos_stream_t* stream,
                                                  const flagos_collective_desc_t* desc);
FLAGOS_API flagos_status_t flagos_collective_receive(flagos_communicator_t* communicator,
                                                     flagos_stream_t* stream,
                                                     const flagos_collective_desc_t* desc);
FLAGOS_API flagos_status_t flagos_collective_group_begin(void);
FLAGOS_API flagos_status_t flagos_collective_group_end(void);
typedef int32_t flagos_record_kind_t;
enum {
  FLAGOS_RECORD_KIND_KERNEL = 0,
  FLAGOS_RECORD_KIND_COPY = 1,
  FLAGOS_RECORD_KIND_FILL = 2,
  FLAGOS_RECORD_KIND_HOST = 3,
  FLAGOS_RECORD_KIND_GRAPH = 4,
  FLAGOS_RECORD_KIND_OTHER = 5
};
typedef struct flagos_record_t {
  flagos_record_kind_t kind;
  uint32_t padding;
  uint64_t stream_id;
  uint64_t correlation_id;
  uint64_t queued_ns;
  uint64_t submitted_ns;
  uint64_t started_ns;
  uint64_t ended_ns;
  uint64_t size_bytes;
  char name[64];
} flagos_record_t;
typedef struct flagos_profiler_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  const flagos_extension_t* next;
  uint64_t capacity;
} flagos_profiler_desc_t;
FLAGOS_API flagos_status_t flagos_profiler_create(flagos_device_t* device,
                                                  const flagos_profiler_desc_t* desc,
                                                  flagos_profiler_t** out_profiler);
FLAGOS_API flagos_status_t flagos_profiler_destroy(flagos_profiler_t* profiler);
FLAGOS_API flagos_status_t flagos_profiler_enable(flagos_profiler_t* profiler, uint32_t enabled);
FLAGOS_API flagos_status_t flagos_profiler_drain(flagos_profiler_t* profiler, uint64_t capacity,
                                                 flagos_record_t* out_records, uint64_t* out_count,
                                                 uint64_t* out_dropped);
FLAGOS_API flagos_status_t flagos_profiler_get_clock(flagos_device_t* device,
                                                     uint64_t* out_device_ns,
                                                     uint64_t* out_host_ns);
FLAGOS_API flagos_status_t flagos_range_push(const char* name);
FLAGOS_API flagos_status_t flagos_range_pop(void);
#ifdef __cplusplus
}
#endif
#endif
