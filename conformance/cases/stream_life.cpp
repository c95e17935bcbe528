// stream.destroy, stream.foreign, stream.error: the end of a stream, strangers, and failed work.
#include <atomic>
#include <string>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

FLAGOS_CASE("stream.destroy.pending", {.clause = "flagos_stream_destroy: pending work completes"}) {
  require_async(t);
  constexpr std::uint64_t size = 256 * kKib;
  Buffer source(t, size);
  Buffer target(t, size);
  const auto bytes = noise(t, size);
  source.write(bytes);
  t.subcase("held");
  {
    flagos_stream_t* const stream = Stream(t).release();
    Event done(t);
    Blocker blocker(t, stream);
    copy(t, stream, target.address(), source.address(), size);
    record(t, done, stream);
    t.ok(flagos_stream_destroy(stream), "stream_destroy of a held stream");
    t.check(!complete(t, done), "stream_destroy does not wait for the work");
    blocker.release();
    t.ok(flagos_event_synchronize(done, kPatienceNs), "event_synchronize");
    same(t, target.read(), bytes, "the work of the destroyed stream");
  }
  t.subcase("many");
  const std::uint32_t count = t.settings().quick ? 20 : 200;
  const std::uint64_t part = size / count / 4 * 4;  // of the target: the streams run at once
  Buffer results(t, count * 4);
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_stream_t* const stream = Stream(t).release();
    fill(t, stream, target.address(i * part), i, part);
    fill(t, stream, results.address(i * 4), i + 1, 4);
    t.ok(flagos_stream_destroy(stream), "stream_destroy");
  }
  t.ok(flagos_device_synchronize(t.device(), kPatienceNs), "device_synchronize");
  const auto seen = words(results.read());
  for (std::uint32_t i = 0; i < count; ++i)
    t.equal(seen[i], i + 1, "what stream " + std::to_string(i) + " wrote last");
}

struct FromCallback {
  flagos_stream_t* stream;
  std::atomic<flagos_status_t> destroy{FLAGOS_STATUS_INTERNAL};
};

void destroy_in_callback(void* user_data, flagos_status_t) {
  auto* const call = static_cast<FromCallback*>(user_data);
  call->destroy = flagos_stream_destroy(call->stream);
}

FLAGOS_CASE("stream.destroy.in_callback",
            {.clause = "a host callback may not call back: NOT_PERMITTED",
             .level = Level::optional,
             .oracle = Oracle::code,
             .feature = "host_callback"}) {
  Buffer target(t, 64);
  Stream own(t);
  Stream other(t);
  for (flagos_stream_t* const victim :
       {static_cast<flagos_stream_t*>(own), static_cast<flagos_stream_t*>(other)}) {
    FromCallback call{victim};
    t.ok(flagos_stream_launch_host(own, destroy_in_callback, &call), "stream_launch_host");
    synchronize(t, own);
    t.status(call.destroy, FLAGOS_STATUS_NOT_PERMITTED, "stream_destroy in a host callback");
    fill(t, victim, target.address(), std::uint8_t{0x29}, 64);
    synchronize(t, victim);
    all_are(t, target.read(), 0x29, "the stream goes on");
  }
}

FLAGOS_CASE("stream.use_after_destroy",
            {.clause = "a stale handle gives INVALID_HANDLE", .oracle = Oracle::code}) {
  Buffer a(t, 64);
  Buffer b(t, 64);
  Event event(t);
  flagos_kernel_t* const step = t.kernel("data_step");
  flagos_stream_t* const gone = Stream(t).release();
  t.ok(flagos_stream_destroy(gone), "stream_destroy");
  const Stream next(t);  // may live in the same slot
  const auto stale = [&](const char* what, flagos_status_t status) {
    t.subcase(what);
    t.status(status, FLAGOS_STATUS_INVALID_HANDLE, "a call with a destroyed stream");
  };
  const std::uint8_t pattern = 1;
  std::uint32_t answer = 7;
  const std::vector<flagos_argument_t> arguments{arg(a.address()), arg_u32(1), arg_u32(1)};
  const flagos_launch_desc_t desc = launch_desc({1}, {1}, arguments);
  stale("copy", flagos_memory_copy(gone, a.address(), b.address(), 64));
  stale("fill", flagos_memory_fill(gone, a.address(), &pattern, 1, 64));
  stale("update", flagos_memory_update(gone, a.address(), &pattern, 1));
  stale("launch", flagos_kernel_launch(gone, step, &desc));
  stale("record", flagos_event_record(event, gone));
  stale("wait_event", flagos_stream_wait_event(gone, event));
  stale("synchronize", flagos_stream_synchronize(gone, 0));
  stale("query", flagos_stream_query(gone, &answer));
  t.equal(answer, 0, "the answer of a failed query");
  stale("reset", flagos_stream_reset(gone));
  stale("destroy", flagos_stream_destroy(gone));
  t.subcase("another stream");
  all_are(t, a.read(), Buffer::poison, "memory that only stale calls wanted to write");
  fill(t, next, a.address(), std::uint8_t{0x2a}, 64);
  synchronize(t, next);
  all_are(t, a.read(), 0x2a, "the fill of a live stream");
}

FLAGOS_CASE("stream.foreign_device", {.clause = "objects of one open device are foreign to another",
                                      .oracle = Oracle::code}) {
  OtherDevice other(t);
  Buffer target(t, 64);
  Stream own(t);
  {
    const DeviceStream foreign(t, other);
    const std::vector<flagos_argument_t> arguments{arg(target.address()), arg_u32(1), arg_u32(1)};
    const flagos_launch_desc_t desc = launch_desc({1}, {1}, arguments);
    flagos_kernel_t* const step = t.kernel("data_step");
    t.subcase("kernel");
    t.status(flagos_kernel_launch(foreign, step, &desc), FLAGOS_STATUS_INVALID_ARGUMENT,
             "kernel_launch on a stream of another open device");
    t.subcase("event record");
    Event event(t);
    t.status(flagos_event_record(event, foreign), FLAGOS_STATUS_INVALID_ARGUMENT,
             "event_record on a stream of another open device");
    t.subcase("event wait");
    fill(t, own, target.address(), std::uint8_t{0x2b}, 64);
    record(t, event, own);
    wait_event(t, foreign, event);  // this one is allowed
    synchronize(t, foreign);
    all_are(t, target.read(), 0x2b, "work before an event that another device has waited for");
  }
  other.close();
}

FLAGOS_CASE("stream.error.poison",
            {.clause = "a failed operation poisons its stream until flagos_stream_reset"}) {
  Buffer target(t, 64);
  Buffer others(t, 64);
  flagos_kernel_t* const fails = t.kernel("data_fail");
  Stream stream(t);
  Stream healthy(t);
  for (const std::uint32_t round : {1u, 2u}) {
    t.subcase("round=" + std::to_string(round));
    fill(t, stream, target.address(), std::uint8_t{0x11}, 64);
    launch(t, stream, fails, {1}, {1});
    // Behind the failure, not seen yet or seen already: skipped or refused, never done.
    const std::uint8_t pattern = 0x22;
    const flagos_status_t behind = flagos_memory_fill(stream, target.address(), &pattern, 1, 64);
    t.check(behind == FLAGOS_STATUS_OK || behind == FLAGOS_STATUS_EXECUTION_FAILED,
            "a fill behind the failure is queued or refused");
    for (int i = 0; i < 3; ++i) {
      t.status(flagos_stream_synchronize(stream, kPatienceNs), FLAGOS_STATUS_EXECUTION_FAILED,
               "stream_synchronize of a poisoned stream");
    }
    t.status(flagos_memory_fill(stream, target.address(), &pattern, 1, 64),
             FLAGOS_STATUS_EXECUTION_FAILED, "memory_fill on a poisoned stream");
    t.status(flagos_memory_copy(stream, target.address(), others.address(), 64),
             FLAGOS_STATUS_EXECUTION_FAILED, "memory_copy on a poisoned stream");
    std::uint32_t answer = 7;
    t.status(flagos_stream_query(stream, &answer), FLAGOS_STATUS_EXECUTION_FAILED,
             "stream_query of a poisoned stream");
    fill(t, healthy, others.address(), static_cast<std::uint8_t>(round), 64);
    synchronize(t, healthy);
    all_are(t, others.read(), static_cast<std::uint8_t>(round), "the work of another stream");
    all_are(t, target.read(), 0x11, "the target of work behind the failure");
    t.ok(flagos_stream_reset(stream), "stream_reset");
    fill(t, stream, target.address(), std::uint8_t{0x33}, 64);
    synchronize(t, stream);
    all_are(t, target.read(), 0x33, "the work after the reset");
  }
  for (std::uint8_t round = 0; round < 12; ++round) {
    t.subcase("failed and reset again, " + std::to_string(round));
    launch(t, stream, fails, {1}, {1});
    t.status(flagos_stream_synchronize(stream, kPatienceNs), FLAGOS_STATUS_EXECUTION_FAILED,
             "stream_synchronize of a poisoned stream");
    t.ok(flagos_stream_reset(stream), "stream_reset");
    fill(t, stream, target.address(), round, 64);
    synchronize(t, stream);
    all_are(t, target.read(), round, "the work after the reset");
  }
  t.subcase("reset of a healthy stream");
  t.ok(flagos_stream_reset(healthy), "stream_reset");
  fill(t, healthy, others.address(), std::uint8_t{0x44}, 64);
  synchronize(t, healthy);
  all_are(t, others.read(), 0x44, "the work after the reset");
}

}  // namespace
}  // namespace flagos::conformance
