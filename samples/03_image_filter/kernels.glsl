#version 460
/* The two filters for devices that take glsl: the same whole numbers as in kernels.c. */
#pragma flagos kernel(blur, edge)
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_EXT_shader_16bit_storage : require

layout(local_size_x_id = 0, local_size_y_id = 1) in;
layout(buffer_reference, std430, buffer_reference_align = 2) buffer Samples { uint16_t at[]; };
layout(push_constant) uniform Arguments {
  Samples source, target;
  uint width, height, channels, maximum;
};

/* The sample at (x, y), which may lie outside: then the nearest one inside. */
int64_t at(int x, int y, uint channel) {
  const uint column = uint(clamp(x, 0, int(width) - 1)), row = uint(clamp(y, 0, int(height) - 1));
  return int64_t(uint(source.at[(row * width + column) * channels + channel]));
}

#ifdef FLAGOS_KERNEL_blur
/* Binomial weights 1 4 6 4 1 in both directions. */
int64_t filtered(int x, int y, uint channel) {
  const int weights[5] = int[](1, 4, 6, 4, 1);
  int64_t sum = 128; /* rounds */
  for (int dy = -2; dy <= 2; ++dy) {
    for (int dx = -2; dx <= 2; ++dx)
      sum += int64_t(weights[dy + 2] * weights[dx + 2]) * at(x + dx, y + dy, channel);
  }
  return sum / 256;
}
#else
/* Sobel: how steep the samples are, across and down. */
int64_t filtered(int x, int y, uint channel) {
  const int64_t across = at(x + 1, y - 1, channel) - at(x - 1, y - 1, channel) +
                         2 * (at(x + 1, y, channel) - at(x - 1, y, channel)) +
                         at(x + 1, y + 1, channel) - at(x - 1, y + 1, channel);
  const int64_t down = at(x - 1, y + 1, channel) - at(x - 1, y - 1, channel) +
                       2 * (at(x, y + 1, channel) - at(x, y - 1, channel)) +
                       at(x + 1, y + 1, channel) - at(x + 1, y - 1, channel);
  return min(abs(across) + abs(down), int64_t(maximum));
}
#endif

void main() {
  const uint x = gl_GlobalInvocationID.x, y = gl_GlobalInvocationID.y;
  if (x >= width || y >= height) return;
  for (uint c = 0; c < channels; ++c)
    target.at[(y * width + x) * channels + c] =
        uint16_t(uint(filtered(int(x), int(y), c)));
}
