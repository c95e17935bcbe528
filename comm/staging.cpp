#include "comm/staging.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.hpp"

namespace flagos::comm {
namespace {

flagos_memory_info_t info_of(flagos_device_t* device, flagos_address_t address) {
  flagos_memory_info_t info{};
  info.struct_size = sizeof(info);
  expect(flagos_memory_get_info(device, address, &info));
  return info;
}

// Asks the kernel, which answers instead of ending the process. Where it may not be asked all is taken for readable.
bool is_readable(flagos_address_t address) {
  std::byte byte{};
  const iovec to{&byte, 1}, from{host(address), 1};
  return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1 || errno != EFAULT;
}

}  // namespace

bool has_host_addresses(flagos_device_t* device) {
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  expect(flagos_device_get_info(device, &info));
  return (info.capabilities & FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES) != 0;
}

Staging::Staging(flagos_device_t* device, std::shared_ptr<Segment> segment, std::uint32_t size,
                 std::uint32_t first, std::uint32_t count)
    : device_(device),
      segment_(std::move(segment)),
      first_(first),
      slots_(count),
      outgoing_(count / 2) {
  host_addresses_ = has_host_addresses(device);
  for (Slot& slot : slots_) slot.lent.reserve(size);
  if (!host_addresses_) prepare_device();
}

// Pins the slots where the device can, and makes what copies need, so that nothing is allocated later.
void Staging::prepare_device() {
  expect(flagos_stream_create(device_, nullptr, &stream_));
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
  for (Slot& slot : slots_) expect(flagos_event_create(device_, &desc, &slot.event));
  expect(flagos_event_create(device_, &desc, &copied_));
  flagos_address_t address = 0;
  registered_ = flagos_memory_host_register(device_, data(0), slots_.size() * slot_bytes, 0,
                                            &address) == FLAGOS_STATUS_OK &&
                address == reinterpret_cast<std::uintptr_t>(data(0));
}

Staging::~Staging() {
  if (stream_ != nullptr) flagos_stream_synchronize(stream_, 1'000'000'000);
  if (registered_) flagos_memory_host_unregister(device_, data(0));
  for (Slot& slot : slots_) flagos_event_destroy(slot.event);
  flagos_event_destroy(copied_);
  flagos_stream_destroy(stream_);
  if (parts_ != 0) flagos_memory_free(device_, parts_);
}

bool Staging::reaches(flagos_address_t address) const {
  return host_addresses_ || address == 0 ||
         info_of(device_, address).kind != FLAGOS_MEMORY_KIND_DEVICE;
}

Allocation Staging::check_range(flagos_address_t address, std::uint64_t bytes,
                                const char* what) const {
  if (bytes == 0) return {};
  const flagos_memory_info_t info = info_of(device_, address);
  if (info.kind == FLAGOS_MEMORY_KIND_UNKNOWN) {
    // Ordinary memory of the host, or what has been freed.
    if (!is_readable(address) || !is_readable(address + bytes - 1))
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "{}: {} bytes at 0x{:x} are in no memory of the device or the process; were they "
                  "freed?",
                  what, bytes, address);
    return {};
  }
  if (bytes > info.size_bytes - (address - info.base))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "{}: {} bytes at 0x{:x} end past an allocation of {} bytes at 0x{:x}", what, bytes,
                address, info.size_bytes, info.base);
  return {address, info.base, info.size_bytes};
}

void Staging::check_still_there(const Allocation& allocation) const {
  if (allocation.base == 0) return;
  const flagos_memory_info_t info = info_of(device_, allocation.address);
  if (info.base != allocation.base || info.size_bytes != allocation.size_bytes)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the allocation of {} bytes at 0x{:x} was freed after the call",
                allocation.size_bytes, allocation.base);
}

int Staging::take_outgoing() {
  for (std::size_t i = 0; i < outgoing_; ++i) {
    Slot& slot = slots_[i];
    if (slot.state == State::lent) {
      while (!slot.lent.empty() && slot.lent.back().peer->is_consumed(slot.lent.back().number))
        slot.lent.pop_back();
      if (slot.lent.empty()) slot.state = State::free;
    }
    if (slot.state != State::free) continue;
    slot.state = State::used;
    return static_cast<int>(i);
  }
  return none;
}

int Staging::take_incoming() {
  for (std::size_t i = outgoing_; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.state == State::storing && is_complete(slot.event)) slot.state = State::free;
    if (slot.state != State::free) continue;
    slot.state = State::used;
    return static_cast<int>(i);
  }
  return none;
}

void Staging::lend(int slot, Peer& peer, std::uint32_t number) {
  slots_[slot].state = State::lent;
  slots_[slot].lent.push_back({&peer, number});
}

void Staging::fetch(int slot, flagos_address_t address, std::uint64_t bytes) {
  expect(flagos_memory_copy(stream_, reinterpret_cast<std::uintptr_t>(data(slot)), address, bytes));
  expect(flagos_event_record(slots_[slot].event, stream_));
}

void Staging::store(int slot, flagos_address_t address, std::uint64_t bytes) {
  expect(flagos_memory_copy(stream_, address, reinterpret_cast<std::uintptr_t>(data(slot)), bytes));
  expect(flagos_event_record(slots_[slot].event, stream_));
  slots_[slot].state = State::storing;
}

void Staging::copy(flagos_address_t from, flagos_address_t to, std::uint64_t bytes) {
  expect(flagos_memory_copy(stream_, to, from, bytes));
  record_copied();
}

void Staging::record_copied() {
  expect(flagos_event_record(copied_, stream_));
  copying_ = true;
}

// A device whose memory the host reaches is only asked where its kernels are wanted in any case.
void Staging::prepare_reductions(Reducer wanted) {
  if (wanted == Reducer::host || (host_addresses_ && wanted != Reducer::device)) return;
  if (stream_ == nullptr) prepare_device();
  reduction_ = DeviceReduction::of(device_, data(0), slot_bytes);
  reducer_ = wanted;
}

bool Staging::is_with_device(flagos_address_t address) const {
  return host_addresses_ || !reaches(address);
}

const DeviceReduction::Kernel* Staging::reducer(const Reduction& reduction, std::uint32_t sources,
                                                std::uint64_t bytes) const {
  return may_reduce() ? reduction_->choose(reduction, sources, bytes, reducer_) : nullptr;
}

flagos_address_t Staging::part(std::uint32_t index) {
  if (parts_ == 0) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = (most_kernel_sources - 1) * slot_bytes;
    expect(flagos_memory_alloc(device_, &desc, &parts_));
  }
  return parts_ + index * slot_bytes;
}

void Staging::launch(const ReductionLaunch& reduction) {
  reduction.run(stream_);
  record_copied();
  launches_.fetch_add(1, std::memory_order_relaxed);
}

bool Staging::has_arrived(int slot) { return is_complete(slots_[slot].event); }

bool Staging::is_complete(flagos_event_t* event) {
  std::uint32_t complete = 0;
  expect(flagos_event_query(event, &complete));
  return complete != 0;
}

bool Staging::is_settled() {
  if (stream_ == nullptr) return true;
  for (std::size_t i = outgoing_; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.state != State::storing) continue;
    if (!is_complete(slot.event)) return false;
    slot.state = State::free;
  }
  if (copying_ && is_complete(copied_)) copying_ = false;
  return !copying_;
}

}  // namespace flagos::comm
