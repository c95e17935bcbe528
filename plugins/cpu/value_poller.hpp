// Streams that wait for a value in memory. Nobody tells when memory changes, so one thread per
// instance looks, often at first and less and less often; it sleeps while no stream waits.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "plugins/cpu/parking.hpp"
#include "plugins/cpu/wait.hpp"

namespace flagos::cpu {

class Stream;

struct ValueCondition {
  flagos_address_t source;
  std::uint64_t value;
  std::uint32_t bytes;
  flagos_compare_t compare;

  bool holds() const noexcept;
};

class ValuePoller {
 public:
  explicit ValuePoller(ParkLot& lot) : lot_(lot) {}
  ~ValuePoller();
  ValuePoller(const ValuePoller&) = delete;
  ValuePoller& operator=(const ValuePoller&) = delete;

  // Parks the stream; with the lot's mutex held. Throws OUT_OF_RESOURCES when there is no thread to
  // look.
  void park(Stream& stream);
  // Looks at once: a value was written.
  void kick() noexcept;

 private:
  void poll() noexcept;
  bool release_ready() noexcept;

  ParkLot& lot_;
  ParkList parked_;
  std::thread thread_;  // from the first wait on; guarded by the lot's mutex
  std::atomic<std::uint32_t> waiting_{0};
  std::atomic<std::uint32_t> kicks_{0};
  std::atomic<bool> stopping_{false};
  Signal signal_;
};

}  // namespace flagos::cpu
