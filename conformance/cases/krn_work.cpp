// What kernels do: atomics, divergence, long and many launches, prepared launches, occupancy,
// failure.
#include <flagos.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "conformance/cases/work.hpp"

namespace flagos::conformance {
namespace {

constexpr std::uint32_t blocks = 8;

constexpr const char* operation_names[8] = {"add", "min", "max",      "and",
                                            "or",  "xor", "exchange", "compare and exchange"};

template <typename Value>
std::vector<Value> read_as(Buffer& buffer) {
  const auto bytes = buffer.read();
  std::vector<Value> values(bytes.size() / sizeof(Value));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(Value));
  return values;
}

template <typename Value>
std::span<const std::uint8_t> bytes_of(const std::vector<Value>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(Value)};
}

// The word after `operation` with all values, where the order does not matter.
template <typename Value>
Value folded(std::uint32_t operation, Value word, const std::vector<Value>& values) {
  for (const Value value : values) {
    switch (operation) {
      case 0:
        word += value;
        break;
      case 1:
        word = std::min(word, value);
        break;
      case 2:
        word = std::max(word, value);
        break;
      case 3:
        word &= value;
        break;
      case 4:
        word |= value;
        break;
      case 5:
        word ^= value;
        break;
      case 7:
        word += 1;
        break;
      default:
        break;
    }
  }
  return word;
}

template <typename Value>
void check_atomics(Context& t, flagos_kernel_t* kernel, const std::string& width) {
  const std::uint32_t threads = std::min({64u, t.info().max_block_threads, t.info().max_block[0]});
  const std::uint32_t count = blocks * threads;
  Stream stream(t);
  for (std::uint32_t operation = 0; operation < 8; ++operation) {
    t.subcase(std::string(operation_names[operation]) + " of " + width);
    std::vector<Value> values(count);
    for (auto& value : values)
      value = static_cast<Value>(t.random()()) | (operation == 3 ? ~Value{0xff} : Value{0});
    const std::vector<Value> start{static_cast<Value>(t.random()())};
    Buffer word(t, sizeof(Value)), found(t, count * sizeof(Value)), given(t, count * sizeof(Value));
    word.write(bytes_of(start));
    given.write(bytes_of(values));
    launch(t, stream, kernel, {blocks, 1, 1}, {threads, 1, 1},
           {arg(word.address()), arg(found.address()), arg(given.address()), arg_u32(operation)});
    stream.synchronize();
    auto seen = read_as<Value>(found);
    const Value end = read_as<Value>(word).front();
    if (operation == 6) {
      // Every value goes in once and comes out once, the last one stays.
      seen.push_back(end);
      values.push_back(start.front());
      std::sort(seen.begin(), seen.end());
      std::sort(values.begin(), values.end());
      t.equal_bytes(bytes_of(seen), bytes_of(values), "no value is lost or doubled");
    } else {
      t.equal(end, folded(operation, start.front(), values), "the word at the end");
      t.check(std::count(seen.begin(), seen.end(), start.front()) >= 1,
              "somebody found the word as it was");
    }
    if (operation == 7) {
      std::sort(seen.begin(), seen.end());
      t.check(std::adjacent_find(seen.begin(), seen.end()) == seen.end(),
              "nobody found what another found");
    }
  }
}

// Exact sums: every partial sum of these integers is a number of the type.
template <typename Value, typename Bits>
void check_float_add(Context& t, flagos_kernel_t* kernel, const std::string& what) {
  for (const int sign : {1, -1}) {
    t.subcase(what + (sign > 0 ? ", positive" : ", mixed signs"));
    const std::uint32_t threads =
        std::min({64u, t.info().max_block_threads, t.info().max_block[0]});
    const std::uint32_t count = blocks * threads;
    std::vector<Value> values(count);
    Value expected = 1000;
    for (std::uint32_t i = 0; i < count; ++i) {
      values[i] =
          static_cast<Value>(t.random_below(1000)) * static_cast<Value>(i % 2 == 0 ? 1 : sign);
      expected += values[i];
    }
    Stream stream(t);
    Buffer word(t, sizeof(Value)), given(t, count * sizeof(Value));
    word.write(bytes_of(std::vector<Value>{1000}));
    given.write(bytes_of(values));
    launch(t, stream, kernel, {blocks, 1, 1}, {threads, 1, 1},
           {arg(word.address()), arg(0), arg(given.address()), arg_u32(0)});
    stream.synchronize();
    t.equal(std::bit_cast<Bits>(read_as<Value>(word).front()), std::bit_cast<Bits>(expected),
            "the exact sum");
  }
}

std::uint32_t diverge(std::uint32_t i, bool nested) {
  std::uint32_t value = i;
  if (i % 2 == 0) {
    value += 100;
    if (nested && i % 3 == 0) {
      for (std::uint32_t k = 0; k < i % 37; ++k) value = value * 3 + k;
    } else if (nested) {
      value ^= 0x55;
      if (i % 5 == 0) value = ~value;
    }
  } else {
    value *= 7;
    if (nested && i % 7 < 3) value -= i / 2;
  }
  return value;
}

std::uint64_t read_u64(Buffer& buffer) { return read_as<std::uint64_t>(buffer).front(); }

}  // namespace

FLAGOS_CASE("krn.atomics.int", {.clause = "atomics between blocks"}) {
  check_atomics<std::uint32_t>(t, t.kernel("krn_atomic_u32"), "32 bits");
  check_atomics<std::uint64_t>(t, t.kernel("krn_atomic_u64"), "64 bits");
}

FLAGOS_CASE("krn.atomics.float", {.clause = "atomics between blocks", .level = Level::full}) {
  check_float_add<float, std::uint32_t>(t, t.kernel("krn_atomic_f32"), "float32");
  check_float_add<double, std::uint64_t>(t, t.kernel("krn_atomic_f64"), "float64");
}

FLAGOS_CASE("krn.divergence", {.clause = "threads of a block branch on their own"}) {
  constexpr std::uint32_t count = 10'000;
  Stream stream(t);
  for (const bool nested : {false, true}) {
    t.subcase(nested ? "nested branches and loops" : "one branch");
    Words out(t, count);
    const Shape shape = shape_for(t, count);
    launch(t, stream, t.kernel("krn_diverge"), shape.grid, shape.block,
           {arg(out.at()), arg_u32(count), arg_u32(nested)});
    stream.synchronize();
    std::vector<std::uint32_t> expected(count);
    for (std::uint32_t i = 0; i < count; ++i) expected[i] = diverge(i, nested);
    equal_words(t, out.read(), expected, "every thread went its own way");
  }
}

FLAGOS_CASE("krn.loop_long", {.clause = "flagos_kernel_launch",
                              .oracle = Oracle::live,
                              .isolation = Isolation::own}) {
  Stream stream(t);
  Words words(t, 4, 1);
  Blocker running(t, stream);
  affine(t, stream, words, 3, 0);
  const double end = now_seconds() + (t.settings().quick ? 0.5 : 5);
  while (now_seconds() < end) {
    t.check(!stream_done(t, stream), "a kernel that runs long is not ended by a watchdog");
    nap(0.05);
  }
  running.release();
  stream.synchronize();
  t.equal(words.first(), 3, "the work behind it runs");
}

FLAGOS_CASE("krn.launch.storm", {.clause = "flagos_kernel_launch", .isolation = Isolation::own}) {
  const std::uint32_t count = repeats(t, 100'000, 10'000);
  Stream stream(t);
  Buffer counter(t, 8);
  counter.write(std::vector<std::uint8_t>(8, 0));
  for (std::uint32_t i = 0; i < count; ++i) {
    launch(t, stream, t.kernel("krn_count"), {1, 1, 1}, {1, 1, 1}, {arg(counter.address())});
  }
  stream.synchronize();
  t.equal(read_u64(counter), count, "every launch ran once");
}

FLAGOS_CASE("krn.launch.multi_thread", {.clause = "any thread", .isolation = Isolation::own}) {
  constexpr std::uint32_t threads = 16;
  const std::uint32_t count = repeats(t, 10'000, 500);
  flagos_kernel_t* const kernel = t.kernel("krn_count");
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::unique_ptr<Buffer>> counters;
  for (std::uint32_t i = 0; i < threads; ++i) {
    streams.push_back(std::make_unique<Stream>(t));
    counters.push_back(std::make_unique<Buffer>(t, 8));
    counters.back()->write(std::vector<std::uint8_t>(8, 0));
  }
  FirstFailure failure;
  Team team;
  for (std::uint32_t i = 0; i < threads; ++i) {
    team.start([&, i] {
      const std::vector<flagos_argument_t> arguments{arg(counters[i]->address())};
      const auto desc = launch_desc({1, 1, 1}, {1, 1, 1}, arguments);
      for (std::uint32_t k = 0; k < count; ++k)
        failure.note(flagos_kernel_launch(*streams[i], kernel, &desc));
      failure.note(flagos_stream_synchronize(*streams[i], patience_ns));
    });
  }
  team.join();
  t.ok(failure.status(), "launches from many threads, each on its own stream");
  for (auto& counter : counters) t.equal(read_u64(*counter), count, "every launch ran once");
}

FLAGOS_CASE("krn.launch.same_stream_threads",
            {.clause = "submission to one stream is ordered internally",
             .oracle = Oracle::order,
             .isolation = Isolation::own}) {
  constexpr std::uint32_t threads = 16;
  const std::uint32_t count = repeats(t, 2000, 200);
  flagos_kernel_t* const kernel = t.kernel("krn_append");
  Stream stream(t);
  Words log(t, 1 + threads * count);
  FirstFailure failure;
  Team team;
  for (std::uint32_t i = 0; i < threads; ++i) {
    team.start([&, i] {
      for (std::uint32_t k = 0; k < count; ++k) {
        const std::vector<flagos_argument_t> arguments{arg(log.at()), arg_u32(i << 24 | k)};
        const auto desc = launch_desc({1, 1, 1}, {1, 1, 1}, arguments);
        failure.note(flagos_kernel_launch(stream, kernel, &desc));
      }
    });
  }
  team.join();
  t.ok(failure.status(), "launches from many threads on one stream");
  stream.synchronize();
  const auto entries = log.read();
  t.equal(entries[0], threads * count, "every launch ran once");
  std::vector<std::uint32_t> next(threads, 0);
  for (std::size_t i = 1; i < entries.size(); ++i) {
    const std::uint32_t thread = entries[i] >> 24;
    t.check(thread < threads && (entries[i] & 0xffffff) == next[thread]++,
            "each thread's launches run in its order");
  }
}

FLAGOS_CASE("krn.failure", {.clause = "a queued operation that fails poisons its stream",
                            .oracle = Oracle::code}) {
  Stream stream(t), other(t);
  Words words(t, 4, 1);
  queue_failure(t, stream);
  t.status(flagos_stream_synchronize(stream, patience_ns), FLAGOS_STATUS_EXECUTION_FAILED,
           "a kernel that fails");
  const std::string text = flagos_last_error();
  t.check(!text.empty(), "the text says what failed");
  affine(t, other, words, 3, 0);
  other.synchronize();
  t.equal(words.first(), 3, "other streams go on");
  t.ok(flagos_stream_reset(stream), "a reset");
  affine(t, stream, words, 3, 1);
  stream.synchronize();
  t.equal(words.first(), 10, "the stream works again");
}

FLAGOS_CASE("krn.occupancy_query",
            {.clause = "flagos_kernel_get_occupancy", .level = Level::full}) {
  flagos_kernel_t* const kernel = t.kernel("tl_affine");
  t.subcase("suggest_block");
  std::uint32_t threads = 0;
  const flagos_status_t suggested = flagos_kernel_suggest_block(kernel, 0, &threads);
  if (suggested == FLAGOS_STATUS_UNSUPPORTED) t.not_supported("the plugin suggests no blocks");
  t.ok(suggested, "a suggestion");
  t.check(threads >= 1 && threads <= t.info().max_block_threads, "a block that can be launched");
  Stream stream(t);
  Words words(t, 4, 1);
  launch(t, stream, kernel, {1, 1, 1}, {threads, 1, 1},
         {arg(words.at()), arg_u32(4), arg_u32(5), arg_u32(0)});
  stream.synchronize();
  t.equal(words.first(), 5, "the block that was suggested runs");
  t.subcase("get_occupancy");
  std::uint32_t before = UINT32_MAX;
  for (std::uint32_t shared = 0; shared <= t.info().max_shared_bytes;
       shared += 1 + t.info().max_shared_bytes / 8) {
    std::uint32_t now = 0;
    const flagos_status_t status = flagos_kernel_get_occupancy(kernel, 1, shared, &now);
    if (status == FLAGOS_STATUS_UNSUPPORTED) return;
    t.ok(status, "an occupancy");
    t.check(now >= 1 && now <= before, "at least one block, and no more with more shared memory");
    before = now;
  }
  std::uint32_t now = 1;
  t.status(flagos_kernel_get_occupancy(kernel, t.info().max_block_threads + 1, 0, &now),
           FLAGOS_STATUS_INVALID_ARGUMENT, "a block above the limit");
}

FLAGOS_CASE("krn.prepared", {.clause = "flagos_kernel_prepare",
                             .level = Level::optional,
                             .feature = "prepared_launch"}) {
  t.require(FLAGOS_FEATURE_PREPARED_LAUNCH);
  flagos_kernel_t* const kernel = t.kernel("tl_affine");
  Stream stream(t);
  Words words(t, 4, 1);
  std::vector<flagos_argument_t> arguments{arg(words.at()), arg_u32(4), arg_u32(3), arg_u32(1)};
  auto desc = launch_desc({1, 1, 1}, {4, 1, 1}, arguments);
  flagos_prepared_t* prepared = nullptr;
  t.ok(flagos_kernel_prepare(kernel, &desc, &prepared), "a launch is prepared");
  std::fill(arguments.begin(), arguments.end(), flagos_argument_t{});
  std::memset(&desc, 0xee, sizeof desc);
  t.subcase("repeated");
  std::uint32_t expected = 1;
  for (int i = 0; i < 100; ++i) {
    t.ok(flagos_kernel_launch_prepared(stream, prepared), "a prepared launch");
    expected = expected * 3 + 1;
  }
  stream.synchronize();
  t.equal(words.first(), expected, "it ran with the arguments of its preparation");
  t.subcase("a stream of another open device");
  {
    OtherDevice other(t);
    flagos_stream_t* foreign = nullptr;
    t.ok(flagos_stream_create(other, nullptr, &foreign), "a stream of the other open device");
    const flagos_status_t refused = flagos_kernel_launch_prepared(foreign, prepared);
    t.ok(flagos_stream_destroy(foreign), "it is destroyed");
    t.status(refused, FLAGOS_STATUS_INVALID_ARGUMENT, "a foreign stream");
  }
  t.subcase("destroyed while pending");
  {
    Blocker blocker(t, stream);
    t.ok(flagos_kernel_launch_prepared(stream, prepared), "a prepared launch");
    t.ok(flagos_prepared_destroy(prepared), "it is destroyed");
  }
  stream.synchronize();
  t.equal(words.first(), expected * 3 + 1, "the pending launch ran");
  t.status(flagos_kernel_launch_prepared(stream, prepared), FLAGOS_STATUS_INVALID_HANDLE,
           "the handle is gone");
  t.subcase("refused as a launch is");
  arguments.resize(2);
  desc = launch_desc({1, 1, 1}, {t.info().max_block_threads, 2, 1}, arguments);
  t.status(flagos_kernel_prepare(kernel, &desc, &prepared), FLAGOS_STATUS_INVALID_ARGUMENT,
           "too many threads");
  t.check(prepared == nullptr, "the out parameter is NULL");
}

}  // namespace flagos::conformance
