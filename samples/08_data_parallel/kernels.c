/* One step of a small network in three modes (network.h), in the format elf-so. Standard C11 adds and multiplies one by one,
 * as the other formats are told to. */
#include <flagos_cpu_kernel.h>

#include "network.h"

static const flagos_parameter_t step_parameters[] = {
    FLAGOS_CPU_PARAMETER(step_arguments, weights, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(step_arguments, inputs, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(step_arguments, targets, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(step_arguments, hidden, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(step_arguments, errors, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(step_arguments, gradients, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(step_arguments, mode, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(step_arguments, samples, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(step_arguments, rate, FLAGOS_DTYPE_FLOAT32),
    FLAGOS_CPU_PARAMETER(step_arguments, unused, FLAGOS_DTYPE_UINT32)};

static void forward(const float* w, const float* x, float target, float* hidden, float* error) {
  float out = w[OUT_BIAS];
  for (uint32_t h = 0; h < HIDDEN; ++h) {
    float a = w[HIDDEN_BIAS + h];
    for (uint32_t i = 0; i < INPUTS; ++i) a = a + w[h * INPUTS + i] * x[i];
    if (a < 0.0f) a = 0.0f;
    hidden[h] = a;
    out = out + w[OUT_WEIGHT + h] * a;
  }
  *error = out - target;
}

static float gradient(const float* w, const float* inputs, const float* hidden, const float* errors,
                      uint32_t p, uint32_t samples) {
  float sum = 0.0f;
  for (uint32_t s = 0; s < samples; ++s) {
    const float error = errors[s];
    float term = error;
    if (p == LOSS) {
      term = error * error;
    } else if (p < OUT_WEIGHT) {
      const uint32_t h = p < HIDDEN_BIAS ? p / INPUTS : p - HIDDEN_BIAS;
      term = hidden[s * HIDDEN + h] > 0.0f ? error * w[OUT_WEIGHT + h] : 0.0f;
      if (p < HIDDEN_BIAS) term = term * inputs[s * INPUTS + p % INPUTS];
    } else if (p < OUT_BIAS) {
      term = error * hidden[s * HIDDEN + p - OUT_WEIGHT];
    }
    sum = sum + term;
  }
  return sum;
}

FLAGOS_CPU_KERNEL(network_step, step_arguments, step_parameters) {
  float* w = (float*)flagos_cpu_pointer(arguments->weights);
  const float* inputs = (const float*)flagos_cpu_pointer(arguments->inputs);
  const float* targets = (const float*)flagos_cpu_pointer(arguments->targets);
  float* hidden = (float*)flagos_cpu_pointer(arguments->hidden);
  float* errors = (float*)flagos_cpu_pointer(arguments->errors);
  float* gradients = (float*)flagos_cpu_pointer(arguments->gradients);
  const uint32_t first = block->block_index[0] * block->block[0];
  for (uint32_t i = first; i < first + block->block[0]; ++i) {
    if (arguments->mode == FORWARD && i < arguments->samples)
      forward(w, inputs + i * INPUTS, targets[i], hidden + i * HIDDEN, errors + i);
    if (arguments->mode == GRADIENT && i < GRADIENTS)
      gradients[i] = gradient(w, inputs, hidden, errors, i, arguments->samples);
    if (arguments->mode == UPDATE && i < LOSS) w[i] = w[i] - arguments->rate * gradients[i];
  }
}
