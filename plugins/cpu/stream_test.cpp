#include <doctest/doctest.h>
#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <cfenv>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/thread.hpp"
#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

struct Append {
  std::uint64_t log;
  std::uint64_t value;
};
struct Flag {
  std::uint64_t flag;
};
struct Fail {
  std::uint32_t block;
  std::int32_t status;
};

TEST_CASE("stream: work runs in the order of submission, 100,000 deep") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  constexpr std::uint64_t count = 100'000;
  const std::uint64_t log = device.alloc((count + 1) * 8);
  std::atomic<std::uint32_t> flag{0};
  // Held back, so that the queue really gets that deep; the same thread releases it.
  REQUIRE(device.launch(stream, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
  for (std::uint64_t i = 0; i < count; ++i)
    REQUIRE(device.launch(stream, "test_append", Append{log, i}) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, 0) == FLAGOS_STATUS_TIMEOUT);
  CHECK(device.api.stream->synchronize(stream, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  flag = 1;
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  const auto* values = reinterpret_cast<const std::uint64_t*>(log);
  REQUIRE(values[0] == count);
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < count; ++i) wrong += values[i + 1] != i;
  CHECK(wrong == 0);
}

TEST_CASE("stream: a thread that waits for many commands is not woken after each") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  constexpr std::uint64_t half = 300, size = 128 * 1024;
  const std::uint64_t from = device.alloc(size), to = device.alloc(size);
  std::atomic<std::uint32_t> flag{0};
  REQUIRE(device.launch(stream, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
  const auto copy_often = [&] {
    for (std::uint64_t i = 0; i < half; ++i)
      REQUIRE(device.api.memory->copy(stream, to, from, size) == FLAGOS_STATUS_OK);
  };
  long sleeps = 0;
  const auto wait = [&] {
    rusage before{}, after{};
    getrusage(RUSAGE_THREAD, &before);
    CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
    getrusage(RUSAGE_THREAD, &after);
    sleeps = after.ru_nvcsw - before.ru_nvcsw;
  };
  copy_often();
  std::thread for_half(
      [&] { CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // until it most likely sleeps
  copy_often();
  std::thread for_all(wait);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  flag = 1;
  for_half.join();
  for_all.join();
  CHECK(sleeps <= 20);  // a few: the wake of the first is for all
}

// A helper is kept away from the processor of whom it helps until it runs.
TEST_CASE("stream: threads that have shared work may run anywhere again when they sleep") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  constexpr std::uint64_t size = std::uint64_t{16} << 20;
  const std::uint64_t from = device.alloc(size), to = device.alloc(size);
  const auto restricted = [] {
    std::size_t count = 0;
    const std::vector<int> usable = usable_processors();
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      cpu_set_t set;
      if (sched_getaffinity(std::stoi(task.path().filename()), sizeof(set), &set) == 0)
        count += static_cast<std::size_t>(CPU_COUNT(&set)) != usable.size();
    }
    return count;
  };
  for (int i = 0; i < 20; ++i) {
    REQUIRE(device.api.memory->copy(stream, to, from, size) == FLAGOS_STATUS_OK);
    REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (int i = 0; i < 5'000 && restricted() != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(restricted() == 0);
}

TEST_CASE("stream: several threads may submit to one stream, each in its order") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  constexpr std::uint64_t per_thread = 2'000;
  constexpr std::uint64_t threads = 8;
  const std::uint64_t log = device.alloc((per_thread * threads + 1) * 8);
  device.kernel("test_append");
  std::vector<std::thread> submitters;
  for (std::uint64_t t = 0; t < threads; ++t) {
    submitters.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < per_thread; ++i)
        device.launch(stream, "test_append", Append{log, t * per_thread + i});
    });
  }
  for (std::thread& thread : submitters) thread.join();
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  const auto* values = reinterpret_cast<const std::uint64_t*>(log);
  REQUIRE(values[0] == per_thread * threads);
  std::uint64_t next[threads] = {};
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 1; i <= values[0]; ++i)
    wrong += values[i] % per_thread != next[values[i] / per_thread]++;
  CHECK(wrong == 0);
}

TEST_CASE("stream: 1,024 streams all wait for one event, and others go on meanwhile") {
  TestDevice device;
  flagos_plugin_stream_t* blocked = device.stream();
  flagos_plugin_event_t* event = device.event();
  std::atomic<std::uint32_t> flag{0};
  REQUIRE(device.launch(blocked, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->record(event, blocked) == FLAGOS_STATUS_OK);
  constexpr std::size_t count = 1024;
  const std::uint64_t logs = device.alloc(count * 16);
  std::vector<flagos_plugin_stream_t*> streams;
  for (std::size_t i = 0; i < count; ++i) {
    streams.push_back(device.stream());
    REQUIRE(device.api.stream->wait_event(streams.back(), event) == FLAGOS_STATUS_OK);
    REQUIRE(device.launch(streams.back(), "test_append", Append{logs + i * 16, i}) ==
            FLAGOS_STATUS_OK);
  }
  flagos_plugin_stream_t* free = device.stream();
  const std::uint64_t log = device.alloc(16);
  REQUIRE(device.launch(free, "test_append", Append{log, 7}) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(free, forever) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(streams[0], 0) == FLAGOS_STATUS_TIMEOUT);
  flag = 1;
  CHECK(device.api.device->synchronize(device.get(), forever) == FLAGOS_STATUS_OK);
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < count; ++i)
    done += reinterpret_cast<const std::uint64_t*>(logs)[i * 2];
  CHECK(done == count);
}

TEST_CASE("stream: kernels that hold their threads do not stop other streams") {
  TestDevice device;
  std::atomic<std::uint32_t> flag{0};
  for (int i = 0; i < 32; ++i)
    REQUIRE(device.launch(device.stream(), "test_block", Flag{address_of(&flag)}) ==
            FLAGOS_STATUS_OK);
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t value = device.alloc(256);
  const std::uint64_t one = 1;
  REQUIRE(device.api.memory->update(stream, value, &one, 8) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(*reinterpret_cast<const std::uint64_t*>(value) == 1);
  flag = 1;
  CHECK(device.api.device->synchronize(device.get(), forever) == FLAGOS_STATUS_OK);
}

// ---- host functions ---------------------------------------------------------------------------

struct CallbackWorld {
  std::atomic<std::uint32_t> calls{0};
  std::atomic<std::uint32_t> running{0};
  std::atomic<std::uint32_t> release{0};
  flagos_status_t status = FLAGOS_STATUS_INTERNAL;
  std::thread::id thread;
  bool signals_blocked = false;
  int rounding = -1;
};

void note(void* user_data, flagos_status_t status) {
  auto& world = *static_cast<CallbackWorld*>(user_data);
  world.status = status;
  world.thread = std::this_thread::get_id();
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  world.signals_blocked = sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGUSR1) == 1;
  world.rounding = std::fegetround();
  ++world.calls;
}

void hold(void* user_data, flagos_status_t) {
  auto& world = *static_cast<CallbackWorld*>(user_data);
  ++world.running;
  while (world.release == 0) std::this_thread::yield();
  ++world.calls;
}

// A worker that spins for more of its stream is counted on to take others; when it gets more, it must pass them on.
TEST_CASE(
    "stream: work that comes while a thread turns to a kernel that holds it finds another thread") {
  TestDevice device;
  flagos_plugin_stream_t* held = device.stream();
  flagos_plugin_stream_t* other = device.stream();
  constexpr unsigned rounds = 20'000;
  const std::uint64_t log = device.alloc((rounds + 1) * 8);
  const auto pause = [](std::uint64_t steps) {
    for (std::atomic<std::uint64_t> step{0}; step < steps; ++step) continue;
  };
  for (std::uint64_t i = 0; i < rounds; ++i) {
    std::atomic<std::uint32_t> flag{0};
    REQUIRE(device.launch(held, "test_append", Append{log, i}) == FLAGOS_STATUS_OK);
    pause(i % 512);
    REQUIRE(device.launch_empty(other) == FLAGOS_STATUS_OK);
    pause(i % 13);
    REQUIRE(device.launch(held, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
    const flagos_status_t status = device.api.stream->synchronize(other, 10'000'000'000);
    flag = 1;
    REQUIRE(status == FLAGOS_STATUS_OK);
    REQUIRE(device.api.stream->synchronize(held, forever) == FLAGOS_STATUS_OK);
  }
}

TEST_CASE("stream: host functions run in order, on threads of the plugin") {
  std::fesetround(FE_UPWARD);  // what a thread would inherit
  TestDevice device;
  std::fesetround(FE_TONEAREST);
  flagos_plugin_stream_t* stream = device.stream();
  CallbackWorld world;
  REQUIRE(device.api.stream->launch_host(stream, note, &world) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(world.calls == 1);
  CHECK(world.status == FLAGOS_STATUS_OK);
  CHECK(world.thread != std::this_thread::get_id());
  CHECK(world.signals_blocked);
  CHECK(world.rounding == FE_TONEAREST);

  struct Item {
    std::vector<int>* order;
    int value;
  };
  std::vector<int> order;
  std::vector<Item> items;
  for (int i = 0; i < 3000; ++i) items.push_back({&order, i});
  const std::uint64_t log = device.alloc(3001 * 8);
  for (int i = 0; i < 3000; ++i) {
    device.api.stream->launch_host(
        stream,
        [](void* data, flagos_status_t) {
          const auto& item = *static_cast<Item*>(data);
          item.order->push_back(item.value);
        },
        &items[static_cast<std::size_t>(i)]);
    if (i % 3 == 0)
      device.launch(stream, "test_append", Append{log, static_cast<std::uint64_t>(i)});
  }
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  REQUIRE(order.size() == 3000);
  int wrong = 0;
  for (int i = 0; i < 3000; ++i) wrong += order[static_cast<std::size_t>(i)] != i;
  CHECK(wrong == 0);
  CHECK(*reinterpret_cast<const std::uint64_t*>(log) == 1000);
}

TEST_CASE("stream: 256 host functions may block at once") {
  TestDevice device;
  CallbackWorld world;
  constexpr std::uint32_t count = 256;
  std::vector<flagos_plugin_stream_t*> streams;
  for (std::uint32_t i = 0; i < count; ++i) {
    streams.push_back(device.stream());
    REQUIRE(device.api.stream->launch_host(streams.back(), hold, &world) == FLAGOS_STATUS_OK);
  }
  while (world.running != count) std::this_thread::yield();  // ends only if all run at once
  flagos_plugin_stream_t* stream = device.stream();
  REQUIRE(device.launch_empty(stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(streams[0], 0) == FLAGOS_STATUS_TIMEOUT);
  world.release = 1;
  CHECK(device.api.device->synchronize(device.get(), forever) == FLAGOS_STATUS_OK);
  CHECK(world.calls == count);
}

// ---- failures ---------------------------------------------------------------------------------

TEST_CASE(
    "stream: a kernel that ends with DEVICE_LOST loses its device, and whoever waits for nothing "
    "wakes") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_stream_t* waiting = device.stream();
  std::uint64_t word = 0;
  REQUIRE(device.api.stream->wait_value(waiting, address_of(&word), 1, 8, FLAGOS_COMPARE_EQUAL) ==
          FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(waiting, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  CHECK(device.api.device->query_status(device.get()) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch(stream, "test_fail", Fail{0, FLAGOS_STATUS_DEVICE_LOST}) ==
          FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_DEVICE_LOST);
  CHECK(device.api.stream->synchronize(waiting, forever) == FLAGOS_STATUS_DEVICE_LOST);
  CHECK(device.host.losses() == 1);
  CHECK(device.api.device->query_status(device.get()) == FLAGOS_STATUS_DEVICE_LOST);

  REQUIRE(device.api.device->recover(device.get()) == FLAGOS_STATUS_OK);
  CHECK(device.api.device->query_status(device.get()) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_DEVICE_LOST);
  CHECK(device.api.stream->synchronize(device.stream(), forever) == FLAGOS_STATUS_OK);
}

TEST_CASE("stream: a failed kernel poisons its stream until it is reset") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_stream_t* other = device.stream();
  flagos_plugin_event_t* event = device.event();
  const std::uint64_t log = device.alloc(64);
  CallbackWorld world;
  std::atomic<std::uint32_t> flag{0};
  REQUIRE(device.launch(stream, "test_block", Flag{address_of(&flag)}) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch(stream, "test_fail", Fail{2, FLAGOS_STATUS_EXECUTION_FAILED}, 4) ==
          FLAGOS_STATUS_OK);
  REQUIRE(device.launch(stream, "test_append", Append{log, 1}) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->launch_host(stream, note, &world) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->record(event, stream) == FLAGOS_STATUS_OK);
  flag = 1;
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.host.last_error().find("test_fail was asked to") != std::string::npos);
  CHECK(device.host.last_error().find("kernel 'test_fail'") != std::string::npos);
  CHECK(*reinterpret_cast<const std::uint64_t*>(log) == 0);
  CHECK(world.status == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.api.event->synchronize(event, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.launch_empty(stream) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.api.event->record(event, stream) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.api.device->synchronize(device.get(), forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.launch_empty(other) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(other, forever) == FLAGOS_STATUS_OK);

  REQUIRE(device.api.stream->reset(stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch(stream, "test_append", Append{log, 1}) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(*reinterpret_cast<const std::uint64_t*>(log) == 1);
}

TEST_CASE("stream: a stream that would wait for ever is given up when it is destroyed") {
  TestDevice device;
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof(desc);
  flagos_plugin_stream_t* stream = nullptr;
  REQUIRE(device.api.stream->create(device.get(), &desc, &stream) == FLAGOS_STATUS_OK);
  const std::uint64_t value = device.alloc(64);
  CallbackWorld world;
  REQUIRE(device.api.stream->wait_value(stream, value, 1, 8, FLAGOS_COMPARE_EQUAL) ==
          FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->launch_host(stream, note, &world) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, 2'000'000) == FLAGOS_STATUS_TIMEOUT);
  device.api.stream->destroy(stream);
  CHECK(world.calls == 1);
  CHECK(world.status == FLAGOS_STATUS_CANCELLED);
}

TEST_CASE("stream: a priority outside the range is refused") {
  TestDevice device;
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(device.api.device->get_info(device.api.instance, 0, &info) == FLAGOS_STATUS_OK);
  for (std::int32_t priority = info.priority_high; priority <= info.priority_low; ++priority) {
    flagos_plugin_stream_t* stream = device.stream(priority);
    CHECK(device.launch_empty(stream) == FLAGOS_STATUS_OK);
    CHECK(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  }
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.priority = info.priority_low + 1;
  flagos_plugin_stream_t* stream = nullptr;
  CHECK(device.api.stream->create(device.get(), &desc, &stream) == FLAGOS_STATUS_INVALID_ARGUMENT);
  desc.priority = info.priority_high - 1;
  CHECK(device.api.stream->create(device.get(), &desc, &stream) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("stream: values are written and waited for") {
  TestDevice device;
  flagos_plugin_stream_t* waiting = device.stream();
  flagos_plugin_stream_t* writing = device.stream();
  const std::uint64_t value = device.alloc(64);
  const std::uint64_t log = device.alloc(64);
  for (const std::uint32_t size : {4u, 8u}) {
    const std::uint64_t wanted = size == 4 ? 70'000u : 0x1'0000'0001u;
    REQUIRE(device.api.stream->wait_value(waiting, value, wanted, size,
                                          FLAGOS_COMPARE_GREATER_EQUAL) == 0);
    REQUIRE(device.launch(waiting, "test_append", Append{log, size}) == FLAGOS_STATUS_OK);
    CHECK(device.api.stream->synchronize(waiting, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
    REQUIRE(device.api.stream->write_value(writing, value, wanted, size) == FLAGOS_STATUS_OK);
    CHECK(device.api.stream->synchronize(waiting, forever) == FLAGOS_STATUS_OK);
  }
  // Written by the host: nobody tells the plugin.
  REQUIRE(device.api.stream->wait_value(waiting, value, 5, 8, FLAGOS_COMPARE_EQUAL) ==
          FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(waiting, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(value), 5, __ATOMIC_RELEASE);
  CHECK(device.api.stream->synchronize(waiting, forever) == FLAGOS_STATUS_OK);
  CHECK(*reinterpret_cast<const std::uint64_t*>(log) == 2);
}

}  // namespace
}  // namespace flagos::cpu::test
