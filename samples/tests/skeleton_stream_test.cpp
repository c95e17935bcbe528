// Drives the skeleton plugin through flagos_plugin_open: kernels, streams, events, modules.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <random>
#include <thread>

#include "samples/tests/skeleton_fixture.hpp"

using namespace flagos::samples;

TEST_CASE_FIXTURE(Kernels,
                  "every thread of every block runs once, with the arguments of the call") {
  auto* s = stream();
  std::vector<std::uint32_t> out(3 * 5 * 2 * 7, 0);
  Mark arguments{address(out.data()), 41};
  CHECK(launch(s, "mark", &arguments, 3, 5, 2, 7) == FLAGOS_STATUS_OK);
  arguments = {0, 0};  // was copied
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(std::all_of(out.begin(), out.end(), [](auto v) { return v == 41; }));
  Mark shared{address(out.data()), 0};
  CHECK(launch(s, "shared", &shared, 1, 1, 1, 1, 1000) == FLAGOS_STATUS_OK);
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(out[0] == 1064);
  root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "kernels describe themselves") {
  flagos_kernel_info_t info{};
  info.struct_size = sizeof(info);
  auto* mark = kernel(module, "mark");
  REQUIRE(root.kernel->get_info(mark, &info) == FLAGOS_STATUS_OK);
  CHECK(std::string(info.name) == "mark");
  CHECK(info.flags == FLAGOS_KERNEL_FLAG_SIGNATURE);
  CHECK(info.parameter_count == 2);
  CHECK(info.argument_bytes == sizeof(Mark));
  flagos_parameter_t parameter{};
  REQUIRE(root.kernel->get_parameter(mark, 1, &parameter) == FLAGOS_STATUS_OK);
  CHECK(parameter.dtype == FLAGOS_DTYPE_UINT32);
  CHECK(parameter.offset_bytes == 8);
  CHECK(kernel(module, "mark") == mark);
  CHECK(kernel(module, "absent", FLAGOS_STATUS_NOT_FOUND) == nullptr);
  CHECK(Host::text.find("absent") != std::string::npos);
  CHECK(kernel(module, "future", FLAGOS_STATUS_INVALID_IMAGE) == nullptr);
  flagos_format_info_t format{};
  format.struct_size = sizeof(format);
  REQUIRE(root.module->get_format(device, 0, &format) == FLAGOS_STATUS_OK);
  CHECK(std::string(format.name) == "elf-so");
  CHECK(root.module->get_format(device, 1, &format) == FLAGOS_STATUS_NOT_FOUND);
}

TEST_CASE_FIXTURE(Kernels, "100,000 queued operations run in order") {
  auto* s = stream();
  std::uint64_t counter = 0;
  std::vector<std::uint64_t> log(100);
  for (std::uint32_t i = 0; i < 100000; ++i) {
    const Mark one{address(&counter), 1};
    REQUIRE(launch(s, "count", &one) == FLAGOS_STATUS_OK);
    if (i % 1000 == 999) {
      REQUIRE(root.memory->copy(s, address(&log[i / 1000]), address(&counter), sizeof(counter)) ==
              FLAGOS_STATUS_OK);
    }
  }
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(counter == 100000);
  for (std::size_t i = 0; i < log.size(); ++i) CHECK(log[i] == (i + 1) * 1000);
  root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "submission does not wait, and waits end with TIMEOUT") {
  auto* s = stream();
  auto* done = event();
  std::uint32_t flag = 0;
  const Mark blocker{address(&flag), 1};
  CHECK(wait(s) == FLAGOS_STATUS_OK);  // empty
  CHECK(launch(s, "spin", &blocker) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(done, s) == FLAGOS_STATUS_OK);
  for (std::uint64_t timeout : {0ull, 1'000'000ull, 30'000'000ull}) {
    CHECK(root.stream->synchronize(s, timeout) == FLAGOS_STATUS_TIMEOUT);
    CHECK(root.event->synchronize(done, timeout) == FLAGOS_STATUS_TIMEOUT);
  }
  std::int64_t elapsed = 0;
  CHECK(root.event->get_elapsed(done, done, &elapsed) == FLAGOS_STATUS_NOT_READY);
  __atomic_store_n(&flag, 1u, __ATOMIC_RELEASE);
  CHECK(root.stream->synchronize(s, UINT64_MAX - 1) == FLAGOS_STATUS_OK);
  CHECK(root.event->synchronize(done, 0) == FLAGOS_STATUS_OK);
  CHECK(root.event->get_elapsed(done, done, &elapsed) == FLAGOS_STATUS_OK);
  CHECK(elapsed == 0);
  root.event->destroy(done);
  root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "a wait binds to the record before it, also when the event goes on") {
  auto* a = stream();
  auto* b = stream();
  auto* e = event();
  std::uint32_t first = 0, second = 0, seen = 0;
  CHECK(root.stream->wait_event(b, e) == FLAGOS_STATUS_OK);  // never recorded: no wait
  CHECK(root.event->synchronize(e, 0) == FLAGOS_STATUS_OK);
  const Mark block_first{address(&first), 1}, block_second{address(&second), 1};
  const Mark mark_seen{address(&seen), 1};
  CHECK(launch(a, "spin", &block_first) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(e, a) == FLAGOS_STATUS_OK);
  CHECK(root.stream->wait_event(b, e) == FLAGOS_STATUS_OK);
  CHECK(launch(b, "mark", &mark_seen) == FLAGOS_STATUS_OK);
  CHECK(launch(a, "spin", &block_second) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(e, a) == FLAGOS_STATUS_OK);
  CHECK(root.stream->synchronize(b, 20'000'000) == FLAGOS_STATUS_TIMEOUT);
  __atomic_store_n(&first, 1u, __ATOMIC_RELEASE);
  CHECK(wait(b) == FLAGOS_STATUS_OK);  // the second record is still pending
  CHECK(seen == 1);
  CHECK(root.event->synchronize(e, 0) == FLAGOS_STATUS_TIMEOUT);
  __atomic_store_n(&second, 1u, __ATOMIC_RELEASE);
  CHECK(wait(a) == FLAGOS_STATUS_OK);
  root.event->destroy(e);
  root.stream->destroy(a);
  root.stream->destroy(b);
}

TEST_CASE_FIXTURE(Kernels, "elapsed time needs records and timing") {
  auto* s = stream();
  auto* start = event();
  auto* end = event();
  auto* untimed = event(FLAGOS_EVENT_FLAG_NO_TIMING);
  std::int64_t elapsed = 0;
  CHECK(root.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(root.event->record(start, s) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(untimed, s) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(end, s) == FLAGOS_STATUS_OK);
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(root.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_OK);
  CHECK(elapsed >= 0);
  CHECK(root.event->get_elapsed(start, untimed, &elapsed) == FLAGOS_STATUS_INVALID_ARGUMENT);
  for (auto* e : {start, end, untimed}) root.event->destroy(e);
  root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "a failing kernel poisons its stream and no other") {
  auto* bad = stream();
  auto* good = stream();
  auto* before = event();
  auto* after = event();
  std::uint32_t flag = 0, touched = 0;
  const Mark blocker{address(&flag), 1}, mark{address(&touched), 1};
  CHECK(launch(bad, "spin", &blocker) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(before, bad) == FLAGOS_STATUS_OK);
  CHECK(launch(bad, "fail_third", nullptr, 5) == FLAGOS_STATUS_OK);
  CHECK(launch(bad, "mark", &mark) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(after, bad) == FLAGOS_STATUS_OK);
  CHECK(root.stream->wait_event(good, after) == FLAGOS_STATUS_OK);
  __atomic_store_n(&flag, 1u, __ATOMIC_RELEASE);
  CHECK(wait(bad) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(Host::text == "block 2 says no");
  CHECK(touched == 0);
  CHECK(root.event->synchronize(before, 0) == FLAGOS_STATUS_OK);
  CHECK(root.event->synchronize(after, 0) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(launch(bad, "mark", &mark) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(root.event->record(before, bad) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(root.event->synchronize(before, 0) == FLAGOS_STATUS_OK);  // keeps its record
  CHECK(launch(good, "mark", &mark) == FLAGOS_STATUS_OK);
  CHECK(wait(good) == FLAGOS_STATUS_OK);
  CHECK(touched == 1);
  for (auto* e : {before, after}) root.event->destroy(e);
  for (auto* s : {bad, good}) root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "many threads may use one stream and one event") {
  auto* s = stream();
  auto* e = event();
  std::uint64_t counter = 0;
  std::atomic<int> failures = 0;
  auto* count = kernel(module, "count");
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const Mark one{address(&counter), 1};
        flagos_launch_desc_t desc{};
        desc.struct_size = sizeof(desc);
        std::fill_n(desc.grid, 3, 1u);
        std::fill_n(desc.block, 3, 1u);
        desc.argument_block = &one;
        desc.argument_bytes = sizeof(one);
        failures += root.kernel->launch(s, count, &desc) != FLAGOS_STATUS_OK;
        failures += root.event->record(e, s) != FLAGOS_STATUS_OK;
        failures += root.event->synchronize(e, FLAGOS_TIMEOUT_INFINITE) != FLAGOS_STATUS_OK;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(failures == 0);
  CHECK(counter == 4000);
  root.event->destroy(e);
  root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "broken images are refused before the dynamic linker sees them") {
  flagos_plugin_module_t* out = nullptr;
  CHECK(load(nullptr, 0, &out) == FLAGOS_STATUS_INVALID_IMAGE);
  for (std::size_t cut = 0; cut < image.size(); cut += 1 + image.size() / 97) {
    CAPTURE(cut);
    const Bytes part(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(cut));
    CHECK(load(part.data(), part.size(), &out) == FLAGOS_STATUS_INVALID_IMAGE);
  }
  CHECK(load(image.data(), image.size() - 1, &out) == FLAGOS_STATUS_INVALID_IMAGE);
  Bytes foreign = image;
  foreign[18] ^= 0xff;  // e_machine
  CHECK(load(foreign.data(), foreign.size(), &out) == FLAGOS_STATUS_UNSUPPORTED);
  foreign = image;
  foreign[4] = 1;  // 32 bits
  CHECK(load(foreign.data(), foreign.size(), &out) == FLAGOS_STATUS_UNSUPPORTED);
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    Bytes garbage(random() % 5000);
    for (auto& byte : garbage) byte = static_cast<std::uint8_t>(random());
    if (round % 2 == 0 && garbage.size() > 64) std::copy_n(image.begin(), 20, garbage.begin());
    CHECK(load(garbage.data(), garbage.size(), &out) == FLAGOS_STATUS_INVALID_IMAGE);
  }
  CHECK(out == nullptr);
}

TEST_CASE_FIXTURE(Kernels,
                  "two modules of one image are apart; unaligned and overwritten is fine") {
  Bytes shifted(image.size() + 1);
  std::copy(image.begin(), image.end(), shifted.begin() + 1);
  flagos_plugin_module_t* second = nullptr;
  REQUIRE(load(shifted.data() + 1, image.size(), &second) == FLAGOS_STATUS_OK);
  std::fill(shifted.begin(), shifted.end(), std::uint8_t{0});
  CHECK(kernel(second, "mark") != kernel(module, "mark"));
  root.module->unload(second);
  auto* s = stream();
  std::uint32_t value = 0;
  const Mark mark{address(&value), 7};
  CHECK(launch(s, "mark", &mark) == FLAGOS_STATUS_OK);
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(value == 7);
  root.stream->destroy(s);
}

TEST_CASE("a path of the linker that a resident library holds is passed over") {
  Fixture f;
  const Bytes image = read_file(FLAGOS_TEST_KERNELS);
  flagos_plugin_module_t* module = nullptr;
  REQUIRE(f.load(image.data(), image.size(), &module) == FLAGOS_STATUS_OK);
  // Another user of this trick left a library resident under the number that comes free now.
  f.root.module->unload(module);
  const int number = dup(0);
  REQUIRE(number >= 0);
  close(number);
  const std::string path = "/proc/self/fd/" + std::to_string(number);
  std::FILE* other = std::fopen(FLAGOS_TEST_PLUGIN, "rb");
  REQUIRE(other != nullptr);
  REQUIRE(fileno(other) == number);
  void* resident = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  REQUIRE(resident != nullptr);
  std::fclose(other);
  REQUIRE(f.load(image.data(), image.size(), &module) == FLAGOS_STATUS_OK);
  CHECK(f.kernel(module, "mark") != nullptr);
  f.root.module->unload(module);
  dlclose(resident);
}
