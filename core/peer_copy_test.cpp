// Copies between two devices: which way they take, sizes around a slot, failures, and what outlives them.
#include "core/peer_copy.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "core/test_plugin.hpp"

using flagos::core::TransferPort;
using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;
constexpr std::uint64_t slot = TransferPort::slot_bytes;

FakeOptions foreign(std::uint32_t devices = 3) {
  FakeOptions options;
  options.foreign_memory = devices;
  return options;
}

std::uint8_t* bytes_at(flagos_address_t address) {
  return reinterpret_cast<std::uint8_t*>(static_cast<std::uintptr_t>(address));
}

std::vector<std::uint8_t> random_bytes(std::mt19937_64& random, std::uint64_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

// Memory on both devices, and a stream on the first.
struct Pair {
  Fake& f;
  flagos_device_t* other;
  std::uint64_t size;
  flagos_stream_t* stream = f.stream();
  flagos_address_t target = f.alloc(size), source = f.alloc(size, FLAGOS_MEMORY_KIND_DEVICE, other);

  flagos_status_t copy(std::uint64_t count, std::uint64_t to = 0, std::uint64_t from = 0) const {
    return flagos_memory_copy_peer(stream, target + to, f.device(), source + from, other, count);
  }
};

}  // namespace

TEST_CASE("peer copy: bytes go through slots of both devices, in all sizes around a slot") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  Fake f(foreign());
  Pair pair{f, f.open(1), 3 * slot + 4096};
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{4095}, slot - 1, slot, slot + 1, 2 * slot - 1,
                                   2 * slot, 2 * slot + 1, 3 * slot + 5}) {
    CAPTURE(size);
    const std::uint64_t to = random() % 64, from = random() % 64;
    const auto data = random_bytes(random, size);
    std::memset(bytes_at(pair.target), 0xa5, pair.size);
    std::memcpy(bytes_at(pair.source) + from, data.data(), size);
    REQUIRE(pair.copy(size, to, from) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_synchronize(pair.stream, forever) == FLAGOS_STATUS_OK);
    CHECK(std::memcmp(bytes_at(pair.target) + to, data.data(), size) == 0);
    if (to > 0) CHECK(bytes_at(pair.target)[to - 1] == 0xa5);
    CHECK(bytes_at(pair.target)[to + size] == 0xa5);
  }
}

TEST_CASE("peer copy: each of two plugins moves its own half") {
  Fake f(foreign(), 2);
  Pair pair{f, f.open(2), slot + 1};
  std::memset(bytes_at(pair.source), 0x37, pair.size);
  const std::uint64_t before = fake().copies;
  REQUIRE(pair.copy(pair.size) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(pair.stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().copies == before + 4);  // two pieces out, two pieces in
  CHECK(bytes_at(pair.target)[pair.size - 1] == 0x37);
}

TEST_CASE("peer copy: one copy is enough where either memory is the host's") {
  for (const std::uint32_t devices : {0u, 1u, 2u}) {
    CAPTURE(devices);
    Fake f(foreign(devices));
    Pair pair{f, f.open(1), 3 * slot};
    std::memset(bytes_at(pair.source), 0x5c, pair.size);
    const std::uint64_t before = fake().copies;
    REQUIRE(pair.copy(pair.size) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_synchronize(pair.stream, forever) == FLAGOS_STATUS_OK);
    CHECK(fake().copies == before + 1);
    CHECK(bytes_at(pair.target)[pair.size - 1] == 0x5c);
  }
}

TEST_CASE("peer copy: without pinned memory the slots are ordinary memory") {
  FakeOptions options = foreign();
  options.pinned = false;
  Fake f(options);
  Pair pair{f, f.open(1), 2 * slot + 7};
  std::memset(bytes_at(pair.source), 0x71, pair.size);
  REQUIRE(pair.copy(pair.size) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(pair.stream, forever) == FLAGOS_STATUS_OK);
  CHECK(bytes_at(pair.target)[0] == 0x71);
  CHECK(bytes_at(pair.target)[pair.size - 1] == 0x71);
}

TEST_CASE("peer copy: work before it and behind it on the stream is ordered") {
  Fake f(foreign());
  Pair pair{f, f.open(1), 4096};
  std::memset(bytes_at(pair.source), 9, pair.size);
  const std::uint8_t one = 1;
  fake().hold = true;
  REQUIRE(flagos_memory_fill(pair.stream, pair.target, &one, 1, pair.size) == FLAGOS_STATUS_OK);
  REQUIRE(pair.copy(2048) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_memory_copy(pair.stream, pair.target + 2048, pair.target, 1024) == FLAGOS_STATUS_OK);
  std::uint32_t complete = 1;
  REQUIRE(flagos_stream_query(pair.stream, &complete) == FLAGOS_STATUS_OK);
  CHECK(complete == 0);
  fake().hold = false;
  REQUIRE(flagos_stream_synchronize(pair.stream, forever) == FLAGOS_STATUS_OK);
  CHECK(bytes_at(pair.target)[2047] == 9);
  CHECK(bytes_at(pair.target)[3071] == 9);
  CHECK(bytes_at(pair.target)[3072] == 1);
}

TEST_CASE("peer copy: a failure on either side poisons its stream, and no other") {
  // Three pieces out and three in.
  for (const std::uint64_t operation : {0u, 1u, 2u, 3u, 4u, 5u}) {
    CAPTURE(operation);
    Fake f(foreign());
    Pair pair{f, f.open(1), 3 * slot};
    flagos_stream_t* const bystander = f.stream(pair.other);
    std::memset(bytes_at(pair.source), 3, pair.size);
    fake().execute_after = operation;
    fake().execute = FLAGOS_STATUS_EXECUTION_FAILED;
    REQUIRE(pair.copy(pair.size) == FLAGOS_STATUS_OK);
    CHECK(flagos_stream_synchronize(pair.stream, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
    CHECK(pair.copy(1) == FLAGOS_STATUS_EXECUTION_FAILED);
    CHECK(flagos_stream_synchronize(bystander, forever) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_reset(pair.stream) == FLAGOS_STATUS_OK);
    REQUIRE(pair.copy(pair.size) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_synchronize(pair.stream, forever) == FLAGOS_STATUS_OK);
    CHECK(bytes_at(pair.target)[pair.size - 1] == 3);
  }
}

TEST_CASE("peer copy: memory that is freed meanwhile stays until the copy is over; then the devices close") {
  for (const std::uint32_t devices : {0u, 1u, 2u, 3u}) {
    CAPTURE(devices);
    Fake f(foreign(devices));
    Pair pair{f, f.open(1), slot + 1};
    const std::uint64_t before = fake().frees;
    fake().hold = true;
    REQUIRE(pair.copy(pair.size) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_memory_free(f.device(), pair.target) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_memory_free(pair.other, pair.source) == FLAGOS_STATUS_OK);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(fake().frees == before);
    fake().hold = false;
    REQUIRE(flagos_stream_synchronize(pair.stream, forever) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_destroy(pair.stream) == FLAGOS_STATUS_OK);
    CHECK(flagos_device_close(pair.other) == FLAGOS_STATUS_OK);
    CHECK(flagos_device_close(f.device()) == FLAGOS_STATUS_OK);
    // The thread that moved the bytes may still be letting go.
    for (int i = 0; i < 5000 && fake().open_devices != 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(fake().open_devices == 0);
    CHECK(fake().live_allocations == 0);
  }
}

TEST_CASE("peer copy: streams and threads in both directions") {
  Fake f(foreign());
  flagos_device_t* const other = f.open(1);
  constexpr std::uint32_t threads = 4;
  constexpr std::uint64_t size = 70'000;
  std::atomic<std::uint32_t> wrong{0};
  const auto work = [&](std::uint32_t index) {
    flagos_device_t* const near = index % 2 == 0 ? f.device() : other;
    flagos_device_t* const far = index % 2 == 0 ? other : f.device();
    flagos_stream_t* const stream = f.stream(near);
    const flagos_address_t here = f.alloc(size, FLAGOS_MEMORY_KIND_DEVICE, near);
    const flagos_address_t there = f.alloc(size, FLAGOS_MEMORY_KIND_DEVICE, far);
    for (std::uint32_t round = 0; round < 20; ++round) {
      const auto value = static_cast<std::uint8_t>(index * 20 + round + 1);
      const bool queued = flagos_memory_fill(stream, here, &value, 1, size) == FLAGOS_STATUS_OK &&
                          flagos_memory_copy_peer(stream, there, far, here, near, size) == FLAGOS_STATUS_OK &&
                          flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK;
      if (!queued || bytes_at(there)[0] != value || bytes_at(there)[size - 1] != value) ++wrong;
    }
  };
  std::vector<std::thread> running;
  for (std::uint32_t i = 0; i < threads; ++i) running.emplace_back(work, i);
  for (std::thread& thread : running) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("peer copy: what is refused") {
  Fake f(foreign());
  Pair pair{f, f.open(1), 4096};
  flagos_stream_t* const third = f.stream(f.open(0));
  const std::uint64_t before = fake().copies;
  const auto copy = [&](flagos_stream_t* stream, flagos_address_t target, flagos_address_t source, std::uint64_t size) {
    return flagos_memory_copy_peer(stream, target, f.device(), source, pair.other, size);
  };
  CHECK(copy(third, pair.target, pair.source, 64) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(copy(pair.stream, 0, pair.source, 64) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(copy(pair.stream, pair.target, 0, 64) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(copy(pair.stream, pair.target, pair.source, 4097) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(copy(pair.stream, pair.target + 1, pair.source, 4096) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(copy(pair.stream, pair.target, pair.source, UINT64_MAX) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(copy(pair.stream, pair.target, pair.source, 0) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_begin_capture(pair.stream) == FLAGOS_STATUS_OK);
  CHECK(copy(pair.stream, pair.target, pair.source, 64) == FLAGOS_STATUS_NOT_PERMITTED);
  flagos_graph_t* graph = nullptr;
  CHECK(flagos_stream_end_capture(pair.stream, &graph) != FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(pair.stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().copies == before);
}
