// A device that its plugin reports lost: who is told, what still works, and how it comes back.
#include <doctest/doctest.h>

#include <string>
#include <thread>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;
using flagos::core::test::FakeTables;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;
constexpr flagos_status_t ok = FLAGOS_STATUS_OK;

int recoveries = 0;

FakeOptions with_recover() {
  FakeOptions options;
  options.change = [](FakeTables& tables) {
    tables.device.recover = [](flagos_plugin_device_t*) {
      ++recoveries;
      return ok;
    };
  };
  return options;
}

void lose(Fake& f, flagos_stream_t* stream, flagos_status_t status) {
  fake().lose = status;
  REQUIRE(f.append(stream, 1) == ok);
  while (flagos_device_query_status(f.device()) == ok) std::this_thread::yield();
}

bool told(const char* part) { return std::string(flagos_last_error()).find(part) != std::string::npos; }

}  // namespace

TEST_CASE("device: everybody who uses a lost one is told so") {
  for (const auto& [reported, expected] :
       {std::pair<flagos_status_t, flagos_status_t>{FLAGOS_STATUS_DEVICE_LOST, FLAGOS_STATUS_DEVICE_LOST},
        {FLAGOS_STATUS_EXECUTION_FAILED, FLAGOS_STATUS_EXECUTION_FAILED},
        {FLAGOS_STATUS_TIMEOUT, FLAGOS_STATUS_DEVICE_LOST},
        {12345, FLAGOS_STATUS_DEVICE_LOST}}) {
    Fake f;
    flagos_stream_t* const stream = f.stream();
    flagos_timeline_t* const timeline = f.timeline();
    const flagos_address_t memory = f.alloc(256);
    flagos_status_t waited = ok;
    std::thread waiter([&] {
      const std::uint64_t value = 1;
      waited = flagos_timeline_wait(1, &timeline, &value, FLAGOS_WAIT_MODE_ALL, forever, nullptr);
    });
    lose(f, stream, reported);
    waiter.join();
    CHECK(waited == expected);
    CHECK(flagos_device_query_status(f.device()) == expected);
    CHECK(flagos_memory_fill(stream, memory, "x", 1, 256) == expected);
    CHECK(told("is lost; close and open it"));
    flagos_address_t address = 0;
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = 16;
    CHECK(flagos_memory_alloc(f.device(), &desc, &address) == expected);
    CHECK(flagos_stream_begin_capture(stream) == expected);
    // What it lost with stays, and what it held can be given back.
    fake().lose = FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
    CHECK(flagos_memory_free(f.device(), memory) == ok);
    CHECK(flagos_device_query_status(f.device()) == expected);
    CHECK(flagos_device_recover(f.device()) == FLAGOS_STATUS_UNSUPPORTED);
    CHECK(told("recover; close it and open it again"));
    fake().lose = ok;
    // The other device of the plugin knows nothing of it.
    flagos_device_t* const other = f.open(1);
    CHECK(flagos_device_query_status(other) == ok);
    CHECK(flagos_device_close(other) == ok);
  }
}

TEST_CASE("device: work that core holds back for a lost one is dropped") {
  Fake f;
  flagos_stream_t* const stream = f.stream();
  flagos_stream_t* const held = f.stream();
  flagos_timeline_t* const timeline = f.timeline();
  REQUIRE(flagos_stream_wait_timeline(held, timeline, 1) == ok);
  REQUIRE(f.append(held, 7) == ok);
  lose(f, stream, FLAGOS_STATUS_DEVICE_LOST);
  CHECK(flagos_stream_synchronize(held, forever) == FLAGOS_STATUS_DEVICE_LOST);
  CHECK(fake().trail() == std::vector<std::uint32_t>{1});
}

TEST_CASE("device: a lost one is recovered and works again") {
  Fake f(with_recover());
  recoveries = 0;
  CHECK(flagos_device_recover(f.device()) == ok);
  CHECK(recoveries == 0);  // there was nothing to do
  flagos_stream_t* const lost_stream = f.stream();
  lose(f, lost_stream, FLAGOS_STATUS_DEVICE_LOST);
  CHECK(flagos_device_recover(f.device()) == ok);
  CHECK(recoveries == 1);
  CHECK(flagos_device_query_status(f.device()) == ok);
  flagos_stream_t* const stream = f.stream();
  CHECK(f.append(stream, 3) == ok);
  CHECK(flagos_stream_synchronize(stream, forever) == ok);
  CHECK(fake().trail() == std::vector<std::uint32_t>{1, 3});
}
