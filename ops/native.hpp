// Native versions of operators: which a device offers, what is preferred, and calls of them.
#pragma once

#include <flagos_ops.h>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ops/call.hpp"
#include "ops/operator.hpp"

namespace flagos::ops {

// What FLAGOS_OPS_PREFER and flagos_ops_set_preference say, by operator.
class Preferences {
 public:
  // Throws INVALID_ARGUMENT, each time, for a variable that cannot be read.
  static Preferences& get();

  flagos_ops_preference_t of(std::uint32_t op) const {
    return values_[op].load(std::memory_order_relaxed);
  }
  void set(std::uint32_t op, flagos_ops_preference_t preference) {
    values_[op].store(preference, std::memory_order_relaxed);
  }
  void set_all(flagos_ops_preference_t preference);
  // "portable", "native,mm=portable"
  void read(std::string_view text);

 private:
  Preferences();
  std::vector<std::atomic<flagos_ops_preference_t>> values_;
};

// By operator of ours, where the device lists its own version of it, or Device::not_native. One of the same name with
// another schema is another operator.
std::vector<std::uint32_t> native_indices(flagos_device_t* device);

bool run_offered(const Call& call);

// For an operator that has checked its arguments and has something to compute: queues the device's own version of it.
// False: nothing was queued, the portable kernel is to run.
inline bool run_native(const Call& call) {
  return call.device().native_index(call.op().index()) != Device::not_native && run_offered(call);
}

}  // namespace flagos::ops
