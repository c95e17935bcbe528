/* Adds two vectors on a device, in C11: allocate, copy, launch, copy back, compare. */
#include "samples/common/sample.h"

enum { COUNT = 1 << 20, THREADS = 256 };

int main(int argc, char** argv) {
  const char* id = sample_option(argc, argv, "--device");
  const char* kernels = sample_option(argc, argv, "--kernels");
  if (argc > 1 + (id ? 2 : 0) + (kernels ? 2 : 0)) {
    fprintf(stderr, "usage: %s [--device ID] [--kernels FILE]\n", argv[0]);
    return 2;
  }
  sample_t sample = sample_open(id);
  flagos_module_t* module = sample_load_kernels(&sample, kernels);
  flagos_kernel_t* add = sample_kernel(module, "add");
  flagos_stream_t* stream = NULL;
  sample_check(flagos_stream_create(sample.device, NULL, &stream), "creating a stream");

  const uint64_t bytes = COUNT * sizeof(float);
  float* a = (float*)malloc(bytes);
  float* b = (float*)malloc(bytes);
  float* sum = (float*)malloc(bytes);
  if (!a || !b || !sum) {
    fprintf(stderr, "error: %llu bytes of memory are not there\n", (unsigned long long)bytes * 3);
    return 1;
  }
  for (uint32_t i = 0; i < COUNT; ++i) {
    a[i] = (float)i;
    b[i] = (float)(2 * i);
  }
  const flagos_address_t device_a = sample_alloc(&sample, bytes);
  const flagos_address_t device_b = sample_alloc(&sample, bytes);
  const flagos_address_t device_sum = sample_alloc(&sample, bytes);

  /* All four are queued in order on one stream; the host waits once, at the end. */
  sample_check(flagos_memory_copy(stream, device_a, (flagos_address_t)(uintptr_t)a, bytes),
               "copying in");
  sample_check(flagos_memory_copy(stream, device_b, (flagos_address_t)(uintptr_t)b, bytes),
               "copying in");
  const flagos_argument_t arguments[] = {{.dtype = FLAGOS_DTYPE_ADDRESS, .value = device_a},
                                         {.dtype = FLAGOS_DTYPE_ADDRESS, .value = device_b},
                                         {.dtype = FLAGOS_DTYPE_ADDRESS, .value = device_sum},
                                         {.dtype = FLAGOS_DTYPE_UINT32, .value = COUNT}};
  const flagos_launch_desc_t launch = {.struct_size = sizeof(launch),
                                       .grid = {COUNT / THREADS, 1, 1},
                                       .block = {THREADS, 1, 1},
                                       .argument_count = 4,
                                       .arguments = arguments};
  sample_check(flagos_kernel_launch(stream, add, &launch), "launching");
  sample_check(flagos_memory_copy(stream, (flagos_address_t)(uintptr_t)sum, device_sum, bytes),
               "copying out");
  sample_check(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "waiting");

  uint32_t wrong = 0;
  for (uint32_t i = 0; i < COUNT; ++i) wrong += sum[i] != a[i] + b[i];
  printf("%s added %d pairs: %u wrong\n", sample.info.id, COUNT, wrong);

  sample_check(flagos_memory_free(sample.device, device_a), "freeing");
  sample_check(flagos_memory_free(sample.device, device_b), "freeing");
  sample_check(flagos_memory_free(sample.device, device_sum), "freeing");
  sample_check(flagos_stream_destroy(stream), "destroying the stream");
  sample_check(flagos_module_unload(module), "unloading");
  sample_close(&sample);
  free(a);
  free(b);
  free(sum);
  return wrong == 0 ? 0 : 1;
}
