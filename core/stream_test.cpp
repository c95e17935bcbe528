// Streams: a reset beside threads that wait.
#include "core/stream.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeControls;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

TEST_CASE("a reset without the plugin's own keeps the failed stream for who is just going to wait for it") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  REQUIRE(f.launch(stream, "fail") == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(std::string(flagos_last_error()) ==
        "work on the stream failed with FLAGOS_STATUS_EXECUTION_FAILED: the stream failed; see "
        "flagos_stream_reset");
  REQUIRE(fake().live_streams == 1);

  // A thread has found the plugin's stream and has not looked at it yet.
  fake().stop_wait = FakeControls::Stop::wanted;
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::thread waiting([&] { status = flagos_stream_synchronize(stream, forever); });
  while (fake().stop_wait != FakeControls::Stop::reached) pause();
  CHECK(flagos_stream_reset(stream) == FLAGOS_STATUS_OK);
  CHECK(f.append(stream, 1) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().live_streams == 2);

  fake().stop_wait = FakeControls::Stop::none;
  waiting.join();
  CHECK(status == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(fake().live_streams == 1);
  CHECK(fake().trail() == std::vector<std::uint32_t>{1});
}

TEST_CASE("a stream that was waited for stays complete beside what core records in it for itself") {
  Fake f;
  flagos_stream_t *stream = f.stream(), *other = f.stream();
  flagos_memory_pool_t* pool = nullptr;
  flagos_address_t first = 0, second = 0;
  flagos_memory_pool_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  REQUIRE(flagos_memory_pool_create(f.device(), &desc, &pool) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_memory_pool_alloc(pool, stream, 2u << 20, &first) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_memory_pool_free(pool, stream, first) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);

  // The other stream asks for the block: core marks the first one to learn when it is free.
  const std::uint64_t records = fake().records;
  fake().hold = true;
  REQUIRE(flagos_memory_pool_alloc(pool, other, 2u << 20, &second) == FLAGOS_STATUS_OK);
  REQUIRE(fake().records == records + 1);
  std::uint32_t complete = 0;
  CHECK(flagos_stream_query(stream, &complete) == FLAGOS_STATUS_OK);
  CHECK(complete == 1);
  CHECK(flagos_stream_synchronize(stream, 0) == FLAGOS_STATUS_OK);
  // Work of the program counts.
  CHECK(f.append(stream, 2) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_query(stream, &complete) == FLAGOS_STATUS_OK);
  CHECK(complete == 0);
  CHECK(flagos_stream_synchronize(stream, 0) == FLAGOS_STATUS_TIMEOUT);
  fake().hold = false;
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_pool_free(pool, other, second) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_pool_destroy(pool) == FLAGOS_STATUS_OK);
}

TEST_CASE("two threads reset one stream, and what was submitted after the first reset is kept") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  for (std::uint32_t round = 0; round < 50; ++round) {
    REQUIRE(f.launch(stream, "fail") == FLAGOS_STATUS_OK);
    CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
    std::thread other([&] { CHECK(flagos_stream_reset(stream) == FLAGOS_STATUS_OK); });
    CHECK(flagos_stream_reset(stream) == FLAGOS_STATUS_OK);
    CHECK(f.append(stream, round) == FLAGOS_STATUS_OK);
    other.join();
    CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
    CHECK(fake().trail().size() == round + 1);
  }
}

}  // namespace
