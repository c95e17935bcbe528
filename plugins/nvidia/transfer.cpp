#include "plugins/nvidia/transfer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <memory>

#include "plugins/nvidia/handles.hpp"
#include "plugins/nvidia/stream.hpp"

namespace flagos::nvidia {
namespace {

// What the driver takes from ordinary host memory before its call returns, so that nobody waits.
constexpr std::uint64_t staged_by_driver = 64 << 10;

using Pattern = std::array<std::byte, 16>;

// Has the driver call `function` in the stream's turn, on a thread of its own. It must not call the driver.
CUresult call_on_host(Stream& stream, CUstream handle, std::function<void()> function) {
  auto held = std::make_unique<std::function<void()>>(std::move(function));
  const CUresult code = stream.driver().cuLaunchHostFunc(
      handle,
      [](void* data) {
        const std::unique_ptr<std::function<void()>> taken(
            static_cast<std::function<void()>*>(data));
        (*taken)();
      },
      held.get());
  if (code == CUDA_SUCCESS) held.release();
  return code;
}

void* pointer_to(flagos_address_t address) { return reinterpret_cast<void*>(address); }

// Ranges that overlap, piece by piece through memory between: from the end where the target lies behind.
CUresult copy_overlapping(Stream& stream, CUstream handle, flagos_address_t target,
                          flagos_address_t source, std::uint64_t bytes) {
  const Driver& driver = stream.driver();
  const flagos_address_t between = stream.scratch();
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t part = std::min(bytes - done, Stream::scratch_bytes);
    const std::uint64_t at = target < source ? done : bytes - done - part;
    CUresult code = driver.cuMemcpyAsync(between, source + at, part, handle);
    if (code == CUDA_SUCCESS) code = driver.cuMemcpyAsync(target + at, between, part, handle);
    if (code != CUDA_SUCCESS) return code;
    done += part;
  }
  return CUDA_SUCCESS;
}

// Ordinary host memory, without a wait for what is in the stream: through pinned memory, by the host in the stream's turn.
CUresult copy_staged(Stream& stream, CUstream handle, flagos_address_t target,
                     flagos_address_t source, std::uint64_t bytes, bool to_device) {
  const Driver& driver = stream.driver();
  std::byte* const between = stream.staging();
  const auto middle = reinterpret_cast<flagos_address_t>(between);
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t part = std::min(bytes - done, Stream::staging_bytes);
    CUresult code = CUDA_SUCCESS;
    if (to_device) {
      code = call_on_host(stream, handle,
                          [=] { std::memcpy(between, pointer_to(source + done), part); });
      if (code == CUDA_SUCCESS) code = driver.cuMemcpyAsync(target + done, middle, part, handle);
    } else {
      code = driver.cuMemcpyAsync(middle, source + done, part, handle);
      if (code == CUDA_SUCCESS)
        code = call_on_host(stream, handle,
                            [=] { std::memcpy(pointer_to(target + done), between, part); });
    }
    if (code != CUDA_SUCCESS) return code;
    done += part;
  }
  return CUDA_SUCCESS;
}

bool is_on_host(Place place) { return place == Place::host || place == Place::pageable; }

CUresult copy(Stream& stream, CUstream handle, flagos_address_t target, flagos_address_t source,
              std::uint64_t bytes) {
  if (target == source) return CUDA_SUCCESS;
  Memory& memory = stream.device().memory();
  const Place to = memory.place_of(target), from = memory.place_of(source);
  if (to == Place::pageable || from == Place::pageable) {
    if (is_on_host(to) && is_on_host(from))
      return call_on_host(stream, handle,
                          [=] { std::memmove(pointer_to(target), pointer_to(source), bytes); });
    const bool to_device = from == Place::pageable;
    // With nothing before it the driver's own way is the shorter one.
    if (!(to_device && bytes <= staged_by_driver) && !stream.is_idle())
      return copy_staged(stream, handle, target, source, bytes, to_device);
  } else if (target < source + bytes && source < target + bytes) {
    return copy_overlapping(stream, handle, target, source, bytes);
  }
  return stream.driver().cuMemcpyAsync(target, source, bytes, handle);
}

CUresult copy_rows(Stream& stream, CUstream handle, const flagos_copy_2d_desc_t& desc) {
  Memory& memory = stream.device().memory();
  const std::uint64_t target_span = (desc.height - 1) * desc.target_pitch_bytes + desc.width_bytes;
  const std::uint64_t source_span = (desc.height - 1) * desc.source_pitch_bytes + desc.width_bytes;
  const bool overlaps =
      desc.target < desc.source + source_span && desc.source < desc.target + target_span;
  if (!overlaps && memory.place_of(desc.target) != Place::pageable &&
      memory.place_of(desc.source) != Place::pageable) {
    CUDA_MEMCPY2D rows{};
    rows.srcMemoryType = rows.dstMemoryType = CU_MEMORYTYPE_UNIFIED;
    rows.srcDevice = desc.source;
    rows.srcPitch = desc.source_pitch_bytes;
    rows.dstDevice = desc.target;
    rows.dstPitch = desc.target_pitch_bytes;
    rows.WidthInBytes = desc.width_bytes;
    rows.Height = desc.height;
    return stream.driver().cuMemcpy2DAsync_v2(&rows, handle);
  }
  for (std::uint64_t row = 0; row < desc.height; ++row) {
    // From the end where the target lies behind, so that no row is overwritten before it was read.
    const std::uint64_t i = desc.target < desc.source ? row : desc.height - 1 - row;
    const CUresult code = copy(stream, handle, desc.target + i * desc.target_pitch_bytes,
                               desc.source + i * desc.source_pitch_bytes, desc.width_bytes);
    if (code != CUDA_SUCCESS) return code;
  }
  return CUDA_SUCCESS;
}

void fill_on_host(flagos_address_t target, const Pattern& pattern, std::uint32_t unit,
                  std::uint64_t bytes) {
  auto* const out = static_cast<std::byte*>(pointer_to(target));
  for (std::uint64_t at = 0; at < bytes; at += unit) std::memcpy(out + at, pattern.data(), unit);
}

template <typename Word>
Word word_of(const Pattern& pattern, std::size_t index) {
  Word word;
  std::memcpy(&word, pattern.data() + index * sizeof(word), sizeof(word));
  return word;
}

// A wide pattern is several columns of words, each a fill with a pitch.
CUresult fill_wide(Stream& stream, CUstream handle, flagos_address_t target, const Pattern& pattern,
                   std::uint32_t unit, std::uint64_t bytes) {
  for (std::uint32_t i = 0; i < unit / 4; ++i) {
    const CUresult code = stream.driver().cuMemsetD2D32Async(
        target + 4 * i, unit, word_of<std::uint32_t>(pattern, i), 1, bytes / unit, handle);
    if (code != CUDA_SUCCESS) return code;
  }
  return CUDA_SUCCESS;
}

CUresult fill(Stream& stream, CUstream handle, flagos_address_t target, const Pattern& pattern,
              std::uint32_t unit, std::uint64_t bytes) {
  const Driver& driver = stream.driver();
  if (stream.device().memory().place_of(target) == Place::pageable)
    return call_on_host(stream, handle, [=] { fill_on_host(target, pattern, unit, bytes); });
  switch (unit) {
    case 1:
      return driver.cuMemsetD8Async(target, word_of<unsigned char>(pattern, 0), bytes, handle);
    case 2:
      return driver.cuMemsetD16Async(target, word_of<unsigned short>(pattern, 0), bytes / 2,
                                     handle);
    case 4:
      return driver.cuMemsetD32Async(target, word_of<unsigned>(pattern, 0), bytes / 4, handle);
    default:
      return fill_wide(stream, handle, target, pattern, unit, bytes);
  }
}

}  // namespace

CUresult issue_copy(Stream& stream, CUstream handle, const flagos_copy_2d_desc_t& desc) {
  if (desc.height == 1) return copy(stream, handle, desc.target, desc.source, desc.width_bytes);
  return copy_rows(stream, handle, desc);
}

CUresult issue_fill(Stream& stream, CUstream handle, flagos_address_t target, const void* pattern,
                    std::uint32_t pattern_size_bytes, std::uint64_t size_bytes) {
  Pattern kept{};
  std::memcpy(kept.data(), pattern, std::min<std::size_t>(pattern_size_bytes, kept.size()));
  return fill(stream, handle, target, kept, pattern_size_bytes, size_bytes);
}

flagos_status_t memory_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                            flagos_address_t source, std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return device_entry(self.device(), [&] {
    self.submit({FLAGOS_RECORD_KIND_COPY, "copy", size_bytes}, "cuMemcpyAsync",
                [&self, target, source, size_bytes](CUstream handle, flagos_address_t) {
                  return copy(self, handle, target, source, size_bytes);
                });
  });
}

flagos_status_t memory_copy_2d(flagos_plugin_stream_t* stream,
                               const flagos_copy_2d_desc_t* desc) noexcept {
  Stream& self = from_c(stream);
  return device_entry(self.device(), [&] {
    self.submit({FLAGOS_RECORD_KIND_COPY, "copy", desc->width_bytes * desc->height},
                "cuMemcpy2DAsync", [&self, made = *desc](CUstream handle, flagos_address_t) {
                  return copy_rows(self, handle, made);
                });
  });
}

flagos_status_t memory_copy_peer(flagos_plugin_stream_t* stream, flagos_address_t target,
                                 flagos_plugin_device_t* target_device, flagos_address_t source,
                                 flagos_plugin_device_t* source_device,
                                 std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return device_entry(self.device(), [&] {
    self.submit(
        {FLAGOS_RECORD_KIND_COPY, "copy", size_bytes}, "cuMemcpyPeerAsync",
        [&self, target, to = from_c(target_device).context(), source,
         from = from_c(source_device).context(), size_bytes](CUstream handle, flagos_address_t) {
          return self.driver().cuMemcpyPeerAsync(target, to, source, from, size_bytes, handle);
        });
  });
}

flagos_status_t memory_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                            const void* pattern, std::uint32_t pattern_size_bytes,
                            std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return device_entry(self.device(), [&] {
    Pattern kept{};
    std::memcpy(kept.data(), pattern, std::min<std::size_t>(pattern_size_bytes, kept.size()));
    self.submit(
        {FLAGOS_RECORD_KIND_FILL, "fill", size_bytes}, "cuMemsetAsync",
        [&self, target, kept, pattern_size_bytes, size_bytes](CUstream handle, flagos_address_t) {
          return fill(self, handle, target, kept, pattern_size_bytes, size_bytes);
        });
  });
}

flagos_status_t memory_prefetch(flagos_plugin_stream_t* stream, flagos_address_t address,
                                std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return device_entry(self.device(), [&] {
    // A hint: devices without page faults have the memory anyway.
    if (!self.device().description().has_prefetch) return;
    self.submit({FLAGOS_RECORD_KIND_OTHER, "prefetch", 0}, "cuMemPrefetchAsync",
                [&self, address, size_bytes](CUstream handle, flagos_address_t) {
                  return self.driver().cuMemPrefetchAsync(address, size_bytes, self.device().id(),
                                                          handle);
                });
  });
}

// ---- values -----------------------------------------------------------------------------------

flagos_status_t stream_write_value(flagos_plugin_stream_t* stream, flagos_address_t target,
                                   std::uint64_t value, std::uint32_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return device_entry(self.device(), [&] {
    self.submit({FLAGOS_RECORD_KIND_OTHER, "write_value", 0}, "cuStreamWriteValue",
                [&self, target, value, size_bytes](CUstream handle, flagos_address_t) {
                  const Driver& driver = self.driver();
                  const auto narrow = static_cast<std::uint32_t>(value);
                  const bool is_native = self.device().memory().place_of(target) != Place::pageable;
                  if (is_native && size_bytes == 4 && driver.cuStreamWriteValue32_v2 != nullptr)
                    return driver.cuStreamWriteValue32_v2(handle, target, narrow, 0);
                  if (is_native && size_bytes == 8 && self.device().description().has_wide_values)
                    return driver.cuStreamWriteValue64_v2(handle, target, value, 0);
                  Pattern bytes{};
                  std::memcpy(bytes.data(), &value, size_bytes);
                  return fill(self, handle, target, bytes, size_bytes, size_bytes);
                });
  });
}

flagos_status_t stream_wait_value(flagos_plugin_stream_t* stream, flagos_address_t source,
                                  std::uint64_t value, std::uint32_t size_bytes,
                                  flagos_compare_t compare) noexcept {
  Stream& self = from_c(stream);
  return device_entry(self.device(), [&] {
    const Driver& driver = self.driver();
    if (self.device().memory().place_of(source) == Place::pageable)
      throw_error(
          FLAGOS_STATUS_UNSUPPORTED,
          "a wait for a value at {:#x}: the device sees allocated and registered memory only",
          source);
    if (size_bytes == 4 ? driver.cuStreamWaitValue32_v2 == nullptr
                        : !self.device().description().has_wide_values)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "device '{}' does not wait for values of {} bytes",
                  self.device().description().info.name, size_bytes);
    const unsigned flags =
        compare == FLAGOS_COMPARE_EQUAL ? CU_STREAM_WAIT_VALUE_EQ : CU_STREAM_WAIT_VALUE_GEQ;
    self.submit({FLAGOS_RECORD_KIND_OTHER, "wait_value", 0}, "cuStreamWaitValue",
                [&driver, source, value, size_bytes, flags](CUstream handle, flagos_address_t) {
                  return size_bytes == 4
                             ? driver.cuStreamWaitValue32_v2(
                                   handle, source, static_cast<std::uint32_t>(value), flags)
                             : driver.cuStreamWaitValue64_v2(handle, source, value, flags);
                });
  });
}

}  // namespace flagos::nvidia
