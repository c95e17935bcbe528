#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "plugins/nvidia/test_plugin.hpp"

namespace flagos::nvidia::test {
namespace {

TEST_CASE("plugin: versions are agreed on, or refused with the plugin's own range") {
  TestHost host;
  flagos_host_t table = host.table();
  flagos_plugin_t plugin{};
  plugin.struct_size = sizeof(plugin);
  table.abi_version_min = table.abi_version_max = FLAGOS_MAKE_VERSION(2, 0);
  CHECK(flagos_plugin_open(&table, &plugin) == FLAGOS_STATUS_UNSUPPORTED_VERSION);
  CHECK(plugin.abi_version == 0);
  CHECK(plugin.abi_version_max == FLAGOS_MAKE_VERSION(1, 0));
  CHECK(plugin.instance == nullptr);
}

TEST_CASE("plugin: a library that is named and is not there is an error, by name and value") {
  for (const char* name : {"FLAGOS_NVIDIA_DRIVER", "FLAGOS_NVIDIA_NVRTC"}) {
    CAPTURE(name);
    TestInstance instance(Config{{name, "/no/such/library.so"}});
    CHECK(instance.opened == FLAGOS_STATUS_NOT_FOUND);
    CHECK(instance.host.last_error().find(name) != std::string::npos);
    CHECK(instance.host.last_error().find("/no/such/library.so") != std::string::npos);
  }
}

TEST_CASE("plugin: without a driver there is no device, and a line says what to install") {
  // Where a driver is installed there may be devices.
  testing::TestInstance instance(Config{});
  REQUIRE(instance.opened == FLAGOS_STATUS_OK);
  if (instance.count() == 0)
    CHECK(instance.host.log().find("no NVIDIA device: ") != std::string::npos);
}

TEST_CASE("plugin: a driver that is too old, and one without a card, are told of") {
  {
    // The version is asked when a library is opened under a name for the first time.
    const std::string other = std::string(FLAGOS_NVIDIA_TEST_FAKE) + ".old";
    std::error_code ignored;
    std::filesystem::remove(other, ignored);
    std::filesystem::create_symlink(FLAGOS_NVIDIA_TEST_FAKE, other);
    const Setting version("FLAGOS_FAKE_CUDA_VERSION", "10020");
    TestInstance instance(Config{{"FLAGOS_NVIDIA_DRIVER", other}});
    CHECK(instance.opened == FLAGOS_STATUS_NOT_FOUND);
    CHECK(instance.host.last_error().find("a driver for CUDA 10.2; CUDA 11.4 or newer is needed") !=
          std::string::npos);
    std::filesystem::remove(other, ignored);
  }
  const Setting none("FLAGOS_FAKE_CUDA_DEVICES", "0");
  TestInstance instance;
  REQUIRE(instance.opened == FLAGOS_STATUS_OK);
  CHECK(instance.count() == 0);
  CHECK(instance.host.log().find("CUDA_ERROR_NO_DEVICE") != std::string::npos);
  CHECK(instance.host.log().find("no NVIDIA card is visible") != std::string::npos);
}

TEST_CASE("plugin: without NVRTC only binaries are taken, and a line says why") {
  TestInstance instance(Config{{"FLAGOS_NVIDIA_NVRTC", "none"}});
  REQUIRE(instance.count() > 0);
  CHECK(instance.host.log().find("take no CUDA C++ and no portable kernels") != std::string::npos);
  flagos_plugin_device_t* device = nullptr;
  REQUIRE(instance.api.device->open(instance.api.instance, 0, &device) == FLAGOS_STATUS_OK);
  for (std::uint32_t i = 0;; ++i) {
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    if (instance.api.module->get_format(device, i, &info) == FLAGOS_STATUS_NOT_FOUND) break;
    CHECK(std::string(info.name) != "cuda-c");
    CHECK((info.flags & FLAGOS_FORMAT_FLAG_COMPILE) == 0);
  }
  instance.api.device->close(device);
}

TEST_CASE(
    "plugin: devices of the fake are described, the same on every start, and say what they are") {
  const Setting two("FLAGOS_FAKE_CUDA_DEVICES", "2");
  TestInstance first, second;
  REQUIRE(first.count() == 2);
  for (std::uint32_t i = 0; i < 2; ++i) {
    const flagos_device_info_t info = first.info(i), again = second.info(i);
    CHECK(std::memcmp(info.uuid, again.uuid, sizeof(info.uuid)) == 0);
    CHECK(std::string(info.name).find("fake") != std::string::npos);
    CHECK(std::string(info.driver_version).find("fake") != std::string::npos);
    CHECK((info.capabilities & FLAGOS_DEVICE_CAPABILITY_FAKE) != 0);
    CHECK(info.priority_high < info.priority_low);
    CHECK(info.dlpack_device_type == 2);
  }
  CHECK(std::memcmp(first.info(0).uuid, first.info(1).uuid, 16) != 0);
  TestInstance chosen(Config{{"FLAGOS_NVIDIA_DEVICES", "1"}});
  REQUIRE(chosen.count() == 1);
  CHECK(std::memcmp(chosen.info(0).uuid, first.info(1).uuid, 16) == 0);
}

TEST_CASE("plugin: what lies between two devices, and a copy from one to the other") {
  const Setting two("FLAGOS_FAKE_CUDA_DEVICES", "2");
  TestInstance instance;
  flagos_link_info_t link{};
  link.struct_size = sizeof(link);
  REQUIRE(instance.api.topology->get_link(instance.api.instance, 0, 1, &link) == FLAGOS_STATUS_OK);
  CHECK(link.type == FLAGOS_LINK_TYPE_FABRIC);
  CHECK((link.flags & FLAGOS_LINK_FLAG_NATIVE_COPY) != 0);
  flagos_plugin_device_t* devices[2] = {};
  flagos_address_t memory[2] = {};
  const flagos_plugin_t& api = instance.api;
  for (std::uint32_t i = 0; i < 2; ++i) {
    REQUIRE(api.device->open(api.instance, i, &devices[i]) == FLAGOS_STATUS_OK);
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = 4096;
    desc.alignment_bytes = 256;
    desc.flags = FLAGOS_MEMORY_FLAG_ZERO;
    REQUIRE(api.memory->alloc(devices[i], &desc, &memory[i]) == FLAGOS_STATUS_OK);
  }
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof(desc);
  flagos_plugin_stream_t* stream = nullptr;
  REQUIRE(api.stream->create(devices[0], &desc, &stream) == FLAGOS_STATUS_OK);
  const std::uint32_t pattern = 0x01020304;
  CHECK(api.memory->fill(stream, memory[0], &pattern, 4, 4096) == FLAGOS_STATUS_OK);
  CHECK(api.memory->copy_peer(stream, memory[1], devices[1], memory[0], devices[0], 4096) ==
        FLAGOS_STATUS_OK);
  std::uint32_t read[4] = {};
  CHECK(api.memory->copy(stream, address_of(read), memory[1], sizeof(read)) == FLAGOS_STATUS_OK);
  CHECK(api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(read[3] == pattern);
  api.stream->destroy(stream);
  for (std::uint32_t i = 0; i < 2; ++i) {
    api.memory->free(devices[i], memory[i]);
    api.device->close(devices[i]);
  }
}

TEST_CASE("plugin: the current context of the calling thread stays what it was") {
  const Fake fake;
  const auto get =
      reinterpret_cast<CUresult (*)(CUcontext*)>(fake.library.symbol("cuCtxGetCurrent"));
  CUcontext before = nullptr, after = nullptr;
  REQUIRE(get(&before) == CUDA_SUCCESS);
  {
    TestDevice device;
    CHECK(device.wait(device.stream()) == FLAGOS_STATUS_OK);
    REQUIRE(get(&after) == CUDA_SUCCESS);
    CHECK(after == before);
  }
  REQUIRE(get(&after) == CUDA_SUCCESS);
  CHECK(after == before);
}

}  // namespace
}  // namespace flagos::nvidia::test
