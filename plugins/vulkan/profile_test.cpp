#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "plugins/vulkan/test_plugin.hpp"

namespace flagos::vulkan::test {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

struct AddArguments {
  std::uint64_t target;
  std::uint32_t count;
  std::uint32_t more;
};

// A device whose profiler is on.
struct ProfiledDevice : TestDevice {
  explicit ProfiledDevice(const Config& config = {}) : TestDevice(config) { enable(true); }
  void enable(bool enabled) { REQUIRE(api.profiling->enable(get(), enabled ? 1 : 0) == ok); }
  void add(flagos_plugin_stream_t* stream, std::uint64_t target) {
    REQUIRE(launch(stream, "test_add", AddArguments{target, 64, 1}, 1, 64) == ok);
  }
  std::vector<flagos_record_t> finish(flagos_plugin_stream_t* stream) {
    REQUIRE(wait(stream) == ok);
    return host.take_records();
  }
};

void check_times(const std::vector<flagos_record_t>& records) {
  std::uint64_t last_ns = 1;
  for (const flagos_record_t& record : records) {
    CHECK(record.queued_ns <= record.submitted_ns);
    CHECK(record.submitted_ns <= record.started_ns);
    CHECK(record.started_ns <= record.ended_ns);
    CHECK(record.started_ns >= last_ns);
    CHECK(record.padding == 0);
    last_ns = record.ended_ns;
  }
}

void run_of_all_kinds(const Config& config) {
  ProfiledDevice device(config);
  flagos_plugin_stream_t* const stream = device.stream();
  const std::uint64_t one = device.alloc(4096), two = device.alloc(4096);
  std::vector<std::uint32_t> words(1024, 3);
  const std::uint32_t pattern = 7;
  static bool called;
  called = false;
  device.add(stream, one);
  REQUIRE(device.api.memory->fill(stream, one, &pattern, 4, 4096) == ok);
  REQUIRE(device.copy(stream, two, one, 4096) == ok);
  REQUIRE(device.copy(stream, two + 4, two, 1000) == ok);  // overlaps: two commands of the driver's
  REQUIRE(device.copy(stream, two, two, 1000) == ok);      // none
  REQUIRE(device.copy(stream, one, address_of(words.data()), 4096) == ok);
  REQUIRE(device.api.stream->launch_host(
              stream, [](void*, flagos_status_t) { called = true; }, nullptr) == ok);
  REQUIRE(device.launch(stream, "test_fail", std::int32_t{0}, 1, 1) == ok);
  const auto records = device.finish(stream);
  CHECK(called);
  const struct {
    flagos_record_kind_t kind;
    const char* name;
    std::uint64_t size_bytes;
  } expected[] = {
      {FLAGOS_RECORD_KIND_KERNEL, "test_add", 0}, {FLAGOS_RECORD_KIND_FILL, "fill", 4096},
      {FLAGOS_RECORD_KIND_COPY, "copy", 4096},    {FLAGOS_RECORD_KIND_COPY, "copy", 1000},
      {FLAGOS_RECORD_KIND_COPY, "copy", 1000},    {FLAGOS_RECORD_KIND_COPY, "copy", 4096},
      {FLAGOS_RECORD_KIND_HOST, "host", 0},       {FLAGOS_RECORD_KIND_KERNEL, "test_fail", 0}};
  REQUIRE(records.size() == std::size(expected));
  for (std::size_t i = 0; i < records.size(); ++i) {
    CAPTURE(i);
    CHECK(records[i].kind == expected[i].kind);
    CHECK(std::string(records[i].name) == expected[i].name);
    CHECK(records[i].size_bytes == expected[i].size_bytes);
    CHECK(records[i].stream_id == records[0].stream_id);
    if (i > 0) CHECK(records[i].correlation_id > records[i - 1].correlation_id);
  }
  check_times(records);
}

TEST_CASE("profile: a record for every operation, whoever does it") { run_of_all_kinds({}); }

TEST_CASE("profile: the same where copies are staged") {
  run_of_all_kinds({{"FLAGOS_VULKAN_STAGING", "1"}});
}

TEST_CASE("profile: more operations than a batch holds, on two streams") {
  ProfiledDevice device;
  flagos_plugin_stream_t* const streams[2] = {device.stream(), device.stream()};
  const std::uint64_t memory = device.alloc(4096);
  constexpr std::size_t count = 300;
  for (std::size_t i = 0; i < count; ++i) {
    device.add(streams[0], memory);
    device.add(streams[1], memory + 1024);
  }
  REQUIRE(device.wait(streams[0]) == ok);
  const auto records = device.finish(streams[1]);
  REQUIRE(records.size() == 2 * count);
  for (const std::uint64_t id : {records.front().stream_id, records.front().stream_id ^ 1}) {
    std::vector<flagos_record_t> own;
    std::set<std::uint64_t> correlations;
    for (const flagos_record_t& record : records) {
      const bool is_first = record.stream_id == records.front().stream_id;
      if (is_first != (id == records.front().stream_id)) continue;
      own.push_back(record);
      correlations.insert(record.correlation_id);
    }
    CHECK(own.size() == count);
    CHECK(correlations.size() == count);
    check_times(own);
  }
}

TEST_CASE("profile: what is between begin and end of a launch shares its correlation") {
  ProfiledDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  const std::uint64_t memory = device.alloc(4096);
  device.add(stream, memory);
  for (int i = 0; i < 2; ++i) {
    device.api.profiling->begin_launch(stream);
    device.add(stream, memory);
    device.add(stream, memory);
    device.api.profiling->end_launch(stream);
  }
  device.add(stream, memory);
  const auto records = device.finish(stream);
  REQUIRE(records.size() == 6);
  const auto id = [&](std::size_t i) { return records[i].correlation_id; };
  CHECK(id(0) < id(1));
  CHECK(id(1) == id(2));
  CHECK(id(2) < id(3));
  CHECK(id(3) == id(4));
  CHECK(id(4) < id(5));
}

TEST_CASE("profile: only what is submitted while it is on, on the clock that is shown") {
  ProfiledDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  const std::uint64_t memory = device.alloc(4096);
  device.enable(false);
  device.add(stream, memory);
  CHECK(device.finish(stream).empty());
  device.enable(true);
  std::uint64_t before_ns = 0, after_ns = 0, host_before_ns = 0, host_after_ns = 0;
  REQUIRE(device.api.profiling->get_clock(device.get(), &before_ns, &host_before_ns) == ok);
  device.add(stream, memory);
  const auto records = device.finish(stream);
  REQUIRE(device.api.profiling->get_clock(device.get(), &after_ns, &host_after_ns) == ok);
  REQUIRE(records.size() == 1);
  CHECK(records[0].started_ns >= before_ns);
  CHECK(records[0].ended_ns <= after_ns);
  CHECK(host_before_ns < host_after_ns);
  device.add(stream, memory);
  device.enable(false);
  device.add(stream, memory);
  CHECK(device.finish(stream).size() == 1);
}

TEST_CASE(
    "profile: an operation that is refused leaves no record, and those behind it have theirs") {
  ProfiledDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  const std::uint64_t memory = device.alloc(4096);
  device.add(stream, memory);
  REQUIRE(device.launch(stream, "test_fail", std::int32_t{FLAGOS_STATUS_EXECUTION_FAILED}, 1, 1) ==
          ok);
  device.api.memory->fill(stream, memory, "x", 1, 64);  // perhaps refused, never run
  CHECK(device.wait(stream) == FLAGOS_STATUS_EXECUTION_FAILED);
  REQUIRE(device.api.stream->reset(stream) == ok);
  const auto before = device.host.take_records();
  REQUIRE(before.size() == 2);
  CHECK(std::string(before[1].name) == "test_fail");
  device.add(stream, memory);
  const auto behind = device.finish(stream);
  REQUIRE(behind.size() == 1);
  CHECK(behind[0].started_ns >= before[1].ended_ns);
}

}  // namespace
}  // namespace flagos::vulkan::test
