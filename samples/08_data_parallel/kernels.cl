/* As kernels.c, in the format opencl-c. */
#pragma OPENCL FP_CONTRACT OFF
#define INPUTS 4
#define HIDDEN 16
#define HIDDEN_BIAS 64
#define OUT_WEIGHT 80
#define OUT_BIAS 96
#define LOSS 97
#define GRADIENTS 98

static void forward(__global const float* w, __global const float* x, float target, __global float* hidden,
                    __global float* error) {
  float out = w[OUT_BIAS];
  for (uint h = 0; h < HIDDEN; ++h) {
    float a = w[HIDDEN_BIAS + h];
    for (uint i = 0; i < INPUTS; ++i) a = a + w[h * INPUTS + i] * x[i];
    if (a < 0.0f) a = 0.0f;
    hidden[h] = a;
    out = out + w[OUT_WEIGHT + h] * a;
  }
  *error = out - target;
}

static float gradient(__global const float* w, __global const float* inputs, __global const float* hidden,
                      __global const float* errors, uint p, uint samples) {
  float sum = 0.0f;
  for (uint s = 0; s < samples; ++s) {
    const float error = errors[s];
    float term = error;
    if (p == LOSS) {
      term = error * error;
    } else if (p < OUT_WEIGHT) {
      const uint h = p < HIDDEN_BIAS ? p / INPUTS : p - HIDDEN_BIAS;
      term = hidden[s * HIDDEN + h] > 0.0f ? error * w[OUT_WEIGHT + h] : 0.0f;
      if (p < HIDDEN_BIAS) term = term * inputs[s * INPUTS + p % INPUTS];
    } else if (p < OUT_BIAS) {
      term = error * hidden[s * HIDDEN + p - OUT_WEIGHT];
    }
    sum = sum + term;
  }
  return sum;
}

__kernel void network_step(__global float* w, __global const float* inputs, __global const float* targets,
                           __global float* hidden, __global float* errors, __global float* gradients, uint mode,
                           uint samples, float rate, uint unused) {
  const uint i = get_global_id(0);
  if (mode == 0 && i < samples) forward(w, inputs + i * INPUTS, targets[i], hidden + i * HIDDEN, errors + i);
  if (mode == 1 && i < GRADIENTS) gradients[i] = gradient(w, inputs, hidden, errors, i, samples);
  if (mode == 2 && i < LOSS) w[i] = w[i] - rate * gradients[i];
}
