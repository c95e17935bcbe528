#include "axpy.h"

void flagos_bench_axpy(float* y, const float* x, float a, uint64_t first, uint64_t last,
                       uint32_t rounds) {
  for (uint32_t r = 0; r < rounds; ++r)
    for (uint64_t i = first; i < last; ++i) y[i] += a * x[i];
}
