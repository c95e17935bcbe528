/*
 * flagos_ops.h: the operators that frameworks need, written once, on every device that takes portable kernels.
 * C11, no dependencies beside flagos.h. Made by scripts/update-operators from the table in ops/; do not edit.
 * SPDX-License-Identifier: Apache-2.0
 *
 * GENERAL RULES (beside those of flagos.h)
 *
 * Names       Operators, arguments and results are those of ATen, PyTorch's library. Outputs come last, but of operators that
 *             only work in place (rope, optimisers). They are the caller's: of the right shape, and of a type that holds it.
 * Order       A call checks its arguments, queues its work on `stream` and returns. It reads no device memory on the host,
 *             and may be captured into a graph; workspace of a captured call is kept until the device is closed.
 * Tensors     flagos_tensor_t, of rank 0 to FLAGOS_OPS_MAX_RANK, with any strides, of any size, also of no elements.
 *             Elements of an output must not share a place. An output may be an input (in place) where both are the same
 *             elements in the same order, unless an operator says otherwise; other overlaps are refused.
 * Memory      All tensors are memory of the stream's device, or host memory where its kernels reach that.
 * Types       Each operator lists those it computes in. float16 and bfloat16 are computed in float32 and rounded once.
 *             Different inputs are promoted as ATen does; integers wrap, floating point becomes an integer toward zero
 *             and within its range, NaN becomes 0.
 * Exactness   Each operator has a bound on what a result may be off: u is the unit of the type that is computed in, K the
 *             number of terms. Sums have a fixed order: a call gives the same bits each time on one device.
 * Random      Random operators take a seed and an offset and give the same bits on every device (Philox 4x32-10).
 * Indices     Are checked by the device: one out of range makes the stream fail with EXECUTION_FAILED, and says which.
 * Errors      INVALID_ARGUMENT with a sentence that names operator and argument, before anything is queued. UNSUPPORTED when
 *             the device cannot compute in the type. Others as flagos_module_load and flagos_kernel_launch. The text is
 *             in flagos_last_error.
 * Threads     Any thread; calls on one stream are ordered as they are made.
 * Native      Where a device offers its own version of an operator and takes the call, that one runs: see
 *             flagos_ops_set_preference. FLAGOS_OPS_TRACE=1 writes a line for each call, which says what ran, to stderr;
 *             another value names a file.
 * First call  Of an operator for a combination of types compiles its kernel, or finds it compiled; see docs/operators.md.
 */
#ifndef FLAGOS_OPS_H
#define FLAGOS_OPS_H

#include "flagos.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The highest rank of a tensor. */
#define FLAGOS_OPS_MAX_RANK 16

/* A number given by value. */
typedef struct flagos_scalar_t {
  flagos_dtype_t dtype; /* FLAGOS_DTYPE_BOOL, FLAGOS_DTYPE_INT64, FLAGOS_DTYPE_FLOAT64 or FLAGOS_DTYPE_COMPLEX64 */
  uint32_t padding;     /* 0 */
  uint64_t bits;        /* of the int64_t or double; 0 or 1; of two floats, the real part first in memory */
} flagos_scalar_t;

/** A floating-point number as an argument. Threads: any thread.  Since: 1.0 */
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

/** An integer as an argument. Threads: any thread.  Since: 1.0 */
static inline flagos_scalar_t flagos_scalar_from_int(int64_t value) {
  flagos_scalar_t scalar;
  scalar.dtype = FLAGOS_DTYPE_INT64;
  scalar.padding = 0;
  scalar.bits = (uint64_t)value;
  return scalar;
}

/** A complex number as an argument: of the pointwise operators that take complex64, fill, full and masked_fill.
 *  Threads: any thread.  Since: 1.0 */
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

/* ------------------------------------------------------------------------------------------------------------------
 * The table of operators
 * --------------------------------------------------------------------------------------------------------------- */

/* What is said of an operator. Texts are static. */
typedef struct flagos_ops_info_t {
  uint32_t struct_size;
  uint32_t argument_count;
  const char* name;   /* "add.Scalar"; the C function is flagos_ops_add_scalar */
  const char* schema; /* "add.Scalar(Tensor input, Scalar other, Scalar alpha=1, Tensor! out)" */
  const char* family; /* such as "binary" */
  const char* dtypes; /* that are computed in: "float32 or float64" */
  const char* bound;  /* on the error, such as "exact" or "2 ulp" */
} flagos_ops_info_t;

/** How many operators there are. @param out_count  not NULL. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_get_count(uint32_t* out_count);

/** @retval FLAGOS_STATUS_NOT_FOUND  index is at or past the count. Threads: any thread.  Ownership: static text.
 *  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_get_info(uint32_t index, flagos_ops_info_t* out_info);

/**
 * The index of an operator, the same for as long as the library is loaded.
 *
 * @param name  as ATen has it ("add.Scalar"), or of the C function ("add_scalar")
 * @retval FLAGOS_STATUS_NOT_FOUND  there is none
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_ops_find(const char* name, uint32_t* out_index);

/* Which version of an operator a call uses. */
typedef int32_t flagos_ops_preference_t;
enum {
  FLAGOS_OPS_PREFERENCE_NATIVE = 0,  /* the device's own where it offers one and that takes the call; else portable */
  FLAGOS_OPS_PREFERENCE_PORTABLE = 1 /* the portable kernel */
};

/**
 * Whether the device offers its own version of an operator, from a library of its vendor's. It may still not take every
 * call.
 *
 * @param out_native  1 or 0
 * @retval FLAGOS_STATUS_NOT_FOUND  there is no operator of this index
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_ops_get_native(flagos_device_t* device, uint32_t index, uint32_t* out_native);

/**
 * Chooses the version for all devices and calls from here on. Before the first call it is what the variable
 * FLAGOS_OPS_PREFER says ("portable", or "native,mm=portable"), else NATIVE. Native and portable versions keep the same
 * bounds; their bits may differ.
 *
 * @param name  as for flagos_ops_find; NULL is all operators
 * @retval FLAGOS_STATUS_NOT_FOUND         there is no operator of this name
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  not a FLAGOS_OPS_PREFERENCE_*
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_ops_set_preference(const char* name, flagos_ops_preference_t preference);

/* One argument of flagos_ops_call, as the schema says. This struct never grows.
 *   Tensor, Scalar    value is the address of the flagos_tensor_t, flagos_scalar_t; 0 where it is absent
 *   Tensor[]          value is the address of an array of `count` addresses
 *   int, bool         value is the number
 *   float             value is the bits of the double
 *   int[]             value is the address of `count` int64_t
 *   int?, float?      value is the address of the int64_t, double; 0 where it is absent
 *   str               value is the address of the text; 0 is the default */
typedef struct flagos_ops_argument_t {
  uint64_t value;
  uint32_t count;   /* of a list */
  uint32_t padding; /* 0 */
} flagos_ops_argument_t;

/**
 * Calls an operator by its index: what the C functions below do.
 *
 * @param arguments  [count], in the order of the schema
 * @retval FLAGOS_STATUS_NOT_FOUND         there is no operator of this index
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  another number of arguments than the schema has, or as the operator says
 *
 * Threads: any thread.  Ownership: borrows everything.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_ops_call(flagos_stream_t* stream, uint32_t index,
                                           const flagos_ops_argument_t* arguments, uint32_t count);

/* ------------------------------------------------------------------------------------------------------------------
 * Unary
 * --------------------------------------------------------------------------------------------------------------- */

/** abs(Tensor input, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_abs(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);

/** neg(Tensor input, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_neg(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);

/** sign(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sign(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** sgn(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sgn(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);

/** conj(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_conj(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** real(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_real(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** imag(Tensor input, Tensor! out)
 *  Computes in complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_imag(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** angle(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_angle(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** square(Tensor input, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_square(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* out);

/** sqrt(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sqrt(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** rsqrt(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 2 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_rsqrt(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** reciprocal(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_reciprocal(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_tensor_t* out);

/** exp(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_exp(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);

/** exp2(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_exp2(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** expm1(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 6 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_expm1(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** log(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_log(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);

/** log2(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_log2(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** log10(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 5 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_log10(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** log1p(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_log1p(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** sin(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sin(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);

/** cos(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_cos(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);

/** tan(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 5 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_tan(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);

/** asin(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_asin(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** acos(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_acos(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** atan(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 5 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_atan(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** sinh(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 5 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sinh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** cosh(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 5 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_cosh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** tanh(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 5 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_tanh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** asinh(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 6 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_asinh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** acosh(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 6 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_acosh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** atanh(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 6 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_atanh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** erf(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 16 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_erf(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* out);

/** erfc(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 16 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_erfc(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** erfinv(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 16 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_erfinv(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* out);

/** lgamma(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 16 ulp + 32 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_lgamma(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* out);

/** digamma(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 16 ulp + 32 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_digamma(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* out);

/** ceil(Tensor input, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_ceil(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** floor(Tensor input, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_floor(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** round(Tensor input, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_round(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** trunc(Tensor input, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_trunc(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** frac(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_frac(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** isnan(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_isnan(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** isinf(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_isinf(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** isfinite(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_isfinite(flagos_stream_t* stream, const flagos_tensor_t* input,
                                               const flagos_tensor_t* out);

/** logical_not(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_logical_not(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* out);

/** bitwise_not(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32 or int64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_bitwise_not(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* out);

/** signbit(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_signbit(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* out);

/** nan_to_num(Tensor input, float? nan, float? posinf, float? neginf, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_nan_to_num(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const double* nan, const double* posinf, const double* neginf,
                                                 const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Activation
 * --------------------------------------------------------------------------------------------------------------- */

/** relu(Tensor input, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_relu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** relu6(Tensor input, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_relu6(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* out);

/** leaky_relu(Tensor input, Scalar negative_slope=0.01, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_leaky_relu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_scalar_t* negative_slope, const flagos_tensor_t* out);

/** elu(Tensor input, Scalar alpha=1.0, Scalar scale=1.0, Scalar input_scale=1.0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_elu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_scalar_t* alpha, const flagos_scalar_t* scale,
                                          const flagos_scalar_t* input_scale, const flagos_tensor_t* out);

/** selu(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_selu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** celu(Tensor input, Scalar alpha=1.0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_celu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_scalar_t* alpha, const flagos_tensor_t* out);

/** gelu(Tensor input, str approximate=none|tanh, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 32 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_gelu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const char* approximate, const flagos_tensor_t* out);

/** silu(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_silu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** mish(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 16 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_mish(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** softplus(Tensor input, Scalar beta=1.0, Scalar threshold=20.0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_softplus(flagos_stream_t* stream, const flagos_tensor_t* input,
                                               const flagos_scalar_t* beta, const flagos_scalar_t* threshold,
                                               const flagos_tensor_t* out);

/** sigmoid(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sigmoid(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* out);

/** hardsigmoid(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 2 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_hardsigmoid(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* out);

/** hardswish(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 3 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_hardswish(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_tensor_t* out);

/** hardtanh(Tensor input, Scalar min_val=-1, Scalar max_val=1, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_hardtanh(flagos_stream_t* stream, const flagos_tensor_t* input,
                                               const flagos_scalar_t* min_val, const flagos_scalar_t* max_val,
                                               const flagos_tensor_t* out);

/** hardshrink(Tensor input, Scalar lambd=0.5, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_hardshrink(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_scalar_t* lambd, const flagos_tensor_t* out);

/** softshrink(Tensor input, Scalar lambd=0.5, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_softshrink(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_scalar_t* lambd, const flagos_tensor_t* out);

/** threshold(Tensor input, Scalar threshold, Scalar value, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_threshold(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_scalar_t* threshold, const flagos_scalar_t* value,
                                                const flagos_tensor_t* out);

/** prelu(Tensor input, Tensor weight, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_prelu(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* weight, const flagos_tensor_t* out);

/** log_sigmoid(Tensor input, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_log_sigmoid(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* out);

/** silu_and_mul(Tensor gate, Tensor up, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_silu_and_mul(flagos_stream_t* stream, const flagos_tensor_t* gate,
                                                   const flagos_tensor_t* up, const flagos_tensor_t* out);

/** gelu_and_mul(Tensor gate, Tensor up, str approximate=none|tanh, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 32 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_gelu_and_mul(flagos_stream_t* stream, const flagos_tensor_t* gate,
                                                   const flagos_tensor_t* up, const char* approximate,
                                                   const flagos_tensor_t* out);

/** glu(Tensor input, int dim=-1, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_glu(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                          const flagos_tensor_t* out);

/** swiglu(Tensor input, int dim=-1, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_swiglu(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                             const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Binary
 * --------------------------------------------------------------------------------------------------------------- */

/** add(Tensor input, Tensor other, Scalar alpha=1, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 1 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_add(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other, const flagos_scalar_t* alpha,
                                          const flagos_tensor_t* out);

/** add.Scalar(Tensor input, Scalar other, Scalar alpha=1, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 1 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_add_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_scalar_t* other, const flagos_scalar_t* alpha,
                                                 const flagos_tensor_t* out);

/** sub(Tensor input, Tensor other, Scalar alpha=1, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 1 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sub(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other, const flagos_scalar_t* alpha,
                                          const flagos_tensor_t* out);

/** sub.Scalar(Tensor input, Scalar other, Scalar alpha=1, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 1 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sub_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_scalar_t* other, const flagos_scalar_t* alpha,
                                                 const flagos_tensor_t* out);

/** rsub(Tensor input, Tensor other, Scalar alpha=1, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 1 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_rsub(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* other, const flagos_scalar_t* alpha,
                                           const flagos_tensor_t* out);

/** rsub.Scalar(Tensor input, Scalar other, Scalar alpha=1, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 1 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_rsub_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_scalar_t* other, const flagos_scalar_t* alpha,
                                                  const flagos_tensor_t* out);

/** mul(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_mul(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other, const flagos_tensor_t* out);

/** mul.Scalar(Tensor input, Scalar other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_mul_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_scalar_t* other, const flagos_tensor_t* out);

/** div(Tensor input, Tensor other, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_div(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other, const flagos_tensor_t* out);

/** div.Scalar(Tensor input, Scalar other, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_div_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_scalar_t* other, const flagos_tensor_t* out);

/** div.Tensor_mode(Tensor input, Tensor other, str rounding_mode=trunc|floor, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_div_tensor_mode(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                      const flagos_tensor_t* other, const char* rounding_mode,
                                                      const flagos_tensor_t* out);

/** floor_divide(Tensor input, Tensor other, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_floor_divide(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                   const flagos_tensor_t* other, const flagos_tensor_t* out);

/** remainder(Tensor input, Tensor other, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_remainder(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_tensor_t* other, const flagos_tensor_t* out);

/** remainder.Scalar(Tensor input, Scalar other, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_remainder_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                       const flagos_scalar_t* other, const flagos_tensor_t* out);

/** fmod(Tensor input, Tensor other, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_fmod(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* other, const flagos_tensor_t* out);

/** pow(Tensor input, Tensor exponent, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_pow(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* exponent, const flagos_tensor_t* out);

/** pow.Scalar(Tensor input, Scalar exponent, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_pow_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_scalar_t* exponent, const flagos_tensor_t* out);

/** maximum(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_maximum(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* other, const flagos_tensor_t* out);

/** minimum(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_minimum(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* other, const flagos_tensor_t* out);

/** fmax(Tensor input, Tensor other, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_fmax(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* other, const flagos_tensor_t* out);

/** fmin(Tensor input, Tensor other, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_fmin(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* other, const flagos_tensor_t* out);

/** atan2(Tensor input, Tensor other, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 6 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_atan2(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* other, const flagos_tensor_t* out);

/** hypot(Tensor input, Tensor other, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_hypot(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* other, const flagos_tensor_t* out);

/** copysign(Tensor input, Tensor other, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_copysign(flagos_stream_t* stream, const flagos_tensor_t* input,
                                               const flagos_tensor_t* other, const flagos_tensor_t* out);

/** nextafter(Tensor input, Tensor other, Tensor! out)
 *  Computes in float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_nextafter(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_tensor_t* other, const flagos_tensor_t* out);

/** logaddexp(Tensor input, Tensor other, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_logaddexp(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_tensor_t* other, const flagos_tensor_t* out);

/** lerp(Tensor input, Tensor end, Tensor weight, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 1 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_lerp(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* end, const flagos_tensor_t* weight,
                                           const flagos_tensor_t* out);

/** lerp.Scalar(Tensor input, Tensor end, Scalar weight, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 1 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_lerp_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* end, const flagos_scalar_t* weight,
                                                  const flagos_tensor_t* out);

/** where(Tensor:bool condition, Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_where(flagos_stream_t* stream, const flagos_tensor_t* condition,
                                            const flagos_tensor_t* input, const flagos_tensor_t* other,
                                            const flagos_tensor_t* out);

/** clamp(Tensor input, Scalar? min, Scalar? max, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_clamp(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_scalar_t* min, const flagos_scalar_t* max,
                                            const flagos_tensor_t* out);

/** clamp.Tensor(Tensor input, Tensor min, Tensor max, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_clamp_tensor(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                   const flagos_tensor_t* min, const flagos_tensor_t* max,
                                                   const flagos_tensor_t* out);

/** addcmul(Tensor input, Tensor tensor1, Tensor tensor2, Scalar value=1, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 1 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_addcmul(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* tensor1, const flagos_tensor_t* tensor2,
                                              const flagos_scalar_t* value, const flagos_tensor_t* out);

/** addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, Scalar value=1, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 1 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_addcdiv(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* tensor1, const flagos_tensor_t* tensor2,
                                              const flagos_scalar_t* value, const flagos_tensor_t* out);

/** eq(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_eq(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);

/** ne(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_ne(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);

/** lt(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_lt(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);

/** le(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_le(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);

/** gt(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_gt(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);

/** ge(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_ge(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* other, const flagos_tensor_t* out);

/** eq.Scalar(Tensor input, Scalar other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_eq_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_scalar_t* other, const flagos_tensor_t* out);

/** ne.Scalar(Tensor input, Scalar other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_ne_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_scalar_t* other, const flagos_tensor_t* out);

/** lt.Scalar(Tensor input, Scalar other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_lt_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_scalar_t* other, const flagos_tensor_t* out);

/** le.Scalar(Tensor input, Scalar other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_le_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_scalar_t* other, const flagos_tensor_t* out);

/** gt.Scalar(Tensor input, Scalar other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_gt_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_scalar_t* other, const flagos_tensor_t* out);

/** ge.Scalar(Tensor input, Scalar other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_ge_scalar(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_scalar_t* other, const flagos_tensor_t* out);

/** isclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_isclose(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* other, double rtol, double atol,
                                              uint32_t equal_nan, const flagos_tensor_t* out);

/** logical_and(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_logical_and(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* other, const flagos_tensor_t* out);

/** logical_or(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_logical_or(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_tensor_t* other, const flagos_tensor_t* out);

/** logical_xor(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_logical_xor(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* other, const flagos_tensor_t* out);

/** bitwise_and(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32 or int64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_bitwise_and(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* other, const flagos_tensor_t* out);

/** bitwise_or(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32 or int64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_bitwise_or(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_tensor_t* other, const flagos_tensor_t* out);

/** bitwise_xor(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32 or int64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_bitwise_xor(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* other, const flagos_tensor_t* out);

/** left_shift(Tensor input, Tensor other, Tensor! out)
 *  Computes in uint8, int8, int16, int32 or int64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_left_shift(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_tensor_t* other, const flagos_tensor_t* out);

/** right_shift(Tensor input, Tensor other, Tensor! out)
 *  Computes in uint8, int8, int16, int32 or int64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_right_shift(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* other, const flagos_tensor_t* out);

/** gcd(Tensor input, Tensor other, Tensor! out)
 *  Computes in uint8, int8, int16, int32 or int64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_gcd(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other, const flagos_tensor_t* out);

/** lcm(Tensor input, Tensor other, Tensor! out)
 *  Computes in uint8, int8, int16, int32 or int64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_lcm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* other, const flagos_tensor_t* out);

/** heaviside(Tensor input, Tensor values, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_heaviside(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_tensor_t* values, const flagos_tensor_t* out);

/** xlogy(Tensor input, Tensor other, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_xlogy(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* other, const flagos_tensor_t* out);

/** polar(Tensor abs, Tensor angle, Tensor! out)
 *  Computes in float32.  Bound: 6 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_polar(flagos_stream_t* stream, const flagos_tensor_t* abs,
                                            const flagos_tensor_t* angle, const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Reduction
 * --------------------------------------------------------------------------------------------------------------- */

/** sum(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sum(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                          uint32_t dim_count, uint32_t keepdim, const flagos_tensor_t* out);

/** mean(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 2 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_mean(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                           uint32_t dim_count, uint32_t keepdim, const flagos_tensor_t* out);

/** prod(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_prod(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                           uint32_t dim_count, uint32_t keepdim, const flagos_tensor_t* out);

/** nansum(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_nansum(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                             uint32_t dim_count, uint32_t keepdim, const flagos_tensor_t* out);

/** count_nonzero(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_count_nonzero(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                    const int64_t* dim, uint32_t dim_count, uint32_t keepdim,
                                                    const flagos_tensor_t* out);

/** amax(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_amax(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                           uint32_t dim_count, uint32_t keepdim, const flagos_tensor_t* out);

/** amin(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_amin(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                           uint32_t dim_count, uint32_t keepdim, const flagos_tensor_t* out);

/** max.dim(Tensor input, int dim, bool keepdim=false, Tensor! values, Tensor! indices)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_max_dim(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                              uint32_t keepdim, const flagos_tensor_t* values,
                                              const flagos_tensor_t* indices);

/** min.dim(Tensor input, int dim, bool keepdim=false, Tensor! values, Tensor! indices)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_min_dim(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                              uint32_t keepdim, const flagos_tensor_t* values,
                                              const flagos_tensor_t* indices);

/** argmax(Tensor input, int? dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_argmax(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                             uint32_t keepdim, const flagos_tensor_t* out);

/** argmin(Tensor input, int? dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_argmin(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                             uint32_t keepdim, const flagos_tensor_t* out);

/** any(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_any(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                          uint32_t dim_count, uint32_t keepdim, const flagos_tensor_t* out);

/** all(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_all(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                          uint32_t dim_count, uint32_t keepdim, const flagos_tensor_t* out);

/** equal(Tensor input, Tensor other, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_equal(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* other, const flagos_tensor_t* out);

/** var(Tensor input, int?[] dim, float correction=1.0, bool keepdim=false, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_var(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                          uint32_t dim_count, double correction, uint32_t keepdim,
                                          const flagos_tensor_t* out);

/** std(Tensor input, int?[] dim, float correction=1.0, bool keepdim=false, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_std(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dim,
                                          uint32_t dim_count, double correction, uint32_t keepdim,
                                          const flagos_tensor_t* out);

/** var_mean(Tensor input, int?[] dim, float correction=1.0, bool keepdim=false, Tensor! out, Tensor! mean)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_var_mean(flagos_stream_t* stream, const flagos_tensor_t* input,
                                               const int64_t* dim, uint32_t dim_count, double correction,
                                               uint32_t keepdim, const flagos_tensor_t* out,
                                               const flagos_tensor_t* mean);

/** std_mean(Tensor input, int?[] dim, float correction=1.0, bool keepdim=false, Tensor! out, Tensor! mean)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_std_mean(flagos_stream_t* stream, const flagos_tensor_t* input,
                                               const int64_t* dim, uint32_t dim_count, double correction,
                                               uint32_t keepdim, const flagos_tensor_t* out,
                                               const flagos_tensor_t* mean);

/** norm(Tensor input, float p=2.0, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_norm(flagos_stream_t* stream, const flagos_tensor_t* input, double p,
                                           const int64_t* dim, uint32_t dim_count, uint32_t keepdim,
                                           const flagos_tensor_t* out);

/** logsumexp(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_logsumexp(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const int64_t* dim, uint32_t dim_count, uint32_t keepdim,
                                                const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Scan
 * --------------------------------------------------------------------------------------------------------------- */

/** cumsum(Tensor input, int dim, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_cumsum(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                             const flagos_tensor_t* out);

/** cumprod(Tensor input, int dim, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_cumprod(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                              const flagos_tensor_t* out);

/** cummax(Tensor input, int dim, Tensor! values, Tensor! indices)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_cummax(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                             const flagos_tensor_t* values, const flagos_tensor_t* indices);

/** cummin(Tensor input, int dim, Tensor! values, Tensor! indices)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_cummin(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                             const flagos_tensor_t* values, const flagos_tensor_t* indices);

/** logcumsumexp(Tensor input, int dim, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_logcumsumexp(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                                   const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Softmax
 * --------------------------------------------------------------------------------------------------------------- */

/** softmax(Tensor input, int dim, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 2 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_softmax(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                              const flagos_tensor_t* out);

/** log_softmax(Tensor input, int dim, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 2 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_log_softmax(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                                  const flagos_tensor_t* out);

/** softmax_backward(Tensor grad_output, Tensor output, int dim, Tensor! grad_input)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 2 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_softmax_backward(flagos_stream_t* stream, const flagos_tensor_t* grad_output,
                                                       const flagos_tensor_t* output, int64_t dim,
                                                       const flagos_tensor_t* grad_input);

/** log_softmax_backward(Tensor grad_output, Tensor output, int dim, Tensor! grad_input)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 2 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_log_softmax_backward(flagos_stream_t* stream, const flagos_tensor_t* grad_output,
                                                           const flagos_tensor_t* output, int64_t dim,
                                                           const flagos_tensor_t* grad_input);

/* ------------------------------------------------------------------------------------------------------------------
 * Loss
 * --------------------------------------------------------------------------------------------------------------- */

/** cross_entropy(Tensor input, Tensor:int target, Tensor? weight, str reduction=mean|sum|none, int ignore_index=-100, float label_smoothing=0.0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_cross_entropy(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                    const flagos_tensor_t* target, const flagos_tensor_t* weight,
                                                    const char* reduction, int64_t ignore_index, double label_smoothing,
                                                    const flagos_tensor_t* out);

/** nll_loss(Tensor input, Tensor:int target, Tensor? weight, str reduction=mean|sum|none, int ignore_index=-100, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_nll_loss(flagos_stream_t* stream, const flagos_tensor_t* input,
                                               const flagos_tensor_t* target, const flagos_tensor_t* weight,
                                               const char* reduction, int64_t ignore_index, const flagos_tensor_t* out);

/** mse_loss(Tensor input, Tensor target, str reduction=mean|sum|none, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_mse_loss(flagos_stream_t* stream, const flagos_tensor_t* input,
                                               const flagos_tensor_t* target, const char* reduction,
                                               const flagos_tensor_t* out);

/** l1_loss(Tensor input, Tensor target, str reduction=mean|sum|none, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_l1_loss(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* target, const char* reduction,
                                              const flagos_tensor_t* out);

/** smooth_l1_loss(Tensor input, Tensor target, str reduction=mean|sum|none, float beta=1.0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_smooth_l1_loss(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                     const flagos_tensor_t* target, const char* reduction, double beta,
                                                     const flagos_tensor_t* out);

/** huber_loss(Tensor input, Tensor target, str reduction=mean|sum|none, float delta=1.0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_huber_loss(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_tensor_t* target, const char* reduction, double delta,
                                                 const flagos_tensor_t* out);

/** binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight, Tensor? pos_weight, str reduction=mean|sum|none, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_binary_cross_entropy_with_logits(
    flagos_stream_t* stream, const flagos_tensor_t* input, const flagos_tensor_t* target, const flagos_tensor_t* weight,
    const flagos_tensor_t* pos_weight, const char* reduction, const flagos_tensor_t* out);

/** kl_div(Tensor input, Tensor target, str reduction=mean|sum|none, bool log_target=false, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_kl_div(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* target, const char* reduction, uint32_t log_target,
                                             const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Norm
 * --------------------------------------------------------------------------------------------------------------- */

/** layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps=1e-05, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_layer_norm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const int64_t* normalized_shape, uint32_t normalized_shape_count,
                                                 const flagos_tensor_t* weight, const flagos_tensor_t* bias, double eps,
                                                 const flagos_tensor_t* out);

/** native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps, Tensor! out, Tensor! mean, Tensor! rstd)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_native_layer_norm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                        const int64_t* normalized_shape,
                                                        uint32_t normalized_shape_count, const flagos_tensor_t* weight,
                                                        const flagos_tensor_t* bias, double eps,
                                                        const flagos_tensor_t* out, const flagos_tensor_t* mean,
                                                        const flagos_tensor_t* rstd);

/** layer_norm_backward(Tensor grad_output, Tensor input, int[] normalized_shape, Tensor mean, Tensor rstd, Tensor? weight, Tensor! grad_input)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_layer_norm_backward(flagos_stream_t* stream, const flagos_tensor_t* grad_output,
                                                          const flagos_tensor_t* input, const int64_t* normalized_shape,
                                                          uint32_t normalized_shape_count, const flagos_tensor_t* mean,
                                                          const flagos_tensor_t* rstd, const flagos_tensor_t* weight,
                                                          const flagos_tensor_t* grad_input);

/** layer_norm_backward_weight(Tensor grad_output, Tensor input, int[] normalized_shape, Tensor mean, Tensor rstd, Tensor! grad_weight, Tensor! grad_bias)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_layer_norm_backward_weight(
    flagos_stream_t* stream, const flagos_tensor_t* grad_output, const flagos_tensor_t* input,
    const int64_t* normalized_shape, uint32_t normalized_shape_count, const flagos_tensor_t* mean,
    const flagos_tensor_t* rstd, const flagos_tensor_t* grad_weight, const flagos_tensor_t* grad_bias);

/** rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float eps=1e-06, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_rms_norm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                               const int64_t* normalized_shape, uint32_t normalized_shape_count,
                                               const flagos_tensor_t* weight, double eps, const flagos_tensor_t* out);

/** add_rms_norm(Tensor input, Tensor residual, int[] normalized_shape, Tensor? weight, float eps, Tensor! out, Tensor! sum)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_add_rms_norm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                   const flagos_tensor_t* residual, const int64_t* normalized_shape,
                                                   uint32_t normalized_shape_count, const flagos_tensor_t* weight,
                                                   double eps, const flagos_tensor_t* out, const flagos_tensor_t* sum);

/** rms_norm_backward(Tensor grad_output, Tensor input, int[] normalized_shape, Tensor? weight, float eps, Tensor! grad_input)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_rms_norm_backward(flagos_stream_t* stream, const flagos_tensor_t* grad_output,
                                                        const flagos_tensor_t* input, const int64_t* normalized_shape,
                                                        uint32_t normalized_shape_count, const flagos_tensor_t* weight,
                                                        double eps, const flagos_tensor_t* grad_input);

/** rms_norm_backward_weight(Tensor grad_output, Tensor input, int[] normalized_shape, float eps, Tensor! grad_weight)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_rms_norm_backward_weight(
    flagos_stream_t* stream, const flagos_tensor_t* grad_output, const flagos_tensor_t* input,
    const int64_t* normalized_shape, uint32_t normalized_shape_count, double eps, const flagos_tensor_t* grad_weight);

/** group_norm(Tensor input, int num_groups, Tensor? weight, Tensor? bias, float eps=1e-05, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_group_norm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 int64_t num_groups, const flagos_tensor_t* weight,
                                                 const flagos_tensor_t* bias, double eps, const flagos_tensor_t* out);

/** instance_norm(Tensor input, Tensor? weight, Tensor? bias, float eps=1e-05, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_instance_norm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                    const flagos_tensor_t* weight, const flagos_tensor_t* bias,
                                                    double eps, const flagos_tensor_t* out);

/** batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor!? running_mean, Tensor!? running_var, bool training, float momentum, float eps, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_batch_norm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_tensor_t* weight, const flagos_tensor_t* bias,
                                                 const flagos_tensor_t* running_mean,
                                                 const flagos_tensor_t* running_var, uint32_t training, double momentum,
                                                 double eps, const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Product
 * --------------------------------------------------------------------------------------------------------------- */

/** mm(Tensor input, Tensor mat2, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_mm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* mat2, const flagos_tensor_t* out);

/** bmm(Tensor input, Tensor mat2, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_bmm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* mat2, const flagos_tensor_t* out);

/** addmm(Tensor input, Tensor mat1, Tensor mat2, Scalar beta=1, Scalar alpha=1, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_addmm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* mat1, const flagos_tensor_t* mat2,
                                            const flagos_scalar_t* beta, const flagos_scalar_t* alpha,
                                            const flagos_tensor_t* out);

/** baddbmm(Tensor input, Tensor batch1, Tensor batch2, Scalar beta=1, Scalar alpha=1, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_baddbmm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* batch1, const flagos_tensor_t* batch2,
                                              const flagos_scalar_t* beta, const flagos_scalar_t* alpha,
                                              const flagos_tensor_t* out);

/** addbmm(Tensor input, Tensor batch1, Tensor batch2, Scalar beta=1, Scalar alpha=1, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_addbmm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* batch1, const flagos_tensor_t* batch2,
                                             const flagos_scalar_t* beta, const flagos_scalar_t* alpha,
                                             const flagos_tensor_t* out);

/** matmul(Tensor input, Tensor other, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_matmul(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* other, const flagos_tensor_t* out);

/** linear(Tensor input, Tensor weight, Tensor? bias, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_linear(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* weight, const flagos_tensor_t* bias,
                                             const flagos_tensor_t* out);

/** mv(Tensor input, Tensor vec, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_mv(flagos_stream_t* stream, const flagos_tensor_t* input,
                                         const flagos_tensor_t* vec, const flagos_tensor_t* out);

/** addmv(Tensor input, Tensor mat, Tensor vec, Scalar beta=1, Scalar alpha=1, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_addmv(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* mat, const flagos_tensor_t* vec,
                                            const flagos_scalar_t* beta, const flagos_scalar_t* alpha,
                                            const flagos_tensor_t* out);

/** dot(Tensor input, Tensor tensor, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_dot(flagos_stream_t* stream, const flagos_tensor_t* input,
                                          const flagos_tensor_t* tensor, const flagos_tensor_t* out);

/** outer(Tensor input, Tensor vec2, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_outer(flagos_stream_t* stream, const flagos_tensor_t* input,
                                            const flagos_tensor_t* vec2, const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Convolution
 * --------------------------------------------------------------------------------------------------------------- */

/** conv1d(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, int groups=1, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_conv1d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* weight, const flagos_tensor_t* bias,
                                             const int64_t* stride, uint32_t stride_count, const int64_t* padding,
                                             uint32_t padding_count, const int64_t* dilation, uint32_t dilation_count,
                                             int64_t groups, const flagos_tensor_t* out);

/** conv2d(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, int groups=1, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_conv2d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* weight, const flagos_tensor_t* bias,
                                             const int64_t* stride, uint32_t stride_count, const int64_t* padding,
                                             uint32_t padding_count, const int64_t* dilation, uint32_t dilation_count,
                                             int64_t groups, const flagos_tensor_t* out);

/** conv3d(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, int groups=1, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_conv3d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* weight, const flagos_tensor_t* bias,
                                             const int64_t* stride, uint32_t stride_count, const int64_t* padding,
                                             uint32_t padding_count, const int64_t* dilation, uint32_t dilation_count,
                                             int64_t groups, const flagos_tensor_t* out);

/** conv_transpose2d(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] output_padding, int groups=1, int[] dilation, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_conv_transpose2d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                       const flagos_tensor_t* weight, const flagos_tensor_t* bias,
                                                       const int64_t* stride, uint32_t stride_count,
                                                       const int64_t* padding, uint32_t padding_count,
                                                       const int64_t* output_padding, uint32_t output_padding_count,
                                                       int64_t groups, const int64_t* dilation, uint32_t dilation_count,
                                                       const flagos_tensor_t* out);

/** depthwise_conv2d(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_depthwise_conv2d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                       const flagos_tensor_t* weight, const flagos_tensor_t* bias,
                                                       const int64_t* stride, uint32_t stride_count,
                                                       const int64_t* padding, uint32_t padding_count,
                                                       const int64_t* dilation, uint32_t dilation_count,
                                                       const flagos_tensor_t* out);

/** im2col(Tensor input, int[] kernel_size, int[] dilation, int[] padding, int[] stride, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_im2col(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const int64_t* kernel_size, uint32_t kernel_size_count,
                                             const int64_t* dilation, uint32_t dilation_count, const int64_t* padding,
                                             uint32_t padding_count, const int64_t* stride, uint32_t stride_count,
                                             const flagos_tensor_t* out);

/** col2im(Tensor input, int[] output_size, int[] kernel_size, int[] dilation, int[] padding, int[] stride, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_col2im(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const int64_t* output_size, uint32_t output_size_count,
                                             const int64_t* kernel_size, uint32_t kernel_size_count,
                                             const int64_t* dilation, uint32_t dilation_count, const int64_t* padding,
                                             uint32_t padding_count, const int64_t* stride, uint32_t stride_count,
                                             const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Pooling
 * --------------------------------------------------------------------------------------------------------------- */

/** max_pool2d(Tensor input, int[] kernel_size, int[] stride, int[] padding, int[] dilation, bool ceil_mode=0, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_max_pool2d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const int64_t* kernel_size, uint32_t kernel_size_count,
                                                 const int64_t* stride, uint32_t stride_count, const int64_t* padding,
                                                 uint32_t padding_count, const int64_t* dilation,
                                                 uint32_t dilation_count, uint32_t ceil_mode,
                                                 const flagos_tensor_t* out);

/** max_pool2d_with_indices(Tensor input, int[] kernel_size, int[] stride, int[] padding, int[] dilation, bool ceil_mode=0, Tensor! out, Tensor! indices)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_max_pool2d_with_indices(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                              const int64_t* kernel_size, uint32_t kernel_size_count,
                                                              const int64_t* stride, uint32_t stride_count,
                                                              const int64_t* padding, uint32_t padding_count,
                                                              const int64_t* dilation, uint32_t dilation_count,
                                                              uint32_t ceil_mode, const flagos_tensor_t* out,
                                                              const flagos_tensor_t* indices);

/** avg_pool2d(Tensor input, int[] kernel_size, int[] stride, int[] padding, bool ceil_mode=0, bool count_include_pad=1, int? divisor_override, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 2 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_avg_pool2d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const int64_t* kernel_size, uint32_t kernel_size_count,
                                                 const int64_t* stride, uint32_t stride_count, const int64_t* padding,
                                                 uint32_t padding_count, uint32_t ceil_mode, uint32_t count_include_pad,
                                                 const int64_t* divisor_override, const flagos_tensor_t* out);

/** adaptive_avg_pool2d(Tensor input, int[] output_size, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 2 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_adaptive_avg_pool2d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                          const int64_t* output_size, uint32_t output_size_count,
                                                          const flagos_tensor_t* out);

/** upsample_nearest2d(Tensor input, int[] output_size, float? scales_h, float? scales_w, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_upsample_nearest2d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                         const int64_t* output_size, uint32_t output_size_count,
                                                         const double* scales_h, const double* scales_w,
                                                         const flagos_tensor_t* out);

/** upsample_bilinear2d(Tensor input, int[] output_size, bool align_corners=0, float? scales_h, float? scales_w, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_upsample_bilinear2d(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                          const int64_t* output_size, uint32_t output_size_count,
                                                          uint32_t align_corners, const double* scales_h,
                                                          const double* scales_w, const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Attention
 * --------------------------------------------------------------------------------------------------------------- */

/** scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask, float dropout_p=0.0, bool is_causal=0, float? scale, bool enable_gqa=False, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_scaled_dot_product_attention(
    flagos_stream_t* stream, const flagos_tensor_t* query, const flagos_tensor_t* key, const flagos_tensor_t* value,
    const flagos_tensor_t* attn_mask, double dropout_p, uint32_t is_causal, const double* scale, uint32_t enable_gqa,
    const flagos_tensor_t* out);

/** varlen_attention(Tensor query, Tensor key, Tensor value, Tensor:int cu_seqlens_q, Tensor:int cu_seqlens_k, int max_seqlen_q, bool is_causal=0, float? scale, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_varlen_attention(flagos_stream_t* stream, const flagos_tensor_t* query,
                                                       const flagos_tensor_t* key, const flagos_tensor_t* value,
                                                       const flagos_tensor_t* cu_seqlens_q,
                                                       const flagos_tensor_t* cu_seqlens_k, int64_t max_seqlen_q,
                                                       uint32_t is_causal, const double* scale,
                                                       const flagos_tensor_t* out);

/** paged_attention(Tensor query, Tensor key_cache, Tensor value_cache, Tensor:int block_tables, Tensor:int seq_lens, float? scale, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_paged_attention(flagos_stream_t* stream, const flagos_tensor_t* query,
                                                      const flagos_tensor_t* key_cache,
                                                      const flagos_tensor_t* value_cache,
                                                      const flagos_tensor_t* block_tables,
                                                      const flagos_tensor_t* seq_lens, const double* scale,
                                                      const flagos_tensor_t* out);

/** reshape_and_cache(Tensor key, Tensor value, Tensor:int slot_mapping, Tensor! key_cache, Tensor! value_cache)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_reshape_and_cache(flagos_stream_t* stream, const flagos_tensor_t* key,
                                                        const flagos_tensor_t* value,
                                                        const flagos_tensor_t* slot_mapping,
                                                        const flagos_tensor_t* key_cache,
                                                        const flagos_tensor_t* value_cache);

/* ------------------------------------------------------------------------------------------------------------------
 * Language
 * --------------------------------------------------------------------------------------------------------------- */

/** embedding(Tensor weight, Tensor:int indices, int padding_idx=-1, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_embedding(flagos_stream_t* stream, const flagos_tensor_t* weight,
                                                const flagos_tensor_t* indices, int64_t padding_idx,
                                                const flagos_tensor_t* out);

/** one_hot(Tensor:int input, int num_classes=-1, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_one_hot(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              int64_t num_classes, const flagos_tensor_t* out);

/** rope(Tensor:int positions, Tensor! query, Tensor!? key, int head_size, Tensor cos_sin_cache, bool is_neox=1)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 2 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_rope(flagos_stream_t* stream, const flagos_tensor_t* positions,
                                           const flagos_tensor_t* query, const flagos_tensor_t* key, int64_t head_size,
                                           const flagos_tensor_t* cos_sin_cache, uint32_t is_neox);

/** apply_rotary_pos_emb(Tensor q, Tensor k, Tensor cos, Tensor sin, Tensor?:int position_ids, bool rotary_interleaved=0, Tensor! q_embed, Tensor! k_embed)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 2 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_apply_rotary_pos_emb(flagos_stream_t* stream, const flagos_tensor_t* q,
                                                           const flagos_tensor_t* k, const flagos_tensor_t* cos,
                                                           const flagos_tensor_t* sin,
                                                           const flagos_tensor_t* position_ids,
                                                           uint32_t rotary_interleaved, const flagos_tensor_t* q_embed,
                                                           const flagos_tensor_t* k_embed);

/** apply_repetition_penalties(Tensor! logits, Tensor:bool prompt_mask, Tensor:bool output_mask, Tensor repetition_penalties)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_apply_repetition_penalties(flagos_stream_t* stream, const flagos_tensor_t* logits,
                                                                 const flagos_tensor_t* prompt_mask,
                                                                 const flagos_tensor_t* output_mask,
                                                                 const flagos_tensor_t* repetition_penalties);

/** apply_top_k_top_p(Tensor logits, Tensor?:int k, Tensor? p, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_apply_top_k_top_p(flagos_stream_t* stream, const flagos_tensor_t* logits,
                                                        const flagos_tensor_t* k, const flagos_tensor_t* p,
                                                        const flagos_tensor_t* out);

/** top_k_top_p_sampling_from_probs(Tensor probs, Tensor?:int top_k, Tensor? top_p, int seed, int offset=0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_top_k_top_p_sampling_from_probs(flagos_stream_t* stream,
                                                                      const flagos_tensor_t* probs,
                                                                      const flagos_tensor_t* top_k,
                                                                      const flagos_tensor_t* top_p, int64_t seed,
                                                                      int64_t offset, const flagos_tensor_t* out);

/** topk_softmax(Tensor gating_output, bool renormalize=0, Tensor! topk_weights, Tensor! topk_indices, Tensor!? token_expert_indices)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_topk_softmax(flagos_stream_t* stream, const flagos_tensor_t* gating_output,
                                                   uint32_t renormalize, const flagos_tensor_t* topk_weights,
                                                   const flagos_tensor_t* topk_indices,
                                                   const flagos_tensor_t* token_expert_indices);

/** moe_align_block_size(Tensor:int topk_ids, int num_experts, int block_size, Tensor! sorted_token_ids, Tensor! expert_ids, Tensor! num_tokens_post_pad)
 *  Computes in int32 or int64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_moe_align_block_size(flagos_stream_t* stream, const flagos_tensor_t* topk_ids,
                                                           int64_t num_experts, int64_t block_size,
                                                           const flagos_tensor_t* sorted_token_ids,
                                                           const flagos_tensor_t* expert_ids,
                                                           const flagos_tensor_t* num_tokens_post_pad);

/** moe_sum(Tensor input, Tensor! output)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 2 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_moe_sum(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* output);

/** fused_moe(Tensor hidden_states, Tensor w1, Tensor w2, Tensor topk_weights, Tensor:int topk_ids, str activation=silu|gelu, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 4 ulp + 16 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_fused_moe(flagos_stream_t* stream, const flagos_tensor_t* hidden_states,
                                                const flagos_tensor_t* w1, const flagos_tensor_t* w2,
                                                const flagos_tensor_t* topk_weights, const flagos_tensor_t* topk_ids,
                                                const char* activation, const flagos_tensor_t* out);

/** grouped_mm(Tensor input, Tensor mat2, Tensor?:int offs, Tensor! out)
 *  Computes in int8, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_grouped_mm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_tensor_t* mat2, const flagos_tensor_t* offs,
                                                 const flagos_tensor_t* out);

/** weight_int8pack_mm(Tensor input, Tensor mat2, Tensor scales, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_weight_int8pack_mm(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                         const flagos_tensor_t* mat2, const flagos_tensor_t* scales,
                                                         const flagos_tensor_t* out);

/** rwkv_wkv(Tensor time_decay, Tensor time_first, Tensor key, Tensor value, Tensor!? state, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 16 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_rwkv_wkv(flagos_stream_t* stream, const flagos_tensor_t* time_decay,
                                               const flagos_tensor_t* time_first, const flagos_tensor_t* key,
                                               const flagos_tensor_t* value, const flagos_tensor_t* state,
                                               const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Indexing
 * --------------------------------------------------------------------------------------------------------------- */

/** gather(Tensor input, int dim, Tensor:int index, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_gather(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                             const flagos_tensor_t* index, const flagos_tensor_t* out);

/** index_select(Tensor input, int dim, Tensor:int index, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_index_select(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                                   const flagos_tensor_t* index, const flagos_tensor_t* out);

/** take(Tensor input, Tensor:int index, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_take(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* index, const flagos_tensor_t* out);

/** index.Tensor(Tensor input, Tensor[]:int indices, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_index_tensor(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                   const flagos_tensor_t* const* indices, uint32_t indices_count,
                                                   const flagos_tensor_t* out);

/** index_put(Tensor input, Tensor[]:int indices, Tensor values, bool accumulate=0, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_index_put(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_tensor_t* const* indices, uint32_t indices_count,
                                                const flagos_tensor_t* values, uint32_t accumulate,
                                                const flagos_tensor_t* out);

/** scatter(Tensor input, int dim, Tensor:int index, Tensor src, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_scatter(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                              const flagos_tensor_t* index, const flagos_tensor_t* src,
                                              const flagos_tensor_t* out);

/** scatter.value(Tensor input, int dim, Tensor:int index, Scalar value, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_scatter_value(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                                    const flagos_tensor_t* index, const flagos_scalar_t* value,
                                                    const flagos_tensor_t* out);

/** scatter_add(Tensor input, int dim, Tensor:int index, Tensor src, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_scatter_add(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                                  const flagos_tensor_t* index, const flagos_tensor_t* src,
                                                  const flagos_tensor_t* out);

/** scatter_reduce(Tensor input, int dim, Tensor:int index, Tensor src, str reduce=sum|prod|mean|amax|amin, bool include_self=1, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_scatter_reduce(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                                     const flagos_tensor_t* index, const flagos_tensor_t* src,
                                                     const char* reduce, uint32_t include_self,
                                                     const flagos_tensor_t* out);

/** index_add(Tensor input, int dim, Tensor:int index, Tensor source, Scalar alpha=1, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_index_add(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                                const flagos_tensor_t* index, const flagos_tensor_t* source,
                                                const flagos_scalar_t* alpha, const flagos_tensor_t* out);

/** index_fill(Tensor input, int dim, Tensor:int index, Scalar value, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_index_fill(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                                 const flagos_tensor_t* index, const flagos_scalar_t* value,
                                                 const flagos_tensor_t* out);

/** embedding_backward(Tensor grad_output, Tensor:int indices, int num_weights, int padding_idx=-1, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_embedding_backward(flagos_stream_t* stream, const flagos_tensor_t* grad_output,
                                                         const flagos_tensor_t* indices, int64_t num_weights,
                                                         int64_t padding_idx, const flagos_tensor_t* out);

/** masked_fill(Tensor input, Tensor:bool mask, Scalar value, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_masked_fill(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  const flagos_tensor_t* mask, const flagos_scalar_t* value,
                                                  const flagos_tensor_t* out);

/** masked_select(Tensor input, Tensor:bool mask, Tensor! out, Tensor! count)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_masked_select(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                    const flagos_tensor_t* mask, const flagos_tensor_t* out,
                                                    const flagos_tensor_t* count);

/** masked_scatter(Tensor input, Tensor:bool mask, Tensor source, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_masked_scatter(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                     const flagos_tensor_t* mask, const flagos_tensor_t* source,
                                                     const flagos_tensor_t* out);

/** nonzero(Tensor input, Tensor! out, Tensor! count)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_nonzero(flagos_stream_t* stream, const flagos_tensor_t* input,
                                              const flagos_tensor_t* out, const flagos_tensor_t* count);

/** where.condition(Tensor condition, Tensor![] out, Tensor! count)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_where_condition(flagos_stream_t* stream, const flagos_tensor_t* condition,
                                                      const flagos_tensor_t* const* out, uint32_t out_count,
                                                      const flagos_tensor_t* count);

/** select_scatter(Tensor input, Tensor src, int dim, int index, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_select_scatter(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                     const flagos_tensor_t* src, int64_t dim, int64_t index,
                                                     const flagos_tensor_t* out);

/** slice_scatter(Tensor input, Tensor src, int dim=0, int? start, int? end, int step=1, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_slice_scatter(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                    const flagos_tensor_t* src, int64_t dim, const int64_t* start,
                                                    const int64_t* end, int64_t step, const flagos_tensor_t* out);

/** tril(Tensor input, int diagonal=0, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_tril(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t diagonal,
                                           const flagos_tensor_t* out);

/** triu(Tensor input, int diagonal=0, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_triu(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t diagonal,
                                           const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Sort
 * --------------------------------------------------------------------------------------------------------------- */

/** sort(Tensor input, int dim=-1, bool descending=0, Tensor! values, Tensor! indices)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sort(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                           uint32_t descending, const flagos_tensor_t* values,
                                           const flagos_tensor_t* indices);

/** sort.stable(Tensor input, bool stable=1, int dim=-1, bool descending=0, Tensor! values, Tensor! indices)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_sort_stable(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                  uint32_t stable, int64_t dim, uint32_t descending,
                                                  const flagos_tensor_t* values, const flagos_tensor_t* indices);

/** argsort(Tensor input, int dim=-1, bool descending=0, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_argsort(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                              uint32_t descending, const flagos_tensor_t* out);

/** argsort.stable(Tensor input, bool stable=1, int dim=-1, bool descending=0, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_argsort_stable(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                     uint32_t stable, int64_t dim, uint32_t descending,
                                                     const flagos_tensor_t* out);

/** topk(Tensor input, int k, int dim=-1, bool largest=1, bool sorted=1, Tensor! values, Tensor! indices)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_topk(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t k,
                                           int64_t dim, uint32_t largest, uint32_t sorted,
                                           const flagos_tensor_t* values, const flagos_tensor_t* indices);

/** kthvalue(Tensor input, int k, int dim=-1, bool keepdim=0, Tensor! values, Tensor! indices)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_kthvalue(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t k,
                                               int64_t dim, uint32_t keepdim, const flagos_tensor_t* values,
                                               const flagos_tensor_t* indices);

/** median(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_median(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* out);

/** median.dim(Tensor input, int dim, bool keepdim=0, Tensor! values, Tensor! indices)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_median_dim(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                                 uint32_t keepdim, const flagos_tensor_t* values,
                                                 const flagos_tensor_t* indices);

/** nanmedian(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_nanmedian(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_tensor_t* out);

/** nanmedian.dim(Tensor input, int dim, bool keepdim=0, Tensor! values, Tensor! indices)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_nanmedian_dim(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t dim,
                                                    uint32_t keepdim, const flagos_tensor_t* values,
                                                    const flagos_tensor_t* indices);

/** searchsorted(Tensor sorted_sequence, Tensor input, bool out_int32=0, bool right=0, str side=none|left|right, Tensor?:int sorter, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_searchsorted(flagos_stream_t* stream, const flagos_tensor_t* sorted_sequence,
                                                   const flagos_tensor_t* input, uint32_t out_int32, uint32_t right,
                                                   const char* side, const flagos_tensor_t* sorter,
                                                   const flagos_tensor_t* out);

/** bucketize(Tensor input, Tensor boundaries, bool out_int32=0, bool right=0, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_bucketize(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                const flagos_tensor_t* boundaries, uint32_t out_int32, uint32_t right,
                                                const flagos_tensor_t* out);

/** unique(Tensor input, Tensor! out, Tensor!? inverse, Tensor!? counts, Tensor! count)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_unique(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const flagos_tensor_t* out, const flagos_tensor_t* inverse,
                                             const flagos_tensor_t* counts, const flagos_tensor_t* count);

/** unique_consecutive(Tensor input, Tensor! out, Tensor!? inverse, Tensor!? counts, Tensor! count)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_unique_consecutive(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                         const flagos_tensor_t* out, const flagos_tensor_t* inverse,
                                                         const flagos_tensor_t* counts, const flagos_tensor_t* count);

/** histc(Tensor input, int bins=100, Scalar min=0, Scalar max=0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_histc(flagos_stream_t* stream, const flagos_tensor_t* input, int64_t bins,
                                            const flagos_scalar_t* min, const flagos_scalar_t* max,
                                            const flagos_tensor_t* out);

/** bincount(Tensor input, Tensor? weights, int minlength=0, Tensor! out, Tensor! count)
 *  Computes in uint8, int8, int16, int32 or int64.  Bound: 1 ulp + 4 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_bincount(flagos_stream_t* stream, const flagos_tensor_t* input,
                                               const flagos_tensor_t* weights, int64_t minlength,
                                               const flagos_tensor_t* out, const flagos_tensor_t* count);

/* ------------------------------------------------------------------------------------------------------------------
 * Shape
 * --------------------------------------------------------------------------------------------------------------- */

/** copy(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_copy(flagos_stream_t* stream, const flagos_tensor_t* input,
                                           const flagos_tensor_t* out);

/** contiguous(Tensor input, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_contiguous(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                 const flagos_tensor_t* out);

/** cat(Tensor[] tensors, int dim=0, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_cat(flagos_stream_t* stream, const flagos_tensor_t* const* tensors,
                                          uint32_t tensors_count, int64_t dim, const flagos_tensor_t* out);

/** stack(Tensor[] tensors, int dim=0, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_stack(flagos_stream_t* stream, const flagos_tensor_t* const* tensors,
                                            uint32_t tensors_count, int64_t dim, const flagos_tensor_t* out);

/** flip(Tensor input, int[] dims, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_flip(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* dims,
                                           uint32_t dims_count, const flagos_tensor_t* out);

/** roll(Tensor input, int[] shifts, int[] dims, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_roll(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* shifts,
                                           uint32_t shifts_count, const int64_t* dims, uint32_t dims_count,
                                           const flagos_tensor_t* out);

/** repeat(Tensor input, int[] repeats, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_repeat(flagos_stream_t* stream, const flagos_tensor_t* input,
                                             const int64_t* repeats, uint32_t repeats_count,
                                             const flagos_tensor_t* out);

/** repeat_interleave(Tensor input, int repeats, int? dim, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_repeat_interleave(flagos_stream_t* stream, const flagos_tensor_t* input,
                                                        int64_t repeats, const int64_t* dim,
                                                        const flagos_tensor_t* out);

/** pad(Tensor input, int[] pad, str mode=constant|reflect|replicate, Scalar value=0, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_pad(flagos_stream_t* stream, const flagos_tensor_t* input, const int64_t* pad,
                                          uint32_t pad_count, const char* mode, const flagos_scalar_t* value,
                                          const flagos_tensor_t* out);

/** fill(Scalar value, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_fill(flagos_stream_t* stream, const flagos_scalar_t* value,
                                           const flagos_tensor_t* out);

/** full(int[] size, Scalar fill_value, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_full(flagos_stream_t* stream, const int64_t* size, uint32_t size_count,
                                           const flagos_scalar_t* fill_value, const flagos_tensor_t* out);

/** eye(int n, int? m, Tensor! out)
 *  Computes in bool, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64 or complex64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_eye(flagos_stream_t* stream, int64_t n, const int64_t* m,
                                          const flagos_tensor_t* out);

/** arange(Scalar start, Scalar end, Scalar step=1, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: 2 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_arange(flagos_stream_t* stream, const flagos_scalar_t* start,
                                             const flagos_scalar_t* end, const flagos_scalar_t* step,
                                             const flagos_tensor_t* out);

/** linspace(Scalar start, Scalar end, int steps, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 2 ulp.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_linspace(flagos_stream_t* stream, const flagos_scalar_t* start,
                                               const flagos_scalar_t* end, int64_t steps, const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Random
 * --------------------------------------------------------------------------------------------------------------- */

/** rand(int seed, int offset=0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_rand(flagos_stream_t* stream, int64_t seed, int64_t offset,
                                           const flagos_tensor_t* out);

/** randn(int seed, int offset=0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_randn(flagos_stream_t* stream, int64_t seed, int64_t offset,
                                            const flagos_tensor_t* out);

/** uniform(float from=0, float to=1, int seed, int offset=0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_uniform(flagos_stream_t* stream, double from, double to, int64_t seed,
                                              int64_t offset, const flagos_tensor_t* out);

/** normal(float mean=0, float std=1, int seed, int offset=0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_normal(flagos_stream_t* stream, double mean, double std, int64_t seed,
                                             int64_t offset, const flagos_tensor_t* out);

/** bernoulli(Tensor p, int seed, int offset=0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_bernoulli(flagos_stream_t* stream, const flagos_tensor_t* p, int64_t seed,
                                                int64_t offset, const flagos_tensor_t* out);

/** dropout(Tensor input, float p=0.5, bool train=1, int seed, int offset=0, Tensor! out, Tensor! mask)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_dropout(flagos_stream_t* stream, const flagos_tensor_t* input, double p,
                                              uint32_t train, int64_t seed, int64_t offset, const flagos_tensor_t* out,
                                              const flagos_tensor_t* mask);

/** randint(int low=0, int high, int seed, int offset=0, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_randint(flagos_stream_t* stream, int64_t low, int64_t high, int64_t seed,
                                              int64_t offset, const flagos_tensor_t* out);

/** randperm(int n, int seed, int offset=0, Tensor! out)
 *  Computes in uint8, int8, int16, int32, int64, float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_randperm(flagos_stream_t* stream, int64_t n, int64_t seed, int64_t offset,
                                               const flagos_tensor_t* out);

/** multinomial(Tensor probs, int num_samples, bool replacement=0, int seed, int offset=0, Tensor! out)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: exact.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_multinomial(flagos_stream_t* stream, const flagos_tensor_t* probs,
                                                  int64_t num_samples, uint32_t replacement, int64_t seed,
                                                  int64_t offset, const flagos_tensor_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Optimizer
 * --------------------------------------------------------------------------------------------------------------- */

/** fused_sgd(Tensor![] self, Tensor![] grads, Tensor![] momentum_buffer_list, float weight_decay, float momentum, float lr, float dampening, bool nesterov, bool maximize, bool is_first_step, Tensor? grad_scale, Tensor? found_inf)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_fused_sgd(flagos_stream_t* stream, const flagos_tensor_t* const* self,
                                                uint32_t self_count, const flagos_tensor_t* const* grads,
                                                uint32_t grads_count,
                                                const flagos_tensor_t* const* momentum_buffer_list,
                                                uint32_t momentum_buffer_list_count, double weight_decay,
                                                double momentum, double lr, double dampening, uint32_t nesterov,
                                                uint32_t maximize, uint32_t is_first_step,
                                                const flagos_tensor_t* grad_scale, const flagos_tensor_t* found_inf);

/** fused_adam(Tensor![] self, Tensor![] grads, Tensor![] exp_avgs, Tensor![] exp_avg_sqs, Tensor![] max_exp_avg_sqs, Tensor[] state_steps, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale, Tensor? found_inf)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t
flagos_ops_fused_adam(flagos_stream_t* stream, const flagos_tensor_t* const* self, uint32_t self_count,
                      const flagos_tensor_t* const* grads, uint32_t grads_count, const flagos_tensor_t* const* exp_avgs,
                      uint32_t exp_avgs_count, const flagos_tensor_t* const* exp_avg_sqs, uint32_t exp_avg_sqs_count,
                      const flagos_tensor_t* const* max_exp_avg_sqs, uint32_t max_exp_avg_sqs_count,
                      const flagos_tensor_t* const* state_steps, uint32_t state_steps_count, double lr, double beta1,
                      double beta2, double weight_decay, double eps, uint32_t amsgrad, uint32_t maximize,
                      const flagos_tensor_t* grad_scale, const flagos_tensor_t* found_inf);

/** fused_adamw(Tensor![] self, Tensor![] grads, Tensor![] exp_avgs, Tensor![] exp_avg_sqs, Tensor![] max_exp_avg_sqs, Tensor[] state_steps, float lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, Tensor? grad_scale, Tensor? found_inf)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_fused_adamw(
    flagos_stream_t* stream, const flagos_tensor_t* const* self, uint32_t self_count,
    const flagos_tensor_t* const* grads, uint32_t grads_count, const flagos_tensor_t* const* exp_avgs,
    uint32_t exp_avgs_count, const flagos_tensor_t* const* exp_avg_sqs, uint32_t exp_avg_sqs_count,
    const flagos_tensor_t* const* max_exp_avg_sqs, uint32_t max_exp_avg_sqs_count,
    const flagos_tensor_t* const* state_steps, uint32_t state_steps_count, double lr, double beta1, double beta2,
    double weight_decay, double eps, uint32_t amsgrad, uint32_t maximize, const flagos_tensor_t* grad_scale,
    const flagos_tensor_t* found_inf);

/** clip_grad_norm(Tensor![] grads, float max_norm, float norm_type=2.0, Tensor! total_norm)
 *  Computes in float16, bfloat16, float32 or float64.  Bound: 8 ulp + 8 u log2(K) Σ|x|.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_ops_clip_grad_norm(flagos_stream_t* stream, const flagos_tensor_t* const* grads,
                                                     uint32_t grads_count, double max_norm, double norm_type,
                                                     const flagos_tensor_t* total_norm);

#ifdef __cplusplus
}
#endif

#endif
