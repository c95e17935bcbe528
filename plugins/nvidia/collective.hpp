// The group collective: calls, and groups of them, as calls of NCCL.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>

namespace flagos::nvidia {

flagos_status_t collective_query(flagos_plugin_device_t* device,
                                 flagos_collective_operation_t operation, flagos_dtype_t dtype,
                                 flagos_collective_reduction_t reduction,
                                 flagos_collective_support_t* out_support) noexcept;
flagos_status_t unique_id_create(flagos_plugin_device_t* device,
                                 flagos_collective_id_t* out_id) noexcept;
flagos_status_t communicator_create(flagos_plugin_device_t* device,
                                    const flagos_communicator_desc_t* desc,
                                    flagos_plugin_communicator_t** out_communicator) noexcept;
void communicator_destroy(flagos_plugin_communicator_t* communicator) noexcept;
flagos_status_t communicator_query_error(flagos_plugin_communicator_t* communicator,
                                         flagos_status_t* out_status) noexcept;
flagos_status_t communicator_split(flagos_plugin_communicator_t* communicator, std::int32_t color,
                                   std::int32_t key,
                                   flagos_plugin_communicator_t** out_communicator,
                                   std::uint32_t* out_rank, std::uint32_t* out_size) noexcept;
flagos_status_t communicator_abort(flagos_plugin_communicator_t* communicator) noexcept;
flagos_status_t communicator_register(flagos_plugin_communicator_t* communicator,
                                      flagos_address_t address, std::uint64_t size_bytes,
                                      flagos_plugin_registration_t** out_registration) noexcept;
void communicator_deregister(flagos_plugin_communicator_t* communicator,
                             flagos_plugin_registration_t* registration) noexcept;
flagos_status_t run_collective(flagos_plugin_communicator_t* communicator,
                               flagos_plugin_stream_t* stream,
                               flagos_collective_operation_t operation,
                               const flagos_collective_desc_t* desc) noexcept;
template <flagos_collective_operation_t operation>
flagos_status_t collective_run(flagos_plugin_communicator_t* communicator,
                               flagos_plugin_stream_t* stream,
                               const flagos_collective_desc_t* desc) noexcept {
  return run_collective(communicator, stream, operation, desc);
}
flagos_status_t collective_group_begin(flagos_plugin_instance_t* instance) noexcept;
flagos_status_t collective_group_end(flagos_plugin_instance_t* instance) noexcept;

}  // namespace flagos::nvidia
