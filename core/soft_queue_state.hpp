// The state of one stream's soft queue.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>

#include "core/command.hpp"
#include "core/event.hpp"

namespace flagos::core {

// Set by another thread while the sequencer waits: the plugin passed a point, or a host function returned.
struct SoftSignal {
  std::atomic<bool> done{false};
  std::atomic<flagos_status_t> status{FLAGOS_STATUS_OK};
};

class SoftQueue {
 public:
  explicit SoftQueue(Device& device);

  // Under the stream's rare_mutex. References to commands stay valid while others are appended.
  std::deque<Command> commands;
  std::uint64_t submitted = 0;
  std::uint64_t completed = 0;
  std::condition_variable progress;

  // Why everything is to be dropped; OK while it is not.
  std::atomic<flagos_status_t> cancelled{FLAGOS_STATUS_OK};

  // Of the sequencer: how far the first command got.
  enum class Step { fresh, draining, calling };
  Step step = Step::fresh;
  bool dirty = true;  // the plugin may have work that was not waited for
  std::shared_ptr<SoftSignal> signal;
  flagos_status_t drained = FLAGOS_STATUS_OK;
  NativeEvent marker;
};

}  // namespace flagos::core
