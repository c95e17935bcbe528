// Values in memory that streams wait for.
#include <flagos.h>

#include <string>

#include "conformance/case.hpp"
#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

constexpr std::uint64_t a_moment_ns = 10'000'000;

struct Step {
  std::uint64_t written;
  bool releases;
};

// One wait: it holds its stream at each value that does not do, and lets it go on at the one that does.
void check_wait(Context& t, std::uint32_t size, flagos_compare_t compare, std::uint64_t wanted,
                const std::vector<Step>& steps) {
  t.subcase(std::string(compare == FLAGOS_COMPARE_EQUAL ? "equal " : "greater or equal ") +
            std::to_string(wanted) + " of " + std::to_string(size) + " bytes");
  Stream waits(t), writes(t);
  Buffer value(t, 16), target(t, 4);
  const std::uint64_t other = 0xfefefefefefefefe;
  fill(t, writes, value.address(), std::uint8_t{0}, 16);
  t.ok(flagos_stream_write_value(writes, value.address(8), other, 8), "what lies behind it");
  fill(t, writes, target.address(), std::uint32_t{0}, 4);
  synchronize(t, writes);
  t.ok(flagos_stream_wait_value(waits, value.address(), wanted, size, compare), "wait for a value");
  fill(t, waits, target.address(), std::uint32_t{7}, 4);
  for (const Step& step : steps) {
    t.ok(flagos_stream_write_value(writes, value.address(), step.written, size), "write a value");
    synchronize(t, writes);
    if (step.releases) break;
    t.status(flagos_stream_synchronize(waits, a_moment_ns), FLAGOS_STATUS_TIMEOUT,
             "the stream is held at " + std::to_string(step.written));
  }
  synchronize(t, waits);
  t.equal(target.read(0, 1)[0], 7, "the work behind the wait");
}

}  // namespace

FLAGOS_CASE("stream.value.waits",
            {.clause = "flagos_stream_wait_value holds its stream until the value is there",
             .level = Level::optional,
             .oracle = Oracle::live,
             .feature = "stream_value"}) {
  require_concurrent(t);
  constexpr auto equal = FLAGOS_COMPARE_EQUAL, at_least = FLAGOS_COMPARE_GREATER_EQUAL;
  check_wait(t, 4, equal, 5, {{4, false}, {6, false}, {5, true}});
  check_wait(t, 8, equal, 0x500000005,
             {{5, false}, {0x500000004, false}, {0x500000006, false}, {0x500000005, true}});
  check_wait(t, 4, at_least, 5, {{1, false}, {4, false}, {5, true}});
  check_wait(t, 4, at_least, 5, {{4, false}, {0x7fffffff, true}});
  check_wait(t, 8, at_least, 0x500000005, {{0x500000004, false}, {0x500000006, true}});
}

FLAGOS_CASE("stream.value.writes", {.clause = "flagos_stream_write_value: every value, in order",
                                    .level = Level::optional,
                                    .feature = "stream_value"}) {
  Stream stream(t);
  Buffer values(t, 64 * 8);
  std::vector<std::uint8_t> expected(64 * 8, Buffer::poison);
  for (std::uint32_t i = 0; i < 64; ++i) {
    const std::uint64_t value = t.random()();
    const std::uint32_t size = i % 2 == 0 ? 8 : 4;
    t.ok(flagos_stream_write_value(stream, values.address(i * 8), value, size),
         "write value " + std::to_string(i));
    std::memcpy(expected.data() + i * 8, &value, size);
  }
  synchronize(t, stream);
  t.equal_bytes(values.read(), expected, "the values");
}

}  // namespace flagos::conformance
