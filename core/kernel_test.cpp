// Launches whose blocks stand together: cooperative ones, and clusters.
#include <doctest/doctest.h>

#include <string>

#include "core/test_plugin.hpp"

namespace flagos::core::test {
namespace {

flagos_launch_desc_t desc_of(std::uint32_t grid, std::uint32_t flags) {
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = flags;
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  desc.grid[0] = grid;
  return desc;
}

bool says(const char* text) { return std::string(flagos_last_error()).find(text) != std::string::npos; }

TEST_CASE("kernel: a device that cannot hold blocks together says so, and nothing is launched") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  flagos_kernel_t* kernel = f.kernel("noop");
  const flagos_launch_desc_t together = desc_of(4, FLAGOS_LAUNCH_FLAG_COOPERATIVE);
  CHECK(flagos_kernel_launch(stream, kernel, &together) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(says("FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH"));
  const flagos_launch_desc_t clusters = desc_of(4, FLAGOS_LAUNCH_CLUSTER(2, 1, 1));
  flagos_prepared_t* prepared = nullptr;
  CHECK(flagos_kernel_prepare(kernel, &clusters, &prepared) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(says("FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH"));
  CHECK(fake().launches == 0);
}

TEST_CASE("kernel: clusters divide the grid; other flags are not known") {
  FakeOptions options;
  options.capabilities = FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH | FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH;
  Fake f(options);
  flagos_stream_t* stream = f.stream();
  flagos_kernel_t* kernel = f.kernel("noop");
  const auto launch = [&](std::uint32_t grid, std::uint32_t flags) {
    const flagos_launch_desc_t desc = desc_of(grid, flags);
    return flagos_kernel_launch(stream, kernel, &desc);
  };
  CHECK(launch(1, FLAGOS_LAUNCH_FLAG_COOPERATIVE | FLAGOS_LAUNCH_CLUSTER(1, 1, 1)) == FLAGOS_STATUS_OK);
  CHECK(launch(0, FLAGOS_LAUNCH_CLUSTER(2, 1, 1)) == FLAGOS_STATUS_OK);
  CHECK(fake().launches == 1);
  CHECK(launch(4, FLAGOS_LAUNCH_CLUSTER(3, 1, 1)) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(says("clusters of 3x1x1 blocks do not divide a grid of 4x1x1"));
  CHECK(launch(4, FLAGOS_LAUNCH_CLUSTER(2, 0, 1)) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(launch(4, 2) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(fake().launches == 1);
}

TEST_CASE("kernel: a cooperative grid has no more blocks than there is room for") {
  FakeOptions options;
  options.capabilities = FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH;
  Fake f(options);
  flagos_stream_t* stream = f.stream();
  flagos_kernel_t* kernel = f.kernel("noop");
  // A block on each unit, of which the device has one.
  flagos_launch_desc_t desc = desc_of(2, FLAGOS_LAUNCH_FLAG_COOPERATIVE);
  CHECK(flagos_kernel_launch(stream, kernel, &desc) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(says(
      "a cooperative launch of 2x1x1 blocks of kernel 'noop' with 1 threads and 0 shared bytes; 1 are on device "));
  flagos_prepared_t* prepared = nullptr;
  CHECK(flagos_kernel_prepare(kernel, &desc, &prepared) == FLAGOS_STATUS_INVALID_ARGUMENT);
  for (std::uint32_t& dim : desc.grid) dim = UINT32_MAX;
  CHECK(flagos_kernel_launch(stream, kernel, &desc) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(fake().launches == 0);
  desc = desc_of(0, FLAGOS_LAUNCH_FLAG_COOPERATIVE);
  CHECK(flagos_kernel_launch(stream, kernel, &desc) == FLAGOS_STATUS_OK);
  desc = desc_of(1, FLAGOS_LAUNCH_FLAG_COOPERATIVE);
  CHECK(flagos_kernel_launch(stream, kernel, &desc) == FLAGOS_STATUS_OK);
  CHECK(fake().launches == 1);
}

}  // namespace
}  // namespace flagos::core::test
