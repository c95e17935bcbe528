// Copies between two devices.
#include "core/peer_copy.hpp"

#include <algorithm>

#include "core/entry.hpp"
#include "core/marker.hpp"
#include "core/stream.hpp"

namespace flagos::core {

namespace {

bool host_reaches_memory_of(const Device& device) {
  return (device.info().capabilities & FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES) != 0;
}

}  // namespace

TransferPort::TransferPort(Device& device) : device_(device) {
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof(desc);
  expect(device_.tables().stream.create(device_.native(), &desc, &stream_), "stream.create");
  flagos_event_desc_t event_desc{};
  event_desc.struct_size = sizeof(event_desc);
  event_desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
  for (Slot& slot : slots_) {
    if (device_.tables().event.create(device_.native(), &event_desc, &slot.event) != FLAGOS_STATUS_OK)
      slot.event = nullptr;  // then a wait is for the whole stream
  }
}

// After a failure copies to or from slots may still be running.
TransferPort::~TransferPort() {
  const Tables& tables = device_.tables();
  const Deadline forever(FLAGOS_TIMEOUT_INFINITE);
  while (device_.lost() == FLAGOS_STATUS_OK &&
         tables.stream.synchronize(stream_, forever.slice_ns()) == FLAGOS_STATUS_TIMEOUT) {
  }
  for (Slot& slot : slots_) {
    if (slot.event != nullptr) tables.event.destroy(slot.event);
    if (slot.address != 0 && slot.pageable == nullptr) tables.memory.free(device_.native(), slot.address);
  }
  tables.stream.destroy(stream_);
}

void TransferPort::copy(flagos_address_t target, flagos_address_t source, std::uint64_t size_bytes) {
  device_.throw_if_lost();
  expect(device_.tables().memory.copy(stream_, target, source, size_bytes), "memory.copy");
}

void TransferPort::record(std::size_t slot) {
  if (slots_[slot].event != nullptr) expect(device_.tables().event.record(slots_[slot].event, stream_), "event.record");
}

// In slices, so that a lost device is noticed.
void TransferPort::wait(std::size_t slot) {
  const Deadline forever(FLAGOS_TIMEOUT_INFINITE);
  flagos_plugin_event_t* const event = slots_[slot].event;
  while (true) {
    device_.throw_if_lost();
    const flagos_status_t status = event != nullptr ? device_.tables().event.synchronize(event, forever.slice_ns())
                                                    : device_.tables().stream.synchronize(stream_, forever.slice_ns());
    if (status == FLAGOS_STATUS_TIMEOUT) continue;
    return expect(status, "event.synchronize");
  }
}

void TransferPort::synchronize() {
  const Deadline forever(FLAGOS_TIMEOUT_INFINITE);
  while (true) {
    device_.throw_if_lost();
    const flagos_status_t status = device_.tables().stream.synchronize(stream_, forever.slice_ns());
    if (status == FLAGOS_STATUS_TIMEOUT) continue;
    return expect(status, "stream.synchronize");
  }
}

flagos_address_t TransferPort::slot_address(std::size_t index) {
  Slot& slot = slots_[index];
  if (slot.address != 0) return slot.address;
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_PINNED;
  desc.size_bytes = slot_bytes;
  desc.alignment_bytes = device_.info().allocation_alignment;
  if (device_.tables().memory.alloc(device_.native(), &desc, &slot.address) != FLAGOS_STATUS_OK || slot.address == 0) {
    slot.pageable = std::make_unique<std::byte[]>(slot_bytes);
    slot.address = reinterpret_cast<std::uintptr_t>(slot.pageable.get());
  }
  return slot.address;
}

namespace {

// A port that goes back to its device unless something failed: then its stream may be poisoned, and it ends.
class BorrowedPort {
 public:
  explicit BorrowedPort(Device& device) : device_(device), port_(device.take_port()) {
    if (port_ == nullptr) port_ = std::make_unique<TransferPort>(device);
  }
  ~BorrowedPort() {
    if (good_) device_.give_port(std::move(port_));
  }
  BorrowedPort(const BorrowedPort&) = delete;
  BorrowedPort& operator=(const BorrowedPort&) = delete;
  TransferPort* operator->() const { return port_.get(); }
  void done() { good_ = true; }

 private:
  Device& device_;
  std::unique_ptr<TransferPort> port_;
  bool good_ = false;
};

}  // namespace

PeerTransfer::PeerTransfer(Device& target_device, flagos_address_t target, Device& source_device,
                           flagos_address_t source, std::uint64_t size_bytes, std::shared_ptr<Marker> hold)
    : target_device_(&target_device),
      source_device_(&source_device),
      target_(target),
      source_(source),
      size_bytes_(size_bytes),
      hold_(std::move(hold)) {}

void PeerTransfer::finish() { hold_->finish(); }

flagos_status_t PeerTransfer::run() noexcept {
  const flagos_status_t status = guard([&] { move(); }, set_error_text);
  finish();
  return status;
}

void PeerTransfer::move() {
  if (host_reaches_memory_of(*source_device_)) return move_by(*target_device_);
  if (host_reaches_memory_of(*target_device_)) return move_by(*source_device_);
  move_staged();
}

void PeerTransfer::move_by(Device& device) {
  BorrowedPort port(device);
  port->copy(target_, source_, size_bytes_);
  port->synchronize();
  port.done();
}

// While one half goes to the target the next comes from the source.
void PeerTransfer::move_staged() {
  BorrowedPort from(*source_device_);
  BorrowedPort to(*target_device_);  // ends first: it reads the slots of `from`
  const std::uint64_t count = (size_bytes_ + TransferPort::slot_bytes - 1) / TransferPort::slot_bytes;
  const auto size_of = [&](std::uint64_t i) {
    return std::min(TransferPort::slot_bytes, size_bytes_ - i * TransferPort::slot_bytes);
  };
  const auto fetch = [&](std::uint64_t i) {
    const std::size_t slot = i % TransferPort::slot_count;
    if (i >= TransferPort::slot_count) to->wait(slot);
    from->copy(from->slot_address(slot), source_ + i * TransferPort::slot_bytes, size_of(i));
    from->record(slot);
  };
  fetch(0);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::size_t slot = i % TransferPort::slot_count;
    if (i + 1 < count) fetch(i + 1);
    from->wait(slot);
    to->copy(target_ + i * TransferPort::slot_bytes, from->slot_address(slot), size_of(i));
    to->record(slot);
  }
  to->synchronize();
  from.done();
  to.done();
}

namespace {

// Both devices keep the memory of the copy until work on a stream of one of them has passed.
std::shared_ptr<Marker> hold_both(Device& target_device, Device& source_device) {
  auto marker = std::make_shared<Marker>(target_device.tables());
  target_device.hold(marker);
  try {
    source_device.hold(marker);
  } catch (...) {
    marker->finish();
    throw;
  }
  return marker;
}

// The stream's own device makes the copy; the other one learns when it is over.
flagos_status_t submit_direct(Stream& stream, Device& target_device, Device& source_device, flagos_address_t target,
                              flagos_address_t source, std::uint64_t size_bytes, bool by_plugin) {
  const std::shared_ptr<Marker> hold = hold_both(target_device, source_device);
  try {
    flagos_status_t status = FLAGOS_STATUS_OK;
    if (by_plugin) {
      const Stream::Submission submission(stream);
      status = checked(stream.tables().memory.copy_peer(stream.native(), target, target_device.native(), source,
                                                        source_device.native(), size_bytes),
                       "memory.copy_peer");
    } else {
      status = stream.submit_slow(CopyCommand{target, source, size_bytes});
    }
    // On a stream that failed meanwhile nothing uses the memory any more.
    const auto finish = [hold](flagos_status_t) { hold->finish(); };
    if (stream.submit_slow(NotifyCommand{finish}) != FLAGOS_STATUS_OK) hold->finish();
    return status;
  } catch (...) {
    hold->finish();
    throw;
  }
}

// A copy that core holds back is not seen by the plugin, which may have poisoned the stream without core's knowledge.
void refuse_poisoned(Stream& stream) {
  if (stream.mode() != 0) return;  // core's own modes are submit_slow's to judge
  const flagos_status_t status = stream.tables().stream.synchronize(stream.native(), 0);
  if (FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER) stream.poison(checked(status, "stream.synchronize"));
}

flagos_status_t copy_peer(Stream& stream, flagos_address_t target, Device& target_device, flagos_address_t source,
                          Device& source_device, std::uint64_t size_bytes) {
  Device& own = stream.device();
  Device& other = &own == &target_device ? source_device : target_device;
  const bool by_plugin = &own.plugin() == &other.plugin() && own.tables().has.copy_peer && stream.mode() == 0;
  if (by_plugin || host_reaches_memory_of(other))
    return submit_direct(stream, target_device, source_device, target, source, size_bytes, by_plugin);
  refuse_poisoned(stream);
  const std::shared_ptr<Marker> hold = hold_both(target_device, source_device);
  try {
    return stream.submit_slow(PeerCopyCommand{
        std::make_shared<PeerTransfer>(target_device, target, source_device, source, size_bytes, hold)});
  } catch (...) {
    hold->finish();
    throw;
  }
}

}  // namespace

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_memory_copy_peer(flagos_stream_t* stream, flagos_address_t target,
                                        flagos_device_t* target_device, flagos_address_t source,
                                        flagos_device_t* source_device, uint64_t size_bytes) {
  return entry(__func__, [&]() -> flagos_status_t {
    Stream& object = resolve<Stream>(stream, "stream");
    Device& to = resolve<Device>(target_device, "target_device");
    Device& from = resolve<Device>(source_device, "source_device");
    if (&object.device() != &to && &object.device() != &from)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the stream belongs to device {}, the copy goes from {} to {}",
                  object.device().info().id, from.info().id, to.info().id);
    if (&to.runtime() != &from.runtime())
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the devices {} and {} belong to two runtimes", from.info().id,
                  to.info().id);
    if (size_bytes == 0) return FLAGOS_STATUS_OK;
    to.check_range(target, size_bytes, "the target of the copy", FLAGOS_MEMORY_ACCESS_READ_WRITE);
    from.check_range(source, size_bytes, "the source of the copy");
    if (&to == &from) {
      return object.submit([&] { return object.tables().memory.copy(object.native(), target, source, size_bytes); },
                           [&] {
                             return CopyCommand{target, source, size_bytes};
                           },
                           "memory.copy");
    }
    object.forbid_capture("flagos_memory_copy_peer");
    to.throw_if_lost();
    from.throw_if_lost();
    return copy_peer(object, target, to, source, from, size_bytes);
  });
}
