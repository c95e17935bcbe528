/* Kernels of the cpu benchmarks. */
#include <flagos_cpu_kernel.h>

#include "axpy.h"

FLAGOS_CPU_KERNEL_NO_ARGUMENTS(empty) {
  (void)block;
  (void)arguments;
}

typedef struct {
  flagos_address_t x, y;
  uint64_t n;
  float a;
  uint32_t rounds;
} axpy_arguments;
static const flagos_parameter_t axpy_parameters[] = {
    FLAGOS_CPU_PARAMETER(axpy_arguments, x, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(axpy_arguments, y, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(axpy_arguments, n, FLAGOS_DTYPE_UINT64),
    FLAGOS_CPU_PARAMETER(axpy_arguments, a, FLAGOS_DTYPE_FLOAT32),
    FLAGOS_CPU_PARAMETER(axpy_arguments, rounds, FLAGOS_DTYPE_UINT32)};

/* One block works on its share of n elements, `rounds` times, so that arithmetic and not memory is measured. */
FLAGOS_CPU_KERNEL(axpy, axpy_arguments, axpy_parameters) {
  const float* x = (const float*)flagos_cpu_pointer(arguments->x);
  float* y = (float*)flagos_cpu_pointer(arguments->y);
  const uint64_t share = (arguments->n + block->grid[0] - 1) / block->grid[0];
  const uint64_t first = share * block->block_index[0];
  const uint64_t last = first + share < arguments->n ? first + share : arguments->n;
  flagos_bench_axpy(y, x, arguments->a, first, last, arguments->rounds);
}
