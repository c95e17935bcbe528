/* flagos_comm.h of ABI 1.0 without its comments; written by scripts/update-layout. Apache-2.0 */
#ifndef FLAGOS_COMM_H
#define FLAGOS_COMM_H
#include "flagos.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef struct flagos_comm_t flagos_comm_t;
typedef struct flagos_comm_unique_id_t {
  uint8_t bytes[128];
} flagos_comm_unique_id_t;
enum { FLAGOS_COMM_FLAG_DETERMINISTIC = 1, FLAGOS_COMM_FLAG_NON_BLOCKING = 2 };
typedef struct flagos_comm_config_t {
  uint32_t struct_size;
  uint32_t flags;
  const flagos_extension_t* next;
  uint64_t timeout_ns;
} flagos_comm_config_t;
typedef struct flagos_comm_info_t {
  uint32_t struct_size;
  uint32_t rank;
  uint32_t size;
  uint32_t local_size;
  flagos_device_t* device;
  uint64_t timeout_ns;
  uint64_t flags;
  uint64_t operations;
  const char* algorithm;
  uint64_t device_reductions;
} flagos_comm_info_t;
FLAGOS_API flagos_status_t flagos_comm_unique_id_create(flagos_comm_unique_id_t* out_id);
FLAGOS_API flagos_status_t flagos_comm_create(flagos_device_t* device,
                                              const flagos_comm_unique_id_t* id, uint32_t rank,
                                              uint32_t size, const flagos_comm_config_t* config,
                                              flagos_comm_t** out_comm);
FLAGOS_API flagos_status_t flagos_comm_create_from_environment(flagos_device_t* device,
                                                               const flagos_comm_config_t* config,
                                                               flagos_comm_t** out_comm);
FLAGOS_API flagos_status_t flagos_comm_create_all(uint32_t size, flagos_device_t* const* devices,
                                                  const flagos_comm_config_t* config,
                                                  flagos_comm_t** out_comms);
#define FLAGOS_COMM_COLOR_NONE (-1)
FLAGOS_API flagos_status_t flagos_comm_split(flagos_comm_t* comm, int32_t color, int32_t key,
                                             const flagos_comm_config_t* config,
                                             flagos_comm_t** out_comm);
FLAGOS_API flagos_status_t flagos_comm_shrink(flagos_comm_t* comm, const uint32_t* excluded,
                                              uint32_t excluded_count,
                                              const flagos_comm_config_t* config,
                                              flagos_comm_t** out_comm);
FLAGOS_API flagos_status_t flagos_comm_destroy(flagos_comm_t* comm);
FLAGOS_API flagos_status_t flagos_comm_synchronize(flagos_comm_t* comm, uint64_t timeout_ns);
FLAGOS_API flagos_status_t flagos_comm_abort(flagos_comm_t* comm);
FLAGOS_API flagos_status_t flagos_comm_query_status(flagos_comm_t* comm,
                                                    flagos_status_t* out_status);
FLAGOS_API flagos_status_t flagos_comm_get_info(flagos_comm_t* comm, flagos_comm_info_t* out_info);
typedef int32_t flagos_comm_reduction_t;
enum {
  FLAGOS_COMM_REDUCTION_SUM = 0,
  FLAGOS_COMM_REDUCTION_PRODUCT = 1,
  FLAGOS_COMM_REDUCTION_MIN = 2,
  FLAGOS_COMM_REDUCTION_MAX = 3,
  FLAGOS_COMM_REDUCTION_AVERAGE = 4,
  FLAGOS_COMM_REDUCTION_BIT_AND = 5,
  FLAGOS_COMM_REDUCTION_BIT_OR = 6,
  FLAGOS_COMM_REDUCTION_BIT_XOR = 7
};
FLAGOS_API flagos_status_t flagos_comm_reduction_create(flagos_comm_t* comm, double scale,
                                                        flagos_comm_reduction_t* out_reduction);
FLAGOS_API flagos_status_t flagos_comm_reduction_destroy(flagos_comm_t* comm,
                                                         flagos_comm_reduction_t reduction);
FLAGOS_API flagos_status_t flagos_comm_all_reduce(flagos_comm_t* comm, flagos_stream_t* stream,
                                                  flagos_address_t source, flagos_address_t target,
                                                  uint64_t count, flagos_dtype_t dtype,
                                                  flagos_comm_reduction_t reduction);
FLAGOS_API flagos_status_t flagos_comm_reduce(flagos_comm_t* comm, flagos_stream_t* stream,
                                              flagos_address_t source, flagos_address_t target,
                                              uint64_t count, flagos_dtype_t dtype,
                                              flagos_comm_reduction_t reduction, uint32_t root);
FLAGOS_API flagos_status_t flagos_comm_reduce_scatter(flagos_comm_t* comm, flagos_stream_t* stream,
                                                      flagos_address_t source,
                                                      flagos_address_t target, uint64_t count,
                                                      flagos_dtype_t dtype,
                                                      flagos_comm_reduction_t reduction);
FLAGOS_API flagos_status_t flagos_comm_reduce_scatter_v(
    flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source, flagos_address_t target,
    const uint64_t* counts, flagos_dtype_t dtype, flagos_comm_reduction_t reduction);
FLAGOS_API flagos_status_t flagos_comm_scan(flagos_comm_t* comm, flagos_stream_t* stream,
                                            flagos_address_t source, flagos_address_t target,
                                            uint64_t count, flagos_dtype_t dtype,
                                            flagos_comm_reduction_t reduction);
FLAGOS_API flagos_status_t flagos_comm_exclusive_scan(flagos_comm_t* comm, flagos_stream_t* stream,
                                                      flagos_address_t source,
                                                      flagos_address_t target, uint64_t count,
                                                      flagos_dtype_t dtype,
                                                      flagos_comm_reduction_t reduction);
FLAGOS_API flagos_status_t flagos_comm_broadcast(flagos_comm_t* comm, flagos_stream_t* stream,
                                                 flagos_address_t buffer, uint64_t count,
                                                 flagos_dtype_t dtype, uint32_t root);
FLAGOS_API flagos_status_t flagos_comm_all_gather(flagos_comm_t* comm, flagos_stream_t* stream,
                                                  flagos_address_t source, flagos_address_t target,
                                                  uint64_t count, flagos_dtype_t dtype);
FLAGOS_API flagos_status_t flagos_comm_all_gather_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                                    flagos_address_t source,
                                                    flagos_address_t target, const uint64_t* counts,
                                                    const uint64_t* offsets, flagos_dtype_t dtype);
FLAGOS_API flagos_status_t flagos_comm_gather(flagos_comm_t* comm, flagos_stream_t* stream,
                                              flagos_address_t source, flagos_address_t target,
                                              uint64_t count, flagos_dtype_t dtype, uint32_t root);
FLAGOS_API flagos_status_t flagos_comm_gather_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                                flagos_address_t source, flagos_address_t target,
                                                const uint64_t* counts, const uint64_t* offsets,
                                                flagos_dtype_t dtype, uint32_t root);
FLAGOS_API flagos_status_t flagos_comm_scatter(flagos_comm_t* comm, flagos_stream_t* stream,
                                               flagos_address_t source, flagos_address_t target,
                                               uint64_t count, flagos_dtype_t dtype, uint32_t root);
FLAGOS_API flagos_status_t flagos_comm_scatter_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                                 flagos_address_t source, flagos_address_t target,
                                                 const uint64_t* counts, const uint64_t* offsets,
                                                 flagos_dtype_t dtype, uint32_t root);
FLAGOS_API flagos_status_t flagos_comm_all_to_all(flagos_comm_t* comm, flagos_stream_t* stream,
                                                  flagos_address_t source, flagos_address_t target,
                                                  uint64_t count, flagos_dtype_t dtype);
FLAGOS_API flagos_status_t flagos_comm_all_to_all_v(
    flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
    const uint64_t* source_counts, const uint64_t* source_offsets, flagos_address_t target,
    const uint64_t* target_counts, const uint64_t* target_offsets, flagos_dtype_t dtype);
FLAGOS_API flagos_status_t flagos_comm_barrier(flagos_comm_t* comm, flagos_stream_t* stream);
FLAGOS_API flagos_status_t flagos_comm_send(flagos_comm_t* comm, flagos_stream_t* stream,
                                            flagos_address_t source, uint64_t count,
                                            flagos_dtype_t dtype, uint32_t peer);
FLAGOS_API flagos_status_t flagos_comm_receive(flagos_comm_t* comm, flagos_stream_t* stream,
                                               flagos_address_t target, uint64_t count,
                                               flagos_dtype_t dtype, uint32_t peer);
typedef uint32_t flagos_comm_window_t;
FLAGOS_API flagos_status_t flagos_comm_window_create(flagos_comm_t* comm, flagos_address_t address,
                                                     uint64_t size_bytes,
                                                     flagos_comm_window_t* out_window);
FLAGOS_API flagos_status_t flagos_comm_window_destroy(flagos_comm_t* comm,
                                                      flagos_comm_window_t window);
FLAGOS_API flagos_status_t flagos_comm_put(flagos_comm_t* comm, flagos_stream_t* stream,
                                           flagos_comm_window_t window, uint32_t peer,
                                           uint64_t offset, flagos_address_t source,
                                           uint64_t size_bytes);
FLAGOS_API flagos_status_t flagos_comm_get(flagos_comm_t* comm, flagos_stream_t* stream,
                                           flagos_comm_window_t window, uint32_t peer,
                                           uint64_t offset, flagos_address_t target,
                                           uint64_t size_bytes);
FLAGOS_API flagos_status_t flagos_comm_signal(flagos_comm_t* comm, flagos_stream_t* stream,
                                              uint32_t peer);
FLAGOS_API flagos_status_t flagos_comm_wait_signal(flagos_comm_t* comm, flagos_stream_t* stream,
                                                   uint32_t peer, uint64_t count);
FLAGOS_API flagos_status_t flagos_comm_group_begin(void);
FLAGOS_API flagos_status_t flagos_comm_group_end(void);
#ifdef __cplusplus
}
#endif
#endif
