// Copies, fills and values: by the driver where it can, else in steps or on the host in the stream's turn.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>

#include "plugins/nvidia/cuda.hpp"

namespace flagos::nvidia {

class Stream;

// For work that is made of several parts, with the stream's lock held.
CUresult issue_copy(Stream& stream, CUstream handle, const flagos_copy_2d_desc_t& desc);
CUresult issue_fill(Stream& stream, CUstream handle, flagos_address_t target, const void* pattern,
                    std::uint32_t pattern_size_bytes, std::uint64_t size_bytes);

flagos_status_t memory_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                            flagos_address_t source, std::uint64_t size_bytes) noexcept;
flagos_status_t memory_copy_2d(flagos_plugin_stream_t* stream,
                               const flagos_copy_2d_desc_t* desc) noexcept;
flagos_status_t memory_copy_peer(flagos_plugin_stream_t* stream, flagos_address_t target,
                                 flagos_plugin_device_t* target_device, flagos_address_t source,
                                 flagos_plugin_device_t* source_device,
                                 std::uint64_t size_bytes) noexcept;
flagos_status_t memory_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                            const void* pattern, std::uint32_t pattern_size_bytes,
                            std::uint64_t size_bytes) noexcept;
flagos_status_t memory_prefetch(flagos_plugin_stream_t* stream, flagos_address_t address,
                                std::uint64_t size_bytes) noexcept;

}  // namespace flagos::nvidia
