#version 460
/* As kernels.c, in the format glsl. `precise` keeps products and sums apart. */
#pragma flagos kernel(network_step)
#extension GL_EXT_buffer_reference : require

const uint INPUTS = 4, HIDDEN = 16, HIDDEN_BIAS = 64, OUT_WEIGHT = 80, OUT_BIAS = 96, LOSS = 97, GRADIENTS = 98;

layout(local_size_x_id = 0) in;
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats { float at[]; };
layout(push_constant) uniform Arguments {
  Floats w, inputs, targets, hidden, errors, gradients;
  uint mode, samples;
  float rate;
  uint unused;
};

void forward(uint s) {
  precise float result = w.at[OUT_BIAS];
  for (uint h = 0; h < HIDDEN; ++h) {
    precise float a = w.at[HIDDEN_BIAS + h];
    for (uint i = 0; i < INPUTS; ++i) {
      precise float product = w.at[h * INPUTS + i] * inputs.at[s * INPUTS + i];
      a = a + product;
    }
    if (a < 0.0) a = 0.0;
    hidden.at[s * HIDDEN + h] = a;
    precise float product = w.at[OUT_WEIGHT + h] * a;
    result = result + product;
  }
  precise float error = result - targets.at[s];
  errors.at[s] = error;
}

float gradient(uint p) {
  precise float sum = 0.0;
  for (uint s = 0; s < samples; ++s) {
    const float error = errors.at[s];
    precise float term = error;
    if (p == LOSS) {
      term = error * error;
    } else if (p < OUT_WEIGHT) {
      const uint h = p < HIDDEN_BIAS ? p / INPUTS : p - HIDDEN_BIAS;
      term = hidden.at[s * HIDDEN + h] > 0.0 ? error * w.at[OUT_WEIGHT + h] : 0.0;
      if (p < HIDDEN_BIAS) term = term * inputs.at[s * INPUTS + p % INPUTS];
    } else if (p < OUT_BIAS) {
      term = error * hidden.at[s * HIDDEN + p - OUT_WEIGHT];
    }
    sum = sum + term;
  }
  return sum;
}

void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (mode == 0 && i < samples) forward(i);
  if (mode == 1 && i < GRADIENTS) gradients.at[i] = gradient(i);
  if (mode == 2 && i < LOSS) {
    precise float change = rate * gradients.at[i];
    precise float weight = w.at[i] - change;
    w.at[i] = weight;
  }
}
