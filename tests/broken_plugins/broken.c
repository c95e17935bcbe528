/*
 * A plugin with one fault, chosen by FAULT_<NAME> at compile time; without any it is whole, with
 * one device that can do nothing. Everything else about it is right, so that a test sees that very
 * fault.
 */
#include <flagos_plugin.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PLUGIN_NAME
#error "PLUGIN_NAME is the name that the plugin gives itself"
#endif

#if defined(FAULT_UNDEFINED_SYMBOL)
void flagos_test_symbol_that_is_nowhere(void);
#elif defined(FAULT_MISSING_LIBRARY)
void flagos_test_vendor_function(void);
#endif

/* The compiler may not see that these never return: the rest is to stay as it is. */
static volatile int always = 1;

static void hang(void) {
  while (always) sleep(1);
}

static void crash(void) {
  signal(SIGSEGV, SIG_DFL);
  raise(SIGSEGV);
}

#if defined(FAULT_CRASH_CONSTRUCTOR)
__attribute__((constructor)) static void construct(void) { crash(); }
#elif defined(FAULT_HANG_CONSTRUCTOR)
__attribute__((constructor)) static void construct(void) { hang(); }
#elif defined(FAULT_EXIT_CONSTRUCTOR)
__attribute__((constructor)) static void construct(void) { _exit(0); }
#endif

static flagos_status_t get_count(flagos_plugin_instance_t* instance, uint32_t* out_count) {
  (void)instance;
  *out_count = 1;
#if defined(FAULT_COUNT_HUGE)
  *out_count = 0x80000000u;
#elif defined(FAULT_COUNT_FAILS)
  return FLAGOS_STATUS_OUT_OF_RESOURCES;
#endif
  return FLAGOS_STATUS_OK;
}

static flagos_status_t get_info(flagos_plugin_instance_t* instance, uint32_t index,
                                flagos_device_info_t* out_info) {
  flagos_device_info_t info;
  (void)instance;
  (void)index;
  memset(&info, 0, sizeof(info));
  info.struct_size = sizeof(info);
  strcpy(info.name, "A device that can do nothing");
  strcpy(info.vendor, "flagos tests");
  strcpy(info.driver_version, "1");
  info.uuid[0] = 1;
  info.memory_bytes = 1 << 20;
  info.max_allocation_bytes = 1 << 20;
  info.allocation_alignment = 256;
  info.compute_units = 1;
  for (int i = 0; i < 3; ++i) info.max_grid[i] = info.max_block[i] = 64;
  info.max_block_threads = 64;
  info.subgroup_size = 1;
  info.max_argument_bytes = 4096;
#if defined(FAULT_ALIGNMENT_3)
  info.allocation_alignment = 3;
#elif defined(FAULT_NAME_UNTERMINATED)
  memset(info.name, 'x', sizeof(info.name));
#elif defined(FAULT_ALLOCATION_OVER_MEMORY)
  info.max_allocation_bytes = info.memory_bytes + 1;
#elif defined(FAULT_NO_UNITS)
  info.compute_units = 0;
#elif defined(FAULT_UUID_ZERO)
  info.uuid[0] = 0;
#elif defined(FAULT_ARGUMENTS_SHORT)
  info.max_argument_bytes = 100;
#elif defined(FAULT_INFO_FAILS)
  return FLAGOS_STATUS_INTERNAL;
#endif
  memcpy(out_info, &info,
         out_info->struct_size < sizeof(info) ? out_info->struct_size : sizeof(info));
  return FLAGOS_STATUS_OK;
}

static int opened;

static flagos_status_t open_device(flagos_plugin_instance_t* instance, uint32_t index,
                                   flagos_plugin_device_t** out_device) {
  (void)instance;
  (void)index;
  *out_device = (flagos_plugin_device_t*)&opened;
  return FLAGOS_STATUS_OK;
}

static void close_device(flagos_plugin_device_t* device) { (void)device; }

static flagos_status_t query_memory(flagos_plugin_device_t* device, uint64_t* out_free_bytes,
                                    uint64_t* out_total_bytes) {
  (void)device;
  *out_total_bytes = 1 << 20;
  *out_free_bytes = 1 << 20;
#if defined(FAULT_FREE_OVER_TOTAL)
  *out_free_bytes = UINT64_MAX;
#endif
  return FLAGOS_STATUS_OK;
}

/* For all other slots: the device can do nothing. They are never called with arguments of theirs.
 */
static flagos_status_t nothing(void) { return FLAGOS_STATUS_UNSUPPORTED; }
static void nothing_void(void) {}

static flagos_status_t get_format(flagos_plugin_device_t* device, uint32_t index,
                                  flagos_format_info_t* out_info) {
  (void)device;
  (void)index;
  (void)out_info;
  return FLAGOS_STATUS_NOT_FOUND;
}

static flagos_device_table_t device_table;
static flagos_memory_table_t memory_table;
static flagos_stream_table_t stream_table;
static flagos_event_table_t event_table;
static flagos_module_table_t module_table;
static flagos_kernel_table_t kernel_table;

#define START_TABLE(table)           \
  memset(&table, 0, sizeof(table));  \
  table.struct_size = sizeof(table); \
  table.group_version = 1
#define SET(slot, function)                         \
  do {                                              \
    void (*any)(void) = (void (*)(void))(function); \
    memcpy(&(slot), &any, sizeof(any));             \
  } while (0)

static void fill_tables(void) {
  START_TABLE(device_table);
  device_table.get_count = get_count;
  device_table.get_info = get_info;
  device_table.open = open_device;
  device_table.close = close_device;
  device_table.query_memory = query_memory;
  START_TABLE(memory_table);
  SET(memory_table.alloc, nothing);
  SET(memory_table.free, nothing_void);
  SET(memory_table.copy, nothing);
  SET(memory_table.fill, nothing);
  START_TABLE(stream_table);
  SET(stream_table.create, nothing);
  SET(stream_table.destroy, nothing_void);
  SET(stream_table.synchronize, nothing);
  SET(stream_table.wait_event, nothing);
  START_TABLE(event_table);
  SET(event_table.create, nothing);
  SET(event_table.destroy, nothing_void);
  SET(event_table.record, nothing);
  SET(event_table.synchronize, nothing);
  SET(event_table.get_elapsed, nothing);
  START_TABLE(module_table);
  module_table.get_format = get_format;
  SET(module_table.load, nothing);
  SET(module_table.unload, nothing_void);
  SET(module_table.get_kernel, nothing);
  START_TABLE(kernel_table);
  SET(kernel_table.get_info, nothing);
  SET(kernel_table.get_parameter, nothing);
  SET(kernel_table.launch, nothing);
#if defined(FAULT_NULL_SLOT)
  memory_table.copy = NULL;
#elif defined(FAULT_NULL_DEVICE_SLOT)
  device_table.get_info = NULL;
#elif defined(FAULT_SHORT_GROUP)
  memory_table.struct_size = offsetof(flagos_memory_table_t, fill);
#elif defined(FAULT_EMPTY_GROUP)
  stream_table.struct_size = 0;
#endif
}

static void close_instance(flagos_plugin_instance_t* instance) {
  (void)instance;
#if defined(FAULT_CRASH_CLOSE)
  crash();
#elif defined(FAULT_HANG_CLOSE)
  hang();
#elif defined(FAULT_EXIT_CLOSE)
  _exit(0);
#endif
}

/* What happens before anything is answered. */
static flagos_status_t misbehave(const flagos_host_t* host, flagos_plugin_t* out_plugin) {
  (void)host;
  (void)out_plugin;
  if (!always) {
    hang();
    crash();
  }
#if defined(FAULT_CRASH_OPEN)
  crash();
#elif defined(FAULT_ABORT_OPEN)
  abort();
#elif defined(FAULT_HANG_OPEN)
  hang();
#elif defined(FAULT_EXIT_OPEN)
  exit(0);
#elif defined(FAULT_ERROR_OPEN)
  host->set_error(host->context, FLAGOS_STATUS_OUT_OF_RESOURCES,
                  "the driver of this test is not there");
  return FLAGOS_STATUS_OUT_OF_RESOURCES;
#elif defined(FAULT_ERROR_SILENT)
  return (flagos_status_t)0x7f123456;
#elif defined(FAULT_WRONG_MAJOR)
  out_plugin->abi_version_min = FLAGOS_MAKE_VERSION(2, 0);
  out_plugin->abi_version_max = FLAGOS_MAKE_VERSION(2, 3);
  host->set_error(host->context, FLAGOS_STATUS_UNSUPPORTED_VERSION, "ABI 2 only");
  return FLAGOS_STATUS_UNSUPPORTED_VERSION;
#elif defined(FAULT_UNDEFINED_SYMBOL)
  flagos_test_symbol_that_is_nowhere();
#elif defined(FAULT_MISSING_LIBRARY)
  flagos_test_vendor_function();
#endif
  return FLAGOS_STATUS_OK;
}

#if defined(FAULT_NO_SYMBOL)
#define flagos_plugin_open flagos_plugin_opne
flagos_status_t flagos_plugin_opne(const flagos_host_t* host, flagos_plugin_t* out_plugin);
#endif

flagos_status_t flagos_plugin_open(const flagos_host_t* host, flagos_plugin_t* out_plugin) {
  const flagos_status_t status = misbehave(host, out_plugin);
  if (status != FLAGOS_STATUS_OK) return status;
  fill_tables();
  out_plugin->abi_version = FLAGOS_MAKE_VERSION(1, 0);
  out_plugin->abi_version_min = FLAGOS_MAKE_VERSION(1, 0);
  out_plugin->abi_version_max = FLAGOS_MAKE_VERSION(1, 0);
  out_plugin->instance = (flagos_plugin_instance_t*)&opened;
  out_plugin->name = PLUGIN_NAME;
  out_plugin->vendor = "flagos tests";
  out_plugin->version = "1";
  out_plugin->close = close_instance;
  out_plugin->device = &device_table;
  out_plugin->memory = &memory_table;
  out_plugin->stream = &stream_table;
  out_plugin->event = &event_table;
  out_plugin->module = &module_table;
  out_plugin->kernel = &kernel_table;
#if defined(FAULT_ANSWERS_MAJOR_2)
  out_plugin->abi_version = FLAGOS_MAKE_VERSION(2, 0);
#elif defined(FAULT_ANSWERS_VERSION_0)
  out_plugin->abi_version = 0;
#elif defined(FAULT_SHORT_ROOT)
  out_plugin->struct_size = 64;
#elif defined(FAULT_NULL_GROUP)
  out_plugin->kernel = NULL;
#elif defined(FAULT_NULL_CLOSE)
  out_plugin->close = NULL;
#elif defined(FAULT_NULL_NAME)
  out_plugin->name = NULL;
#elif defined(FAULT_BAD_NAME)
  out_plugin->name = "Not A Name\033[2J";
#elif defined(FAULT_LONG_NAME)
  /* 64 letters: one more than a name may have. */
  out_plugin->name = "a_name_of_sixty_four_letters_a_name_of_sixty_four_letters_a_name";
#endif
  return FLAGOS_STATUS_OK;
}
