// A rank of a native communicator: the plugin's object, what was registered with it, and which stream holds its operations
// back.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "core/device.hpp"

namespace flagos::core {

class Stream;

class Communicator : public Child {
 public:
  static constexpr Tag tag_of = Tag::communicator;

  // Takes over the plugin's object.
  Communicator(Device& device, flagos_plugin_communicator_t* native, std::uint32_t rank, std::uint32_t size);
  void release() override;

  flagos_plugin_communicator_t* native() const { return native_; }
  std::uint32_t rank() const { return rank_; }
  std::uint32_t size() const { return size_; }

  // The plugin is told once.
  flagos_status_t abort();
  bool is_aborted() const { return aborted_.load(std::memory_order_acquire); }

  void register_buffer(flagos_address_t address, std::uint64_t size_bytes);
  void deregister_buffer(flagos_address_t address);

  // All ranks give their operations to the plugin in the same order. So while one is held back on a stream, those on other
  // streams would overtake it, and are refused. The token lasts as long as the operation is held back.
  using Token = std::shared_ptr<const void>;
  Token hold_back(const Stream& stream);
  void check_order(const Stream& stream);  // throws NOT_PERMITTED

 private:
  flagos_plugin_communicator_t* const native_;
  const std::uint32_t rank_, size_;
  std::atomic<bool> aborted_{false};
  std::mutex mutex_;  // of what follows
  std::map<flagos_address_t, flagos_plugin_registration_t*> registrations_;
  std::atomic<std::uint32_t> held_{0};
  const Stream* holder_ = nullptr;
};

// Work that waits for other ranks, on a device that is to go.
void abort_communicators(Device& device);

}  // namespace flagos::core
