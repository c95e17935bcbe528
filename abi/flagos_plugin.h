/*
 * flagos_plugin.h: what a chip vendor implements. One library per chip family, one exported symbol.
 * C11, no dependencies beside flagos.h. ABI 1.0 (candidate). SPDX-License-Identifier: Apache-2.0
 *
 * MUST-RULES
 *
 *  1. The library exports flagos_plugin_open and nothing else. Constructors do nothing but initialise memory.
 *  2. Opening finds no device: then get_count says 0. That is not an error.
 *  3. All entries may be called from any thread at any time, except where the header says otherwise. Submission to
 *     one stream is ordered by the plugin.
 *  4. Core has checked every argument before it calls: pointers are not NULL, handles live and belong to the device,
 *     sizes are not zero, ranges lie in their allocations (or in ordinary host memory), flags and structs are known,
 *     launches keep the limits that the plugin gave. The direct path (flagos_device_get_table) makes the same promise.
 *  5. Core calls free, destroy, unload and close only when no work that was submitted can still use the object, and
 *     no other call on it is running. It never destroys an object twice, nor a parent before its children.
 *  6. No exception leaves the library. It never aborts, exits, installs a signal handler, changes locale, umask,
 *     working directory or floating-point state, and leaves no thread behind after close. Threads that it starts
 *     block all signals.
 *  7. An error is returned as a status, after host->set_error(context, status, text): what was asked, what was found.
 *     TIMEOUT and NOT_READY are answers and need no text. A failing call has no other effect.
 *  8. submit functions (copy, fill, launch, record, wait_event, ...) return when the work is queued. They never wait for
 *     work; a full queue may make them wait for room.
 *  9. A queued operation that fails poisons its stream: work behind it is skipped, and submissions, synchronize, and
 *     synchronize of events recorded behind it return its status, until stream.reset. Host functions still run.
 *     A lost device is reported once with host->report_device_error; core answers for it from then on.
 * 10. Addresses of live allocations of one device and ordinary host memory never overlap; pinned and managed
 *     addresses are host pointers.
 * 11. Vendor thread state that a call changes (a current device, say) is restored before it returns.
 *
 * GROWTH: every table starts with {struct_size, group_version}; slots are only ever appended. A slot marked required
 * belongs to the closed set of 1.0; a NULL or missing slot of any other is completed by core with one that returns
 * UNSUPPORTED, and the feature is emulated or reported as absent.
 */
#ifndef FLAGOS_PLUGIN_H
#define FLAGOS_PLUGIN_H

#include "flagos.h"

#ifdef __cplusplus
extern "C" {
#endif

/* True if the writer of `table` knew `member` and filled it. */
#define FLAGOS_HAS(table, type, member) \
  ((table)->struct_size >= offsetof(type, member) + sizeof((table)->member) && (table)->member != NULL)

/* The plugin's own objects; core never looks into them. */
typedef struct flagos_plugin_instance_t flagos_plugin_instance_t;
typedef struct flagos_plugin_device_t flagos_plugin_device_t;
typedef struct flagos_plugin_stream_t flagos_plugin_stream_t;
typedef struct flagos_plugin_event_t flagos_plugin_event_t;
typedef struct flagos_plugin_module_t flagos_plugin_module_t;
typedef struct flagos_plugin_kernel_t flagos_plugin_kernel_t;
typedef struct flagos_plugin_prepared_t flagos_plugin_prepared_t;
typedef struct flagos_plugin_memory_pool_t flagos_plugin_memory_pool_t;
typedef struct flagos_plugin_timeline_t flagos_plugin_timeline_t;
typedef struct flagos_plugin_graph_t flagos_plugin_graph_t;
typedef struct flagos_plugin_physical_memory_t flagos_plugin_physical_memory_t;
typedef struct flagos_plugin_communicator_t flagos_plugin_communicator_t;
typedef struct flagos_plugin_registration_t flagos_plugin_registration_t;

/* Core's own object, given back in every host call. */
typedef struct flagos_host_context_t flagos_host_context_t;

/* ------------------------------------------------------------------------------------------------------------------
 * Host services: what a plugin gets from core. Valid until close returns. All may be called from any thread.
 * The first 32 bytes are the same in all majors.
 * --------------------------------------------------------------------------------------------------------------- */

typedef struct flagos_host_t {
  uint32_t struct_size;
  uint32_t abi_version_min; /* the range of ABI versions that core offers: */
  uint32_t abi_version_max; /* the plugin answers the highest minor it implements in it */
  uint32_t padding;         /* 0 */
  flagos_host_context_t* context;
  /* Sets the error text of the calling thread. `text` is copied and cut at 1023 bytes. */
  void (*set_error)(flagos_host_context_t* context, flagos_status_t status, const char* text);
  /* --- end of the part that is frozen for all majors --- */
  /* Writes one line to the log. */
  void (*log)(flagos_host_context_t* context, flagos_log_level_t level, const char* text);
  /* Host memory, counted and fault-injectable; alignment is a power of two. NULL when there is none. */
  void* (*allocate)(flagos_host_context_t* context, uint64_t size_bytes, uint64_t alignment_bytes);
  /* Takes back what allocate gave; NULL does nothing. */
  void (*deallocate)(flagos_host_context_t* context, void* pointer);
  /* The value of a variable such as "FLAGOS_CPU_DEVICES", or of XDG_CACHE_HOME, HOME, PATH or TMPDIR, or NULL. Never
     getenv: core knows when the environment is not to be trusted. The text is valid until close. */
  const char* (*get_config)(flagos_host_context_t* context, const char* name);
  /* Tells that `device` is lost (DEVICE_LOST). Core then wakes its waiters and refuses calls for it. */
  void (*report_device_error)(flagos_host_context_t* context, flagos_plugin_device_t* device, flagos_status_t status,
                              const char* text);
  /* Hands over one finished operation while profiling is enabled; copied. Never blocks. */
  void (*emit_record)(flagos_host_context_t* context, flagos_plugin_device_t* device, const flagos_record_t* record);
  /* The host's monotonic clock, the one that all flagos times are on. */
  uint64_t (*now_ns)(flagos_host_context_t* context);
} flagos_host_t;

/* ------------------------------------------------------------------------------------------------------------------
 * Required groups
 * --------------------------------------------------------------------------------------------------------------- */

typedef struct flagos_device_table_t {
  uint32_t struct_size;
  uint32_t group_version; /* 1 */
  /* since 1.0, required */
  flagos_status_t (*get_count)(flagos_plugin_instance_t* instance, uint32_t* out_count);
  /* Fills what it knows; core sets index and id, and refuses the device if a limit is nonsense. */
  flagos_status_t (*get_info)(flagos_plugin_instance_t* instance, uint32_t index, flagos_device_info_t* out_info);
  flagos_status_t (*open)(flagos_plugin_instance_t* instance, uint32_t index, flagos_plugin_device_t** out_device);
  void (*close)(flagos_plugin_device_t* device);
  flagos_status_t (*query_memory)(flagos_plugin_device_t* device, uint64_t* out_free_bytes, uint64_t* out_total_bytes);
  /* since 1.0, optional */
  flagos_status_t (*synchronize)(flagos_plugin_device_t* device, uint64_t timeout_ns); /* else: stream by stream */
  flagos_status_t (*query_status)(flagos_plugin_device_t* device);
  flagos_status_t (*recover)(flagos_plugin_device_t* device);
} flagos_device_table_t;

typedef struct flagos_memory_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* since 1.0, required */
  /* Size and alignment are not 0. DEVICE is required; UNSUPPORTED for other kinds that are not there. */
  flagos_status_t (*alloc)(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                           flagos_address_t* out_address);
  void (*free)(flagos_plugin_device_t* device, flagos_address_t address);
  /* Any kinds of memory, ordinary host memory too; overlap as memmove. */
  flagos_status_t (*copy)(flagos_plugin_stream_t* stream, flagos_address_t target, flagos_address_t source,
                          uint64_t size_bytes);
  /* Patterns of 1, 2 and 4 bytes; UNSUPPORTED for 8 and 16 makes core emulate them. The pattern is read at once. */
  flagos_status_t (*fill)(flagos_plugin_stream_t* stream, flagos_address_t target, const void* pattern,
                          uint32_t pattern_size_bytes, uint64_t size_bytes);
  /* since 1.0, optional */
  flagos_status_t (*copy_2d)(flagos_plugin_stream_t* stream, const flagos_copy_2d_desc_t* desc);
  flagos_status_t (*update)(flagos_plugin_stream_t* stream, flagos_address_t target, const void* data,
                            uint64_t size_bytes);
  flagos_status_t (*host_register)(flagos_plugin_device_t* device, void* pointer, uint64_t size_bytes, uint32_t flags,
                                   flagos_address_t* out_address);
  flagos_status_t (*host_unregister)(flagos_plugin_device_t* device, void* pointer);
  flagos_status_t (*prefetch)(flagos_plugin_stream_t* stream, flagos_address_t address, uint64_t size_bytes);
  /* Between two devices of this instance; the stream belongs to one of them. Else core goes through the host. */
  flagos_status_t (*copy_peer)(flagos_plugin_stream_t* stream, flagos_address_t target,
                               flagos_plugin_device_t* target_device, flagos_address_t source,
                               flagos_plugin_device_t* source_device, uint64_t size_bytes);
} flagos_memory_table_t;

typedef struct flagos_stream_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* since 1.0, required */
  flagos_status_t (*create)(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                            flagos_plugin_stream_t** out_stream);
  void (*destroy)(flagos_plugin_stream_t* stream);
  /* 0 polls: OK or TIMEOUT without waiting. */
  flagos_status_t (*synchronize)(flagos_plugin_stream_t* stream, uint64_t timeout_ns);
  /* The event may be of another device of the same instance. */
  flagos_status_t (*wait_event)(flagos_plugin_stream_t* stream, flagos_plugin_event_t* event);
  /* since 1.0, optional */
  flagos_status_t (*launch_host)(flagos_plugin_stream_t* stream, flagos_host_function_t function, void* user_data);
  flagos_status_t (*write_value)(flagos_plugin_stream_t* stream, flagos_address_t target, uint64_t value,
                                 uint32_t size_bytes);
  flagos_status_t (*wait_value)(flagos_plugin_stream_t* stream, flagos_address_t source, uint64_t value,
                                uint32_t size_bytes, flagos_compare_t compare);
  flagos_status_t (*reset)(flagos_plugin_stream_t* stream); /* else: core makes a new stream in its place */
} flagos_stream_table_t;

typedef struct flagos_event_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* since 1.0, required */
  flagos_status_t (*create)(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                            flagos_plugin_event_t** out_event);
  void (*destroy)(flagos_plugin_event_t* event);
  flagos_status_t (*record)(flagos_plugin_event_t* event, flagos_plugin_stream_t* stream);
  /* 0 polls. Binds to the record before the call; OK when never recorded. */
  flagos_status_t (*synchronize)(flagos_plugin_event_t* event, uint64_t timeout_ns);
  /* INVALID_ARGUMENT when one was never recorded, NOT_READY when one is pending. */
  flagos_status_t (*get_elapsed)(flagos_plugin_event_t* start, flagos_plugin_event_t* end, int64_t* out_elapsed_ns);
} flagos_event_table_t;

/* What compile gives: memory of the plugin, freed with free_compiled. */
typedef struct flagos_compiled_t {
  uint32_t struct_size;
  uint32_t padding; /* 0 */
  const void* data; /* NULL when the compilation failed */
  uint64_t size_bytes;
  const char* format; /* under which it loads */
  const char* log;    /* never NULL */
} flagos_compiled_t;

typedef struct flagos_module_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* since 1.0, required */
  /* NOT_FOUND at and past the end, without an error text. */
  flagos_status_t (*get_format)(flagos_plugin_device_t* device, uint32_t index, flagos_format_info_t* out_info);
  /* The format is one of get_format with LOAD; path only with PATH. */
  flagos_status_t (*load)(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                          flagos_plugin_module_t** out_module);
  void (*unload)(flagos_plugin_module_t* module); /* its kernels go with it */
  flagos_status_t (*get_kernel)(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                                flagos_plugin_kernel_t** out_kernel);
  /* since 1.0, optional */
  /* NOT_FOUND at and past the end; the name lives as long as the module. */
  flagos_status_t (*get_kernel_name)(flagos_plugin_module_t* module, uint32_t index, const char** out_name);
  flagos_status_t (*get_global)(flagos_plugin_module_t* module, const char* name, flagos_address_t* out_address,
                                uint64_t* out_size_bytes);
  /* Both live as long as the module. */
  flagos_status_t (*get_log)(flagos_plugin_module_t* module, const char** out_text);
  flagos_status_t (*get_binary)(flagos_plugin_module_t* module, const void** out_data, uint64_t* out_size_bytes);
  /* On COMPILE_FAILED `out_compiled` holds the log. compile and free_compiled come together or not at all. */
  flagos_status_t (*compile)(flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                             flagos_compiled_t* out_compiled);
  void (*free_compiled)(flagos_plugin_device_t* device, flagos_compiled_t* compiled);
  /* Names the compiler behind a format that compile takes, with its version: what core keeps of its work on disk is not
     used after another compiler came. Lives as long as the device. Else: the plugin's version and the device's
     driver_version. */
  flagos_status_t (*get_compiler)(flagos_plugin_device_t* device, const char* format, const char** out_identity);
} flagos_module_table_t;

typedef struct flagos_kernel_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* since 1.0, required */
  flagos_status_t (*get_info)(flagos_plugin_kernel_t* kernel, flagos_kernel_info_t* out_info);
  /* index is below info.parameter_count */
  flagos_status_t (*get_parameter)(flagos_plugin_kernel_t* kernel, uint32_t index, flagos_parameter_t* out_parameter);
  /* desc->arguments is always NULL here: core has packed the block. The block is copied before the call returns. */
  flagos_status_t (*launch)(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                            const flagos_launch_desc_t* desc);
  /* since 1.0, optional */
  flagos_status_t (*get_occupancy)(flagos_plugin_kernel_t* kernel, uint32_t block_threads, uint32_t shared_bytes,
                                   uint32_t* out_blocks);
  flagos_status_t (*suggest_block)(flagos_plugin_kernel_t* kernel, uint32_t shared_bytes, uint32_t* out_block_threads);
  /* prepare, launch_prepared and destroy_prepared come together or not at all. */
  flagos_status_t (*prepare)(flagos_plugin_kernel_t* kernel, const flagos_launch_desc_t* desc,
                             flagos_plugin_prepared_t** out_prepared);
  flagos_status_t (*launch_prepared)(flagos_plugin_stream_t* stream, flagos_plugin_prepared_t* prepared);
  void (*destroy_prepared)(flagos_plugin_prepared_t* prepared);
} flagos_kernel_table_t;

/* ------------------------------------------------------------------------------------------------------------------
 * Optional groups: NULL in the root table when absent. All slots of a present group are required.
 * --------------------------------------------------------------------------------------------------------------- */

typedef struct flagos_memory_pool_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*create)(flagos_plugin_device_t* device, const flagos_memory_pool_desc_t* desc,
                            flagos_plugin_memory_pool_t** out_pool);
  void (*destroy)(flagos_plugin_memory_pool_t* pool);
  flagos_status_t (*alloc)(flagos_plugin_memory_pool_t* pool, flagos_plugin_stream_t* stream, uint64_t size_bytes,
                           flagos_address_t* out_address);
  flagos_status_t (*free)(flagos_plugin_memory_pool_t* pool, flagos_plugin_stream_t* stream, flagos_address_t address);
  flagos_status_t (*trim)(flagos_plugin_memory_pool_t* pool, uint64_t keep_bytes);
  flagos_status_t (*set_limit)(flagos_plugin_memory_pool_t* pool, uint64_t limit_bytes);
  flagos_status_t (*get_statistics)(flagos_plugin_memory_pool_t* pool, flagos_memory_pool_statistics_t* out_statistics);
} flagos_memory_pool_table_t;

typedef struct flagos_timeline_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  flagos_status_t (*create)(flagos_plugin_device_t* device, uint64_t initial_value,
                            flagos_plugin_timeline_t** out_timeline);
  void (*destroy)(flagos_plugin_timeline_t* timeline);
  flagos_status_t (*query)(flagos_plugin_timeline_t* timeline, uint64_t* out_value);
  flagos_status_t (*signal)(flagos_plugin_timeline_t* timeline, uint64_t value);
  /* All timelines are of this instance; out_index may be NULL. */
  flagos_status_t (*wait)(uint32_t count, flagos_plugin_timeline_t* const* timelines, const uint64_t* values,
                          flagos_wait_mode_t mode, uint64_t timeout_ns, uint32_t* out_index);
  flagos_status_t (*fail)(flagos_plugin_timeline_t* timeline, flagos_status_t status);
  flagos_status_t (*stream_wait)(flagos_plugin_stream_t* stream, flagos_plugin_timeline_t* timeline, uint64_t value);
  flagos_status_t (*stream_signal)(flagos_plugin_stream_t* stream, flagos_plugin_timeline_t* timeline, uint64_t value);
} flagos_timeline_table_t;

/* One node of a finished graph. Core builds, captures, checks and flattens graphs; a plugin runs them. Types CHILD,
   EMPTY, OPERATOR and COLLECTIVE never come here. Only the members of its type are set. This struct never grows. */
typedef struct flagos_plugin_graph_node_t {
  flagos_graph_node_type_t type;
  uint32_t dependency_count;
  const uint32_t* dependencies; /* indices of earlier nodes */
  flagos_plugin_kernel_t* kernel;
  const flagos_launch_desc_t* launch; /* packed */
  flagos_copy_2d_desc_t copy;         /* COPY: width_bytes with height 1 */
  flagos_address_t fill_target;
  uint64_t fill_size_bytes;
  uint8_t fill_pattern[16];
  uint32_t fill_pattern_size_bytes;
  uint32_t padding; /* 0 */
  flagos_host_function_t host_function;
  void* host_user_data;
  flagos_plugin_event_t* event;
} flagos_plugin_graph_node_t;

typedef struct flagos_graph_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* Nodes stand in an order that respects their dependencies; all are copied. UNSUPPORTED for a node type that the
     chip's graphs do not have makes core run this graph itself. */
  flagos_status_t (*instantiate)(flagos_plugin_device_t* device, const flagos_plugin_graph_node_t* nodes,
                                 uint32_t node_count, flagos_plugin_graph_t** out_graph);
  /* The same types and dependencies with other parameters. Launches queued before keep the old ones. */
  flagos_status_t (*update)(flagos_plugin_graph_t* graph, const flagos_plugin_graph_node_t* nodes, uint32_t node_count);
  /* Runs of one graph never overlap. */
  flagos_status_t (*launch)(flagos_plugin_graph_t* graph, flagos_plugin_stream_t* stream);
  void (*destroy)(flagos_plugin_graph_t* graph);
} flagos_graph_table_t;

typedef struct flagos_profiling_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* From here on (1), until here (0), every operation ends with host->emit_record. */
  flagos_status_t (*enable)(flagos_plugin_device_t* device, uint32_t enabled);
  flagos_status_t (*get_clock)(flagos_plugin_device_t* device, uint64_t* out_device_ns, uint64_t* out_host_ns);
  /* since 1.0, optional, a pair: what is submitted to the stream between them shares one correlation_id. Core calls them
     around a graph that it runs itself while a profiler exists. */
  void (*begin_launch)(flagos_plugin_stream_t* stream);
  void (*end_launch)(flagos_plugin_stream_t* stream);
} flagos_profiling_table_t;

/* What core keeps for an importer beside the descriptor. This struct never grows. */
typedef struct flagos_plugin_external_t {
  int32_t fd;    /* of an export: given away, close-on-exec; of an import: borrowed */
  uint32_t type; /* the plugin's own number for the kind of descriptor; an import refuses what it does not know */
  uint64_t size_bytes;
  uint8_t data[64]; /* the plugin's own */
} flagos_plugin_external_t;

/* All slots are optional; those of a pair come together or not at all. Wrap functions refuse another type, another
   number of handles and handles of 0 with INVALID_ARGUMENT. flags: FLAGOS_WRAP_FLAG_*. */
typedef struct flagos_interop_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* A pair. Memory that was allocated with FLAGOS_MEMORY_FLAG_EXPORTABLE; without them core exports host memory
     through host_register. Imported and wrapped memory is freed by memory.free. */
  flagos_status_t (*export_memory)(flagos_plugin_device_t* device, flagos_address_t address,
                                   flagos_plugin_external_t* out_external);
  flagos_status_t (*import_memory)(flagos_plugin_device_t* device, const flagos_plugin_external_t* external,
                                   flagos_address_t* out_address);
  flagos_status_t (*get_native_device)(flagos_plugin_device_t* device, flagos_native_t* out_native);
  flagos_status_t (*get_native_stream)(flagos_plugin_stream_t* stream, flagos_native_t* out_native);
  flagos_status_t (*get_native_event)(flagos_plugin_event_t* event, flagos_native_t* out_native);
  flagos_status_t (*get_native_memory)(flagos_plugin_device_t* device, flagos_address_t address,
                                       flagos_native_t* out_native);
  flagos_status_t (*wrap_native_device)(flagos_plugin_instance_t* instance, uint32_t index,
                                        const flagos_native_t* native, uint64_t flags,
                                        flagos_plugin_device_t** out_device);
  flagos_status_t (*wrap_native_stream)(flagos_plugin_device_t* device, const flagos_native_t* native, uint64_t flags,
                                        flagos_plugin_stream_t** out_stream);
  flagos_status_t (*wrap_native_event)(flagos_plugin_device_t* device, const flagos_native_t* native, uint64_t flags,
                                       flagos_plugin_event_t** out_event);
  flagos_status_t (*wrap_native_memory)(flagos_plugin_device_t* device, const flagos_native_t* native,
                                        uint64_t size_bytes, uint64_t flags, flagos_address_t* out_address);
} flagos_interop_table_t;

typedef struct flagos_topology_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* Between two devices of this instance, from != to. Fills what it knows; core fills in the rest. */
  flagos_status_t (*get_link)(flagos_plugin_instance_t* instance, uint32_t from_index, uint32_t to_index,
                              flagos_link_info_t* out_info);
} flagos_topology_table_t;

/* What the chip computes with a library of its own; see "Native operators" in flagos.h. What is refused runs as a portable
   kernel, so a plugin takes what it does better than that. */
typedef struct flagos_operators_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* NOT_FOUND at and past the end, without an error text. Both texts live as long as the device. */
  flagos_status_t (*get_info)(flagos_plugin_device_t* device, uint32_t index, flagos_operator_info_t* out_info);
  /* Whether run takes such a call: its types, shapes, strides and numbers, with whatever addresses; those are not read.
     Cheap. Core has checked that the index is one of get_info, that nothing is NULL, and that tensors have a rank up to
     64, no negative extent, strides, and fit 64 bits. Number and types of the arguments, and whether shapes go together,
     are checked here: a call that is not as the schema says is not taken. An error only where something is broken. */
  flagos_status_t (*query)(flagos_plugin_device_t* device, const flagos_operator_desc_t* desc,
                           flagos_operator_support_t* out_support);
  /* Submits. UNSUPPORTED, with nothing queued, for what query does not take, and where an address does not suit. After
     DEFERRABLE it may be called again with the same desc, and must take it. The desc is copied before it returns. */
  flagos_status_t (*run)(flagos_plugin_stream_t* stream, const flagos_operator_desc_t* desc);
} flagos_operators_table_t;

/* Addresses apart from the memory behind them. Core keeps the book of reservations and mappings: addresses, sizes and
   offsets are multiples of the minimum granularity, map finds its range reserved and free, unmap gets exactly what one
   map mapped, set_access whole mappings side by side. release comes after the last unmap, destroy after the last unmap
   of that memory. */
typedef struct flagos_virtual_memory_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* since 1.0, all of them */
  /* The kind is DEVICE or PINNED; size_bytes is not to be read. UNSUPPORTED for a kind or flag that is not there. Both are
     powers of two; the units of DEVICE without flags hold for reservations. */
  flagos_status_t (*get_granularity)(flagos_plugin_device_t* device, const flagos_physical_memory_desc_t* desc,
                                     uint64_t* out_minimum_bytes, uint64_t* out_recommended_bytes);
  /* The alignment is a power of two, at least the granularity. `wanted` is a wish, 0 is none. */
  flagos_status_t (*reserve)(flagos_plugin_device_t* device, uint64_t size_bytes, uint64_t alignment_bytes,
                             flagos_address_t wanted, flagos_address_t* out_address);
  void (*release)(flagos_plugin_device_t* device, flagos_address_t address, uint64_t size_bytes);
  flagos_status_t (*create)(flagos_plugin_device_t* device, const flagos_physical_memory_desc_t* desc,
                            flagos_plugin_physical_memory_t** out_memory);
  void (*destroy)(flagos_plugin_physical_memory_t* memory);
  /* UNSUPPORTED for a part of the memory where only all of it can be mapped. */
  flagos_status_t (*map)(flagos_plugin_device_t* device, flagos_address_t address, uint64_t size_bytes,
                         flagos_plugin_physical_memory_t* memory, uint64_t offset_bytes);
  void (*unmap)(flagos_plugin_device_t* device, flagos_address_t address, uint64_t size_bytes);
  /* The accessor is a device of this instance, often `device` itself. */
  flagos_status_t (*set_access)(flagos_plugin_device_t* device, flagos_address_t address, uint64_t size_bytes,
                                flagos_plugin_device_t* accessor, flagos_memory_access_t access);
  /* since 1.0, optional; a pair. Of memory created with FLAGOS_MEMORY_FLAG_EXPORTABLE, which create refuses without them,
     and of imported memory, which destroy ends too. */
  flagos_status_t (*export_memory)(flagos_plugin_physical_memory_t* memory, flagos_plugin_external_t* out_external);
  flagos_status_t (*import_memory)(flagos_plugin_device_t* device, const flagos_plugin_external_t* external,
                                   flagos_plugin_physical_memory_t** out_memory);
} flagos_virtual_memory_table_t;

/* One operation on a stream: submits, as rule 8 says; with QUEUES_ONLY it does not wait for other ranks either. UNSUPPORTED,
   with nothing queued, for what query does not take, and for ordinary host memory without HOST_MEMORY. After DEFERRABLE it
   is taken whenever core holds it back. Core has checked dtype, reduction and peer, and that buffers lie in their
   allocations and do not overlap, but for those that may be the same (see flagos.h); the count may be 0, and only then
   addresses are 0. */
typedef flagos_status_t (*flagos_collective_function_t)(flagos_plugin_communicator_t* communicator,
                                                        flagos_plugin_stream_t* stream,
                                                        const flagos_collective_desc_t* desc);

/* Collectives between the devices of this plugin, with the vendor's library; see "Native collectives" in flagos.h. Beside
   the first block all slots are optional; those of a pair come together or not at all. */
typedef struct flagos_collective_table_t {
  uint32_t struct_size;
  uint32_t group_version;
  /* required of the group */
  /* Sets the flags. Not asked about an operation whose slot is NULL. Cheap; the same for all devices of the instance. */
  flagos_status_t (*query)(flagos_plugin_device_t* device, flagos_collective_operation_t operation,
                           flagos_dtype_t dtype, flagos_collective_reduction_t reduction,
                           flagos_collective_support_t* out_support);
  flagos_status_t (*unique_id_create)(flagos_plugin_device_t* device, flagos_collective_id_t* out_id);
  /* Waits for the other ranks, which call from other threads and processes; not longer than desc->timeout_ns. */
  flagos_status_t (*communicator_create)(flagos_plugin_device_t* device, const flagos_communicator_desc_t* desc,
                                         flagos_plugin_communicator_t** out_communicator);
  /* The communicator may have failed or been aborted; other ranks may still use theirs. */
  void (*communicator_destroy)(flagos_plugin_communicator_t* communicator);
  /* Without waiting. `out_status` is OK, or of class comm or device; then also set_error, with the same status. */
  flagos_status_t (*communicator_query_error)(flagos_plugin_communicator_t* communicator, flagos_status_t* out_status);
  /* optional */
  /* Waits for the other ranks. NULL for FLAGOS_COMMUNICATOR_COLOR_NONE; else also its rank and size. */
  flagos_status_t (*communicator_split)(flagos_plugin_communicator_t* communicator, int32_t color, int32_t key,
                                        flagos_plugin_communicator_t** out_communicator, uint32_t* out_rank,
                                        uint32_t* out_size);
  /* Called at most once, also while create of another rank, split or an operation of this communicator waits: they end within
     a second. Only query_error and destroy are called after it. */
  flagos_status_t (*communicator_abort)(flagos_plugin_communicator_t* communicator);
  flagos_collective_function_t all_reduce;
  flagos_collective_function_t reduce;
  flagos_collective_function_t reduce_scatter;
  flagos_collective_function_t broadcast;
  flagos_collective_function_t all_gather;
  flagos_collective_function_t gather;
  flagos_collective_function_t scatter;
  flagos_collective_function_t all_to_all;
  flagos_collective_function_t send;
  flagos_collective_function_t receive;
  /* A pair. Core calls begin, the operations and end from one thread, and nothing else of this instance in between; groups
     never nest. The operations may be of several communicators and devices. A group of one operation comes without. */
  flagos_status_t (*group_begin)(flagos_plugin_instance_t* instance);
  flagos_status_t (*group_end)(flagos_plugin_instance_t* instance);
  /* A pair. Registrations are ended before their communicator. */
  flagos_status_t (*buffer_register)(flagos_plugin_communicator_t* communicator, flagos_address_t address,
                                     uint64_t size_bytes, flagos_plugin_registration_t** out_registration);
  void (*buffer_deregister)(flagos_plugin_communicator_t* communicator, flagos_plugin_registration_t* registration);
} flagos_collective_table_t;

/* ------------------------------------------------------------------------------------------------------------------
 * The root table and the one exported symbol. The first 32 bytes are the same in all majors.
 * --------------------------------------------------------------------------------------------------------------- */

typedef struct flagos_plugin_t {
  uint32_t struct_size;     /* in: what core has room for; out: the end of what the plugin wrote */
  uint32_t abi_version;     /* out: the version agreed on, 0 when refused */
  uint32_t abi_version_min; /* out, also when refused: the plugin's own range */
  uint32_t abi_version_max;
  flagos_plugin_instance_t* instance;
  const char* name; /* "cpu", "opencl": [a-z][a-z0-9_]*, at most 63 bytes */
  /* --- end of the part that is frozen for all majors --- */
  const char* vendor;
  const char* version; /* the plugin's own */
  /* Ends the instance; its devices are closed by then. */
  void (*close)(flagos_plugin_instance_t* instance);
  /* required */
  const flagos_device_table_t* device;
  const flagos_memory_table_t* memory;
  const flagos_stream_table_t* stream;
  const flagos_event_table_t* event;
  const flagos_module_table_t* module;
  const flagos_kernel_table_t* kernel;
  /* optional: NULL is an absent feature */
  const flagos_memory_pool_table_t* memory_pool;
  const flagos_timeline_table_t* timeline;
  const flagos_graph_table_t* graph;
  const flagos_profiling_table_t* profiling;
  const flagos_interop_table_t* interop;
  const flagos_topology_table_t* topology;
  const flagos_operators_table_t* operators;
  const flagos_virtual_memory_table_t* virtual_memory;
  const flagos_collective_table_t* collective;
} flagos_plugin_t;

/* The name of the exported symbol. */
#define FLAGOS_PLUGIN_OPEN_SYMBOL "flagos_plugin_open"

/**
 * Makes an instance of the plugin. Every call makes one of its own.
 *
 * @param host        services, valid until close; struct_size may be smaller or larger than the plugin's header knows
 * @param out_plugin  at most out_plugin->struct_size bytes are written. Strings and tables are static or live until
 *                    close.
 * @retval FLAGOS_STATUS_UNSUPPORTED_VERSION  no version in [abi_version_min, abi_version_max] of `host` is
 *                                            implemented; the plugin's own range is written
 *
 * Threads: any thread.  Since: 1.0
 */
typedef flagos_status_t (*flagos_plugin_open_t)(const flagos_host_t* host, flagos_plugin_t* out_plugin);

#if defined(FLAGOS_PLUGIN_BUILD)
__attribute__((visibility("default"))) flagos_status_t flagos_plugin_open(const flagos_host_t* host,
                                                                          flagos_plugin_t* out_plugin);
#endif

#ifdef __cplusplus
}
#endif

#endif /* FLAGOS_PLUGIN_H */
