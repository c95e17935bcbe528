#include "bench/by_hand.hpp"

#include <immintrin.h>

#include <cmath>
#include <initializer_list>

namespace flagos::bench {
namespace {

#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,fma")))

// e^x within 2 units of the last place, for x up to 88.
AVX512 inline __m512 exp_of(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(-104.0F));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504F)), 8);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375F), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4F), r);
  __m512 p = _mm512_set1_ps(1.392692661e-3F);
  for (const float c : {8.363773874e-3F, 4.166655011e-2F, 1.666657338e-1F, 0.5F, 1.0F, 1.0F})
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  return _mm512_scalef_ps(p, n);
}

AVX512 float exponentials(const float* x, float* y, std::size_t n, __m512 scale, __m512 most) {
  __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0;
  std::size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m512 a = exp_of(_mm512_fmsub_ps(_mm512_loadu_ps(x + i), scale, most));
    const __m512 b = exp_of(_mm512_fmsub_ps(_mm512_loadu_ps(x + i + 16), scale, most));
    sum0 = _mm512_add_ps(sum0, a);
    sum1 = _mm512_add_ps(sum1, b);
    _mm512_storeu_ps(y + i, a);
    _mm512_storeu_ps(y + i + 16, b);
  }
  for (; i < n; i += 16) {
    const __mmask16 mask = n - i >= 16 ? 0xffff : static_cast<__mmask16>((1U << (n - i)) - 1);
    const __m512 a = exp_of(_mm512_fmsub_ps(_mm512_maskz_loadu_ps(mask, x + i), scale, most));
    sum0 = _mm512_mask_add_ps(sum0, mask, sum0, a);
    _mm512_mask_storeu_ps(y + i, mask, a);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1));
}

AVX512 void softmax(const float* x, float* y, std::size_t n, float factor) {
  __m512 most0 = _mm512_set1_ps(-INFINITY), most1 = most0;
  std::size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    most0 = _mm512_max_ps(most0, _mm512_loadu_ps(x + i));
    most1 = _mm512_max_ps(most1, _mm512_loadu_ps(x + i + 16));
  }
  for (; i < n; i += 16) {
    const __mmask16 mask = n - i >= 16 ? 0xffff : static_cast<__mmask16>((1U << (n - i)) - 1);
    most0 = _mm512_mask_max_ps(most0, mask, most0, _mm512_maskz_loadu_ps(mask, x + i));
  }
  const float most = _mm512_reduce_max_ps(_mm512_max_ps(most0, most1));
  const __m512 scale = _mm512_set1_ps(
      1 / exponentials(x, y, n, _mm512_set1_ps(factor), _mm512_set1_ps(most * factor)));
  for (i = 0; i < n; i += 16) {
    const __mmask16 mask = n - i >= 16 ? 0xffff : static_cast<__mmask16>((1U << (n - i)) - 1);
    _mm512_mask_storeu_ps(y + i, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, y + i), scale));
  }
}

}  // namespace

void softmax_row(const float* x, float* y, std::size_t n) { softmax(x, y, n, 1); }

void causal_row(float* scores, std::size_t seen, std::size_t n, float scale) {
  softmax(scores, scores, seen, scale);
  for (std::size_t i = seen; i < n; ++i) scores[i] = 0;
}

AVX512 void layernorm_row(const float* x, const float* w, const float* b, float* y, std::size_t n,
                          float eps) {
  __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0;
  for (std::size_t i = 0; i < n; i += 32) {
    sum0 = _mm512_add_ps(sum0, _mm512_loadu_ps(x + i));
    sum1 = _mm512_add_ps(sum1, _mm512_loadu_ps(x + i + 16));
  }
  const float mean = _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1)) / static_cast<float>(n);
  const __m512 middle = _mm512_set1_ps(mean);
  sum0 = sum1 = _mm512_setzero_ps();
  for (std::size_t i = 0; i < n; i += 32) {
    const __m512 p = _mm512_sub_ps(_mm512_loadu_ps(x + i), middle),
                 q = _mm512_sub_ps(_mm512_loadu_ps(x + i + 16), middle);
    sum0 = _mm512_fmadd_ps(p, p, sum0);
    sum1 = _mm512_fmadd_ps(q, q, sum1);
  }
  const float variance = _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1)) / static_cast<float>(n);
  const __m512 scale = _mm512_set1_ps(1 / std::sqrt(variance + eps));
  for (std::size_t i = 0; i < n; i += 16) {
    const __m512 p = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), middle), scale);
    _mm512_storeu_ps(y + i, _mm512_fmadd_ps(p, _mm512_loadu_ps(w + i), _mm512_loadu_ps(b + i)));
  }
}

AVX512 void add_arrays(const float* x, const float* y, float* z, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 16)
    _mm512_storeu_ps(z + i, _mm512_add_ps(_mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i)));
}

}  // namespace flagos::bench
