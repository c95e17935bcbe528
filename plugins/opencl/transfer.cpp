#include "plugins/opencl/transfer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "plugins/opencl/device.hpp"
#include "plugins/opencl/handles.hpp"

namespace flagos::opencl {
namespace {

// Where an address leads: to a buffer object, or to memory that a pointer reaches.
struct Place {
  cl_mem buffer = nullptr;
  std::uint64_t offset = 0;
  void* pointer = nullptr;
};

Place place_of(const Memory& memory, flagos_address_t address) noexcept {
  Place place;
  const Allocation* found = memory.find(address, &place.offset);
  // Pinned memory is a buffer too, but a mapped one: its host address is the way to it.
  if (found != nullptr && found->kind == FLAGOS_MEMORY_KIND_DEVICE) place.buffer = found->buffer;
  if (place.buffer == nullptr) place.pointer = reinterpret_cast<void*>(address);
  return place;
}

bool overlap(flagos_address_t a, flagos_address_t b, std::uint64_t size_bytes) noexcept {
  return a < b ? b - a < size_bytes : a - b < size_bytes;
}

// Between a wrapped buffer and native memory, which the driver's commands for buffers do not take.
cl_int copy_mapped(Stream& stream, cl_command_queue queue, const Place& place, void* native,
                   cl_map_flags flags, std::uint64_t size_bytes, cl_event* out_event) {
  const Driver& driver = stream.driver();
  cl_int code = CL_SUCCESS;
  void* mapped = driver.clEnqueueMapBuffer(queue, place.buffer, CL_FALSE, flags, place.offset,
                                           size_bytes, 0, nullptr, nullptr, &code);
  if (code != CL_SUCCESS) return code;
  const bool writes = (flags & CL_MAP_WRITE) != 0;
  code = stream.device().memory().native().copy(queue, CL_FALSE, writes ? mapped : native,
                                                writes ? native : mapped, size_bytes, 0, nullptr,
                                                nullptr);
  const cl_int unmapped = driver.clEnqueueUnmapMemObject(queue, place.buffer, mapped, 0, nullptr,
                                                         code == CL_SUCCESS ? out_event : nullptr);
  return code != CL_SUCCESS ? code : unmapped;
}

// Two places that do not overlap, of which at least one is a buffer or native memory.
cl_int copy_apart(Stream& stream, cl_command_queue queue, flagos_address_t target,
                  flagos_address_t source, std::uint64_t size_bytes, cl_event* out_event) {
  const Memory& memory = stream.device().memory();
  const Driver& driver = stream.driver();
  const auto copy_native = [&] {
    return memory.native().copy(queue, CL_FALSE, reinterpret_cast<void*>(target),
                                reinterpret_cast<const void*>(source), size_bytes, 0, nullptr,
                                out_event);
  };
  if (memory.is_native() && !memory.has_more_buffers()) return copy_native();
  const Place to = place_of(memory, target);
  const Place from = place_of(memory, source);
  if (to.buffer != nullptr && from.buffer != nullptr)
    return driver.clEnqueueCopyBuffer(queue, from.buffer, to.buffer, from.offset, to.offset,
                                      size_bytes, 0, nullptr, out_event);
  if (memory.is_native()) {
    if (to.buffer != nullptr)
      return copy_mapped(stream, queue, to, from.pointer, CL_MAP_WRITE, size_bytes, out_event);
    if (from.buffer != nullptr)
      return copy_mapped(stream, queue, from, to.pointer, CL_MAP_READ, size_bytes, out_event);
    return copy_native();
  }
  if (to.buffer != nullptr)
    return driver.clEnqueueWriteBuffer(queue, to.buffer, CL_FALSE, to.offset, size_bytes,
                                       from.pointer, 0, nullptr, out_event);
  return driver.clEnqueueReadBuffer(queue, from.buffer, CL_FALSE, from.offset, size_bytes,
                                    to.pointer, 0, nullptr, out_event);
}

// Piece by piece through memory of the stream: what no single command of the driver can do. From
// the end where the target lies behind the source, so that no byte is lost.
cl_int copy_through_scratch(Stream& stream, cl_command_queue queue, flagos_address_t target,
                            flagos_address_t source, std::uint64_t size_bytes,
                            cl_event* out_event) {
  const flagos_address_t scratch = stream.scratch();
  const bool backwards = target > source;
  cl_int code = CL_SUCCESS;
  for (std::uint64_t done = 0; done < size_bytes && code == CL_SUCCESS;) {
    const std::uint64_t piece = std::min(size_bytes - done, Stream::scratch_bytes);
    const std::uint64_t at = backwards ? size_bytes - done - piece : done;
    done += piece;
    code = copy_apart(stream, queue, scratch, source + at, piece, nullptr);
    if (code == CL_SUCCESS)
      code = copy_apart(stream, queue, target + at, scratch, piece,
                        done == size_bytes ? out_event : nullptr);
  }
  return code;
}

cl_int fill_directly(Stream& stream, cl_command_queue queue, flagos_address_t target,
                     const void* pattern, std::uint32_t pattern_bytes, std::uint64_t size_bytes,
                     cl_event* out_event) {
  const Memory& memory = stream.device().memory();
  const auto fill_native = [&] {
    return memory.native().fill(queue, reinterpret_cast<void*>(target), pattern, pattern_bytes,
                                size_bytes, 0, nullptr, out_event);
  };
  if (memory.is_native() && !memory.has_more_buffers()) return fill_native();
  const Place to = place_of(memory, target);
  if (to.buffer == nullptr) return fill_native();
  return stream.driver().clEnqueueFillBuffer(queue, to.buffer, pattern, pattern_bytes, to.offset,
                                             size_bytes, 0, nullptr, out_event);
}

// Drivers fill their own memory only, and buffers at multiples of the pattern.
bool can_fill(const Memory& memory, flagos_address_t target, std::uint32_t pattern_bytes) noexcept {
  std::uint64_t offset = 0;
  const Allocation* found = memory.find(target, &offset);
  if (found == nullptr) return false;
  return found->buffer == nullptr ||
         (found->kind == FLAGOS_MEMORY_KIND_DEVICE && offset % pattern_bytes == 0);
}

cl_int copy_rows(Stream& stream, cl_command_queue queue, const flagos_copy_2d_desc_t& desc,
                 cl_event* out_event) {
  cl_int code = CL_SUCCESS;
  for (std::uint64_t row = 0; row < desc.height && code == CL_SUCCESS; ++row)
    code = enqueue_copy(stream, queue, desc.target + row * desc.target_pitch_bytes,
                        desc.source + row * desc.source_pitch_bytes, desc.width_bytes,
                        row + 1 == desc.height ? out_event : nullptr);
  return code;
}

cl_int copy_rectangle(Stream& stream, cl_command_queue queue, const flagos_copy_2d_desc_t& desc,
                      cl_event* out_event) {
  const Memory& memory = stream.device().memory();
  const Driver& driver = stream.driver();
  const Place to = place_of(memory, desc.target);
  const Place from = place_of(memory, desc.source);
  const std::size_t region[3] = {desc.width_bytes, desc.height, 1};
  const std::size_t no_origin[3] = {0, 0, 0};
  // Origins in bytes: x may be any offset below the pitch, y counts rows.
  const auto origin = [](const Place& place, std::uint64_t pitch, std::size_t(&out)[3]) {
    out[0] = place.offset % pitch;
    out[1] = place.offset / pitch;
    out[2] = 0;
  };
  std::size_t to_origin[3], from_origin[3];
  origin(to, desc.target_pitch_bytes, to_origin);
  origin(from, desc.source_pitch_bytes, from_origin);
  const std::size_t to_pitch = desc.target_pitch_bytes, from_pitch = desc.source_pitch_bytes;
  if (to.buffer != nullptr && from.buffer != nullptr)
    return driver.clEnqueueCopyBufferRect(queue, from.buffer, to.buffer, from_origin, to_origin,
                                          region, from_pitch, 0, to_pitch, 0, 0, nullptr,
                                          out_event);
  if (to.buffer != nullptr)
    return driver.clEnqueueWriteBufferRect(queue, to.buffer, CL_FALSE, to_origin, no_origin, region,
                                           to_pitch, 0, from_pitch, 0, from.pointer, 0, nullptr,
                                           out_event);
  return driver.clEnqueueReadBufferRect(queue, from.buffer, CL_FALSE, from_origin, no_origin,
                                        region, from_pitch, 0, to_pitch, 0, to.pointer, 0, nullptr,
                                        out_event);
}

// A rectangle that runs over the end of a pitch is not one to the driver.
bool fits_rectangle(const Place& place, std::uint64_t pitch, std::uint64_t width) noexcept {
  return place.buffer == nullptr || place.offset % pitch + width <= pitch;
}

bool is_rectangle(Stream& stream, const flagos_copy_2d_desc_t& desc) noexcept {
  const Memory& memory = stream.device().memory();
  if (memory.is_native()) return false;
  const Place to = place_of(memory, desc.target);
  const Place from = place_of(memory, desc.source);
  if (to.buffer == nullptr && from.buffer == nullptr) return false;
  const bool one_buffer = to.buffer == from.buffer;
  return !one_buffer && fits_rectangle(to, desc.target_pitch_bytes, desc.width_bytes) &&
         fits_rectangle(from, desc.source_pitch_bytes, desc.width_bytes);
}

cl_int enqueue_copy_2d(Stream& stream, cl_command_queue queue, const flagos_copy_2d_desc_t& desc,
                       cl_event* out_event) {
  if (is_rectangle(stream, desc)) return copy_rectangle(stream, queue, desc, out_event);
  const bool is_dense =
      desc.target_pitch_bytes == desc.width_bytes && desc.source_pitch_bytes == desc.width_bytes;
  return is_dense ? enqueue_copy(stream, queue, desc.target, desc.source,
                                 desc.width_bytes * desc.height, out_event)
                  : copy_rows(stream, queue, desc, out_event);
}

}  // namespace

cl_int enqueue_copy(Stream& stream, cl_command_queue queue, flagos_address_t target,
                    flagos_address_t source, std::uint64_t size_bytes, cl_event* out_event) {
  bool apart = !overlap(target, source, size_bytes);
  if (apart && !stream.device().memory().is_native()) {
    const Memory& memory = stream.device().memory();
    apart =
        place_of(memory, target).buffer != nullptr || place_of(memory, source).buffer != nullptr;
  }
  return apart ? copy_apart(stream, queue, target, source, size_bytes, out_event)
               : copy_through_scratch(stream, queue, target, source, size_bytes, out_event);
}

cl_int enqueue_fill(Stream& stream, cl_command_queue queue, flagos_address_t target,
                    const void* pattern, std::uint32_t pattern_bytes, std::uint64_t size_bytes,
                    cl_event* out_event) {
  if (can_fill(stream.device().memory(), target, pattern_bytes))
    return fill_directly(stream, queue, target, pattern, pattern_bytes, size_bytes, out_event);
  const flagos_address_t scratch = stream.scratch();
  const std::uint64_t filled = std::min(size_bytes, Stream::scratch_bytes);
  cl_int code = fill_directly(stream, queue, scratch, pattern, pattern_bytes, filled, nullptr);
  for (std::uint64_t done = 0; done < size_bytes && code == CL_SUCCESS;) {
    const std::uint64_t piece = std::min(size_bytes - done, filled);
    code = copy_apart(stream, queue, target + done, scratch, piece,
                      done + piece == size_bytes ? out_event : nullptr);
    done += piece;
  }
  return code;
}

flagos_status_t memory_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                            flagos_address_t source, std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    self.submit({FLAGOS_RECORD_KIND_COPY, "copy", size_bytes}, "copy",
                [=, &self](cl_command_queue queue, cl_event* out_event, flagos_address_t) {
                  return enqueue_copy(self, queue, target, source, size_bytes, out_event);
                });
  });
}

flagos_status_t memory_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                            const void* pattern, std::uint32_t pattern_size_bytes,
                            std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    std::array<std::byte, 16> bytes{};
    std::memcpy(bytes.data(), pattern, std::min<std::size_t>(pattern_size_bytes, bytes.size()));
    self.submit({FLAGOS_RECORD_KIND_FILL, "fill", size_bytes}, "fill",
                [=, &self](cl_command_queue queue, cl_event* out_event, flagos_address_t) {
                  return enqueue_fill(self, queue, target, bytes.data(), pattern_size_bytes,
                                      size_bytes, out_event);
                });
  });
}

flagos_status_t memory_copy_2d(flagos_plugin_stream_t* stream,
                               const flagos_copy_2d_desc_t* desc) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    const std::uint64_t size_bytes = desc->width_bytes * desc->height;
    self.submit(
        {FLAGOS_RECORD_KIND_COPY, "copy_2d", size_bytes}, "copy_2d",
        [&self, copy = *desc](cl_command_queue queue, cl_event* out_event, flagos_address_t) {
          return enqueue_copy_2d(self, queue, copy, out_event);
        });
  });
}

}  // namespace flagos::opencl
