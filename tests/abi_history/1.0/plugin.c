/*
 * A whole plugin as somebody wrote it against ABI 1.0: the six required groups over host memory, with work that is done
 * inside the call. Once 1.0 is released this file stays as it is: every later core must run it.
 */
#define _POSIX_C_SOURCE 200809L
#include <flagos_plugin.h>
#include <stdlib.h>
#include <string.h>

enum { memory_bytes = 64 << 20, format_count = 1 };

static const flagos_host_t* host;

static flagos_status_t fail(flagos_status_t status, const char* text) {
  host->set_error(host->context, status, text);
  return status;
}

static void* pointer_to(flagos_address_t address) { return (void*)(uintptr_t)address; }

/* ---- device ---- */

static flagos_status_t get_count(flagos_plugin_instance_t* instance, uint32_t* out_count) {
  (void)instance;
  *out_count = 1;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t get_info(flagos_plugin_instance_t* instance, uint32_t index,
                                flagos_device_info_t* out_info) {
  (void)instance;
  (void)index;
  strcpy(out_info->name, "host memory of ABI 1.0");
  strcpy(out_info->vendor, "flagos tests");
  strcpy(out_info->driver_version, "1");
  memcpy(out_info->uuid, "flagos-abi-1.0-x", 16);
  out_info->type = FLAGOS_DEVICE_TYPE_CPU;
  out_info->schedule_class = FLAGOS_SCHEDULE_CLASS_SERIAL;
  out_info->capabilities =
      FLAGOS_DEVICE_CAPABILITY_PAGEABLE_COPY_SYNC | FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES;
  out_info->memory_bytes = memory_bytes;
  out_info->max_allocation_bytes = memory_bytes;
  out_info->allocation_alignment = 256;
  out_info->compute_units = 1;
  for (int i = 0; i < 3; ++i) out_info->max_grid[i] = out_info->max_block[i] = 1024;
  out_info->max_block_threads = 1024;
  out_info->subgroup_size = 1;
  out_info->max_argument_bytes = 4096;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t open_device(flagos_plugin_instance_t* instance, uint32_t index,
                                   flagos_plugin_device_t** out_device) {
  (void)instance;
  (void)index;
  *out_device = malloc(1);
  return FLAGOS_STATUS_OK;
}

static void close_device(flagos_plugin_device_t* device) { free(device); }

static flagos_status_t query_memory(flagos_plugin_device_t* device, uint64_t* out_free_bytes,
                                    uint64_t* out_total_bytes) {
  (void)device;
  *out_free_bytes = *out_total_bytes = memory_bytes;
  return FLAGOS_STATUS_OK;
}

/* ---- memory ---- */

static flagos_status_t memory_alloc(flagos_plugin_device_t* device,
                                    const flagos_memory_desc_t* desc,
                                    flagos_address_t* out_address) {
  void* memory = NULL;
  (void)device;
  if (desc->kind != FLAGOS_MEMORY_KIND_DEVICE)
    return fail(FLAGOS_STATUS_UNSUPPORTED, "this device has device memory only");
  if (posix_memalign(&memory, desc->alignment_bytes < 256 ? 256 : desc->alignment_bytes,
                     desc->size_bytes) != 0)
    return fail(FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY, "no memory is left");
  if ((desc->flags & FLAGOS_MEMORY_FLAG_ZERO) != 0) memset(memory, 0, desc->size_bytes);
  *out_address = (uintptr_t)memory;
  return FLAGOS_STATUS_OK;
}

static void memory_free(flagos_plugin_device_t* device, flagos_address_t address) {
  (void)device;
  free(pointer_to(address));
}

static flagos_status_t memory_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                                   flagos_address_t source, uint64_t size_bytes) {
  (void)stream;
  memmove(pointer_to(target), pointer_to(source), size_bytes);
  return FLAGOS_STATUS_OK;
}

static flagos_status_t memory_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                                   const void* pattern, uint32_t pattern_size_bytes,
                                   uint64_t size_bytes) {
  unsigned char* bytes = pointer_to(target);
  (void)stream;
  if (pattern_size_bytes > 4) return fail(FLAGOS_STATUS_UNSUPPORTED, "patterns of at most 4 bytes");
  for (uint64_t i = 0; i < size_bytes; i += pattern_size_bytes)
    memcpy(bytes + i, pattern, pattern_size_bytes);
  return FLAGOS_STATUS_OK;
}

/* ---- stream and event: everything is done at once ---- */

static flagos_status_t stream_create(flagos_plugin_device_t* device,
                                     const flagos_stream_desc_t* desc,
                                     flagos_plugin_stream_t** out_stream) {
  (void)device;
  (void)desc;
  *out_stream = malloc(1);
  return FLAGOS_STATUS_OK;
}

static void stream_destroy(flagos_plugin_stream_t* stream) { free(stream); }

static flagos_status_t stream_synchronize(flagos_plugin_stream_t* stream, uint64_t timeout_ns) {
  (void)stream;
  (void)timeout_ns;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t stream_wait_event(flagos_plugin_stream_t* stream,
                                         flagos_plugin_event_t* event) {
  (void)stream;
  (void)event;
  return FLAGOS_STATUS_OK;
}

struct flagos_plugin_event_t {
  uint64_t recorded_ns; /* 0: never */
};

static flagos_status_t event_create(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                                    flagos_plugin_event_t** out_event) {
  (void)device;
  (void)desc;
  *out_event = calloc(1, sizeof(**out_event));
  return FLAGOS_STATUS_OK;
}

static void event_destroy(flagos_plugin_event_t* event) { free(event); }

static flagos_status_t event_record(flagos_plugin_event_t* event, flagos_plugin_stream_t* stream) {
  (void)stream;
  event->recorded_ns = host->now_ns(host->context);
  return FLAGOS_STATUS_OK;
}

static flagos_status_t event_synchronize(flagos_plugin_event_t* event, uint64_t timeout_ns) {
  (void)event;
  (void)timeout_ns;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t event_get_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                         int64_t* out_elapsed_ns) {
  if (start->recorded_ns == 0 || end->recorded_ns == 0)
    return fail(FLAGOS_STATUS_INVALID_ARGUMENT, "an event was never recorded");
  *out_elapsed_ns = (int64_t)(end->recorded_ns - start->recorded_ns);
  return FLAGOS_STATUS_OK;
}

/* ---- module and kernel: any image holds the one kernel that there is ---- */

typedef struct {
  flagos_address_t data;
  uint32_t count, multiply, add;
} affine_arguments;

static flagos_status_t get_format(flagos_plugin_device_t* device, uint32_t index,
                                  flagos_format_info_t* out_info) {
  (void)device;
  if (index >= format_count) return FLAGOS_STATUS_NOT_FOUND;
  out_info->flags = FLAGOS_FORMAT_FLAG_LOAD;
  strcpy(out_info->name, "abi-history");
  strcpy(out_info->version, "1");
  out_info->schedule_class = FLAGOS_SCHEDULE_CLASS_SERIAL;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t module_load(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                                   flagos_plugin_module_t** out_module) {
  (void)device;
  (void)desc;
  *out_module = malloc(1);
  return FLAGOS_STATUS_OK;
}

static void module_unload(flagos_plugin_module_t* module) { free(module); }

static flagos_status_t get_kernel(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                                  flagos_plugin_kernel_t** out_kernel) {
  if (strcmp(desc->name, "tl_affine") != 0)
    return fail(FLAGOS_STATUS_NOT_FOUND, "the one kernel is tl_affine");
  *out_kernel = (flagos_plugin_kernel_t*)module;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t kernel_get_info(flagos_plugin_kernel_t* kernel,
                                       flagos_kernel_info_t* out_info) {
  (void)kernel;
  out_info->parameter_count = 4;
  out_info->argument_bytes = 8 + 3 * 4;
  out_info->max_block_threads = 1024;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t kernel_get_parameter(flagos_plugin_kernel_t* kernel, uint32_t index,
                                            flagos_parameter_t* out_parameter) {
  const flagos_parameter_t address = {FLAGOS_DTYPE_ADDRESS, 8, 8, 0};
  const flagos_parameter_t word = {FLAGOS_DTYPE_UINT32, 4, 4, 8 + 4 * (index - 1)};
  (void)kernel;
  *out_parameter = index == 0 ? address : word;
  return FLAGOS_STATUS_OK;
}

static flagos_status_t kernel_launch(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                                     const flagos_launch_desc_t* desc) {
  affine_arguments arguments;
  uint32_t* words;
  (void)stream;
  (void)kernel;
  memset(&arguments, 0, sizeof(arguments));
  memcpy(&arguments, desc->argument_block, 20);
  words = pointer_to(arguments.data);
  for (uint64_t i = 0; i < (uint64_t)desc->grid[0] * desc->block[0]; ++i)
    if (i < arguments.count) words[i] = words[i] * arguments.multiply + arguments.add;
  return FLAGOS_STATUS_OK;
}

/* ---- the root ---- */

#define HEAD(type) (uint32_t)sizeof(type), 1

static const flagos_device_table_t device_table = {HEAD(flagos_device_table_t),
                                                   get_count,
                                                   get_info,
                                                   open_device,
                                                   close_device,
                                                   query_memory,
                                                   NULL,
                                                   NULL,
                                                   NULL};
static const flagos_memory_table_t memory_table = {HEAD(flagos_memory_table_t),
                                                   memory_alloc,
                                                   memory_free,
                                                   memory_copy,
                                                   memory_fill,
                                                   NULL,
                                                   NULL,
                                                   NULL,
                                                   NULL,
                                                   NULL,
                                                   NULL};
static const flagos_stream_table_t stream_table = {HEAD(flagos_stream_table_t),
                                                   stream_create,
                                                   stream_destroy,
                                                   stream_synchronize,
                                                   stream_wait_event,
                                                   NULL,
                                                   NULL,
                                                   NULL,
                                                   NULL};
static const flagos_event_table_t event_table = {
    HEAD(flagos_event_table_t), event_create,     event_destroy, event_record,
    event_synchronize,          event_get_elapsed};
static const flagos_module_table_t module_table = {HEAD(flagos_module_table_t),
                                                   get_format,
                                                   module_load,
                                                   module_unload,
                                                   get_kernel,
                                                   NULL,
                                                   NULL,
                                                   NULL,
                                                   NULL,
                                                   NULL,
                                                   NULL,
                                                   NULL};
static const flagos_kernel_table_t kernel_table = {HEAD(flagos_kernel_table_t),
                                                   kernel_get_info,
                                                   kernel_get_parameter,
                                                   kernel_launch,
                                                   NULL,
                                                   NULL,
                                                   NULL,
                                                   NULL,
                                                   NULL};

static void close_instance(flagos_plugin_instance_t* instance) { free(instance); }

flagos_status_t flagos_plugin_open(const flagos_host_t* given, flagos_plugin_t* out_plugin) {
  const uint32_t mine = FLAGOS_MAKE_VERSION(1, 0);
  out_plugin->abi_version_min = out_plugin->abi_version_max = mine;
  if (given->abi_version_min > mine || given->abi_version_max < mine) {
    given->set_error(given->context, FLAGOS_STATUS_UNSUPPORTED_VERSION,
                     "this plugin is of ABI 1.0");
    return FLAGOS_STATUS_UNSUPPORTED_VERSION;
  }
  host = given;
  out_plugin->struct_size = out_plugin->struct_size < sizeof(flagos_plugin_t)
                                ? out_plugin->struct_size
                                : (uint32_t)sizeof(flagos_plugin_t);
  out_plugin->abi_version = mine;
  out_plugin->instance = malloc(1);
  out_plugin->name = "abi_history";
  out_plugin->vendor = "flagos tests";
  out_plugin->version = "1.0";
  out_plugin->close = close_instance;
  out_plugin->device = &device_table;
  out_plugin->memory = &memory_table;
  out_plugin->stream = &stream_table;
  out_plugin->event = &event_table;
  out_plugin->module = &module_table;
  out_plugin->kernel = &kernel_table;
  return FLAGOS_STATUS_OK;
}
