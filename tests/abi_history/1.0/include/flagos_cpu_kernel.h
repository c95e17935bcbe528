/* flagos_cpu_kernel.h of ABI 1.0 without its comments; written by scripts/update-layout. Apache-2.0 */
#ifndef FLAGOS_CPU_KERNEL_H
#define FLAGOS_CPU_KERNEL_H
#include "flagos.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef struct flagos_cpu_value_t {
  flagos_dtype_t dtype;
  uint32_t shown;
  uint64_t count;
  const void* data;
} flagos_cpu_value_t;
typedef struct flagos_cpu_block_t {
  uint32_t struct_size;
  uint32_t grid[3];
  uint32_t block[3];
  uint32_t block_index[3];
  uint32_t shared_bytes;
  uint32_t padding;
  void* shared;
  void (*fail)(const struct flagos_cpu_block_t* block, flagos_status_t status, const char* text);
  void* context;
  void (*report)(const struct flagos_cpu_block_t* block, const char* text,
                 const flagos_cpu_value_t* values, uint32_t value_count);
} flagos_cpu_block_t;
typedef void (*flagos_cpu_function_t)(const flagos_cpu_block_t* block, const void* arguments);
typedef struct flagos_cpu_kernel_t {
  uint32_t struct_size;
  uint32_t abi_version;
  flagos_cpu_function_t function;
  const flagos_parameter_t* parameters;
  uint32_t parameter_count;
  uint32_t argument_bytes;
  uint32_t static_shared_bytes;
  uint32_t max_block_threads;
} flagos_cpu_kernel_t;
#define FLAGOS_CPU_KERNEL_SYMBOL_PREFIX "flagos_cpu_kernel_"
static inline void* flagos_cpu_pointer(flagos_address_t address) {
  return (void*)(uintptr_t)address;
}
#ifdef __cplusplus
#define FLAGOS_CPU_EXPORT_DATA extern "C" __attribute__((visibility("default")))
#define FLAGOS_CPU_EXPORT extern "C" __attribute__((visibility("default")))
#define FLAGOS_CPU_ALIGNOF(type) alignof(type)
#else
#define FLAGOS_CPU_EXPORT_DATA extern __attribute__((visibility("default")))
#define FLAGOS_CPU_EXPORT __attribute__((visibility("default")))
#define FLAGOS_CPU_ALIGNOF(type) _Alignof(type)
#endif
#define FLAGOS_CPU_PARAMETER(arguments_type, member, dtype_value)                                  \
  {                                                                                                \
    (flagos_dtype_t)(dtype_value), (uint32_t)sizeof(((arguments_type*)0)->member),                 \
        (dtype_value) == FLAGOS_DTYPE_BYTES ? 1u : (uint32_t)sizeof(((arguments_type*)0)->member), \
        (uint32_t)offsetof(arguments_type, member)                                                 \
  }
#define FLAGOS_CPU_COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))
#define FLAGOS_CPU_KERNEL(name, arguments_type, parameter_array)                                   \
  FLAGOS_CPU_KERNEL_WITH(name, arguments_type, parameter_array, FLAGOS_CPU_COUNT(parameter_array), \
                         (uint32_t)sizeof(arguments_type), 0)
#define FLAGOS_CPU_KERNEL_NO_ARGUMENTS(name) FLAGOS_CPU_KERNEL_WITH(name, void, NULL, 0, 0, 0)
#define FLAGOS_CPU_KERNEL_WITH(name, arguments_type, parameters_pointer, count, bytes,         \
                               static_shared)                                                  \
  static void name##_body(const flagos_cpu_block_t* block, const arguments_type* arguments);   \
  static void name##_entry(const flagos_cpu_block_t* block, const void* arguments) {           \
    name##_body(block, (const arguments_type*)arguments);                                      \
  }                                                                                            \
  FLAGOS_CPU_EXPORT void name(const flagos_cpu_block_t* block, const void* arguments);         \
  FLAGOS_CPU_EXPORT void name(const flagos_cpu_block_t* block, const void* arguments) {        \
    name##_entry(block, arguments);                                                            \
  }                                                                                            \
  FLAGOS_CPU_EXPORT_DATA const flagos_cpu_kernel_t flagos_cpu_kernel_##name;                   \
  const flagos_cpu_kernel_t flagos_cpu_kernel_##name = {(uint32_t)sizeof(flagos_cpu_kernel_t), \
                                                        FLAGOS_ABI_VERSION,                    \
                                                        name##_entry,                          \
                                                        parameters_pointer,                    \
                                                        count,                                 \
                                                        bytes,                                 \
                                                        static_shared,                         \
                                                        0};                                    \
  static void name##_body(const flagos_cpu_block_t* block, const arguments_type* arguments)
#ifdef __cplusplus
}
#endif
#endif
