/* flagos_compiler.h of ABI 1.0 without its comments; written by scripts/update-layout. Apache-2.0 */
#ifndef FLAGOS_COMPILER_H
#define FLAGOS_COMPILER_H
#include "flagos.h"
#ifdef __cplusplus
extern "C" {
#endif
#define FLAGOS_TILE_VERSION FLAGOS_MAKE_VERSION(1, 0)
typedef struct flagos_tile_module_t flagos_tile_module_t;
FLAGOS_API uint32_t flagos_tile_get_version(void);
FLAGOS_API const char* flagos_compiler_last_error(void);
typedef struct flagos_tile_diagnostic_t {
  uint32_t struct_size;
  uint32_t line;
  uint32_t column;
  uint32_t author_line;
  const char* author_file;
  const char* reason;
} flagos_tile_diagnostic_t;
typedef void (*flagos_tile_diagnostic_callback_t)(void* context,
                                                  const flagos_tile_diagnostic_t* diagnostic);
typedef struct flagos_tile_module_desc_t {
  uint32_t struct_size;
  uint32_t padding;
  const flagos_extension_t* next;
  const char* text;
  uint64_t size_bytes;
  flagos_tile_diagnostic_callback_t on_diagnostic;
  void* context;
} flagos_tile_module_desc_t;
FLAGOS_API flagos_status_t flagos_tile_module_create(const flagos_tile_module_desc_t* desc,
                                                     flagos_tile_module_t** out_module);
FLAGOS_API flagos_status_t flagos_tile_module_destroy(flagos_tile_module_t* module);
enum { FLAGOS_TILE_TEXT_FLAG_LOCATIONS = 1 };
FLAGOS_API flagos_status_t flagos_tile_module_get_text(flagos_tile_module_t* module, uint64_t flags,
                                                       const char** out_text,
                                                       uint64_t* out_size_bytes);
FLAGOS_API flagos_status_t flagos_tile_module_get_hash(flagos_tile_module_t* module,
                                                       uint8_t* out_hash);
typedef struct flagos_tile_kernel_info_t {
  uint32_t struct_size;
  uint32_t argument_count;
  const char* name;
  const char* constants;
} flagos_tile_kernel_info_t;
enum {
  FLAGOS_TILE_ARGUMENT_FLAG_POINTER = 1,
  FLAGOS_TILE_ARGUMENT_FLAG_READONLY = 2,
  FLAGOS_TILE_ARGUMENT_FLAG_NOALIAS = 4
};
typedef struct flagos_tile_argument_info_t {
  uint32_t struct_size;
  flagos_dtype_t dtype;
  uint64_t flags;
  const char* name;
  const char* facts;
} flagos_tile_argument_info_t;
FLAGOS_API flagos_status_t flagos_tile_module_get_kernel_count(flagos_tile_module_t* module,
                                                               uint32_t* out_count);
FLAGOS_API flagos_status_t flagos_tile_module_find_kernel(flagos_tile_module_t* module,
                                                          const char* name, uint32_t* out_kernel);
FLAGOS_API flagos_status_t flagos_tile_module_get_kernel_info(flagos_tile_module_t* module,
                                                              uint32_t kernel,
                                                              flagos_tile_kernel_info_t* out_info);
FLAGOS_API flagos_status_t
flagos_tile_module_get_argument_info(flagos_tile_module_t* module, uint32_t kernel,
                                     uint32_t argument, flagos_tile_argument_info_t* out_info);
typedef struct flagos_tile_argument_t {
  uint64_t value;
  uint64_t size_bytes;
} flagos_tile_argument_t;
typedef struct flagos_tile_report_t {
  uint32_t struct_size;
  uint32_t failed_assert;
  uint32_t program[3];
  uint32_t author_line;
  const char* author_file;
  const char* text;
} flagos_tile_report_t;
typedef void (*flagos_tile_report_callback_t)(void* context, const flagos_tile_report_t* report);
typedef struct flagos_tile_interpret_desc_t {
  uint32_t struct_size;
  uint32_t kernel;
  const flagos_extension_t* next;
  uint32_t grid[3];
  uint32_t argument_count;
  const flagos_tile_argument_t* arguments;
  uint32_t argument_stride;
  uint32_t padding;
  uint64_t step_limit;
  flagos_tile_report_callback_t on_report;
  void* context;
} flagos_tile_interpret_desc_t;
FLAGOS_API flagos_status_t flagos_tile_module_interpret(flagos_tile_module_t* module,
                                                        const flagos_tile_interpret_desc_t* desc);
typedef struct flagos_tile_source_t flagos_tile_source_t;
FLAGOS_API uint64_t flagos_tile_get_lowering_version(void);
FLAGOS_API flagos_status_t flagos_tile_get_dialect(uint32_t index, const char** out_name);
FLAGOS_API flagos_status_t flagos_tile_module_lower(flagos_tile_module_t* module,
                                                    const char* target,
                                                    flagos_tile_source_t** out_source);
FLAGOS_API flagos_status_t flagos_tile_source_destroy(flagos_tile_source_t* source);
typedef struct flagos_tile_source_info_t {
  uint32_t struct_size;
  uint32_t kernel_count;
  const char* text;
  uint64_t size_bytes;
  const char* target;
  const char* options;
} flagos_tile_source_info_t;
FLAGOS_API flagos_status_t flagos_tile_source_get_info(flagos_tile_source_t* source,
                                                       flagos_tile_source_info_t* out_info);
enum { FLAGOS_TILE_LAUNCH_FLAG_FAILS = 1 };
typedef struct flagos_tile_launch_info_t {
  uint32_t struct_size;
  uint32_t threads;
  uint64_t shared_bytes;
  uint64_t scratch_bytes;
  uint64_t flags;
  const char* name;
} flagos_tile_launch_info_t;
FLAGOS_API flagos_status_t flagos_tile_source_get_launch_info(flagos_tile_source_t* source,
                                                              uint32_t kernel,
                                                              flagos_tile_launch_info_t* out_info);
FLAGOS_API flagos_status_t flagos_tile_source_get_assertion(flagos_tile_source_t* source,
                                                            uint32_t kernel, uint32_t index,
                                                            uint32_t* out_number,
                                                            const char** out_message);
#ifdef __cplusplus
}
#endif
#endif
