/* Kernels for the unit test of the skeleton plugin. */
#include <flagos_cpu_kernel.h>
#include <string.h>

FLAGOS_CPU_KERNEL_NO_ARGUMENTS(noop) {
  (void)block;
  (void)arguments;
}

typedef struct {
  flagos_address_t out;
  uint32_t value;
} mark_arguments;
static const flagos_parameter_t mark_parameters[] = {
    FLAGOS_CPU_PARAMETER(mark_arguments, out, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(mark_arguments, value, FLAGOS_DTYPE_UINT32)};

/* out[linear thread] += value, for every thread of the grid. */
FLAGOS_CPU_KERNEL(mark, mark_arguments, mark_parameters) {
  uint32_t* out = (uint32_t*)flagos_cpu_pointer(arguments->out);
  const uint64_t threads = (uint64_t)block->block[0] * block->block[1] * block->block[2];
  const uint64_t index =
      block->block_index[0] +
      (uint64_t)block->grid[0] *
          (block->block_index[1] + (uint64_t)block->grid[1] * block->block_index[2]);
  for (uint64_t t = 0; t < threads; ++t) out[index * threads + t] += arguments->value;
}

/* Adds one to the counter. */
FLAGOS_CPU_KERNEL(count, mark_arguments, mark_parameters) {
  (void)block;
  *(uint64_t*)flagos_cpu_pointer(arguments->out) += arguments->value;
}

/* Spins until *out is value. */
FLAGOS_CPU_KERNEL(spin, mark_arguments, mark_parameters) {
  const uint32_t* out = (const uint32_t*)flagos_cpu_pointer(arguments->out);
  (void)block;
  while (__atomic_load_n(out, __ATOMIC_ACQUIRE) != arguments->value) {
  }
}

/* Fails in its third block. */
FLAGOS_CPU_KERNEL_NO_ARGUMENTS(fail_third) {
  (void)arguments;
  if (block->block_index[0] == 2) {
    block->fail(block, FLAGOS_STATUS_EXECUTION_FAILED, "block 2 says no");
  }
}

/* Shared memory, static and dynamic, is aligned and writable: writes its size to *out. */
FLAGOS_CPU_KERNEL_WITH(shared, mark_arguments, mark_parameters, 2, (uint32_t)sizeof(mark_arguments),
                       64) {
  if (((uintptr_t)block->shared & 63u) != 0) {
    block->fail(block, FLAGOS_STATUS_INTERNAL, "shared memory is misaligned");
    return;
  }
  memset(block->shared, 1, block->shared_bytes);
  *(uint32_t*)flagos_cpu_pointer(arguments->out) = block->shared_bytes;
}

/* A descriptor of another major. */
FLAGOS_CPU_EXPORT_DATA const flagos_cpu_kernel_t flagos_cpu_kernel_future;
const flagos_cpu_kernel_t flagos_cpu_kernel_future = {
    (uint32_t)sizeof(flagos_cpu_kernel_t), FLAGOS_MAKE_VERSION(2, 0), noop, NULL, 0, 0, 0, 0};
