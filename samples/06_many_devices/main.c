/*
 * One program, every device: a vector travels through all devices of all plugins. Each multiplies
 * and adds with a kernel of its own format; copies between devices and events order the journey,
 * and the host waits only at its end.
 */
#include "samples/common/sample.h"

enum { MAX_DEVICES = 16, THREADS = 64 };

typedef struct {
  flagos_address_t values;
  uint32_t factor;
  uint32_t addend;
  uint32_t count;
} step_arguments;

/* What one device brings. */
typedef struct {
  sample_t sample; /* the runtime is the same in all */
  flagos_module_t* module;
  flagos_kernel_t* step;
  flagos_stream_t* stream;
  flagos_event_t* arrived;
  flagos_address_t values;
} station_t;

static const char* const link_names[] = {"unknown", "same chip", "host memory",
                                         "fabric",  "pci",       "system"};

static uint32_t factor_of(uint32_t station) { return 2 * station + 3; }
static uint32_t addend_of(uint32_t station) { return station + 1; }

static uint32_t parse_count(const char* text) {
  char* end = NULL;
  const unsigned long value = strtoul(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || value == 0 || value > (1u << 28)) {
    fprintf(stderr, "error: --count takes a number from 1 to %u, not '%s'\n", 1u << 28, text);
    exit(2);
  }
  return (uint32_t)value;
}

static void open_station(station_t* station, flagos_runtime_t* runtime, uint32_t index,
                         uint64_t size_bytes) {
  flagos_event_desc_t desc;
  station->sample.runtime = runtime;
  sample_check(flagos_device_open(runtime, index, &station->sample.device), "opening a device");
  station->sample.info.struct_size = sizeof(station->sample.info);
  sample_check(flagos_device_get_info(station->sample.device, &station->sample.info),
               "describing a device");
  station->module = sample_load_kernels(&station->sample, NULL);
  station->step = sample_kernel(station->module, "affine_step");
  sample_check(flagos_stream_create(station->sample.device, NULL, &station->stream),
               "creating a stream");
  memset(&desc, 0, sizeof(desc));
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
  sample_check(flagos_event_create(station->sample.device, &desc, &station->arrived),
               "creating an event");
  station->values = sample_alloc(&station->sample, size_bytes);
}

static void close_station(station_t* station) {
  sample_check(flagos_memory_free(station->sample.device, station->values), "freeing");
  sample_check(flagos_event_destroy(station->arrived), "destroying an event");
  sample_check(flagos_stream_destroy(station->stream), "destroying a stream");
  sample_check(flagos_module_unload(station->module), "unloading");
  sample_check(flagos_device_close(station->sample.device), "closing a device");
}

static void print_links(const station_t* stations, uint32_t count) {
  for (uint32_t i = 0; i + 1 < count; ++i) {
    const sample_t* from = &stations[i].sample;
    const sample_t* to = &stations[i + 1].sample;
    flagos_link_info_t link;
    memset(&link, 0, sizeof(link));
    link.struct_size = sizeof(link);
    sample_check(flagos_device_get_link(from->runtime, from->info.index, to->info.index, &link),
                 "asking for a link");
    const size_t known = sizeof(link_names) / sizeof(link_names[0]);
    printf("  %s -> %s: %s, copies %s\n", from->info.id, to->info.id,
           link_names[(size_t)link.type < known ? link.type : 0],
           link.flags & FLAGOS_LINK_FLAG_NATIVE_COPY ? "by the plugin" : "through the host");
  }
}

/* Queues the whole journey; returns before it has begun. */
static void travel(station_t* stations, uint32_t count, uint32_t* values, uint32_t elements) {
  const uint64_t size_bytes = (uint64_t)elements * sizeof(*values);
  const flagos_address_t host = (flagos_address_t)(uintptr_t)values;
  sample_check(flagos_memory_copy(stations[0].stream, stations[0].values, host, size_bytes),
               "copying in");
  for (uint32_t i = 0; i < count; ++i) {
    station_t* here = &stations[i];
    const step_arguments arguments = {here->values, factor_of(i), addend_of(i), elements};
    sample_launch(here->stream, here->step, (elements + THREADS - 1) / THREADS, 1, THREADS, 1,
                  &arguments, sizeof(arguments));
    if (i + 1 == count) break;
    station_t* next = &stations[i + 1];
    sample_check(flagos_memory_copy_peer(here->stream, next->values, next->sample.device,
                                         here->values, here->sample.device, size_bytes),
                 "copying to the next device");
    sample_check(flagos_event_record(here->arrived, here->stream), "recording an event");
    sample_check(flagos_stream_wait_event(next->stream, here->arrived), "waiting for an event");
  }
  station_t* last = &stations[count - 1];
  sample_check(flagos_memory_copy(last->stream, host, last->values, size_bytes), "copying out");
  sample_check(flagos_stream_synchronize(last->stream, FLAGOS_TIMEOUT_INFINITE), "waiting");
}

static uint32_t expected(uint32_t value, uint32_t stations) {
  for (uint32_t i = 0; i < stations; ++i) value = value * factor_of(i) + addend_of(i);
  return value;
}

int main(int argc, char** argv) {
  const char* text = sample_option(argc, argv, "--count");
  const uint32_t elements = text ? parse_count(text) : 1u << 20;
  static station_t stations[MAX_DEVICES];
  flagos_runtime_t* runtime = NULL;
  uint32_t count = 0, wrong = 0;
  if (argc > (text ? 3 : 1)) {
    fprintf(stderr, "usage: %s [--count ELEMENTS]\n", argv[0]);
    return 2;
  }
  sample_check(flagos_runtime_create(NULL, &runtime), "finding plugins");
  sample_check(flagos_device_get_count(runtime, &count), "counting devices");
  if (count == 0) {
    fprintf(stderr, "error: no device was found; `flagos doctor` says why\n");
    return 1;
  }
  if (count > MAX_DEVICES) count = MAX_DEVICES;
  uint32_t* values = (uint32_t*)malloc((size_t)elements * sizeof(*values));
  if (!values) {
    fprintf(stderr, "error: no memory for %u elements\n", elements);
    return 1;
  }
  for (uint32_t i = 0; i < elements; ++i) values[i] = i;
  for (uint32_t i = 0; i < count; ++i)
    open_station(&stations[i], runtime, i, (uint64_t)elements * sizeof(*values));

  printf("%u elements through %u device%s\n", elements, count, count == 1 ? "" : "s");
  print_links(stations, count);
  travel(stations, count, values, elements);
  for (uint32_t i = 0; i < elements; ++i) wrong += values[i] != expected(i, count);
  printf("  %s\n", wrong == 0 ? "every element is right" : "WRONG");
  if (wrong != 0) fprintf(stderr, "error: %u of %u elements are wrong\n", wrong, elements);

  for (uint32_t i = 0; i < count; ++i) close_station(&stations[i]);
  sample_check(flagos_runtime_destroy(runtime), "ending the runtime");
  free(values);
  return wrong == 0 ? 0 : 1;
}
