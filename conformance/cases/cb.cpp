// Host functions on a stream: when they run, how often, with what, and what they may not hold up.
#include <flagos.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cfenv>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>

#include "conformance/cases/work.hpp"

namespace flagos::conformance {
namespace {

void call(Context& t, flagos_stream_t* stream, flagos_host_function_t function, void* data) {
  t.ok(flagos_stream_launch_host(stream, function, data), "a host function is queued");
}

// A host function that waits until it is let go, or 20 s. It outlives nothing: declare it before
// the stream.
class Gate {
 public:
  void queue(Context& t, flagos_stream_t* stream) { call(t, stream, &Gate::run, this); }
  void open() { open_ = true; }
  bool entered() const { return entered_; }
  bool left() const { return left_; }

 private:
  static void run(void* data, flagos_status_t) {
    auto& gate = *static_cast<Gate*>(data);
    gate.entered_ = true;
    eventually([&] { return gate.open_.load(); }, 20);
    gate.left_ = true;
  }
  std::atomic<bool> open_{false}, entered_{false}, left_{false};
};

// These cases wait for a host function: the smoke test sees at once that a plugin runs nothing.
void require_host_functions(Context& t) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  t.smoke();
}

long thread_id() { return syscall(SYS_gettid); }

struct Counter {
  std::atomic<std::uint32_t> calls{0};
  std::atomic<flagos_status_t> status{FLAGOS_STATUS_INTERNAL};
  static void run(void* data, flagos_status_t status) {
    auto& counter = *static_cast<Counter*>(data);
    counter.status = status;
    ++counter.calls;
  }
};

}  // namespace

FLAGOS_CASE("cb.basic", {.clause = "flagos_stream_launch_host",
                         .level = Level::optional,
                         .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  struct Seen {
    std::vector<std::uint32_t> copied = std::vector<std::uint32_t>(1000, 0);
    std::uint32_t value = 0;
    std::atomic<std::uint32_t> calls{0};
    std::atomic<flagos_status_t> status{FLAGOS_STATUS_INTERNAL};
  } seen;
  Stream stream(t);
  Drain drain(stream);
  Words words(t, 1000, 2);
  Blocker blocker(t, stream);
  affine(t, stream, words, 10, 1);
  t.ok(flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(seen.copied.data()),
                          words.at(), 4000),
       "a copy to the host");
  call(
      t, stream,
      [](void* data, flagos_status_t status) {
        auto& s = *static_cast<Seen*>(data);
        s.value = s.copied[999];
        s.status = status;
        ++s.calls;
      },
      &seen);
  affine(t, stream, words, 10, 2);
  nap(0.05);
  t.equal(seen.calls.load(), 0, "the host function waits for the work before it");
  blocker.release();
  stream.synchronize();
  t.equal(seen.calls.load(), 1, "the host function runs once");
  t.ok(seen.status.load(), "it is told that all is well");
  t.equal(seen.value, 21, "it sees the work before it");
  t.equal(words.first(), 212, "the work behind it ran");
}

FLAGOS_CASE("cb.order", {.clause = "after the work before, before the work behind",
                         .level = Level::optional,
                         .oracle = Oracle::order,
                         .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  const std::uint32_t count = repeats(t, 10'000, 1'000);
  struct Log {
    std::vector<std::uint32_t> order;
    std::uint32_t word = 0;
  } log;
  struct Entry {
    Log* log;
    std::uint32_t index;
  };
  std::vector<Entry> entries(count);
  Stream stream(t);
  Drain drain(stream);
  Words words(t, 1);
  for (std::uint32_t i = 0; i < count; ++i) {
    entries[i] = {&log, i};
    if (i % 100 == 0) affine(t, stream, words, 1, 1);
    call(
        t, stream,
        [](void* data, flagos_status_t) {
          const auto& entry = *static_cast<Entry*>(data);
          entry.log->order.push_back(entry.index);
        },
        &entries[i]);
  }
  stream.synchronize();
  std::vector<std::uint32_t> expected(count);
  for (std::uint32_t i = 0; i < count; ++i) expected[i] = i;
  t.equal(log.order.size(), count, "as many calls as were queued");
  equal_words(t, log.order, expected, "the calls in the order of the stream");
  t.equal(words.first(), count / 100, "the kernels between them ran");
}

FLAGOS_CASE("cb.exactly_once", {.clause = "called once",
                                .level = Level::optional,
                                .oracle = Oracle::order,
                                .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  const std::uint32_t count = repeats(t, 10'000, 500);
  constexpr std::size_t lanes = 8;
  std::vector<std::atomic<std::uint8_t>> calls(count * lanes);
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::unique_ptr<Drain>> drains;
  for (std::size_t i = 0; i < lanes; ++i) {
    streams.push_back(std::make_unique<Stream>(t));
    drains.push_back(std::make_unique<Drain>(*streams[i]));
  }
  Words words(t, 1);
  FirstFailure failure;
  {
    Team team;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      team.start([&, lane] {
        for (std::uint32_t i = 0; i < count; ++i) {
          failure.note(flagos_stream_launch_host(
              *streams[lane],
              [](void* data, flagos_status_t) { ++*static_cast<std::atomic<std::uint8_t>*>(data); },
              &calls[lane * count + i]));
        }
      });
    }
  }
  t.ok(failure.status(), "every host function is queued");
  for (auto& stream : streams) affine(t, *stream, words, 1, 0);
  for (auto& stream : streams) stream->synchronize();
  for (const auto& call_count : calls)
    t.check(call_count == 1, "every host function was called exactly once");
  affine(t, *streams[0], words, 0, 77);
  streams[0]->synchronize();
  t.equal(words.first(), 77, "kernels run on those streams");
}

FLAGOS_CASE("cb.blocks_following_only", {.clause = "flagos_stream_launch_host",
                                         .level = Level::optional,
                                         .oracle = Oracle::live,
                                         .feature = "host_callback"}) {
  require_host_functions(t);
  Gate gate;
  Stream held(t), other(t);
  Drain drain(held);
  Words held_words(t, 4, 1), words(t, 4, 1);
  gate.queue(t, held);
  affine(t, held, held_words, 2, 0);
  t.check(eventually([&] { return gate.entered(); }), "the host function is called");
  t.subcase("another stream");
  affine(t, other, words, 3, 0);
  other.synchronize();
  t.equal(words.first(), 3, "another stream does its work meanwhile");
  t.subcase("calls of this thread");
  {
    Buffer fresh(t, 4096);
    const auto bytes = t.random_bytes(4096);
    fresh.write(bytes);
    t.equal_bytes(fresh.read(), bytes, "memory is allocated, written and read meanwhile");
    Stream created(t);
    Event event(t);
    t.ok(flagos_event_record(event, created), "streams and events are created and used meanwhile");
    t.ok(flagos_event_synchronize(event, patience_ns), "and waited for");
  }
  t.check(!gate.left() && !stream_done(t, held), "the host function still holds its own stream");
  gate.open();
  held.synchronize();
  t.equal(held_words.first(), 2, "the work behind the host function ran after it");
}

FLAGOS_CASE("cb.free_memory_elsewhere", {.clause = "flagos_memory_free does not wait",
                                         .level = Level::optional,
                                         .oracle = Oracle::live,
                                         .feature = "host_callback"}) {
  require_host_functions(t);
  Gate gate;
  Stream stream(t);
  Drain drain(stream);
  Words words(t, 4, 1);
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 1 << 20;
  flagos_address_t address = 0;
  t.ok(flagos_memory_alloc(t.device(), &desc, &address), "memory is allocated");
  affine(t, stream, words, 4, 0);
  gate.queue(t, stream);
  t.check(eventually([&] { return gate.entered(); }), "the host function is called");
  t.ok(flagos_memory_free(t.device(), address), "memory is freed while a host function runs");
  t.check(!gate.left(), "the free did not wait for it");
  gate.open();
  stream.synchronize();
  t.equal(words.first(), 4, "the stream did its work");
}

FLAGOS_CASE("cb.event_record_wait", {.clause = "flagos_stream_launch_host",
                                     .level = Level::optional,
                                     .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  std::atomic<std::uint32_t> calls{0};
  Stream one(t), two(t);
  Drain drain_one(one), drain_two(two);
  Event first(t), second(t);
  Words words(t, 16, 1);
  const auto count = [](void* data, flagos_status_t) {
    ++*static_cast<std::atomic<std::uint32_t>*>(data);
  };
  std::uint32_t value = 1;
  for (std::uint32_t i = 0; i < 100; ++i) {
    affine(t, one, words, 3, 1);
    t.ok(flagos_event_record(first, one), "a record before the host function");
    t.ok(flagos_stream_wait_event(two, first), "a wait");
    call(t, two, count, &calls);
    affine(t, two, words, 2, i);
    t.ok(flagos_event_record(second, two), "a record behind it");
    t.ok(flagos_stream_wait_event(one, second), "a wait");
    value = (value * 3 + 1) * 2 + i;
  }
  one.synchronize();
  t.equal(words.first(), value, "both streams took turns");
  t.equal(calls.load(), 100, "every host function was called");
}

FLAGOS_CASE("cb.on_error_status",
            {.clause = "on a poisoned stream it is called too, with the status",
             .level = Level::optional,
             .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  Counter before, behind;
  Stream stream(t);
  Drain drain(stream);
  Words words(t, 4, 1);
  Blocker blocker(t, stream);
  call(t, stream, &Counter::run, &before);
  queue_failure(t, stream);
  call(t, stream, &Counter::run, &behind);
  affine(t, stream, words, 5, 0);
  blocker.release();
  t.status(flagos_stream_synchronize(stream, patience_ns), FLAGOS_STATUS_EXECUTION_FAILED,
           "the stream fails");
  t.check(eventually([&] { return behind.calls == 1; }),
          "the host function behind the failure is called");
  t.subcase("before the failure");
  t.ok(before.status.load(), "a host function before the failure is told OK");
  t.subcase("behind the failure");
  t.status(behind.status.load(), FLAGOS_STATUS_EXECUTION_FAILED,
           "a host function behind it is told the status");
  t.ok(flagos_stream_reset(stream), "the stream is reset");
  t.equal(words.first(), 1, "the kernel behind the failure was skipped");
  t.equal(before.calls + behind.calls, 2, "each was called once");
}

FLAGOS_CASE("cb.long_running", {.clause = "flagos_stream_launch_host",
                                .level = Level::optional,
                                .oracle = Oracle::live,
                                .feature = "host_callback",
                                .seconds = 120}) {
  require_host_functions(t);
  Gate gate;
  Stream stream(t);
  Drain drain(stream);
  Words words(t, 4, 1);
  gate.queue(t, stream);
  affine(t, stream, words, 6, 0);
  t.check(eventually([&] { return gate.entered(); }), "the host function is called");
  const double end = now_seconds() + (t.settings().quick ? 0.5 : 5);
  while (now_seconds() < end) {
    t.check(!stream_done(t, stream), "the stream answers queries while the host function runs");
    t.ok(flagos_device_query_status(t.device()), "so does the device");
    nap(0.02);
  }
  gate.open();
  stream.synchronize();
  t.equal(words.first(), 6, "the work behind a long host function runs");
}

FLAGOS_CASE("cb.user_data_lifetime", {.clause = "user_data stays the caller's",
                                      .level = Level::optional,
                                      .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  struct Owned {
    std::atomic<std::uint32_t>* sum;
    std::vector<std::uint32_t> payload;
  };
  std::atomic<std::uint32_t> sum{0};
  Stream stream(t);
  Drain drain(stream);
  Words words(t, 4, 1);
  for (std::uint32_t i = 0; i < 500; ++i) {
    call(
        t, stream,
        [](void* data, flagos_status_t) {
          const std::unique_ptr<Owned> owned(static_cast<Owned*>(data));
          *owned->sum += owned->payload[50];
        },
        new Owned{&sum, std::vector<std::uint32_t>(100, i)});
  }
  affine(t, stream, words, 7, 0);
  stream.synchronize();
  t.equal(sum.load(), 499 * 500 / 2,
          "the data is freed inside the host function and nothing touches it later");
  t.equal(words.first(), 7, "the work behind ran");
}

FLAGOS_CASE("cb.many_streams", {.clause = "flagos_stream_launch_host",
                                .level = Level::optional,
                                .oracle = Oracle::live,
                                .isolation = Isolation::own,
                                .feature = "host_callback"}) {
  require_host_functions(t);
  const std::uint32_t count = repeats(t, 256, 64);
  Gate gate;
  std::vector<Counter> counters(count);
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::unique_ptr<Drain>> drains;
  Words words(t, count, 1);
  for (std::uint32_t i = 0; i < count; ++i) {
    streams.push_back(std::make_unique<Stream>(t));
    drains.push_back(std::make_unique<Drain>(*streams[i]));
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i % 2 == 0) gate.queue(t, *streams[i]);
    store(t, *streams[i], words, i, i + 5);
    call(t, *streams[i], &Counter::run, &counters[i]);
  }
  // How many host functions may sleep at a time is the plugin's choice; that all come by in the end
  // is not.
  t.check(eventually([&] { return gate.entered(); }), "a host function is called");
  gate.open();
  for (std::uint32_t i = 0; i < count; ++i) {
    streams[i]->synchronize();
    t.equal(counters[i].calls.load(), 1, "the host function of stream " + std::to_string(i));
  }
  std::vector<std::uint32_t> expected(count);
  for (std::uint32_t i = 0; i < count; ++i) expected[i] = i + 5;
  equal_words(t, words.read(), expected, "the work of every stream");
}

FLAGOS_CASE("cb.thread_identity", {.clause = "never on a thread of the application",
                                   .level = Level::optional,
                                   .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  struct Seen {
    std::mutex mutex;
    std::set<long> threads;  // ids of the kernel's: those of the library are used again
    std::uint32_t unblocked = 0;
    std::uint32_t rounding = 0;
  } seen;
  static constexpr std::array signals{SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGCHLD};
  const auto look = [](void* data, flagos_status_t) {
    auto& s = *static_cast<Seen*>(data);
    const std::lock_guard lock(s.mutex);
    s.threads.insert(thread_id());
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    for (const int signal : signals) s.unblocked += sigismember(&mask, signal) != 1;
    s.rounding += std::fegetround() != FE_TONEAREST;
  };
  std::set<long> own{thread_id()};
  Stream stream(t);
  Drain drain(stream);
  Words words(t, 4, 1);
  FirstFailure failure;
  std::mutex mutex;
  {
    Team team;
    for (int i = 0; i < 4; ++i) {
      team.start([&] {
        for (int k = 0; k < 10; ++k) failure.note(flagos_stream_launch_host(stream, look, &seen));
        for (int k = 0; k < 10; ++k) failure.note(flagos_stream_synchronize(stream, patience_ns));
        const std::lock_guard lock(mutex);
        own.insert(thread_id());
      });
    }
  }
  t.ok(failure.status(), "host functions queued and waited for by four threads");
  affine(t, stream, words, 8, 0);
  stream.synchronize();
  const std::lock_guard lock(seen.mutex);
  for (const auto& id : seen.threads)
    t.check(!own.contains(id), "a host function ran on a thread of the application");
  t.check(!seen.threads.empty(), "the host functions were called");
  t.equal(seen.unblocked, 0, "signals are blocked on the thread of host functions");
  t.equal(seen.rounding, 0, "its rounding mode is the default");
  t.equal(words.first(), 8, "the work behind ran");
}

FLAGOS_CASE("cb.graph_node", {.clause = "FLAGOS_GRAPH_NODE_TYPE_HOST",
                              .level = Level::optional,
                              .oracle = Oracle::order,
                              .feature = "host_callback"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  t.require(FLAGOS_FEATURE_GRAPH);
  struct Log {
    std::vector<std::uint32_t> order;
    std::vector<std::uint32_t> copied = std::vector<std::uint32_t>(1, 0);
  } log;
  Stream stream(t);
  Drain drain(stream);
  Words words(t, 1, 1);
  flagos_graph_t* graph = nullptr;
  t.ok(flagos_stream_begin_capture(stream), "a capture");
  affine(t, stream, words, 2, 3);
  t.ok(flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(log.copied.data()), words.at(),
                          4),
       "a copy");
  const auto note = [](void* data, flagos_status_t) {
    auto& l = *static_cast<Log*>(data);
    l.order.push_back(l.copied[0]);
  };
  call(t, stream, note, &log);
  affine(t, stream, words, 1, 100);
  t.ok(flagos_stream_end_capture(stream, &graph), "the end of the capture");
  flagos_graph_exec_t* exec = nullptr;
  const flagos_status_t made = flagos_graph_instantiate(graph, &exec);
  flagos_graph_destroy(graph);
  t.ok(made, "an executable with a host node");
  t.subcase("not at capture");
  t.check(log.order.empty(), "a captured host function is not called");
  t.subcase("once per launch");
  for (int i = 0; i < 3; ++i) {
    const flagos_status_t launched = flagos_graph_exec_launch(exec, stream);
    if (launched != FLAGOS_STATUS_OK) flagos_graph_exec_destroy(exec);
    t.ok(launched, "a launch");
  }
  t.ok(flagos_graph_exec_destroy(exec), "the executable is destroyed while it runs");
  stream.synchronize();
  equal_words(t, log.order, {5, 213, 629}, "the host node ran in graph order, once per launch");
  t.equal(words.first(), 729, "all nodes ran");
}

}  // namespace flagos::conformance
