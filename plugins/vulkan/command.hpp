// An operation of a stream that is held back until its turn comes.
#pragma once

#include <flagos_plugin.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "plugins/vulkan/event.hpp"

namespace flagos::vulkan {

class Kernel;
class Timeline;
struct Pipeline;

struct Command {
  enum class Type {
    launch,
    copy,
    fill,
    record,
    wait_record,
    wait_timeline,
    signal_timeline,
    host,
    reset
  };

  Type type;
  std::uint64_t sequence = 0;
  std::uint64_t correlation = 0;  // 0: not profiled
  std::uint64_t queued_ns = 0;    // on the host's clock, where it is profiled
  // launch
  const Kernel* kernel = nullptr;
  const Pipeline* pipeline = nullptr;
  std::uint32_t grid[3] = {};
  std::uint32_t argument_bytes = 0;
  const std::byte* arguments = nullptr;
  // copy, fill
  std::uint64_t target = 0;
  std::uint64_t source = 0;
  std::uint64_t bytes = 0;
  std::uint64_t value = 0;  // the pattern too, and of a timeline
  std::uint32_t pattern_bytes = 0;
  // record, wait_record
  RecordRef record;
  // wait_timeline, signal_timeline
  std::shared_ptr<Timeline> timeline;
  // host
  flagos_host_function_t function = nullptr;
  void* user_data = nullptr;

  explicit Command(Type t) noexcept : type(t) {}

  // Takes a copy of the arguments, which so far are the caller's.
  void own_arguments() {
    if (argument_bytes == 0 || owned_) return;
    owned_.reset(new std::byte[argument_bytes]);
    std::memcpy(owned_.get(), arguments, argument_bytes);
    arguments = owned_.get();
  }

 private:
  std::unique_ptr<std::byte[]> owned_;
};

// First in, first out; its memory is used again.
class CommandQueue {
 public:
  bool is_empty() const noexcept { return first_ == commands_.size(); }
  std::size_t size() const noexcept { return commands_.size() - first_; }
  Command& front() noexcept { return commands_[first_]; }
  void push(Command&& command) {
    // Before it would grow, what has gone is closed up.
    if (commands_.size() == commands_.capacity() && first_ > commands_.size() / 2) {
      commands_.erase(commands_.begin(), commands_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
    commands_.push_back(std::move(command));
  }
  void pop() noexcept {
    commands_[first_] = Command(Command::Type::reset);  // lets go of what it holds
    if (++first_ < commands_.size()) return;
    commands_.clear();
    first_ = 0;
  }

 private:
  std::vector<Command> commands_;
  std::size_t first_ = 0;
};

}  // namespace flagos::vulkan
