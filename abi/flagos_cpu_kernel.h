/*
 * flagos_cpu_kernel.h: how to write kernels for the format "elf-so" (shared objects run by the cpu plugin).
 * C11, no dependencies beside flagos.h. ABI 1.0 (candidate). SPDX-License-Identifier: Apache-2.0
 *
 * TWO CONVENTIONS
 *
 * Native    The function is called once per block, from many threads at a time, with the indices of the block and
 *           the packed argument block. It loops over the threads of its block itself. FLAGOS_CPU_KERNEL defines it and
 *           a descriptor beside it, from which flagos knows the parameters:
 *
 *             typedef struct { flagos_address_t x, y; float a; uint32_t n; } axpy_arguments;
 *             static const flagos_parameter_t axpy_parameters[] = {
 *                 FLAGOS_CPU_PARAMETER(axpy_arguments, x, FLAGOS_DTYPE_ADDRESS),
 *                 FLAGOS_CPU_PARAMETER(axpy_arguments, y, FLAGOS_DTYPE_ADDRESS),
 *                 FLAGOS_CPU_PARAMETER(axpy_arguments, a, FLAGOS_DTYPE_FLOAT32),
 *                 FLAGOS_CPU_PARAMETER(axpy_arguments, n, FLAGOS_DTYPE_UINT32)};
 *             FLAGOS_CPU_KERNEL(axpy, axpy_arguments, axpy_parameters) {
 *               const float* x = (const float*)flagos_cpu_pointer(arguments->x);
 *               ...
 *               for (uint32_t t = 0; t < block->block[0]; ++t) {
 *                 const uint64_t i = (uint64_t)block->block_index[0] * block->block[0] + t;
 *                 if (i < arguments->n) y[i] += arguments->a * x[i];
 *               }
 *             }
 *
 * Plain     Any exported C function that returns void and takes scalars, pointers (as FLAGOS_DTYPE_ADDRESS) and
 *           nothing by reference to flagos: `void scale(float* x, float a, int32_t n)`. The caller gives its signature
 *           with flagos_module_get_kernel; it is called once per launch, whose grid and block must be {1, 1, 1}.
 *
 * Build with: cc -O2 -fPIC -shared -I<include> kernels.c -o kernels.so
 */
#ifndef FLAGOS_CPU_KERNEL_H
#define FLAGOS_CPU_KERNEL_H

#include "flagos.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A value that a kernel prints: the first elements of an array, or a scalar. */
typedef struct flagos_cpu_value_t {
  flagos_dtype_t dtype; /* of `data`: FLAGOS_DTYPE_BOOL, INT64, UINT64, FLOAT32 or FLOAT64 */
  uint32_t shown;       /* elements behind `data` */
  uint64_t count;       /* of the array; 0: a scalar */
  const void* data;
} flagos_cpu_value_t;

/* What a native kernel is told about the block it is to run. Members are only ever appended. */
typedef struct flagos_cpu_block_t {
  uint32_t struct_size;
  uint32_t grid[3];        /* blocks */
  uint32_t block[3];       /* threads of a block */
  uint32_t block_index[3]; /* of this call, below grid */
  uint32_t shared_bytes;
  uint32_t padding; /* 0 */
  void* shared;     /* shared_bytes of scratch for this block, aligned to 64, undefined at the start; else NULL */
  /* Fails the launch: the stream is poisoned with `status` (EXECUTION_FAILED, say); blocks that have not started are
     skipped. `text` is copied. Call it and return. */
  void (*fail)(const struct flagos_cpu_block_t* block, flagos_status_t status, const char* text);
  void* context; /* of the plugin */
  /* Writes `text` and values to the host's log. There if struct_size says so, and not NULL. */
  void (*report)(const struct flagos_cpu_block_t* block, const char* text, const flagos_cpu_value_t* values,
                 uint32_t value_count);
} flagos_cpu_block_t;

typedef void (*flagos_cpu_function_t)(const flagos_cpu_block_t* block, const void* arguments);

/* Stands beside every native kernel `name` under the symbol flagos_cpu_kernel_<name>. Members are only appended. */
typedef struct flagos_cpu_kernel_t {
  uint32_t struct_size;
  uint32_t abi_version; /* FLAGOS_ABI_VERSION it was compiled with */
  flagos_cpu_function_t function;
  const flagos_parameter_t* parameters; /* [parameter_count] */
  uint32_t parameter_count;
  uint32_t argument_bytes;      /* of the packed block */
  uint32_t static_shared_bytes; /* added to the launch's shared_bytes; the static part comes first */
  uint32_t max_block_threads;   /* 0: the device's limit */
} flagos_cpu_kernel_t;

#define FLAGOS_CPU_KERNEL_SYMBOL_PREFIX "flagos_cpu_kernel_"

/* The host pointer behind an address of a cpu device. */
static inline void* flagos_cpu_pointer(flagos_address_t address) { return (void*)(uintptr_t)address; }

#ifdef __cplusplus
#define FLAGOS_CPU_EXPORT_DATA extern "C" __attribute__((visibility("default")))
#define FLAGOS_CPU_EXPORT extern "C" __attribute__((visibility("default")))
#define FLAGOS_CPU_ALIGNOF(type) alignof(type)
#else
#define FLAGOS_CPU_EXPORT_DATA extern __attribute__((visibility("default")))
#define FLAGOS_CPU_EXPORT __attribute__((visibility("default")))
#define FLAGOS_CPU_ALIGNOF(type) _Alignof(type)
#endif

/* One parameter: a member of the argument struct. A member that is no scalar has FLAGOS_DTYPE_BYTES; its alignment is
   then given as 1, which every packed offset fits. */
#define FLAGOS_CPU_PARAMETER(arguments_type, member, dtype_value)                                  \
  {                                                                                                \
    (flagos_dtype_t)(dtype_value), (uint32_t)sizeof(((arguments_type*)0)->member),                 \
        (dtype_value) == FLAGOS_DTYPE_BYTES ? 1u : (uint32_t)sizeof(((arguments_type*)0)->member), \
        (uint32_t)offsetof(arguments_type, member)                                                 \
  }

#define FLAGOS_CPU_COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

/* Defines the native kernel `name`; its body follows and sees `block` and `arguments`. */
#define FLAGOS_CPU_KERNEL(name, arguments_type, parameter_array)                                   \
  FLAGOS_CPU_KERNEL_WITH(name, arguments_type, parameter_array, FLAGOS_CPU_COUNT(parameter_array), \
                         (uint32_t)sizeof(arguments_type), 0)

/* A native kernel without arguments. */
#define FLAGOS_CPU_KERNEL_NO_ARGUMENTS(name) FLAGOS_CPU_KERNEL_WITH(name, void, NULL, 0, 0, 0)

/* The general form, with static shared memory. The descriptor points to a function of this file: the exported one could
   be bound to another library's function of the same name. */
#define FLAGOS_CPU_KERNEL_WITH(name, arguments_type, parameters_pointer, count, bytes, static_shared) \
  static void name##_body(const flagos_cpu_block_t* block, const arguments_type* arguments);          \
  static void name##_entry(const flagos_cpu_block_t* block, const void* arguments) {                  \
    name##_body(block, (const arguments_type*)arguments);                                             \
  }                                                                                                   \
  FLAGOS_CPU_EXPORT void name(const flagos_cpu_block_t* block, const void* arguments);                \
  FLAGOS_CPU_EXPORT void name(const flagos_cpu_block_t* block, const void* arguments) {               \
    name##_entry(block, arguments);                                                                   \
  }                                                                                                   \
  FLAGOS_CPU_EXPORT_DATA const flagos_cpu_kernel_t flagos_cpu_kernel_##name;                          \
  const flagos_cpu_kernel_t flagos_cpu_kernel_##name = {(uint32_t)sizeof(flagos_cpu_kernel_t),        \
                                                        FLAGOS_ABI_VERSION,                           \
                                                        name##_entry,                                 \
                                                        parameters_pointer,                           \
                                                        count,                                        \
                                                        bytes,                                        \
                                                        static_shared,                                \
                                                        0};                                           \
  static void name##_body(const flagos_cpu_block_t* block, const arguments_type* arguments)

#ifdef __cplusplus
}
#endif

#endif /* FLAGOS_CPU_KERNEL_H */
