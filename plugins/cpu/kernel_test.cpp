#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

struct Grid {
  std::uint64_t counter;
  std::uint64_t places;
};

TEST_CASE("kernel: every block of every grid runs once, with its own index") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_plugin_kernel_t* kernel = device.kernel("test_grid");
  constexpr std::uint64_t most = 70'000;
  const std::uint64_t places = device.alloc(most * 8);
  const std::uint64_t counter = device.alloc(8);
  const std::uint32_t grids[][3] = {{1, 1, 1},   {7, 1, 1},      {1, 5, 3},  {3, 2, 5},
                                    {64, 64, 1}, {65'537, 1, 1}, {2, 1, 999}};
  for (const auto& grid : grids) {
    const std::uint64_t blocks = std::uint64_t{grid[0]} * grid[1] * grid[2];
    auto* values = reinterpret_cast<std::uint64_t*>(places);
    std::fill(values, values + most, 0);
    *reinterpret_cast<std::uint64_t*>(counter) = 0;
    const Grid arguments{counter, places};
    flagos_launch_desc_t desc = launch_desc(&arguments, sizeof(arguments));
    std::copy(grid, grid + 3, desc.grid);
    desc.block[0] = 4;
    desc.block[1] = 3;
    desc.block[2] = 2;
    REQUIRE(device.api.kernel->launch(stream, kernel, &desc) == FLAGOS_STATUS_OK);
    REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
    CHECK(*reinterpret_cast<std::uint64_t*>(counter) == blocks * 24);
    std::uint64_t wrong = 0;
    for (std::uint64_t i = 0; i < blocks; ++i) wrong += values[i] != i + 1;
    CHECK(wrong == 0);
  }
}

TEST_CASE("kernel: shared memory belongs to one block at a time") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  struct Shared {
    std::uint64_t errors;
  };
  const std::uint64_t errors = device.alloc(8);
  for (const std::uint32_t dynamic : {0u, 1000u, 64u * 1024u})
    REQUIRE(device.launch(stream, "test_shared", Shared{errors}, 50, 1, dynamic) ==
            FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(*reinterpret_cast<std::uint64_t*>(errors) == 0);
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(device.api.device->get_info(device.api.instance, 0, &info) == FLAGOS_STATUS_OK);
  CHECK(device.launch(stream, "test_shared", Shared{errors}, 1, 1, info.max_shared_bytes) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("kernel: a prepared launch keeps its arguments") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  struct Append {
    std::uint64_t log;
    std::uint64_t value;
  };
  const std::uint64_t log = device.alloc(101 * 8);
  Append arguments{log, 42};
  const flagos_launch_desc_t desc = launch_desc(&arguments, sizeof(arguments));
  flagos_plugin_prepared_t* prepared = nullptr;
  REQUIRE(device.api.kernel->prepare(device.kernel("test_append"), &desc, &prepared) ==
          FLAGOS_STATUS_OK);
  arguments = {0, 0};
  for (int i = 0; i < 100; ++i)
    REQUIRE(device.api.kernel->launch_prepared(stream, prepared) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  device.api.kernel->destroy_prepared(prepared);
  const auto* values = reinterpret_cast<const std::uint64_t*>(log);
  CHECK(values[0] == 100);
  CHECK(values[100] == 42);
}

TEST_CASE("kernel: blocks of a cooperative launch run at once") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t words = device.alloc(8);
  auto* const arrived = reinterpret_cast<std::uint32_t*>(words);
  arrived[0] = arrived[1] = 0;
  struct {
    std::uint64_t arrived, errors;
    std::uint32_t rounds;
  } const arguments{words, words + 4, 10};
  constexpr std::uint32_t blocks = 8;
  flagos_launch_desc_t desc = launch_desc(&arguments, sizeof(arguments), blocks);
  desc.flags = FLAGOS_LAUNCH_FLAG_COOPERATIVE;
  desc.shared_bytes = 64;
  REQUIRE(device.api.kernel->launch(stream, device.kernel("test_meet"), &desc) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(arrived[0] == blocks * 10);
  CHECK(arrived[1] == 0);
}

TEST_CASE("kernel: occupancy and block size") {
  TestDevice device;
  flagos_plugin_kernel_t* kernel = device.kernel("test_empty");
  std::uint32_t blocks = 0;
  CHECK(device.api.kernel->get_occupancy(kernel, 256, 0, &blocks) == FLAGOS_STATUS_OK);
  CHECK(blocks == 1);
  CHECK(device.api.kernel->get_occupancy(kernel, 1u << 20, 0, &blocks) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  std::uint32_t threads = 0;
  CHECK(device.api.kernel->suggest_block(kernel, 0, &threads) == FLAGOS_STATUS_OK);
  CHECK(threads == 256);
}

}  // namespace
}  // namespace flagos::cpu::test
