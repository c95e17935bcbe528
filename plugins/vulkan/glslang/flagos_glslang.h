/*
 * libflagos_glslang.so: Debian's static glslang behind two C functions. The plugin opens it at run time; it is built
 * only where glslang-dev is there.
 */
#ifndef FLAGOS_GLSLANG_H
#define FLAGOS_GLSLANG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct flagos_glslang_result_t {
  const uint32_t* words; /* NULL when the source has errors */
  size_t word_count;
  const char* log; /* never NULL */
} flagos_glslang_result_t;

/* Compiles one compute shader, whose entry point is main. `preamble` is lines of #define. `vulkan_minor` is 2 or 3.
   NULL when memory ran out. Any thread. */
typedef flagos_glslang_result_t* (*flagos_glslang_compile_t)(const char* source,
                                                             const char* preamble,
                                                             uint32_t vulkan_minor);
typedef void (*flagos_glslang_free_t)(flagos_glslang_result_t* result);

#ifdef __cplusplus
}
#endif

#endif
