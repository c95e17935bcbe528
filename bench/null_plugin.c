/* A plugin that does nothing as fast as possible: what is left of a call's time is core's. Built several times under
   several names (FLAGOS_NULL_NAME), to be loaded side by side. Never installed. */
#include <flagos_plugin.h>
#include <stdlib.h>
#include <string.h>

static struct flagos_plugin_device_t* object(void) {
  static int something;
  return (struct flagos_plugin_device_t*)&something;
}

static flagos_status_t get_count(flagos_plugin_instance_t* instance, uint32_t* out_count) {
  (void)instance;
  *out_count = 1;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t get_info(flagos_plugin_instance_t* instance, uint32_t index,
                                flagos_device_info_t* out_info) {
  (void)instance;
  (void)index;
  strcpy(out_info->name, "nothing");
  strcpy(out_info->vendor, "flagos");
  memset(out_info->uuid, 1, sizeof(out_info->uuid));
  out_info->memory_bytes = 1u << 30;
  out_info->max_allocation_bytes = 1u << 30;
  out_info->allocation_alignment = 256;
  out_info->compute_units = 1;
  for (int i = 0; i < 3; ++i) {
    out_info->max_grid[i] = 65535;
    out_info->max_block[i] = 1024;
  }
  out_info->max_block_threads = 1024;
  out_info->subgroup_size = 1;
  out_info->max_shared_bytes = 49152;
  out_info->max_argument_bytes = 4096;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t open_device(flagos_plugin_instance_t* instance, uint32_t index,
                                   flagos_plugin_device_t** out_device) {
  (void)instance;
  (void)index;
  *out_device = object();
  return FLAGOS_STATUS_OK;
}

static void close_device(flagos_plugin_device_t* device) { (void)device; }

static flagos_status_t query_memory(flagos_plugin_device_t* device, uint64_t* out_free,
                                    uint64_t* out_total) {
  (void)device;
  *out_free = *out_total = 1u << 30;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                             flagos_address_t* out_address) {
  (void)device;
  const uint64_t rounded = (desc->size_bytes + desc->alignment_bytes - 1) / desc->alignment_bytes *
                           desc->alignment_bytes;
  *out_address = (flagos_address_t)(uintptr_t)aligned_alloc(desc->alignment_bytes, rounded);
  return *out_address != 0 ? FLAGOS_STATUS_OK : FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
}

static void free_memory(flagos_plugin_device_t* device, flagos_address_t address) {
  (void)device;
  free((void*)(uintptr_t)address);
}

static flagos_status_t copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                            flagos_address_t source, uint64_t size_bytes) {
  (void)stream;
  (void)target;
  (void)source;
  (void)size_bytes;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                            const void* pattern, uint32_t pattern_size_bytes, uint64_t size_bytes) {
  (void)stream;
  (void)target;
  (void)pattern;
  (void)pattern_size_bytes;
  (void)size_bytes;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t create_stream(flagos_plugin_device_t* device,
                                     const flagos_stream_desc_t* desc,
                                     flagos_plugin_stream_t** out_stream) {
  (void)device;
  (void)desc;
  *out_stream = (flagos_plugin_stream_t*)object();
  return FLAGOS_STATUS_OK;
}

static void destroy_stream(flagos_plugin_stream_t* stream) { (void)stream; }

static flagos_status_t synchronize_stream(flagos_plugin_stream_t* stream, uint64_t timeout_ns) {
  (void)stream;
  (void)timeout_ns;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t wait_event(flagos_plugin_stream_t* stream, flagos_plugin_event_t* event) {
  (void)stream;
  (void)event;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t create_event(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                                    flagos_plugin_event_t** out_event) {
  (void)device;
  (void)desc;
  *out_event = (flagos_plugin_event_t*)object();
  return FLAGOS_STATUS_OK;
}

static void destroy_event(flagos_plugin_event_t* event) { (void)event; }

static flagos_status_t record(flagos_plugin_event_t* event, flagos_plugin_stream_t* stream) {
  (void)event;
  (void)stream;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t synchronize_event(flagos_plugin_event_t* event, uint64_t timeout_ns) {
  (void)event;
  (void)timeout_ns;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t get_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                   int64_t* out_elapsed_ns) {
  (void)start;
  (void)end;
  *out_elapsed_ns = 0;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t get_format(flagos_plugin_device_t* device, uint32_t index,
                                  flagos_format_info_t* out_info) {
  (void)device;
  if (index != 0) return FLAGOS_STATUS_NOT_FOUND;
  strcpy(out_info->name, "nothing");
  out_info->flags = FLAGOS_FORMAT_FLAG_LOAD;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t load(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                            flagos_plugin_module_t** out_module) {
  (void)device;
  (void)desc;
  *out_module = (flagos_plugin_module_t*)object();
  return FLAGOS_STATUS_OK;
}

static void unload(flagos_plugin_module_t* module) { (void)module; }

static flagos_status_t get_kernel(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                                  flagos_plugin_kernel_t** out_kernel) {
  (void)module;
  (void)desc;
  *out_kernel = (flagos_plugin_kernel_t*)object();
  return FLAGOS_STATUS_OK;
}

/* Four addresses: the argument block of an ordinary elementwise kernel. */
static flagos_status_t get_kernel_info(flagos_plugin_kernel_t* kernel,
                                       flagos_kernel_info_t* out_info) {
  (void)kernel;
  strcpy(out_info->name, "nothing");
  out_info->flags = FLAGOS_KERNEL_FLAG_SIGNATURE;
  out_info->parameter_count = 4;
  out_info->argument_bytes = 32;
  out_info->max_block_threads = 1024;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t get_parameter(flagos_plugin_kernel_t* kernel, uint32_t index,
                                     flagos_parameter_t* out_parameter) {
  (void)kernel;
  out_parameter->dtype = FLAGOS_DTYPE_ADDRESS;
  out_parameter->size_bytes = 8;
  out_parameter->alignment_bytes = 8;
  out_parameter->offset_bytes = 8 * index;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t launch(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                              const flagos_launch_desc_t* desc) {
  (void)stream;
  (void)kernel;
  (void)desc;
  return FLAGOS_STATUS_OK;
}

static void close_instance(flagos_plugin_instance_t* instance) { (void)instance; }

#define TABLE_HEAD(type) .struct_size = sizeof(type), .group_version = 1
static const flagos_device_table_t device_table = {TABLE_HEAD(flagos_device_table_t),
                                                   .get_count = get_count,
                                                   .get_info = get_info,
                                                   .open = open_device,
                                                   .close = close_device,
                                                   .query_memory = query_memory};
static const flagos_memory_table_t memory_table = {TABLE_HEAD(flagos_memory_table_t),
                                                   .alloc = alloc, .free = free_memory,
                                                   .copy = copy, .fill = fill};
static const flagos_stream_table_t stream_table = {
    TABLE_HEAD(flagos_stream_table_t), .create = create_stream, .destroy = destroy_stream,
    .synchronize = synchronize_stream, .wait_event = wait_event};
static const flagos_event_table_t event_table = {
    TABLE_HEAD(flagos_event_table_t), .create = create_event,
    .destroy = destroy_event,         .record = record,
    .synchronize = synchronize_event, .get_elapsed = get_elapsed};
static const flagos_module_table_t module_table = {TABLE_HEAD(flagos_module_table_t),
                                                   .get_format = get_format, .load = load,
                                                   .unload = unload, .get_kernel = get_kernel};
static const flagos_kernel_table_t kernel_table = {
    TABLE_HEAD(flagos_kernel_table_t), .get_info = get_kernel_info, .get_parameter = get_parameter,
    .launch = launch};

flagos_status_t flagos_plugin_open(const flagos_host_t* host, flagos_plugin_t* out_plugin) {
  out_plugin->abi_version_min = out_plugin->abi_version_max = FLAGOS_ABI_VERSION;
  if (host->abi_version_min > FLAGOS_ABI_VERSION || host->abi_version_max < FLAGOS_ABI_VERSION)
    return FLAGOS_STATUS_UNSUPPORTED_VERSION;
  out_plugin->abi_version = FLAGOS_ABI_VERSION;
  out_plugin->instance = (flagos_plugin_instance_t*)object();
  out_plugin->name = FLAGOS_NULL_NAME;
  out_plugin->vendor = "flagos";
  out_plugin->version = "1";
  out_plugin->close = close_instance;
  out_plugin->device = &device_table;
  out_plugin->memory = &memory_table;
  out_plugin->stream = &stream_table;
  out_plugin->event = &event_table;
  out_plugin->module = &module_table;
  out_plugin->kernel = &kernel_table;
  return FLAGOS_STATUS_OK;
}
