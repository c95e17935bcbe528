// Where streams wait without holding a thread. A parked stream stands in one list, of the thing it
// waits for; whoever makes that thing happen takes it out and queues it again. One mutex for all
// lists of an instance: parking is rare and short, and a stream that is destroyed can be taken out
// of whatever list it is in.
#pragma once

#include <mutex>

namespace flagos::cpu {

// Base of what can be parked; a ring through the members of a list.
class Parked {
 public:
  Parked() = default;
  Parked(const Parked&) = delete;
  Parked& operator=(const Parked&) = delete;
  bool is_parked() const noexcept { return next_ != this; }
  void unlink() noexcept {
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = this;
  }

 protected:
  ~Parked() = default;

 private:
  friend class ParkList;
  Parked* next_ = this;
  Parked* previous_ = this;
};

// First in, first out. All under the lot's mutex.
class ParkList {
 public:
  bool is_empty() const noexcept { return !head_.is_parked(); }
  void push(Parked& parked) noexcept {
    parked.next_ = &head_;
    parked.previous_ = head_.previous_;
    head_.previous_->next_ = &parked;
    head_.previous_ = &parked;
  }
  // Calls visit(parked) for each; it may take that one out.
  template <typename Visit>
  void for_each(const Visit& visit) {
    for (Parked* parked = head_.next_; parked != &head_;) {
      Parked* next = parked->next_;
      visit(*parked);
      parked = next;
    }
  }

 private:
  struct Head : Parked {};
  Head head_;
};

struct ParkLot {
  std::mutex mutex;
};

}  // namespace flagos::cpu
