// What a stream did and when, while somebody profiles: every operation lies between two timed events.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "plugins/nvidia/cuda.hpp"

namespace flagos::nvidia {

class Device;

// What a profiler shows of an operation.
struct Operation {
  flagos_record_kind_t kind = FLAGOS_RECORD_KIND_OTHER;
  const char* name = "other";
  std::uint64_t size_bytes = 0;
  bool is_internal = false;  // not shown
  // What `name` points into. A command that has ended is taken note of later, when its kernel may be gone.
  std::shared_ptr<const std::string> owner = nullptr;
};

// Guarded by its stream's lock.
class Profile {
 public:
  Profile(Device& device, std::uint64_t stream_id) : device_(device), stream_id_(stream_id) {}
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  void begin(const Operation& operation, CUstream stream);
  void end(CUstream stream, bool was_queued);
  void mark_launch(bool begins) noexcept { launch_ = begins ? submitted_ + 1 : 0; }
  // Hands over what has ended.
  void collect() noexcept;
  bool is_empty() const noexcept { return pending_.empty(); }

 private:
  struct Pending {
    Operation operation;
    CUevent begin, end;
    std::uint64_t correlation;
    std::uint64_t queued_ns;
  };
  void emit(const Pending& pending) const noexcept;
  void give_back(const Pending& pending) noexcept;

  Device& device_;
  const std::uint64_t stream_id_;
  std::deque<Pending> pending_;
  std::uint64_t submitted_ = 0;
  std::uint64_t launch_ = 0;  // the correlation of all that is submitted now; 0: each its own
};

}  // namespace flagos::nvidia
