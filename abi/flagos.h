/*
 * flagos.h: one C contract for memory, streams, events, kernels and graphs on any chip.
 * C11, no dependencies. ABI 1.0 (candidate). SPDX-License-Identifier: Apache-2.0
 *
 * GENERAL RULES (a function states only what is particular to it)
 *
 * Status      Every function that can fail returns flagos_status_t. A class stands in the high byte, so old
 *             callers can act on new codes: see FLAGOS_STATUS_CLASS. Class 0 holds FLAGOS_STATUS_OK and answers
 *             (TIMEOUT, NOT_READY), which are not errors and leave the error text alone.
 * Error text  flagos_last_error() says what was asked and what was found, for the calling thread.
 * Failure     A failing call has no other effect. Its out parameters are set to zero (NULL, 0, zeroed struct up to
 *             the struct_size that the caller gave).
 * Handles     Are values, not addresses: index and generation. A NULL, stale, foreign, random or wrong-type handle
 *             gives INVALID_HANDLE and never crashes.
 * General     Beside the statuses that it lists, any function may return INVALID_ARGUMENT (a required pointer is
 * statuses    NULL), INVALID_HANDLE, BAD_PROCESS (in the child of a fork), NOT_PERMITTED (inside a host callback,
 *             except for the functions marked "callback: yes"), DEVICE_LOST (the device was lost; frees and destroys
 *             still succeed), OUT_OF_HOST_MEMORY, INTERNAL, PLUGIN_PROTOCOL (the plugin broke its contract).
 * Threads     "any thread" unless said otherwise. Submission to one stream is ordered internally.
 * Structs     The caller sets struct_size to sizeof(the struct). A size at or above the 1.0 size is accepted; an
 *             unknown tail must be zero, else UNSUPPORTED; below it INVALID_STRUCT_SIZE. For structs that come out,
 *             at most struct_size bytes are written. An unknown flag, enum value of a newer version or chained
 *             struct (without FLAGOS_EXTENSION_IGNORABLE) gives UNSUPPORTED; a named padding member must be 0.
 * Ownership   create gives, destroy takes, everything else borrows. destroy(NULL) does nothing and returns OK. An
 *             object may be destroyed while work that uses it is pending: the release is deferred until that work
 *             has passed. Parents outlive children: closing a device that has live children gives BUSY.
 * Zero        A copy, fill or launch with a zero size or dimension is OK and does nothing.
 * Waits       Take timeout_ns: 0 polls, FLAGOS_TIMEOUT_INFINITE waits forever. TIMEOUT leaves everything as it was.
 * Failures    A queued operation that fails poisons its stream: later operations are skipped and every later call on
 *             that stream returns that status until flagos_stream_reset. Other streams go on. A lost device poisons
 *             all that belongs to it; other devices go on.
 * fork        The child of a fork gets BAD_PROCESS from everything except flagos_runtime_abandon.
 * Units       Sizes are bytes, times are nanoseconds of a monotonic clock, unless a name says otherwise.
 */
#ifndef FLAGOS_H
#define FLAGOS_H

#include <stddef.h>
#include <stdint.h>

#if defined(FLAGOS_BUILD)
#define FLAGOS_API __attribute__((visibility("default")))
#else
#define FLAGOS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------------------------
 * Versions
 * --------------------------------------------------------------------------------------------------------------- */

#define FLAGOS_ABI_MAJOR 1
#define FLAGOS_ABI_MINOR 0
#define FLAGOS_MAKE_VERSION(major, minor) (((uint32_t)(major) << 16) | (uint32_t)(minor))
#define FLAGOS_VERSION_MAJOR(version) ((uint32_t)(version) >> 16)
#define FLAGOS_VERSION_MINOR(version) ((uint32_t)(version)&0xffffu)
/* The ABI version of this header, the one a caller is compiled with. */
#define FLAGOS_ABI_VERSION FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR, FLAGOS_ABI_MINOR)

/* ------------------------------------------------------------------------------------------------------------------
 * Status
 * --------------------------------------------------------------------------------------------------------------- */

typedef int32_t flagos_status_t;

enum {
  FLAGOS_STATUS_OK = 0,
  /* class 0: answers, not errors */
  FLAGOS_STATUS_TIMEOUT = 0x00000001,   /* the time given to a wait ran out */
  FLAGOS_STATUS_NOT_READY = 0x00000002, /* the value asked for does not exist yet; ask again later */
  /* class 1, argument: the call was wrong; change the call */
  FLAGOS_STATUS_INVALID_ARGUMENT = 0x01000001,
  FLAGOS_STATUS_INVALID_HANDLE = 0x01000002,
  FLAGOS_STATUS_INVALID_STRUCT_SIZE = 0x01000003,
  FLAGOS_STATUS_BUFFER_TOO_SMALL = 0x01000004, /* the needed size was written to the size parameter */
  FLAGOS_STATUS_NOT_FOUND = 0x01000005,
  FLAGOS_STATUS_NOT_PERMITTED = 0x01000006, /* not here: in a host callback, in a capture, in this state */
  FLAGOS_STATUS_BAD_PROCESS = 0x01000007,   /* the child of a fork */
  FLAGOS_STATUS_INVALID_IMAGE = 0x01000008, /* module bytes that are not of their format */
  FLAGOS_STATUS_COMPILE_FAILED = 0x01000009,
  FLAGOS_STATUS_INVALID_GRAPH = 0x0100000a,   /* cycle, foreign node, invalidated or unjoined capture */
  FLAGOS_STATUS_GRAPH_MISMATCH = 0x0100000b,  /* an update whose topology differs; instantiate anew */
  FLAGOS_STATUS_PLUGIN_REJECTED = 0x0100000c, /* see the candidate list for verdict and reason */
  /* class 2, resource: try with less, or later */
  FLAGOS_STATUS_OUT_OF_HOST_MEMORY = 0x02000001,
  FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY = 0x02000002,
  FLAGOS_STATUS_OUT_OF_RESOURCES = 0x02000003,
  FLAGOS_STATUS_BUSY = 0x02000004, /* live children or pending work forbid it */
  /* class 3, unsupported: this plugin or version cannot; take another way */
  FLAGOS_STATUS_UNSUPPORTED = 0x03000001,
  FLAGOS_STATUS_UNSUPPORTED_VERSION = 0x03000002,
  /* class 4, device: what happened to queued work */
  FLAGOS_STATUS_DEVICE_LOST = 0x04000001,
  FLAGOS_STATUS_EXECUTION_FAILED = 0x04000002,
  FLAGOS_STATUS_CANCELLED = 0x04000003, /* the object waited on was destroyed or failed without a status */
  /* class 5, comm: what happened to a communicator */
  FLAGOS_STATUS_RANK_FAILED = 0x05000001,   /* a rank died, left, or its device or stream failed */
  FLAGOS_STATUS_RANK_MISMATCH = 0x05000002, /* ranks disagree on an operation */
  FLAGOS_STATUS_COMM_TIMEOUT = 0x05000003,  /* a rank did not come, or does not answer */
  FLAGOS_STATUS_COMM_ABORTED = 0x05000004,
  FLAGOS_STATUS_COMM_REFUSED = 0x05000005, /* the other side did not prove that it belongs here */
  /* class 6, internal: a bug in flagos or in a plugin */
  FLAGOS_STATUS_INTERNAL = 0x06000001,
  FLAGOS_STATUS_PLUGIN_PROTOCOL = 0x06000002
};

/* The class of a status: one of FLAGOS_STATUS_CLASS_*. */
#define FLAGOS_STATUS_CLASS(status) (((uint32_t)(status) >> 24) & 0xffu)
enum {
  FLAGOS_STATUS_CLASS_ANSWER = 0,
  FLAGOS_STATUS_CLASS_ARGUMENT = 1,
  FLAGOS_STATUS_CLASS_RESOURCE = 2,
  FLAGOS_STATUS_CLASS_UNSUPPORTED = 3,
  FLAGOS_STATUS_CLASS_DEVICE = 4,
  FLAGOS_STATUS_CLASS_COMM = 5,
  FLAGOS_STATUS_CLASS_INTERNAL = 6
};

/**
 * The name of a status, such as "FLAGOS_STATUS_BUSY".
 *
 * @param status  any value; an unknown one gives "FLAGOS_STATUS_UNKNOWN"
 * @return a static, NUL-terminated ASCII string, never NULL
 *
 * Threads: any thread.  Callback: yes.  Ownership: static text.  Since: 1.0
 */
FLAGOS_API const char* flagos_status_get_name(flagos_status_t status);

/**
 * What the last failing call of this thread was asked and what it found, with the values.
 *
 * @return UTF-8 text of at most 1023 bytes, "" when no call failed yet; never NULL. It lasts until the next failing
 *         call of this thread; succeeding calls and answers leave it.
 *
 * Threads: any thread; the text is the thread's own.  Callback: yes.  Ownership: borrowed.  Since: 1.0
 */
FLAGOS_API const char* flagos_last_error(void);

/**
 * Sets what flagos_last_error tells on this thread: for libraries built on flagos, whose failures are read there too.
 *
 * @param text  what was asked and what was found; copied, cut after 1023 bytes; NULL does nothing
 *
 * Threads: any thread; the text is the thread's own.  Callback: yes.  Since: 1.0
 */
FLAGOS_API void flagos_set_last_error(const char* text);

/* ------------------------------------------------------------------------------------------------------------------
 * Basic types
 * --------------------------------------------------------------------------------------------------------------- */

typedef struct flagos_runtime_t flagos_runtime_t;
typedef struct flagos_device_t flagos_device_t;
typedef struct flagos_stream_t flagos_stream_t;
typedef struct flagos_event_t flagos_event_t;
typedef struct flagos_module_t flagos_module_t;
typedef struct flagos_blob_t flagos_blob_t;
typedef struct flagos_kernel_t flagos_kernel_t;
typedef struct flagos_prepared_t flagos_prepared_t;
typedef struct flagos_memory_pool_t flagos_memory_pool_t;
typedef struct flagos_timeline_t flagos_timeline_t;
typedef struct flagos_graph_t flagos_graph_t;
typedef struct flagos_graph_exec_t flagos_graph_exec_t;
typedef struct flagos_profiler_t flagos_profiler_t;
typedef struct flagos_physical_memory_t flagos_physical_memory_t;
typedef struct flagos_communicator_t flagos_communicator_t;

/* A byte in device, managed, pinned or ordinary host memory. Arithmetic is allowed within an allocation. 0 is none. */
typedef uint64_t flagos_address_t;

/* Waits forever. */
#define FLAGOS_TIMEOUT_INFINITE UINT64_MAX

/* A struct chained to a desc through its `next`. None is defined in 1.0. */
typedef struct flagos_extension_t {
  uint32_t struct_size;
  uint32_t type; /* with FLAGOS_EXTENSION_IGNORABLE an implementation that does not know it may skip it */
  const struct flagos_extension_t* next;
} flagos_extension_t;
#define FLAGOS_EXTENSION_IGNORABLE 0x80000000u
/* Longer chains (and so cycles) are refused with INVALID_ARGUMENT. */
#define FLAGOS_EXTENSION_CHAIN_MAX 64

/* A data type as DLPack counts: code | bits << 8 | lanes << 16. */
typedef uint32_t flagos_dtype_t;
#define FLAGOS_MAKE_DTYPE(code, bits, lanes) ((uint32_t)(code) | ((uint32_t)(bits) << 8) | ((uint32_t)(lanes) << 16))
#define FLAGOS_DTYPE_CODE(dtype) ((uint32_t)(dtype)&0xffu)
#define FLAGOS_DTYPE_BITS(dtype) (((uint32_t)(dtype) >> 8) & 0xffu)
#define FLAGOS_DTYPE_LANES(dtype) (((uint32_t)(dtype) >> 16) & 0xffffu)
enum {
  FLAGOS_DTYPE_NONE = 0,
  FLAGOS_DTYPE_INT8 = 0x00010800,
  FLAGOS_DTYPE_INT16 = 0x00011000,
  FLAGOS_DTYPE_INT32 = 0x00012000,
  FLAGOS_DTYPE_INT64 = 0x00014000,
  FLAGOS_DTYPE_UINT8 = 0x00010801,
  FLAGOS_DTYPE_UINT16 = 0x00011001,
  FLAGOS_DTYPE_UINT32 = 0x00012001,
  FLAGOS_DTYPE_UINT64 = 0x00014001,
  FLAGOS_DTYPE_FLOAT16 = 0x00011002,
  FLAGOS_DTYPE_FLOAT32 = 0x00012002,
  FLAGOS_DTYPE_FLOAT64 = 0x00014002,
  FLAGOS_DTYPE_ADDRESS = 0x00014003, /* DLPack's opaque handle of 64 bits: a flagos_address_t */
  FLAGOS_DTYPE_BYTES = 0x00010803,   /* opaque bytes: a struct passed by value; its size stands beside it */
  FLAGOS_DTYPE_BFLOAT16 = 0x00011004,
  FLAGOS_DTYPE_COMPLEX64 = 0x00014005,
  FLAGOS_DTYPE_BOOL = 0x00010806,
  FLAGOS_DTYPE_FLOAT8_E4M3FN = 0x0001080a, /* no infinities; what is too large for it is NaN */
  FLAGOS_DTYPE_FLOAT8_E5M2 = 0x0001080c
};

/* Log levels. */
typedef int32_t flagos_log_level_t;
enum {
  FLAGOS_LOG_LEVEL_TRACE = 0,
  FLAGOS_LOG_LEVEL_DEBUG = 1,
  FLAGOS_LOG_LEVEL_INFO = 2,
  FLAGOS_LOG_LEVEL_WARNING = 3,
  FLAGOS_LOG_LEVEL_ERROR = 4,
  FLAGOS_LOG_LEVEL_OFF = 5
};

/* ------------------------------------------------------------------------------------------------------------------
 * Runtime: finds plugins, owns everything else
 *
 * Environment (ignored in a privileged process): FLAGOS_PLUGIN_FILES (colon-separated files; replaces the search),
 * FLAGOS_PLUGIN_PATH (folders searched first), FLAGOS_LAYERS (validation,trace), FLAGOS_TRACE_FILE,
 * FLAGOS_LOG_LEVEL (trace debug info warning error off; default warning), FLAGOS_<PLUGIN>_<WHAT> (each plugin's own).
 * --------------------------------------------------------------------------------------------------------------- */

/* For flagos_runtime_desc_t.flags. */
enum {
  FLAGOS_RUNTIME_FLAG_NO_SEARCH = 1,     /* no plugin but those given to flagos_runtime_add_plugin */
  FLAGOS_RUNTIME_FLAG_NO_ENVIRONMENT = 2 /* no FLAGOS_* variable is read, by core or through it by plugins */
};

typedef struct flagos_runtime_desc_t {
  uint32_t struct_size;
  uint32_t abi_version; /* FLAGOS_ABI_VERSION of the caller's header */
  const flagos_extension_t* next;
  uint64_t flags;
  const char* layers; /* "validation,trace"; NULL: from FLAGOS_LAYERS */
} flagos_runtime_desc_t;

/* What became of a library that was looked at. */
typedef int32_t flagos_verdict_t;
enum {
  FLAGOS_VERDICT_LOADED = 0,
  FLAGOS_VERDICT_MISSING = 1,       /* no such file */
  FLAGOS_VERDICT_PERMISSIONS = 2,   /* the file or a folder above it can be written by others */
  FLAGOS_VERDICT_MANIFEST = 3,      /* the manifest is broken or contradicts the file */
  FLAGOS_VERDICT_NOT_A_LIBRARY = 4, /* not a complete shared object for this machine */
  FLAGOS_VERDICT_LOAD_FAILED = 5,   /* the dynamic linker refused it: a symbol or library is missing */
  FLAGOS_VERDICT_NO_ENTRY = 6,      /* flagos_plugin_open is not exported */
  FLAGOS_VERDICT_VERSION = 7,       /* no common ABI version */
  FLAGOS_VERDICT_BAD_TABLE = 8,     /* a table is short, or a required slot is NULL */
  FLAGOS_VERDICT_OPEN_FAILED = 9,   /* flagos_plugin_open returned an error or threw */
  FLAGOS_VERDICT_DUPLICATE = 10,    /* the same file, or a plugin of the same name, is loaded already */
  FLAGOS_VERDICT_CRASHED = 11       /* crashed or hung in a probe */
};

/* One library that was looked at. */
typedef struct flagos_candidate_info_t {
  uint32_t struct_size;
  flagos_verdict_t verdict;
  char path[1024];
  char name[64];         /* the plugin's name, "" if it is not known */
  char reason[512];      /* one sentence that names the file and the reason; "" when loaded */
  char vendor[64];       /* "" if it is not known */
  char version[64];      /* the plugin's own version, "" if it is not known */
  uint32_t abi_version;  /* the ABI version agreed on, 0 unless loaded */
  uint32_t device_count; /* 0 unless loaded */
} flagos_candidate_info_t;

typedef struct flagos_version_info_t {
  uint32_t struct_size;
  uint32_t abi_version;     /* the newest ABI version implemented */
  uint32_t abi_version_min; /* the oldest ABI version that callers and plugins may use */
  uint32_t padding;         /* 0 */
  char product_version[32]; /* such as "0.1.0" */
} flagos_version_info_t;

/**
 * Tells the versions of the library. Three numbers are kept apart: the product, the ABI implemented (both here),
 * and the ABI header that the caller was compiled with (FLAGOS_ABI_VERSION).
 *
 * @param out_info  struct_size set by the caller
 * @retval FLAGOS_STATUS_INVALID_STRUCT_SIZE  out_info->struct_size is below the 1.0 size
 *
 * Threads: any thread.  Callback: yes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_get_version(flagos_version_info_t* out_info);

/**
 * Finds and opens plugins.
 *
 * Order: FLAGOS_PLUGIN_FILES if it is set (nothing else is looked at), else the folders of FLAGOS_PLUGIN_PATH, the
 * per-user folder ($XDG_DATA_HOME or ~/.local/share, then flagos/plugins), the system folder, and flagos/plugins
 * beside libflagos. Never the current directory. Of two plugins with one name the first wins. A plugin that cannot
 * be loaded is a line in the candidate list; it is not an error of this function, unless FLAGOS_PLUGIN_FILES names it.
 *
 * @param desc         NULL: defaults
 * @param out_runtime  several runtimes may live in one process; each has its own plugins' instances and devices
 * @retval FLAGOS_STATUS_UNSUPPORTED_VERSION  desc->abi_version is of another major or newer than this library
 * @retval FLAGOS_STATUS_PLUGIN_REJECTED      a file of FLAGOS_PLUGIN_FILES was refused
 *
 * Threads: any thread.  Ownership: flagos_runtime_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_runtime_create(const flagos_runtime_desc_t* desc, flagos_runtime_t** out_runtime);

/**
 * Ends a runtime: waits up to 10 s for pending work, releases blocked waiters with CANCELLED, then destroys all that
 * still lives in it (a warning in the log counts it by type) and closes its plugins. Their libraries stay mapped.
 *
 * Threads: any thread.  Ownership: takes `runtime`; NULL does nothing.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_runtime_destroy(flagos_runtime_t* runtime);

/**
 * Lets go of a runtime in the child of a fork: frees host memory of core and touches no plugin and no device.
 *
 * @retval FLAGOS_STATUS_NOT_PERMITTED  the process is not the child of a fork; use flagos_runtime_destroy
 *
 * Threads: setup only.  Ownership: takes `runtime`; NULL does nothing.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_runtime_abandon(flagos_runtime_t* runtime);

/**
 * Loads one more plugin by the absolute or relative path of its library. Its devices come after those known already.
 *
 * @retval FLAGOS_STATUS_PLUGIN_REJECTED  refused; verdict and reason are the last entry of the candidate list, and
 *                                        the reason is the error text
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_runtime_add_plugin(flagos_runtime_t* runtime, const char* path);

/** How many libraries were looked at. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_runtime_get_candidate_count(flagos_runtime_t* runtime, uint32_t* out_count);

/**
 * Verdict and reason for one library that was looked at, in the order of the search.
 *
 * @retval FLAGOS_STATUS_NOT_FOUND  index is at or past the count
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_runtime_get_candidate(flagos_runtime_t* runtime, uint32_t index,
                                                        flagos_candidate_info_t* out_info);

/* Gets one log line, without a newline, control characters escaped. Called from any thread, never two at once. */
typedef void (*flagos_log_callback_t)(void* user_data, flagos_log_level_t level, const char* text);

/**
 * Sends the log of this process to `callback`; NULL sends it back to stderr. One log serves core and all plugins.
 * When this returns, the former callback is not running and will not be called again.
 *
 * @param min_level  lines below are dropped
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  min_level is not a FLAGOS_LOG_LEVEL_*
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_set_log_callback(flagos_log_callback_t callback, void* user_data,
                                                   flagos_log_level_t min_level);

typedef void (*flagos_proc_t)(void);

/**
 * A function of this library by name, for callers that do not link it.
 *
 * @param abi_version  the caller's FLAGOS_ABI_VERSION
 * @retval FLAGOS_STATUS_NOT_FOUND            no function of that name in that version
 * @retval FLAGOS_STATUS_UNSUPPORTED_VERSION  abi_version is of another major or newer
 *
 * Threads: any thread.  Callback: yes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_get_proc(const char* name, uint32_t abi_version, flagos_proc_t* out_proc);

/* ------------------------------------------------------------------------------------------------------------------
 * Device
 * --------------------------------------------------------------------------------------------------------------- */

typedef int32_t flagos_device_type_t;
enum {
  FLAGOS_DEVICE_TYPE_OTHER = 0,
  FLAGOS_DEVICE_TYPE_CPU = 1,
  FLAGOS_DEVICE_TYPE_GPU = 2,
  FLAGOS_DEVICE_TYPE_NPU = 3
};

/* How kernels are best scheduled on a device, see the formats of flagos_module_get_format. */
typedef int32_t flagos_schedule_class_t;
enum {
  FLAGOS_SCHEDULE_CLASS_SERIAL = 0, /* one program per thread of a host-like processor */
  FLAGOS_SCHEDULE_CLASS_SIMT = 1,   /* blocks of threads */
  FLAGOS_SCHEDULE_CLASS_TILE = 2    /* one call per operation on on-chip tiles */
};

/* For flagos_device_info_t.capabilities: what this device does beyond the required minimum. */
enum {
  FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT = 1 << 0,           /* submission returns before the work is done */
  FLAGOS_DEVICE_CAPABILITY_PAGEABLE_COPY_SYNC = 1 << 1,     /* a copy from pageable memory may run inside the call */
  FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS = 1 << 2,     /* two streams may run at the same time */
  FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES = 1 << 3,         /* the host can read and write device memory directly */
  FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS = 1 << 4, /* kernels can read and write ordinary host memory */
  FLAGOS_DEVICE_CAPABILITY_FAKE = 1 << 5,                   /* stands in for a chip that is absent */
  FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH = 1 << 6,     /* FLAGOS_LAUNCH_FLAG_COOPERATIVE */
  FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH = 1 << 7          /* FLAGOS_LAUNCH_CLUSTER */
};

typedef struct flagos_device_info_t {
  uint32_t struct_size;
  uint32_t index; /* in the runtime */
  char id[64];    /* "<plugin>:<ordinal>", such as "cpu:0"; set by core */
  char name[128]; /* the chip, for people */
  char vendor[64];
  char driver_version[64];
  uint8_t uuid[16]; /* the same in every process and after every boot; never all zero */
  char bus_id[32];  /* such as "0000:3b:00.0"; "" when there is no bus */
  flagos_device_type_t type;
  flagos_schedule_class_t schedule_class;
  uint64_t capabilities;
  uint64_t memory_bytes;         /* device memory in all */
  uint64_t max_allocation_bytes; /* the largest single allocation, at most memory_bytes */
  uint32_t allocation_alignment; /* every allocation is aligned to it; a power of two, at least 256 */
  uint32_t compute_units;        /* cores, multiprocessors; at least 1 */
  uint32_t max_grid[3];          /* blocks in each dimension */
  uint32_t max_block[3];         /* threads in each dimension */
  uint32_t max_block_threads;    /* threads of a block, at most the product of max_block */
  uint32_t subgroup_size;        /* threads that run in step (warp, wave); at least 1 */
  uint32_t max_shared_bytes;     /* dynamic shared memory of a block */
  uint32_t max_argument_bytes;   /* the packed argument block; at least 4096 */
  int32_t priority_low;          /* stream priorities: priority_high <= value <= priority_low; */
  int32_t priority_high;         /* a smaller value runs earlier; both 0 where there are none */
  int32_t dlpack_device_type;    /* DLPack's DLDeviceType (1 CPU, 2 CUDA, ...); 12, an extension, where it has none */
  int32_t dlpack_device_id;      /* the index that goes with it */
} flagos_device_info_t;

typedef int32_t flagos_feature_t;
enum {
  FLAGOS_FEATURE_COPY_2D = 0,
  FLAGOS_FEATURE_WIDE_FILL = 1, /* patterns of 8 and 16 bytes */
  FLAGOS_FEATURE_MEMORY_UPDATE = 2,
  FLAGOS_FEATURE_PINNED_MEMORY = 3,
  FLAGOS_FEATURE_MANAGED_MEMORY = 4,
  FLAGOS_FEATURE_HOST_REGISTER = 5,
  FLAGOS_FEATURE_PREFETCH = 6,
  FLAGOS_FEATURE_MEMORY_POOL = 7,
  FLAGOS_FEATURE_HOST_CALLBACK = 8,
  FLAGOS_FEATURE_STREAM_VALUE = 9, /* flagos_stream_write_value and wait_value */
  FLAGOS_FEATURE_TIMELINE = 10,
  FLAGOS_FEATURE_GRAPH = 11,
  FLAGOS_FEATURE_CAPTURE = 12,
  FLAGOS_FEATURE_COMPILE = 13,
  FLAGOS_FEATURE_PREPARED_LAUNCH = 14,
  FLAGOS_FEATURE_PROFILING = 15,
  FLAGOS_FEATURE_RECOVER = 16,
  FLAGOS_FEATURE_MODULE_GLOBAL = 17,
  FLAGOS_FEATURE_PEER_COPY = 18,      /* flagos_memory_copy_peer within the plugin; across plugins core stages */
  FLAGOS_FEATURE_EXPORT_MEMORY = 19,  /* FLAGOS_MEMORY_FLAG_EXPORTABLE, flagos_memory_export and import */
  FLAGOS_FEATURE_EXPORT_EVENT = 20,   /* FLAGOS_EVENT_FLAG_EXPORTABLE, flagos_event_export and import */
  FLAGOS_FEATURE_NATIVE_OBJECTS = 21, /* flagos_*_get_native and wrap_native */
  FLAGOS_FEATURE_OPERATORS = 22,      /* flagos_operator_query and run */
  FLAGOS_FEATURE_VIRTUAL_MEMORY = 23, /* flagos_virtual_memory_* and flagos_physical_memory_* */
  FLAGOS_FEATURE_COLLECTIVE = 24,     /* flagos_communicator_* and flagos_collective_* */
  FLAGOS_FEATURE_COUNT = 25
};

typedef int32_t flagos_support_t;
enum {
  FLAGOS_SUPPORT_ABSENT = 0,   /* the entry points return UNSUPPORTED */
  FLAGOS_SUPPORT_EMULATED = 1, /* core does it on top of the required groups */
  FLAGOS_SUPPORT_NATIVE = 2    /* the plugin does it */
};

/** How many devices all loaded plugins have. Zero is not an error. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_device_get_count(flagos_runtime_t* runtime, uint32_t* out_count);

/**
 * Describes a device without opening it. Properties never change while the runtime lives.
 *
 * @retval FLAGOS_STATUS_NOT_FOUND  index is at or past the count
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_describe(flagos_runtime_t* runtime, uint32_t index,
                                                  flagos_device_info_t* out_info);

/**
 * The index of the device with this id ("cpu:0"), or of the first device of a plugin ("cpu").
 *
 * @retval FLAGOS_STATUS_NOT_FOUND  there is none; the text lists the ids that exist
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_find(flagos_runtime_t* runtime, const char* id, uint32_t* out_index);

/**
 * Opens a device. Every open is a context of its own: objects and memory of one are foreign to the other.
 *
 * @retval FLAGOS_STATUS_NOT_FOUND  index is at or past the count
 *
 * Threads: any thread.  Ownership: flagos_device_close.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_open(flagos_runtime_t* runtime, uint32_t index, flagos_device_t** out_device);

/**
 * Closes a device after its pending work.
 *
 * @retval FLAGOS_STATUS_BUSY  streams, events, modules, pools, timelines, graph executables, profilers or memory of
 *                             it still live; the text counts them; nothing was closed
 *
 * Threads: any thread.  Ownership: takes `device`; NULL does nothing.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_close(flagos_device_t* device);

/** Describes an open device, as flagos_device_describe. Threads: any thread.  Callback: yes.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_device_get_info(flagos_device_t* device, flagos_device_info_t* out_info);

/**
 * Whether a feature is absent, emulated by core, or native to the plugin.
 *
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  feature is not a FLAGOS_FEATURE_*
 *
 * Threads: any thread.  Callback: yes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_get_feature(flagos_device_t* device, flagos_feature_t feature,
                                                     flagos_support_t* out_support);

/**
 * Device memory free now, and in all, in bytes; free <= total.
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_query_memory(flagos_device_t* device, uint64_t* out_free_bytes,
                                                      uint64_t* out_total_bytes);

/**
 * OK while the device works, its sticky status (DEVICE_LOST) after it was lost.
 *
 * Threads: any thread.  Callback: yes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_query_status(flagos_device_t* device);

/**
 * Waits for all work that was submitted to all streams of this open device before the call.
 *
 * @retval FLAGOS_STATUS_TIMEOUT  not all of it was done in timeout_ns
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_synchronize(flagos_device_t* device, uint64_t timeout_ns);

/**
 * Brings a lost device back: afterwards new objects can be created on it. Objects from before stay lost and can only
 * be destroyed. On a device that is not lost it does nothing.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED  the plugin cannot; close and open the device instead
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_recover(flagos_device_t* device);

/* Called once, when the device is closed or its runtime destroyed; the device still works. */
typedef void (*flagos_attachment_release_t)(flagos_device_t* device, void* attachment);

/**
 * Keeps what a library built on flagos needs for an open device, such as modules and a pool, with the device.
 *
 * flagos_device_close and flagos_runtime_destroy call `release` before they look for live children, so that what the
 * attachment holds does not make a device busy. Where the close then fails, the attachment is gone all the same; its
 * library makes another when it is needed.
 *
 * @param key             an address that only the library knows, such as that of a static variable; not NULL
 * @param attachment      not NULL
 * @param release         frees the attachment; may call every function on the device but flagos_device_attach
 * @param out_attachment  what is kept under `key` now: `attachment`, or what was kept there before; then `attachment`
 *                        stays the caller's and `release` is not called for it
 *
 * Threads: any thread.  Ownership: takes `attachment` when it comes out.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_attach(flagos_device_t* device, const void* key, void* attachment,
                                                flagos_attachment_release_t release, void** out_attachment);

/** What is kept with the device under `key`; NULL when nothing is. Threads: any thread.  Callback: yes.
 *  Ownership: borrowed, until the device is closed.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_device_get_attachment(flagos_device_t* device, const void* key,
                                                        void** out_attachment);

struct flagos_plugin_t;        /* flagos_plugin.h */
struct flagos_plugin_device_t; /* the plugin's own object */
struct flagos_plugin_stream_t;
struct flagos_plugin_event_t;
struct flagos_plugin_kernel_t;

/**
 * The direct path: the plugin's tables, completed by core so that no slot is NULL (a missing one returns
 * UNSUPPORTED), and the plugin's device object. Calls through it are neither checked nor ordered with core's
 * emulations; they are the caller's responsibility.
 *
 * @param out_table   valid until the runtime is destroyed
 * @param out_object  valid until the device is closed; may be NULL
 *
 * Threads: any thread.  Ownership: borrowed.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_get_table(flagos_device_t* device, const struct flagos_plugin_t** out_table,
                                                   struct flagos_plugin_device_t** out_object);

/** The plugin's object behind a stream, for the direct path. Threads: any thread.  Ownership: borrowed.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_stream_get_plugin_object(flagos_stream_t* stream,
                                                           struct flagos_plugin_stream_t** out_object);

/** The plugin's object behind an event, for the direct path. Threads: any thread.  Ownership: borrowed.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_event_get_plugin_object(flagos_event_t* event,
                                                          struct flagos_plugin_event_t** out_object);

/** The plugin's object behind a kernel, for the direct path. Threads: any thread.  Ownership: borrowed.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_kernel_get_plugin_object(flagos_kernel_t* kernel,
                                                           struct flagos_plugin_kernel_t** out_object);

/* ------------------------------------------------------------------------------------------------------------------
 * Memory
 * --------------------------------------------------------------------------------------------------------------- */

typedef int32_t flagos_memory_kind_t;
enum {
  FLAGOS_MEMORY_KIND_UNKNOWN = 0, /* comes out only: ordinary host memory, or freed, or of nobody */
  FLAGOS_MEMORY_KIND_DEVICE = 1,
  FLAGOS_MEMORY_KIND_PINNED = 2,    /* host memory that the device reaches; the address is a host pointer */
  FLAGOS_MEMORY_KIND_MANAGED = 3,   /* one address for host and device */
  FLAGOS_MEMORY_KIND_REGISTERED = 4 /* comes out only: host memory given to flagos_memory_host_register */
};

/* For flagos_memory_desc_t.flags. */
enum {
  FLAGOS_MEMORY_FLAG_ZERO = 1,      /* the bytes are zero */
  FLAGOS_MEMORY_FLAG_EXPORTABLE = 2 /* flagos_memory_export takes it; UNSUPPORTED where the device cannot */
};

typedef struct flagos_memory_desc_t {
  uint32_t struct_size;
  flagos_memory_kind_t kind;
  const flagos_extension_t* next;
  uint64_t size_bytes;      /* 0 gives an address that can be freed and not used */
  uint64_t alignment_bytes; /* 0: the device's allocation_alignment; else a power of two, at most 64 KiB */
  uint64_t flags;
} flagos_memory_desc_t;

typedef struct flagos_memory_info_t {
  uint32_t struct_size;
  flagos_memory_kind_t kind;
  flagos_address_t base; /* of the allocation; 0 when the kind is UNKNOWN */
  uint64_t size_bytes;   /* of the allocation */
  uint32_t device_index; /* of the device it was allocated on; UINT32_MAX when unknown */
  uint32_t padding;      /* 0 */
} flagos_memory_info_t;

typedef struct flagos_copy_2d_desc_t {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  const flagos_extension_t* next;
  flagos_address_t target;
  flagos_address_t source;
  uint64_t target_pitch_bytes; /* from row to row, at least width_bytes */
  uint64_t source_pitch_bytes;
  uint64_t width_bytes; /* of a row; bytes between rows stay untouched */
  uint64_t height;      /* rows */
} flagos_copy_2d_desc_t;

/**
 * Allocates memory that `device` can use. Its bytes are undefined without FLAGOS_MEMORY_FLAG_ZERO.
 *
 * @param out_address  aligned to the larger of desc->alignment_bytes and the device's allocation_alignment
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT       a kind that cannot be allocated; an alignment that is no power of two
 *                                              or above 64 KiB
 * @retval FLAGOS_STATUS_UNSUPPORTED            the device has no memory of this kind; an unknown flag
 * @retval FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY   not enough, also for sizes above max_allocation_bytes
 * @retval FLAGOS_STATUS_OUT_OF_HOST_MEMORY     the same for pinned memory
 *
 * Threads: any thread.  Ownership: flagos_memory_free.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_alloc(flagos_device_t* device, const flagos_memory_desc_t* desc,
                                               flagos_address_t* out_address);

/**
 * Frees an allocation. Work submitted before this call may still use it: the release waits for that work, this call
 * does not.
 *
 * @param address  as flagos_memory_alloc gave it; 0 does nothing
 * @retval FLAGOS_STATUS_INVALID_HANDLE  not the start of a live allocation of this open device: freed already,
 *                                       interior, of another device, of a pool, or of nobody
 *
 * Threads: any thread.  Ownership: takes the memory.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_free(flagos_device_t* device, flagos_address_t address);

/**
 * Lets the device use host memory that the caller owns, as pinned memory.
 *
 * @param flags         0
 * @param out_address   the address that the device uses; on most chips the same number as `pointer`
 * @retval FLAGOS_STATUS_UNSUPPORTED       the plugin cannot
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  size 0, or overlap with memory that is registered or allocated already
 *
 * Threads: any thread.  Ownership: borrows the memory until flagos_memory_host_unregister.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_host_register(flagos_device_t* device, void* pointer, uint64_t size_bytes,
                                                       uint32_t flags, flagos_address_t* out_address);

/**
 * Ends a registration, after the work submitted before has passed (this call waits for it).
 *
 * @retval FLAGOS_STATUS_INVALID_HANDLE  `pointer` is not the start of a live registration of this open device
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_host_unregister(flagos_device_t* device, void* pointer);

/**
 * What lies at an address: the allocation that contains it. An address of nobody is an answer, kind UNKNOWN.
 *
 * Threads: any thread.  Callback: yes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_get_info(flagos_device_t* device, flagos_address_t address,
                                                  flagos_memory_info_t* out_info);

/**
 * Queues a copy of `size_bytes` bytes from `source` to `target` on `stream`, between any two kinds of memory.
 *
 * Returns when the copy is queued, not when it is done. Both ranges must stay allocated until the stream has passed
 * this point. A range in no known allocation is ordinary host memory; a copy from or to it may be synchronous where
 * FLAGOS_DEVICE_CAPABILITY_PAGEABLE_COPY_SYNC says so.
 *
 * @param target      first byte written; device, managed or host memory
 * @param source      first byte read; ranges that overlap are copied as if through a buffer (memmove)
 * @param size_bytes  0 is allowed and queues nothing
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  address 0, a range past its allocation, or one that wraps around
 *
 * Threads: any thread.  Ownership: borrows everything.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_copy(flagos_stream_t* stream, flagos_address_t target, flagos_address_t source,
                                              uint64_t size_bytes);

/**
 * Queues a copy between memory of two devices, of one plugin or of two, on a stream of either. It runs behind the work
 * before it on `stream`, and the work behind it waits; other streams must be ordered by events.
 *
 * Within one plugin that can, the devices copy by themselves; else core moves the bytes through pinned memory in two
 * halves that overlap. A failure on either side poisons `stream`.
 *
 * @param target         first byte written; memory of `target_device`
 * @param target_device  an open device; may be the same as source_device, then this is flagos_memory_copy
 * @param source         first byte read; memory of `source_device`
 * @param size_bytes     0 is allowed and queues nothing
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  `stream` belongs to neither device; a range past its allocation, address 0;
 *                                         devices of two runtimes
 * @retval FLAGOS_STATUS_NOT_PERMITTED     the stream is capturing (the capture is invalidated), unless both are one
 *                                         device
 *
 * Threads: any thread.  Ownership: borrows everything.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_copy_peer(flagos_stream_t* stream, flagos_address_t target,
                                                   flagos_device_t* target_device, flagos_address_t source,
                                                   flagos_device_t* source_device, uint64_t size_bytes);

/**
 * Queues a copy of `height` rows of `width_bytes` bytes. Emulated row by row where the plugin has no such copy.
 *
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  address 0, pitch below width, a range past its allocation or one that wraps
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_copy_2d(flagos_stream_t* stream, const flagos_copy_2d_desc_t* desc);

/**
 * Queues filling `size_bytes` bytes with a repeated pattern. The pattern is read before the call returns.
 *
 * @param target              aligned to pattern_size_bytes
 * @param pattern_size_bytes  1, 2, 4, 8 or 16
 * @param size_bytes          a multiple of pattern_size_bytes; 0 queues nothing
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  another pattern size, a misaligned target, a size that is no multiple,
 *                                         address 0, a range past its allocation
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_fill(flagos_stream_t* stream, flagos_address_t target, const void* pattern,
                                              uint32_t pattern_size_bytes, uint64_t size_bytes);

/* The most bytes flagos_memory_update takes. */
#define FLAGOS_MEMORY_UPDATE_MAX 65536u

/**
 * Queues writing a few bytes that are captured before the call returns: `data` may change or go away at once.
 *
 * @param size_bytes  at most FLAGOS_MEMORY_UPDATE_MAX
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  too many bytes, address 0, a range past its allocation
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_update(flagos_stream_t* stream, flagos_address_t target, const void* data,
                                                uint64_t size_bytes);

/**
 * Hints that managed memory will be used by the stream's device next.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED       the plugin has no prefetch
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  the range does not lie in one managed allocation
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_prefetch(flagos_stream_t* stream, flagos_address_t address,
                                                  uint64_t size_bytes);

/* ------------------------------------------------------------------------------------------------------------------
 * Memory pool: a caching, stream-ordered allocator; the default way for frameworks
 * --------------------------------------------------------------------------------------------------------------- */

typedef struct flagos_memory_pool_desc_t {
  uint32_t struct_size;
  flagos_memory_kind_t kind; /* DEVICE, PINNED or MANAGED */
  const flagos_extension_t* next;
  uint64_t flags;       /* 0 */
  uint64_t limit_bytes; /* the most the pool may hold; 0: no limit */
} flagos_memory_pool_desc_t;

typedef struct flagos_memory_pool_statistics_t {
  uint32_t struct_size;
  uint32_t padding;             /* 0 */
  uint64_t used_bytes;          /* in live blocks, as rounded by the pool */
  uint64_t used_high_bytes;     /* the most ever used */
  uint64_t reserved_bytes;      /* held from the device; at least used_bytes */
  uint64_t reserved_high_bytes; /* the most ever held */
  uint64_t live_blocks;
  uint64_t allocations;        /* calls that succeeded */
  uint64_t device_allocations; /* how many of them had to ask the device */
} flagos_memory_pool_statistics_t;

/**
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a kind that cannot be allocated
 * @retval FLAGOS_STATUS_UNSUPPORTED       the device has no memory of this kind
 *
 * Threads: any thread.  Ownership: flagos_memory_pool_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_pool_create(flagos_device_t* device, const flagos_memory_pool_desc_t* desc,
                                                     flagos_memory_pool_t** out_pool);

/**
 * Gives all memory back after pending work.
 *
 * @retval FLAGOS_STATUS_BUSY  blocks are live; nothing was destroyed
 *
 * Threads: any thread.  Ownership: takes `pool`; NULL does nothing.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_pool_destroy(flagos_memory_pool_t* pool);

/**
 * Takes a block that work on `stream` may use from here on. Other streams may use it after an event recorded on
 * `stream` after this call.
 *
 * @param size_bytes   0 gives an address that can be freed and not used
 * @param out_address  aligned to the device's allocation_alignment
 * @retval FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY  the device or the limit; free cached blocks were given back and tried
 *
 * Threads: any thread.  Ownership: flagos_memory_pool_free.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_pool_alloc(flagos_memory_pool_t* pool, flagos_stream_t* stream,
                                                    uint64_t size_bytes, flagos_address_t* out_address);

/**
 * Gives a block back once `stream` has passed this point. The same stream may reuse it at once, others not before.
 *
 * @param address  as flagos_memory_pool_alloc gave it; 0 does nothing
 * @retval FLAGOS_STATUS_INVALID_HANDLE  not a live block of this pool, or `stream` is not a live stream
 *
 * Threads: any thread.  Ownership: takes the block.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_pool_free(flagos_memory_pool_t* pool, flagos_stream_t* stream,
                                                   flagos_address_t address);

/** Gives unused memory back to the device until at most keep_bytes are held. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_memory_pool_trim(flagos_memory_pool_t* pool, uint64_t keep_bytes);

/** Changes the limit; 0: no limit. Blocks that live stay. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_memory_pool_set_limit(flagos_memory_pool_t* pool, uint64_t limit_bytes);

/** A consistent snapshot. Threads: any thread.  Callback: yes.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_memory_pool_get_statistics(flagos_memory_pool_t* pool,
                                                             flagos_memory_pool_statistics_t* out_statistics);

/* ------------------------------------------------------------------------------------------------------------------
 * Stream: an ordered queue of work
 * --------------------------------------------------------------------------------------------------------------- */

typedef struct flagos_stream_desc_t {
  uint32_t struct_size;
  int32_t priority; /* in [priority_high, priority_low] of the device; 0 is the default */
  const flagos_extension_t* next;
  uint64_t flags; /* 0 */
} flagos_stream_desc_t;

/* `status` is OK, or why the stream was poisoned. May call only functions marked "Callback: yes". */
typedef void (*flagos_host_function_t)(void* user_data, flagos_status_t status);

/* For flagos_stream_wait_value. */
typedef int32_t flagos_compare_t;
enum {
  FLAGOS_COMPARE_EQUAL = 0,
  FLAGOS_COMPARE_GREATER_EQUAL =
      1 /* unsigned; values that are half of the range or more apart compare as the chip does */
};

/**
 * @param desc  NULL: default priority
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  priority outside the device's range
 *
 * Threads: any thread.  Ownership: flagos_stream_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_create(flagos_device_t* device, const flagos_stream_desc_t* desc,
                                                flagos_stream_t** out_stream);

/** Pending work completes. Threads: any thread.  Ownership: takes `stream`; NULL does nothing.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_stream_destroy(flagos_stream_t* stream);

/**
 * Whether all work is done, without waiting.
 *
 * @param out_complete  1 or 0; both are answers, returned with OK
 *
 * Threads: any thread.  Callback: yes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_query(flagos_stream_t* stream, uint32_t* out_complete);

/**
 * Waits for all work submitted to the stream before the call; its effects are visible to the host then.
 *
 * @retval FLAGOS_STATUS_TIMEOUT        not done in timeout_ns
 * @retval FLAGOS_STATUS_NOT_PERMITTED  the stream is capturing (the capture is invalidated)
 * @retval FLAGOS_STATUS_CANCELLED      the stream was destroyed meanwhile
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_synchronize(flagos_stream_t* stream, uint64_t timeout_ns);

/**
 * Later work of `stream` waits for the record of `event` that came before this call. A never-recorded event counts
 * as complete. The event may be of another device.
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_wait_event(flagos_stream_t* stream, flagos_event_t* event);

/**
 * Later work of `stream` waits until `timeline` is at or above `value`, which may be signalled later.
 * A failed timeline poisons the stream with its status.
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_wait_timeline(flagos_stream_t* stream, flagos_timeline_t* timeline,
                                                       uint64_t value);

/**
 * Signals `timeline` with `value` when the work before is done. If the stream is poisoned by then the timeline fails
 * with that status, so that nobody hangs; so it does when `value` is not above the timeline's value at that moment.
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_signal_timeline(flagos_stream_t* stream, flagos_timeline_t* timeline,
                                                         uint64_t value);

/**
 * Calls `function(user_data, status)` once, after the work before and before the work behind, never on a thread of
 * the application. On a poisoned stream it is called too, with the stream's status.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED  only where FLAGOS_FEATURE_HOST_CALLBACK is absent
 *
 * Threads: any thread.  Ownership: user_data stays the caller's.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_launch_host(flagos_stream_t* stream, flagos_host_function_t function,
                                                     void* user_data);

/**
 * Queues writing an unsigned integer of 4 or 8 bytes, visible to the host and to other streams when it is done.
 *
 * @param target      aligned to size_bytes
 * @param size_bytes  4 or 8
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  another size, misaligned, a range past its allocation
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_write_value(flagos_stream_t* stream, flagos_address_t target, uint64_t value,
                                                     uint32_t size_bytes);

/**
 * Later work waits until the unsigned integer of 4 or 8 bytes at `source` compares with `value`.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED       the plugin cannot
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  another size, misaligned, a range past its allocation, another comparison
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_wait_value(flagos_stream_t* stream, flagos_address_t source, uint64_t value,
                                                    uint32_t size_bytes, flagos_compare_t compare);

/**
 * Makes a poisoned stream usable again, after its skipped work. On a healthy stream it does nothing.
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_reset(flagos_stream_t* stream);

/** The open device that a stream belongs to. Threads: any thread.  Callback: yes.  Ownership: borrowed.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_stream_get_device(flagos_stream_t* stream, flagos_device_t** out_device);

/* ------------------------------------------------------------------------------------------------------------------
 * Event: a point in a stream
 * --------------------------------------------------------------------------------------------------------------- */

/* For flagos_event_desc_t.flags. */
enum {
  FLAGOS_EVENT_FLAG_NO_TIMING = 1,     /* cheaper; flagos_event_get_elapsed refuses it */
  FLAGOS_EVENT_FLAG_BLOCKING_SYNC = 2, /* host waits sleep instead of spinning */
  FLAGOS_EVENT_FLAG_EXPORTABLE = 4     /* flagos_event_export takes it; only together with NO_TIMING */
};

typedef struct flagos_event_desc_t {
  uint32_t struct_size;
  uint32_t flags;
  const flagos_extension_t* next;
} flagos_event_desc_t;

/** @param desc  NULL: with timing. Threads: any thread.  Ownership: flagos_event_destroy.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_event_create(flagos_device_t* device, const flagos_event_desc_t* desc,
                                               flagos_event_t** out_event);

/** Waits that were queued are honoured. Threads: any thread.  Ownership: takes `event`; NULL does nothing.
 *  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_event_destroy(flagos_event_t* event);

/**
 * Marks the point behind all work submitted to `stream` so far. A new record forgets the old one; waits that were
 * queued before keep to the old one.
 *
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  the stream is of another open device than the event
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_event_record(flagos_event_t* event, flagos_stream_t* stream);

/**
 * Whether the last record is complete, without waiting. A never-recorded event is complete.
 *
 * @param out_complete  1 or 0; both are answers, returned with OK
 * @retval the status of the poisoned stream it was recorded on
 *
 * Threads: any thread.  Callback: yes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_event_query(flagos_event_t* event, uint32_t* out_complete);

/**
 * Waits for the record that came before this call.
 *
 * @retval FLAGOS_STATUS_TIMEOUT  not done in timeout_ns
 * @retval the status of the poisoned stream it was recorded on
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_event_synchronize(flagos_event_t* event, uint64_t timeout_ns);

/**
 * Time on the device's clock between two completed records.
 *
 * @param out_elapsed_ns  end - start; negative if `end` came first
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  an event was never recorded, has no timing, or is of another open device
 * @retval FLAGOS_STATUS_NOT_READY         a record is not complete yet
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_event_get_elapsed(flagos_event_t* start, flagos_event_t* end,
                                                    int64_t* out_elapsed_ns);

/* ------------------------------------------------------------------------------------------------------------------
 * Timeline: a 64-bit value that only grows; host and streams signal it and wait for it
 * --------------------------------------------------------------------------------------------------------------- */

/** @param initial_value  what a query returns first. Threads: any thread.  Ownership: flagos_timeline_destroy.
 *  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_timeline_create(flagos_device_t* device, uint64_t initial_value,
                                                  flagos_timeline_t** out_timeline);

/** Waits that are pending, on host and streams, end with CANCELLED. Threads: any thread.  Ownership: takes `timeline`;
 *  NULL does nothing.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_timeline_destroy(flagos_timeline_t* timeline);

/**
 * The value reached so far.
 *
 * @retval the status of a failed timeline
 *
 * Threads: any thread.  Callback: yes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_timeline_query(flagos_timeline_t* timeline, uint64_t* out_value);

/**
 * Signals from the host: releases every wait for `value` or less.
 *
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  value is not above the current one; the text says which that is
 * @retval the status of a failed timeline
 *
 * Threads: any thread.  Callback: yes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_timeline_signal(flagos_timeline_t* timeline, uint64_t value);

/* For flagos_timeline_wait. */
typedef int32_t flagos_wait_mode_t;
enum { FLAGOS_WAIT_MODE_ALL = 0, FLAGOS_WAIT_MODE_ANY = 1 };

/**
 * Waits on the host until all, or any, of `count` timelines have reached their values.
 *
 * @param count      0: OK at once. At most 65536.
 * @param timelines  [count]; duplicates are allowed; devices and plugins may be mixed
 * @param values     [count]
 * @param out_index  with ANY: which one was reached, the lowest if several; may be NULL
 * @retval FLAGOS_STATUS_TIMEOUT  not reached in timeout_ns
 * @retval the status of a failed timeline, at once, also with ANY if none is reached
 *
 * Threads: any thread.  Ownership: the arrays are read before the call waits.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_timeline_wait(uint32_t count, flagos_timeline_t* const* timelines,
                                                const uint64_t* values, flagos_wait_mode_t mode, uint64_t timeout_ns,
                                                uint32_t* out_index);

/**
 * Fails a timeline for good: waits, now and later, return `status`. A second failure keeps the first.
 *
 * @param status  not of class 0
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  status is of class 0
 *
 * Threads: any thread.  Callback: yes.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_timeline_fail(flagos_timeline_t* timeline, flagos_status_t status);

/* ------------------------------------------------------------------------------------------------------------------
 * Module: device code
 * --------------------------------------------------------------------------------------------------------------- */

/* For flagos_format_info_t.flags. */
enum {
  FLAGOS_FORMAT_FLAG_LOAD = 1,      /* flagos_module_load takes it */
  FLAGOS_FORMAT_FLAG_COMPILE = 2,   /* flagos_module_compile takes it */
  FLAGOS_FORMAT_FLAG_PATH = 4,      /* may be given as a path */
  FLAGOS_FORMAT_FLAG_REFLECTION = 8 /* kernels know their parameters; else the caller gives them */
};

/* One format of device code that a device takes. */
typedef struct flagos_format_info_t {
  uint32_t struct_size;
  uint32_t flags;
  char name[32];    /* such as "elf-so", "spirv", "flagos.tile" */
  char version[16]; /* the newest version taken, such as "1.0" */
  char target[64];  /* what binaries are made for, such as "x86_64"; "" for portable text */
  int32_t priority; /* a larger one is preferred */
  flagos_schedule_class_t schedule_class;
} flagos_format_info_t;

typedef struct flagos_module_desc_t {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  const flagos_extension_t* next;
  const char* format;  /* the name of a format of the device */
  const char* path;    /* a file with the image, or NULL: */
  const void* data;    /* the image; read before the call returns, any alignment */
  uint64_t size_bytes; /* of data */
  const char* options; /* for the compiler; NULL: none */
} flagos_module_desc_t;

/* One parameter of a kernel. This struct never grows. */
typedef struct flagos_parameter_t {
  flagos_dtype_t dtype;     /* FLAGOS_DTYPE_ADDRESS for memory, FLAGOS_DTYPE_BYTES for a struct by value */
  uint32_t size_bytes;      /* 1 .. max_argument_bytes */
  uint32_t alignment_bytes; /* a power of two, at most 64 */
  uint32_t offset_bytes;    /* in the packed argument block, a multiple of the alignment */
} flagos_parameter_t;

typedef struct flagos_kernel_desc_t {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  const flagos_extension_t* next;
  const char* name;
  const flagos_parameter_t* parameters; /* the signature, where the format has no reflection; NULL: not given */
  uint32_t parameter_count;
  uint32_t padding; /* 0 */
} flagos_kernel_desc_t;

/** How many formats the device takes. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_module_get_format_count(flagos_device_t* device, uint32_t* out_count);

/** @retval FLAGOS_STATUS_NOT_FOUND  index is at or past the count. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_module_get_format(flagos_device_t* device, uint32_t index,
                                                    flagos_format_info_t* out_info);

/**
 * Turns source or portable code into a binary that flagos_module_load takes, without running anything.
 *
 * @param out_blob  the binary and the compiler's messages. Also given on COMPILE_FAILED, then with messages only:
 *                  this is the one exception to "out parameters are cleared".
 * @retval FLAGOS_STATUS_UNSUPPORTED       no such format with FLAGOS_FORMAT_FLAG_COMPILE; the text lists the formats
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  neither or both of path and data
 * @retval FLAGOS_STATUS_NOT_FOUND         no file at path
 * @retval FLAGOS_STATUS_COMPILE_FAILED    see flagos_blob_get_log
 *
 * Threads: any thread.  Ownership: flagos_blob_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_module_compile(flagos_device_t* device, const flagos_module_desc_t* desc,
                                                 flagos_blob_t** out_blob);

/**
 * The binary, and the format under which it loads.
 *
 * @param out_format  may be NULL; a name of flagos_module_get_format
 *
 * Threads: any thread.  Ownership: borrowed until flagos_blob_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_blob_get_data(flagos_blob_t* blob, const void** out_data, uint64_t* out_size_bytes,
                                                const char** out_format);

/** The compiler's messages, "" if none. Threads: any thread.  Ownership: borrowed until flagos_blob_destroy.
 *  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_blob_get_log(flagos_blob_t* blob, const char** out_text);

/** Threads: any thread.  Ownership: takes `blob`; NULL does nothing.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_blob_destroy(flagos_blob_t* blob);

/**
 * Loads device code from memory or from a file. The image is not needed afterwards.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED       no such format with FLAGOS_FORMAT_FLAG_LOAD, or an image for another target
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  neither or both of path and data
 * @retval FLAGOS_STATUS_NOT_FOUND         no file at path
 * @retval FLAGOS_STATUS_INVALID_IMAGE     empty, truncated or not of the format
 *
 * Threads: any thread.  Ownership: flagos_module_unload.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_module_load(flagos_device_t* device, const flagos_module_desc_t* desc,
                                              flagos_module_t** out_module);

/** Its kernels go with it, after pending launches. Threads: any thread.  Ownership: takes `module`; NULL does nothing.
 *  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_module_unload(flagos_module_t* module);

/**
 * What the plugin said while loading. Two calls: the first with capacity 0, which is OK and gives the size.
 *
 * @param capacity_bytes  of `text`
 * @param text            may be NULL when capacity_bytes is 0
 * @param out_size_bytes  with the terminating NUL; also written on BUFFER_TOO_SMALL
 * @retval FLAGOS_STATUS_BUFFER_TOO_SMALL  text is untouched
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_module_get_log(flagos_module_t* module, uint64_t capacity_bytes, char* text,
                                                 uint64_t* out_size_bytes);

/**
 * A kernel by its exact name. Two calls with one name and signature give the same handle.
 *
 * @param desc  the signature may be left out: then the launch passes the block on as it is
 * @retval FLAGOS_STATUS_NOT_FOUND         no kernel of that name; the text lists those there are
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  an empty name; a signature that overlaps or is misaligned, or contradicts
 *                                         the kernel's own
 *
 * Threads: any thread.  Ownership: the module's; gone with flagos_module_unload.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_module_get_kernel(flagos_module_t* module, const flagos_kernel_desc_t* desc,
                                                    flagos_kernel_t** out_kernel);

/** How many kernels the module has. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_module_get_kernel_count(flagos_module_t* module, uint32_t* out_count);

/** @param out_name  borrowed until the module is unloaded. @retval FLAGOS_STATUS_NOT_FOUND  index is past the count.
 *  Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_module_get_kernel_name(flagos_module_t* module, uint32_t index,
                                                         const char** out_name);

/**
 * A global variable of the module.
 *
 * @retval FLAGOS_STATUS_NOT_FOUND    no global of that name
 * @retval FLAGOS_STATUS_UNSUPPORTED  the plugin has no globals
 *
 * Threads: any thread.  Ownership: the module's.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_module_get_global(flagos_module_t* module, const char* name,
                                                    flagos_address_t* out_address, uint64_t* out_size_bytes);

/**
 * The loaded image, to be cached and loaded again. Two calls as flagos_module_get_log.
 *
 * @retval FLAGOS_STATUS_BUFFER_TOO_SMALL  data is untouched
 * @retval FLAGOS_STATUS_UNSUPPORTED       the plugin does not keep it
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_module_get_binary(flagos_module_t* module, uint64_t capacity_bytes, void* data,
                                                    uint64_t* out_size_bytes);

/* ------------------------------------------------------------------------------------------------------------------
 * Kernel
 * --------------------------------------------------------------------------------------------------------------- */

/* For flagos_kernel_info_t.flags. */
enum { FLAGOS_KERNEL_FLAG_SIGNATURE = 1 /* the parameters are known: arguments are checked against them */ };

typedef struct flagos_kernel_info_t {
  uint32_t struct_size;
  uint32_t flags;
  char name[256];
  uint32_t parameter_count;   /* 0 without a signature */
  uint32_t argument_bytes;    /* of the packed block; 0 without a signature */
  uint32_t max_block_threads; /* for this kernel */
  uint32_t static_shared_bytes;
  uint32_t registers; /* of a thread; 0: not known */
  uint32_t padding;   /* 0 */
} flagos_kernel_info_t;

/* One argument in the convenient form. This struct never grows. */
typedef struct flagos_argument_t {
  flagos_dtype_t dtype;
  uint32_t size_bytes; /* of FLAGOS_DTYPE_BYTES; else 0 or the size of the dtype */
  uint64_t value;      /* the value's bytes from the first on; for FLAGOS_DTYPE_BYTES the address of the bytes */
} flagos_argument_t;

/* For flagos_launch_desc_t.flags. UNSUPPORTED where the device's capabilities do not have it. */
enum {
  /* All blocks of the grid are on the device at once, so they may wait for each other. The grid has at most
     flagos_kernel_get_occupancy x compute_units blocks. */
  FLAGOS_LAUNCH_FLAG_COOPERATIVE = 1
};
/* The same, or'ed to the flags: x * y * z blocks each are a cluster, whose blocks run at once and reach each other's shared
   memory. Each of them is 1 to 255 and divides its dimension of the grid; a chip may allow no more than 8 blocks. */
#define FLAGOS_LAUNCH_CLUSTER(x, y, z) ((uint32_t)(x) << 8 | (uint32_t)(y) << 16 | (uint32_t)(z) << 24)

typedef struct flagos_launch_desc_t {
  uint32_t struct_size;
  uint32_t flags; /* FLAGOS_LAUNCH_FLAG_*, FLAGOS_LAUNCH_CLUSTER */
  const flagos_extension_t* next;
  uint32_t grid[3];  /* blocks; programs of a kernel of flagos.tile */
  uint32_t block[3]; /* threads of a block; 1, 1, 1 for a kernel of flagos.tile, whose shared_bytes are 0 */
  uint32_t shared_bytes;
  uint32_t argument_count;
  const void* argument_block;         /* packed as the parameters say; NULL when `arguments` is given or none */
  uint64_t argument_bytes;            /* of argument_block; with a signature exactly kernel_info.argument_bytes */
  const flagos_argument_t* arguments; /* [argument_count], each packed at its parameter's offset, or without a
                                         signature one behind the other at natural alignment */
} flagos_launch_desc_t;

/** @retval FLAGOS_STATUS_INVALID_STRUCT_SIZE  below the 1.0 size. Threads: any thread.  Callback: yes.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_kernel_get_info(flagos_kernel_t* kernel, flagos_kernel_info_t* out_info);

/** @retval FLAGOS_STATUS_NOT_FOUND  index is at or past the count. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_kernel_get_parameter(flagos_kernel_t* kernel, uint32_t index,
                                                       flagos_parameter_t* out_parameter);

/**
 * Queues one launch. The argument block, or the arguments, are copied before the call returns.
 *
 * @param desc  a zero grid or block dimension: OK and nothing is queued
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a dimension, thread count, shared_bytes or argument size above the device's
 *                                         or kernel's limit; arguments that do not fit the signature; a kernel of
 *                                         another open device; both argument forms at once
 *
 * Threads: any thread.  Ownership: borrows everything.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_kernel_launch(flagos_stream_t* stream, flagos_kernel_t* kernel,
                                                const flagos_launch_desc_t* desc);

/**
 * How many blocks of this shape run at once on one compute unit.
 *
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a block above the limits
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_kernel_get_occupancy(flagos_kernel_t* kernel, uint32_t block_threads,
                                                       uint32_t shared_bytes, uint32_t* out_blocks);

/** A number of threads per block that keeps the device busy. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_kernel_suggest_block(flagos_kernel_t* kernel, uint32_t shared_bytes,
                                                       uint32_t* out_block_threads);

/**
 * Checks and stores a launch, to be repeated cheaply.
 *
 * @retval as flagos_kernel_launch
 *
 * Threads: any thread.  Ownership: flagos_prepared_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_kernel_prepare(flagos_kernel_t* kernel, const flagos_launch_desc_t* desc,
                                                 flagos_prepared_t** out_prepared);

/** Queues a prepared launch. @retval FLAGOS_STATUS_INVALID_ARGUMENT  a stream of another open device.
 *  Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_kernel_launch_prepared(flagos_stream_t* stream, flagos_prepared_t* prepared);

/** Threads: any thread.  Ownership: takes `prepared`; NULL does nothing.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_prepared_destroy(flagos_prepared_t* prepared);

/* ------------------------------------------------------------------------------------------------------------------
 * Graph: work recorded once and launched many times
 * --------------------------------------------------------------------------------------------------------------- */

/* A node, valid in its graph only. 0 is none. */
typedef uint64_t flagos_graph_node_t;

typedef int32_t flagos_graph_node_type_t;
enum {
  FLAGOS_GRAPH_NODE_TYPE_EMPTY = 0,        /* payload: NULL; joins dependencies */
  FLAGOS_GRAPH_NODE_TYPE_KERNEL = 1,       /* payload: flagos_kernel_node_desc_t */
  FLAGOS_GRAPH_NODE_TYPE_COPY = 2,         /* payload: flagos_copy_node_desc_t */
  FLAGOS_GRAPH_NODE_TYPE_COPY_2D = 3,      /* payload: flagos_copy_2d_desc_t */
  FLAGOS_GRAPH_NODE_TYPE_FILL = 4,         /* payload: flagos_fill_node_desc_t */
  FLAGOS_GRAPH_NODE_TYPE_HOST = 5,         /* payload: flagos_host_node_desc_t */
  FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD = 6, /* payload: flagos_event_node_desc_t */
  FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT = 7,   /* payload: flagos_event_node_desc_t */
  FLAGOS_GRAPH_NODE_TYPE_CHILD = 8,        /* payload: flagos_child_node_desc_t */
  FLAGOS_GRAPH_NODE_TYPE_OPERATOR = 9,     /* a captured flagos_operator_run; cannot be added or changed by hand */
  FLAGOS_GRAPH_NODE_TYPE_COLLECTIVE = 10   /* captured collectives, of one call or one group; likewise */
};

typedef struct flagos_kernel_node_desc_t {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  flagos_kernel_t* kernel;
  const flagos_launch_desc_t* launch; /* copied, with its arguments */
} flagos_kernel_node_desc_t;

typedef struct flagos_copy_node_desc_t {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  flagos_address_t target;
  flagos_address_t source;
  uint64_t size_bytes;
} flagos_copy_node_desc_t;

typedef struct flagos_fill_node_desc_t {
  uint32_t struct_size;
  uint32_t pattern_size_bytes; /* 1, 2, 4, 8, 16 */
  flagos_address_t target;
  uint64_t size_bytes;
  uint8_t pattern[16];
} flagos_fill_node_desc_t;

typedef struct flagos_host_node_desc_t {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  flagos_host_function_t function;
  void* user_data;
} flagos_host_node_desc_t;

typedef struct flagos_event_node_desc_t {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  flagos_event_t* event;
} flagos_event_node_desc_t;

typedef struct flagos_child_node_desc_t {
  uint32_t struct_size;
  uint32_t flags;        /* 0 */
  flagos_graph_t* graph; /* copied: later changes of it have no effect */
} flagos_child_node_desc_t;

typedef struct flagos_graph_node_desc_t {
  uint32_t struct_size;
  flagos_graph_node_type_t type;
  const flagos_extension_t* next;
  const void* payload;                     /* as the type says */
  const flagos_graph_node_t* dependencies; /* [dependency_count]; a duplicate counts once */
  uint64_t dependency_count;
} flagos_graph_node_desc_t;

typedef struct flagos_graph_info_t {
  uint32_t struct_size;
  uint32_t padding; /* 0 */
  uint64_t node_count;
  uint64_t edge_count;
} flagos_graph_info_t;

typedef struct flagos_graph_node_info_t {
  uint32_t struct_size;
  flagos_graph_node_type_t type;
  uint64_t dependency_count;
} flagos_graph_node_info_t;

/** An empty graph for one device. Threads: any thread.  Ownership: flagos_graph_destroy.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_graph_create(flagos_device_t* device, flagos_graph_t** out_graph);

/** Executables made from it live on. Threads: any thread.  Ownership: takes `graph`; NULL does nothing.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_graph_destroy(flagos_graph_t* graph);

/** An independent copy; node values of the original are valid in it too. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_graph_clone(flagos_graph_t* graph, flagos_graph_t** out_graph);

/**
 * Adds a node behind its dependencies. Everything it points to is copied.
 *
 * @retval FLAGOS_STATUS_INVALID_GRAPH     a dependency that is not a node of this graph; a child that is this graph
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a payload that its stream function would refuse
 *
 * Threads: one at a time per graph is enough; several are ordered internally.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_graph_add_node(flagos_graph_t* graph, const flagos_graph_node_desc_t* desc,
                                                 flagos_graph_node_t* out_node);

/**
 * Adds edges between nodes that exist: `to` runs after `from`.
 *
 * @retval FLAGOS_STATUS_INVALID_GRAPH  a foreign node, or an edge that closes a cycle
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_graph_add_dependency(flagos_graph_t* graph, flagos_graph_node_t from,
                                                       flagos_graph_node_t to);

/** Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_graph_get_info(flagos_graph_t* graph, flagos_graph_info_t* out_info);

/**
 * The nodes in the order in which they were added.
 *
 * @param capacity   of out_nodes, in nodes; 0 is OK and gives the count
 * @param out_nodes  may be NULL when capacity is 0
 * @param out_count  how many there are; also written on BUFFER_TOO_SMALL
 * @retval FLAGOS_STATUS_BUFFER_TOO_SMALL  out_nodes is untouched
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_graph_get_nodes(flagos_graph_t* graph, uint64_t capacity,
                                                  flagos_graph_node_t* out_nodes, uint64_t* out_count);

/** @retval FLAGOS_STATUS_INVALID_GRAPH  not a node of this graph. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_graph_get_node_info(flagos_graph_t* graph, flagos_graph_node_t node,
                                                      flagos_graph_node_info_t* out_info);

/** The nodes that `node` runs after; sizes as flagos_graph_get_nodes. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_graph_get_dependencies(flagos_graph_t* graph, flagos_graph_node_t node,
                                                         uint64_t capacity, flagos_graph_node_t* out_nodes,
                                                         uint64_t* out_count);

/** The graph as text in the DOT language; sizes as flagos_module_get_log. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_graph_dump(flagos_graph_t* graph, uint64_t capacity_bytes, char* text,
                                             uint64_t* out_size_bytes);

/** Makes an executable; the graph may change or go away afterwards. Threads: any thread.
 *  Ownership: flagos_graph_exec_destroy.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_graph_instantiate(flagos_graph_t* graph, flagos_graph_exec_t** out_exec);

/** A launch that runs completes. Threads: any thread.  Ownership: takes `exec`; NULL does nothing.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_graph_exec_destroy(flagos_graph_exec_t* exec);

/**
 * Queues one run of the whole graph on `stream`. Runs of one executable never overlap, on whatever streams.
 *
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a stream of another open device
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_graph_exec_launch(flagos_graph_exec_t* exec, flagos_stream_t* stream);

/**
 * Takes all parameters from a graph of the same topology: nodes of the same types and edges in the same order.
 * Launches queued before keep the old parameters.
 *
 * @retval FLAGOS_STATUS_GRAPH_MISMATCH  the text names the first difference; the executable is unchanged
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_graph_exec_update(flagos_graph_exec_t* exec, flagos_graph_t* graph);

/**
 * Changes the parameters of one node. desc->type must be the node's; desc->dependencies is not read.
 * Launches queued before keep the old parameters.
 *
 * @param node  of the graph that the executable was made from
 * @retval FLAGOS_STATUS_INVALID_GRAPH     not such a node
 * @retval FLAGOS_STATUS_GRAPH_MISMATCH    another type; a child of other topology
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a payload that its stream function would refuse
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_graph_exec_set_node(flagos_graph_exec_t* exec, flagos_graph_node_t node,
                                                      const flagos_graph_node_desc_t* desc);

typedef int32_t flagos_capture_status_t;
enum {
  FLAGOS_CAPTURE_STATUS_NONE = 0,
  FLAGOS_CAPTURE_STATUS_ACTIVE = 1,
  FLAGOS_CAPTURE_STATUS_INVALIDATED = 2 /* a forbidden call was made; flagos_stream_end_capture says INVALID_GRAPH */
};

/**
 * From here on work submitted to `stream` is recorded, not run. An event recorded on it and waited for by another
 * stream of the device draws that stream in; every stream drawn in must be joined back by an event before the end.
 * Host waits, queries, timelines and values on a capturing stream return NOT_PERMITTED and invalidate the capture.
 *
 * @retval FLAGOS_STATUS_NOT_PERMITTED  the stream is capturing already
 *
 * Threads: any thread; any thread may end it.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_begin_capture(flagos_stream_t* stream);

/**
 * Ends a capture. Also on failure the stream, and all that were drawn in, are ordinary streams again.
 *
 * @retval FLAGOS_STATUS_NOT_PERMITTED  the stream is not capturing, or was drawn in by another one
 * @retval FLAGOS_STATUS_INVALID_GRAPH  the capture was invalidated, or a stream was not joined
 *
 * Threads: any thread.  Ownership: flagos_graph_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_end_capture(flagos_stream_t* stream, flagos_graph_t** out_graph);

/**
 * Whether the stream captures.
 *
 * @param out_id  the same for all streams of one capture, never used again in the process; 0 when not capturing; may
 *                be NULL
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_stream_get_capture_status(flagos_stream_t* stream,
                                                            flagos_capture_status_t* out_status, uint64_t* out_id);

/* ------------------------------------------------------------------------------------------------------------------
 * Topology: where devices are, and what lies between two of them
 * --------------------------------------------------------------------------------------------------------------- */

typedef int32_t flagos_link_type_t;
enum {
  FLAGOS_LINK_TYPE_UNKNOWN = 0,
  FLAGOS_LINK_TYPE_SAME = 1,        /* one chip: the device itself, or the same chip through another plugin */
  FLAGOS_LINK_TYPE_HOST_MEMORY = 2, /* both work in the host's own memory */
  FLAGOS_LINK_TYPE_FABRIC = 3,      /* the vendor's own link between its chips */
  FLAGOS_LINK_TYPE_PCI = 4,         /* the buses of one NUMA node */
  FLAGOS_LINK_TYPE_SYSTEM = 5       /* between NUMA nodes */
};

/* For flagos_link_info_t.flags. */
enum {
  FLAGOS_LINK_FLAG_NATIVE_COPY = 1,   /* flagos_memory_copy_peer does not go through the host */
  FLAGOS_LINK_FLAG_DIRECT_ACCESS = 2, /* kernels of the first device can use memory of the second */
  FLAGOS_LINK_FLAG_ATOMICS = 4        /* also by atomic operations */
};

typedef struct flagos_link_info_t {
  uint32_t struct_size;
  flagos_link_type_t type;
  uint64_t flags;
  uint64_t bandwidth_bytes_per_s; /* 0 when it is not known */
  uint32_t
      distance; /* 0 for the device itself, else as firmware counts NUMA distances: 10 within a node, more outside */
  uint32_t padding; /* 0 */
} flagos_link_info_t;

typedef struct flagos_locality_info_t {
  uint32_t struct_size;
  int32_t numa_node;    /* -1 when it is not known */
  char processors[256]; /* the host's processors nearest to the device, such as "0-15,32-47"; "" when not known */
} flagos_locality_info_t;

/**
 * What lies between two devices, seen from the first. Nothing is opened.
 *
 * @retval FLAGOS_STATUS_NOT_FOUND  an index is at or past the count
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_get_link(flagos_runtime_t* runtime, uint32_t from_index, uint32_t to_index,
                                                  flagos_link_info_t* out_info);

/**
 * The part of the host that is nearest to a device: where its threads and host memory best live.
 *
 * @retval FLAGOS_STATUS_NOT_FOUND  index is at or past the count
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_get_locality(flagos_runtime_t* runtime, uint32_t index,
                                                      flagos_locality_info_t* out_info);

/* ------------------------------------------------------------------------------------------------------------------
 * Interop: memory and events of other processes, objects of the vendor's own API, tensors of frameworks
 * --------------------------------------------------------------------------------------------------------------- */

/* What an export gives: a descriptor and a description of it. Send both (SCM_RIGHTS) to a process of this host, or
   import them here on another device. The blob is opaque; a changed, cut or foreign one is refused. */
typedef struct flagos_external_t {
  uint32_t struct_size;
  int32_t fd; /* close-on-exec; an export's receiver closes it, -1 when it failed; an import borrows it */
  uint8_t blob[192];
} flagos_external_t;

/**
 * Shares an allocation made with FLAGOS_MEMORY_FLAG_EXPORTABLE. Every call gives a descriptor of its own.
 *
 * @param address       the start of the allocation
 * @param out_external  its fd is closed by the caller; the importer needs it until flagos_memory_import returns
 * @retval FLAGOS_STATUS_INVALID_HANDLE    not the start of a live allocation of this open device
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  it was allocated without FLAGOS_MEMORY_FLAG_EXPORTABLE
 * @retval FLAGOS_STATUS_UNSUPPORTED       the device exports no memory
 *
 * Threads: any thread.  Ownership: the fd is the caller's.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_export(flagos_device_t* device, flagos_address_t address,
                                                flagos_external_t* out_external);

/**
 * Maps exported memory into this open device. The same bytes, not a copy; they live until the last user frees them, also
 * when the exporter frees first or dies. Each import has an address of its own, also in the exporting process.
 *
 * @param out_address     freed with flagos_memory_free
 * @param out_size_bytes  may be NULL
 * @retval FLAGOS_STATUS_INVALID_HANDLE  the blob is not one, was changed, does not belong to the descriptor, is of an
 *                                       event or of another boot of the host, or the exporter has freed the memory
 * @retval FLAGOS_STATUS_UNSUPPORTED     this device cannot take memory of that kind
 *
 * Threads: any thread.  Ownership: borrows `external`; flagos_memory_free.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_memory_import(flagos_device_t* device, const flagos_external_t* external,
                                                flagos_address_t* out_address, uint64_t* out_size_bytes);

/**
 * Shares an event made with FLAGOS_EVENT_FLAG_EXPORTABLE: all who have it may record it and wait for its last record.
 *
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  it was created without FLAGOS_EVENT_FLAG_EXPORTABLE
 *
 * Threads: any thread.  Ownership: the fd is the caller's.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_event_export(flagos_event_t* event, flagos_external_t* out_external);

/**
 * The other end of an exported event, as an event of this open device. A wait for a record of a process that died
 * before it was complete ends with CANCELLED.
 *
 * @retval FLAGOS_STATUS_INVALID_HANDLE  the blob is not one, was changed, does not belong to the descriptor, is of
 *                                       memory or of another boot of the host
 *
 * Threads: any thread.  Ownership: borrows `external`; flagos_event_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_event_import(flagos_device_t* device, const flagos_external_t* external,
                                               flagos_event_t** out_event);

/* An object of the vendor's own API, by the vendor's name for it. What the handles are, the plugin's README says. */
typedef struct flagos_native_t {
  uint32_t struct_size;
  uint32_t handle_count; /* how many of `handles` count */
  char type[32];         /* the vendor's type of handles[0], such as "cl_command_queue" or "VkQueue" */
  uint64_t handles[6];
} flagos_native_t;

/* For the functions wrap_native. */
enum { FLAGOS_WRAP_FLAG_OWN = 1 /* flagos destroys the native object with its own; else it stays the caller's */ };

/**
 * The vendor's object behind a device, stream, event or allocation. It stays flagos' own: use it, do not destroy it.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED  the plugin shows none
 *
 * Threads: any thread.  Ownership: borrowed until the object ends.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_get_native(flagos_device_t* device, flagos_native_t* out_native);
/** As flagos_device_get_native. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_stream_get_native(flagos_stream_t* stream, flagos_native_t* out_native);
/** As flagos_device_get_native. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_event_get_native(flagos_event_t* event, flagos_native_t* out_native);
/** As flagos_device_get_native; a last handle, where there is one, is the offset of `address` in the object.
 *  @retval FLAGOS_STATUS_INVALID_HANDLE  not in a live allocation of this open device. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_memory_get_native(flagos_device_t* device, flagos_address_t address,
                                                    flagos_native_t* out_native);

/**
 * Opens a device on a context that the caller has made through the vendor's API.
 *
 * @param index   of the device that the context is for
 * @param native  as flagos_device_get_native gives it
 * @param flags   FLAGOS_WRAP_FLAG_*
 * @retval FLAGOS_STATUS_NOT_FOUND         index is at or past the count
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  another type or number of handles, a handle of 0, a context of another device
 * @retval FLAGOS_STATUS_UNSUPPORTED       the plugin cannot; an unknown flag
 *
 * Threads: any thread.  Ownership: flagos_device_close; with OWN it takes the native object when it succeeds.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_device_wrap_native(flagos_runtime_t* runtime, uint32_t index,
                                                     const flagos_native_t* native, uint64_t flags,
                                                     flagos_device_t** out_device);
/** A stream on the caller's own queue; statuses as flagos_device_wrap_native. Work that the caller queues itself is not
 *  seen by flagos. Threads: any thread.  Ownership: flagos_stream_destroy.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_stream_wrap_native(flagos_device_t* device, const flagos_native_t* native,
                                                     uint64_t flags, flagos_stream_t** out_stream);
/** An event that counts as recorded, and completes with the caller's own. Threads: any thread.
 *  Ownership: flagos_event_destroy.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_event_wrap_native(flagos_device_t* device, const flagos_native_t* native,
                                                    uint64_t flags, flagos_event_t** out_event);
/** Memory of the caller's own, as device memory. @param size_bytes  not 0. Threads: any thread.
 *  Ownership: flagos_memory_free.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_memory_wrap_native(flagos_device_t* device, const flagos_native_t* native,
                                                     uint64_t size_bytes, uint64_t flags,
                                                     flagos_address_t* out_address);

/* For flagos_tensor_t.flags. */
enum { FLAGOS_TENSOR_FLAG_READ_ONLY = 1 };

/* A tensor, described but not owned. */
typedef struct flagos_tensor_t {
  uint32_t struct_size;
  flagos_dtype_t dtype;
  flagos_address_t address; /* of element 0; may be 0 when the tensor has no elements */
  uint32_t flags;
  uint32_t rank;          /* at most 64; 0 is a scalar */
  const int64_t* shape;   /* [rank], in elements, none negative; may be NULL when rank is 0 */
  const int64_t* strides; /* [rank], in elements; NULL: dense, the last dimension fastest */
} flagos_tensor_t;

/* Called once when the last user of an exported tensor is done with it, on that user's thread. */
typedef void (*flagos_release_t)(void* user_data);

/**
 * Hands a tensor out in the form of DLPack, without a copy.
 *
 * With `producer` the bytes are those that its work so far leaves: a `consumer` stream waits for it by an event;
 * without `consumer` this call itself waits.
 *
 * @param tensor       lies in one allocation of `device`, or in ordinary host memory on a device that works in it
 * @param producer     the stream that writes the tensor; NULL: nothing is pending
 * @param consumer     where it is read next; NULL: anywhere
 * @param release      called when the consumer is done with the tensor; NULL: nothing is called
 * @param major        1: a DLManagedTensorVersioned; 0: a DLManagedTensor, as before DLPack 1.0 (it cannot say that it is
 *                     read-only, so such a tensor is refused)
 * @param out_managed  a pointer to that struct; its deleter is the consumer's to call, once
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT     a rank above 64, a negative shape, a tensor that leaves its allocation
 * @retval FLAGOS_STATUS_UNSUPPORTED_VERSION  another major
 *
 * Threads: any thread.  Ownership: the consumer's; see flagos_dlpack_release.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_dlpack_export(flagos_device_t* device, const flagos_tensor_t* tensor,
                                                flagos_stream_t* producer, flagos_stream_t* consumer,
                                                flagos_release_t release, void* user_data, uint32_t major,
                                                void** out_managed);

/**
 * Looks at a tensor that somebody else made. Its producer has ordered its work already: a consumer gives its own stream
 * (flagos_stream_get_native) to the producer when it asks for the tensor.
 *
 * @param managed     a DLManagedTensor (major 0) or a DLManagedTensorVersioned (major 1); stays the caller's, who calls
 *                    its deleter, or flagos_dlpack_release, when work that uses the tensor has passed
 * @param out_tensor  shape and strides point into `managed`
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT     it is on another device, of a negative shape, or of a rank above 64
 * @retval FLAGOS_STATUS_UNSUPPORTED_VERSION  another major, or one that `managed` does not have
 *
 * Threads: any thread.  Ownership: borrows everything.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_dlpack_import(flagos_device_t* device, const void* managed, uint32_t major,
                                                flagos_tensor_t* out_tensor);

/** Calls the deleter of a DLPack tensor. @param managed  NULL does nothing. Threads: any thread.
 *  Ownership: takes `managed`.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_dlpack_release(void* managed, uint32_t major);

/* ------------------------------------------------------------------------------------------------------------------
 * Native operators: what a plugin computes with a library of its vendor's. Programs call the operators of flagos_ops.h,
 * which asks here first: a native operator may refuse any call, and then a portable kernel does the work.
 * --------------------------------------------------------------------------------------------------------------- */

/* An operator that a device offers. Both texts live as long as the device is open. */
typedef struct flagos_operator_info_t {
  uint32_t struct_size;
  uint32_t padding;   /* 0 */
  const char* name;   /* as flagos_ops.h has it: "addmm" */
  const char* schema; /* as flagos_ops.h has it. Who knows the operator by another schema does not run it. */
} flagos_operator_info_t;

typedef int32_t flagos_operator_argument_type_t;
enum {
  FLAGOS_OPERATOR_ARGUMENT_TYPE_NONE = 0,     /* an optional one that is absent */
  FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR = 1,   /* value is the address of a flagos_tensor_t */
  FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSORS = 2,  /* value is the address of `count` addresses of flagos_tensor_t */
  FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGER = 3,  /* value is the int64_t */
  FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGERS = 4, /* value is the address of `count` int64_t */
  FLAGOS_OPERATOR_ARGUMENT_TYPE_REAL = 5,     /* value is the bits of the double */
  FLAGOS_OPERATOR_ARGUMENT_TYPE_BOOLEAN = 6,  /* value is 0 or 1 */
  FLAGOS_OPERATOR_ARGUMENT_TYPE_TEXT = 7      /* value is the address of the text */
};

/* One argument. A Scalar is an INTEGER, a REAL or a BOOLEAN, as it was given. This struct never grows. */
typedef struct flagos_operator_argument_t {
  flagos_operator_argument_type_t type;
  uint32_t count; /* of a list; else 0 */
  uint64_t value;
} flagos_operator_argument_t;

/* The most arguments that an operator has. */
#define FLAGOS_OPERATOR_MAX_ARGUMENTS 32

/* One call of a native operator. */
typedef struct flagos_operator_desc_t {
  uint32_t struct_size;
  uint32_t index; /* of flagos_operator_get_info */
  const flagos_extension_t* next;
  uint64_t flags;                              /* 0 */
  const flagos_operator_argument_t* arguments; /* [argument_count], in the order of the schema, outputs too */
  uint32_t argument_count;
  uint32_t padding;           /* 0 */
  flagos_address_t workspace; /* memory that work may use until the stream has passed; not read by query */
  uint64_t workspace_bytes;   /* at least what query asks for */
} flagos_operator_desc_t;

/* For flagos_operator_support_t.flags. */
enum {
  FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS = 1,      /* the call is taken; without it the other bits and members are 0 */
  FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE = 2 /* also in a capture, and where other work is waited for */
};

typedef struct flagos_operator_support_t {
  uint32_t struct_size;
  uint32_t flags;
  uint64_t workspace_bytes; /* 0: no workspace is needed */
} flagos_operator_support_t;

/** How many operators the device offers; 0 where it offers none. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_operator_get_count(flagos_device_t* device, uint32_t* out_count);

/** @retval FLAGOS_STATUS_NOT_FOUND  index is at or past the count. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_operator_get_info(flagos_device_t* device, uint32_t index,
                                                    flagos_operator_info_t* out_info);

/**
 * Whether the device would run this call, and what it needs for it. It depends on everything in the call but addresses:
 * an answer may be kept for calls that differ in nothing else.
 *
 * @param desc  the addresses of tensors and the workspace are not read
 * @retval FLAGOS_STATUS_UNSUPPORTED       the device offers no operators (FLAGOS_FEATURE_OPERATORS)
 * @retval FLAGOS_STATUS_NOT_FOUND         it offers none of this index
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  an argument of an unknown type, a NULL, a tensor that does not fit 64 bits
 *
 * Threads: any thread.  Ownership: borrows everything.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_operator_query(flagos_device_t* device, const flagos_operator_desc_t* desc,
                                                 flagos_operator_support_t* out_support);

/**
 * Queues an operator. Returns when it is queued; all tensors and the workspace must stay until the stream has passed.
 * That shapes and types go together is the caller's to check; memory is checked here.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED       nothing was queued: the device offers no operators, or refuses this call, or the
 *                                         stream is captured or held back and the operator is not DEFERRABLE. The
 *                                         capture goes on.
 * @retval FLAGOS_STATUS_NOT_FOUND         it offers none of this index
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  as flagos_operator_query; or a tensor, or the workspace, past its allocation
 *
 * Threads: any thread.  Ownership: borrows everything; the desc and what it points to only for the call.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_operator_run(flagos_stream_t* stream, const flagos_operator_desc_t* desc);

/* ------------------------------------------------------------------------------------------------------------------
 * Virtual memory: addresses apart from the memory behind them, for buffers that grow in place
 *
 * Reserve addresses, create physical memory, map it there, set access; then use the addresses as those of an allocation.
 * Mappings side by side in one reservation are one range to copies, fills and kernels. Addresses, sizes and offsets are
 * multiples of the granularity.
 * --------------------------------------------------------------------------------------------------------------- */

typedef struct flagos_physical_memory_desc_t {
  uint32_t struct_size;
  flagos_memory_kind_t kind; /* DEVICE; or PINNED: the host may do at the addresses what the device may */
  const flagos_extension_t* next;
  uint64_t size_bytes; /* a multiple of the minimum granularity, not 0; not read by get_granularity */
  uint64_t flags;      /* FLAGOS_MEMORY_FLAG_EXPORTABLE or 0 */
} flagos_physical_memory_desc_t;

/* What a device may do with mapped memory. */
typedef int32_t flagos_memory_access_t;
enum { FLAGOS_MEMORY_ACCESS_NONE = 0, FLAGOS_MEMORY_ACCESS_READ = 1, FLAGOS_MEMORY_ACCESS_READ_WRITE = 3 };

/**
 * The units of addresses, sizes and offsets for such memory: powers of two.
 *
 * @param out_minimum_bytes      what all of them must be multiples of
 * @param out_recommended_bytes  the unit that performs best, a multiple of the minimum; may be NULL
 * @retval FLAGOS_STATUS_UNSUPPORTED       the device has no virtual memory (FLAGOS_FEATURE_VIRTUAL_MEMORY), or none of
 *                                         this kind or with this flag
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a kind other than DEVICE and PINNED
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_virtual_memory_get_granularity(flagos_device_t* device,
                                                                 const flagos_physical_memory_desc_t* desc,
                                                                 uint64_t* out_minimum_bytes,
                                                                 uint64_t* out_recommended_bytes);

/**
 * Creates memory that has no address yet. Its bytes are undefined; another process's data never shows.
 *
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT      size 0, or no multiple of the granularity; a kind that cannot be allocated
 * @retval FLAGOS_STATUS_UNSUPPORTED           no virtual memory; none of this kind, or with this flag; an unknown flag
 * @retval FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY  not enough
 * @retval FLAGOS_STATUS_OUT_OF_HOST_MEMORY    the same for pinned memory
 *
 * Threads: any thread.  Ownership: flagos_physical_memory_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_physical_memory_create(flagos_device_t* device,
                                                         const flagos_physical_memory_desc_t* desc,
                                                         flagos_physical_memory_t** out_memory);

/** Lets go of physical memory; what is mapped stays until it is unmapped. NULL does nothing. Threads: any thread.
 *  Ownership: takes `memory`.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_physical_memory_destroy(flagos_physical_memory_t* memory);

/**
 * Shares physical memory made with FLAGOS_MEMORY_FLAG_EXPORTABLE, or imported. Every call gives a descriptor of its own.
 *
 * @param out_external  its fd is closed by the caller; the importer needs it until flagos_physical_memory_import returns
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  it was created without FLAGOS_MEMORY_FLAG_EXPORTABLE
 *
 * Threads: any thread.  Ownership: the fd is the caller's.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_physical_memory_export(flagos_physical_memory_t* memory,
                                                         flagos_external_t* out_external);

/**
 * The same memory, for this open device, to be mapped where its holder likes.
 *
 * @param out_size_bytes  may be NULL
 * @retval FLAGOS_STATUS_INVALID_HANDLE  the blob is not one, was changed, does not belong to the descriptor, or is not of
 *                                       physical memory
 * @retval FLAGOS_STATUS_UNSUPPORTED     this device has no virtual memory, or cannot take that of another plugin
 *
 * Threads: any thread.  Ownership: borrows `external`; flagos_physical_memory_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_physical_memory_import(flagos_device_t* device, const flagos_external_t* external,
                                                         flagos_physical_memory_t** out_memory,
                                                         uint64_t* out_size_bytes);

/**
 * Reserves addresses that nothing else gets. Nothing is mapped there, and using them is an error.
 *
 * @param size_bytes       a multiple of the granularity
 * @param alignment_bytes  0: the granularity; else a power of two, which raises it
 * @param wanted           where it should start, 0: anywhere. A wish: elsewhere when that is not free.
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  size 0, or no multiple of the granularity; an alignment that is no power of two
 * @retval FLAGOS_STATUS_UNSUPPORTED       no virtual memory
 * @retval FLAGOS_STATUS_OUT_OF_RESOURCES  no such range is free
 *
 * Threads: any thread.  Ownership: flagos_virtual_memory_release.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_virtual_memory_reserve(flagos_device_t* device, uint64_t size_bytes,
                                                         uint64_t alignment_bytes, flagos_address_t wanted,
                                                         flagos_address_t* out_address);

/**
 * Gives reserved addresses back, after the work submitted before has passed (this call does not wait for it).
 *
 * @param address  as flagos_virtual_memory_reserve gave it; 0 does nothing
 * @retval FLAGOS_STATUS_INVALID_HANDLE  not the start of a live reservation of this open device
 * @retval FLAGOS_STATUS_BUSY            something is mapped there: unmap it first
 *
 * Threads: any thread.  Ownership: takes the reservation.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_virtual_memory_release(flagos_device_t* device, flagos_address_t address);

/**
 * Maps physical memory at reserved addresses. No device may use it there until flagos_virtual_memory_set_access. The same
 * memory may be mapped several times; all see the same bytes.
 *
 * @param offset_bytes  where the mapped part starts in `memory`
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  size 0, or anything that is no multiple of the granularity; a range outside the
 *                                         reservation, or past the end of `memory`; one where something is mapped; memory
 *                                         of another device
 * @retval FLAGOS_STATUS_INVALID_HANDLE    `address` is not in a live reservation of this open device
 * @retval FLAGOS_STATUS_UNSUPPORTED       a part of `memory`, where the device maps all of it only
 * @retval FLAGOS_STATUS_BUSY              what was unmapped there is still used by work submitted before: wait for that
 *                                         work
 *
 * Threads: any thread.  Ownership: the mapping keeps the memory, not the handle.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_virtual_memory_map(flagos_device_t* device, flagos_address_t address,
                                                     uint64_t size_bytes, flagos_physical_memory_t* memory,
                                                     uint64_t offset_bytes);

/**
 * Ends a mapping, after the work submitted before has passed (this call does not wait for it).
 *
 * @param address  the start of a mapping: what one call of flagos_virtual_memory_map mapped is unmapped as a whole
 * @retval FLAGOS_STATUS_INVALID_HANDLE  not the start of a live mapping of this open device
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_virtual_memory_unmap(flagos_device_t* device, flagos_address_t address);

/**
 * Says what a device may do with mapped memory, from now on. Copies and fills of flagos that it forbids are refused with
 * INVALID_ARGUMENT; what a kernel does against it ends as a bad address does on that chip.
 *
 * @param address   the start of a mapping; with size_bytes it covers whole mappings side by side
 * @param accessor  whom it is about: `device`, or another open device of the plugin
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  not whole mappings; an access that is no FLAGOS_MEMORY_ACCESS_*
 * @retval FLAGOS_STATUS_UNSUPPORTED       the accessor cannot reach the memory, or the access is not offered
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_virtual_memory_set_access(flagos_device_t* device, flagos_address_t address,
                                                            uint64_t size_bytes, flagos_device_t* accessor,
                                                            flagos_memory_access_t access);

/* ------------------------------------------------------------------------------------------------------------------
 * Native collectives: what a plugin reduces, gathers and exchanges between its own devices with a library of its vendor's.
 * Programs call the collectives of flagos_comm.h, which work over any mix of chips and use these where all ranks can.
 *
 * Ranks       A communicator joins `size` ranks; each is one flagos_communicator_t on one open device of one plugin, in a
 *             process of its own, or several in one process. The ranks run the same version of the plugin.
 * Order       A call queues the operation on `stream` and returns. All ranks make the same calls in the same order; one
 *             communicator runs its operations one after the other, also those on different streams. Unless the support
 *             has QUEUES_ONLY, a call may wait until the other ranks make theirs (while they connect, say): then ranks
 *             that share a thread make their calls in one group.
 * Agreement   What ranks that disagree get is up to the vendor's library: RANK_MISMATCH, a wait that ends by abort or by the
 *             communicator's timeout, or wrong data. flagos_comm.h finds disagreement before it calls, where it can.
 * Failure     A communicator that failed refuses calls with its status, and poisons the streams that wait for it. What
 *             a failed operation has written is undefined. flagos_communicator_query_error tells without waiting.
 * Results     Are the same on all ranks. In which order, and in which precision, is added is up to the vendor's library.
 * --------------------------------------------------------------------------------------------------------------- */

/* Opaque; made by one rank, given to the others by any way that strangers cannot read. Only the first size_bytes of `bytes`
   need to travel. This struct never grows. */
typedef struct flagos_collective_id_t {
  uint32_t size_bytes;
  uint32_t padding; /* 0 */
  uint8_t bytes[4600];
} flagos_collective_id_t;

typedef int32_t flagos_collective_operation_t;
enum {
  FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE = 0,
  FLAGOS_COLLECTIVE_OPERATION_REDUCE = 1,
  FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER = 2,
  FLAGOS_COLLECTIVE_OPERATION_BROADCAST = 3,
  FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER = 4,
  FLAGOS_COLLECTIVE_OPERATION_GATHER = 5,
  FLAGOS_COLLECTIVE_OPERATION_SCATTER = 6,
  FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL = 7,
  FLAGOS_COLLECTIVE_OPERATION_SEND = 8,
  FLAGOS_COLLECTIVE_OPERATION_RECEIVE = 9,
  FLAGOS_COLLECTIVE_OPERATION_COUNT = 10
};

/* The values of flagos_comm_reduction_t, with the same meaning. */
typedef int32_t flagos_collective_reduction_t;
enum {
  FLAGOS_COLLECTIVE_REDUCTION_SUM = 0,
  FLAGOS_COLLECTIVE_REDUCTION_PRODUCT = 1,
  FLAGOS_COLLECTIVE_REDUCTION_MIN = 2,
  FLAGOS_COLLECTIVE_REDUCTION_MAX = 3,
  FLAGOS_COLLECTIVE_REDUCTION_AVERAGE = 4,
  FLAGOS_COLLECTIVE_REDUCTION_BIT_AND = 5,
  FLAGOS_COLLECTIVE_REDUCTION_BIT_OR = 6,
  FLAGOS_COLLECTIVE_REDUCTION_BIT_XOR = 7,
  FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM = 8 /* what this rank gives is multiplied by desc.scale first */
};

/* For flagos_collective_support_t.flags. */
enum {
  FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS = 1,        /* such calls are taken; without it the other bits are 0 */
  FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE = 2,  /* also in a capture, and where other work is waited for */
  FLAGOS_COLLECTIVE_SUPPORT_FLAG_HOST_MEMORY = 4, /* ordinary host memory is taken, too */
  FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY = 8, /* a call never waits for those of the other ranks */
  FLAGOS_COLLECTIVE_SUPPORT_FLAG_PREFERRED =
      16 /* faster than going through the host, as flagos_comm.h does otherwise */
};

typedef struct flagos_collective_support_t {
  uint32_t struct_size;
  uint32_t flags;
} flagos_collective_support_t;

typedef struct flagos_communicator_desc_t {
  uint32_t struct_size;
  uint32_t rank; /* 0 .. size - 1, each once */
  const flagos_extension_t* next;
  uint64_t flags;                   /* 0 */
  const flagos_collective_id_t* id; /* the same on all ranks; serves for one communicator */
  uint32_t size;                    /* how many ranks */
  uint32_t padding;                 /* 0 */
  /* Joining that takes longer fails; so does an operation that gets nowhere for so long, where the plugin can tell.
     0: the plugin's own */
  uint64_t timeout_ns;
} flagos_communicator_desc_t;

typedef struct flagos_communicator_info_t {
  uint32_t struct_size;
  uint32_t rank;
  uint32_t size;
  uint32_t padding; /* 0 */
  flagos_device_t* device;
} flagos_communicator_info_t;

/* One operation; members that it does not have are 0. Blocks lie one behind the other. Source and target do not overlap,
   but for those that may be the same. */
typedef struct flagos_collective_desc_t {
  uint32_t struct_size;
  flagos_dtype_t dtype;
  const flagos_extension_t* next;
  uint64_t flags; /* 0 */
  flagos_address_t source;
  flagos_address_t target;
  uint64_t count; /* of elements; 0 is legal and still an operation */
  flagos_collective_reduction_t reduction;
  uint32_t peer; /* the root; of send and receive the other rank */
  double scale;  /* of PREMULTIPLIED_SUM */
} flagos_collective_desc_t;

/**
 * Whether communicators of this device take such calls, whatever their counts and addresses.
 *
 * @param operation  FLAGOS_COLLECTIVE_OPERATION_*
 * @param reduction  0 for operations that do not reduce
 * @retval FLAGOS_STATUS_UNSUPPORTED       the device offers no collectives (FLAGOS_FEATURE_COLLECTIVE)
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  no such operation or reduction; a dtype without bits
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_collective_query(flagos_device_t* device, flagos_collective_operation_t operation,
                                                   flagos_dtype_t dtype, flagos_collective_reduction_t reduction,
                                                   flagos_collective_support_t* out_support);

/**
 * Makes the id of one communicator. The process that makes it lives until all ranks have joined.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED  the device offers no collectives
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_collective_id_create(flagos_device_t* device, flagos_collective_id_t* out_id);

/**
 * Joins a communicator, and waits until all ranks have joined. Ranks of one process join from a thread each.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED       the device offers no collectives
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a rank or size out of range; two ranks of one number; ranks that disagree on size
 * @retval FLAGOS_STATUS_COMM_REFUSED      the id is not of a communicator that waits for ranks
 * @retval FLAGOS_STATUS_COMM_TIMEOUT      a rank did not join in time
 *
 * Threads: any thread.  Ownership: flagos_communicator_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_communicator_create(flagos_device_t* device, const flagos_communicator_desc_t* desc,
                                                      flagos_communicator_t** out_communicator);

/* For flagos_communicator_split: this rank is in none of the new communicators. */
#define FLAGOS_COMMUNICATOR_COLOR_NONE (-1)

/**
 * Makes new communicators of the ranks of one: those that give the same color are together, in the order of their keys, and
 * of their old ranks where keys are equal. All ranks call it, from a thread each; it waits for them and for operations that
 * were queued before.
 *
 * @param color             0 or more, or FLAGOS_COMMUNICATOR_COLOR_NONE
 * @param out_communicator  NULL for FLAGOS_COMMUNICATOR_COLOR_NONE
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a color below FLAGOS_COMMUNICATOR_COLOR_NONE
 * @retval FLAGOS_STATUS_UNSUPPORTED       the plugin cannot; make one with an id of its own
 * @retval the status of a failed communicator, and as flagos_communicator_create
 *
 * Threads: any thread.  Ownership: flagos_communicator_destroy; `communicator` goes on.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_communicator_split(flagos_communicator_t* communicator, int32_t color, int32_t key,
                                                     flagos_communicator_t** out_communicator);

/**
 * Ends what the communicator does: within a second, pending operations of this rank end with COMM_ABORTED, and so do those
 * of the other ranks where the plugin can tell them. Nothing but destroy is left to do with it. A second abort does nothing.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED  the plugin cannot
 *
 * Threads: any thread, also while others wait.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_communicator_abort(flagos_communicator_t* communicator);

/**
 * Ends a communicator of this rank after the work that is pending on its device. It does not wait.
 *
 * Threads: any thread.  Ownership: takes `communicator`; NULL does nothing.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_communicator_destroy(flagos_communicator_t* communicator);

/**
 * What became of the communicator, without waiting.
 *
 * @param out_status  OK, or why it failed; then flagos_last_error says what the plugin knows of it
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_communicator_query_error(flagos_communicator_t* communicator,
                                                           flagos_status_t* out_status);

/** @retval FLAGOS_STATUS_INVALID_STRUCT_SIZE  below the 1.0 size. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_communicator_get_info(flagos_communicator_t* communicator,
                                                        flagos_communicator_info_t* out_info);

/**
 * Tells the library of a buffer that operations will use often. All ranks register in the same order. Ends with
 * flagos_communicator_deregister, or with the communicator; the memory lives as long.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED       the plugin makes no use of it
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  size 0; past the allocation; registered already
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_communicator_register(flagos_communicator_t* communicator, flagos_address_t address,
                                                        uint64_t size_bytes);

/** @retval FLAGOS_STATUS_NOT_FOUND  no buffer was registered at `address`. Threads: any thread, when no operation that uses
 *  the buffer is pending.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_communicator_deregister(flagos_communicator_t* communicator,
                                                          flagos_address_t address);

/**
 * target = the reduction over all ranks' sources, on every rank. Source and target have `count` elements and may be the
 * same.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED       nothing was queued: flagos_collective_query says no, or the memory is not the
 *                                         device's and HOST_MEMORY is missing; or the stream is captured or held back and
 *                                         the operation is not DEFERRABLE (a capture goes on)
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a buffer past its allocation, or that overlaps the other; a peer that is no rank; no
 *                                         such reduction; the stream is of another device than the communicator
 * @retval FLAGOS_STATUS_NOT_PERMITTED     an operation of the communicator is held back on another stream
 * @retval the status of a failed communicator or stream
 *
 * Threads: any thread; the order of the calls is the order of the operations.  Ownership: borrows everything; the buffers
 * until the stream has passed, the desc for the call.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_collective_all_reduce(flagos_communicator_t* communicator, flagos_stream_t* stream,
                                                        const flagos_collective_desc_t* desc);

/** As flagos_collective_all_reduce, on the root `peer` alone; elsewhere `target` is not used and may be 0.
 *  Threads: as flagos_collective_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_collective_reduce(flagos_communicator_t* communicator, flagos_stream_t* stream,
                                                    const flagos_collective_desc_t* desc);

/** Rank i gets block i of the reduction: source [size * count], target [count], which may be block `rank` of the source.
 *  Threads: as flagos_collective_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_collective_reduce_scatter(flagos_communicator_t* communicator,
                                                            flagos_stream_t* stream,
                                                            const flagos_collective_desc_t* desc);

/** Every rank gets what the root `peer` has: target [count], read on the root, written elsewhere; no source.
 *  Threads: as flagos_collective_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_collective_broadcast(flagos_communicator_t* communicator, flagos_stream_t* stream,
                                                       const flagos_collective_desc_t* desc);

/** Every rank gets the sources of all: source [count], which may be block `rank` of the target, target [size * count].
 *  Threads: as flagos_collective_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_collective_all_gather(flagos_communicator_t* communicator, flagos_stream_t* stream,
                                                        const flagos_collective_desc_t* desc);

/** As flagos_collective_all_gather, on the root `peer` alone; elsewhere `target` is not used and may be 0.
 *  Threads: as flagos_collective_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_collective_gather(flagos_communicator_t* communicator, flagos_stream_t* stream,
                                                    const flagos_collective_desc_t* desc);

/** Rank i gets block i of the root's source: source [size * count] on the root `peer`, elsewhere not used and may be 0;
 *  target [count], on the root it may be block `peer` of the source.
 *  Threads: as flagos_collective_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_collective_scatter(flagos_communicator_t* communicator, flagos_stream_t* stream,
                                                     const flagos_collective_desc_t* desc);

/** Block j of rank i's source becomes block i of rank j's target: both [size * count], and never the same.
 *  Threads: as flagos_collective_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_collective_all_to_all(flagos_communicator_t* communicator, flagos_stream_t* stream,
                                                        const flagos_collective_desc_t* desc);

/** Sends source [count] to `peer`, which receives as many bytes. Sends and receives that wait for each other stand in one
 *  group; what a rank sends to itself must. Threads: as flagos_collective_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_collective_send(flagos_communicator_t* communicator, flagos_stream_t* stream,
                                                  const flagos_collective_desc_t* desc);

/** The other end of flagos_collective_send: target [count]. Threads: as flagos_collective_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_collective_receive(flagos_communicator_t* communicator, flagos_stream_t* stream,
                                                     const flagos_collective_desc_t* desc);

/**
 * Opens a group of this thread: collectives of any communicators are checked and collected until it is closed, and all of
 * them proceed at once then. Groups nest; the outermost counts.
 *
 * Threads: the group is the thread's own.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_collective_group_begin(void);

/**
 * Closes the group and queues what it holds.
 *
 * @retval FLAGOS_STATUS_NOT_PERMITTED  no group is open
 * @retval FLAGOS_STATUS_UNSUPPORTED    the plugin has no groups and this one has several operations; a stream of it is
 *                                      captured or held back, and it uses several streams
 * @retval the first failure of a call in the group; then nothing of it is queued
 *
 * Threads: the group is the thread's own.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_collective_group_end(void);

/* ------------------------------------------------------------------------------------------------------------------
 * Profiling
 * --------------------------------------------------------------------------------------------------------------- */

typedef int32_t flagos_record_kind_t;
enum {
  FLAGOS_RECORD_KIND_KERNEL = 0,
  FLAGOS_RECORD_KIND_COPY = 1,
  FLAGOS_RECORD_KIND_FILL = 2,
  FLAGOS_RECORD_KIND_HOST = 3,
  FLAGOS_RECORD_KIND_GRAPH = 4,
  FLAGOS_RECORD_KIND_OTHER = 5
};

/* One finished operation. queued <= submitted <= started <= ended, on the device's clock. This struct never grows. */
typedef struct flagos_record_t {
  flagos_record_kind_t kind;
  uint32_t padding;        /* 0 */
  uint64_t stream_id;      /* equal for operations of one stream, different for different streams */
  uint64_t correlation_id; /* grows with submission on a stream; nodes of a graph launch share that launch's */
  uint64_t queued_ns;
  uint64_t submitted_ns;
  uint64_t started_ns;
  uint64_t ended_ns;
  uint64_t size_bytes; /* copies and fills; else 0 */
  char name[64];       /* the kernel's name, cut to fit; else "copy", "fill", ... */
} flagos_record_t;

typedef struct flagos_profiler_desc_t {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  const flagos_extension_t* next;
  uint64_t capacity; /* records held until drained; 0: 65536. When full, new ones are dropped and counted */
} flagos_profiler_desc_t;

/**
 * Starts collecting a record for every operation submitted to this open device from now on.
 *
 * @param desc  NULL: defaults
 * @retval FLAGOS_STATUS_UNSUPPORTED  the plugin has no profiling
 * @retval FLAGOS_STATUS_BUSY         the open device has a profiler already
 *
 * Threads: any thread.  Ownership: flagos_profiler_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_profiler_create(flagos_device_t* device, const flagos_profiler_desc_t* desc,
                                                  flagos_profiler_t** out_profiler);

/** Stops collecting. Threads: any thread.  Ownership: takes `profiler`; NULL does nothing.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_profiler_destroy(flagos_profiler_t* profiler);

/** Pauses (0) or goes on (1). Records of work submitted before are kept. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_profiler_enable(flagos_profiler_t* profiler, uint32_t enabled);

/**
 * Moves finished records into the caller's array, oldest first.
 *
 * @param capacity     of out_records
 * @param out_records  [capacity]
 * @param out_count    how many were moved
 * @param out_dropped  how many were lost since the last drain because the store was full; may be NULL
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_profiler_drain(flagos_profiler_t* profiler, uint64_t capacity,
                                                 flagos_record_t* out_records, uint64_t* out_count,
                                                 uint64_t* out_dropped);

/**
 * One moment on the device's clock and on the host's monotonic clock, to lay their times over each other.
 *
 * @retval FLAGOS_STATUS_UNSUPPORTED  the plugin has no profiling
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_profiler_get_clock(flagos_device_t* device, uint64_t* out_device_ns,
                                                     uint64_t* out_host_ns);

/** Opens a named range of the calling thread in the trace; without the trace layer it does nothing. Ranges nest.
 *  Threads: any thread.  Callback: yes.  Ownership: the name is copied.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_range_push(const char* name);

/** Closes the innermost range of the calling thread. @retval FLAGOS_STATUS_NOT_FOUND  no range is open.
 *  Threads: any thread.  Callback: yes.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_range_pop(void);

#ifdef __cplusplus
}
#endif

#endif /* FLAGOS_H */
