#include "core/profiler.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "core/test_graph.hpp"
#include "core/test_plugin.hpp"

using flagos::core::test::Fake;
using flagos::core::test::FakeOptions;
using flagos::core::test::GraphMaker;

namespace {

struct Drained {
  std::vector<flagos_record_t> records;
  std::uint64_t dropped = 0;
};

Drained drain(flagos_profiler_t* profiler, std::uint64_t capacity) {
  Drained drained;
  drained.records.resize(capacity);
  std::uint64_t count = 0;
  REQUIRE(flagos_profiler_drain(profiler, capacity, drained.records.data(), &count, &drained.dropped) ==
          FLAGOS_STATUS_OK);
  drained.records.resize(count);
  return drained;
}

}  // namespace

TEST_CASE("records come out oldest first, and what does not fit is counted") {
  FakeOptions options;
  options.profiling = true;
  Fake f(options);
  flagos_profiler_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.capacity = 100;
  flagos_profiler_t* profiler = nullptr;
  REQUIRE(flagos_profiler_create(f.device(), &desc, &profiler) == FLAGOS_STATUS_OK);
  flagos_profiler_t* second = nullptr;
  CHECK(flagos_profiler_create(f.device(), &desc, &second) == FLAGOS_STATUS_BUSY);
  flagos_stream_t* stream = f.stream();
  for (std::uint32_t i = 0; i < 150; ++i) REQUIRE(f.append(stream, i) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
  // A record follows the completion of its operation.
  Drained all;
  while (all.records.size() + all.dropped < 150) {
    Drained some = drain(profiler, 70);
    all.records.insert(all.records.end(), some.records.begin(), some.records.end());
    all.dropped += some.dropped;
  }
  CHECK(all.records.size() >= 100);
  for (std::size_t i = 0; i < all.records.size(); ++i) {
    CHECK(std::string(all.records[i].name) == "append");
    if (i > 0) CHECK(all.records[i].queued_ns >= all.records[i - 1].queued_ns);
  }
  REQUIRE(flagos_profiler_enable(profiler, 0) == FLAGOS_STATUS_OK);
  CHECK(flagos_profiler_enable(profiler, 2) == FLAGOS_STATUS_INVALID_ARGUMENT);
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
  CHECK(drain(profiler, 10).records.empty());
  REQUIRE(flagos_profiler_destroy(profiler) == FLAGOS_STATUS_OK);
  CHECK(flagos_profiler_create(f.device(), nullptr, &profiler) == FLAGOS_STATUS_OK);
  std::uint64_t device_ns = 0, host_ns = 0;
  CHECK(flagos_profiler_get_clock(f.device(), &device_ns, &host_ns) == FLAGOS_STATUS_OK);
  CHECK(host_ns != 0);
}

namespace {

// How many records there are of each correlation, in the order of the stream.
std::vector<std::uint64_t> correlations(flagos_profiler_t* profiler, std::uint64_t expected) {
  std::map<std::uint64_t, std::uint64_t> counts;
  for (std::uint64_t seen = 0; seen < expected;) {
    for (const flagos_record_t& record : drain(profiler, 64).records) {
      ++counts[record.correlation_id];
      ++seen;
    }
  }
  std::vector<std::uint64_t> sizes;
  sizes.reserve(counts.size());
  for (const auto& [id, count] : counts) sizes.push_back(count);
  return sizes;
}

}  // namespace

TEST_CASE("the nodes of a replayed graph share a correlation, also when the launch is held back") {
  FakeOptions options;
  options.profiling = true;
  Fake f(options);
  GraphMaker g(f);
  for (std::uint32_t i = 0; i < 3; ++i) g.append(i);
  flagos_graph_exec_t* exec = g.instantiate();
  flagos_profiler_t* profiler = nullptr;
  REQUIRE(flagos_profiler_create(f.device(), nullptr, &profiler) == FLAGOS_STATUS_OK);
  flagos_stream_t* stream = f.stream();
  REQUIRE(f.append(stream, 10) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(stream, 11) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  CHECK(correlations(profiler, 8) == std::vector<std::uint64_t>{1, 3, 1, 3});

  flagos_timeline_t* timeline = nullptr;
  REQUIRE(flagos_timeline_create(f.device(), 0, &timeline) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_wait_timeline(stream, timeline, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(stream, 12) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_timeline_signal(timeline, 1) == FLAGOS_STATUS_OK);
  CHECK(correlations(profiler, 4) == std::vector<std::uint64_t>{3, 1});
}

TEST_CASE("a device without profiling says so") {
  Fake f;
  flagos_profiler_t* profiler = nullptr;
  CHECK(flagos_profiler_create(f.device(), nullptr, &profiler) == FLAGOS_STATUS_UNSUPPORTED);
  std::uint64_t device_ns = 0, host_ns = 0;
  CHECK(flagos_profiler_get_clock(f.device(), &device_ns, &host_ns) == FLAGOS_STATUS_UNSUPPORTED);
}

TEST_CASE("a profiler of more records than memory could hold is refused") {
  FakeOptions options;
  options.profiling = true;
  Fake f(options);
  flagos_profiler_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.capacity = UINT64_MAX;
  flagos_profiler_t* profiler = nullptr;
  CHECK(flagos_profiler_create(f.device(), &desc, &profiler) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(profiler == nullptr);
}
