// What operations promise beside their results: order, capture, groups, agreement, failure, and that they cost no memory.
#include <doctest/doctest.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <thread>

#include "base/reduce/reduce.hpp"
#include "comm/testing/local_world.hpp"
#include "comm/testing/numbers.hpp"
#include "comm/testing/world.hpp"

using namespace flagos::comm::testing;

namespace {

std::atomic<bool> counts_allocations{false};
std::atomic<std::uint64_t> allocations{0};

void* allocate(std::size_t bytes) {
  if (counts_allocations.load(std::memory_order_relaxed))
    allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* const pointer = std::malloc(bytes != 0 ? bytes : 1)) return pointer;
  throw std::bad_alloc();
}

}  // namespace

// Not inlined: the compiler would take what is freed here for memory of another operator.
#define FLAGOS_APART __attribute__((noinline))
FLAGOS_APART void* operator new(std::size_t bytes) { return allocate(bytes); }
FLAGOS_APART void* operator new[](std::size_t bytes) { return allocate(bytes); }
FLAGOS_APART void operator delete(void* pointer) noexcept { std::free(pointer); }
FLAGOS_APART void operator delete[](void* pointer) noexcept { std::free(pointer); }
FLAGOS_APART void operator delete(void* pointer, std::size_t) noexcept { std::free(pointer); }
FLAGOS_APART void operator delete[](void* pointer, std::size_t) noexcept { std::free(pointer); }
#undef FLAGOS_APART

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto f32 = FLAGOS_DTYPE_FLOAT32;
constexpr auto sum = FLAGOS_COMM_REDUCTION_SUM;

struct World : LocalWorld {
  explicit World(std::uint32_t size, std::uint32_t flags = 0, std::uint64_t timeout_ms = 20'000,
                 const std::vector<std::string>& kinds = {"cpu"})
      : LocalWorld(kinds, size, flags, timeout_ms) {}
  std::uint32_t size() const { return static_cast<std::uint32_t>(comms.size()); }
  void upload(std::uint32_t rank, flagos_address_t target, const std::vector<float>& values) {
    std::vector<std::byte> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    devices[rank]->upload(target, bytes);
  }
  std::vector<float> download(std::uint32_t rank, flagos_address_t source, std::size_t count) {
    const std::vector<std::byte> bytes = devices[rank]->download(source, count * sizeof(float));
    std::vector<float> values(count);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  void synchronize() {
    for (auto& device : devices) check(device->synchronize());
  }
  flagos_stream_t* stream(std::uint32_t rank) { return devices[rank]->stream(); }
};

bool contains(const char* text, const std::string& part) {
  return std::string(text).find(part) != std::string::npos;
}

// A host function that keeps its stream busy for a moment.
void hold_up(void*, flagos_status_t) {
  std::this_thread::sleep_for(std::chrono::microseconds(200));
}

std::vector<float> random_floats(std::size_t count, std::uint64_t salt) {
  std::mt19937_64 random(seed() + salt);
  std::vector<float> values(count);
  for (float& value : values)
    value = std::ldexp(static_cast<float>(static_cast<std::int64_t>(random() % 2000001) - 1000000),
                       static_cast<int>(random() % 60) - 30);
  return values;
}

}  // namespace

TEST_CASE("order: an operation runs behind the work before it, and the work behind it waits") {
  World world(3);
  constexpr std::uint64_t count = 3000;
  const auto data = world.alloc(count * 4), copy = world.alloc(count * 4);
  const auto sleep = [](void*, flagos_status_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  for (int round = 1; round <= 3; ++round) {
    for (std::uint32_t i = 0; i < 3; ++i) {
      const float value = static_cast<float>(round * (i + 1));
      check(flagos_stream_launch_host(world.stream(i), sleep, nullptr));
      check(flagos_memory_fill(world.stream(i), data[i], &value, 4, count * 4));
      check(flagos_comm_all_reduce(world.comms[i], world.stream(i), data[i], data[i], count, f32,
                                   sum));
      check(flagos_memory_copy(world.stream(i), copy[i], data[i], count * 4));
    }
    world.synchronize();
    for (std::uint32_t i = 0; i < 3; ++i)
      CHECK(world.download(i, copy[i], count) ==
            std::vector<float>(count, static_cast<float>(6 * round)));
  }
}

TEST_CASE(
    "order: a call returns although the other ranks are not there, and a thousand wait in the "
    "queue") {
  World world(2);
  const auto data = world.alloc(64);
  const float one = 1;
  for (std::uint32_t i = 0; i < 2; ++i)
    check(flagos_memory_fill(world.stream(i), data[i], &one, 4, 64));
  for (int i = 0; i < 1000; ++i)
    check(flagos_comm_all_reduce(world.comms[0], world.stream(0), data[0], data[0], 16, f32,
                                 FLAGOS_COMM_REDUCTION_MAX));
  CHECK(flagos_comm_synchronize(world.comms[0], 0) == FLAGOS_STATUS_TIMEOUT);
  for (int i = 0; i < 1000; ++i)
    check(flagos_comm_all_reduce(world.comms[1], world.stream(1), data[1], data[1], 16, f32,
                                 FLAGOS_COMM_REDUCTION_MAX));
  world.synchronize();
  check(flagos_comm_synchronize(world.comms[0], 1'000'000'000));
  flagos_comm_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_comm_get_info(world.comms[1], &info));
  CHECK(info.operations == 1000);
  CHECK(info.size == 2);
  CHECK(info.rank == 1);
  CHECK(info.local_size == 2);
}

TEST_CASE("capture: a graph runs its operation each time it is launched") {
  World world(2);
  const auto data = world.alloc(1024);
  std::vector<flagos_graph_exec_t*> execs(2);
  for (std::uint32_t i = 0; i < 2; ++i) {
    check(flagos_stream_begin_capture(world.stream(i)));
    check(flagos_comm_all_reduce(world.comms[i], world.stream(i), data[i], data[i], 256, f32, sum));
    flagos_graph_t* graph = nullptr;
    check(flagos_stream_end_capture(world.stream(i), &graph));
    check(flagos_graph_instantiate(graph, &execs[i]));
    check(flagos_graph_destroy(graph));
    world.upload(i, data[i], std::vector<float>(256, 1));
  }
  for (int round = 0; round < 20; ++round) {
    for (std::uint32_t i = 0; i < 2; ++i)
      check(flagos_graph_exec_launch(execs[i], world.stream(i)));
    // Operations of calls between them keep their order.
    for (std::uint32_t i = 0; i < 2; ++i)
      check(flagos_comm_broadcast(world.comms[i], world.stream(i), data[i], 256, f32, 0));
  }
  world.synchronize();
  for (std::uint32_t i = 0; i < 2; ++i) {
    CHECK(world.download(i, data[i], 256) == std::vector<float>(256, std::ldexp(1.0F, 20)));
    check(flagos_graph_exec_destroy(execs[i]));
  }
}

TEST_CASE(
    "groups: two ranks send to each other, many messages keep their order, and nested groups end "
    "once") {
  World world(2);
  constexpr std::uint64_t large = 400'000;
  const auto out = world.alloc(large * 4), in = world.alloc(large * 4);
  for (std::uint32_t i = 0; i < 2; ++i) {
    std::vector<float> values(large);
    for (std::size_t k = 0; k < large; ++k) values[k] = static_cast<float>(k % 1000 + i);
    world.upload(i, out[i], values);
  }
  for (std::uint32_t i = 0; i < 2; ++i) {
    check(flagos_comm_group_begin());
    check(flagos_comm_group_begin());
    for (std::uint64_t k = 0; k < 40; ++k)
      check(flagos_comm_send(world.comms[i], world.stream(i), out[i] + k * 4000, 1000, f32, 1 - i));
    check(flagos_comm_group_end());
    for (std::uint64_t k = 0; k < 40; ++k)
      check(
          flagos_comm_receive(world.comms[i], world.stream(i), in[i] + k * 4000, 1000, f32, 1 - i));
    check(flagos_comm_send(world.comms[i], world.stream(i), out[i] + 160'000, large - 40'000, f32,
                           1 - i));
    check(flagos_comm_receive(world.comms[i], world.stream(i), in[i] + 160'000, large - 40'000, f32,
                              1 - i));
    check(flagos_comm_group_end());
  }
  world.synchronize();
  for (std::uint32_t i = 0; i < 2; ++i)
    CHECK(world.download(i, in[i], large) == world.download(1 - i, out[1 - i], large));
}

TEST_CASE("groups: a wrong call in a group keeps all of it from being queued") {
  World world(2);
  const auto data = world.alloc(64);
  check(flagos_comm_group_begin());
  check(flagos_comm_send(world.comms[0], world.stream(0), data[0], 4, f32, 1));
  CHECK(flagos_comm_send(world.comms[0], world.stream(0), data[0], 4, f32, 7) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_comm_group_end() == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(contains(flagos_last_error(), "peer 7 of 2 ranks"));
  CHECK(flagos_comm_group_end() == FLAGOS_STATUS_NOT_PERMITTED);
  check(world.devices[0]->synchronize());
}

TEST_CASE("arguments: each wrong one is named, and nothing is queued") {
  World world(2);
  const auto data = world.alloc(4096);
  flagos_comm_t* const comm = world.comms[0];
  flagos_stream_t* const stream = world.stream(0);
  const auto refused = [&](flagos_status_t status, flagos_status_t wanted,
                           const std::string& part) {
    CHECK(status == wanted);
    CHECK_MESSAGE(contains(flagos_last_error(), part), flagos_last_error());
  };
  constexpr auto wrong = FLAGOS_STATUS_INVALID_ARGUMENT;
  const flagos_address_t a = data[0];
  refused(flagos_comm_all_reduce(comm, stream, a, 0, 4, f32, sum), wrong, "target is 0");
  refused(flagos_comm_all_reduce(comm, stream, a, a + 8, 4, f32, sum), wrong, "overlap");
  refused(flagos_comm_all_reduce(comm, stream, a, a, 2000, f32, sum), wrong,
          "end past an allocation");
  refused(flagos_comm_all_reduce(comm, stream, a, a, UINT64_MAX / 2, f32, sum), wrong,
          "more than 2^64");
  refused(flagos_comm_all_reduce(comm, stream, a, a, 4, 77, sum), wrong, "no dtype");
  refused(flagos_comm_all_reduce(comm, stream, a, a, 4, f32, 99), wrong, "no reduction 99");
  refused(flagos_comm_all_reduce(comm, stream, a, a, 4, f32, FLAGOS_COMM_REDUCTION_BIT_OR),
          FLAGOS_STATUS_UNSUPPORTED, "bit_or of float32");
  refused(flagos_comm_broadcast(comm, stream, a, 4, f32, 2), wrong, "root 2 of 2 ranks");
  refused(flagos_comm_broadcast(comm, world.stream(1), a, 4, f32, 0), wrong, "another open device");
  refused(flagos_comm_send(comm, stream, a, 4, f32, 0), wrong, "itself outside of a group");
  refused(flagos_comm_all_gather_v(comm, stream, a, a, nullptr, nullptr, f32), wrong,
          "counts is NULL");
  refused(flagos_comm_barrier(comm, nullptr), FLAGOS_STATUS_INVALID_HANDLE, "");
  refused(flagos_comm_barrier(reinterpret_cast<flagos_comm_t*>(std::uintptr_t{0x1234567}), stream),
          FLAGOS_STATUS_INVALID_HANDLE, "not a live communicator");
  refused(flagos_comm_barrier(nullptr, stream), FLAGOS_STATUS_INVALID_HANDLE,
          "not a live communicator");
  refused(flagos_comm_reduction_destroy(comm, 300), FLAGOS_STATUS_NOT_FOUND, "no reduction 300");
  flagos_comm_t* gone = nullptr;
  flagos_device_t* const device = world.devices[0]->device();
  check(flagos_comm_create_all(1, &device, nullptr, &gone));
  check(flagos_comm_destroy(gone));
  refused(flagos_comm_barrier(gone, stream), FLAGOS_STATUS_INVALID_HANDLE,
          "not a live communicator");
  refused(flagos_comm_destroy(gone), FLAGOS_STATUS_INVALID_HANDLE, "not a live communicator");
  CHECK(flagos_comm_destroy(nullptr) == FLAGOS_STATUS_OK);
  flagos_comm_info_t info{};
  info.struct_size = 8;
  refused(flagos_comm_get_info(comm, &info), FLAGOS_STATUS_INVALID_STRUCT_SIZE, "at least");
  // All is well afterwards.
  for (std::uint32_t i = 0; i < 2; ++i) check(flagos_comm_barrier(world.comms[i], world.stream(i)));
  world.synchronize();
}

TEST_CASE(
    "results: bit-identical on all ranks and devices for any numbers, and in the deterministic "
    "mode for any order") {
  std::vector<std::string> kinds = {"cpu"};
  for (const char* kind : {"opencl", "vulkan"})
    if (RankDevice::exists(kind)) kinds.push_back(kind);
  for (const std::size_t count : {std::size_t{900}, std::size_t{40'000}}) {
    std::vector<std::vector<float>> inputs;
    for (std::uint64_t i = 0; i < 5; ++i) inputs.push_back(random_floats(count, i));
    std::vector<float> reference;
    for (const std::uint32_t turn : {0U, 1U, 3U}) {
      World world(5, FLAGOS_COMM_FLAG_DETERMINISTIC, 20'000,
                  turn == 1 ? std::vector<std::string>{"cpu"} : kinds);
      const auto data = world.alloc(count * 4);
      for (std::uint32_t i = 0; i < 5; ++i) world.upload(i, data[i], inputs[(i + turn) % 5]);
      for (std::uint32_t i = 0; i < 5; ++i)
        check(flagos_comm_all_reduce(world.comms[i], world.stream(i), data[i], data[i], count, f32,
                                     sum));
      world.synchronize();
      for (std::uint32_t i = 0; i < 5; ++i) {
        const std::vector<float> found = world.download(i, data[i], count);
        if (reference.empty()) reference = found;
        CHECK(std::memcmp(found.data(), reference.data(), count * 4) == 0);
      }
    }
  }
}

TEST_CASE(
    "results: a NaN wins in min and max, and is the same everywhere; scales of a premultiplied sum "
    "are each rank's own") {
  World world(3);
  const auto data = world.alloc(16);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::vector<float>> inputs = {
      {1, -nan, 0.0F, 2}, {nan, 2, -0.0F, 3}, {3, 4, 0.0F, 5}};
  for (std::uint32_t i = 0; i < 3; ++i) world.upload(i, data[i], inputs[i]);
  for (std::uint32_t i = 0; i < 3; ++i)
    check(flagos_comm_all_reduce(world.comms[i], world.stream(i), data[i], data[i], 4, f32,
                                 FLAGOS_COMM_REDUCTION_MIN));
  world.synchronize();
  const std::vector<float> expected = {nan, nan, -0.0F, 2};
  for (std::uint32_t i = 0; i < 3; ++i)
    CHECK(std::memcmp(world.download(i, data[i], 4).data(), expected.data(), 16) == 0);
  for (std::uint32_t i = 0; i < 3; ++i) {
    world.upload(i, data[i], {1, 2, 3, 4});
    flagos_comm_reduction_t scaled = 0;
    check(flagos_comm_reduction_create(world.comms[i], 0.5 * (i + 1), &scaled));
    check(
        flagos_comm_all_reduce(world.comms[i], world.stream(i), data[i], data[i], 4, f32, scaled));
    check(flagos_comm_reduction_destroy(world.comms[i], scaled));
  }
  world.synchronize();
  for (std::uint32_t i = 0; i < 3; ++i)
    CHECK(world.download(i, data[i], 4) == std::vector<float>{3, 6, 9, 12});
}

TEST_CASE("arguments: memory that has gone is refused, and nothing is queued") {
  World world(2);
  const auto data = world.alloc(4096);
  // Nobody can read it, and no other thread gets the place meanwhile.
  void* const mapped = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(mapped != MAP_FAILED);
  CHECK(flagos_comm_all_reduce(world.comms[0], world.stream(0),
                               reinterpret_cast<std::uintptr_t>(mapped), data[0], 1024, f32,
                               sum) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK_MESSAGE(contains(flagos_last_error(), "were they freed?"), flagos_last_error());
  for (std::uint32_t i = 0; i < 2; ++i)
    check(
        flagos_comm_all_reduce(world.comms[i], world.stream(i), data[i], data[i], 1024, f32, sum));
  world.synchronize();
  CHECK(munmap(mapped, 4096) == 0);
}

TEST_CASE(
    "failure: memory that was freed before the stream came to the operation is named by all") {
  const Variable ordinary("FLAGOS_COMM_NATIVE", "0");
  World world(2, 0, 5'000);
  const auto data = world.alloc(4096);
  const flagos_address_t gone = world.devices[1]->alloc(4096);
  flagos_timeline_t* gate = nullptr;
  check(flagos_timeline_create(world.devices[1]->device(), 0, &gate));
  check(flagos_stream_wait_timeline(world.stream(1), gate, 1));
  check(flagos_comm_all_reduce(world.comms[0], world.stream(0), data[0], data[0], 1024, f32, sum));
  check(flagos_comm_all_reduce(world.comms[1], world.stream(1), gone, data[1], 1024, f32, sum));
  world.devices[1]->free(gone);
  check(flagos_timeline_signal(gate, 1));
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    CHECK(world.devices[rank]->synchronize() == FLAGOS_STATUS_RANK_FAILED);
    flagos_status_t status = FLAGOS_STATUS_OK;
    check(flagos_comm_query_status(world.comms[rank], &status));
    CHECK_MESSAGE(contains(flagos_last_error(),
                           "all_reduce #0: rank 1 failed: the allocation of 4096 bytes at "),
                  flagos_last_error());
  }
  check(flagos_timeline_destroy(gate));
}

TEST_CASE("results: sums of all pairs of 8-bit floating point numbers, by its definition") {
  for (const flagos_dtype_t dtype : {FLAGOS_DTYPE_FLOAT8_E4M3FN, FLAGOS_DTYPE_FLOAT8_E5M2}) {
    std::vector<std::uint8_t> all(256), same(256), found(256);
    for (int i = 0; i < 256; ++i) all[i] = static_cast<std::uint8_t>(i);
    for (int i = 0; i < 256; ++i) {
      std::fill(same.begin(), same.end(), static_cast<std::uint8_t>(i));
      const void* const sources[] = {same.data(), all.data()};
      flagos::reduce({dtype, FLAGOS_COMM_REDUCTION_SUM, false}, 2, sources, nullptr, 2,
                     found.data(), 256);
      const auto value_of = [&](const std::uint8_t& bits) {
        return decode(dtype, reinterpret_cast<const std::byte*>(&bits));
      };
      for (int k = 0; k < 256; ++k) {
        const double expected = static_cast<float>(value_of(same[0]) + value_of(all[k]));
        std::uint8_t bits = 0;
        encode(dtype, expected, reinterpret_cast<std::byte*>(&bits));
        const bool is_right =
            std::isnan(value_of(bits)) ? std::isnan(value_of(found[k])) : bits == found[k];
        REQUIRE_MESSAGE(is_right, dtype, ": ", i, " + ", k, " is ", int{found[k]}, ", must be ",
                        int{bits});
      }
    }
  }
}

TEST_CASE("failure: ranks that make different calls get a status that says what each had") {
  const Variable ordinary("FLAGOS_COMM_NATIVE", "0");
  const auto differ = [](auto&& first, auto&& second, const std::string& part) {
    World world(2, 0, 5'000);
    const auto data = world.alloc(4096);
    flagos_status_t calls[2];
    calls[0] = first(world.comms[0], world.stream(0), data[0]);
    calls[1] = second(world.comms[1], world.stream(1), data[1]);
    for (std::uint32_t i = 0; i < 2; ++i) {
      // The call says so when it knows already, else the stream.
      if (calls[i] == FLAGOS_STATUS_OK) calls[i] = world.devices[i]->synchronize();
      CHECK((calls[i] == FLAGOS_STATUS_RANK_MISMATCH || calls[i] == FLAGOS_STATUS_OK));
    }
    // One that got what it wanted hears of it from the other.
    CHECK((calls[0] != FLAGOS_STATUS_OK || calls[1] != FLAGOS_STATUS_OK));
    for (std::uint32_t i = 0; i < 2; ++i) {
      flagos_status_t status = FLAGOS_STATUS_OK;
      for (int k = 0; k < 200 && status == FLAGOS_STATUS_OK; ++k) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        check(flagos_comm_query_status(world.comms[i], &status));
      }
      CHECK(status == FLAGOS_STATUS_RANK_MISMATCH);
      CHECK_MESSAGE(contains(flagos_last_error(), part), flagos_last_error());
      CHECK(flagos_comm_barrier(world.comms[i], world.stream(i)) == FLAGOS_STATUS_RANK_MISMATCH);
    }
  };
  const auto reduce = [](std::uint64_t count, flagos_dtype_t dtype,
                         flagos_comm_reduction_t reduction) {
    return [=](flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t data) {
      return flagos_comm_all_reduce(comm, stream, data, data, count, dtype, reduction);
    };
  };
  differ(reduce(8, f32, sum), reduce(9, f32, sum), "count");
  differ(reduce(8, f32, sum), reduce(8, FLAGOS_DTYPE_INT32, sum), "int32");
  differ(reduce(8, f32, sum), reduce(8, f32, FLAGOS_COMM_REDUCTION_MAX), "max");
  differ(
      reduce(8, f32, sum),
      [](flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t) {
        return flagos_comm_barrier(comm, stream);
      },
      "barrier #0");
  differ(
      [](flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t data) {
        flagos_comm_group_begin();
        flagos_comm_send(comm, stream, data, 4, f32, 1);
        flagos_comm_receive(comm, stream, data + 64, 4, f32, 1);
        return flagos_comm_group_end();
      },
      [](flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t data) {
        flagos_comm_group_begin();
        flagos_comm_send(comm, stream, data, 5, f32, 0);
        flagos_comm_receive(comm, stream, data + 64, 4, f32, 0);
        return flagos_comm_group_end();
      },
      "count");
}

TEST_CASE(
    "failure: an abort returns at once, frees the streams of all ranks, and may be repeated") {
  World world(3);
  const auto data = world.alloc(4 << 20);
  for (std::uint32_t i = 0; i < 2; ++i)
    check(flagos_comm_all_reduce(world.comms[i], world.stream(i), data[i], data[i], 1 << 20, f32,
                                 sum));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const Clock::time_point start = Clock::now();
  check(flagos_comm_abort(world.comms[0]));
  CHECK(Clock::now() - start < std::chrono::seconds(1));
  check(flagos_comm_abort(world.comms[0]));
  for (std::uint32_t i = 0; i < 2; ++i) {
    CHECK(world.devices[i]->synchronize(1'000'000'000) == FLAGOS_STATUS_COMM_ABORTED);
    CHECK(flagos_comm_synchronize(world.comms[i], 1'000'000'000) == FLAGOS_STATUS_COMM_ABORTED);
    CHECK(contains(flagos_last_error(), "rank 0 aborted"));
  }
}

TEST_CASE("failure: a stream that fails before an operation ends it on all ranks") {
  World world(2, 0, 5'000);
  const auto data = world.alloc(64);
  flagos_timeline_t* gate = nullptr;
  check(flagos_timeline_create(world.devices[1]->device(), 0, &gate));
  check(flagos_stream_wait_timeline(world.stream(1), gate, 1));
  for (std::uint32_t i = 0; i < 2; ++i)
    check(flagos_comm_all_reduce(world.comms[i], world.stream(i), data[i], data[i], 4, f32, sum));
  check(flagos_timeline_fail(gate, FLAGOS_STATUS_EXECUTION_FAILED));
  CHECK(world.devices[0]->synchronize() == FLAGOS_STATUS_RANK_FAILED);
  flagos_status_t status = FLAGOS_STATUS_OK;
  check(flagos_comm_query_status(world.comms[0], &status));
  CHECK_MESSAGE(contains(flagos_last_error(), "the stream of rank 1 has failed"),
                flagos_last_error());
  check(flagos_timeline_destroy(gate));
}

TEST_CASE("communicators: split by color and key, and shrink after a failure") {
  World world(4);
  const auto data = world.alloc(64);
  const auto on_each = [&](auto&& body) {
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < 4; ++i) threads.emplace_back([&, i] { body(i); });
    for (std::thread& thread : threads) thread.join();
  };
  std::vector<flagos_comm_t*> parts(4), rest(4);
  std::vector<flagos_status_t> statuses(4);
  // 3 and 1 in this order, 0 alone, 2 in none.
  on_each([&](std::uint32_t i) {
    statuses[i] = flagos_comm_split(
        world.comms[i], i == 2 ? FLAGOS_COMM_COLOR_NONE : static_cast<std::int32_t>(i % 2),
        -static_cast<std::int32_t>(i), nullptr, &parts[i]);
  });
  CHECK(statuses == std::vector<flagos_status_t>(4, FLAGOS_STATUS_OK));
  CHECK(parts[2] == nullptr);
  flagos_comm_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_comm_get_info(parts[1], &info));
  CHECK(info.rank == 1);
  CHECK(info.size == 2);
  for (std::uint32_t i = 0; i < 4; ++i)
    world.upload(i, data[i], std::vector<float>(4, static_cast<float>(i + 1)));
  for (const std::uint32_t i : {0U, 1U, 3U})
    check(flagos_comm_all_reduce(parts[i], world.stream(i), data[i], data[i], 4, f32, sum));
  world.synchronize();
  CHECK(world.download(0, data[0], 4) == std::vector<float>(4, 1));
  CHECK(world.download(1, data[1], 4) == std::vector<float>(4, 6));
  CHECK(world.download(3, data[3], 4) == std::vector<float>(4, 6));
  for (flagos_comm_t* part : parts) check(flagos_comm_destroy(part));

  check(flagos_comm_abort(world.comms[2]));
  const Clock::time_point start = Clock::now();
  const std::uint32_t excluded = 2;
  on_each([&](std::uint32_t i) {
    if (i != 2) statuses[i] = flagos_comm_shrink(world.comms[i], &excluded, 1, nullptr, &rest[i]);
  });
  CHECK(statuses == std::vector<flagos_status_t>(4, FLAGOS_STATUS_OK));
  for (std::uint32_t i = 0; i < 4; ++i)
    world.upload(i, data[i], std::vector<float>(4, static_cast<float>(i + 1)));
  for (const std::uint32_t i : {0U, 1U, 3U})
    check(flagos_comm_all_reduce(rest[i], world.stream(i), data[i], data[i], 4, f32, sum));
  world.synchronize();
  CHECK(Clock::now() - start < std::chrono::seconds(5));
  CHECK(world.download(3, data[3], 4) == std::vector<float>(4, 7));
  for (const std::uint32_t i : {0U, 1U, 3U}) check(flagos_comm_destroy(rest[i]));
  CHECK(flagos_comm_shrink(world.comms[0], nullptr, 0, nullptr, nullptr) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  const std::uint32_t self = 0;
  CHECK(flagos_comm_shrink(world.comms[0], &self, 1, nullptr, &rest[0]) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("fork: the child is told that communicators are not its own") {
  World world(1);
  const pid_t child = fork();
  if (child == 0) _exit(flagos_comm_abort(world.comms[0]) == FLAGOS_STATUS_BAD_PROCESS ? 7 : 8);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 7);
}

// On idle streams and on busy ones, where core and the plugin carry a host function to the operation.
void allocates_nothing(const char* reducer) {
  const Variable ordinary("FLAGOS_COMM_NATIVE", "0"), wanted("FLAGOS_COMM_REDUCE", reducer);
  World world(2);
  const auto data = world.alloc(1 << 20);
  const auto run = [&](bool is_busy) {
    const auto on_both = [&](auto&& call) {
      for (std::uint32_t i = 0; i < 2; ++i) {
        if (is_busy) check(flagos_stream_launch_host(world.stream(i), hold_up, nullptr));
        check(call(world.comms[i], world.stream(i), data[i], data[i] + (1 << 19)));
      }
      world.synchronize();
    };
    on_both([](auto* comm, auto* stream, auto a, auto) {
      return flagos_comm_all_reduce(comm, stream, a, a, 100, f32, sum);
    });
    on_both([](auto* comm, auto* stream, auto a, auto b) {
      return flagos_comm_all_reduce(comm, stream, a, b, 100'000, f32, sum);
    });
    on_both([](auto* comm, auto* stream, auto a, auto b) {
      return flagos_comm_all_gather(comm, stream, a, b, 1000, f32);
    });
    on_both([](auto* comm, auto* stream, auto a, auto b) {
      return flagos_comm_all_to_all(comm, stream, a, b, 1000, f32);
    });
    on_both([](auto* comm, auto* stream, auto, auto) { return flagos_comm_barrier(comm, stream); });
  };
  // Of several times the least: once in a while the plugin has another thread run host functions.
  for (const bool is_busy : {false, true}) {
    std::uint64_t least = UINT64_MAX;
    for (int i = 0; i < 20; ++i) run(is_busy);
    for (int time = 0; time < 10 && least != 0; ++time) {
      allocations.store(0);
      counts_allocations.store(true);
      for (int i = 0; i < 20; ++i) run(is_busy);
      counts_allocations.store(false);
      least = std::min(least, allocations.load());
    }
    const std::string where = std::string(is_busy ? "busy" : "idle") + " streams, " + reducer;
    CHECK_MESSAGE(least == 0, where);
  }
  flagos_comm_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_comm_get_info(world.comms[0], &info));
  CHECK((info.device_reductions > 0) == (reducer == std::string("device")));
}

TEST_CASE("cost: operations allocate nothing once each kind has run") {
  allocates_nothing("host");
  allocates_nothing("device");
}
