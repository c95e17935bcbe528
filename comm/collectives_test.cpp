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

  // How rank 0 did the last operation.
  std::string algorithm() const {
    flagos_comm_info_t info{};
    info.struct_size = sizeof(info);
    check(flagos_comm_get_info(comms[0], &info));
    return info.algorithm;
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

// A variable of the environment while this lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

TEST_CASE("collectives: every algorithm gives the same bits on every shape of hosts") {
  const std::vector<Op> ops = {Op::all_reduce, Op::reduce,     Op::reduce_scatter,
                               Op::broadcast,  Op::all_gather, Op::barrier};
  const std::vector<flagos_dtype_t> dtypes = {FLAGOS_DTYPE_FLOAT32, FLAGOS_DTYPE_INT64,
                                              FLAGOS_DTYPE_BFLOAT16};
  // A good part of an hour; the usual run takes some of it.
  const bool is_full = std::getenv("FLAGOS_COMM_TEST_FULL") != nullptr;
  std::uint64_t used = 0;
  for (const std::string algorithm : {"direct", "one_step", "slices", "tree", "ring", "clusters"}) {
    const Variable variable("FLAGOS_COMM_ALGORITHM", algorithm);
    for (const auto& [size, host_ranks] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
             {2, 1}, {3, 2}, {4, 2}, {5, 3}, {8, 3}}) {
      const Variable shape("FLAGOS_COMM_HOST_RANKS", std::to_string(host_ranks));
      World world({"cpu"}, size);
      for (const Op op : ops) {
        for (const flagos_dtype_t dtype : dtypes) {
          for (flagos_comm_reduction_t reduction = 0; reduction < 8; ++reduction) {
            Case test{op, dtype, reduction};
            if (!is_defined(test) || (!reduces(op) && reduction != 0)) continue;
            if (!is_full && reduction % 4 != 0) continue;
            for (const std::uint64_t count : {0ULL, 13ULL, 1023ULL, 70001ULL, 700001ULL}) {
              if (!is_full && count > 500 && (reduction != 0 || dtype != dtypes[0])) continue;
              if (count > 100000 && (reduction != 0 || size > 4)) continue;
              for (const bool in_place : {false, true}) {
                if (!is_full && in_place != ((count + dtype / 256 + reduction) % 2 == 0)) continue;
                test.count = count;
                test.in_place = in_place;
                test.root = static_cast<std::uint32_t>(count + reduction) % size;
                test.seed = count + dtype;
                const std::string wrong = world.run(test);
                REQUIRE_MESSAGE(wrong.empty(), algorithm, ", ", host_ranks, " a host: ", wrong);
                used += world.algorithm() == algorithm;
              }
            }
          }
        }
      }
    }
  }
  MESSAGE("operations of the algorithm asked for: ", used);
  CHECK(used > 800);
}

TEST_CASE("collectives: the deterministic mode and 16-bit sums never add partial results") {
  const Variable shape("FLAGOS_COMM_HOST_RANKS", "2");
  for (const std::string algorithm : {"tree", "ring", "clusters"}) {
    const Variable variable("FLAGOS_COMM_ALGORITHM", algorithm);
    World ordered({"cpu"}, 4, FLAGOS_COMM_FLAG_DETERMINISTIC), usual({"cpu"}, 4);
    Case test{Op::all_reduce, FLAGOS_DTYPE_FLOAT32, FLAGOS_COMM_REDUCTION_SUM, 1000};
    CHECK(ordered.run(test) == "");
    CHECK(ordered.algorithm() != algorithm);
    CHECK(usual.run(test) == "");
    CHECK(usual.algorithm() == algorithm);
    test.dtype = FLAGOS_DTYPE_BFLOAT16;
    CHECK(usual.run(test) == "");
    CHECK(usual.algorithm() != algorithm);
    test.reduction = FLAGOS_COMM_REDUCTION_MAX;  // exact at every step
    CHECK(usual.run(test) == "");
    CHECK(usual.algorithm() == algorithm);
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
