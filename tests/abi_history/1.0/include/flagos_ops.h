/* flagos_ops.h of ABI 1.0 without its comments; written by scripts/update-layout. Apache-2.0 */
#ifndef FLAGOS_OPS_H
#define FLAGOS_OPS_H
#include "flagos.h"
#ifdef __cplusplus
extern "C" {
#endif
#define FLAGOS_OPS_MAX_RANK 16
typedef struct flagos_scalar_t {
  flagos_dtype_t dtype;
  uint32_t padding;
  uint64_t bits;
} flagos_scalar_t;
static inline flagos_scalar_t flagos_scalar_from_double(double value) {
  union {
    double value;
    uint64_t bits;
  } number;
  flagos_scalar_t scalar;
  number.value = value;
  scalar.dtype = FLAGOS_DTYPE_FLOAT64;
  scalar.padding = 0;
  scalar.bits = number.bits;
  return scalar;
}
static inline flagos_scalar_t flagos_scalar_from_int(int64_t value) {
  flagos_scalar_t scalar;
  scalar.dtype = FLAGOS_DTYPE_INT64;
  scalar.padding = 0;
  scalar.bits = (uint64_t)value;
  return scalar;
}
static inline flagos_scalar_t flagos_scalar_from_complex(float real, float imaginary) {
  union {
    float parts[2];
    uint64_t bits;
  } number;
  flagos_scalar_t scalar;
  number.parts[0] = real;
  number.parts[1] = imaginary;
  scalar.dtype = FLAGOS_DTYPE_COMPLEX64;
  scalar.padding = 0;
  scalar.bits = number.bits;
  return scalar;
}
typedef struct flagos_ops_info_t {
  uint32_t struct_size;
  uint32_t argument_count;
  const char* name;
  const char* schema;
  const char* family;
  const char* dtypes;
  const char* bound;
} flagos_ops_info_t;
FLAGOS_API flagos_status_t flagos_ops_get_count(uint32_t* out_count);
FLAGOS_API flagos_status_t flagos_ops_get_info(uint32_t index, flagos_ops_info_t* out_info);
FLAGOS_API flagos_status_t flagos_ops_find(const char* name, uint32_t* out_index);
typedef int32_t flagos_ops_preference_t;
enum { FLAGOS_OPS_PREFERENCE_NATIVE = 0, FLAGOS_OPS_PREFERENCE_PORTABLE = 1 };
FLAGOS_API flagos_status_t flagos_ops_get_native(flagos_device_t* device, uint32_t index,
                                                 uint32_t* out_native);
FLAGOS_API flagos_status_t flagos_ops_set_preference(const char* name,
                                                     flagos_ops_preference_t preference);
typedef struct flagos_ops_argument_t {
  uint64_t value;
  uint32_t count;
  uint32_t padding;
} flagos_ops_argument_t;
FLAGOS_API flagos_status_t flagos_ops_call(flagos_stream_t* stream, uint32_t index,
                                           const flagos_ops_argument_t* arguments, uint32_t count);
FLAGOS_API flagos_status_t flagos_ops_abs(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_neg(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_sign(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_sgn(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_conj(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_real(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_imag(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_angle(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_square(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_sqrt(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_rsqrt(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_reciprocal(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_exp(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_exp2(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_expm1(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_log(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_log2(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_log10(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_log1p(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_sin(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_cos(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_tan(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_asin(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_acos(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_atan(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_sinh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_cosh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_tanh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_asinh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_acosh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_atanh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_erf(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_erfc(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_erfinv(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_lgamma(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_digamma(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_ceil(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_floor(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_round(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_trunc(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_frac(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_isnan(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_isinf(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_isfinite(flagos_stream_t* stream,
                                               const flagos_tensor_t* input,
                                               const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_logical_not(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_bitwise_not(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_signbit(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_nan_to_num(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input, const double* nan,
                                                 const double* posinf, const double* neginf,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_relu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_relu6(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_leaky_relu(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_scalar_t* negative_slope,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_elu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_scalar_t* alpha,
                                          const flagos_scalar_t* scale,
                                          const flagos_scalar_t* input_scale,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_selu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_celu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_scalar_t* alpha,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_gelu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const char* approximate, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_silu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_mish(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_softplus(flagos_stream_t* stream,
                                               const flagos_tensor_t* input,
                                               const flagos_scalar_t* beta,
                                               const flagos_scalar_t* threshold,
                                               const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_sigmoid(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_hardsigmoid(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_hardswish(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_hardtanh(flagos_stream_t* stream,
                                               const flagos_tensor_t* input,
                                               const flagos_scalar_t* min_val,
                                               const flagos_scalar_t* max_val,
                                               const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_hardshrink(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_scalar_t* lambd,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_softshrink(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_scalar_t* lambd,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_threshold(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_scalar_t* threshold,
                                                const flagos_scalar_t* value,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_prelu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* weight,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_log_sigmoid(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_silu_and_mul(flagos_stream_t* stream,
                                                   const flagos_tensor_t* gate,
                                                   const flagos_tensor_t* up,
                                                   const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_gelu_and_mul(flagos_stream_t* stream,
                                                   const flagos_tensor_t* gate,
                                                   const flagos_tensor_t* up,
                                                   const char* approximate,
                                                   const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_glu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          int64_t dim, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_swiglu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             int64_t dim, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_add(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other,
                                          const flagos_scalar_t* alpha, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_add_scalar(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_scalar_t* other,
                                                 const flagos_scalar_t* alpha,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_sub(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other,
                                          const flagos_scalar_t* alpha, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_sub_scalar(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_scalar_t* other,
                                                 const flagos_scalar_t* alpha,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_rsub(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* other,
                                           const flagos_scalar_t* alpha,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_rsub_scalar(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_scalar_t* other,
                                                  const flagos_scalar_t* alpha,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_mul(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_mul_scalar(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_scalar_t* other,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_div(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_div_scalar(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_scalar_t* other,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_div_tensor_mode(flagos_stream_t* stream,
                                                      const flagos_tensor_t* input,
                                                      const flagos_tensor_t* other,
                                                      const char* rounding_mode,
                                                      const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_floor_divide(flagos_stream_t* stream,
                                                   const flagos_tensor_t* input,
                                                   const flagos_tensor_t* other,
                                                   const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_remainder(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_tensor_t* other,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_remainder_scalar(flagos_stream_t* stream,
                                                       const flagos_tensor_t* input,
                                                       const flagos_scalar_t* other,
                                                       const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_fmod(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* other,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_pow(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* exponent,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_pow_scalar(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_scalar_t* exponent,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_maximum(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* other,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_minimum(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* other,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_fmax(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* other,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_fmin(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* other,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_atan2(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* other,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_hypot(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* other,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_copysign(flagos_stream_t* stream,
                                               const flagos_tensor_t* input,
                                               const flagos_tensor_t* other,
                                               const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_nextafter(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_tensor_t* other,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_logaddexp(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_tensor_t* other,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_lerp(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* end,
                                           const flagos_tensor_t* weight,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_lerp_scalar(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* end,
                                                  const flagos_scalar_t* weight,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_where(flagos_stream_t* stream,
                                            const flagos_tensor_t* condition,
                                            const flagos_tensor_t* input,
                                            const flagos_tensor_t* other,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_clamp(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_scalar_t* min, const flagos_scalar_t* max,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_clamp_tensor(flagos_stream_t* stream,
                                                   const flagos_tensor_t* input,
                                                   const flagos_tensor_t* min,
                                                   const flagos_tensor_t* max,
                                                   const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_addcmul(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* tensor1,
                                              const flagos_tensor_t* tensor2,
                                              const flagos_scalar_t* value,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_addcdiv(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* tensor1,
                                              const flagos_tensor_t* tensor2,
                                              const flagos_scalar_t* value,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_eq(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_ne(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_lt(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_le(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_gt(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_ge(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_eq_scalar(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_scalar_t* other,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_ne_scalar(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_scalar_t* other,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_lt_scalar(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_scalar_t* other,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_le_scalar(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_scalar_t* other,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_gt_scalar(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_scalar_t* other,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_ge_scalar(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_scalar_t* other,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_isclose(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* other, double rtol,
                                              double atol, uint32_t equal_nan,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_logical_and(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* other,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_logical_or(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_tensor_t* other,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_logical_xor(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* other,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_bitwise_and(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* other,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_bitwise_or(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_tensor_t* other,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_bitwise_xor(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* other,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_left_shift(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_tensor_t* other,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_right_shift(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* other,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_gcd(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_lcm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_heaviside(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_tensor_t* values,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_xlogy(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* other,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_polar(flagos_stream_t* stream, const flagos_tensor_t* abs,
                                            const flagos_tensor_t* angle,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_sum(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const int64_t* dim, uint32_t dim_count, uint32_t keepdim,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_mean(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const int64_t* dim, uint32_t dim_count, uint32_t keepdim,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_prod(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const int64_t* dim, uint32_t dim_count, uint32_t keepdim,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_nansum(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const int64_t* dim, uint32_t dim_count,
                                             uint32_t keepdim, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_count_nonzero(flagos_stream_t* stream,
                                                    const flagos_tensor_t* input,
                                                    const int64_t* dim, uint32_t dim_count,
                                                    uint32_t keepdim, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_amax(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const int64_t* dim, uint32_t dim_count, uint32_t keepdim,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_amin(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const int64_t* dim, uint32_t dim_count, uint32_t keepdim,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_max_dim(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              int64_t dim, uint32_t keepdim,
                                              const flagos_tensor_t* values,
                                              const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_min_dim(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              int64_t dim, uint32_t keepdim,
                                              const flagos_tensor_t* values,
                                              const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_argmax(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const int64_t* dim, uint32_t keepdim,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_argmin(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const int64_t* dim, uint32_t keepdim,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_any(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const int64_t* dim, uint32_t dim_count, uint32_t keepdim,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_all(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const int64_t* dim, uint32_t dim_count, uint32_t keepdim,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_equal(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* other,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_var(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const int64_t* dim, uint32_t dim_count, double correction,
                                          uint32_t keepdim, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_std(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const int64_t* dim, uint32_t dim_count, double correction,
                                          uint32_t keepdim, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_var_mean(flagos_stream_t* stream,
                                               const flagos_tensor_t* input, const int64_t* dim,
                                               uint32_t dim_count, double correction,
                                               uint32_t keepdim, const flagos_tensor_t* out,
                                               const flagos_tensor_t* mean);
FLAGOS_API flagos_status_t flagos_ops_std_mean(flagos_stream_t* stream,
                                               const flagos_tensor_t* input, const int64_t* dim,
                                               uint32_t dim_count, double correction,
                                               uint32_t keepdim, const flagos_tensor_t* out,
                                               const flagos_tensor_t* mean);
FLAGOS_API flagos_status_t flagos_ops_norm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           double p, const int64_t* dim, uint32_t dim_count,
                                           uint32_t keepdim, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_logsumexp(flagos_stream_t* stream,
                                                const flagos_tensor_t* input, const int64_t* dim,
                                                uint32_t dim_count, uint32_t keepdim,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_cumsum(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             int64_t dim, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_cumprod(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              int64_t dim, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_cummax(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             int64_t dim, const flagos_tensor_t* values,
                                             const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_cummin(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             int64_t dim, const flagos_tensor_t* values,
                                             const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_logcumsumexp(flagos_stream_t* stream,
                                                   const flagos_tensor_t* input, int64_t dim,
                                                   const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_softmax(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              int64_t dim, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_log_softmax(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input, int64_t dim,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_softmax_backward(flagos_stream_t* stream,
                                                       const flagos_tensor_t* grad_output,
                                                       const flagos_tensor_t* output, int64_t dim,
                                                       const flagos_tensor_t* grad_input);
FLAGOS_API flagos_status_t flagos_ops_log_softmax_backward(flagos_stream_t* stream,
                                                           const flagos_tensor_t* grad_output,
                                                           const flagos_tensor_t* output,
                                                           int64_t dim,
                                                           const flagos_tensor_t* grad_input);
FLAGOS_API flagos_status_t flagos_ops_cross_entropy(
    flagos_stream_t* stream, const flagos_tensor_t* input, const flagos_tensor_t* target,
    const flagos_tensor_t* weight, const char* reduction, int64_t ignore_index,
    double label_smoothing, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_nll_loss(flagos_stream_t* stream,
                                               const flagos_tensor_t* input,
                                               const flagos_tensor_t* target,
                                               const flagos_tensor_t* weight, const char* reduction,
                                               int64_t ignore_index, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_mse_loss(flagos_stream_t* stream,
                                               const flagos_tensor_t* input,
                                               const flagos_tensor_t* target, const char* reduction,
                                               const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_l1_loss(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* target, const char* reduction,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_smooth_l1_loss(flagos_stream_t* stream,
                                                     const flagos_tensor_t* input,
                                                     const flagos_tensor_t* target,
                                                     const char* reduction, double beta,
                                                     const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_huber_loss(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_tensor_t* target,
                                                 const char* reduction, double delta,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_binary_cross_entropy_with_logits(
    flagos_stream_t* stream, const flagos_tensor_t* input, const flagos_tensor_t* target,
    const flagos_tensor_t* weight, const flagos_tensor_t* pos_weight, const char* reduction,
    const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_kl_div(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* target, const char* reduction,
                                             uint32_t log_target, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_layer_norm(
    flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* normalized_shape,
    uint32_t normalized_shape_count, const flagos_tensor_t* weight, const flagos_tensor_t* bias,
    double eps, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_native_layer_norm(
    flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* normalized_shape,
    uint32_t normalized_shape_count, const flagos_tensor_t* weight, const flagos_tensor_t* bias,
    double eps, const flagos_tensor_t* out, const flagos_tensor_t* mean,
    const flagos_tensor_t* rstd);
FLAGOS_API flagos_status_t flagos_ops_layer_norm_backward(
    flagos_stream_t* stream, const flagos_tensor_t* grad_output, const flagos_tensor_t* input,
    const int64_t* normalized_shape, uint32_t normalized_shape_count, const flagos_tensor_t* mean,
    const flagos_tensor_t* rstd, const flagos_tensor_t* weight, const flagos_tensor_t* grad_input);
FLAGOS_API flagos_status_t flagos_ops_layer_norm_backward_weight(
    flagos_stream_t* stream, const flagos_tensor_t* grad_output, const flagos_tensor_t* input,
    const int64_t* normalized_shape, uint32_t normalized_shape_count, const flagos_tensor_t* mean,
    const flagos_tensor_t* rstd, const flagos_tensor_t* grad_weight,
    const flagos_tensor_t* grad_bias);
FLAGOS_API flagos_status_t flagos_ops_rms_norm(flagos_stream_t* stream,
                                               const flagos_tensor_t* input,
                                               const int64_t* normalized_shape,
                                               uint32_t normalized_shape_count,
                                               const flagos_tensor_t* weight, double eps,
                                               const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_add_rms_norm(
    flagos_stream_t* stream, const flagos_tensor_t* input, const flagos_tensor_t* residual,
    const int64_t* normalized_shape, uint32_t normalized_shape_count, const flagos_tensor_t* weight,
    double eps, const flagos_tensor_t* out, const flagos_tensor_t* sum);
FLAGOS_API flagos_status_t flagos_ops_rms_norm_backward(
    flagos_stream_t* stream, const flagos_tensor_t* grad_output, const flagos_tensor_t* input,
    const int64_t* normalized_shape, uint32_t normalized_shape_count, const flagos_tensor_t* weight,
    double eps, const flagos_tensor_t* grad_input);
FLAGOS_API flagos_status_t flagos_ops_rms_norm_backward_weight(
    flagos_stream_t* stream, const flagos_tensor_t* grad_output, const flagos_tensor_t* input,
    const int64_t* normalized_shape, uint32_t normalized_shape_count, double eps,
    const flagos_tensor_t* grad_weight);
FLAGOS_API flagos_status_t flagos_ops_group_norm(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input, int64_t num_groups,
                                                 const flagos_tensor_t* weight,
                                                 const flagos_tensor_t* bias, double eps,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_instance_norm(flagos_stream_t* stream,
                                                    const flagos_tensor_t* input,
                                                    const flagos_tensor_t* weight,
                                                    const flagos_tensor_t* bias, double eps,
                                                    const flagos_tensor_t* out);
FLAGOS_API flagos_status_t
flagos_ops_batch_norm(flagos_stream_t* stream, const flagos_tensor_t* input,
                      const flagos_tensor_t* weight, const flagos_tensor_t* bias,
                      const flagos_tensor_t* running_mean, const flagos_tensor_t* running_var,
                      uint32_t training, double momentum, double eps, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_mm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* mat2, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_bmm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* mat2, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_addmm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* mat1,
                                            const flagos_tensor_t* mat2,
                                            const flagos_scalar_t* beta,
                                            const flagos_scalar_t* alpha,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_baddbmm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* batch1,
                                              const flagos_tensor_t* batch2,
                                              const flagos_scalar_t* beta,
                                              const flagos_scalar_t* alpha,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_addbmm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* batch1,
                                             const flagos_tensor_t* batch2,
                                             const flagos_scalar_t* beta,
                                             const flagos_scalar_t* alpha,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_matmul(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* other,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_linear(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* weight,
                                             const flagos_tensor_t* bias,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_mv(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* vec, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_addmv(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* mat, const flagos_tensor_t* vec,
                                            const flagos_scalar_t* beta,
                                            const flagos_scalar_t* alpha,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_dot(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* tensor,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_outer(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* vec2,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_conv1d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* weight,
                                             const flagos_tensor_t* bias, const int64_t* stride,
                                             uint32_t stride_count, const int64_t* padding,
                                             uint32_t padding_count, const int64_t* dilation,
                                             uint32_t dilation_count, int64_t groups,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_conv2d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* weight,
                                             const flagos_tensor_t* bias, const int64_t* stride,
                                             uint32_t stride_count, const int64_t* padding,
                                             uint32_t padding_count, const int64_t* dilation,
                                             uint32_t dilation_count, int64_t groups,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_conv3d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* weight,
                                             const flagos_tensor_t* bias, const int64_t* stride,
                                             uint32_t stride_count, const int64_t* padding,
                                             uint32_t padding_count, const int64_t* dilation,
                                             uint32_t dilation_count, int64_t groups,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_conv_transpose2d(
    flagos_stream_t* stream, const flagos_tensor_t* input, const flagos_tensor_t* weight,
    const flagos_tensor_t* bias, const int64_t* stride, uint32_t stride_count,
    const int64_t* padding, uint32_t padding_count, const int64_t* output_padding,
    uint32_t output_padding_count, int64_t groups, const int64_t* dilation, uint32_t dilation_count,
    const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_depthwise_conv2d(
    flagos_stream_t* stream, const flagos_tensor_t* input, const flagos_tensor_t* weight,
    const flagos_tensor_t* bias, const int64_t* stride, uint32_t stride_count,
    const int64_t* padding, uint32_t padding_count, const int64_t* dilation,
    uint32_t dilation_count, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_im2col(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const int64_t* kernel_size, uint32_t kernel_size_count,
                                             const int64_t* dilation, uint32_t dilation_count,
                                             const int64_t* padding, uint32_t padding_count,
                                             const int64_t* stride, uint32_t stride_count,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_col2im(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const int64_t* output_size, uint32_t output_size_count,
                                             const int64_t* kernel_size, uint32_t kernel_size_count,
                                             const int64_t* dilation, uint32_t dilation_count,
                                             const int64_t* padding, uint32_t padding_count,
                                             const int64_t* stride, uint32_t stride_count,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_max_pool2d(
    flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* kernel_size,
    uint32_t kernel_size_count, const int64_t* stride, uint32_t stride_count,
    const int64_t* padding, uint32_t padding_count, const int64_t* dilation,
    uint32_t dilation_count, uint32_t ceil_mode, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_max_pool2d_with_indices(
    flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* kernel_size,
    uint32_t kernel_size_count, const int64_t* stride, uint32_t stride_count,
    const int64_t* padding, uint32_t padding_count, const int64_t* dilation,
    uint32_t dilation_count, uint32_t ceil_mode, const flagos_tensor_t* out,
    const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_avg_pool2d(
    flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* kernel_size,
    uint32_t kernel_size_count, const int64_t* stride, uint32_t stride_count,
    const int64_t* padding, uint32_t padding_count, uint32_t ceil_mode, uint32_t count_include_pad,
    const int64_t* divisor_override, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_adaptive_avg_pool2d(flagos_stream_t* stream,
                                                          const flagos_tensor_t* input,
                                                          const int64_t* output_size,
                                                          uint32_t output_size_count,
                                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_upsample_nearest2d(
    flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* output_size,
    uint32_t output_size_count, const double* scales_h, const double* scales_w,
    const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_upsample_bilinear2d(
    flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* output_size,
    uint32_t output_size_count, uint32_t align_corners, const double* scales_h,
    const double* scales_w, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_scaled_dot_product_attention(
    flagos_stream_t* stream, const flagos_tensor_t* query, const flagos_tensor_t* key,
    const flagos_tensor_t* value, const flagos_tensor_t* attn_mask, double dropout_p,
    uint32_t is_causal, const double* scale, uint32_t enable_gqa, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_varlen_attention(
    flagos_stream_t* stream, const flagos_tensor_t* query, const flagos_tensor_t* key,
    const flagos_tensor_t* value, const flagos_tensor_t* cu_seqlens_q,
    const flagos_tensor_t* cu_seqlens_k, int64_t max_seqlen_q, uint32_t is_causal,
    const double* scale, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_paged_attention(
    flagos_stream_t* stream, const flagos_tensor_t* query, const flagos_tensor_t* key_cache,
    const flagos_tensor_t* value_cache, const flagos_tensor_t* block_tables,
    const flagos_tensor_t* seq_lens, const double* scale, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_reshape_and_cache(flagos_stream_t* stream,
                                                        const flagos_tensor_t* key,
                                                        const flagos_tensor_t* value,
                                                        const flagos_tensor_t* slot_mapping,
                                                        const flagos_tensor_t* key_cache,
                                                        const flagos_tensor_t* value_cache);
FLAGOS_API flagos_status_t flagos_ops_embedding(flagos_stream_t* stream,
                                                const flagos_tensor_t* weight,
                                                const flagos_tensor_t* indices, int64_t padding_idx,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_one_hot(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              int64_t num_classes, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_rope(flagos_stream_t* stream,
                                           const flagos_tensor_t* positions,
                                           const flagos_tensor_t* query, const flagos_tensor_t* key,
                                           int64_t head_size, const flagos_tensor_t* cos_sin_cache,
                                           uint32_t is_neox);
FLAGOS_API flagos_status_t flagos_ops_apply_rotary_pos_emb(
    flagos_stream_t* stream, const flagos_tensor_t* q, const flagos_tensor_t* k,
    const flagos_tensor_t* cos, const flagos_tensor_t* sin, const flagos_tensor_t* position_ids,
    uint32_t rotary_interleaved, const flagos_tensor_t* q_embed, const flagos_tensor_t* k_embed);
FLAGOS_API flagos_status_t flagos_ops_apply_repetition_penalties(
    flagos_stream_t* stream, const flagos_tensor_t* logits, const flagos_tensor_t* prompt_mask,
    const flagos_tensor_t* output_mask, const flagos_tensor_t* repetition_penalties);
FLAGOS_API flagos_status_t flagos_ops_apply_top_k_top_p(flagos_stream_t* stream,
                                                        const flagos_tensor_t* logits,
                                                        const flagos_tensor_t* k,
                                                        const flagos_tensor_t* p,
                                                        const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_top_k_top_p_sampling_from_probs(
    flagos_stream_t* stream, const flagos_tensor_t* probs, const flagos_tensor_t* top_k,
    const flagos_tensor_t* top_p, int64_t seed, int64_t offset, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_topk_softmax(flagos_stream_t* stream,
                                                   const flagos_tensor_t* gating_output,
                                                   uint32_t renormalize,
                                                   const flagos_tensor_t* topk_weights,
                                                   const flagos_tensor_t* topk_indices,
                                                   const flagos_tensor_t* token_expert_indices);
FLAGOS_API flagos_status_t flagos_ops_moe_align_block_size(
    flagos_stream_t* stream, const flagos_tensor_t* topk_ids, int64_t num_experts,
    int64_t block_size, const flagos_tensor_t* sorted_token_ids, const flagos_tensor_t* expert_ids,
    const flagos_tensor_t* num_tokens_post_pad);
FLAGOS_API flagos_status_t flagos_ops_moe_sum(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* output);
FLAGOS_API flagos_status_t flagos_ops_fused_moe(
    flagos_stream_t* stream, const flagos_tensor_t* hidden_states, const flagos_tensor_t* w1,
    const flagos_tensor_t* w2, const flagos_tensor_t* topk_weights, const flagos_tensor_t* topk_ids,
    const char* activation, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_grouped_mm(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_tensor_t* mat2,
                                                 const flagos_tensor_t* offs,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_weight_int8pack_mm(flagos_stream_t* stream,
                                                         const flagos_tensor_t* input,
                                                         const flagos_tensor_t* mat2,
                                                         const flagos_tensor_t* scales,
                                                         const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_rwkv_wkv(
    flagos_stream_t* stream, const flagos_tensor_t* time_decay, const flagos_tensor_t* time_first,
    const flagos_tensor_t* key, const flagos_tensor_t* value, const flagos_tensor_t* state,
    const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_gather(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             int64_t dim, const flagos_tensor_t* index,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_index_select(flagos_stream_t* stream,
                                                   const flagos_tensor_t* input, int64_t dim,
                                                   const flagos_tensor_t* index,
                                                   const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_take(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* index,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_index_tensor(flagos_stream_t* stream,
                                                   const flagos_tensor_t* input,
                                                   const flagos_tensor_t* const* indices,
                                                   uint32_t indices_count,
                                                   const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_index_put(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_tensor_t* const* indices,
                                                uint32_t indices_count,
                                                const flagos_tensor_t* values, uint32_t accumulate,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_scatter(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              int64_t dim, const flagos_tensor_t* index,
                                              const flagos_tensor_t* src,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_scatter_value(flagos_stream_t* stream,
                                                    const flagos_tensor_t* input, int64_t dim,
                                                    const flagos_tensor_t* index,
                                                    const flagos_scalar_t* value,
                                                    const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_scatter_add(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input, int64_t dim,
                                                  const flagos_tensor_t* index,
                                                  const flagos_tensor_t* src,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_scatter_reduce(flagos_stream_t* stream,
                                                     const flagos_tensor_t* input, int64_t dim,
                                                     const flagos_tensor_t* index,
                                                     const flagos_tensor_t* src, const char* reduce,
                                                     uint32_t include_self,
                                                     const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_index_add(flagos_stream_t* stream,
                                                const flagos_tensor_t* input, int64_t dim,
                                                const flagos_tensor_t* index,
                                                const flagos_tensor_t* source,
                                                const flagos_scalar_t* alpha,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_index_fill(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input, int64_t dim,
                                                 const flagos_tensor_t* index,
                                                 const flagos_scalar_t* value,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_embedding_backward(flagos_stream_t* stream,
                                                         const flagos_tensor_t* grad_output,
                                                         const flagos_tensor_t* indices,
                                                         int64_t num_weights, int64_t padding_idx,
                                                         const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_masked_fill(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input,
                                                  const flagos_tensor_t* mask,
                                                  const flagos_scalar_t* value,
                                                  const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_masked_select(flagos_stream_t* stream,
                                                    const flagos_tensor_t* input,
                                                    const flagos_tensor_t* mask,
                                                    const flagos_tensor_t* out,
                                                    const flagos_tensor_t* count);
FLAGOS_API flagos_status_t flagos_ops_masked_scatter(flagos_stream_t* stream,
                                                     const flagos_tensor_t* input,
                                                     const flagos_tensor_t* mask,
                                                     const flagos_tensor_t* source,
                                                     const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_nonzero(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* out,
                                              const flagos_tensor_t* count);
FLAGOS_API flagos_status_t flagos_ops_where_condition(flagos_stream_t* stream,
                                                      const flagos_tensor_t* condition,
                                                      const flagos_tensor_t* const* out,
                                                      uint32_t out_count,
                                                      const flagos_tensor_t* count);
FLAGOS_API flagos_status_t flagos_ops_select_scatter(flagos_stream_t* stream,
                                                     const flagos_tensor_t* input,
                                                     const flagos_tensor_t* src, int64_t dim,
                                                     int64_t index, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_slice_scatter(flagos_stream_t* stream,
                                                    const flagos_tensor_t* input,
                                                    const flagos_tensor_t* src, int64_t dim,
                                                    const int64_t* start, const int64_t* end,
                                                    int64_t step, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_tril(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           int64_t diagonal, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_triu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           int64_t diagonal, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_sort(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           int64_t dim, uint32_t descending,
                                           const flagos_tensor_t* values,
                                           const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_sort_stable(flagos_stream_t* stream,
                                                  const flagos_tensor_t* input, uint32_t stable,
                                                  int64_t dim, uint32_t descending,
                                                  const flagos_tensor_t* values,
                                                  const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_argsort(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              int64_t dim, uint32_t descending,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_argsort_stable(flagos_stream_t* stream,
                                                     const flagos_tensor_t* input, uint32_t stable,
                                                     int64_t dim, uint32_t descending,
                                                     const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_topk(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           int64_t k, int64_t dim, uint32_t largest,
                                           uint32_t sorted, const flagos_tensor_t* values,
                                           const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_kthvalue(flagos_stream_t* stream,
                                               const flagos_tensor_t* input, int64_t k, int64_t dim,
                                               uint32_t keepdim, const flagos_tensor_t* values,
                                               const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_median(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_median_dim(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input, int64_t dim,
                                                 uint32_t keepdim, const flagos_tensor_t* values,
                                                 const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_nanmedian(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_nanmedian_dim(flagos_stream_t* stream,
                                                    const flagos_tensor_t* input, int64_t dim,
                                                    uint32_t keepdim, const flagos_tensor_t* values,
                                                    const flagos_tensor_t* indices);
FLAGOS_API flagos_status_t flagos_ops_searchsorted(flagos_stream_t* stream,
                                                   const flagos_tensor_t* sorted_sequence,
                                                   const flagos_tensor_t* input, uint32_t out_int32,
                                                   uint32_t right, const char* side,
                                                   const flagos_tensor_t* sorter,
                                                   const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_bucketize(flagos_stream_t* stream,
                                                const flagos_tensor_t* input,
                                                const flagos_tensor_t* boundaries,
                                                uint32_t out_int32, uint32_t right,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_unique(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* out,
                                             const flagos_tensor_t* inverse,
                                             const flagos_tensor_t* counts,
                                             const flagos_tensor_t* count);
FLAGOS_API flagos_status_t flagos_ops_unique_consecutive(
    flagos_stream_t* stream, const flagos_tensor_t* input, const flagos_tensor_t* out,
    const flagos_tensor_t* inverse, const flagos_tensor_t* counts, const flagos_tensor_t* count);
FLAGOS_API flagos_status_t flagos_ops_histc(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            int64_t bins, const flagos_scalar_t* min,
                                            const flagos_scalar_t* max, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_bincount(flagos_stream_t* stream,
                                               const flagos_tensor_t* input,
                                               const flagos_tensor_t* weights, int64_t minlength,
                                               const flagos_tensor_t* out,
                                               const flagos_tensor_t* count);
FLAGOS_API flagos_status_t flagos_ops_copy(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_contiguous(flagos_stream_t* stream,
                                                 const flagos_tensor_t* input,
                                                 const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_cat(flagos_stream_t* stream,
                                          const flagos_tensor_t* const* tensors,
                                          uint32_t tensors_count, int64_t dim,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_stack(flagos_stream_t* stream,
                                            const flagos_tensor_t* const* tensors,
                                            uint32_t tensors_count, int64_t dim,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_flip(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const int64_t* dims, uint32_t dims_count,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_roll(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const int64_t* shifts, uint32_t shifts_count,
                                           const int64_t* dims, uint32_t dims_count,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_repeat(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const int64_t* repeats, uint32_t repeats_count,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_repeat_interleave(flagos_stream_t* stream,
                                                        const flagos_tensor_t* input,
                                                        int64_t repeats, const int64_t* dim,
                                                        const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_pad(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const int64_t* pad, uint32_t pad_count, const char* mode,
                                          const flagos_scalar_t* value, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_fill(flagos_stream_t* stream, const flagos_scalar_t* value,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_full(flagos_stream_t* stream, const int64_t* size,
                                           uint32_t size_count, const flagos_scalar_t* fill_value,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_eye(flagos_stream_t* stream, int64_t n, const int64_t* m,
                                          const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_arange(flagos_stream_t* stream, const flagos_scalar_t* start,
                                             const flagos_scalar_t* end,
                                             const flagos_scalar_t* step,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_linspace(flagos_stream_t* stream,
                                               const flagos_scalar_t* start,
                                               const flagos_scalar_t* end, int64_t steps,
                                               const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_rand(flagos_stream_t* stream, int64_t seed, int64_t offset,
                                           const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_randn(flagos_stream_t* stream, int64_t seed, int64_t offset,
                                            const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_uniform(flagos_stream_t* stream, double from, double to,
                                              int64_t seed, int64_t offset,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_normal(flagos_stream_t* stream, double mean, double std,
                                             int64_t seed, int64_t offset,
                                             const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_bernoulli(flagos_stream_t* stream, const flagos_tensor_t* p,
                                                int64_t seed, int64_t offset,
                                                const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_dropout(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              double p, uint32_t train, int64_t seed,
                                              int64_t offset, const flagos_tensor_t* out,
                                              const flagos_tensor_t* mask);
FLAGOS_API flagos_status_t flagos_ops_randint(flagos_stream_t* stream, int64_t low, int64_t high,
                                              int64_t seed, int64_t offset,
                                              const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_randperm(flagos_stream_t* stream, int64_t n, int64_t seed,
                                               int64_t offset, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_multinomial(flagos_stream_t* stream,
                                                  const flagos_tensor_t* probs, int64_t num_samples,
                                                  uint32_t replacement, int64_t seed,
                                                  int64_t offset, const flagos_tensor_t* out);
FLAGOS_API flagos_status_t flagos_ops_fused_sgd(
    flagos_stream_t* stream, const flagos_tensor_t* const* self, uint32_t self_count,
    const flagos_tensor_t* const* grads, uint32_t grads_count,
    const flagos_tensor_t* const* momentum_buffer_list, uint32_t momentum_buffer_list_count,
    double weight_decay, double momentum, double lr, double dampening, uint32_t nesterov,
    uint32_t maximize, uint32_t is_first_step, const flagos_tensor_t* grad_scale,
    const flagos_tensor_t* found_inf);
FLAGOS_API flagos_status_t flagos_ops_fused_adam(
    flagos_stream_t* stream, const flagos_tensor_t* const* self, uint32_t self_count,
    const flagos_tensor_t* const* grads, uint32_t grads_count,
    const flagos_tensor_t* const* exp_avgs, uint32_t exp_avgs_count,
    const flagos_tensor_t* const* exp_avg_sqs, uint32_t exp_avg_sqs_count,
    const flagos_tensor_t* const* max_exp_avg_sqs, uint32_t max_exp_avg_sqs_count,
    const flagos_tensor_t* const* state_steps, uint32_t state_steps_count, double lr, double beta1,
    double beta2, double weight_decay, double eps, uint32_t amsgrad, uint32_t maximize,
    const flagos_tensor_t* grad_scale, const flagos_tensor_t* found_inf);
FLAGOS_API flagos_status_t flagos_ops_fused_adamw(
    flagos_stream_t* stream, const flagos_tensor_t* const* self, uint32_t self_count,
    const flagos_tensor_t* const* grads, uint32_t grads_count,
    const flagos_tensor_t* const* exp_avgs, uint32_t exp_avgs_count,
    const flagos_tensor_t* const* exp_avg_sqs, uint32_t exp_avg_sqs_count,
    const flagos_tensor_t* const* max_exp_avg_sqs, uint32_t max_exp_avg_sqs_count,
    const flagos_tensor_t* const* state_steps, uint32_t state_steps_count, double lr, double beta1,
    double beta2, double weight_decay, double eps, uint32_t amsgrad, uint32_t maximize,
    const flagos_tensor_t* grad_scale, const flagos_tensor_t* found_inf);
FLAGOS_API flagos_status_t flagos_ops_clip_grad_norm(flagos_stream_t* stream,
                                                     const flagos_tensor_t* const* grads,
                                                     uint32_t grads_count, double max_norm,
                                                     double norm_type,
                                                     const flagos_tensor_t* total_norm);
#ifdef __cplusplus
}
#endif
#endif
