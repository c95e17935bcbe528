/* Two 2-D filters on interleaved 16-bit samples, in whole numbers, so that every device gives the
 * same bits. */
#include <flagos_cpu_kernel.h>

typedef struct {
  flagos_address_t source, target;
  uint32_t width, height, channels, maximum;
} filter_arguments;

static const flagos_parameter_t filter_parameters[] = {
    FLAGOS_CPU_PARAMETER(filter_arguments, source, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(filter_arguments, target, FLAGOS_DTYPE_ADDRESS),
    FLAGOS_CPU_PARAMETER(filter_arguments, width, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(filter_arguments, height, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(filter_arguments, channels, FLAGOS_DTYPE_UINT32),
    FLAGOS_CPU_PARAMETER(filter_arguments, maximum, FLAGOS_DTYPE_UINT32)};

/* The sample at (x, y), which may lie outside: then the nearest one inside. */
static int64_t at(const filter_arguments* image, int64_t x, int64_t y, uint32_t channel) {
  const int64_t right = (int64_t)image->width - 1, bottom = (int64_t)image->height - 1;
  const uint16_t* samples = (const uint16_t*)flagos_cpu_pointer(image->source);
  x = x < 0 ? 0 : x > right ? right : x;
  y = y < 0 ? 0 : y > bottom ? bottom : y;
  return samples[((uint64_t)y * image->width + (uint64_t)x) * image->channels + channel];
}

/* Binomial weights 1 4 6 4 1 in both directions. */
static int64_t blurred(const filter_arguments* image, int64_t x, int64_t y, uint32_t channel) {
  static const int64_t weights[5] = {1, 4, 6, 4, 1};
  int64_t sum = 128; /* rounds */
  for (int64_t dy = -2; dy <= 2; ++dy) {
    for (int64_t dx = -2; dx <= 2; ++dx)
      sum += weights[dy + 2] * weights[dx + 2] * at(image, x + dx, y + dy, channel);
  }
  return sum / 256;
}

/* Sobel: how steep the samples are, across and down. */
static int64_t steepness(const filter_arguments* image, int64_t x, int64_t y, uint32_t channel) {
  const int64_t across = at(image, x + 1, y - 1, channel) - at(image, x - 1, y - 1, channel) +
                         2 * (at(image, x + 1, y, channel) - at(image, x - 1, y, channel)) +
                         at(image, x + 1, y + 1, channel) - at(image, x - 1, y + 1, channel);
  const int64_t down = at(image, x - 1, y + 1, channel) - at(image, x - 1, y - 1, channel) +
                       2 * (at(image, x, y + 1, channel) - at(image, x, y - 1, channel)) +
                       at(image, x + 1, y + 1, channel) - at(image, x + 1, y - 1, channel);
  const int64_t sum = (across < 0 ? -across : across) + (down < 0 ? -down : down);
  return sum > image->maximum ? image->maximum : sum;
}

typedef int64_t (*filter_t)(const filter_arguments* image, int64_t x, int64_t y, uint32_t channel);

/* One block does a tile of block[0] x block[1] pixels. */
static void run(const flagos_cpu_block_t* block, const filter_arguments* image, filter_t filter) {
  uint16_t* target = (uint16_t*)flagos_cpu_pointer(image->target);
  const uint64_t left = (uint64_t)block->block_index[0] * block->block[0];
  const uint64_t top = (uint64_t)block->block_index[1] * block->block[1];
  for (uint64_t y = top; y < top + block->block[1] && y < image->height; ++y) {
    for (uint64_t x = left; x < left + block->block[0] && x < image->width; ++x) {
      for (uint32_t c = 0; c < image->channels; ++c) {
        target[(y * image->width + x) * image->channels + c] =
            (uint16_t)filter(image, (int64_t)x, (int64_t)y, c);
      }
    }
  }
}

FLAGOS_CPU_KERNEL(blur, filter_arguments, filter_parameters) { run(block, arguments, blurred); }

FLAGOS_CPU_KERNEL(edge, filter_arguments, filter_parameters) { run(block, arguments, steepness); }
