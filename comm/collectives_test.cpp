// Every operation in one process, on exact inputs: any order of additions must give the same bits.
#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <thread>

#include "comm/testing/cases.hpp"
#include "comm/testing/numbers.hpp"

using namespace flagos::comm::testing;

namespace {

// A communicator whose ranks are all in this process; rank i on kinds[i % kinds.size()].
class World {
 public:
  World(const std::vector<std::string>& kinds, std::uint32_t size, std::uint32_t flags = 0) {
    std::vector<flagos_device_t*> handles;
    for (std::uint32_t i = 0; i < size; ++i) {
      devices.push_back(std::make_unique<RankDevice>(kinds[i % kinds.size()]));
      handles.push_back(devices.back()->device());
    }
    flagos_comm_config_t config{};
    config.struct_size = sizeof(config);
    config.flags = flags;
    config.timeout_ns = 20'000'000'000;
    comms.resize(size);
    check(flagos_comm_create_all(size, handles.data(), &config, comms.data()));
  }
  ~World() {
    for (flagos_comm_t* comm : comms) flagos_comm_destroy(comm);
  }

  // All ranks' calls from this thread.
  std::string run(const Case& test) {
    std::vector<std::unique_ptr<RankCase>> ranks;
    const auto size = static_cast<std::uint32_t>(comms.size());
    for (std::uint32_t i = 0; i < size; ++i)
      ranks.push_back(std::make_unique<RankCase>(test, i, size, *devices[i]));
    for (std::uint32_t i = 0; i < size; ++i)
      if (ranks[i]->call(comms[i]) != FLAGOS_STATUS_OK)
        return test.text() + ": " + flagos_last_error();
    for (std::uint32_t i = 0; i < size; ++i) {
      if (devices[i]->synchronize() == FLAGOS_STATUS_OK) continue;
      flagos_status_t status = FLAGOS_STATUS_OK;
      flagos_comm_query_status(comms[i], &status);
      return test.text() + ": stream: " + flagos_last_error();
    }
    for (auto& rank : ranks)
      if (std::string wrong = rank->verify(); !wrong.empty()) return wrong;
    return "";
  }

  std::vector<std::unique_ptr<RankDevice>> devices;
  std::vector<flagos_comm_t*> comms;
};

const std::vector<std::uint64_t> counts = {0, 1, 7, 1023, 70001};

// All dtypes and reductions on some numbers of ranks, a few on the others; bytes are moved alike whatever they mean, and
// what large buffers add is chunks and slices.
bool is_worth_it(const Case& test, std::uint64_t count, std::uint32_t size) {
  const bool is_usual = test.dtype == FLAGOS_DTYPE_FLOAT32 || test.dtype == FLAGOS_DTYPE_BFLOAT16;
  const bool is_width =
      is_usual || test.dtype == FLAGOS_DTYPE_UINT8 || test.dtype == FLAGOS_DTYPE_COMPLEX64;
  if (count > 5000) return is_usual && test.reduction <= 1;
  if (!reduces(test.op)) return is_width;
  return size == 2 || size == 3 || is_usual;
}

std::vector<std::string> mixed_kinds() {
  std::vector<std::string> kinds = {"cpu"};
  for (const char* kind : {"opencl", "vulkan"})
    if (RankDevice::exists(kind)) kinds.push_back(kind);
  return kinds;
}

}  // namespace

TEST_CASE("collectives: every operation, dtype and reduction on cpu, in place and not") {
  for (const std::uint32_t size : {1U, 2U, 3U, 4U, 5U, 8U}) {
    World world({"cpu"}, size);
    for (int op = 0; op < static_cast<int>(Op::count); ++op) {
      for (const flagos_dtype_t dtype : all_dtypes()) {
        for (flagos_comm_reduction_t reduction = 0; reduction < 8; ++reduction) {
          Case test{static_cast<Op>(op), dtype, reduction};
          if (!is_defined(test) || (!reduces(test.op) && reduction != 0)) continue;
          for (const std::uint64_t count : counts) {
            if (!is_worth_it(test, count, size)) continue;
            for (const bool in_place : {false, true}) {
              test.count = count;
              test.in_place = in_place;
              test.root = static_cast<std::uint32_t>(count + reduction) % size;
              test.seed = count + dtype;
              const std::string wrong = world.run(test);
              REQUIRE_MESSAGE(wrong.empty(), wrong);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("collectives: random operations on mixed devices") {
  std::mt19937_64 random(seed());
  const std::vector<std::string> kinds = mixed_kinds();
  MESSAGE("kinds: ", kinds.size());
  for (const std::uint32_t size : {2U, 3U, 4U, 6U}) {
    World world(kinds, size);
    for (int i = 0; i < 150; ++i) {
      const std::string wrong = world.run(random_case(random, size, i % 10 == 0 ? 300000 : 5000));
      REQUIRE_MESSAGE(wrong.empty(), wrong);
    }
  }
}
