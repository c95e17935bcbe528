/* One small step, repeated many times: what a graph is for. */
#include <flagos_cpu_kernel.h>

typedef struct {
  flagos_address_t values;
  uint32_t factor;
  uint32_t addend;
} step_arguments;

static const flagos_parameter_t step_parameters[] = {
    FLAGOS_CPU_PARAMETER(step_arguments, values, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(step_arguments, factor, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(step_arguments, addend, FLAGOS_DTYPE_UINT32)};

FLAGOS_CPU_KERNEL(mix_values, step_arguments, step_parameters) {
  uint32_t* values = (uint32_t*)flagos_cpu_pointer(arguments->values);
  const uint32_t first = block->block_index[0] * block->block[0];
  for (uint32_t t = 0; t < block->block[0]; ++t) {
    values[first + t] = values[first + t] * arguments->factor + arguments->addend;
  }
}
