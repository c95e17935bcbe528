// Order, visibility and liveness of streams: random programs against a model, litmus tests, deep
// queues.
#include <flagos.h>

#include <algorithm>
#include <array>

#include "conformance/cases/dag.hpp"
#include "conformance/holding_grid.hpp"

namespace flagos::conformance {
namespace {

// The host's side of tl_answer: two cache lines in pinned memory that a running kernel polls.
class Conversation {
 public:
  Conversation(Context& t, flagos_stream_t* stream)
      : t_(t), memory_(t, 256, FLAGOS_MEMORY_KIND_PINNED) {
    memory_.write(std::vector<std::uint8_t>(256, 0));
    request_ = static_cast<std::uint32_t*>(memory_.pointer());
    reply_ = request_ + 32;
    launch(t, stream, t.kernel("tl_answer"), holding_grid(t), {1, 1, 1},
           {arg(memory_.address()), arg(memory_.address(128))});
  }
  ~Conversation() { stop(); }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  void stop() { __atomic_store_n(&request_[0], 0xffffffffu, __ATOMIC_RELEASE); }
  // Asks with plain data behind a flag; the answer proves that the kernel saw the data that belongs
  // to the flag.
  void ask(std::uint32_t sequence, std::uint32_t data, double seconds = 20) {
    request_[16] = data;
    __atomic_store_n(&request_[0], sequence, __ATOMIC_RELEASE);
    const double deadline = now_seconds() + seconds;
    for (std::uint32_t spins = 0; __atomic_load_n(&reply_[0], __ATOMIC_ACQUIRE) != sequence;
         ++spins) {
      if (spins % 1024 != 1023) continue;
      if (now_seconds() > deadline) t_.fail("the running kernel does not see what the host wrote");
      std::this_thread::yield();
    }
    t_.equal(reply_[16], data ^ (sequence * 2654435761u), "the data behind the flag, both ways");
  }

 private:
  Context& t_;
  Buffer memory_;
  std::uint32_t* request_ = nullptr;
  std::uint32_t* reply_ = nullptr;
};

// Two blocks of one launch run `kind` of tl_litmus; gives two results per round, and what block 0
// left in x.
struct Litmus {
  std::vector<std::uint32_t> result, x;
};
Litmus run_litmus(Context& t, std::uint32_t kind, std::uint32_t rounds) {
  constexpr std::uint32_t unset = 0xffffffff;
  Stream stream(t);
  Words x(t, rounds), y(t, rounds), result(t, rounds * 2, unset);
  launch(t, stream, t.kernel("tl_litmus"), {2, 1, 1}, {1, 1, 1},
         {arg(x.at()), arg(y.at()), arg(result.at()), arg_u32(rounds), arg_u32(kind)});
  stream.synchronize();
  Litmus litmus{result.read(), x.read()};
  t.check(std::count(litmus.result.begin(), litmus.result.end(), unset) == 0,
          "block 1 ran all rounds");
  return litmus;
}

}  // namespace

FLAGOS_CASE("tl.order.message_passing",
            {.clause = "pinned memory is visible to running kernels and back"}) {
  t.require(FLAGOS_FEATURE_PINNED_MEMORY);
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT);
  t.smoke();
  const std::uint32_t most = repeats(t, 1'000'000, 20'000);
  const double end = now_seconds() + (t.settings().quick ? 0.5 : 2);
  Stream stream(t);
  Conversation conversation(t, stream);
  std::uint32_t sequence = 0;
  while (sequence < most && (now_seconds() < end || sequence < 500)) {
    ++sequence;
    conversation.ask(sequence, static_cast<std::uint32_t>(t.random()()));
  }
  conversation.stop();
  stream.synchronize();
}

FLAGOS_CASE("tl.visibility.h2d_to_running_kernel",
            {.clause = "pinned memory is visible to running kernels", .level = Level::full}) {
  t.require(FLAGOS_FEATURE_PINNED_MEMORY);
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT);
  t.smoke();
  Stream stream(t);
  Conversation conversation(t, stream);
  for (std::uint32_t i = 1; i <= 5; ++i) {
    nap(0.02);  // the kernel polls meanwhile
    conversation.ask(i, i * 77);
  }
  conversation.stop();
  stream.synchronize();
}

FLAGOS_CASE("tl.order.store_buffer",
            {.clause = "sequentially consistent atomics", .level = Level::full}) {
  const std::uint32_t rounds = repeats(t, 200'000, 20'000);
  const auto [result, x] = run_litmus(t, 0, rounds);
  for (std::uint32_t i = 0; i < rounds; ++i) {
    t.check(result[2 * i] <= 1 && result[2 * i + 1] <= 1, "only values that were written");
    t.check(result[2 * i] + result[2 * i + 1] != 0,
            "one of two sequentially consistent stores comes first");
  }
}

FLAGOS_CASE("tl.order.coherence_corr", {.clause = "coherence per location", .level = Level::full}) {
  const std::uint32_t rounds = repeats(t, 200'000, 20'000);
  const auto [result, x] = run_litmus(t, 1, rounds);
  for (std::uint32_t i = 0; i < rounds; ++i) {
    t.equal(x[i], 2, "the last store to a location stays");
    t.check(result[2 * i] <= result[2 * i + 1] && result[2 * i + 1] <= 2,
            "two reads of one location never go back");
  }
}

FLAGOS_CASE("tl.order.release_acquire_device",
            {.clause = "release and acquire between blocks", .level = Level::full}) {
  const std::uint32_t rounds = repeats(t, 200'000, 20'000);
  const auto [result, x] = run_litmus(t, 2, rounds);
  for (std::uint32_t i = 0; i < rounds; ++i) {
    t.equal(x[i], i + 1, "block 0 ran all rounds");
    t.check(result[2 * i] == 0 || result[2 * i + 1] == i + 1,
            "who sees the flag sees the data before it");
  }
}

FLAGOS_CASE("tl.order.random_dag", {.clause = "streams and events keep every dependency",
                                    .oracle = Oracle::model,
                                    .isolation = Isolation::own}) {
  const std::uint32_t programs = repeats(t, 200, 25);
  for (std::uint32_t i = 0; i < programs; ++i) {
    const auto streams = 1 + static_cast<std::uint32_t>(t.random_below(16));
    t.subcase("program " + std::to_string(i) + " on " + std::to_string(streams) + " streams");
    const Program program = random_program(t, 60, streams);
    Memory memory(t, program);
    Lanes lanes(t, streams, 8);
    issue_on_streams(t, program, memory, lanes.streams, lanes.events);
    lanes.synchronize();
    memory.run_model(program);
    memory.verify(t, "the program gives what its model gives");
  }
}

FLAGOS_CASE("tl.order.host_dag_mixed",
            {.clause = "host signals, host functions, copies and kernels in one order",
             .level = Level::full,
             .oracle = Oracle::model,
             .isolation = Isolation::own}) {
  t.require(FLAGOS_FEATURE_TIMELINE);
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  const std::uint32_t programs = repeats(t, 50, 8);
  for (std::uint32_t i = 0; i < programs; ++i) {
    const auto streams = 1 + static_cast<std::uint32_t>(t.random_below(6));
    t.subcase("program " + std::to_string(i));
    const Program program = random_program(t, 40, streams);
    std::atomic<std::uint32_t> calls{0};
    Memory memory(t, program);
    Lanes lanes(t, streams, 4);
    flagos_timeline_t* timeline = nullptr;
    t.ok(flagos_timeline_create(t.device(), 0, &timeline), "a timeline");
    for (auto* stream : lanes.streams)
      t.ok(flagos_stream_wait_timeline(stream, timeline, 1), "a wait at the start");
    std::uint32_t queued = 0;
    for (auto* stream : lanes.streams) {
      for (std::uint64_t k = t.random_below(4); k > 0; --k, ++queued) {
        t.ok(flagos_stream_launch_host(
                 stream,
                 [](void* data, flagos_status_t) {
                   ++*static_cast<std::atomic<std::uint32_t>*>(data);
                 },
                 &calls),
             "a host function");
      }
    }
    issue_on_streams(t, program, memory, lanes.streams, lanes.events);
    t.equal(calls.load(), 0, "nothing runs before the host's signal");
    t.ok(flagos_timeline_signal(timeline, 1), "the host's signal");
    lanes.synchronize();
    t.ok(flagos_timeline_destroy(timeline), "the timeline is destroyed");
    t.equal(calls.load(), queued, "every host function was called");
    memory.run_model(program);
    memory.verify(t, "the program gives what its model gives");
  }
}

FLAGOS_CASE("tl.liveness.no_lost_wakeup",
            {.clause = "every wait ends", .oracle = Oracle::live, .isolation = Isolation::own}) {
  const std::uint32_t rounds = repeats(t, 100'000, 5'000);
  const double end = now_seconds() + (t.settings().quick ? 1 : 8);
  Stream stream(t);
  Event event(t);
  Words word(t, 1);
  std::uint32_t done = 0;
  while (done < rounds && (now_seconds() < end || done < 200)) {
    ++done;
    affine(t, stream, word, 1, 1);
    t.ok(flagos_event_record(event, stream), "a record");
    // The waiter arrives at every phase of the completion.
    for (std::uint64_t k = t.random_below(400); k > 0; --k) asm volatile("");
    t.ok(done % 2 == 0 ? flagos_event_synchronize(event, patience_ns)
                       : flagos_stream_synchronize(stream, patience_ns),
         "a wait that races with the completion");
  }
  t.equal(word.first(), done, "every round did its work");
}

FLAGOS_CASE("tl.liveness.fair_streams", {.clause = "every stream progresses",
                                         .level = Level::full,
                                         .oracle = Oracle::live,
                                         .isolation = Isolation::own}) {
  constexpr std::uint32_t lanes_count = 32;
  Lanes lanes(t, lanes_count, 0);
  Words words(t, lanes_count);
  // Every stream gets the same long row of work before any of them is waited for.
  for (std::uint32_t round = 0; round < 200; ++round) {
    for (std::uint32_t i = 0; i < lanes_count; ++i) {
      launch(t, lanes.streams[i], t.kernel("tl_labour"), {1, 1, 1}, {1, 1, 1},
             {arg(words.at(i)), arg_u32(2000), arg_u32(round + 1)});
    }
  }
  lanes.synchronize();
  equal_words(t, words.read(), std::vector<std::uint32_t>(lanes_count, 200),
              "every stream came to its end");
}

FLAGOS_CASE("tl.liveness.deep_queue", {.clause = "a full queue may wait for room, and never fails",
                                       .oracle = Oracle::live,
                                       .isolation = Isolation::own}) {
  const std::uint32_t count = repeats(t, 100'000, 10'000);
  Stream stream(t);
  Words word(t, 1);
  Blocker blocker(t, stream);
  // A plugin may make the submission wait for room: then the gate must open meanwhile.
  std::atomic<bool> queued{false};
  Team team;
  team.start([&] {
    eventually([&] { return queued.load(); }, 2);
    blocker.release();
  });
  for (std::uint32_t i = 0; i < count; ++i) affine(t, stream, word, 3, i);
  queued = true;
  stream.synchronize();
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i < count; ++i) expected = expected * 3 + i;
  t.equal(word.first(), expected, "all of a deep queue ran in order");
}

FLAGOS_CASE("tl.visibility.kernel_to_d2h", {.clause = "flagos_memory_copy behind a kernel"}) {
  const std::uint32_t rounds = repeats(t, 60, 15);
  constexpr std::uint32_t count = 1 << 16;
  Stream stream(t);
  Words words(t, count, 3);
  std::vector<std::uint32_t> host(count);
  std::uint32_t expected = 3;
  for (std::uint32_t i = 0; i < rounds; ++i) {
    affine(t, stream, words, 5, i);
    t.ok(flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(host.data()), words.at(),
                            words.size_bytes()),
         "a copy to the host right behind the kernel");
    stream.synchronize();
    expected = expected * 5 + i;
    equal_words(t, host, std::vector<std::uint32_t>(count, expected),
                "the host sees what the kernel wrote");
  }
}

FLAGOS_CASE("tl.visibility.stale_l2",
            {.clause = "a kernel sees its updated input", .level = Level::full}) {
  const std::uint32_t rounds = repeats(t, 1000, 100);
  constexpr std::uint32_t count = 1024;
  Stream stream(t);
  Words input(t, count), output(t, count);
  for (std::uint32_t i = 0; i < rounds; ++i) {
    const auto values = random_words(t, count);
    t.ok(flagos_memory_copy(stream, input.at(), reinterpret_cast<flagos_address_t>(values.data()),
                            input.size_bytes()),
         "new input from the host");
    mix(t, stream, output, input, 0);
    stream.synchronize();
    equal_words(t, output.read(), values, "the launch read the new input");
  }
}

FLAGOS_CASE("tl.visibility.const_cache", {.clause = "an updated global is seen by the next launch",
                                          .level = Level::full,
                                          .feature = "module_global"}) {
  t.require(FLAGOS_FEATURE_MODULE_GLOBAL);
  Stream stream(t);
  flagos_address_t global = 0;
  std::uint64_t size = 0;
  t.ok(flagos_module_get_global(t.module(), "mod_global", &global, &size),
       "the global of the suite");
  t.equal(size, 16, "its size");
  Words seen(t, 4);
  for (std::uint32_t i = 0; i < 50; ++i) {
    const auto values = random_words(t, 4);
    t.ok(flagos_memory_copy(stream, global, reinterpret_cast<flagos_address_t>(values.data()), 16),
         "a new value");
    launch(t, stream, t.kernel("mod_read_global"), {1, 1, 1}, {1, 1, 1}, {arg(seen.at())});
    stream.synchronize();
    equal_words(t, seen.read(), values, "the launch read the new value");
  }
}

}  // namespace flagos::conformance
