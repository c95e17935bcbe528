/* The loop that the benchmarks measure: the same machine code inside a kernel and in a loop by hand. */
#ifndef FLAGOS_BENCH_AXPY_H
#define FLAGOS_BENCH_AXPY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* y[i] += a * x[i] for first <= i < last, `rounds` times. */
void flagos_bench_axpy(float* y, const float* x, float a, uint64_t first, uint64_t last,
                       uint32_t rounds);

#ifdef __cplusplus
}
#endif

#endif
