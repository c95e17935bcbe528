/* The two filters for devices that take opencl-c: the same whole numbers as in kernels.c. */

typedef struct {
  __global const ushort* samples;
  int width, height, channels;
} image_t;

/* The sample at (x, y), which may lie outside: then the nearest one inside. */
long at(const image_t* image, int x, int y, int channel) {
  const int column = clamp(x, 0, image->width - 1), row = clamp(y, 0, image->height - 1);
  return image->samples[((ulong)row * image->width + column) * image->channels + channel];
}

/* Binomial weights 1 4 6 4 1 in both directions. */
long blurred(const image_t* image, int x, int y, int channel) {
  const long weights[5] = {1, 4, 6, 4, 1};
  long sum = 128; /* rounds */
  for (int dy = -2; dy <= 2; ++dy) {
    for (int dx = -2; dx <= 2; ++dx)
      sum += weights[dy + 2] * weights[dx + 2] * at(image, x + dx, y + dy, channel);
  }
  return sum / 256;
}

/* Sobel: how steep the samples are, across and down. */
long steepness(const image_t* image, int x, int y, int channel) {
  const long across = at(image, x + 1, y - 1, channel) - at(image, x - 1, y - 1, channel) +
                      2 * (at(image, x + 1, y, channel) - at(image, x - 1, y, channel)) +
                      at(image, x + 1, y + 1, channel) - at(image, x - 1, y + 1, channel);
  const long down = at(image, x - 1, y + 1, channel) - at(image, x - 1, y - 1, channel) +
                    2 * (at(image, x, y + 1, channel) - at(image, x, y - 1, channel)) +
                    at(image, x + 1, y + 1, channel) - at(image, x + 1, y - 1, channel);
  return (across < 0 ? -across : across) + (down < 0 ? -down : down);
}

__kernel void blur(__global const ushort* source, __global ushort* target, uint width, uint height,
                   uint channels, uint maximum) {
  const image_t image = {source, (int)width, (int)height, (int)channels};
  const int x = get_global_id(0), y = get_global_id(1);
  if (x >= image.width || y >= image.height) return;
  for (int c = 0; c < image.channels; ++c)
    target[((ulong)y * width + x) * channels + c] = (ushort)blurred(&image, x, y, c);
}

__kernel void edge(__global const ushort* source, __global ushort* target, uint width, uint height,
                   uint channels, uint maximum) {
  const image_t image = {source, (int)width, (int)height, (int)channels};
  const int x = get_global_id(0), y = get_global_id(1);
  if (x >= image.width || y >= image.height) return;
  for (int c = 0; c < image.channels; ++c)
    target[((ulong)y * width + x) * channels + c] =
        (ushort)min(steepness(&image, x, y, c), (long)maximum);
}
