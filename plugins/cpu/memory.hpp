// Memory of a device is memory of the host: small blocks from the C library, large ones mapped with
// huge pages.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace flagos::cpu {

// What a device has given out, over all opens of it.
struct MemoryAccount {
  std::uint64_t total_bytes = 0;
  std::atomic<std::uint64_t> used_bytes{0};

  // False when it does not fit; then nothing was taken.
  bool take(std::uint64_t size_bytes) noexcept;
  void give_back(std::uint64_t size_bytes) noexcept { used_bytes.fetch_sub(size_bytes); }
};

class MemoryHeap {
 public:
  explicit MemoryHeap(MemoryAccount& account) : account_(account) {}

  std::uint64_t alloc(const flagos_memory_desc_t& desc);
  void free(flagos_address_t address) noexcept;
  // Memory of the caller's own, that free() lets go of; with `owned` it goes back to the C library.
  void wrap(flagos_address_t address, bool owned);
  MemoryAccount& account() const noexcept { return account_; }

 private:
  void* alloc_small(std::uint64_t size_bytes, std::uint64_t alignment_bytes, bool zero);
  void* map_large(std::uint64_t size_bytes);
  bool unwrap(flagos_address_t address) noexcept;

  MemoryAccount& account_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::uint64_t> mapped_;  // large blocks: address to size
  std::unordered_map<std::uint64_t, bool> wrapped_;          // memory of callers: address to owned
  std::atomic<std::size_t> wrapped_count_{0};                // its size: seldom more than 0
};

// How much memory the process may use: of the machine, or of its control group.
std::uint64_t physical_memory_bytes();

flagos_status_t memory_alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                             flagos_address_t* out_address) noexcept;
void memory_free(flagos_plugin_device_t* device, flagos_address_t address) noexcept;
flagos_status_t memory_copy(flagos_plugin_stream_t* stream, flagos_address_t target,
                            flagos_address_t source, std::uint64_t size_bytes) noexcept;
flagos_status_t memory_copy_peer(flagos_plugin_stream_t* stream, flagos_address_t target,
                                 flagos_plugin_device_t* target_device, flagos_address_t source,
                                 flagos_plugin_device_t* source_device,
                                 std::uint64_t size_bytes) noexcept;
flagos_status_t memory_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                            const void* pattern, std::uint32_t pattern_size_bytes,
                            std::uint64_t size_bytes) noexcept;
flagos_status_t memory_copy_2d(flagos_plugin_stream_t* stream,
                               const flagos_copy_2d_desc_t* desc) noexcept;
flagos_status_t memory_update(flagos_plugin_stream_t* stream, flagos_address_t target,
                              const void* data, std::uint64_t size_bytes) noexcept;
flagos_status_t memory_host_register(flagos_plugin_device_t* device, void* pointer,
                                     std::uint64_t size_bytes, std::uint32_t flags,
                                     flagos_address_t* out_address) noexcept;
flagos_status_t memory_host_unregister(flagos_plugin_device_t* device, void* pointer) noexcept;
flagos_status_t memory_prefetch(flagos_plugin_stream_t* stream, flagos_address_t address,
                                std::uint64_t size_bytes) noexcept;

}  // namespace flagos::cpu
