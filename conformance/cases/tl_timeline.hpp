// A timeline of a case, and the two things that streams do with it.
#pragma once

#include <flagos.h>

#include <utility>

#include "conformance/case.hpp"
#include "conformance/cases/work.hpp"

namespace flagos::conformance::tl {

class Timeline {
 public:
  explicit Timeline(Context& t, std::uint64_t initial = 0) : t_(t) {
    t.require(FLAGOS_FEATURE_TIMELINE);
    t.ok(flagos_timeline_create(t.device(), initial, &timeline_), "a timeline");
  }
  ~Timeline() { flagos_timeline_destroy(timeline_); }
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;
  operator flagos_timeline_t*() const { return timeline_; }
  flagos_timeline_t* release() { return std::exchange(timeline_, nullptr); }
  std::uint64_t value() {
    std::uint64_t value = 0;
    t_.ok(flagos_timeline_query(timeline_, &value), "a query of a timeline");
    return value;
  }
  void signal(std::uint64_t value) {
    t_.ok(flagos_timeline_signal(timeline_, value), "a signal from the host");
  }
  flagos_status_t wait(std::uint64_t value, std::uint64_t timeout = patience_ns) const {
    flagos_timeline_t* const one = timeline_;
    return flagos_timeline_wait(1, &one, &value, FLAGOS_WAIT_MODE_ALL, timeout, nullptr);
  }

 private:
  Context& t_;
  flagos_timeline_t* timeline_ = nullptr;
};

inline void stream_wait(Context& t, flagos_stream_t* stream, flagos_timeline_t* timeline,
                        std::uint64_t value) {
  t.ok(flagos_stream_wait_timeline(stream, timeline, value), "a stream's wait for a timeline");
}

inline void stream_signal(Context& t, flagos_stream_t* stream, flagos_timeline_t* timeline,
                          std::uint64_t value) {
  t.ok(flagos_stream_signal_timeline(stream, timeline, value), "a stream's signal of a timeline");
}

}  // namespace flagos::conformance::tl
