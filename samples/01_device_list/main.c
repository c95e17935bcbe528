/* Lists the devices of all plugins: what they are, their memory, and what each can do. */
#include "samples/common/sample.h"

static const char* const feature_names[FLAGOS_FEATURE_COUNT] = {
    [FLAGOS_FEATURE_COPY_2D] = "copy_2d",
    [FLAGOS_FEATURE_WIDE_FILL] = "wide_fill",
    [FLAGOS_FEATURE_MEMORY_UPDATE] = "memory_update",
    [FLAGOS_FEATURE_PINNED_MEMORY] = "pinned_memory",
    [FLAGOS_FEATURE_MANAGED_MEMORY] = "managed_memory",
    [FLAGOS_FEATURE_HOST_REGISTER] = "host_register",
    [FLAGOS_FEATURE_PREFETCH] = "prefetch",
    [FLAGOS_FEATURE_MEMORY_POOL] = "memory_pool",
    [FLAGOS_FEATURE_HOST_CALLBACK] = "host_callback",
    [FLAGOS_FEATURE_STREAM_VALUE] = "stream_value",
    [FLAGOS_FEATURE_TIMELINE] = "timeline",
    [FLAGOS_FEATURE_GRAPH] = "graph",
    [FLAGOS_FEATURE_CAPTURE] = "capture",
    [FLAGOS_FEATURE_COMPILE] = "compile",
    [FLAGOS_FEATURE_PREPARED_LAUNCH] = "prepared_launch",
    [FLAGOS_FEATURE_PROFILING] = "profiling",
    [FLAGOS_FEATURE_RECOVER] = "recover",
    [FLAGOS_FEATURE_MODULE_GLOBAL] = "module_global",
    [FLAGOS_FEATURE_PEER_COPY] = "peer_copy",
    [FLAGOS_FEATURE_EXPORT_MEMORY] = "export_memory",
    [FLAGOS_FEATURE_EXPORT_EVENT] = "export_event",
    [FLAGOS_FEATURE_NATIVE_OBJECTS] = "native_objects"};

static void print_features(flagos_device_t* device) {
  static const char* const levels[] = {"absent", "emulated", "native"};
  for (int level = FLAGOS_SUPPORT_NATIVE; level >= FLAGOS_SUPPORT_ABSENT; --level) {
    printf("  %-10s", levels[level]);
    for (flagos_feature_t feature = 0; feature < FLAGOS_FEATURE_COUNT; ++feature) {
      flagos_support_t support = FLAGOS_SUPPORT_ABSENT;
      sample_check(flagos_device_get_feature(device, feature, &support), "asking for a feature");
      if (support == level) printf(" %s", feature_names[feature]);
    }
    printf("\n");
  }
}

static void print_device(flagos_runtime_t* runtime, uint32_t index) {
  flagos_device_t* device = NULL;
  flagos_device_info_t info = {.struct_size = sizeof(info)};
  uint64_t free_bytes = 0, total_bytes = 0;
  sample_check(flagos_device_describe(runtime, index, &info), "describing a device");
  sample_check(flagos_device_open(runtime, index, &device), "opening a device");
  sample_check(flagos_device_query_memory(device, &free_bytes, &total_bytes), "asking for memory");
  printf("%s: %s (%s, driver %s)\n", info.id, info.name, info.vendor, info.driver_version);
  printf("  memory     %.1f of %.1f GiB free\n", (double)free_bytes / (1 << 30),
         (double)total_bytes / (1 << 30));
  printf("  units      %u, blocks of up to %u threads\n", info.compute_units,
         info.max_block_threads);
  print_features(device);
  sample_check(flagos_device_close(device), "closing a device");
}

int main(int argc, char** argv) {
  const char* id = sample_option(argc, argv, "--device");
  flagos_runtime_t* runtime = NULL;
  uint32_t first = 0, count = 0;
  if (argc > (id ? 3 : 1)) {
    fprintf(stderr, "usage: %s [--device ID]\n", argv[0]);
    return 2;
  }
  sample_check(flagos_runtime_create(NULL, &runtime), "finding plugins");
  sample_check(flagos_device_get_count(runtime, &count), "counting devices");
  if (id) {
    sample_check(flagos_device_find(runtime, id, &first), "finding the device");
    count = first + 1;
  }
  for (uint32_t i = first; i < count; ++i) print_device(runtime, i);
  if (count == 0) printf("no device was found; `flagos doctor` says why\n");
  sample_check(flagos_runtime_destroy(runtime), "ending the runtime");
  return 0;
}
