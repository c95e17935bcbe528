// Memory of an open device, in one of three ways: shared virtual memory and unified shared memory,
// whose addresses are the device's own, or buffer objects behind reserved addresses.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/address_ranges.hpp"
#include "plugins/opencl/discovery.hpp"
#include "plugins/opencl/driver.hpp"

namespace flagos::opencl {

enum class MemoryMode { svm, usm, buffer };

// As FLAGOS_OPENCL_MEMORY says; "": the best that the device has. Throws UNSUPPORTED for one that
// it has not, INVALID_ARGUMENT for another word.
MemoryMode choose_memory_mode(std::string_view wanted, const DeviceDescription& device);
// Throws INVALID_ARGUMENT.
void check_memory_word(std::string_view wanted);

// What a device has given out, over all opens of it.
struct MemoryAccount {
  std::uint64_t total_bytes = 0;
  std::atomic<std::uint64_t> used_bytes{0};

  // False when it does not fit; then nothing was taken.
  bool take(std::uint64_t size_bytes) noexcept;
  void give_back(std::uint64_t size_bytes) noexcept { used_bytes.fetch_sub(size_bytes); }
};

struct Allocation {
  void* pointer = nullptr;  // as the driver gave it; NULL for a buffer that is not mapped
  cl_mem buffer = nullptr;
  std::uint64_t size_bytes = 0;  // of the buffer
  std::uint64_t lead_bytes = 0;  // from the driver's first byte to ours
  std::uint64_t charged_bytes = 0;
  flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE;
  bool is_in_use = false;   // by a command whose end the driver does not tell
  bool is_lent = false;     // native memory that stays the caller's
  bool is_counted = false;  // among more_buffers_
};

// The functions on native addresses, which SVM and USM have with the same parameters.
struct NativeFunctions {
  decltype(&::clEnqueueSVMMemcpy) copy = nullptr;
  decltype(&::clEnqueueSVMMemFill) fill = nullptr;
  decltype(&::clSetKernelArgSVMPointer) set_argument = nullptr;
};

class Memory {
 public:
  // `queue` is for what an allocation itself needs, such as mapping and zeroing.
  Memory(const Driver& driver, cl_context context, cl_command_queue queue,
         const DeviceDescription& device, MemoryMode mode, MemoryAccount& account);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  MemoryMode mode() const noexcept { return mode_; }
  bool is_native() const noexcept { return mode_ != MemoryMode::buffer; }
  // Whether an address may lead to a buffer object.
  bool has_buffers() const noexcept {
    return mode_ == MemoryMode::buffer || (mode_ == MemoryMode::svm && !has_fine_grain()) ||
           has_more_buffers();
  }
  // Of the host's memory, or the caller's, beside those of the mode.
  bool has_more_buffers() const noexcept {
    return more_buffers_.load(std::memory_order_acquire) != 0;
  }
  const NativeFunctions& native() const noexcept { return native_; }
  const MemoryAccount& account() const noexcept { return account_; }
  std::uint64_t base_alignment() const noexcept { return device_.base_alignment; }

  flagos_address_t alloc(const flagos_memory_desc_t& desc);
  void free(flagos_address_t address) noexcept;
  // Host memory of the caller as a buffer object; its address stays.
  void register_host(void* pointer, std::uint64_t size_bytes);
  void unregister_host(void* pointer);
  // Memory of the caller's from `offset` on: a buffer, which gets a reference of ours, or native memory of this context,
  // freed with it when it is owned.
  flagos_address_t wrap_buffer(cl_mem buffer, std::uint64_t offset, std::uint64_t size_bytes);
  flagos_address_t wrap_pointer(void* pointer, std::uint64_t offset, std::uint64_t size_bytes,
                                bool is_owned);

  // The allocation that contains `address`; NULL: ordinary host memory, or nobody's.
  const Allocation* find(flagos_address_t address, std::uint64_t* out_offset) const noexcept;
  // What a kernel may reach through pointers that it finds in memory, in mode svm.
  std::vector<void*> svm_pointers() const;
  // Changes with every allocation.
  std::uint64_t allocated() const noexcept { return allocated_.load(std::memory_order_acquire); }
  // Changes whenever an address may have got another meaning.
  std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }

 private:
  void* alloc_svm(flagos_memory_kind_t kind, std::uint64_t size_bytes);
  void* alloc_usm(flagos_memory_kind_t kind, std::uint64_t size_bytes);
  void free_native(void* pointer) noexcept;
  flagos_address_t place_native(Allocation& allocation, const flagos_memory_desc_t& desc,
                                std::uint64_t alignment);
  flagos_address_t place_buffer(Allocation& allocation, const flagos_memory_desc_t& desc,
                                std::uint64_t alignment);
  void create_buffer(Allocation& allocation, std::uint64_t size_bytes, cl_mem_flags flags,
                     void* host_pointer = nullptr);
  void* map_buffer(Allocation& allocation, std::uint64_t size_bytes);
  void zero(Allocation& allocation, flagos_address_t address, std::uint64_t size_bytes);
  void release(Allocation& allocation) noexcept;
  void undo(std::unique_ptr<Allocation> allocation, flagos_address_t address) noexcept;
  void load_usm(cl_platform_id platform);
  std::size_t check_buffer(cl_mem buffer) const;
  void keep(flagos_address_t address, std::unique_ptr<Allocation>&& allocation);
  bool has_fine_grain() const noexcept {
    return (device_.svm & CL_DEVICE_SVM_FINE_GRAIN_BUFFER) != 0;
  }

  const Driver& driver_;
  const cl_context context_;
  const cl_command_queue queue_;
  const DeviceDescription& device_;
  const MemoryMode mode_;
  MemoryAccount& account_;
  NativeFunctions native_;
  clHostMemAllocINTEL_fn usm_host_ = nullptr;
  clDeviceMemAllocINTEL_fn usm_device_ = nullptr;
  clSharedMemAllocINTEL_fn usm_shared_ = nullptr;
  clMemFreeINTEL_fn usm_free_ = nullptr;
  AddressRanges ranges_;
  std::atomic<std::uint64_t> generation_{1};
  std::atomic<std::uint64_t> allocated_{0};
  std::atomic<std::uint32_t> more_buffers_{0};
  mutable std::mutex mutex_;
  std::unordered_map<flagos_address_t, std::unique_ptr<Allocation>> allocations_;
};

flagos_status_t memory_alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                             flagos_address_t* out_address) noexcept;
void memory_free(flagos_plugin_device_t* device, flagos_address_t address) noexcept;
flagos_status_t memory_host_register(flagos_plugin_device_t* device, void* pointer,
                                     std::uint64_t size_bytes, std::uint32_t flags,
                                     flagos_address_t* out_address) noexcept;
flagos_status_t memory_host_unregister(flagos_plugin_device_t* device, void* pointer) noexcept;

}  // namespace flagos::opencl
