// What a careful author writes with AVX-512 for one row; the plain loop on other machines.
#pragma once

#include <cstddef>

namespace flagos::bench {

void softmax_row(const float* x, float* y, std::size_t n);
void layernorm_row(const float* x, const float* w, const float* b, float* y, std::size_t n,
                   float eps);
// softmax of `scale` times the first `seen` of n scores, in place; the rest becomes 0.
void causal_row(float* scores, std::size_t seen, std::size_t n, float scale);
void add_arrays(const float* x, const float* y, float* z, std::size_t n);

}  // namespace flagos::bench
