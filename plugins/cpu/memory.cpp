#include "plugins/cpu/memory.hpp"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/stream.hpp"

namespace flagos::cpu {
namespace {

constexpr std::uint64_t huge_page_bytes = 2 * 1024 * 1024;
constexpr std::uint64_t pinned_alignment = 4096;
constexpr std::uint64_t least_alignment = 256;

[[noreturn]] void out_of_memory(const flagos_memory_desc_t& desc, const MemoryAccount& account) {
  const bool pinned = desc.kind == FLAGOS_MEMORY_KIND_PINNED;
  throw_error(pinned ? FLAGOS_STATUS_OUT_OF_HOST_MEMORY : FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY,
              "no memory for {} bytes: {} of {} are in use", desc.size_bytes,
              account.used_bytes.load(), account.total_bytes);
}

std::uint64_t round_up(std::uint64_t size, std::uint64_t unit) {
  return (size + unit - 1) / unit * unit;
}

}  // namespace

std::uint64_t physical_memory_bytes() {
  auto bytes = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
               static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  // "max", or a number: the limit of the control group.
  std::ifstream file("/sys/fs/cgroup/memory.max");
  std::uint64_t limit = 0;
  if (file >> limit && limit != 0) bytes = std::min(bytes, limit);
  return bytes;
}

bool MemoryAccount::take(std::uint64_t size_bytes) noexcept {
  std::uint64_t used = used_bytes.load();
  do {
    if (size_bytes > total_bytes - std::min(total_bytes, used)) return false;
  } while (!used_bytes.compare_exchange_weak(used, used + size_bytes));
  return true;
}

std::uint64_t MemoryHeap::alloc(const flagos_memory_desc_t& desc) {
  const std::uint64_t least =
      desc.kind == FLAGOS_MEMORY_KIND_PINNED ? pinned_alignment : least_alignment;
  const std::uint64_t alignment = std::max(desc.alignment_bytes, least);
  if (desc.size_bytes > account_.total_bytes) out_of_memory(desc, account_);
  const bool large = desc.size_bytes >= huge_page_bytes;
  const std::uint64_t size = round_up(desc.size_bytes, large ? pinned_alignment : least_alignment);
  if (!account_.take(size)) out_of_memory(desc, account_);
  void* memory = large ? map_large(size)
                       : alloc_small(size, alignment, (desc.flags & FLAGOS_MEMORY_FLAG_ZERO) != 0);
  if (memory == nullptr) {
    account_.give_back(size);
    out_of_memory(desc, account_);
  }
  if (!large) {
    // Counted as the C library will count it when the block is freed.
    const std::uint64_t usable = malloc_usable_size(memory);
    account_.used_bytes.fetch_add(usable - size);
  }
  return reinterpret_cast<std::uint64_t>(memory);
}

void* MemoryHeap::alloc_small(std::uint64_t size_bytes, std::uint64_t alignment_bytes, bool zero) {
  void* memory = std::aligned_alloc(alignment_bytes, round_up(size_bytes, alignment_bytes));
  if (memory != nullptr && zero) std::memset(memory, 0, size_bytes);
  return memory;
}

// Aligned to a huge page, so that the system can use those; zero from the start.
void* MemoryHeap::map_large(std::uint64_t size_bytes) {
  const std::uint64_t padded = size_bytes + huge_page_bytes;
  void* mapped = mmap(nullptr, padded, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto start = reinterpret_cast<std::uint64_t>(mapped);
  const std::uint64_t first = round_up(start, huge_page_bytes);
  const auto unmap = [](std::uint64_t from, std::uint64_t to) {
    if (from < to) munmap(reinterpret_cast<void*>(from), to - from);
  };
  unmap(start, first);
  unmap(first + size_bytes, start + padded);
  void* memory = reinterpret_cast<void*>(first);
  madvise(memory, size_bytes, MADV_HUGEPAGE);
  const std::lock_guard lock(mutex_);
  mapped_.emplace(first, size_bytes);
  return memory;
}

void MemoryHeap::wrap(flagos_address_t address, bool owned) {
  const std::lock_guard lock(mutex_);
  if (!wrapped_.emplace(address, owned).second)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the memory at {:#x} is wrapped already", address);
  wrapped_count_.store(wrapped_.size(), std::memory_order_relaxed);
}

// Whether the address was wrapped, and so is done with.
bool MemoryHeap::unwrap(flagos_address_t address) noexcept {
  bool owned = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = wrapped_.find(address);
    if (found == wrapped_.end()) return false;
    owned = found->second;
    wrapped_.erase(found);
    wrapped_count_.store(wrapped_.size(), std::memory_order_relaxed);
  }
  if (owned) std::free(reinterpret_cast<void*>(address));
  return true;
}

void MemoryHeap::free(flagos_address_t address) noexcept {
  if (wrapped_count_.load(std::memory_order_relaxed) != 0 && unwrap(address)) return;
  if (address % huge_page_bytes == 0) {
    std::unique_lock lock(mutex_);
    const auto found = mapped_.find(address);
    if (found != mapped_.end()) {
      const std::uint64_t size_bytes = found->second;
      mapped_.erase(found);
      lock.unlock();
      munmap(reinterpret_cast<void*>(address), size_bytes);
      account_.give_back(size_bytes);
      return;
    }
  }
  void* memory = reinterpret_cast<void*>(address);
  account_.give_back(malloc_usable_size(memory));
  std::free(memory);
}

flagos_status_t memory_alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                             flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] { *out_address = self.heap().alloc(*desc); });
}

void memory_free(flagos_plugin_device_t* device, flagos_address_t address) noexcept {
  from_c(device).heap().free(address);
}

flagos_status_t memory_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                            flagos_address_t source, std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    self.submit<CopyCommand>([&](CopyCommand& command) {
      command.target = target;
      command.source = source;
      command.bytes = size_bytes;
    });
  });
}

// All devices of this plugin work in the same memory.
flagos_status_t memory_copy_peer(flagos_plugin_stream_t* stream, flagos_address_t target,
                                 flagos_plugin_device_t*, flagos_address_t source,
                                 flagos_plugin_device_t*, std::uint64_t size_bytes) noexcept {
  return memory_copy(stream, target, source, size_bytes);
}

flagos_status_t memory_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                            const void* pattern, std::uint32_t pattern_size_bytes,
                            std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    self.submit<FillCommand>([&](FillCommand& command) {
      command.target = target;
      command.bytes = size_bytes;
      command.pattern_bytes = pattern_size_bytes;
      std::memcpy(command.pattern, pattern, pattern_size_bytes);
    });
  });
}

flagos_status_t memory_copy_2d(flagos_plugin_stream_t* stream,
                               const flagos_copy_2d_desc_t* desc) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    self.submit<Copy2dCommand>([&](Copy2dCommand& command) { command.desc = *desc; });
  });
}

flagos_status_t memory_update(flagos_plugin_stream_t* stream, flagos_address_t target,
                              const void* data, std::uint64_t size_bytes) noexcept {
  constexpr std::uint64_t inline_bytes = 4096;
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    std::unique_ptr<std::byte[]> block;
    if (size_bytes > inline_bytes) {
      block.reset(new std::byte[size_bytes]);
      std::memcpy(block.get(), data, size_bytes);
    }
    self.submit<UpdateCommand>(block ? 0 : size_bytes, [&](UpdateCommand& command) {
      command.target = target;
      command.bytes = size_bytes;
      command.data = std::move(block);
      if (!command.data) std::memcpy(command.source(), data, size_bytes);
    });
  });
}

// Every byte of the host is the device's: nothing to pin, nothing to map.
flagos_status_t memory_host_register(flagos_plugin_device_t*, void* pointer, std::uint64_t,
                                     std::uint32_t, flagos_address_t* out_address) noexcept {
  *out_address = reinterpret_cast<flagos_address_t>(pointer);
  return FLAGOS_STATUS_OK;
}

flagos_status_t memory_host_unregister(flagos_plugin_device_t*, void*) noexcept {
  return FLAGOS_STATUS_OK;
}

flagos_status_t memory_prefetch(flagos_plugin_stream_t* stream, flagos_address_t address,
                                std::uint64_t size_bytes) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    self.submit<PrefetchCommand>([&](PrefetchCommand& command) {
      command.address = address;
      command.bytes = size_bytes;
    });
  });
}

}  // namespace flagos::cpu
