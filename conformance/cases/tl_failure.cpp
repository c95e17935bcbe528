// Timelines that fail, and that are destroyed while somebody waits for them.
#include <flagos.h>

#include <array>
#include <atomic>

#include "conformance/cases/tl_timeline.hpp"

namespace flagos::conformance {

using namespace tl;

FLAGOS_CASE("tl.sem.fail_propagates",
            {.clause = "flagos_timeline_fail", .level = Level::optional, .feature = "timeline"}) {
  Timeline timeline(t), reached(t, 1);
  Stream stream(t);
  Words words(t, 4, 1);
  FirstFailure host, any;
  Team team;
  stream_wait(t, stream, timeline, 5);
  affine(t, stream, words, 2, 0);
  team.start([&] { host.note(timeline.wait(5, FLAGOS_TIMEOUT_INFINITE)); });
  nap(0.02);
  t.subcase("class 0 is no failure");
  t.status(flagos_timeline_fail(timeline, FLAGOS_STATUS_OK), FLAGOS_STATUS_INVALID_ARGUMENT, "OK");
  t.status(flagos_timeline_fail(timeline, FLAGOS_STATUS_TIMEOUT), FLAGOS_STATUS_INVALID_ARGUMENT,
           "TIMEOUT");
  t.ok(flagos_timeline_fail(timeline, FLAGOS_STATUS_OUT_OF_RESOURCES), "the timeline fails");
  t.subcase("a host waiter");
  team.join();
  t.status(host.status(), FLAGOS_STATUS_OUT_OF_RESOURCES, "it wakes with the status");
  t.status(timeline.wait(1, 0), FLAGOS_STATUS_OUT_OF_RESOURCES, "later waits too");
  std::uint64_t value = 5;
  t.status(flagos_timeline_query(timeline, &value), FLAGOS_STATUS_OUT_OF_RESOURCES, "queries too");
  t.status(flagos_timeline_signal(timeline, 9), FLAGOS_STATUS_OUT_OF_RESOURCES, "signals too");
  t.subcase("any of a failed and a reached one");
  const std::array<flagos_timeline_t*, 2> both{timeline, reached};
  const std::array<std::uint64_t, 2> values{5, 1};
  std::uint32_t index = 9;
  t.ok(flagos_timeline_wait(2, both.data(), values.data(), FLAGOS_WAIT_MODE_ANY, 0, &index),
       "one is reached");
  t.equal(index, 1, "which one");
  t.status(flagos_timeline_wait(2, both.data(), values.data(), FLAGOS_WAIT_MODE_ALL, 0, nullptr),
           FLAGOS_STATUS_OUT_OF_RESOURCES, "all of them");
  t.subcase("a second failure keeps the first");
  t.ok(flagos_timeline_fail(timeline, FLAGOS_STATUS_DEVICE_LOST), "a second failure");
  t.status(timeline.wait(5, 0), FLAGOS_STATUS_OUT_OF_RESOURCES, "the first status stays");
  t.subcase("a stream that waits");
  t.status(flagos_stream_synchronize(stream, patience_ns), FLAGOS_STATUS_OUT_OF_RESOURCES,
           "it is poisoned");
  t.ok(flagos_stream_reset(stream), "a reset");
  affine(t, stream, words, 5, 0);
  stream.synchronize();
  t.equal(words.first(), 5, "the work behind the wait was skipped, the work after the reset ran");
  t.subcase("many");
  for (int i = 0; i < 12; ++i) {
    Timeline one(t);
    t.ok(flagos_timeline_fail(one, FLAGOS_STATUS_CANCELLED), "one more fails");
    t.status(one.wait(1, 0), FLAGOS_STATUS_CANCELLED, "its status");
  }
}

FLAGOS_CASE("tl.sem.stream_failure", {.clause = "a failed stream fails its timelines",
                                      .level = Level::optional,
                                      .feature = "timeline"}) {
  Timeline timeline(t);
  Stream stream(t), other(t);
  Words words(t, 4, 1);
  stream_wait(t, other, timeline, 1);
  affine(t, other, words, 2, 0);
  queue_failure(t, stream);
  const flagos_status_t queued = flagos_stream_signal_timeline(stream, timeline, 1);
  if (queued != FLAGOS_STATUS_OK) {
    // The failure may be known already: then the signal is refused as any later call, and nobody
    // would signal.
    t.status(queued, FLAGOS_STATUS_EXECUTION_FAILED, "a signal on a stream that has failed");
    t.ok(flagos_timeline_fail(timeline, queued), "the host passes it on");
  }
  t.status(timeline.wait(1), FLAGOS_STATUS_EXECUTION_FAILED,
           "a host wait ends with the status of the stream");
  t.status(flagos_stream_synchronize(other, patience_ns), FLAGOS_STATUS_EXECUTION_FAILED,
           "so does another stream's");
  t.ok(flagos_stream_reset(other), "a reset");
  t.ok(flagos_stream_reset(stream), "a reset");
  affine(t, other, words, 7, 0);
  other.synchronize();
  t.equal(words.first(), 7, "the work behind the wait was skipped");
}

FLAGOS_CASE("tl.sem.destroy_pending", {.clause = "waits that are pending end with CANCELLED",
                                       .level = Level::optional,
                                       .feature = "timeline"}) {
  Timeline timeline(t);
  Stream stream(t);
  Words words(t, 4, 1);
  stream_wait(t, stream, timeline, 1);
  affine(t, stream, words, 2, 0);
  FirstFailure host;
  std::atomic<bool> started{false};
  Team team;
  flagos_timeline_t* handle = timeline.release();
  team.start([&] {
    const std::uint64_t one = 1;
    started = true;
    host.note(flagos_timeline_wait(1, &handle, &one, FLAGOS_WAIT_MODE_ALL, FLAGOS_TIMEOUT_INFINITE,
                                   nullptr));
  });
  eventually([&] { return started.load(); });
  nap(0.1);
  flagos_timeline_t* const copy = handle;
  t.ok(flagos_timeline_destroy(copy), "a timeline that is waited for is destroyed");
  team.join();
  // A waiter that came too late to see the timeline alive is told so instead.
  const bool late = host.status() == FLAGOS_STATUS_INVALID_HANDLE;
  t.status(host.status(), late ? FLAGOS_STATUS_INVALID_HANDLE : FLAGOS_STATUS_CANCELLED,
           "the host's wait ends");
  t.status(flagos_stream_synchronize(stream, patience_ns), FLAGOS_STATUS_CANCELLED,
           "the stream's wait ends");
  std::uint64_t value = 1;
  t.status(flagos_timeline_query(copy, &value), FLAGOS_STATUS_INVALID_HANDLE, "the handle is gone");
  t.ok(flagos_stream_reset(stream), "a reset");
  affine(t, stream, words, 9, 0);
  stream.synchronize();
  t.equal(words.first(), 9, "the stream works again");
}

FLAGOS_CASE(
    "tl.sem.reached_then_gone",
    {.clause = "a stream's wait whose value was reached passes, whatever becomes of the timeline",
     .level = Level::optional,
     .feature = "timeline"}) {
  Timeline gate(t), gone(t), failed(t);
  Stream stream(t);
  Words words(t, 4, 1);
  // The stream comes to these waits when their timelines are no more what they were.
  stream_wait(t, stream, gate, 1);
  stream_wait(t, stream, gone, 5);
  stream_wait(t, stream, failed, 5);
  affine(t, stream, words, 3, 1);
  gone.signal(5);
  t.ok(flagos_timeline_destroy(gone.release()), "a timeline that has come far enough is destroyed");
  failed.signal(6);
  t.ok(flagos_timeline_fail(failed, FLAGOS_STATUS_INTERNAL), "another one fails afterwards");
  gate.signal(1);
  stream.synchronize();
  t.equal(words.first(), 4, "the work behind the waits");
  t.subcase("a value that it did not come to");
  flagos_status_t status = flagos_stream_wait_timeline(stream, failed, 7);
  if (status == FLAGOS_STATUS_OK) status = flagos_stream_synchronize(stream, patience_ns);
  t.status(status, FLAGOS_STATUS_INTERNAL, "the wait is refused, or ends with the failure");
  t.ok(flagos_stream_reset(stream), "a reset");
}

}  // namespace flagos::conformance
