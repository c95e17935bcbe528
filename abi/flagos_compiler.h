/*
 * flagos_compiler.h: portable kernels in the form flagos.tile: read, verify, print, hash, describe, run on the host, lower.
 * C11, no dependencies beside flagos.h. ABI 1.0 (candidate). SPDX-License-Identifier: Apache-2.0
 *
 * The library is libflagos_compiler; it needs neither libflagos nor a device. docs/tile.md tells what the text is. The
 * general rules of flagos.h hold (status, failure, structs, ownership), with these differences:
 *
 * Error text  flagos_compiler_last_error(), by the rules of flagos_last_error().
 * Handles     A module or a source is a value, not an address: a NULL, stale or random one gives INVALID_HANDLE. It
 *             belongs to no runtime. One that is destroyed while a call uses it lives until that call returns.
 * General     Beside the statuses that it lists, any function may return INVALID_ARGUMENT (a required pointer is NULL),
 * statuses    INVALID_HANDLE, INVALID_STRUCT_SIZE, UNSUPPORTED, OUT_OF_HOST_MEMORY, INTERNAL.
 * fork        Everything works in the child.
 */
#ifndef FLAGOS_COMPILER_H
#define FLAGOS_COMPILER_H

#include "flagos.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The newest flagos.tile that this header knows of. */
#define FLAGOS_TILE_VERSION FLAGOS_MAKE_VERSION(1, 0)

typedef struct flagos_tile_module_t flagos_tile_module_t;

/**
 * The newest flagos.tile that the library reads, as FLAGOS_MAKE_VERSION makes it. It reads all minors up to it, and
 * newer ones as long as nothing but hints is new in them.
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API uint32_t flagos_tile_get_version(void);

/**
 * What the last failing call of this thread into this library was asked and what it found, with the values.
 *
 * @return UTF-8 text of at most 1023 bytes, "" when no call failed yet; never NULL. It lasts until the next failing
 *         call of this thread.
 *
 * Threads: any thread; the text is the thread's own.  Ownership: borrowed.  Since: 1.0
 */
FLAGOS_API const char* flagos_compiler_last_error(void);

/* ------------------------------------------------------------------------------------------------------------------
 * Modules
 * --------------------------------------------------------------------------------------------------------------- */

/* One thing that is wrong with a module. */
typedef struct flagos_tile_diagnostic_t {
  uint32_t struct_size;
  uint32_t line; /* in the text, from 1; 0: the module as a whole */
  uint32_t column;
  uint32_t author_line;    /* in author_file; 0 when the text does not say */
  const char* author_file; /* "" when the text does not say; never NULL */
  const char* reason;      /* such as "add: operand 1 is f32, operand 0 is tile<8xf32>" */
} flagos_tile_diagnostic_t;

/* The struct and its texts last until the callback returns. */
typedef void (*flagos_tile_diagnostic_callback_t)(void* context, const flagos_tile_diagnostic_t* diagnostic);

typedef struct flagos_tile_module_desc_t {
  uint32_t struct_size;
  uint32_t padding;
  const flagos_extension_t* next;
  const char* text; /* flagos.tile; need not end with NUL, need not be canonical */
  uint64_t size_bytes;
  flagos_tile_diagnostic_callback_t on_diagnostic; /* NULL: the first is in the error text all the same */
  void* context;                                   /* for on_diagnostic */
} flagos_tile_module_desc_t;

/**
 * Reads and verifies a module. Any bytes are safe to hand over; time and memory are bounded by their number.
 *
 * Every diagnostic, at most 16, is handed to `on_diagnostic` before the call returns, on this thread.
 *
 * @param desc        the text; not NULL
 * @param out_module  the module; destroy it with flagos_tile_module_destroy
 * @retval FLAGOS_STATUS_INVALID_IMAGE        it is no flagos.tile, or breaks a rule of it
 * @retval FLAGOS_STATUS_UNSUPPORTED_VERSION  another major, or an operation or attribute of a newer minor
 *
 * Threads: any thread.  Ownership: copies the text; creates.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_module_create(const flagos_tile_module_desc_t* desc,
                                                     flagos_tile_module_t** out_module);

/**
 * Takes a module.
 *
 * @param module  NULL does nothing
 *
 * Threads: any thread.  Ownership: takes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_module_destroy(flagos_tile_module_t* module);

/* For flagos_tile_module_get_text. */
enum {
  FLAGOS_TILE_TEXT_FLAG_LOCATIONS = 1 /* with the trailing part that says where each operation was written */
};

/**
 * The canonical text: every module has one, whatever its spelling was, and reading it gives the same module.
 *
 * @param module          not NULL
 * @param flags           FLAGOS_TILE_TEXT_FLAG_*
 * @param out_text        NUL-terminated; lasts as long as the module
 * @param out_size_bytes  without the NUL; may be NULL
 *
 * Threads: any thread.  Ownership: borrowed from the module.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_module_get_text(flagos_tile_module_t* module, uint64_t flags,
                                                       const char** out_text, uint64_t* out_size_bytes);

/**
 * SHA-256 of the canonical text without locations: two modules with the same hash do the same.
 *
 * @param module    not NULL
 * @param out_hash  32 bytes
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_module_get_hash(flagos_tile_module_t* module, uint8_t* out_hash);

/* ------------------------------------------------------------------------------------------------------------------
 * Kernels and their arguments
 * --------------------------------------------------------------------------------------------------------------- */

/* A kernel of a module. Texts last as long as the module. */
typedef struct flagos_tile_kernel_info_t {
  uint32_t struct_size;
  uint32_t argument_count;
  const char* name;
  const char* constants; /* what stands in constexpr(...), such as "BM=256, BN=64"; "" when nothing does */
} flagos_tile_kernel_info_t;

/* For flagos_tile_argument_info_t.flags. */
enum {
  FLAGOS_TILE_ARGUMENT_FLAG_POINTER = 1,  /* the address of elements of `dtype`; else a scalar of `dtype` */
  FLAGOS_TILE_ARGUMENT_FLAG_READONLY = 2, /* nothing behind it is written */
  FLAGOS_TILE_ARGUMENT_FLAG_NOALIAS = 4   /* nothing behind it is reached through another argument */
};

/* An argument of a kernel. Texts last as long as the module. */
typedef struct flagos_tile_argument_info_t {
  uint32_t struct_size;
  flagos_dtype_t dtype;
  uint64_t flags; /* FLAGOS_TILE_ARGUMENT_FLAG_* */
  const char* name;
  const char* facts; /* as the module has them, such as "readonly, align=16" or "div=16"; "" when there are none */
} flagos_tile_argument_info_t;

/**
 * How many kernels a module has; at least one.
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_module_get_kernel_count(flagos_tile_module_t* module, uint32_t* out_count);

/**
 * Looks a kernel up by its name.
 *
 * @param module      not NULL
 * @param name        without the @; not NULL
 * @param out_kernel  its index
 * @retval FLAGOS_STATUS_NOT_FOUND  the module has no kernel of that name
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_module_find_kernel(flagos_tile_module_t* module, const char* name,
                                                          uint32_t* out_kernel);

/**
 * Describes a kernel.
 *
 * @param module    not NULL
 * @param kernel    its index
 * @param out_info  with its struct_size set
 * @retval FLAGOS_STATUS_NOT_FOUND  no kernel has this index
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_module_get_kernel_info(flagos_tile_module_t* module, uint32_t kernel,
                                                              flagos_tile_kernel_info_t* out_info);

/**
 * Describes an argument of a kernel.
 *
 * @param module    not NULL
 * @param kernel    its index
 * @param argument  its index, in the order of the text
 * @param out_info  with its struct_size set
 * @retval FLAGOS_STATUS_NOT_FOUND  no kernel or argument has this index
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_module_get_argument_info(flagos_tile_module_t* module, uint32_t kernel,
                                                                uint32_t argument,
                                                                flagos_tile_argument_info_t* out_info);

/* ------------------------------------------------------------------------------------------------------------------
 * The interpreter: what every lowering is compared with
 * --------------------------------------------------------------------------------------------------------------- */

/* The value of an argument. */
typedef struct flagos_tile_argument_t {
  uint64_t value;      /* a scalar's bits in the low bytes, or an address */
  uint64_t size_bytes; /* what may be reached behind an address; 0: not known, and not checked */
} flagos_tile_argument_t;

/* What an operation `print`, or an `assert` that does not hold, says. */
typedef struct flagos_tile_report_t {
  uint32_t struct_size;
  uint32_t failed_assert; /* 1: an assertion; 0: a print */
  uint32_t program[3];
  uint32_t author_line;
  const char* author_file; /* "" when the text does not say; never NULL */
  const char* text;
} flagos_tile_report_t;

/* The struct and its texts last until the callback returns. */
typedef void (*flagos_tile_report_callback_t)(void* context, const flagos_tile_report_t* report);

typedef struct flagos_tile_interpret_desc_t {
  uint32_t struct_size;
  uint32_t kernel; /* its index */
  const flagos_extension_t* next;
  uint32_t grid[3];
  uint32_t argument_count;
  const flagos_tile_argument_t* arguments;
  uint32_t argument_stride; /* sizeof(flagos_tile_argument_t) */
  uint32_t padding;
  uint64_t step_limit;                     /* operations of all programs together; 0: none */
  flagos_tile_report_callback_t on_report; /* may be NULL */
  void* context;                           /* for on_report */
} flagos_tile_interpret_desc_t;

/**
 * Runs a kernel on host memory, one program after the other, x first. Slow and exact; docs/tile.md says how exact.
 *
 * The caller answers for the addresses: what lies outside of a view is never touched, but a view can be larger than
 * its memory. Give size_bytes, and that is an error instead.
 *
 * @param module  not NULL
 * @param desc    kernel, grid and arguments; not NULL
 * @retval FLAGOS_STATUS_NOT_FOUND         no kernel has this index
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  another number of arguments than the kernel's
 * @retval FLAGOS_STATUS_EXECUTION_FAILED  an assertion does not hold, memory ends or step_limit is reached; what was
 *                                         stored before stays stored
 * @retval FLAGOS_STATUS_OUT_OF_RESOURCES  the kernel's values together take more than 1 GiB
 *
 * Threads: any thread.  Ownership: borrows everything.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_module_interpret(flagos_tile_module_t* module,
                                                        const flagos_tile_interpret_desc_t* desc);

/* ------------------------------------------------------------------------------------------------------------------
 * Lowering: from a module to the source text of a target, which a plugin compiles
 * --------------------------------------------------------------------------------------------------------------- */

typedef struct flagos_tile_source_t flagos_tile_source_t;

/**
 * Changes whenever the library may print another text for the same module and target. What is kept of a text, or made
 * from it, is kept under this number too.
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API uint64_t flagos_tile_get_lowering_version(void);

/**
 * The dialects that the library can print, such as "gnu-c++" or "opencl-c"; formats of plugins have the same names.
 *
 * @param index     from 0
 * @param out_name  static
 * @retval FLAGOS_STATUS_NOT_FOUND  there are not so many
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_get_dialect(uint32_t index, const char** out_name);

/**
 * Lowers a module: simplifies it and prints it in the dialect of a target.
 *
 * A target is written "dialect;name=value;...", such as "gnu-c++;isa=x86-64-v4" or
 * "opencl-c;schedule=simt;threads=128;local=32768;no=f64". Names: isa, schedule (serial, simt, tile-calls), vector (bits),
 * threads (of a group), local (bytes a group has), scratch (bytes a program has), unroll (copies of a statement), no (what
 * the device lacks: f64, f16, i64, atomic64, separated by commas). What is left out has the dialect's default.
 *
 * @param module      not NULL; not needed afterwards
 * @param target      as above; not NULL
 * @param out_source  the text; destroy it with flagos_tile_source_destroy
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a part of the target is not known; the text names it
 * @retval FLAGOS_STATUS_UNSUPPORTED       the target lacks what an operation needs; the text names operation and place
 * @retval FLAGOS_STATUS_OUT_OF_RESOURCES  a kernel needs more memory than a program or group of the target has
 *
 * Threads: any thread.  Ownership: borrows the module; creates.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_module_lower(flagos_tile_module_t* module, const char* target,
                                                    flagos_tile_source_t** out_source);

/**
 * Takes a source.
 *
 * @param source  NULL does nothing
 *
 * Threads: any thread.  Ownership: takes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_source_destroy(flagos_tile_source_t* source);

/* A lowered module. Texts last as long as the source. */
typedef struct flagos_tile_source_info_t {
  uint32_t struct_size;
  uint32_t kernel_count; /* as many as the module has, in its order */
  const char* text;      /* NUL-terminated */
  uint64_t size_bytes;   /* of the text, without the NUL */
  const char* target;    /* the whole of it, with every default that was taken */
  const char* options;   /* for the plugin's compile, such as "optimize=2 isa=x86-64-v3"; "" when there are none */
} flagos_tile_source_info_t;

/**
 * Describes a source.
 *
 * @param source    not NULL
 * @param out_info  with its struct_size set
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_source_get_info(flagos_tile_source_t* source,
                                                       flagos_tile_source_info_t* out_info);

/* For flagos_tile_launch_info_t.flags. */
enum {
  FLAGOS_TILE_LAUNCH_FLAG_FAILS = 1 /* has an assert: it can fail its launch, in the way of the dialect */
};

/* How a kernel of a source is launched: the grid is in programs, the block {threads, 1, 1}. */
typedef struct flagos_tile_launch_info_t {
  uint32_t struct_size;
  uint32_t threads;
  uint64_t shared_bytes;  /* dynamic ones of the launch, beside what the text declares itself */
  uint64_t scratch_bytes; /* of each program, declared by the text itself */
  uint64_t flags;         /* FLAGOS_TILE_LAUNCH_FLAG_* */
  const char* name;       /* of the kernel in the text, by which it is found; lasts as long as the source */
} flagos_tile_launch_info_t;

/**
 * Tells how a kernel of a source is launched. Its arguments are those of the module, each at its natural alignment behind
 * the one before; an address has 8 bytes.
 *
 * @param source    not NULL
 * @param kernel    its index in the module
 * @param out_info  with its struct_size set
 * @retval FLAGOS_STATUS_NOT_FOUND  no kernel has this index
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_source_get_launch_info(flagos_tile_source_t* source, uint32_t kernel,
                                                              flagos_tile_launch_info_t* out_info);

/**
 * Tells what an assertion of a kernel says that has no room for a sentence: where it does not hold, the launch's word of
 * failure becomes FLAGOS_STATUS_EXECUTION_FAILED with `out_number` in its two middle bytes. Kernels in C++ give the sentence
 * themselves and have none here.
 *
 * @param source       not NULL
 * @param kernel       its index in the module
 * @param index        from 0
 * @param out_number   1 to 65535, made of the message: two messages may share one
 * @param out_message  as in the module; lasts as long as the source
 * @retval FLAGOS_STATUS_NOT_FOUND  no kernel has this index, or it has no such assertion
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_tile_source_get_assertion(flagos_tile_source_t* source, uint32_t kernel,
                                                            uint32_t index, uint32_t* out_number,
                                                            const char** out_message);

#ifdef __cplusplus
}
#endif

#endif
