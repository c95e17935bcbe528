/*
 * The other side of a plugin as core of ABI 1.0 showed it: host services, the range of versions, and calls through the
 * tables in the order that the contract gives. Stands in for an old core under a new plugin; stays as it is once 1.0 is
 * released.
 *
 * usage: host PLUGIN
 */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <flagos_plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int checks;
static char error_text[1024];

static void check(int condition, const char* what, int line) {
  ++checks;
  if (condition) return;
  fprintf(stderr, "host of ABI 1.0: line %d: %s; last error: %s\n", line, what, error_text);
  exit(1);
}
#define CHECK(condition) check((condition) != 0, #condition, __LINE__)
#define OK(call) check((call) == FLAGOS_STATUS_OK, #call, __LINE__)

static void set_error(flagos_host_context_t* context, flagos_status_t status, const char* text) {
  (void)context;
  (void)status;
  snprintf(error_text, sizeof(error_text), "%s", text);
}
static void log_line(flagos_host_context_t* context, flagos_log_level_t level, const char* text) {
  (void)context;
  if (level >= FLAGOS_LOG_LEVEL_WARNING) fprintf(stderr, "plugin: %s\n", text);
}
static void* allocate(flagos_host_context_t* context, uint64_t size_bytes,
                      uint64_t alignment_bytes) {
  void* memory = NULL;
  (void)context;
  return posix_memalign(&memory, alignment_bytes < sizeof(void*) ? sizeof(void*) : alignment_bytes,
                        size_bytes) == 0
             ? memory
             : NULL;
}
static void deallocate(flagos_host_context_t* context, void* pointer) {
  (void)context;
  free(pointer);
}
static const char* get_config(flagos_host_context_t* context, const char* name) {
  (void)context;
  return getenv(name);
}
static void report_device_error(flagos_host_context_t* context, flagos_plugin_device_t* device,
                                flagos_status_t status, const char* text) {
  (void)device;
  set_error(context, status, text);
}
static void emit_record(flagos_host_context_t* context, flagos_plugin_device_t* device,
                        const flagos_record_t* record) {
  (void)context;
  (void)device;
  (void)record;
}
static uint64_t now_ns(flagos_host_context_t* context) {
  struct timespec now;
  (void)context;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static const uint64_t patience = 60u * UINT64_C(1000000000);

static flagos_host_t host_of(uint32_t lowest, uint32_t highest) {
  flagos_host_t host;
  memset(&host, 0, sizeof(host));
  host.struct_size = sizeof(host);
  host.abi_version_min = lowest;
  host.abi_version_max = highest;
  host.set_error = set_error;
  host.log = log_line;
  host.allocate = allocate;
  host.deallocate = deallocate;
  host.get_config = get_config;
  host.report_device_error = report_device_error;
  host.emit_record = emit_record;
  host.now_ns = now_ns;
  return host;
}

static void use_device(const flagos_plugin_t* plugin) {
  flagos_memory_desc_t memory_desc;
  flagos_stream_desc_t stream_desc;
  flagos_event_desc_t event_desc;
  flagos_plugin_device_t* device = NULL;
  flagos_plugin_stream_t* stream = NULL;
  flagos_plugin_event_t* event = NULL;
  flagos_address_t a = 0, b = 0;
  uint32_t words[64];
  uint64_t free_bytes = 0, total_bytes = 0;
  const uint32_t value = 0xabcd1234;
  OK(plugin->device->open(plugin->instance, 0, &device));
  CHECK(device != NULL);
  OK(plugin->device->query_memory(device, &free_bytes, &total_bytes));
  CHECK(free_bytes <= total_bytes);
  memset(&stream_desc, 0, sizeof(stream_desc));
  stream_desc.struct_size = sizeof(stream_desc);
  OK(plugin->stream->create(device, &stream_desc, &stream));
  memset(&event_desc, 0, sizeof(event_desc));
  event_desc.struct_size = sizeof(event_desc);
  OK(plugin->event->create(device, &event_desc, &event));
  memset(&memory_desc, 0, sizeof(memory_desc));
  memory_desc.struct_size = sizeof(memory_desc);
  memory_desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  memory_desc.size_bytes = sizeof(words);
  memory_desc.alignment_bytes = 256;
  OK(plugin->memory->alloc(device, &memory_desc, &a));
  OK(plugin->memory->alloc(device, &memory_desc, &b));
  CHECK(a != 0 && b != 0 && a % 256 == 0 && b % 256 == 0);
  OK(plugin->memory->fill(stream, a, &value, 4, sizeof(words)));
  OK(plugin->memory->copy(stream, b, a, sizeof(words)));
  OK(plugin->event->record(event, stream));
  OK(plugin->stream->wait_event(stream, event));
  memset(words, 0, sizeof(words));
  OK(plugin->memory->copy(stream, (uintptr_t)words, b, sizeof(words)));
  OK(plugin->stream->synchronize(stream, patience));
  OK(plugin->event->synchronize(event, patience));
  for (int i = 0; i < 64; ++i) CHECK(words[i] == value);
  plugin->memory->free(device, b);
  plugin->memory->free(device, a);
  plugin->event->destroy(event);
  plugin->stream->destroy(stream);
  plugin->device->close(device);
}

/* A core that knows another range than the plugin's is told so, and the plugin does nothing. */
static void offer_another_major(flagos_plugin_open_t open_plugin) {
  flagos_plugin_t plugin;
  const flagos_host_t host = host_of(FLAGOS_MAKE_VERSION(2, 0), FLAGOS_MAKE_VERSION(2, 7));
  memset(&plugin, 0, sizeof(plugin));
  plugin.struct_size = sizeof(plugin);
  CHECK(open_plugin(&host, &plugin) == FLAGOS_STATUS_UNSUPPORTED_VERSION);
  CHECK(FLAGOS_VERSION_MAJOR(plugin.abi_version_min) == 1);
}

int main(int argc, char** argv) {
  flagos_plugin_t plugin;
  flagos_device_info_t info;
  flagos_plugin_open_t open_plugin = NULL;
  uint32_t count = 0;
  const flagos_host_t host = host_of(FLAGOS_MAKE_VERSION(1, 0), FLAGOS_MAKE_VERSION(1, 0));
  void* const library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  void* symbol = NULL;
  if (library == NULL) {
    fprintf(stderr, "usage: %s PLUGIN; %s\n", argv[0], argc == 2 ? dlerror() : "");
    return 2;
  }
  symbol = dlsym(library, "flagos_plugin_open");
  CHECK(symbol != NULL);
  memcpy(&open_plugin, &symbol, sizeof(symbol));
  offer_another_major(open_plugin);
  memset(&plugin, 0, sizeof(plugin));
  plugin.struct_size = sizeof(plugin);
  OK(open_plugin(&host, &plugin));
  /* The highest that both know. */
  CHECK(plugin.abi_version == FLAGOS_MAKE_VERSION(1, 0));
  CHECK(plugin.name != NULL && plugin.close != NULL);
  OK(plugin.device->get_count(plugin.instance, &count));
  if (count == 0) {
    printf("host of ABI 1.0: %s has no device here\n", plugin.name);
    return 77;
  }
  memset(&info, 0, sizeof(info));
  info.struct_size = sizeof(info);
  OK(plugin.device->get_info(plugin.instance, 0, &info));
  CHECK(strlen(info.name) > 0 && info.memory_bytes > 0);
  use_device(&plugin);
  use_device(&plugin);
  plugin.close(plugin.instance);
  printf("host of ABI 1.0 on %s: %d checks\n", info.name, checks);
  return 0;
}
