// Reductions by the devices' own kernels: the same bits as the host's, wherever the device has the kernel.
#include "comm/device_reduction.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "comm/testing/local_world.hpp"
#include "comm/testing/numbers.hpp"

using namespace flagos;
using namespace flagos::comm;
using namespace flagos::comm::testing;

namespace {

const Variable& ordinary() {
  static const Variable variable("FLAGOS_COMM_NATIVE", "0");
  return variable;
}

// Finite numbers of any size, some of them subnormal.
std::vector<std::byte> random_numbers(flagos_dtype_t dtype, std::uint64_t count,
                                      std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::uint64_t width = FLAGOS_DTYPE_BITS(dtype) / 8;
  std::vector<std::byte> bytes(count * width);
  const int deepest = dtype == FLAGOS_DTYPE_FLOAT16 ? 24 : 149;
  std::uniform_real_distribution<double> number(-4, 4);
  for (std::uint64_t i = 0; i < count; ++i) {
    const int scale = i % 5 == 0 ? -static_cast<int>(random() % deepest) : 0;
    encode(dtype, std::ldexp(number(random), scale), &bytes[i * width]);
  }
  return bytes;
}

// What all_reduce gives each rank, one behind the other.
std::vector<std::byte> all_reduced(const char* reducer, const std::string& kind, std::uint32_t size,
                                   flagos_dtype_t dtype, flagos_comm_reduction_t reduction,
                                   std::uint64_t& out_device_reductions) {
  const Variable wanted("FLAGOS_COMM_REDUCE", reducer);
  LocalWorld world({kind}, size, FLAGOS_COMM_FLAG_DETERMINISTIC);
  constexpr std::uint64_t count = 40'001;
  const std::uint64_t bytes = count * FLAGOS_DTYPE_BITS(dtype) / 8;
  std::vector<flagos_address_t> buffers;
  for (std::uint32_t i = 0; i < size; ++i) {
    buffers.push_back(world.devices[i]->alloc(bytes));
    world.devices[i]->upload(buffers[i], random_numbers(dtype, count, seed() + i));
  }
  for (std::uint32_t i = 0; i < size; ++i)
    check(flagos_comm_all_reduce(world.comms[i], world.devices[i]->stream(), buffers[i], buffers[i],
                                 count, dtype, reduction));
  std::vector<std::byte> results;
  for (std::uint32_t i = 0; i < size; ++i) {
    check(world.devices[i]->synchronize());
    const std::vector<std::byte> found = world.devices[i]->download(buffers[i], bytes);
    results.insert(results.end(), found.begin(), found.end());
    world.devices[i]->free(buffers[i]);
  }
  out_device_reductions = world.device_reductions();
  return results;
}

}  // namespace

TEST_CASE("device reductions: every operation, dtype and reduction that devices have kernels for") {
  ordinary();
  const Variable wanted("FLAGOS_COMM_REDUCE", "device");
  for (const std::string& kind : mixed_kinds()) {
    for (const std::uint32_t size : {2U, 4U}) {
      LocalWorld world({kind}, size);
      std::uint32_t with_kernel = 0, by_device = 0;
      std::string by_host;
      for (const flagos_dtype_t dtype : all_dtypes()) {
        const bool is_usual = dtype == FLAGOS_DTYPE_FLOAT32 || dtype == FLAGOS_DTYPE_BFLOAT16;
        for (flagos_comm_reduction_t reduction = 0; reduction < 8; ++reduction) {
          if (size != 2 && (!is_usual || reduction > 1)) continue;
          Case test{Op::all_reduce, dtype, reduction, 1023};
          const Reduction asked{dtype, static_cast<std::uint8_t>(reduction), false};
          if (!comm::testing::is_defined(test)) continue;
          const std::uint64_t before = world.device_reductions();
          const std::string wrong = world.run(test);
          REQUIRE_MESSAGE(wrong.empty(), wrong);
          const bool has_reduced = world.device_reductions() > before;
          if (!has_kernel(asked, size)) {
            CHECK(!has_reduced);
            continue;
          }
          ++with_kernel;
          by_device += has_reduced;
          if (!has_reduced)
            by_host += std::string(" ") + reduction_name(asked.kind) + " of " + dtype_name(dtype);
          if (!is_usual) continue;
          for (const Op op : {Op::all_reduce, Op::reduce, Op::reduce_scatter, Op::scan}) {
            for (const bool in_place : {false, true}) {
              test.op = op;
              test.in_place = in_place;
              test.count = op == Op::all_reduce ? 70'001 : 1001;
              const std::string again = world.run(test);
              REQUIRE_MESSAGE(again.empty(), again);
            }
          }
        }
      }
      MESSAGE(kind, ", ", size, " ranks: ", by_device, " of ", with_kernel,
              " reductions by the device; by the host, whose bits it does not give or whose type "
              "it does not have:",
              by_host);
      // Integers and sums of float32 are the same on any device.
      CHECK(by_device > with_kernel / 2);
    }
  }
}

TEST_CASE("device reductions: in the deterministic mode the same bits as the host's") {
  ordinary();
  for (const std::string& kind : mixed_kinds()) {
    for (const flagos_dtype_t dtype : {FLAGOS_DTYPE_FLOAT32, FLAGOS_DTYPE_BFLOAT16,
                                       FLAGOS_DTYPE_FLOAT16, FLAGOS_DTYPE_FLOAT64}) {
      for (const auto reduction : {FLAGOS_COMM_REDUCTION_SUM, FLAGOS_COMM_REDUCTION_AVERAGE}) {
        std::uint64_t none = 0, some = 0;
        const auto expected = all_reduced("host", kind, 3, dtype, reduction, none);
        const auto found = all_reduced("device", kind, 3, dtype, reduction, some);
        CHECK(none == 0);
        const std::string what = kind + ", " + dtype_name(dtype);
        CHECK_MESSAGE(std::memcmp(expected.data(), found.data(), found.size()) == 0, what);
        if (kind == "cpu" || dtype == FLAGOS_DTYPE_FLOAT32) CHECK_MESSAGE(some > 0, what);
      }
    }
  }
}

TEST_CASE(
    "device reductions: ranks on devices of several kinds, each reduced by whoever is faster") {
  ordinary();
  for (const char* reducer : {"automatic", "host", "device"}) {
    const Variable wanted("FLAGOS_COMM_REDUCE", reducer);
    LocalWorld world(mixed_kinds(), 4);
    for (const flagos_dtype_t dtype : {FLAGOS_DTYPE_FLOAT32, FLAGOS_DTYPE_BFLOAT16}) {
      Case test{Op::all_reduce, dtype, FLAGOS_COMM_REDUCTION_SUM, 300'003};
      CHECK(world.run(test) == "");
      test.op = Op::reduce_scatter;
      test.count = 70'000;
      CHECK(world.run(test) == "");
    }
    const bool is_none = world.device_reductions() == 0;
    if (reducer != std::string("automatic")) CHECK(is_none == (reducer == std::string("host")));
    MESSAGE(reducer, ": ", world.device_reductions(), " pieces by devices");
  }
}

TEST_CASE(
    "device reductions: small ones make no kernels, and the choice follows what was measured") {
  for (const std::string& kind : mixed_kinds()) {
    RankDevice device(kind);
    std::vector<std::byte> slot(256 << 10);
    DeviceReduction reductions(device.device(), slot.data(), slot.size());
    const Reduction sum{FLAGOS_DTYPE_FLOAT32, FLAGOS_COMM_REDUCTION_SUM, false};
    CHECK(reductions.choose(sum, 2, 4096, Reducer::automatic) == nullptr);
    CHECK(reductions.kernels() == 0);
    CHECK(reductions.choose(sum, 2, 1 << 20, Reducer::host) == nullptr);
    CHECK(reductions.kernels() == 0);
    const auto* const kernel = reductions.choose(sum, 2, 4096, Reducer::device);
    REQUIRE(kernel != nullptr);
    CHECK(reductions.kernels() == 1);
    CHECK(kernel->host_byte_s > 0);
    for (const std::uint64_t bytes : {1U << 16, 1U << 17, 1U << 20}) {
      const bool is_faster =
          reductions.device_s(*kernel, 2, bytes) < reductions.host_s(*kernel, bytes);
      CHECK((reductions.choose(sum, 2, bytes, Reducer::automatic) == kernel) == is_faster);
      MESSAGE(kind, ", ", bytes, " bytes: ", reductions.device_s(*kernel, 2, bytes) * 1e6,
              " us on the device, ", reductions.host_s(*kernel, bytes) * 1e6, " us by the host");
    }
  }
}

TEST_CASE("device reductions: a wrong word for who reduces is named") {
  const Variable wanted("FLAGOS_COMM_REDUCE", "gpu");
  RankDevice device("cpu");
  flagos_device_t* const handle = device.device();
  flagos_comm_t* comm = nullptr;
  CHECK(flagos_comm_create_all(1, &handle, nullptr, &comm) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(std::string(flagos_last_error()).find("FLAGOS_COMM_REDUCE is 'gpu'") != std::string::npos);
}
