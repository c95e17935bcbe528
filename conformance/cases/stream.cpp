// stream.create, stream.order, stream.async, stream.sync, stream.query: a stream is an ordered,
// asynchronous queue.
#include <algorithm>
#include <string>
#include <unordered_set>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

std::vector<std::unique_ptr<Stream>> many_streams(Context& t, std::size_t count) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (std::size_t i = 0; i < count; ++i) streams.push_back(std::make_unique<Stream>(t));
  return streams;
}

FLAGOS_CASE("stream.create.basic", {.clause = "flagos_stream_create"}) {
  Buffer target(t, 64);
  std::unordered_set<flagos_stream_t*> handles;
  const auto streams = many_streams(t, 16);
  for (std::uint32_t i = 0; i < streams.size(); ++i) {
    handles.insert(*streams[i]);
    fill(t, *streams[i], target.address(4 * i), i + 1, 4);
  }
  t.equal(handles.size(), streams.size(), "distinct handles of live streams");
  for (const auto& stream : streams) stream->synchronize();
  const auto seen = words(target.read());
  for (std::uint32_t i = 0; i < seen.size(); ++i) t.equal(seen[i], i + 1, "what a stream wrote");
  t.subcase("again");
  for (int i = 0; i < 100; ++i) t.ok(flagos_stream_destroy(Stream(t).release()), "stream_destroy");
  t.ok(flagos_stream_destroy(nullptr), "stream_destroy of NULL");
}

FLAGOS_CASE("stream.create.many", {.clause = "flagos_stream_create",
                                   .oracle = Oracle::live,
                                   .isolation = Isolation::own}) {
  const std::size_t most = t.settings().quick ? 64 : 1024;
  std::vector<flagos_stream_t*> streams;
  while (streams.size() < most) {
    flagos_stream_t* stream = nullptr;
    const flagos_status_t status = flagos_stream_create(t.device(), nullptr, &stream);
    if (status != FLAGOS_STATUS_OK) {
      t.status(status, FLAGOS_STATUS_OUT_OF_RESOURCES, "stream_create at the limit of the device");
      break;
    }
    streams.push_back(stream);
  }
  t.check(streams.size() >= 16, "at least 16 streams, found " + std::to_string(streams.size()));
  Buffer target(t, streams.size() * 4);
  for (const std::uint32_t round : {1u, 2u}) {
    t.subcase("round=" + std::to_string(round));
    for (std::uint32_t i = 0; i < streams.size(); ++i)
      fill(t, streams[i], target.address(i * 4), i * round + 1, 4);
    for (flagos_stream_t* const stream : streams) synchronize(t, stream);
    const auto seen = words(target.read());
    for (std::uint32_t i = 0; i < seen.size(); ++i)
      t.equal(seen[i], i * round + 1, "what stream " + std::to_string(i) + " wrote");
  }
  for (flagos_stream_t* const stream : streams)
    t.ok(flagos_stream_destroy(stream), "stream_destroy");
}

flagos_stream_desc_t stream_desc(std::int32_t priority, std::uint64_t flags = 0) {
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.priority = priority;
  desc.flags = flags;
  return desc;
}

void refuse_stream(Context& t, const flagos_stream_desc_t& desc, flagos_status_t expected) {
  flagos_stream_t* stream = nullptr;
  t.status(flagos_stream_create(t.device(), &desc, &stream), expected, "stream_create");
  t.check(stream == nullptr, "the stream of a failing call is NULL");
}

FLAGOS_CASE("stream.create.flags_priority",
            {.clause = "flagos_stream_desc_t", .level = Level::full}) {
  const std::int32_t low = t.info().priority_low;
  const std::int32_t high = t.info().priority_high;
  t.check(high <= 0 && low >= 0, "priority 0 is in the range");
  Buffer target(t, 4);
  for (std::int32_t priority = high; priority <= low; ++priority) {
    t.subcase("priority=" + std::to_string(priority));
    Stream stream(t, priority);
    fill(t, stream, target.address(), priority, 4);
    stream.synchronize();
    t.equal(words(target.read())[0], static_cast<std::uint32_t>(priority), "what the stream wrote");
  }
  t.subcase("out of range");
  refuse_stream(t, stream_desc(low + 1), FLAGOS_STATUS_INVALID_ARGUMENT);
  refuse_stream(t, stream_desc(high - 1), FLAGOS_STATUS_INVALID_ARGUMENT);
  refuse_stream(t, stream_desc(INT32_MIN), FLAGOS_STATUS_INVALID_ARGUMENT);
  t.subcase("unknown flag");
  refuse_stream(t, stream_desc(0, std::uint64_t{1} << 63), FLAGOS_STATUS_UNSUPPORTED);
}

FLAGOS_CASE("stream.order.fifo",
            {.clause = "a stream is an ordered queue", .oracle = Oracle::order}) {
  const std::uint32_t count = t.settings().quick ? 5'000 : 100'000;
  Stream stream(t);
  Buffer log(t, 4 * (count + std::uint64_t{1}));
  flagos_kernel_t* const append = t.kernel("data_append");
  fill(t, stream, log.address(), 0u, 4);
  for (std::uint32_t i = 0; i < count; ++i) {
    launch(t, stream, append, {1}, {1}, {arg(log.address()), arg_u32(i ^ 0x5a5a), arg_u32(count)});
  }
  synchronize(t, stream);
  const auto seen = words(log.read());
  t.equal(seen[0], count, "entries in the log");
  for (std::uint32_t i = 0; i < count; ++i)
    t.equal(seen[i + 1], i ^ 0x5a5a, "entry " + std::to_string(i));
}

FLAGOS_CASE("stream.order.kernel_then_copy",
            {.clause = "a copy sees what the kernel before it wrote"}) {
  constexpr std::uint32_t count = 10'000;
  const std::uint32_t rounds = t.settings().quick ? 20 : 200;
  Stream stream(t);
  Buffer source(t, count * 4);
  Buffer target(t, count * 4);
  Buffer results(t, rounds * 8);
  const auto bytes = noise(t, count * 4);
  source.write(bytes);
  for (std::uint32_t i = 0; i < rounds; ++i) {
    add_words(t, stream, target.address(), source.address(), i, count);
    copy(t, stream, results.address(i * 8), target.address(), 4);
    copy(t, stream, results.address(i * 8 + 4), target.address((count - 1) * 4), 4);
  }
  synchronize(t, stream);
  const auto input = words(bytes);
  const auto seen = words(results.read());
  for (std::uint32_t i = 0; i < rounds; ++i) {
    t.equal(seen[2 * i], input.front() + i, "the first word behind launch " + std::to_string(i));
    t.equal(seen[2 * i + 1], input.back() + i, "the last word behind launch " + std::to_string(i));
  }
}

FLAGOS_CASE("stream.order.copy_then_kernel",
            {.clause = "a kernel sees what the copy before it wrote"}) {
  constexpr std::uint32_t count = 10'000;
  const std::uint32_t rounds = t.settings().quick ? 10 : 50;
  Stream stream(t);
  Buffer inputs(t, std::uint64_t{rounds} * count * 4);
  Buffer input(t, count * 4);
  Buffer outputs(t, std::uint64_t{rounds} * count * 4);
  const auto bytes = noise(t, inputs.size());
  inputs.write(bytes);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    copy(t, stream, input.address(), inputs.address(i * count * 4), count * 4);
    add_words(t, stream, outputs.address(i * count * 4), input.address(), 3, count);
  }
  synchronize(t, stream);
  auto model = words(bytes);
  for (std::uint32_t& word : model) word += 3;
  same(t, outputs.read(), bytes_of(model), "what the kernels wrote");
}

FLAGOS_CASE("stream.async.returns_early",
            {.clause = "FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT", .oracle = Oracle::live}) {
  require_async(t);
  Buffer source(t, 4096);
  Buffer target(t, 4096);
  const auto bytes = noise(t, 4096);
  source.write(bytes);
  t.kernel("data_add");  // loaded before anything is held
  Stream stream(t);
  Blocker blocker(t, stream);
  t.subcase("copy");
  copy(t, stream, target.address(), source.address(), 4096);
  check_held(t, stream, "memory_copy");
  t.subcase("kernel");
  add_words(t, stream, target.address(), target.address(), 1, 1024);
  check_held(t, stream, "kernel_launch");
  t.subcase("fill");
  fill(t, stream, target.address(), std::uint32_t{9}, 4);
  check_held(t, stream, "memory_fill");
  t.subcase("event");
  Event event(t);
  record(t, event, stream);
  wait_event(t, stream, event);
  check_held(t, stream, "event_record");
  blocker.release();
  synchronize(t, stream);
  auto model = words(bytes);
  for (std::uint32_t& word : model) ++word;
  model[0] = 9;
  t.equal_bytes(target.read(), bytes_of(model), "the target when the stream has passed");
}

FLAGOS_CASE("stream.async.concurrent", {.clause = "FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS",
                                        .level = Level::full,
                                        .oracle = Oracle::live}) {
  require_concurrent(t);
  Stream a(t);
  Stream b(t);
  Buffer flags(t, 16);
  flags.write(std::vector<std::uint8_t>(16, 0));
  flagos_kernel_t* const meet = t.kernel("data_meet");
  // Each kernel waits until it sees the other one: they meet only if both run at the same time.
  launch(t, a, meet, {1}, {1},
         {arg(flags.address()), arg(flags.address(4)), arg(flags.address(8))});
  launch(t, b, meet, {1}, {1},
         {arg(flags.address(4)), arg(flags.address()), arg(flags.address(12))});
  synchronize(t, a);
  synchronize(t, b);
  const auto seen = words(flags.read());
  t.equal(seen[2], 1, "the kernel of the first stream has met the other");
  t.equal(seen[3], 1, "the kernel of the second stream has met the other");
}

FLAGOS_CASE("stream.sync.waits_all",
            {.clause = "flagos_stream_synchronize: effects are visible to the host"}) {
  constexpr std::uint64_t size = 16 * kMib;
  const auto kind =
      t.has(FLAGOS_FEATURE_PINNED_MEMORY) ? FLAGOS_MEMORY_KIND_PINNED : FLAGOS_MEMORY_KIND_UNKNOWN;
  Stream stream(t);
  Buffer work(t, size);
  Side target(t, kind, 4096);
  Buffer device(t, 4096);
  const int rounds = t.settings().quick ? 3 : 20;
  // Whatever the last operation is, its bytes are there as soon as the wait returns.
  const auto check = [&](const char* last, std::uint32_t expected, auto&& operation) {
    t.subcase(last);
    target.set(std::vector<std::uint8_t>(4096, 0xff));
    for (std::uint32_t i = 0; i < 4; ++i) fill(t, stream, work.address(), expected + i - 3, size);
    operation();
    copy(t, stream, target.address(), device.address(), 4096);
    synchronize(t, stream);
    t.equal_bytes(target.get(), bytes_of(std::vector<std::uint32_t>(1024, expected)),
                  "the last operation's bytes");
  };
  for (std::uint32_t round = 0; round < static_cast<std::uint32_t>(rounds); ++round) {
    check("copy", 100 + round,
          [&] { copy(t, stream, device.address(), work.address(size - 4096), 4096); });
    check("kernel", 200 + round,
          [&] { add_words(t, stream, device.address(), work.address(), 0, 1024); });
    check("fill", 300 + round, [&] { fill(t, stream, device.address(), 300 + round, 4096); });
  }
}

FLAGOS_CASE("stream.sync.empty", {.clause = "flagos_stream_synchronize of a stream without work"}) {
  Stream stream(t);
  for (const std::uint64_t timeout :
       {std::uint64_t{0}, std::uint64_t{1}, FLAGOS_TIMEOUT_INFINITE}) {
    t.ok(flagos_stream_synchronize(stream, timeout), "stream_synchronize of a new stream");
  }
  t.check(complete(t, stream), "a new stream is complete");
  Buffer target(t, 64);
  fill(t, stream, target.address(), std::uint8_t{0x21}, 64);
  synchronize(t, stream);
  t.ok(flagos_stream_synchronize(stream, 0),
       "stream_synchronize of a stream that has passed all work");
  all_are(t, target.read(), 0x21, "the fill");
}

FLAGOS_CASE("stream.sync.timeout",
            {.clause = "flagos_stream_synchronize: TIMEOUT leaves everything as it was",
             .oracle = Oracle::live}) {
  require_async(t);
  Buffer target(t, 64);
  Stream stream(t);
  Blocker blocker(t, stream);
  fill(t, stream, target.address(), std::uint8_t{0x22}, 64);
  for (const std::uint64_t timeout :
       {std::uint64_t{0}, std::uint64_t{1'000'000}, std::uint64_t{100'000'000}}) {
    t.subcase("timeout=" + std::to_string(timeout));
    const double start = now_seconds();
    t.status(flagos_stream_synchronize(stream, timeout), FLAGOS_STATUS_TIMEOUT,
             "stream_synchronize of a held stream");
    t.check((now_seconds() - start) * 1e9 >= static_cast<double>(timeout) * 0.99,
            "the wait is not cut short");
    check_held(t, stream, "stream_synchronize");
  }
  t.subcase("infinite");
  blocker.release();
  t.ok(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "stream_synchronize");
  all_are(t, target.read(), 0x22, "the work that was waited for");
}

FLAGOS_CASE("stream.query.states",
            {.clause = "flagos_stream_query never waits", .oracle = Oracle::live}) {
  require_async(t);
  Buffer target(t, 64);
  Stream stream(t);
  {
    Blocker blocker(t, stream);
    fill(t, stream, target.address(), std::uint8_t{0x24}, 64);
    t.subcase("held");
    for (int i = 0; i < 1'000; ++i) check_held(t, stream, "stream_query");
    blocker.release();
  }
  synchronize(t, stream);
  t.subcase("passed");
  for (int i = 0; i < 1'000; ++i)
    t.check(complete(t, stream), "a stream that has passed all work is complete");
  all_are(t, target.read(), 0x24, "the fill");
}

}  // namespace
}  // namespace flagos::conformance
