#include "plugins/opencl/memory.hpp"

#include <algorithm>
#include <cstring>

#include "plugins/opencl/device.hpp"
#include "plugins/opencl/handles.hpp"

namespace flagos::opencl {
namespace {

// More than this the drivers' own allocators need not align to: the rest is ours.
constexpr std::uint64_t driver_alignment = 64;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

[[noreturn]] void out_of_memory(const flagos_memory_desc_t& desc, const MemoryAccount& account,
                                const std::string& why) {
  throw_error(desc.kind == FLAGOS_MEMORY_KIND_PINNED ? FLAGOS_STATUS_OUT_OF_HOST_MEMORY
                                                     : FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY,
              "{} bytes asked for, {} of {} in use{}{}", desc.size_bytes, account.used_bytes.load(),
              account.total_bytes, why.empty() ? "" : ": ", why);
}

}  // namespace

void check_memory_word(std::string_view wanted) {
  if (wanted.empty() || wanted == "svm" || wanted == "usm" || wanted == "buffer") return;
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
              "FLAGOS_OPENCL_MEMORY is '{}', expected svm, usm or buffer", wanted);
}

MemoryMode choose_memory_mode(std::string_view wanted, const DeviceDescription& device) {
  check_memory_word(wanted);
  const bool has_svm = (device.svm & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER) != 0;
  if (wanted == "buffer") return MemoryMode::buffer;
  if ((wanted == "svm" && !has_svm) || (wanted == "usm" && !device.has_usm))
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "FLAGOS_OPENCL_MEMORY is '{}', which '{}' does not have (SVM capabilities {:#x}, "
                "cl_intel_unified_shared_memory {})",
                wanted, device.info.name, device.svm, device.has_usm ? "yes" : "no");
  if (wanted == "usm" || (wanted.empty() && device.has_usm)) return MemoryMode::usm;
  return has_svm ? MemoryMode::svm : MemoryMode::buffer;
}

bool MemoryAccount::take(std::uint64_t size_bytes) noexcept {
  std::uint64_t used = used_bytes.load();
  do {
    if (size_bytes > total_bytes - std::min(total_bytes, used)) return false;
  } while (!used_bytes.compare_exchange_weak(used, used + size_bytes));
  return true;
}

Memory::Memory(const Driver& driver, cl_context context, cl_command_queue queue,
               const DeviceDescription& device, MemoryMode mode, MemoryAccount& account)
    : driver_(driver),
      context_(context),
      queue_(queue),
      device_(device),
      mode_(mode),
      account_(account) {
  if (mode == MemoryMode::usm) load_usm(device.platform);
  if (mode == MemoryMode::svm)
    native_ = {driver.clEnqueueSVMMemcpy, driver.clEnqueueSVMMemFill,
               driver.clSetKernelArgSVMPointer};
}

void Memory::load_usm(cl_platform_id platform) {
  const auto load = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
        driver_.clGetExtensionFunctionAddressForPlatform(platform, name));
    if (function == nullptr)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "the driver of '{}' has no function {}",
                  device_.info.name, name);
  };
  load(usm_host_, "clHostMemAllocINTEL");
  load(usm_device_, "clDeviceMemAllocINTEL");
  load(usm_shared_, "clSharedMemAllocINTEL");
  load(usm_free_, "clMemFreeINTEL");
  load(native_.copy, "clEnqueueMemcpyINTEL");
  load(native_.fill, "clEnqueueMemFillINTEL");
  load(native_.set_argument, "clSetKernelArgMemPointerINTEL");
}

Memory::~Memory() {
  for (auto& [address, allocation] : allocations_) release(*allocation);
}

flagos_address_t Memory::alloc(const flagos_memory_desc_t& desc) {
  // Core has checked that the kind is DEVICE, PINNED or MANAGED.
  if (desc.size_bytes > device_.info.max_allocation_bytes)
    out_of_memory(desc, account_,
                  fmt::format("the largest allocation of this device is {} bytes",
                              device_.info.max_allocation_bytes));
  const std::uint64_t alignment =
      std::max<std::uint64_t>(desc.alignment_bytes, device_.info.allocation_alignment);
  auto allocation = std::make_unique<Allocation>();
  allocation->kind = desc.kind;
  allocation->charged_bytes = round_up(desc.size_bytes, device_.info.allocation_alignment);
  if (!account_.take(allocation->charged_bytes)) out_of_memory(desc, account_, {});
  flagos_address_t address = 0;
  try {
    const bool native =
        mode_ == MemoryMode::usm ||
        (mode_ == MemoryMode::svm && (desc.kind != FLAGOS_MEMORY_KIND_PINNED || has_fine_grain()));
    address = native ? place_native(*allocation, desc, alignment)
                     : place_buffer(*allocation, desc, alignment);
    if ((desc.flags & FLAGOS_MEMORY_FLAG_ZERO) != 0) zero(*allocation, address, desc.size_bytes);
    keep(address, std::move(allocation));
  } catch (const Error& error) {
    undo(std::move(allocation), address);
    const bool no_memory = FLAGOS_STATUS_CLASS(error.status()) == FLAGOS_STATUS_CLASS_RESOURCE;
    if (no_memory) out_of_memory(desc, account_, error.what());
    throw;
  } catch (...) {
    undo(std::move(allocation), address);
    throw;
  }
  allocated_.fetch_add(1, std::memory_order_release);
  return address;
}

// What an allocation that failed had come to. `address` is 0 where it had none yet.
void Memory::undo(std::unique_ptr<Allocation> allocation, flagos_address_t address) noexcept {
  if (address != 0) ranges_.release(address);
  if (allocation) release(*allocation);
}

// The driver's address, moved up to the alignment.
flagos_address_t Memory::place_native(Allocation& allocation, const flagos_memory_desc_t& desc,
                                      std::uint64_t alignment) {
  const std::uint64_t padded = desc.size_bytes + alignment - driver_alignment;
  allocation.pointer =
      mode_ == MemoryMode::svm ? alloc_svm(desc.kind, padded) : alloc_usm(desc.kind, padded);
  const auto start = reinterpret_cast<std::uint64_t>(allocation.pointer);
  const std::uint64_t address = round_up(start, alignment);
  allocation.lead_bytes = address - start;
  ranges_.attach(address, desc.size_bytes, &allocation);
  return address;
}

void* Memory::alloc_svm(flagos_memory_kind_t kind, std::uint64_t size_bytes) {
  cl_svm_mem_flags flags = CL_MEM_READ_WRITE;
  if (kind != FLAGOS_MEMORY_KIND_DEVICE) {
    if (!has_fine_grain())
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "'{}' has no fine-grained memory for host and device",
                  device_.info.name);
    flags |= CL_MEM_SVM_FINE_GRAIN_BUFFER;
    if ((device_.svm & CL_DEVICE_SVM_ATOMICS) != 0) flags |= CL_MEM_SVM_ATOMICS;
  }
  void* pointer =
      driver_.clSVMAlloc(context_, flags, size_bytes, static_cast<cl_uint>(driver_alignment));
  if (pointer == nullptr) throw_error(FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY, "clSVMAlloc gave NULL");
  return pointer;
}

void* Memory::alloc_usm(flagos_memory_kind_t kind, std::uint64_t size_bytes) {
  cl_int code = CL_SUCCESS;
  void* pointer = nullptr;
  const auto alignment = static_cast<cl_uint>(driver_alignment);
  const char* call = "clDeviceMemAllocINTEL";
  if (kind == FLAGOS_MEMORY_KIND_PINNED) {
    call = "clHostMemAllocINTEL";
    pointer = usm_host_(context_, nullptr, size_bytes, alignment, &code);
  } else if (kind == FLAGOS_MEMORY_KIND_MANAGED) {
    call = "clSharedMemAllocINTEL";
    pointer = usm_shared_(context_, device_.id, nullptr, size_bytes, alignment, &code);
  } else {
    pointer = usm_device_(context_, device_.id, nullptr, size_bytes, alignment, &code);
  }
  Driver::check(code, call, "{} bytes", size_bytes);
  return pointer;
}

flagos_address_t Memory::place_buffer(Allocation& allocation, const flagos_memory_desc_t& desc,
                                      std::uint64_t alignment) {
  if (desc.kind == FLAGOS_MEMORY_KIND_MANAGED)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "'{}' has buffer objects only, which host and device cannot use at once",
                device_.info.name);
  if (desc.kind == FLAGOS_MEMORY_KIND_DEVICE) {
    create_buffer(allocation, desc.size_bytes, CL_MEM_READ_WRITE);
    return ranges_.reserve(desc.size_bytes, alignment, &allocation);
  }
  const std::uint64_t padded = desc.size_bytes + alignment;
  create_buffer(allocation, padded, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR);
  allocation.pointer = map_buffer(allocation, padded);
  const auto start = reinterpret_cast<std::uint64_t>(allocation.pointer);
  const std::uint64_t address = round_up(start, alignment);
  allocation.lead_bytes = address - start;
  ranges_.attach(address, desc.size_bytes, &allocation);
  return address;
}

void Memory::create_buffer(Allocation& allocation, std::uint64_t size_bytes, cl_mem_flags flags,
                           void* host_pointer) {
  cl_int code = CL_SUCCESS;
  allocation.size_bytes = size_bytes;
  allocation.buffer = driver_.clCreateBuffer(context_, flags, size_bytes, host_pointer, &code);
  Driver::check(code, "clCreateBuffer", "{} bytes", size_bytes);
}

// Mapped as long as it lives: its host address is what the caller gets.
void* Memory::map_buffer(Allocation& allocation, std::uint64_t size_bytes) {
  cl_int code = CL_SUCCESS;
  void* pointer =
      driver_.clEnqueueMapBuffer(queue_, allocation.buffer, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0,
                                 size_bytes, 0, nullptr, nullptr, &code);
  Driver::check(code, "clEnqueueMapBuffer", "{} bytes", size_bytes);
  return pointer;
}

void Memory::zero(Allocation& allocation, flagos_address_t address, std::uint64_t size_bytes) {
  if (allocation.kind != FLAGOS_MEMORY_KIND_DEVICE) {
    std::memset(reinterpret_cast<void*>(address), 0, size_bytes);
    return;
  }
  const cl_uchar nothing = 0;
  if (allocation.buffer != nullptr) {
    Driver::check(driver_.clEnqueueFillBuffer(queue_, allocation.buffer, &nothing, 1, 0, size_bytes,
                                              0, nullptr, nullptr),
                  "clEnqueueFillBuffer", "{} bytes to be zero", size_bytes);
  } else {
    Driver::check(native_.fill(queue_, reinterpret_cast<void*>(address), &nothing, 1, size_bytes, 0,
                               nullptr, nullptr),
                  "clEnqueueSVMMemFill", "{} bytes to be zero", size_bytes);
  }
  const cl_int code = driver_.clFinish(queue_);
  if (code == CL_SUCCESS) return;
  // The memory must not be freed under a fill that may still run.
  allocation.is_in_use = driver_.clFinish(queue_) != CL_SUCCESS;
  Driver::fail(code, "clFinish", {});
}

void Memory::free(flagos_address_t address) noexcept {
  std::unique_ptr<Allocation> allocation;
  {
    const std::lock_guard lock(mutex_);
    const auto found = allocations_.find(address);
    if (found == allocations_.end()) return;
    allocation = std::move(found->second);
    allocations_.erase(found);
  }
  ranges_.release(address);
  generation_.fetch_add(1, std::memory_order_release);
  if (allocation->is_counted) more_buffers_.fetch_sub(1, std::memory_order_release);
  release(*allocation);
}

void Memory::register_host(void* pointer, std::uint64_t size_bytes) {
  const auto address = reinterpret_cast<flagos_address_t>(pointer);
  auto allocation = std::make_unique<Allocation>();
  allocation->kind = FLAGOS_MEMORY_KIND_REGISTERED;
  bool attached = false;
  // Where kernels take any address there is nothing to be made.
  const bool needs_buffer = !is_native() || (device_.svm & CL_DEVICE_SVM_FINE_GRAIN_SYSTEM) == 0;
  try {
    if (needs_buffer)
      create_buffer(*allocation, size_bytes, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, pointer);
    if (needs_buffer) allocation->pointer = map_buffer(*allocation, size_bytes);
    if (needs_buffer && allocation->pointer != pointer)
      throw_error(FLAGOS_STATUS_INTERNAL,
                  "clEnqueueMapBuffer gave {} for a buffer on host memory at {}",
                  allocation->pointer, pointer);
    ranges_.attach(address, size_bytes, allocation.get());
    attached = true;
    allocation->is_counted = needs_buffer;
    keep(address, std::move(allocation));
  } catch (...) {
    if (attached) ranges_.release(address);
    if (allocation) release(*allocation);
    throw;
  }
  if (needs_buffer) more_buffers_.fetch_add(1, std::memory_order_release);
  generation_.fetch_add(1, std::memory_order_release);
}

void Memory::unregister_host(void* pointer) {
  const auto address = reinterpret_cast<flagos_address_t>(pointer);
  {
    const std::lock_guard lock(mutex_);
    const auto found = allocations_.find(address);
    if (found == allocations_.end() || found->second->kind != FLAGOS_MEMORY_KIND_REGISTERED)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is not the start of registered memory",
                  pointer);
  }
  free(address);
}

flagos_address_t Memory::wrap_buffer(cl_mem buffer, std::uint64_t offset,
                                     std::uint64_t size_bytes) {
  const std::size_t room = check_buffer(buffer);
  if (offset > room || size_bytes > room - offset)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes at {} end past a cl_mem of {} bytes",
                size_bytes, offset, room);
  auto allocation = std::make_unique<Allocation>();
  allocation->size_bytes = room;
  allocation->lead_bytes = offset;
  allocation->is_counted = true;
  Driver::check(driver_.clRetainMemObject(buffer), "clRetainMemObject");
  allocation->buffer = buffer;
  flagos_address_t address = 0;
  try {
    address = ranges_.reserve(size_bytes, device_.info.allocation_alignment, allocation.get());
    keep(address, std::move(allocation));
  } catch (...) {
    undo(std::move(allocation), address);
    throw;
  }
  more_buffers_.fetch_add(1, std::memory_order_release);
  generation_.fetch_add(1, std::memory_order_release);
  return address;
}

// The size of one that can be wrapped.
std::size_t Memory::check_buffer(cl_mem buffer) const {
  const auto ask = [&](cl_mem_info what, auto value) {
    Driver::check(driver_.clGetMemObjectInfo(buffer, what, sizeof(value), &value, nullptr),
                  "clGetMemObjectInfo");
    return value;
  };
  if (ask(CL_MEM_TYPE, cl_mem_object_type{0}) != CL_MEM_OBJECT_BUFFER)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the cl_mem is an image or a pipe, not a buffer");
  if (ask(CL_MEM_CONTEXT, cl_context{}) != context_)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the cl_mem is of another context than this opening of '{}'", device_.info.name);
  const std::lock_guard lock(mutex_);
  for (const auto& [address, allocation] : allocations_)
    if (allocation->buffer == buffer)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the cl_mem is memory of this device, at {:#x}",
                  address);
  return ask(CL_MEM_SIZE, std::size_t{0});
}

flagos_address_t Memory::wrap_pointer(void* pointer, std::uint64_t offset, std::uint64_t size_bytes,
                                      bool is_owned) {
  if (!is_native())
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "memory is had by buffer objects on '{}': a cl_mem can be wrapped",
                device_.info.name);
  auto allocation = std::make_unique<Allocation>();
  allocation->pointer = pointer;
  allocation->lead_bytes = offset;
  allocation->is_lent = true;  // until nothing can fail any more
  const flagos_address_t address = reinterpret_cast<flagos_address_t>(pointer) + offset;
  ranges_.attach(address, size_bytes, allocation.get());
  Allocation& placed = *allocation;
  try {
    keep(address, std::move(allocation));
  } catch (...) {
    undo(std::move(allocation), address);
    throw;
  }
  placed.is_lent = !is_owned;
  allocated_.fetch_add(1, std::memory_order_release);
  return address;
}

void Memory::keep(flagos_address_t address, std::unique_ptr<Allocation>&& allocation) {
  const std::lock_guard lock(mutex_);
  allocations_[address] = std::move(allocation);
}

void Memory::release(Allocation& allocation) noexcept {
  if (allocation.is_in_use) {
    // Lost: nobody can tell when it could be freed.
  } else if (allocation.buffer != nullptr) {
    if (allocation.pointer != nullptr) {
      driver_.clEnqueueUnmapMemObject(queue_, allocation.buffer, allocation.pointer, 0, nullptr,
                                      nullptr);
      driver_.clFinish(queue_);
    }
    driver_.clReleaseMemObject(allocation.buffer);
  } else if (allocation.pointer != nullptr && !allocation.is_lent) {
    free_native(allocation.pointer);
  }
  account_.give_back(allocation.charged_bytes);
}

void Memory::free_native(void* pointer) noexcept {
  if (mode_ == MemoryMode::usm) {
    usm_free_(context_, pointer);
  } else {
    driver_.clSVMFree(context_, pointer);
  }
}

std::vector<void*> Memory::svm_pointers() const {
  std::vector<void*> pointers;
  const std::lock_guard lock(mutex_);
  for (const auto& [address, allocation] : allocations_)
    if (allocation->buffer == nullptr && allocation->pointer != nullptr)
      pointers.push_back(allocation->pointer);
  return pointers;
}

const Allocation* Memory::find(flagos_address_t address, std::uint64_t* out_offset) const noexcept {
  const AddressRanges::Found found = ranges_.find(address);
  if (!found) return nullptr;
  const auto* allocation = static_cast<const Allocation*>(found.object);
  *out_offset = found.offset + allocation->lead_bytes;
  return allocation;
}

flagos_status_t memory_alloc(flagos_plugin_device_t* device, const flagos_memory_desc_t* desc,
                             flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] { *out_address = self.memory().alloc(*desc); });
}

void memory_free(flagos_plugin_device_t* device, flagos_address_t address) noexcept {
  from_c(device).memory().free(address);
}

flagos_status_t memory_host_register(flagos_plugin_device_t* device, void* pointer,
                                     std::uint64_t size_bytes, std::uint32_t,
                                     flagos_address_t* out_address) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    self.memory().register_host(pointer, size_bytes);
    *out_address = reinterpret_cast<flagos_address_t>(pointer);
  });
}

flagos_status_t memory_host_unregister(flagos_plugin_device_t* device, void* pointer) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] { self.memory().unregister_host(pointer); });
}

}  // namespace flagos::opencl
