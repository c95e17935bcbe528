// What a stream holds back from its driver. A kernel that has to refuse its input says so by a word of memory, in plugins whose
// driver has no such failure or loses the device with it; nothing behind such a launch is handed to the driver until the word
// was read. So is what waits for something that the driver cannot wait for.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <utility>

namespace flagos {

// Submitted, and not handed to the driver yet. `RecordRef` points to a record of an event, with is_held() and is_done().
template <typename RecordRef>
struct HeldWork {
  std::function<void()> issue;  // with the stream's lock held; throws Error; none: only a wait
  RecordRef record{};           // what it records; fails when the work is dropped
  RecordRef awaited{};          // what has to come first; NULL: only the work before it
  bool until_done = false;      // the awaited record has to be done, not only handed to the driver

  bool is_ready() const noexcept { return !awaited || (until_done ? awaited->is_done() : !awaited->is_held()); }
};

// In order. Guarded by the stream's lock.
template <typename RecordRef>
class HeldQueue {
 public:
  using Work = HeldWork<RecordRef>;

  bool is_holding() const noexcept { return is_gated_ || !works_.empty(); }

  void push(Work work) {
    works_.push_back(std::move(work));
    ++taken_;
  }
  // The first one, once nothing keeps it back; false when there is none.
  bool take(Work& out_work) {
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
  std::list<Work> drop() noexcept {
    is_gated_ = false;
    passed_ = taken_;
    return std::exchange(works_, {});
  }

  // What was submitted so far has passed once passed() reaches what ticket() is now.
  std::uint64_t ticket() const noexcept { return taken_; }
  std::uint64_t passed() const noexcept { return passed_; }

 private:
  std::list<Work> works_;
  bool is_gated_ = false;
  std::uint64_t taken_ = 0;
  std::uint64_t passed_ = 0;
};

}  // namespace flagos
