// Times of collectives and of copies between devices, for the report.
#include <cstring>

#include "conformance/cases/coll_support.hpp"
#include "conformance/cases/perf.hpp"
#include "conformance/cases/sites.hpp"

namespace flagos::conformance {

using namespace coll;

namespace {

constexpr std::uint64_t kib = 1024, mib = 1024 * 1024;

std::vector<std::uint64_t> sizes(Context& t) {
  if (t.settings().quick) return {4 * kib, mib};
  return {4 * kib, 64 * kib, mib, 16 * mib};
}

struct Row {
  const char* name;
  flagos_collective_operation_t operation;
  Function function;
  // Of the bytes that the operation is told, how many cross each rank's link: the formulae of nccl-tests.
  double (*share)(double ranks);
};

double twice(double ranks) { return 2 * (ranks - 1) / ranks; }
double once(double ranks) { return (ranks - 1) / ranks; }

constexpr Row rows[] = {
    {"all_reduce", FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, flagos_collective_all_reduce, twice},
    {"reduce_scatter", FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER, flagos_collective_reduce_scatter,
     once},
    {"all_gather", FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER, flagos_collective_all_gather, once},
    {"all_to_all", FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL, flagos_collective_all_to_all, once},
};

// What rank 0 must have after the operation on values_of() of every rank, in blocks of `count`.
std::vector<std::uint8_t> result_of(const Row& row, std::uint32_t size, std::uint64_t count) {
  constexpr auto dtype = FLAGOS_DTYPE_FLOAT32;
  if (row.operation == FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE ||
      row.operation == FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER)
    return reduced_values(size, 0, count, dtype, 0);
  std::vector<std::uint8_t> all;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    const auto block = values_of(rank, count, dtype);
    all.insert(all.end(), block.begin(), block.end());
  }
  return all;
}

}  // namespace

FLAGOS_CASE("perf.coll.algbw_busbw", (options_of("flagos_collective_*: bandwidth", Oracle::stat))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_FLOAT32);
  constexpr std::uint32_t size = 2;
  for (const std::uint64_t bytes : sizes(t)) {
    Ranks ranks(t, size, bytes);
    for (const Row& row : rows) {
      if (!takes(t, row.operation, FLAGOS_DTYPE_FLOAT32)) continue;
      t.subcase(std::string(row.name) + ", " + size_name(bytes));
      // As nccl-tests counts: the larger of source and target has `bytes`.
      const bool is_whole = row.operation == FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE;
      const std::uint64_t count = bytes / 4 / (is_whole ? 1 : size);
      for (std::uint32_t i = 0; i < size; ++i)
        ranks.source(i).write(values_of(i, bytes / 4, FLAGOS_DTYPE_FLOAT32));
      const auto descs = ranks.descs(FLAGOS_DTYPE_FLOAT32, count);
      std::vector<double> bus;
      const auto figures = take_samples(repeats(t, 20, 3), [&] {
        const double rate =
            static_cast<double>(bytes) / 1e9 / seconds_of([&] { ranks.run(row.function, descs); });
        bus.push_back(rate * row.share(size));
        return rate;
      });
      const auto wanted = result_of(row, size, count);
      t.equal_bytes(ranks.target(0).read(0, wanted.size()), wanted, "the result of the last one");
      bus.erase(bus.begin());
      measure(t, "algorithm", "GB/s", figures);
      measure(t, "bus", "GB/s", bus);
    }
  }
}

FLAGOS_CASE("perf.coll.latency",
            (options_of("flagos_collective_all_reduce: time of one number", Oracle::stat))) {
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_UINT32);
  const std::uint32_t calls = repeats(t, 200, 20);
  for (const std::uint32_t size : {3u, 5u}) {  // odd: sums of sums never become 0
    t.subcase(std::to_string(size) + " ranks");
    Ranks ranks(t, size);
    auto descs = ranks.descs(FLAGOS_DTYPE_UINT32, 1);
    for (std::uint32_t i = 0; i < size; ++i) {
      ranks.source(i).write(encoded({i + 1}, FLAGOS_DTYPE_UINT32));
      descs[i].target = descs[i].source;
    }
    std::uint32_t sums = 0;
    FirstFailure failure;
    const auto figures = take_samples(repeats(t, 20, 3), [&] {
      sums += calls;
      return seconds_of([&] {
               in_threads(size, [&](std::uint32_t i) {
                 for (std::uint32_t n = 0; n < calls; ++n)
                   failure.note(flagos_collective_all_reduce(ranks.communicator(i), ranks.stream(i),
                                                             &descs[i]));
                 failure.note(flagos_stream_synchronize(ranks.stream(i), patience_ns));
               });
             }) *
             1e6 / calls;
    });
    t.ok(failure.status(), "every call");
    // The first sum is of 1 .. size; each later one is of equal numbers.
    std::uint32_t wanted = size * (size + 1) / 2;
    for (std::uint32_t n = 1; n < sums; ++n) wanted *= size;
    for (std::uint32_t i = 0; i < size; ++i)
      t.equal_bytes(ranks.source(i).read(0, 4), encoded({wanted}, FLAGOS_DTYPE_UINT32),
                    "the sums, all of them");
    measure(t, "each, one behind the other", "us", figures);
  }
}

FLAGOS_CASE("perf.peer.bw", {.clause = "flagos_memory_copy_peer: bandwidth of each pair",
                             .level = Level::full,
                             .oracle = Oracle::stat,
                             .feature = "peer_copy"}) {
  const std::uint32_t count = device_count(t);
  for (const std::uint64_t size : sizes(t)) {
    for (std::uint32_t from = 0; from < count; ++from) {
      for (std::uint32_t to = 0; to < count; ++to) {
        // A device that is alone copies between two openings of it.
        if (from == to && count > 1) continue;
        t.subcase("device " + std::to_string(from) + " to " + std::to_string(to) + ", " +
                  size_name(size));
        Site source(t, from, size), target(t, to, size);
        const auto bytes = t.random_bytes(size);
        source.write(bytes);
        t.equal_bytes(source.read(), bytes, "what is to be copied");
        const auto figures = take_samples(repeats(t, 20, 3), [&] {
          return static_cast<double>(size) / 1e9 / seconds_of([&] {
                   t.ok(copy_peer(source, target, source, size), "flagos_memory_copy_peer");
                   source.synchronize();
                 });
        });
        t.equal_bytes(target.read(), bytes, "the bytes of the last copy");
        measure(t, "copy", "GB/s", figures);
      }
    }
  }
}

}  // namespace flagos::conformance
