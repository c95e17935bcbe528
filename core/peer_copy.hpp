// Copies between two devices: by the plugin where it can, by one of the two where the other's memory is the host's, and
// else through pinned memory, in halves that overlap.
#pragma once

#include <flagos_plugin.h>

#include <array>
#include <cstdint>
#include <memory>

#include "core/device.hpp"

namespace flagos::core {

// What one device brings to a transfer: a stream of its own, two pieces of pinned memory, and events on both. Made at
// the first transfer and kept by the device for later ones.
class TransferPort {
 public:
  static constexpr std::uint64_t slot_bytes = std::uint64_t{4} << 20;
  static constexpr std::size_t slot_count = 2;

  explicit TransferPort(Device& device);
  ~TransferPort();
  TransferPort(const TransferPort&) = delete;
  TransferPort& operator=(const TransferPort&) = delete;

  // All throw Error when the device refuses or fails.
  void copy(flagos_address_t target, flagos_address_t source, std::uint64_t size_bytes);
  void record(std::size_t slot);
  void wait(std::size_t slot);  // on the host, for the last record of the slot
  void synchronize();
  flagos_address_t slot_address(std::size_t slot);  // allocated when it is first asked for

 private:
  struct Slot {
    flagos_plugin_event_t* event = nullptr;
    flagos_address_t address = 0;
    std::unique_ptr<std::byte[]> pageable;  // where the device has no pinned memory
  };
  Device& device_;  // owns this
  flagos_plugin_stream_t* stream_ = nullptr;
  std::array<Slot, slot_count> slots_{};
};

// One copy that core moves through the host.
class PeerTransfer {
 public:
  PeerTransfer(Device& target_device, flagos_address_t target, Device& source_device, flagos_address_t source,
               std::uint64_t size_bytes, std::shared_ptr<Marker> hold);

  // Moves the bytes and waits for them; OK, or what failed. On a thread of core's.
  flagos_status_t run() noexcept;
  // The memory of the two devices is not used any more.
  void finish();

 private:
  void move();
  void move_by(Device& device);
  void move_staged();

  Ref<Device> target_device_, source_device_;
  const flagos_address_t target_, source_;
  const std::uint64_t size_bytes_;
  std::shared_ptr<Marker> hold_;
};

}  // namespace flagos::core
