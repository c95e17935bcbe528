// Every operation in one process, on exact inputs: any order of additions must give the same bits.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "base/copy.hpp"
#include "comm/testing/cases.hpp"
#include "comm/testing/local_world.hpp"
#include "comm/testing/numbers.hpp"

using namespace flagos::comm::testing;

namespace {

using World = LocalWorld;

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
             {2, 1}, {3, 2}, {4, 2}, {5, 3}, {5, 4}, {8, 3}}) {
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

TEST_CASE(
    "collectives: the deterministic mode never adds partial results, 16-bit sums never rounded "
    "ones") {
  const Variable ordinary("FLAGOS_COMM_NATIVE", "0");
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
    CHECK((usual.algorithm() == algorithm) == (algorithm == "clusters"));
    CHECK(ordered.run(test) == "");
    CHECK(ordered.algorithm() != algorithm);
    test.reduction = FLAGOS_COMM_REDUCTION_MAX;  // exact at every step
    CHECK(usual.run(test) == "");
    CHECK(usual.algorithm() == algorithm);
  }
}

TEST_CASE(
    "collectives: 16-bit sums over hosts are rounded once, on hosts of any sizes and devices") {
  const Variable ordinary("FLAGOS_COMM_NATIVE", "0");
  const Variable shape("FLAGOS_COMM_HOST_RANKS", "2");
  const Variable variable("FLAGOS_COMM_ALGORITHM", "clusters");
  World world(mixed_kinds(), 5);
  // 256 + 1 + 1 + 1 + 1 in bfloat16, where 257 and 259 do not exist.
  constexpr std::uint64_t count = 3000;
  const std::uint16_t inputs[5] = {0x4380, 0x3f80, 0x3f80, 0x3f80, 0x3f80};
  std::vector<flagos_address_t> buffers;
  for (std::uint32_t i = 0; i < 5; ++i) {
    std::vector<std::byte> bytes(2 * count);
    for (std::uint64_t k = 0; k < count; ++k) std::memcpy(&bytes[2 * k], &inputs[i], 2);
    buffers.push_back(world.devices[i]->alloc(2 * count));
    world.devices[i]->upload(buffers[i], bytes);
  }
  for (std::uint32_t i = 0; i < 5; ++i)
    check(flagos_comm_all_reduce(world.comms[i], world.devices[i]->stream(), buffers[i], buffers[i],
                                 count, FLAGOS_DTYPE_BFLOAT16, FLAGOS_COMM_REDUCTION_SUM));
  for (auto& device : world.devices) check(device->synchronize());
  CHECK(world.algorithm() == "clusters");
  for (std::uint32_t i = 0; i < 5; ++i) {
    const std::vector<std::byte> found = world.devices[i]->download(buffers[i], 2 * count);
    std::uint64_t wrong = 0;
    for (std::uint64_t k = 0; k < count; ++k) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, &found[2 * k], 2);
      wrong += bits != 0x4382;  // 260
    }
    CHECK(wrong == 0);
    world.devices[i]->free(buffers[i]);
  }
  // Several rounds of what is kept as float32.
  Case large{Op::all_reduce, FLAGOS_DTYPE_BFLOAT16, FLAGOS_COMM_REDUCTION_SUM, 1'100'000};
  CHECK(world.run(large) == "");
  large.op = Op::reduce_scatter;
  large.count = 300'000;
  CHECK(world.run(large) == "");
  CHECK(world.algorithm() == "clusters");
}

// The others' threads sleep then: a call that wakes them takes many times as long as a small operation.
TEST_CASE(
    "collectives: the call itself finishes small operations of every kind for which all others "
    "have come") {
  const Variable ordinary("FLAGOS_COMM_NATIVE", "0");
  LocalWorld world({"cpu"}, 2);
  for (int op = 0; op < static_cast<int>(Op::count); ++op) {
    Case test;
    test.op = static_cast<Op>(op);
    test.count = 3;
    std::uint32_t finished = 0;
    // Not each time: a thread that looks around at that moment takes the operation.
    for (int time = 0; time < 20 && finished == 0; ++time) {
      RankCase first(test, 0, 2, *world.devices[0]), last(test, 1, 2, *world.devices[1]);
      check(first.call(world.comms[0]));
      check(last.call(world.comms[1]));
      check(flagos_stream_query(world.devices[1]->stream(), &finished));
      for (auto& device : world.devices) check(device->synchronize());
      CHECK(first.verify() == "");
      CHECK(last.verify() == "");
    }
    CHECK_MESSAGE(finished != 0, name_of(test.op));
  }
}

// Blocks of odd bytes, so that most begin in the middle of what is written at a time.
TEST_CASE("collectives: more bytes than stay in a cache, which are written past it") {
  const Variable ordinary("FLAGOS_COMM_NATIVE", "0");
  for (const char* const host_ranks : {"2", "1"}) {
    const Variable shape("FLAGOS_COMM_HOST_RANKS", host_ranks);
    LocalWorld world({"cpu"}, 2);
    for (const Op op : {Op::broadcast, Op::all_gather, Op::all_to_all}) {
      Case test;
      test.op = op;
      test.dtype = FLAGOS_DTYPE_UINT8;
      test.count = flagos::streaming_bytes / (op == Op::broadcast ? 1 : 2) + 3;
      CHECK(world.run(test) == "");
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

// ---- native first ------------------------------------------------------------------------------------------------

namespace {

struct NativeWish : Variable {
  explicit NativeWish(const char* value) : Variable("FLAGOS_COMM_NATIVE", value) {}
};

}  // namespace

TEST_CASE("native: every operation, dtype and reduction where all ranks are on cpu") {
  const NativeWish wish("1");
  for (const std::uint32_t size : {1U, 2U, 3U}) {
    World world({"cpu"}, size);
    for (int op = 0; op < static_cast<int>(Op::count); ++op) {
      for (const flagos_dtype_t dtype : all_dtypes()) {
        for (flagos_comm_reduction_t reduction = 0; reduction < 8; ++reduction) {
          Case test{static_cast<Op>(op), dtype, reduction};
          if (!is_defined(test) || (!reduces(test.op) && reduction != 0)) continue;
          for (const std::uint64_t count : {0, 1, 1023, 20001}) {
            const bool is_usual = dtype == FLAGOS_DTYPE_FLOAT32 && reduction == 0;
            if (count != 1023 && !is_usual) continue;
            if (!reduces(test.op) && dtype != FLAGOS_DTYPE_FLOAT32 && dtype != FLAGOS_DTYPE_UINT8)
              continue;
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

TEST_CASE("native: is used where all ranks have it, and nowhere else") {
  const auto text_of_mismatch = [](World& world) {
    std::vector<flagos_address_t> buffers;
    for (std::uint32_t i = 0; i < 2; ++i) {
      buffers.push_back(world.devices[i]->alloc(64));
      const flagos_status_t called =
          flagos_comm_all_reduce(world.comms[i], world.devices[i]->stream(), buffers[i], buffers[i],
                                 7 + i, FLAGOS_DTYPE_INT32, FLAGOS_COMM_REDUCTION_SUM);
      CHECK((called == FLAGOS_STATUS_OK || called == FLAGOS_STATUS_RANK_MISMATCH));
    }
    for (std::uint32_t i = 0; i < 2; ++i) {
      world.devices[i]->synchronize();
      world.devices[i]->free(buffers[i]);
    }
    flagos_status_t status = FLAGOS_STATUS_OK;
    flagos_comm_query_status(world.comms[0], &status);
    CHECK(status == FLAGOS_STATUS_RANK_MISMATCH);
    return std::string(flagos_last_error());
  };
  const std::string said = "elements instead of";  // by the plugin
  {
    const NativeWish wish("1");
    World cpu({"cpu"}, 2);
    CHECK(text_of_mismatch(cpu).find(said) != std::string::npos);
    World deterministic({"cpu"}, 2, FLAGOS_COMM_FLAG_DETERMINISTIC);
    CHECK(text_of_mismatch(deterministic).find(said) == std::string::npos);
  }
  {
    const NativeWish wish("0");
    World cpu({"cpu"}, 2);
    CHECK(text_of_mismatch(cpu).find(said) == std::string::npos);
  }
  // Not unasked: the cpu plugin does not say that it is faster.
  World cpu({"cpu"}, 2);
  CHECK(text_of_mismatch(cpu).find(said) == std::string::npos);
  const NativeWish wish("yes");
  RankDevice device("cpu");
  flagos_device_t* const handle = device.device();
  flagos_comm_t* comm = nullptr;
  CHECK(flagos_comm_create_all(1, &handle, nullptr, &comm) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(std::string(flagos_last_error()).find("FLAGOS_COMM_NATIVE is 'yes'") != std::string::npos);
}

TEST_CASE("native: clusters are used unasked where they were measured to be faster") {
  if (!RankDevice::exists("opencl")) {
    MESSAGE("skipped: there is no opencl device on this machine");
    return;
  }
  const NativeWish wish("measured");
  World world({"cpu", "opencl", "cpu", "cpu"}, 4);
  flagos_comm_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_comm_get_info(world.comms[0], &info));
  CHECK(info.operations == 0);  // what was measured was not the caller's
  for (const Op op : {Op::all_reduce, Op::reduce, Op::broadcast}) {
    for (const std::uint64_t count : {1000, 10'000, 20'000, 200'000}) {
      Case test{op, FLAGOS_DTYPE_FLOAT32, FLAGOS_COMM_REDUCTION_SUM, count};
      CHECK(world.run(test) == "");
      const std::string way = world.algorithm();
      // The same decision on all ranks and for all of a size.
      CHECK(world.run(test) == "");
      CHECK(world.algorithm() == way);
      MESSAGE(name_of(op), ", ", count, ": ", way);
    }
  }
}

TEST_CASE("native: clusters of one plugin inside a communicator of several") {
  if (!RankDevice::exists("opencl")) {
    MESSAGE("skipped: there is no opencl device on this machine");
    return;
  }
  const NativeWish wish("1");
  std::vector<std::string> kinds = {"cpu", "opencl", "cpu", "cpu"};
  World world(kinds, 4);
  std::uint64_t used = 0;
  for (const Op op : {Op::all_reduce, Op::reduce, Op::broadcast, Op::all_gather}) {
    for (const flagos_dtype_t dtype : all_dtypes()) {
      for (flagos_comm_reduction_t reduction = 0; reduction < 8; ++reduction) {
        Case test{op, dtype, reduction};
        if (!is_defined(test) || (!reduces(op) && reduction != 0)) continue;
        for (const std::uint64_t count : {0, 1, 1023, 200'001}) {
          if (count > 1023 && (dtype != FLAGOS_DTYPE_FLOAT32 || reduction > 4)) continue;
          test.count = count;
          test.in_place = (count + reduction) % 2 != 0;
          test.root = static_cast<std::uint32_t>(count + reduction + dtype / 256) % 4;
          test.seed = count + dtype;
          const std::string wrong = world.run(test);
          REQUIRE_MESSAGE(wrong.empty(), wrong);
          used += world.algorithm() == "clusters";
        }
      }
    }
  }
  CHECK(used > 300);
  // An operation that fails within a cluster ends the communicator of all.
  std::vector<flagos_address_t> buffers;
  for (std::uint32_t i = 0; i < 4; ++i) {
    buffers.push_back(world.devices[i]->alloc(64));
    const flagos_status_t called =
        flagos_comm_all_reduce(world.comms[i], world.devices[i]->stream(), buffers[i], buffers[i],
                               i == 3 ? 8 : 7, FLAGOS_DTYPE_INT32, FLAGOS_COMM_REDUCTION_SUM);
    CHECK((called == FLAGOS_STATUS_OK || FLAGOS_STATUS_CLASS(called) == FLAGOS_STATUS_CLASS_COMM));
  }
  for (std::uint32_t i = 0; i < 4; ++i) {
    CHECK(world.devices[i]->synchronize() != FLAGOS_STATUS_OK);
    flagos_status_t status = FLAGOS_STATUS_OK;
    check(flagos_comm_query_status(world.comms[i], &status));
    CHECK(status == FLAGOS_STATUS_RANK_MISMATCH);
    const std::string text = flagos_last_error();
    CHECK_MESSAGE(text.find("among ranks 0, 2, 3") != std::string::npos, text);
    world.devices[i]->free(buffers[i]);
  }
}

TEST_CASE(
    "native: operations that take different ways keep their order, on one stream and on two") {
  const NativeWish wish("1");
  World world({"cpu"}, 2);
  std::vector<flagos_stream_t*> second(2);
  std::vector<flagos_address_t> data(2);
  for (std::uint32_t i = 0; i < 2; ++i) {
    check(flagos_stream_create(world.devices[i]->device(), nullptr, &second[i]));
    data[i] = world.devices[i]->alloc(4);
    const std::uint32_t one = 1;
    std::vector<std::byte> bytes(4);
    std::memcpy(bytes.data(), &one, 4);
    world.devices[i]->upload(data[i], bytes);
  }
  // A scan is nobody's own; the sums behind it are the plugin's. Rank 0 is left as it is by scans.
  for (int round = 0; round < 8; ++round) {
    for (std::uint32_t i = 0; i < 2; ++i) {
      flagos_stream_t* const stream = round % 2 == 0 ? world.devices[i]->stream() : second[i];
      flagos_stream_t* const other = round % 4 < 2 ? stream : second[i];
      check(flagos_comm_scan(world.comms[i], stream, data[i], data[i], 1, FLAGOS_DTYPE_UINT32,
                             FLAGOS_COMM_REDUCTION_SUM));
      check(flagos_comm_all_reduce(world.comms[i], other, data[i], data[i], 1, FLAGOS_DTYPE_UINT32,
                                   FLAGOS_COMM_REDUCTION_SUM));
    }
  }
  // Each round makes of x on both ranks: x and 2 x, then 3 x on both.
  std::uint32_t wanted = 1;
  for (int round = 0; round < 8; ++round) wanted *= 3;
  for (std::uint32_t i = 0; i < 2; ++i) {
    check(flagos_comm_synchronize(world.comms[i], FLAGOS_TIMEOUT_INFINITE));
    check(flagos_stream_synchronize(second[i], FLAGOS_TIMEOUT_INFINITE));
    const std::vector<std::byte> bytes = world.devices[i]->download(data[i], 4);
    std::uint32_t found = 0;
    std::memcpy(&found, bytes.data(), 4);
    CHECK(found == wanted);
    flagos_comm_info_t info{};
    info.struct_size = sizeof(info);
    check(flagos_comm_get_info(world.comms[i], &info));
    CHECK(info.operations == 16);
    world.devices[i]->free(data[i]);
    check(flagos_stream_destroy(second[i]));
  }
}
