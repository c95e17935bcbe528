// Launches whose blocks stand together: cooperative ones, and clusters.
#include <doctest/doctest.h>

#include <initializer_list>
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

TEST_CASE("kernel: a prepared launch of no blocks is launched, and does nothing") {
  Fake f;
  flagos_stream_t* stream = f.stream();
  const flagos_launch_desc_t desc = desc_of(0, 0);
  flagos_prepared_t* prepared = nullptr;
  REQUIRE(flagos_kernel_prepare(f.kernel("noop"), &desc, &prepared) == FLAGOS_STATUS_OK);
  CHECK(flagos_kernel_launch_prepared(stream, prepared) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
  CHECK(fake().launches == 0);
  CHECK(flagos_prepared_destroy(prepared) == FLAGOS_STATUS_OK);
}

// A kernel without a signature: arguments are packed one behind the other.
FakeOptions without_signature() {
  FakeOptions options;
  options.change = [](FakeTables& tables) {
    static flagos_status_t (*own_info)(flagos_plugin_kernel_t*, flagos_kernel_info_t*);
    own_info = tables.kernel.get_info;
    tables.kernel.get_info = [](flagos_plugin_kernel_t* kernel, flagos_kernel_info_t* out) {
      const flagos_status_t status = own_info(kernel, out);
      out->flags = 0;
      out->parameter_count = out->argument_bytes = 0;
      return status;
    };
  };
  return options;
}

TEST_CASE("kernel: arguments that are none, and blocks that are too large") {
  Fake f(without_signature());
  flagos_stream_t* stream = f.stream();
  flagos_kernel_t* kernel = f.kernel("noop");
  static std::uint8_t bytes[5000];
  const auto launch = [&](std::initializer_list<flagos_argument_t> arguments) {
    flagos_launch_desc_t desc = desc_of(1, 0);
    desc.arguments = arguments.begin();
    desc.argument_count = static_cast<std::uint32_t>(arguments.size());
    return flagos_kernel_launch(stream, kernel, &desc);
  };
  const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(bytes));
  CHECK(launch({{FLAGOS_DTYPE_UINT32, 0, 7}, {FLAGOS_DTYPE_BYTES, 100, address}}) == FLAGOS_STATUS_OK);
  CHECK(launch({{0, 0, 7}}) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(says("which is no scalar of up to 8 bytes"));
  CHECK(launch({{FLAGOS_DTYPE_BYTES, 8, 0}}) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(says("its address is NULL"));
  CHECK(launch({{FLAGOS_DTYPE_BYTES, 4000, address}, {FLAGOS_DTYPE_BYTES, 200, address}}) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(says("argument 1 ends at byte 4200"));
  flagos_launch_desc_t desc = desc_of(1, 0);
  desc.argument_block = bytes;
  desc.argument_bytes = sizeof(bytes);
  CHECK(flagos_kernel_launch(stream, kernel, &desc) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(says("an argument block of 5000 bytes"));
  CHECK(fake().launches == 1);
}

TEST_CASE("kernel: a signature that is not the kernel's own") {
  Fake f;
  flagos_module_desc_t image{};
  image.struct_size = sizeof(image);
  image.format = "fake";
  image.data = "fake";
  image.size_bytes = 4;
  flagos_module_t* module = nullptr;
  REQUIRE(flagos_module_load(f.device(), &image, &module) == FLAGOS_STATUS_OK);
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.name = "append";
  desc.parameter_count = 1;
  flagos_kernel_t* kernel = nullptr;
  CHECK(flagos_module_get_kernel(module, &desc, &kernel) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(says("parameter_count is 1 and parameters is NULL"));
  flagos_parameter_t parameter{FLAGOS_DTYPE_FLOAT32, 4, 4, 0};
  desc.parameters = &parameter;
  CHECK(flagos_module_get_kernel(module, &desc, &kernel) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(says("is not its own"));
  parameter.dtype = FLAGOS_DTYPE_UINT32;
  CHECK(flagos_module_get_kernel(module, &desc, &kernel) == FLAGOS_STATUS_OK);
  image.path = "/nowhere";
  image.data = nullptr;
  image.size_bytes = 0;
  CHECK(flagos_module_load(f.device(), &image, &module) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(says("from memory only, not by path"));
}

}  // namespace
}  // namespace flagos::core::test
