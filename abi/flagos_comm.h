/*
 * flagos_comm.h: collectives over any mix of chips (libflagos_comm).
 * C11, needs flagos.h only. ABI 1.0 (candidate). SPDX-License-Identifier: Apache-2.0
 *
 * The general rules of flagos.h hold. Beside them:
 *
 * Ranks       A communicator joins `size` ranks. Each rank is one flagos_comm_t on one open device, in one thread or many,
 *             in one process or many, of one plugin or of several.
 * Order       A call queues the operation on `stream` and returns: it starts when the stream gets there, and later work
 *             of the stream waits for it. All ranks make the same calls in the same order; one communicator runs its
 *             operations one after the other, also those on different streams.
 * Agreement   Every operation carries what its ranks must agree on (kind, dtype, reduction, root, count, place in the
 *             order). Ranks that disagree get RANK_MISMATCH; nobody waits for ever, wrong data is never taken for right.
 * Failure     A rank that dies, stops or leaves ends the communicator on all ranks: pending and later work is refused
 *             with one status, and flagos_comm_query_status names rank and operation. Streams that wait for an operation
 *             of it are poisoned with that status (see flagos_stream_reset). What a failed operation has written is
 *             undefined. The survivors go on with flagos_comm_shrink.
 * Buffers     Memory of the rank's device, or host memory. `source` and `target` are equal (in place) where the operation
 *             says so, or do not overlap. Counts are elements. A count of 0 is legal and still an operation.
 * Native      Where all ranks are devices of one plugin that has collectives of its own (see flagos.h), operations that it has
 *             go to it. What ranks that disagree get is up to it then, as are the order and precision of sums.
 * Results     Are bit-identical on all ranks, and else independent of the mix of chips. 8- and 16-bit floating point is added in
 *             float32 and rounded once. With FLAGOS_COMM_FLAG_DETERMINISTIC they do not depend on which rank holds what.
 * Statuses    Beside those that they list, operations return INVALID_ARGUMENT (an address of 0 with a count, a buffer past
 *             its allocation, overlap, a root that is no rank, a dtype or reduction that does not exist), UNSUPPORTED (a
 *             reduction that the dtype does not have), the status of a failed communicator or of a poisoned stream, and
 *             NOT_READY while the communicator is being made.
 *
 * Environment: FLAGOS_COMM_DEBUG (plan: what each operation does, to stderr), FLAGOS_COMM_TIMEOUT_MS (where the config says
 * 0), FLAGOS_COMM_INTERFACE (see flagos_comm_unique_id_create), FLAGOS_COMM_TRANSPORT (tcp: also within a host), FLAGOS_COMM_ALGORITHM
 * (of all operations that have it: direct, one_step, slices, tree, ring or clusters; else what the measured cost says),
 * FLAGOS_COMM_NATIVE (0: never the plugin's own collectives, 1: wherever all ranks have them, measured: of those, in parts of a
 * communicator where they were measured to be faster; else where the plugin says so as well),
 * FLAGOS_COMM_REDUCE (host or device: who reduces memory that the host does not reach; else whoever is faster).
 */
#ifndef FLAGOS_COMM_H
#define FLAGOS_COMM_H

#include "flagos.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------------------------
 * Communicator
 * --------------------------------------------------------------------------------------------------------------- */

typedef struct flagos_comm_t flagos_comm_t;

/* Opaque; made by one process, given to the others by any way that strangers cannot read: it holds a secret of 128 bits.
   This struct never grows. */
typedef struct flagos_comm_unique_id_t {
  uint8_t bytes[128];
} flagos_comm_unique_id_t;

/* For flagos_comm_config_t.flags. */
enum {
  FLAGOS_COMM_FLAG_DETERMINISTIC = 1, /* results do not depend on which rank holds what; slower; up to 256 ranks */
  FLAGOS_COMM_FLAG_NON_BLOCKING = 2   /* creating returns at once; flagos_comm_query_status says when it is done */
};

typedef struct flagos_comm_config_t {
  uint32_t struct_size;
  uint32_t flags;
  const flagos_extension_t* next;
  uint64_t timeout_ns; /* an operation, or making the communicator, that gets nowhere for so long fails; 0: 300 s */
} flagos_comm_config_t;

typedef struct flagos_comm_info_t {
  uint32_t struct_size;
  uint32_t rank;
  uint32_t size;       /* how many ranks */
  uint32_t local_size; /* how many of them on this host */
  flagos_device_t* device;
  uint64_t timeout_ns;
  uint64_t flags;             /* as configured */
  uint64_t operations;        /* how many operations are done */
  const char* algorithm;      /* of the operation that this rank has begun last; "automatic" before the first */
  uint64_t device_reductions; /* how many pieces this rank's device has reduced with kernels, and not the host */
} flagos_comm_info_t;

/**
 * Makes the id of one communicator, and listens for its ranks until it is complete or times out.
 *
 * The address that others connect to is the first one of FLAGOS_COMM_INTERFACE (a name such as "eth0", or an address);
 * without it the ranks are on this host.
 *
 * @retval FLAGOS_STATUS_NOT_FOUND         no such interface; the text lists those there are
 * @retval FLAGOS_STATUS_OUT_OF_RESOURCES  the system gives no socket
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_unique_id_create(flagos_comm_unique_id_t* out_id);

/**
 * Joins a communicator, and waits until all ranks have joined.
 *
 * @param device  of this rank; must stay open until the communicator is destroyed
 * @param id      the same on all ranks; serves for one communicator
 * @param rank    0 .. size - 1, each once
 * @param config  NULL: defaults
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  rank or size out of range; two ranks of one number; ranks that disagree on the
 *                                         size or on the flags
 * @retval FLAGOS_STATUS_COMM_REFUSED      the id is not of a communicator that waits for ranks: wrong secret, used already
 * @retval FLAGOS_STATUS_COMM_TIMEOUT      a rank did not join in time; the text names it
 *
 * Threads: any thread.  Ownership: flagos_comm_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_create(flagos_device_t* device, const flagos_comm_unique_id_t* id, uint32_t rank,
                                              uint32_t size, const flagos_comm_config_t* config,
                                              flagos_comm_t** out_comm);

/**
 * Joins the communicator of all ranks that a launcher has started, as flagos_comm_create does.
 *
 * Rank and size come from the variables of `flagos run`, torchrun (RANK, WORLD_SIZE), Open MPI (OMPI_COMM_WORLD_*), PMI
 * (PMI_*) and Slurm (SLURM_PROCID, SLURM_NTASKS). The id comes from FLAGOS_COMM_ID, which `flagos run` sets; else from the
 * file FLAGOS_COMM_FILE, which rank 0 writes and the others wait for; else from such a file of the user's own, named by the
 * job. In a process this serves for one communicator; more of them come from ids of the program's own.
 *
 * @retval FLAGOS_STATUS_NOT_FOUND      the variables do not say which rank this is, or how to find the others
 * @retval FLAGOS_STATUS_NOT_PERMITTED  the file, or its folder, can be read or written by others
 * @retval as flagos_comm_create
 *
 * Threads: any thread.  Ownership: flagos_comm_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_create_from_environment(flagos_device_t* device,
                                                               const flagos_comm_config_t* config,
                                                               flagos_comm_t** out_comm);

/**
 * Makes a communicator whose ranks are all in this process: rank i is out_comms[i], on devices[i].
 *
 * One thread may serve all ranks: calls only queue.
 *
 * @param size       how many ranks, at least 1
 * @param devices    [size]; one device may stand for several ranks
 * @param config     NULL: defaults
 * @param out_comms  [size]
 *
 * Threads: any thread.  Ownership: flagos_comm_destroy, each.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_create_all(uint32_t size, flagos_device_t* const* devices,
                                                  const flagos_comm_config_t* config, flagos_comm_t** out_comms);

/* For flagos_comm_split: this rank is in none of the new communicators. */
#define FLAGOS_COMM_COLOR_NONE (-1)

/**
 * Makes new communicators of the ranks of one: those that give the same color are together, in the order of their keys, and
 * of their old ranks where keys are equal. An operation of `comm` like others; it waits for all ranks.
 *
 * @param color     0 or more, or FLAGOS_COMM_COLOR_NONE
 * @param key       any number
 * @param config    NULL: as `comm`; NON_BLOCKING counts for joining the new communicator only
 * @param out_comm  NULL for FLAGOS_COMM_COLOR_NONE
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a color below FLAGOS_COMM_COLOR_NONE
 * @retval as flagos_comm_create, and the status of a failed communicator
 *
 * Threads: any thread, one for each rank of the process.  Ownership: flagos_comm_destroy; `comm` goes on.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_split(flagos_comm_t* comm, int32_t color, int32_t key,
                                             const flagos_comm_config_t* config, flagos_comm_t** out_comm);

/**
 * Makes a new communicator of the ranks that are left, in their old order. `comm` may have failed, and is aborted if it has
 * not; it is still to be destroyed. All ranks that are left make the call and exclude the same others.
 *
 * @param excluded  [excluded_count], old ranks that are gone; not this one
 * @param config    NULL: as `comm`
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  a rank that there is not, or this one
 * @retval as flagos_comm_create
 *
 * Threads: any thread, one for each rank of the process.  Ownership: flagos_comm_destroy.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_shrink(flagos_comm_t* comm, const uint32_t* excluded, uint32_t excluded_count,
                                              const flagos_comm_config_t* config, flagos_comm_t** out_comm);

/**
 * Ends a communicator of this rank after its pending operations, each of which ends by itself or by its timeout.
 *
 * Threads: any thread.  Ownership: takes `comm`; NULL does nothing.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_destroy(flagos_comm_t* comm);

/**
 * Waits until all operations queued so far are done.
 *
 * @retval FLAGOS_STATUS_TIMEOUT  not done in timeout_ns
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_synchronize(flagos_comm_t* comm, uint64_t timeout_ns);

/**
 * Ends what the communicator does, on all ranks: pending operations fail with COMM_ABORTED, here at once and on the other
 * ranks as soon as they hear of it. A second abort does nothing.
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_abort(flagos_comm_t* comm);

/**
 * What became of the communicator, without waiting.
 *
 * @param out_status  OK; NOT_READY while it is being made; else why it failed, and flagos_last_error names rank and
 *                    operation
 *
 * Threads: any thread.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_query_status(flagos_comm_t* comm, flagos_status_t* out_status);

/** @retval FLAGOS_STATUS_INVALID_STRUCT_SIZE  below the 1.0 size. Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_get_info(flagos_comm_t* comm, flagos_comm_info_t* out_info);

/* ------------------------------------------------------------------------------------------------------------------
 * Reductions
 * --------------------------------------------------------------------------------------------------------------- */

/* One of these, or what flagos_comm_reduction_create gives. */
typedef int32_t flagos_comm_reduction_t;
enum {
  FLAGOS_COMM_REDUCTION_SUM = 0,     /* integers wrap; of bool it is `or` */
  FLAGOS_COMM_REDUCTION_PRODUCT = 1, /* integers wrap; of bool it is `and` */
  FLAGOS_COMM_REDUCTION_MIN = 2,     /* a NaN wins, and is the same NaN everywhere; -0 is below 0; not of complex */
  FLAGOS_COMM_REDUCTION_MAX = 3,
  FLAGOS_COMM_REDUCTION_AVERAGE = 4, /* integers: the exact sum divided, rounded towards 0; not of bool */
  FLAGOS_COMM_REDUCTION_BIT_AND = 5, /* integers and bool */
  FLAGOS_COMM_REDUCTION_BIT_OR = 6,
  FLAGOS_COMM_REDUCTION_BIT_XOR = 7
};

/**
 * A sum in which what this rank gives is multiplied by `scale` first, in the type in which it is added. Of floating
 * dtypes. The scale may differ from rank to rank.
 *
 * @retval FLAGOS_STATUS_OUT_OF_RESOURCES  the communicator has 64 already
 *
 * Threads: any thread.  Ownership: flagos_comm_reduction_destroy, or with the communicator.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_reduction_create(flagos_comm_t* comm, double scale,
                                                        flagos_comm_reduction_t* out_reduction);

/** Operations that were queued before keep it. @retval FLAGOS_STATUS_NOT_FOUND  no such reduction of this communicator.
 *  Threads: any thread.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_reduction_destroy(flagos_comm_t* comm, flagos_comm_reduction_t reduction);

/* ------------------------------------------------------------------------------------------------------------------
 * Collectives
 * --------------------------------------------------------------------------------------------------------------- */

/**
 * target = the reduction over all ranks' sources, on every rank.
 *
 * @param source  [count]
 * @param target  [count]; may be `source`
 *
 * Threads: any thread; the order of the calls is the order of the operations.  Ownership: borrows everything; the buffers
 * until the stream has passed.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_all_reduce(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                                                  flagos_address_t target, uint64_t count, flagos_dtype_t dtype,
                                                  flagos_comm_reduction_t reduction);

/** As flagos_comm_all_reduce, on `root` alone. @param target  [count] on the root; may be `source`; elsewhere not used and
 *  may be 0. Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_reduce(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                                              flagos_address_t target, uint64_t count, flagos_dtype_t dtype,
                                              flagos_comm_reduction_t reduction, uint32_t root);

/** Rank i gets block i of the reduction. @param source  [size * count]. @param target  [count]; may be block `rank` of
 *  `source`. Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_reduce_scatter(flagos_comm_t* comm, flagos_stream_t* stream,
                                                      flagos_address_t source, flagos_address_t target, uint64_t count,
                                                      flagos_dtype_t dtype, flagos_comm_reduction_t reduction);

/** As flagos_comm_reduce_scatter with blocks of their own sizes, one behind the other. @param counts  [size]; the same on
 *  all ranks. Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_reduce_scatter_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                                        flagos_address_t source, flagos_address_t target,
                                                        const uint64_t* counts, flagos_dtype_t dtype,
                                                        flagos_comm_reduction_t reduction);

/** target = the reduction over the sources of ranks 0 .. rank. Buffers as flagos_comm_all_reduce.
 *  Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_scan(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                                            flagos_address_t target, uint64_t count, flagos_dtype_t dtype,
                                            flagos_comm_reduction_t reduction);

/** target = the reduction over the sources of ranks 0 .. rank - 1; on rank 0 it is left as it is. Buffers as
 *  flagos_comm_all_reduce. Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_exclusive_scan(flagos_comm_t* comm, flagos_stream_t* stream,
                                                      flagos_address_t source, flagos_address_t target, uint64_t count,
                                                      flagos_dtype_t dtype, flagos_comm_reduction_t reduction);

/** Every rank gets what the root has. @param buffer  [count]; read on the root, written elsewhere.
 *  Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_broadcast(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t buffer,
                                                 uint64_t count, flagos_dtype_t dtype, uint32_t root);

/** Every rank gets the sources of all, in the order of the ranks. @param source  [count]. @param target  [size * count];
 *  `source` may be its block `rank`. Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_all_gather(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                                                  flagos_address_t target, uint64_t count, flagos_dtype_t dtype);

/**
 * As flagos_comm_all_gather with blocks of their own sizes and places.
 *
 * @param source   [counts[rank]]; may be its own block of `target`
 * @param counts   [size], in elements; the same on all ranks
 * @param offsets  [size], of the blocks in `target`, in elements; what lies between them stays; NULL: one behind the other
 *
 * Threads: as flagos_comm_all_reduce.  Ownership: the arrays are read before the call returns.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_all_gather_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                                    flagos_address_t source, flagos_address_t target,
                                                    const uint64_t* counts, const uint64_t* offsets,
                                                    flagos_dtype_t dtype);

/** As flagos_comm_all_gather, on `root` alone; elsewhere `target` is not used and may be 0.
 *  Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_gather(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                                              flagos_address_t target, uint64_t count, flagos_dtype_t dtype,
                                              uint32_t root);

/** As flagos_comm_all_gather_v, on `root` alone; elsewhere `target` and `offsets` are not used.
 *  Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_gather_v(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                                                flagos_address_t target, const uint64_t* counts,
                                                const uint64_t* offsets, flagos_dtype_t dtype, uint32_t root);

/** Rank i gets block i of the root's source. @param source  [size * count] on the root; elsewhere not used and may be 0.
 *  @param target  [count]; on the root it may be block `root` of `source`. Threads: as flagos_comm_all_reduce.
 *  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_scatter(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                                               flagos_address_t target, uint64_t count, flagos_dtype_t dtype,
                                               uint32_t root);

/** As flagos_comm_scatter with blocks of their own sizes and places in `source`; arrays as flagos_comm_all_gather_v.
 *  Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_scatter_v(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                                                 flagos_address_t target, const uint64_t* counts,
                                                 const uint64_t* offsets, flagos_dtype_t dtype, uint32_t root);

/** Block j of rank i's source becomes block i of rank j's target. @param source  [size * count]. @param target
 *  [size * count]; may be `source`. Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_all_to_all(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                                                  flagos_address_t target, uint64_t count, flagos_dtype_t dtype);

/**
 * As flagos_comm_all_to_all with blocks of their own sizes and places. Not in place.
 *
 * @param source_counts   [size]: what goes to each rank; that rank's target_counts must say the same
 * @param source_offsets  [size], in elements; NULL: one behind the other
 * @param target_counts   [size]: what comes from each rank
 * @param target_offsets  [size]
 *
 * Threads: as flagos_comm_all_reduce.  Ownership: the arrays are read before the call returns.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_all_to_all_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                                    flagos_address_t source, const uint64_t* source_counts,
                                                    const uint64_t* source_offsets, flagos_address_t target,
                                                    const uint64_t* target_counts, const uint64_t* target_offsets,
                                                    flagos_dtype_t dtype);

/** No rank passes before all ranks' streams have arrived. Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_barrier(flagos_comm_t* comm, flagos_stream_t* stream);

/* ------------------------------------------------------------------------------------------------------------------
 * Between two ranks
 * --------------------------------------------------------------------------------------------------------------- */

/** Sends to `peer`, which must receive as many elements of the same dtype. Messages between two ranks keep their order.
 *  Two ranks that send to each other, and then receive, must do so in a group. @param peer  a rank; in a group also this
 *  one. Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_send(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                                            uint64_t count, flagos_dtype_t dtype, uint32_t peer);

/** The other end of flagos_comm_send. Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_receive(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t target,
                                               uint64_t count, flagos_dtype_t dtype, uint32_t peer);

/* ------------------------------------------------------------------------------------------------------------------
 * One-sided: memory of another rank, which makes no call for it
 * --------------------------------------------------------------------------------------------------------------- */

/* Memory of all ranks, a part of each, that the others may reach; a number of the communicator, from 1. */
typedef uint32_t flagos_comm_window_t;

/**
 * Registers memory of this rank with all others. All ranks make the call, in the same order of such calls, and wait for each
 * other; the parts may have different sizes.
 *
 * @param address     of the rank's device, or of the host (allocated or registered); stays allocated while the window lives
 * @param size_bytes  0: this rank gives nothing
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  memory that was not allocated or registered, or a range past its end
 * @retval FLAGOS_STATUS_RANK_MISMATCH     another rank gave what cannot be a part; the text names it
 *
 * Threads: any thread, one for each rank of the process.  Ownership: flagos_comm_window_destroy, or with the communicator.
 * Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_window_create(flagos_comm_t* comm, flagos_address_t address, uint64_t size_bytes,
                                                     flagos_comm_window_t* out_window);

/** Ends it on all ranks, which all make the call, when what they do with it is done. @retval FLAGOS_STATUS_NOT_FOUND  no such
 *  window. Threads: any thread, one for each rank of the process.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_window_destroy(flagos_comm_t* comm, flagos_comm_window_t window);

/**
 * Copies bytes into `peer`'s part of a window.
 *
 * The stream goes on when the bytes are in their place: a signal or a barrier behind it tells so. Nothing orders it with
 * what others do to the same bytes. An order between ranks is not needed: `peer` makes no call.
 *
 * @param peer        a rank; also this one
 * @param offset      in its part, in bytes
 * @param size_bytes  0 does nothing
 * @retval FLAGOS_STATUS_NOT_FOUND         no such window
 * @retval FLAGOS_STATUS_INVALID_ARGUMENT  past the end of the part; peer is no rank
 *
 * A part that its rank has freed ends the communicator with RANK_FAILED; the text names rank and window.
 * Threads: as flagos_comm_all_reduce.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_put(flagos_comm_t* comm, flagos_stream_t* stream, flagos_comm_window_t window,
                                           uint32_t peer, uint64_t offset, flagos_address_t source,
                                           uint64_t size_bytes);

/** Copies bytes out of `peer`'s part of a window; the stream goes on when they have come. Parameters as flagos_comm_put.
 *  Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_get(flagos_comm_t* comm, flagos_stream_t* stream, flagos_comm_window_t window,
                                           uint32_t peer, uint64_t offset, flagos_address_t target,
                                           uint64_t size_bytes);

/** Gives `peer` a signal, behind this rank's puts before it. @param peer  a rank; also this one.
 *  Threads: as flagos_comm_all_reduce.  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_signal(flagos_comm_t* comm, flagos_stream_t* stream, uint32_t peer);

/** The stream waits until `peer` has given `count` signals more than were waited for before. As all operations of the
 *  communicator it lets no later one of this rank begin, and it has its timeout. Threads: as flagos_comm_all_reduce.
 *  Since: 1.0 */
FLAGOS_API flagos_status_t flagos_comm_wait_signal(flagos_comm_t* comm, flagos_stream_t* stream, uint32_t peer,
                                                   uint64_t count);

/* ------------------------------------------------------------------------------------------------------------------
 * Groups
 * --------------------------------------------------------------------------------------------------------------- */

/**
 * Opens a group of this thread: operations are collected until it is closed. Groups nest; the outermost counts.
 *
 * Sends and receives of one communicator on one stream become one operation in which all of them proceed at once.
 *
 * Threads: the group is the thread's own.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_group_begin(void);

/**
 * Closes the group and queues what it holds.
 *
 * @retval FLAGOS_STATUS_NOT_PERMITTED  no group is open
 * @retval the first failure of a call in the group; then nothing of it is queued
 *
 * Threads: the group is the thread's own.  Since: 1.0
 */
FLAGOS_API flagos_status_t flagos_comm_group_end(void);

#ifdef __cplusplus
}
#endif

#endif /* FLAGOS_COMM_H */
