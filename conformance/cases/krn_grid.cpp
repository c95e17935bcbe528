// Launch dimensions: indices, limits, zero; shared memory and barriers.
#include <flagos.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "conformance/cases/work.hpp"
#include "conformance/results.hpp"

namespace flagos::conformance {
namespace {

std::uint64_t volume(Dim3 dim) { return std::uint64_t{dim.x} * dim.y * dim.z; }

// What krn_ids must write: one row of six indices per thread.
std::vector<std::uint32_t> expected_rows(Dim3 grid, Dim3 block) {
  std::vector<std::uint32_t> rows;
  for (std::uint32_t gz = 0; gz < grid.z; ++gz)
    for (std::uint32_t gy = 0; gy < grid.y; ++gy)
      for (std::uint32_t gx = 0; gx < grid.x; ++gx)
        for (std::uint32_t z = 0; z < block.z; ++z)
          for (std::uint32_t y = 0; y < block.y; ++y)
            for (std::uint32_t x = 0; x < block.x; ++x)
              rows.insert(rows.end(), {gx, gy, gz, x, y, z});
  return rows;
}

std::string text(Dim3 grid, Dim3 block) {
  const auto one = [](Dim3 d) {
    return std::to_string(d.x) + "x" + std::to_string(d.y) + "x" + std::to_string(d.z);
  };
  return "grid " + one(grid) + ", block " + one(block);
}

void check_ids(Context& t, Dim3 grid, Dim3 block, bool prepared = false) {
  const auto threads = static_cast<std::uint32_t>(volume(grid) * volume(block));
  Stream stream(t);
  Words rows(t, threads * 6, 0xffffffff), counts(t, threads);
  const std::vector<flagos_argument_t> arguments{arg(rows.at()), arg(counts.at())};
  if (prepared) {
    const auto desc = launch_desc(grid, block, arguments);
    flagos_prepared_t* launch = nullptr;
    t.ok(flagos_kernel_prepare(t.kernel("krn_ids"), &desc, &launch), "prepare a launch");
    const flagos_status_t status = flagos_kernel_launch_prepared(stream, launch);
    t.ok(flagos_prepared_destroy(launch), "destroy it");
    t.ok(status, "launch it");
  } else {
    launch(t, stream, t.kernel("krn_ids"), grid, block, arguments);
  }
  stream.synchronize();
  equal_words(t, counts.read(), std::vector<std::uint32_t>(threads, 1),
              "every thread runs exactly once");
  equal_words(t, rows.read(), expected_rows(grid, block), "every thread has its own indices");
}

// A kernel that counts its threads.
class ThreadCounter {
 public:
  explicit ThreadCounter(Context& t) : t_(t), stream_(t), counter_(t, 8) { reset(); }
  flagos_status_t launch(Dim3 grid, Dim3 block, std::uint32_t shared_bytes = 0) {
    const std::vector<flagos_argument_t> arguments{arg(counter_.address())};
    const auto desc = launch_desc(grid, block, arguments, shared_bytes);
    return flagos_kernel_launch(stream_, t_.kernel("krn_count"), &desc);
  }
  flagos_status_t prepare(Dim3 grid, Dim3 block) {
    const std::vector<flagos_argument_t> arguments{arg(counter_.address())};
    const auto desc = launch_desc(grid, block, arguments);
    flagos_prepared_t* prepared = nullptr;
    const flagos_status_t status = flagos_kernel_prepare(t_.kernel("krn_count"), &desc, &prepared);
    flagos_prepared_destroy(prepared);
    return status;
  }
  flagos_stream_t* stream() { return stream_; }
  std::uint64_t take() {
    stream_.synchronize();
    std::uint64_t value = 0;
    std::memcpy(&value, counter_.read().data(), 8);
    reset();
    return value;
  }

 private:
  void reset() { counter_.write(std::vector<std::uint8_t>(8, 0)); }
  Context& t_;
  Stream stream_;
  Buffer counter_;
};

Dim3 along(int axis, std::uint32_t size) {
  Dim3 dim;
  (axis == 0 ? dim.x : axis == 1 ? dim.y : dim.z) = size;
  return dim;
}

constexpr const char* axis_names[3] = {"x", "y", "z"};

}  // namespace

FLAGOS_CASE("krn.noop", {.clause = "flagos_kernel_launch"}) {
  ThreadCounter counter(t);
  Stream stream(t);
  launch(t, stream, t.kernel("noop"), {1, 1, 1}, {1, 1, 1});
  stream.synchronize();
  t.ok(counter.launch({1, 1, 1}, {1, 1, 1}), "a launch of one thread");
  t.equal(counter.take(), 1, "one thread ran");
}

FLAGOS_CASE("krn.grid.ids_exact", {.clause = "flagos_launch_desc_t: grid and block"}) {
  struct Shapes {
    Dim3 grid, block;
  };
  const std::vector<Shapes> shapes{
      {{1, 1, 1}, {1, 1, 1}},  {{7, 1, 1}, {1, 1, 1}},  {{1, 1, 1}, {13, 1, 1}},
      {{5, 1, 1}, {32, 1, 1}}, {{3, 1, 1}, {63, 1, 1}}, {{1, 5, 1}, {1, 1, 1}},
      {{1, 1, 6}, {1, 1, 1}},  {{1, 1, 1}, {1, 9, 1}},  {{1, 1, 1}, {1, 1, 5}},
      {{3, 2, 1}, {4, 1, 1}},  {{2, 3, 1}, {1, 4, 1}},  {{4, 3, 2}, {1, 1, 1}},
      {{2, 3, 4}, {1, 1, 1}},  {{1, 1, 1}, {4, 3, 2}},  {{1, 1, 1}, {2, 3, 4}},
      {{3, 5, 7}, {2, 1, 1}},  {{7, 5, 3}, {1, 2, 1}},  {{5, 7, 3}, {1, 1, 2}},
      {{2, 2, 2}, {3, 3, 3}},  {{11, 1, 3}, {5, 1, 2}}, {{1, 11, 3}, {1, 5, 2}},
      {{17, 3, 1}, {8, 2, 1}}, {{1, 17, 5}, {2, 2, 2}}, {{6, 5, 4}, {3, 4, 2}}};
  for (const auto& [grid, block] : shapes) {
    t.subcase(text(grid, block));
    if (volume(block) > t.info().max_block_threads) continue;
    check_ids(t, grid, block);
  }
}

FLAGOS_CASE("krn.prepared.ids", {.clause = "flagos_kernel_prepare: the whole of the launch",
                                 .level = Level::optional,
                                 .feature = "prepared_launch"}) {
  for (const Dim3 grid : {Dim3{3, 5, 7}, Dim3{7, 1, 2}, Dim3{1, 1, 1}}) {
    for (const Dim3 block : {Dim3{1, 1, 1}, Dim3{4, 3, 2}, Dim3{2, 3, 4}}) {
      t.subcase(text(grid, block));
      if (volume(block) <= t.info().max_block_threads) check_ids(t, grid, block, true);
    }
  }
}

FLAGOS_CASE("krn.grid.zero_dim", {.clause = "a zero dimension is OK and does nothing"}) {
  ThreadCounter counter(t);
  for (int axis = 0; axis < 3; ++axis) {
    t.subcase(std::string("grid ") + axis_names[axis]);
    t.ok(counter.launch(along(axis, 0), {4, 1, 1}), "no blocks");
    t.equal(counter.take(), 0, "nothing runs");
    t.subcase(std::string("block ") + axis_names[axis]);
    t.ok(counter.launch({4, 1, 1}, along(axis, 0)), "no threads");
    t.equal(counter.take(), 0, "nothing runs");
  }
  t.subcase("the next launch");
  t.ok(counter.launch({3, 1, 1}, {2, 1, 1}), "six threads");
  t.equal(counter.take(), 6, "they run");
}

FLAGOS_CASE("krn.grid.max", {.clause = "max_grid and max_block"}) {
  // A grid of billions of blocks is only prepared, which checks it as a launch does; large ones are
  // run.
  constexpr std::uint32_t run_at_most = 1u << 18;
  ThreadCounter counter(t);
  const auto& info = t.info();
  for (int axis = 0; axis < 3; ++axis) {
    t.subcase(std::string("grid ") + axis_names[axis] + " of " +
              std::to_string(info.max_grid[axis]));
    const std::uint32_t blocks = std::min(info.max_grid[axis], run_at_most);
    t.ok(counter.launch(along(axis, blocks), {1, 1, 1}), "a large grid");
    t.equal(counter.take(), blocks, "every block runs");
    if (t.has(FLAGOS_FEATURE_PREPARED_LAUNCH)) {
      t.ok(counter.prepare(along(axis, info.max_grid[axis]), {1, 1, 1}),
           "the largest grid is accepted");
    }
    const std::uint32_t threads = std::min(info.max_block[axis], info.max_block_threads);
    t.subcase(std::string("block ") + axis_names[axis] + " of " + std::to_string(threads));
    t.ok(counter.launch({2, 1, 1}, along(axis, threads)), "the largest block");
    t.equal(counter.take(), std::uint64_t{2} * threads, "every thread runs");
  }
}

FLAGOS_CASE("krn.grid.max_plus_1",
            {.clause = "a dimension above the device's limit", .oracle = Oracle::code}) {
  ThreadCounter counter(t);
  const auto& info = t.info();
  for (int axis = 0; axis < 3; ++axis) {
    t.subcase(std::string("grid ") + axis_names[axis]);
    if (info.max_grid[axis] < UINT32_MAX) {
      t.status(counter.launch(along(axis, info.max_grid[axis] + 1), {1, 1, 1}),
               FLAGOS_STATUS_INVALID_ARGUMENT, "one block more than the limit");
    }
    t.subcase(std::string("block ") + axis_names[axis]);
    if (info.max_block[axis] < UINT32_MAX) {
      t.status(counter.launch({1, 1, 1}, along(axis, info.max_block[axis] + 1)),
               FLAGOS_STATUS_INVALID_ARGUMENT, "one thread more than the limit");
    }
  }
  t.ok(counter.launch({2, 1, 1}, {2, 1, 1}), "a launch within the limits");
  t.equal(counter.take(), 4, "only that one ran");
}

FLAGOS_CASE("krn.grid.product_over",
            {.clause = "thread count above the limit", .oracle = Oracle::code}) {
  const auto& info = t.info();
  ThreadCounter counter(t);
  // The smallest block above the limit of which each dimension is allowed.
  std::optional<Dim3> over;
  for (std::uint32_t y = 1; y <= std::min(info.max_block[1], 64u) && !over; ++y) {
    for (std::uint32_t z = 1; z <= std::min(info.max_block[2], 64u) && !over; ++z) {
      const std::uint32_t x = info.max_block_threads / (y * z) + 1;
      if (x <= info.max_block[0]) over = Dim3{x, y, z};
    }
  }
  if (over) {
    t.status(counter.launch({1, 1, 1}, *over), FLAGOS_STATUS_INVALID_ARGUMENT,
             "too many threads in " + text({1, 1, 1}, *over));
  }
  t.ok(counter.launch({1, 1, 1}, {std::min(info.max_block[0], info.max_block_threads), 1, 1}),
       "as many as allowed");
  t.equal(counter.take(), std::min(info.max_block[0], info.max_block_threads),
          "only that launch ran");
}

FLAGOS_CASE("krn.grid.overflow",
            {.clause = "thread count above the limit", .oracle = Oracle::code}) {
  ThreadCounter counter(t);
  for (const Dim3 block :
       {Dim3{0x10000, 0x10000, 1}, Dim3{0x80000000u, 2, 1}, Dim3{0x400000, 0x400000, 0x100000},
        Dim3{0xffffffffu, 0xffffffffu, 0xffffffffu}}) {
    t.subcase(text({1, 1, 1}, block));
    t.status(counter.launch({1, 1, 1}, block), FLAGOS_STATUS_INVALID_ARGUMENT,
             "a product that wraps around");
  }
  t.ok(counter.launch({1, 1, 1}, {1, 1, 1}), "a launch within the limits");
  t.equal(counter.take(), 1, "only that one ran");
}

FLAGOS_CASE("krn.grid.large_linear",
            {.clause = "flagos_kernel_launch", .level = Level::full, .seconds = 300}) {
  constexpr std::uint64_t long_ns = 240'000'000'000u;  // for more threads than any other case has
  const auto& info = t.info();
  ThreadCounter counter(t);
  const std::uint32_t threads = std::min(info.max_block[0], info.max_block_threads);
  const std::uint64_t target =
      t.settings().quick ? std::uint64_t{1} << 26 : (std::uint64_t{1} << 32) + 1;
  const std::uint64_t blocks = target / threads + 1;
  const std::uint64_t x = std::min<std::uint64_t>(blocks, info.max_grid[0]);
  const std::uint64_t y = (blocks + x - 1) / x;
  if (y > info.max_grid[1]) t.not_supported("the device's limits allow no such grid");
  t.ok(counter.launch({static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), 1},
                      {threads, 1, 1}),
       "a launch");
  t.ok(flagos_stream_synchronize(counter.stream(), long_ns), "a wait");
  t.equal(counter.take(), x * y * threads, "every thread ran once");
}

FLAGOS_CASE("krn.shared.static_dynamic", {.clause = "shared_bytes"}) {
  keep_digests_private(t);  // sizes are those of the device
  constexpr std::uint32_t blocks = 9;
  const std::uint32_t most = t.info().max_shared_bytes;
  struct Use {
    const char* name;
    const char* kernel;
    std::uint32_t bytes;  // asked for
    std::uint32_t words;  // used
  };
  const std::vector<Use> uses{
      {"static", "krn_shared_static", 0, 256},
      {"dynamic", "krn_shared_dynamic", std::min(4096u, most), std::min(4096u, most) / 4},
      {"both", "krn_shared_static", 512, 256 + 128},
      {"the most", "krn_shared_dynamic", most, most / 4}};
  Stream stream(t);
  for (const auto& use : uses) {
    t.subcase(use.name);
    const auto seed = static_cast<std::uint32_t>(t.random()());
    Words out(t, 2 * blocks, 0xffffffff);
    launch(t, stream, t.kernel(use.kernel), {blocks, 1, 1}, {1, 1, 1},
           {arg(out.at()), arg_u32(use.words), arg_u32(seed)}, use.bytes);
    stream.synchronize();
    std::vector<std::uint32_t> expected(2 * blocks, 0);
    for (std::uint32_t b = 0; b < blocks; ++b) {
      for (std::uint32_t i = 0; i < use.words; ++i)
        expected[b] += (seed + b) * 2654435761u + i * 40503u;
    }
    equal_words(t, out.read(), expected, "every block has shared memory of its own");
  }
}

FLAGOS_CASE("krn.prepared.shared", {.clause = "flagos_kernel_prepare: shared_bytes",
                                    .level = Level::optional,
                                    .feature = "prepared_launch"}) {
  t.require(FLAGOS_FEATURE_PREPARED_LAUNCH);
  constexpr std::uint32_t blocks = 9, words = 256, seed = 12345;
  if (t.info().max_shared_bytes < 4 * words) t.not_supported("no shared memory of 1 KiB");
  Stream stream(t);
  Words out(t, 2 * blocks, 0xffffffff);
  const std::vector<flagos_argument_t> arguments{arg(out.at()), arg_u32(words), arg_u32(seed)};
  const auto desc = launch_desc({blocks, 1, 1}, {1, 1, 1}, arguments, 4 * words);
  flagos_prepared_t* prepared = nullptr;
  t.ok(flagos_kernel_prepare(t.kernel("krn_shared_dynamic"), &desc, &prepared), "prepare");
  const flagos_status_t launched = flagos_kernel_launch_prepared(stream, prepared);
  const flagos_status_t waited = flagos_stream_synchronize(stream, patience_ns);
  t.ok(flagos_prepared_destroy(prepared), "destroy");
  t.ok(launched, "launch");
  t.ok(waited, "wait");
  std::vector<std::uint32_t> expected(2 * blocks, 0);
  for (std::uint32_t b = 0; b < blocks; ++b)
    for (std::uint32_t i = 0; i < words; ++i) expected[b] += (seed + b) * 2654435761u + i * 40503u;
  equal_words(t, out.read(), expected, "every block has shared memory of its own");
}

FLAGOS_CASE("krn.shared.over_limit",
            {.clause = "shared_bytes above the limit", .oracle = Oracle::code}) {
  ThreadCounter counter(t);
  const std::uint32_t most = t.info().max_shared_bytes;
  t.subcase("one byte more");
  t.status(counter.launch({1, 1, 1}, {1, 1, 1}, most + 1), FLAGOS_STATUS_INVALID_ARGUMENT,
           "one byte above the limit");
  t.subcase("far more");
  t.status(counter.launch({1, 1, 1}, {1, 1, 1}, UINT32_MAX), FLAGOS_STATUS_INVALID_ARGUMENT,
           "far above the limit");
  t.ok(counter.launch({2, 1, 1}, {1, 1, 1}, most), "the limit itself");
  t.equal(counter.take(), 2, "only that launch ran");
}

FLAGOS_CASE("krn.barrier", {.clause = "threads of a block meet"}) {
  const std::uint32_t most = std::min(t.info().max_block[0], t.info().max_block_threads);
  Stream stream(t);
  for (const std::uint32_t wanted : {most, std::min(most, 37u)}) {
    const std::uint32_t threads = std::min(wanted, t.info().max_shared_bytes / 8);
    t.subcase(std::to_string(threads) + " threads");
    constexpr std::uint32_t blocks = 3;
    constexpr std::uint32_t rounds = 50;
    Words out(t, blocks * threads);
    launch(t, stream, t.kernel("krn_barrier"), {blocks, 1, 1}, {threads, 1, 1},
           {arg(out.at()), arg_u32(rounds)}, threads * 8);
    stream.synchronize();
    std::vector<std::uint32_t> expected(std::size_t{blocks} * threads);
    for (std::uint32_t i = 0; i < expected.size(); ++i) {
      const std::uint32_t from = (i % threads + rounds) % threads;
      expected[i] = from * from + rounds;
    }
    equal_words(t, out.read(), expected, "every round sees the round before");
  }
}

}  // namespace flagos::conformance
