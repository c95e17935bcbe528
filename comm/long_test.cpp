// Many random operations on one communicator of mixed devices: no error, and nothing grows.
// FLAGOS_COMM_TEST_OPERATIONS=10000 is the long run (ctest -L long has it); the usual one is short.
#include <doctest/doctest.h>

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "comm/testing/cases.hpp"

using namespace flagos::comm::testing;

namespace {

// What a process may lose a little of with every operation.
struct Holdings {
  std::ptrdiff_t descriptors = 0, threads = 0;
  std::size_t heap_bytes = 0;

  static Holdings now() {
    const auto entries = [](const char* folder) {
      return std::distance(std::filesystem::directory_iterator(folder), {});
    };
    return {entries("/proc/self/fd"), entries("/proc/self/task"), mallinfo2().uordblks};
  }
};

void run_random_operations(const std::string& reducer) {
  const Variable wanted("FLAGOS_COMM_REDUCE", reducer);
  const char* const given = std::getenv("FLAGOS_COMM_TEST_OPERATIONS");
  const std::uint64_t operations = given != nullptr ? std::strtoull(given, nullptr, 10) : 300;
  std::mt19937_64 random(seed());
  std::vector<std::unique_ptr<RankDevice>> devices;
  std::vector<flagos_device_t*> handles;
  for (const char* kind : {"cpu", "opencl", "vulkan", "cpu"}) {
    devices.push_back(std::make_unique<RankDevice>(RankDevice::exists(kind) ? kind : "cpu"));
    handles.push_back(devices.back()->device());
  }
  flagos_comm_config_t config{};
  config.struct_size = sizeof(config);
  config.timeout_ns = 60'000'000'000;
  std::vector<flagos_comm_t*> comms(4);
  check(flagos_comm_create_all(4, handles.data(), &config, comms.data()));
  Holdings before;
  for (std::uint64_t i = 0; i < operations; ++i) {
    if (i == operations / 3) before = Holdings::now();
    Case test = random_case(random, 4, i % 20 == 0 ? 200'000 : 3000);
    // The kernels of one dtype and reduction are made in the first third; they stay with the devices.
    if (reducer == "device") {
      test.dtype = FLAGOS_DTYPE_FLOAT32;
      test.reduction = FLAGOS_COMM_REDUCTION_SUM;
    }
    std::vector<std::unique_ptr<RankCase>> ranks;
    for (std::uint32_t rank = 0; rank < 4; ++rank)
      ranks.push_back(std::make_unique<RankCase>(test, rank, 4, *devices[rank]));
    for (std::uint32_t rank = 0; rank < 4; ++rank) check(ranks[rank]->call(comms[rank]));
    for (std::uint32_t rank = 0; rank < 4; ++rank) {
      check(devices[rank]->synchronize());
      const std::string wrong = ranks[rank]->verify();
      REQUIRE_MESSAGE(wrong.empty(), "operation ", i, ": ", wrong);
    }
  }
  const Holdings after = Holdings::now();
  for (flagos_comm_t* comm : comms) {
    flagos_comm_info_t info{};
    info.struct_size = sizeof(info);
    check(flagos_comm_get_info(comm, &info));
    CHECK(info.operations == operations);
    check(flagos_comm_destroy(comm));
  }
  MESSAGE(operations, " operations; heap ", before.heap_bytes, " -> ", after.heap_bytes, " bytes");
  CHECK(after.descriptors == before.descriptors);
  CHECK(after.threads == before.threads);
  // Drivers keep some; an operation that lost but 400 bytes would be found in the long run.
  CHECK(after.heap_bytes < before.heap_bytes + (std::size_t{2} << 20));
}

}  // namespace

TEST_CASE("long: random operations on four ranks of mixed devices; nothing grows") {
  run_random_operations("host");
}

TEST_CASE("long: random operations on four ranks whose devices reduce; nothing grows") {
  run_random_operations("device");
}
