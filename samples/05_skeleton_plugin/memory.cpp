// Allocate, free, copy and fill. Addresses of this device are host pointers.
#include "skeleton.hpp"

namespace skeleton {
static std::byte* to_pointer(flagos_address_t address) {
  return reinterpret_cast<std::byte*>(address);
}

// Counts the bytes first, so that a request beyond the memory never reaches the allocator.
static void alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                  flagos_address_t* out_address) {
  const bool pinned = desc->kind == FLAGOS_MEMORY_KIND_PINNED;
  if (!pinned && desc->kind != FLAGOS_MEMORY_KIND_DEVICE) {
    throw Error(FLAGOS_STATUS_UNSUPPORTED, "there is device and pinned memory only");
  }
  const std::lock_guard lock(device->instance->mutex);
  std::uint64_t& used = device->instance->used_bytes;
  const std::uint64_t free_bytes = kMemoryBytes - (pinned ? 0 : used);
  const std::uint64_t alignment = std::max<std::uint64_t>(desc->alignment_bytes, kAlignment);
  const std::uint64_t size = (desc->size_bytes + alignment - 1) / alignment * alignment;
  std::unique_ptr<void, void (*)(void*)> memory(nullptr, std::free);
  if (desc->size_bytes <= size && size <= free_bytes) {
    memory.reset(std::aligned_alloc(alignment, size));
  }
  if (!memory) {
    throw Error(pinned ? FLAGOS_STATUS_OUT_OF_HOST_MEMORY : FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY,
                "asked for " + std::to_string(desc->size_bytes) + " bytes where " +
                    std::to_string(free_bytes) + " are free");
  }
  if (desc->flags & FLAGOS_MEMORY_FLAG_ZERO) std::memset(memory.get(), 0, size);
  const auto address = reinterpret_cast<flagos_address_t>(memory.get());
  device->counted_bytes.emplace(address, pinned ? 0 : size);
  used += pinned ? 0 : size;
  memory.release();
  *out_address = address;
}

static void free(flagos_plugin_device_t* device, flagos_address_t address) {
  const std::lock_guard lock(device->instance->mutex);
  const auto found = device->counted_bytes.find(address);
  device->instance->used_bytes -= found->second;
  device->counted_bytes.erase(found);
  std::free(to_pointer(address));
}

static void copy(flagos_plugin_stream_t* stream, flagos_address_t target, flagos_address_t source,
                 std::uint64_t size_bytes) {
  stream->submit([=] { std::memmove(to_pointer(target), to_pointer(source), size_bytes); });
}

static void fill(flagos_plugin_stream_t* stream, flagos_address_t target, const void* pattern,
                 std::uint32_t pattern_size_bytes, std::uint64_t size_bytes) {
  std::uint32_t bytes = 0;  // the pattern is captured here, before the call returns
  if (pattern_size_bytes > sizeof(bytes)) {
    throw Error(FLAGOS_STATUS_UNSUPPORTED, "fill takes patterns of 1, 2 and 4 bytes");
  }
  std::memcpy(&bytes, pattern, pattern_size_bytes);
  stream->submit([=] {
    std::byte* const first = to_pointer(target);
    std::memcpy(first, &bytes, pattern_size_bytes);
    for (std::uint64_t done = pattern_size_bytes; done < size_bytes;) {  // doubles what is there
      const std::uint64_t step = std::min(done, size_bytes - done);
      std::memcpy(first + done, first, step);
      done += step;
    }
  });
}

constinit const flagos_memory_table_t memory_table = {
    sizeof(memory_table), 1, entry<alloc>, free, entry<copy>, entry<fill>};

}  // namespace skeleton
