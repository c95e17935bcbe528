// A kernel that faults takes the whole context with it, so one that has to refuse its input says so instead: its last
// parameter `int* flagos_failure` gets the address of a word that is 0 before the launch. Nothing behind such a launch is
// handed to the driver until the word was read. Here is what a stream holds back meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <utility>

#include "plugins/nvidia/event.hpp"

namespace flagos::nvidia {

// Submitted, and not handed to the driver yet.
struct HeldWork {
  std::function<void()> issue;  // with the stream's lock held; throws Error
  RecordRef record{};           // what it records; fails when the work is dropped
  RecordRef awaited{};  // what has to be with the driver first; NULL: only the work before it

  bool is_ready() const noexcept { return !awaited || !awaited->is_held(); }
};

// In order. Guarded by the stream's lock.
class HeldQueue {
 public:
  bool is_holding() const noexcept { return is_gated_ || !works_.empty(); }

  void push(HeldWork work) {
    works_.push_back(std::move(work));
    ++taken_;
  }
  // The first one, once nothing keeps it back; false when there is none.
  bool take(HeldWork& out_work) {
    if (is_gated_ || works_.empty() || !works_.front().is_ready()) return false;
    out_work = std::move(works_.front());
    works_.pop_front();
    return true;
  }
  void pass() noexcept { ++passed_; }
  // A launch was handed to the driver that may fail: it passes when the gate is opened.
  void close_gate() noexcept { is_gated_ = true; }
  void open_gate() noexcept {
    is_gated_ = false;
    ++passed_;
  }
  void count_launch() noexcept { ++taken_; }
  bool is_gated() const noexcept { return is_gated_; }
  // Everything is given up.
  std::list<HeldWork> drop() noexcept {
    is_gated_ = false;
    passed_ = taken_;
    return std::exchange(works_, {});
  }

  // What was submitted so far has passed once passed() reaches what ticket() is now.
  std::uint64_t ticket() const noexcept { return taken_; }
  std::uint64_t passed() const noexcept { return passed_; }

 private:
  std::list<HeldWork> works_;
  bool is_gated_ = false;
  std::uint64_t taken_ = 0;
  std::uint64_t passed_ = 0;
};

}  // namespace flagos::nvidia
