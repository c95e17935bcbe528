// Work behind launches that may fail, and behind waits for streams that hold work back.
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "plugins/opencl/test_plugin.hpp"

namespace flagos::opencl::test {
namespace {

constexpr flagos_status_t bad = FLAGOS_STATUS_EXECUTION_FAILED;

struct StepArguments {
  std::uint64_t data;
  std::uint32_t factor;
  std::uint32_t value;
};
struct SlowArguments {
  std::uint32_t turns;
  flagos_status_t status;
};
// Long enough for what follows to be submitted meanwhile.
constexpr std::uint32_t many_turns = 2'000'000;

flagos_status_t launch_slow(TestDevice& device, flagos_plugin_stream_t* stream,
                            flagos_status_t status) {
  return device.launch(stream, "test_fail_slowly", SlowArguments{many_turns, status});
}

TEST_CASE("held work: what it reports as failed poisons its stream, and nothing behind it runs") {
  if (!has_device()) return;
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t data = device.alloc(4);
  for (int round = 0; round < 50; ++round) {
    flagos_plugin_stream_t* failing = device.stream();
    flagos_plugin_event_t* event = device.event();
    REQUIRE(launch_slow(device, failing, bad) == FLAGOS_STATUS_OK);
    const flagos_status_t behind = device.launch(failing, "test_step", StepArguments{data, 1, 1});
    CHECK((behind == FLAGOS_STATUS_OK || behind == bad));
    const flagos_status_t recorded = device.api.event->record(event, failing);
    CHECK((recorded == FLAGOS_STATUS_OK || recorded == bad));
    CHECK(device.api.event->synchronize(event, forever) == bad);
    CHECK(device.api.stream->synchronize(failing, forever) == bad);
    CHECK(device.host.last_error().find("test_fail_slowly") != std::string::npos);
    CHECK(device.launch(failing, "test_step", StepArguments{data, 1, 1}) == bad);
    // One that reports nothing is like any other.
    REQUIRE(device.launch(stream, "test_fail", FLAGOS_STATUS_OK) == FLAGOS_STATUS_OK);
    CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  }
  CHECK(device.read(stream, data, 1)[0] == 0);
}

TEST_CASE("held work: launches, fills and copies run in order, with what they were called with") {
  if (!has_device()) return;
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t data = device.alloc(64), other = device.alloc(64);
  std::vector<std::uint32_t> read(16), rows(4);
  REQUIRE(launch_slow(device, stream, FLAGOS_STATUS_OK) == FLAGOS_STATUS_OK);
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i < 200; ++i) {
    StepArguments arguments{data, 3, i};
    REQUIRE(device.launch(stream, "test_step", arguments) == FLAGOS_STATUS_OK);
    arguments = {0, 0, 0};
    if (i % 50 == 7)
      REQUIRE(device.launch(stream, "test_fail", FLAGOS_STATUS_OK) == FLAGOS_STATUS_OK);
    expected = expected * 3 + i;
  }
  std::array<std::uint16_t, 1> pattern = {0x0102};
  CHECK(device.api.memory->fill(stream, data + 4, pattern.data(), 2, 8) == FLAGOS_STATUS_OK);
  pattern = {0};
  CHECK(device.api.memory->copy(stream, other, data, 64) == FLAGOS_STATUS_OK);
  CHECK(device.api.memory->copy(stream, address_of(read.data()), other, 64) == FLAGOS_STATUS_OK);
  flagos_copy_2d_desc_t rectangle{};
  rectangle.struct_size = sizeof(rectangle);
  rectangle.target = address_of(rows.data());
  rectangle.target_pitch_bytes = 8;
  rectangle.source = other;
  rectangle.source_pitch_bytes = 16;
  rectangle.width_bytes = 8;
  rectangle.height = 2;
  CHECK(device.api.memory->copy_2d(stream, &rectangle) == FLAGOS_STATUS_OK);
  rectangle = {};
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(read[0] == expected);
  CHECK(read[1] == 0x01020102);
  CHECK(read[2] == 0x01020102);
  CHECK(read[3] == 0);
  CHECK(rows == std::vector<std::uint32_t>{expected, 0x01020102, 0, 0});
}

TEST_CASE("held work: prepared launches too") {
  if (!has_device()) return;
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t data = device.alloc(4);
  const StepArguments arguments{data, 2, 1};
  const flagos_status_t good = FLAGOS_STATUS_OK;
  const flagos_launch_desc_t descs[2] = {launch_desc(&arguments, sizeof(arguments)),
                                         launch_desc(&good, sizeof(good))};
  flagos_plugin_prepared_t *step = nullptr, *may_fail = nullptr;
  REQUIRE(device.api.kernel->prepare(device.kernel("test_step"), &descs[0], &step) ==
          FLAGOS_STATUS_OK);
  REQUIRE(device.api.kernel->prepare(device.kernel("test_fail"), &descs[1], &may_fail) ==
          FLAGOS_STATUS_OK);
  for (int i = 0; i < 20; ++i) {
    CHECK(device.api.kernel->launch_prepared(stream, may_fail) == FLAGOS_STATUS_OK);
    CHECK(device.api.kernel->launch_prepared(stream, step) == FLAGOS_STATUS_OK);
  }
  CHECK(device.read(stream, data, 1)[0] == (1u << 20) - 1);
  device.api.kernel->destroy_prepared(step);
  device.api.kernel->destroy_prepared(may_fail);
}

TEST_CASE("held work: a launch that cannot be is refused at once all the same") {
  if (!has_device()) return;
  TestDevice device(Config{{"FLAGOS_OPENCL_MEMORY", "buffer"}});
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t data = device.alloc(4);
  REQUIRE(launch_slow(device, stream, FLAGOS_STATUS_OK) == FLAGOS_STATUS_OK);
  CHECK(device.launch(stream, "test_step", StepArguments{0x1234, 1, 1}) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.host.last_error().find("0x1234") != std::string::npos);
  CHECK(device.launch(stream, "test_step", StepArguments{data, 1, 4}) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, data, 1)[0] == 4);
}

TEST_CASE("held work: other streams wait for a record that is held back") {
  if (!has_device()) return;
  TestDevice device;
  const std::uint64_t data = device.alloc(4);
  for (const flagos_status_t status : std::array{flagos_status_t{FLAGOS_STATUS_OK}, bad}) {
    CAPTURE(status);
    flagos_plugin_stream_t *first = device.stream(), *second = device.stream(),
                           *third = device.stream();
    flagos_plugin_event_t *a = device.event(), *b = device.event();
    REQUIRE(launch_slow(device, first, status) == FLAGOS_STATUS_OK);
    const flagos_status_t behind = device.launch(first, "test_step", StepArguments{data, 0, 2});
    CHECK((behind == FLAGOS_STATUS_OK || behind == status));
    const flagos_status_t recorded = device.api.event->record(a, first);
    CHECK((recorded == FLAGOS_STATUS_OK || recorded == status));
    // Over two streams, of which neither has a launch that may fail.
    CHECK(device.api.stream->wait_event(second, a) == FLAGOS_STATUS_OK);
    CHECK(device.launch(second, "test_step", StepArguments{data, 3, 1}) == FLAGOS_STATUS_OK);
    CHECK(device.api.event->record(b, second) == FLAGOS_STATUS_OK);
    CHECK(device.api.stream->wait_event(third, b) == FLAGOS_STATUS_OK);
    // The wait was for the record before it.
    CHECK(device.api.event->record(b, second) == FLAGOS_STATUS_OK);
    CHECK(device.launch(third, "test_step", StepArguments{data, 5, 0}) == FLAGOS_STATUS_OK);
    // A failure stays in its stream.
    CHECK(device.read(third, data, 1)[0] == (status == FLAGOS_STATUS_OK ? 35 : 5 * (35 * 3 + 1)));
    CHECK(device.api.event->synchronize(b, forever) == FLAGOS_STATUS_OK);
    CHECK(device.api.event->synchronize(a, forever) == status);
    CHECK(device.api.stream->synchronize(first, forever) == status);
  }
}

TEST_CASE("held work: waits that only ask say that it is not done, and it gets done by itself") {
  if (!has_device()) return;
  TestDevice device;
  if ((device.info(0).capabilities & FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS) == 0) {
    MESSAGE("one stream runs at a time on this device: nothing could end the kernel that waits");
    return;
  }
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_event_t *start = device.event(), *end = device.event();
  const std::uint64_t flag = device.alloc(4, FLAGOS_MEMORY_KIND_DEVICE);
  flagos_plugin_stream_t* other = device.stream();
  // Held open until the other stream writes the flag.
  REQUIRE(device.launch(stream, "test_wait_and_fail", flag) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->record(start, stream) == FLAGOS_STATUS_OK);
  CHECK(device.launch_bytes(stream, "test_empty", nullptr, 0) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->record(end, stream) == FLAGOS_STATUS_OK);
  std::int64_t elapsed = -1;
  CHECK(device.api.event->synchronize(end, 0) == FLAGOS_STATUS_TIMEOUT);
  CHECK(device.api.event->synchronize(end, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  CHECK(device.api.stream->synchronize(stream, 0) == FLAGOS_STATUS_TIMEOUT);
  CHECK(device.api.stream->synchronize(stream, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  CHECK(device.api.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_NOT_READY);
  const std::uint32_t one = 1;
  CHECK(device.api.memory->copy(other, flag, address_of(&one), 4) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->synchronize(end, forever) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_OK);
  CHECK(elapsed >= 0);
  CHECK(device.api.stream->synchronize(stream, 0) == FLAGOS_STATUS_OK);
}

}  // namespace
}  // namespace flagos::opencl::test
