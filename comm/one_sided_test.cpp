// One-sided operations in one process: any devices, captured, and what must not be done.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "comm/testing/world.hpp"

using namespace flagos::comm::testing;

namespace {

constexpr std::uint64_t part_bytes = 3'000'000;

std::vector<std::byte> pattern(std::uint64_t salt, std::uint64_t bytes) {
  std::vector<std::byte> result(bytes);
  for (std::uint64_t i = 0; i < bytes; ++i) result[i] = static_cast<std::byte>(salt + i * 13);
  return result;
}

// Ranks of one process with a window of which each has a part. All ranks make it at once, so each needs a thread.
struct World {
  explicit World(const std::vector<std::string>& kinds) : size(kinds.size()) {
    std::vector<flagos_device_t*> handles;
    for (const std::string& kind : kinds) {
      devices.push_back(std::make_unique<RankDevice>(kind));
      handles.push_back(devices.back()->device());
      parts.push_back(devices.back()->alloc(part_bytes));
      owns.push_back(devices.back()->alloc(part_bytes));
    }
    flagos_comm_config_t config{};
    config.struct_size = sizeof(config);
    config.timeout_ns = 20'000'000'000;
    comms.resize(size);
    check(flagos_comm_create_all(static_cast<std::uint32_t>(size), handles.data(), &config,
                                 comms.data()));
    windows.resize(size);
    statuses = on_all([&](std::size_t i) {
      return flagos_comm_window_create(comms[i], parts[i], part_bytes, &windows[i]);
    });
  }
  ~World() {
    for (flagos_comm_t* comm : comms) flagos_comm_destroy(comm);
    for (std::size_t i = 0; i < size; ++i) {
      if (parts[i] != 0) devices[i]->free(parts[i]);
      devices[i]->free(owns[i]);
    }
  }
  template <typename Call>
  std::vector<flagos_status_t> on_all(Call&& call) {
    std::vector<flagos_status_t> results(size);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < size; ++i) threads.emplace_back([&, i] { results[i] = call(i); });
    for (std::thread& thread : threads) thread.join();
    return results;
  }
  flagos_stream_t* stream(std::size_t rank) { return devices[rank]->stream(); }
  void synchronize() {
    for (auto& device : devices) check(device->synchronize());
  }

  std::size_t size;
  std::vector<std::unique_ptr<RankDevice>> devices;
  std::vector<flagos_comm_t*> comms;
  std::vector<flagos_address_t> parts, owns;
  std::vector<flagos_comm_window_t> windows;
  std::vector<flagos_status_t> statuses;
};

const std::vector<flagos_status_t> all_ok(std::size_t count) {
  return std::vector<flagos_status_t>(count, FLAGOS_STATUS_OK);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string failure_of(flagos_comm_t* comm) {
  flagos_status_t status = FLAGOS_STATUS_OK;
  flagos_comm_query_status(comm, &status);
  return status == FLAGOS_STATUS_RANK_FAILED ? flagos_last_error() : "";
}

}  // namespace

TEST_CASE("one-sided: puts, signals and gets between all ranks of mixed devices") {
  std::vector<std::string> kinds = {"cpu", "cpu"};
  for (const char* kind : {"opencl", "vulkan"})
    if (RankDevice::exists(kind)) kinds.push_back(kind);
  World world(kinds);
  REQUIRE(world.statuses == all_ok(world.size));
  for (const std::uint64_t bytes : {1ULL, 184ULL, 185ULL, 300'001ULL, 2'900'003ULL}) {
    for (std::size_t shift = 0; shift < world.size; ++shift) {
      const auto to = [&](std::size_t i) {
        return static_cast<std::uint32_t>((i + shift) % world.size);
      };
      for (std::size_t i = 0; i < world.size; ++i) {
        world.devices[i]->upload(world.owns[i], pattern(i + shift, bytes));
        check(flagos_comm_put(world.comms[i], world.stream(i), 1, to(i), 77, world.owns[i], bytes));
        check(flagos_comm_signal(world.comms[i], world.stream(i), to(i)));
      }
      for (std::size_t i = 0; i < world.size; ++i) {
        const std::uint32_t target = to(i);
        check(flagos_comm_wait_signal(world.comms[target], world.stream(target),
                                      static_cast<std::uint32_t>(i), 1));
      }
      world.synchronize();
      for (std::size_t i = 0; i < world.size; ++i) {
        const std::uint32_t target = to(i);
        CHECK(world.devices[target]->download(world.parts[target] + 77, bytes) ==
              pattern(i + shift, bytes));
        world.devices[i]->upload(world.owns[i], pattern(99, bytes));
        check(
            flagos_comm_get(world.comms[i], world.stream(i), 1, target, 77, world.owns[i], bytes));
        CHECK(world.devices[i]->download(world.owns[i], bytes) == pattern(i + shift, bytes));
      }
    }
  }
  CHECK(flagos_comm_put(world.comms[0], world.stream(0), 1, 1, part_bytes, 0, 0) ==
        FLAGOS_STATUS_OK);
  CHECK(world.on_all([&](std::size_t i) {
    return flagos_comm_window_destroy(world.comms[i], world.windows[i]);
  }) == all_ok(world.size));
}

TEST_CASE("one-sided: a rank that waits in another operation is reached all the same") {
  World world({"cpu", "cpu"});
  world.devices[0]->upload(world.owns[0], pattern(5, 1000));
  check(flagos_comm_barrier(world.comms[1], world.stream(1)));  // waits for rank 0
  check(flagos_comm_put(world.comms[0], world.stream(0), 1, 1, 0, world.owns[0], 1000));
  check(flagos_comm_get(world.comms[0], world.stream(0), 1, 1, 0, world.owns[0] + 2000, 1000));
  CHECK(world.devices[0]->download(world.owns[0] + 2000, 1000) == pattern(5, 1000));
  check(flagos_comm_barrier(world.comms[0], world.stream(0)));
  world.synchronize();
}

TEST_CASE("one-sided: a graph puts and signals each time it is launched") {
  World world({"cpu", "cpu"});
  check(flagos_stream_begin_capture(world.stream(0)));
  check(flagos_comm_put(world.comms[0], world.stream(0), 1, 1, 0, world.owns[0], 500));
  check(flagos_comm_signal(world.comms[0], world.stream(0), 1));
  flagos_graph_t* graph = nullptr;
  check(flagos_stream_end_capture(world.stream(0), &graph));
  flagos_graph_exec_t* exec = nullptr;
  check(flagos_graph_instantiate(graph, &exec));
  check(flagos_graph_destroy(graph));
  for (std::uint64_t round = 0; round < 5; ++round) {
    world.devices[0]->upload(world.owns[0], pattern(round, 500));
    check(flagos_graph_exec_launch(exec, world.stream(0)));
    check(flagos_comm_wait_signal(world.comms[1], world.stream(1), 0, 1));
    CHECK(world.devices[1]->download(world.parts[1], 500) == pattern(round, 500));
  }
  world.synchronize();
  check(flagos_graph_exec_destroy(exec));
}

TEST_CASE("one-sided: what is wrong is named, and does nothing") {
  World world({"cpu", "cpu"});
  flagos_comm_t* const comm = world.comms[0];
  flagos_stream_t* const stream = world.stream(0);
  const flagos_address_t own = world.owns[0];
  CHECK(flagos_comm_put(comm, stream, 2, 1, 0, own, 1) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(contains(flagos_last_error(), "no window 2"));
  CHECK(flagos_comm_put(comm, stream, 1, 2, 0, own, 1) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(contains(flagos_last_error(), "peer 2 of 2 ranks"));
  CHECK(flagos_comm_get(comm, stream, 1, 1, part_bytes - 9, own, 10) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(contains(flagos_last_error(), "end past the 3000000 bytes of rank 1"));
  CHECK(flagos_comm_put(comm, stream, 1, 1, UINT64_MAX, own, 10) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_comm_put(comm, stream, 1, 1, 0, 0, 10) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_comm_put(comm, stream, 1, 1, 0, own + part_bytes - 5, 10) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_comm_signal(comm, stream, 7) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_comm_window_create(comm, own, 1, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
  // One rank gives what is no memory: both hear of it.
  std::vector<std::string> texts(2);
  std::vector<int> somewhere(100);
  const auto statuses = world.on_all([&](std::size_t i) {
    flagos_comm_window_t window = 0;
    const flagos_status_t status = flagos_comm_window_create(
        world.comms[i], i == 1 ? reinterpret_cast<std::uintptr_t>(somewhere.data()) : world.owns[0],
        100, &window);
    texts[i] = flagos_last_error();
    return status;
  });
  CHECK(statuses[0] == FLAGOS_STATUS_RANK_MISMATCH);
  CHECK_MESSAGE(contains(texts[0], "rank 1 has given what cannot be one"), texts[0]);
  CHECK(statuses[1] == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK_MESSAGE(contains(texts[1], "no memory that was allocated"), texts[1]);
}

TEST_CASE("one-sided: memory that its rank has freed ends the communicator, and is named") {
  World world({"cpu", "cpu"});
  world.devices[1]->free(std::exchange(world.parts[1], 0));
  check(flagos_comm_put(world.comms[0], world.stream(0), 1, 1, 0, world.owns[0], 100));
  CHECK(world.devices[0]->synchronize() == FLAGOS_STATUS_RANK_FAILED);
  for (flagos_comm_t* comm : world.comms) {
    const std::string text = failure_of(comm);
    CHECK_MESSAGE(contains(text, "put by rank 0: rank 1 has freed its memory"), text);
  }
}
