/* values[i] = values[i] * factor + addend, in the format elf-so. */
#include <flagos_cpu_kernel.h>

typedef struct {
  flagos_address_t values;
  uint32_t factor;
  uint32_t addend;
  uint32_t count;
} step_arguments;

static const flagos_parameter_t step_parameters[] = {
    FLAGOS_CPU_PARAMETER(step_arguments, values, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(step_arguments, factor, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(step_arguments, addend, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(step_arguments, count, FLAGOS_DTYPE_UINT32)};

FLAGOS_CPU_KERNEL(affine_step, step_arguments, step_parameters) {
  uint32_t* values = (uint32_t*)flagos_cpu_pointer(arguments->values);
  const uint32_t first = block->block_index[0] * block->block[0];
  for (uint32_t i = first; i < first + block->block[0] && i < arguments->count; ++i) {
    values[i] = values[i] * arguments->factor + arguments->addend;
  }
}
