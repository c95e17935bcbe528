/*
 * A plugin that works, and misbehaves while it is used: the whole plugin of ABI 1.0 with one fault, chosen by FAULT_<NAME>
 * at compile time, in slots of its own.
 */
#define _GNU_SOURCE
#include <flagos_plugin.h>
#include <pthread.h>

/* The whole one, under another name. */
flagos_status_t whole_plugin_open(const flagos_host_t* given, flagos_plugin_t* out_plugin);
#define flagos_plugin_open whole_plugin_open
#include "../abi_history/1.0/plugin.c"
#undef flagos_plugin_open

#include <fenv.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static const flagos_status_t unknown_status = 0x7f123456;

static flagos_device_table_t device_slots;
static flagos_memory_table_t memory_slots;
static flagos_stream_table_t stream_slots;
static flagos_event_table_t event_slots;
static flagos_module_table_t module_slots;

/* ---- row 16: statuses that nobody has heard of ---- */

#if defined(FAULT_UNKNOWN_STATUS)
static flagos_status_t unknown_create(flagos_plugin_device_t* device,
                                      const flagos_stream_desc_t* desc,
                                      flagos_plugin_stream_t** out_stream) {
  static int calls;
  /* The first few work, so that there is something to use. */
  return calls++ < 3 ? stream_create(device, desc, out_stream) : unknown_status;
}
static flagos_status_t unknown_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                                    flagos_address_t source, uint64_t size_bytes) {
  (void)stream, (void)target, (void)source, (void)size_bytes;
  return unknown_status;
}
static flagos_status_t unknown_alloc(flagos_plugin_device_t* device,
                                     const flagos_memory_desc_t* desc,
                                     flagos_address_t* out_address) {
  return desc->size_bytes == 13 ? unknown_status : memory_alloc(device, desc, out_address);
}
static flagos_status_t unknown_wait(flagos_plugin_event_t* event, uint64_t timeout_ns) {
  (void)event, (void)timeout_ns;
  return (flagos_status_t)0x00000777;
}
#endif

/* ---- row 17 and 18: the same object, none, and memory that is somebody's ---- */

#if defined(FAULT_SAME_OBJECT)
static flagos_status_t same_stream(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                                   flagos_plugin_stream_t** out_stream) {
  static flagos_plugin_stream_t* first;
  if (first == NULL)
    return stream_create(device, desc, &first), *out_stream = first, FLAGOS_STATUS_OK;
  *out_stream = first;
  return FLAGOS_STATUS_OK;
}
static flagos_status_t same_event(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                                  flagos_plugin_event_t** out_event) {
  static flagos_plugin_event_t* first;
  if (first == NULL) event_create(device, desc, &first);
  *out_event = first;
  return FLAGOS_STATUS_OK;
}
static flagos_status_t same_memory(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                                   flagos_address_t* out_address) {
  static flagos_address_t first;
  const flagos_status_t status = first == 0 || desc->size_bytes != 512
                                     ? memory_alloc(device, desc, out_address)
                                     : FLAGOS_STATUS_OK;
  if (desc->size_bytes != 512) return status;
  if (first == 0) first = *out_address;
  *out_address = first;
  return status;
}
static void keep_stream(flagos_plugin_stream_t* stream) { (void)stream; }
static void keep_event(flagos_plugin_event_t* event) { (void)event; }
static flagos_status_t same_module(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                                   flagos_plugin_module_t** out_module) {
  static flagos_plugin_module_t* first;
  if (first == NULL) module_load(device, desc, &first);
  *out_module = first;
  return FLAGOS_STATUS_OK;
}
static void keep_module(flagos_plugin_module_t* module) { (void)module; }
static flagos_status_t same_kernel(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                                   flagos_plugin_kernel_t** out_kernel) {
  (void)desc;
  *out_kernel = (flagos_plugin_kernel_t*)module;
  return FLAGOS_STATUS_OK;
}
#elif defined(FAULT_NO_OBJECT)
static flagos_status_t no_stream(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                                 flagos_plugin_stream_t** out_stream) {
  (void)device, (void)desc, (void)out_stream;
  return FLAGOS_STATUS_OK;
}
static flagos_status_t no_event(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                                flagos_plugin_event_t** out_event) {
  (void)device, (void)desc, (void)out_event;
  return FLAGOS_STATUS_OK;
}
static flagos_status_t odd_memory(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                                  flagos_address_t* out_address) {
  const flagos_status_t status = memory_alloc(device, desc, out_address);
  *out_address += 1;
  return status;
}
static void free_odd(flagos_plugin_device_t* device, flagos_address_t address) {
  memory_free(device, address - 1);
}
#endif

/* ---- row 19: other properties at every question ---- */

#if defined(FAULT_CHANGING_INFO)
static flagos_status_t changing_info(flagos_plugin_instance_t* instance, uint32_t index,
                                     flagos_device_info_t* out_info) {
  static int calls;
  const flagos_status_t status = get_info(instance, index, out_info);
  if (calls++ > 0) {
    strcpy(out_info->name, "another device");
    out_info->memory_bytes *= 2;
    out_info->capabilities = ~out_info->capabilities;
  }
  return status;
}
#endif

/* ---- row 20: host services from a thread of its own, with bad arguments, within each other ---- */

#if defined(FAULT_CALLS_HOST)
static pthread_t caller;
static atomic_int stop_calling;

static void abuse_host(void) {
  static const flagos_record_t record;
  const flagos_plugin_device_t* const nobody = (const flagos_plugin_device_t*)&record;
  host->set_error(host->context, unknown_status, NULL);
  host->set_error(host->context, FLAGOS_STATUS_OK, "");
  host->log(host->context, FLAGOS_LOG_LEVEL_TRACE, NULL);
  host->log(host->context, (flagos_log_level_t)-7, "nobody sees this");
  host->log(host->context, (flagos_log_level_t)99, "nor this %s%n");
  if (host->get_config(host->context, NULL) != NULL) abort();
  if (host->get_config(host->context, "LD_PRELOAD") != NULL) abort();
  if (host->allocate(host->context, 0, 0) != NULL) abort();
  if (host->allocate(host->context, 16, 3) != NULL) abort();
  if (host->allocate(host->context, UINT64_MAX, 16) != NULL) abort();
  host->deallocate(host->context, NULL);
  host->report_device_error(host->context, (flagos_plugin_device_t*)nobody, FLAGOS_STATUS_OK, NULL);
  host->emit_record(host->context, (flagos_plugin_device_t*)nobody, &record);
  host->emit_record(host->context, (flagos_plugin_device_t*)nobody, NULL);
  host->emit_record(host->context, NULL, &record);
  host->deallocate(host->context, host->allocate(host->context, 64, 64));
}
static void* call_host(void* nothing) {
  while (!stop_calling) abuse_host();
  return nothing;
}
static flagos_status_t abusing_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                                    flagos_address_t source, uint64_t size_bytes) {
  abuse_host();
  return memory_copy(stream, target, source, size_bytes);
}
static flagos_status_t abusing_wait(flagos_plugin_stream_t* stream, uint64_t timeout_ns) {
  abuse_host();
  return stream_synchronize(stream, timeout_ns);
}
#endif

/* ---- rows 21 and 24: waits that never end, work that is never done ---- */

#if defined(FAULT_NEVER_DONE)
static flagos_status_t never_done(flagos_plugin_stream_t* stream, uint64_t timeout_ns) {
  const uint64_t slice = timeout_ns < 10000000 ? timeout_ns : 10000000;
  (void)stream;
  usleep((useconds_t)(slice / 1000));
  return FLAGOS_STATUS_TIMEOUT;
}
static flagos_status_t never_complete(flagos_plugin_event_t* event, uint64_t timeout_ns) {
  (void)event;
  return never_done(NULL, timeout_ns);
}
#elif defined(FAULT_DEAF_WAIT)
/* From the time that 14 bytes are allocated until 13 are, or 20 s, whatever timeout it was told: core waits when it opens a
   device, too. */
static atomic_int is_deaf;
static flagos_status_t releasing_alloc(flagos_plugin_device_t* device,
                                       const flagos_memory_desc_t* desc,
                                       flagos_address_t* out_address) {
  if (desc->size_bytes == 13 || desc->size_bytes == 14)
    atomic_store(&is_deaf, desc->size_bytes == 14);
  return memory_alloc(device, desc, out_address);
}
static flagos_status_t deaf_wait(flagos_plugin_stream_t* stream, uint64_t timeout_ns) {
  (void)stream, (void)timeout_ns;
  for (int i = 0; i < 20000 && atomic_load(&is_deaf); ++i) usleep(1000);
  return FLAGOS_STATUS_OK;
}
#endif

/* ---- row 22: an allocation of 13 bytes is a fault, of 14 one in the C library, of 15 an abort, of 16 a fault elsewhere ---- */

#if defined(FAULT_CRASHES)
static volatile int* volatile nowhere;
static void* crash_aside(void* nothing) {
  *nowhere = 1;
  return nothing;
}
static flagos_status_t crashing_alloc(flagos_plugin_device_t* device,
                                      const flagos_memory_desc_t* desc,
                                      flagos_address_t* out_address) {
  pthread_t aside;
  if (desc->size_bytes == 13) *nowhere = 1;
  if (desc->size_bytes == 14) memset((void*)nowhere, 1, (size_t)desc->size_bytes * 300);
  if (desc->size_bytes == 15) abort();
  if (desc->size_bytes == 16 && pthread_create(&aside, NULL, crash_aside, NULL) == 0)
    pthread_join(aside, NULL);
  return memory_alloc(device, desc, out_address);
}
#endif

/* ---- row 26: it changes what is the program's ---- */

#if defined(FAULT_MANNERLESS)
static void ignore_signal(int number) { (void)number; }
static void change_process(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  signal(SIGUSR2, ignore_signal);
  if (chdir("/") != 0) abort();
}
#endif

static void close_faulty(flagos_plugin_instance_t* instance) {
#if defined(FAULT_MANNERLESS)
  fesetround(FE_UPWARD);
#endif
#if defined(FAULT_CALLS_HOST)
  stop_calling = 1;
  pthread_join(caller, NULL);
  abuse_host();
#endif
  close_instance(instance);
}

static void put_fault(void) {
#if defined(FAULT_UNKNOWN_STATUS)
  stream_slots.create = unknown_create;
  memory_slots.copy = unknown_copy;
  memory_slots.alloc = unknown_alloc;
  event_slots.synchronize = unknown_wait;
#elif defined(FAULT_SAME_OBJECT)
  stream_slots.create = same_stream;
  stream_slots.destroy = keep_stream;
  event_slots.create = same_event;
  event_slots.destroy = keep_event;
  module_slots.load = same_module;
  module_slots.unload = keep_module;
  module_slots.get_kernel = same_kernel;
  memory_slots.alloc = same_memory;
#elif defined(FAULT_NO_OBJECT)
  stream_slots.create = no_stream;
  event_slots.create = no_event;
  memory_slots.alloc = odd_memory;
  memory_slots.free = free_odd;
#elif defined(FAULT_CHANGING_INFO)
  device_slots.get_info = changing_info;
#elif defined(FAULT_CALLS_HOST)
  memory_slots.copy = abusing_copy;
  stream_slots.synchronize = abusing_wait;
  pthread_create(&caller, NULL, call_host, NULL);
#elif defined(FAULT_NEVER_DONE)
  stream_slots.synchronize = never_done;
  event_slots.synchronize = never_complete;
#elif defined(FAULT_DEAF_WAIT)
  stream_slots.synchronize = deaf_wait;
  memory_slots.alloc = releasing_alloc;
#elif defined(FAULT_CRASHES)
  memory_slots.alloc = crashing_alloc;
#elif defined(FAULT_MANNERLESS)
  change_process();
#endif
}

flagos_status_t flagos_plugin_open(const flagos_host_t* given, flagos_plugin_t* out_plugin) {
  const flagos_status_t status = whole_plugin_open(given, out_plugin);
  if (status != FLAGOS_STATUS_OK) return status;
  (void)unknown_status;
  device_slots = device_table;
  memory_slots = memory_table;
  stream_slots = stream_table;
  event_slots = event_table;
  module_slots = module_table;
  out_plugin->name = PLUGIN_NAME;
  out_plugin->close = close_faulty;
  out_plugin->device = &device_slots;
  out_plugin->memory = &memory_slots;
  out_plugin->stream = &stream_slots;
  out_plugin->event = &event_slots;
  out_plugin->module = &module_slots;
  put_fault();
  return FLAGOS_STATUS_OK;
}
