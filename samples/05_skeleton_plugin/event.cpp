// Points on a stream, with the time at which it passed them.
#include "skeleton.hpp"

skeleton::PointPtr flagos_plugin_event_t::get() {
  const std::lock_guard lock(mutex);
  return last;
}

namespace skeleton {

void Point::complete(const std::optional<Error>& failure) {
  const std::lock_guard lock(mutex_);
  complete_ = true;
  failure_ = failure;
  time_ns_ = std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  completed_.notify_all();
}

bool Point::passed(std::uint64_t timeout_ns) {
  std::unique_lock lock(mutex_);
  const auto complete = [this] { return complete_; };
  if (timeout_ns == FLAGOS_TIMEOUT_INFINITE) return completed_.wait(lock, complete), true;
  const std::chrono::nanoseconds timeout(std::min(timeout_ns, std::uint64_t{1} << 62));
  return completed_.wait_until(lock, std::chrono::steady_clock::now() + timeout, complete);
}

flagos_status_t Point::wait(std::uint64_t timeout_ns) {
  if (!passed(timeout_ns)) return FLAGOS_STATUS_TIMEOUT;
  if (failure_) throw *failure_;
  return FLAGOS_STATUS_OK;
}

static void create(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                   flagos_plugin_event_t** out_event) {
  const bool timing = !(desc->flags & FLAGOS_EVENT_FLAG_NO_TIMING);
  *out_event = new flagos_plugin_event_t{device->host, timing, {}, {}};
}

// Under the event's lock, so that the last record of the event is also the later one on the stream.
static void record(flagos_plugin_event_t* event, flagos_plugin_stream_t* stream) {
  const std::lock_guard lock(event->mutex);
  event->last = stream->submit([] {});
}

static flagos_status_t synchronize(flagos_plugin_event_t* event, std::uint64_t timeout_ns) {
  const PointPtr point = event->get();
  return point ? point->wait(timeout_ns) : FLAGOS_STATUS_OK;
}

static flagos_status_t get_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                   std::int64_t* out_elapsed_ns) {
  const PointPtr first = start->get();
  const PointPtr second = end->get();
  if (!first || !second || !start->timing || !end->timing) {
    throw Error(FLAGOS_STATUS_INVALID_ARGUMENT, "an event was never recorded or has no timing");
  }
  if (!first->passed(0) || !second->passed(0)) return FLAGOS_STATUS_NOT_READY;
  *out_elapsed_ns = second->time_ns() - first->time_ns();
  return FLAGOS_STATUS_OK;
}

constinit const flagos_event_table_t event_table = {
    sizeof(event_table), 1, entry<create>, delete_object, entry<record>, entry<synchronize>,
    entry<get_elapsed>};

}  // namespace skeleton
