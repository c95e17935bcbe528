// Copies and fills between all kinds of memory, as commands of a stream.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>

#include "plugins/opencl/stream.hpp"

namespace flagos::opencl {

// With the stream's lock held. They give the driver's code; `out_event` is that of the last command.
cl_int enqueue_copy(Stream& stream, cl_command_queue queue, flagos_address_t target,
                    flagos_address_t source, std::uint64_t size_bytes, cl_event* out_event);
cl_int enqueue_fill(Stream& stream, cl_command_queue queue, flagos_address_t target,
                    const void* pattern, std::uint32_t pattern_bytes, std::uint64_t size_bytes,
                    cl_event* out_event);

flagos_status_t memory_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                            flagos_address_t source, std::uint64_t size_bytes) noexcept;
flagos_status_t memory_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                            const void* pattern, std::uint32_t pattern_size_bytes,
                            std::uint64_t size_bytes) noexcept;
flagos_status_t memory_copy_2d(flagos_plugin_stream_t* stream,
                               const flagos_copy_2d_desc_t* desc) noexcept;

}  // namespace flagos::opencl
