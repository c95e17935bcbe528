/* The kernel of the sample, for devices that take elf-so. */
#include <flagos_cpu_kernel.h>

typedef struct {
  flagos_address_t a, b, sum;
  uint32_t count;
} add_arguments;

static const flagos_parameter_t add_parameters[] = {
    FLAGOS_CPU_PARAMETER(add_arguments, a, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(add_arguments, b, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(add_arguments, sum, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(add_arguments, count, FLAGOS_DTYPE_UINT32)};

FLAGOS_CPU_KERNEL(add, add_arguments, add_parameters) {
  const float* a = (const float*)flagos_cpu_pointer(arguments->a);
  const float* b = (const float*)flagos_cpu_pointer(arguments->b);
  float* sum = (float*)flagos_cpu_pointer(arguments->sum);
  const uint64_t first = (uint64_t)block->block_index[0] * block->block[0];
  for (uint64_t i = first; i < first + block->block[0] && i < arguments->count; ++i)
    sum[i] = a[i] + b[i];
}
