#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "plugins/nvidia/test_plugin.hpp"

namespace flagos::nvidia::test {
namespace {

flagos_physical_memory_desc_t physical_desc(std::uint64_t size_bytes, std::uint64_t flags = 0,
                                            flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE) {
  return {sizeof(flagos_physical_memory_desc_t), kind, nullptr, size_bytes, flags};
}

// One reservation of a device, and what is mapped there one behind the other.
class Space {
 public:
  Space(TestDevice& device, std::uint64_t units)
      : device_(device), table_(*device.api.virtual_memory) {
    const flagos_physical_memory_desc_t desc = physical_desc(0);
    std::uint64_t recommended = 0;
    REQUIRE(table_.get_granularity(device.get(), &desc, &unit, &recommended) == FLAGOS_STATUS_OK);
    size_ = units * unit;
    REQUIRE(table_.reserve(device.get(), size_, unit, 0, &base) == FLAGOS_STATUS_OK);
  }
  ~Space() {
    for (std::size_t i = 0; i < mapped_.size(); ++i)
      table_.unmap(device_.get(), base + i * unit, unit);
    for (flagos_plugin_physical_memory_t* memory : mapped_) table_.destroy(memory);
    table_.release(device_.get(), base, size_);
  }
  flagos_plugin_physical_memory_t* grow(std::uint64_t flags = 0,
                                        flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE) {
    const flagos_physical_memory_desc_t desc = physical_desc(unit, flags, kind);
    flagos_plugin_physical_memory_t* memory = nullptr;
    REQUIRE(table_.create(device_.get(), &desc, &memory) == FLAGOS_STATUS_OK);
    const std::uint64_t at = base + mapped_.size() * unit;
    REQUIRE(table_.map(device_.get(), at, unit, memory, 0) == FLAGOS_STATUS_OK);
    REQUIRE(table_.set_access(device_.get(), at, unit, device_.get(),
                              FLAGOS_MEMORY_ACCESS_READ_WRITE) == FLAGOS_STATUS_OK);
    mapped_.push_back(memory);
    return memory;
  }

  std::uint64_t unit = 0;
  flagos_address_t base = 0;

 private:
  TestDevice& device_;
  const flagos_virtual_memory_table_t& table_;
  std::uint64_t size_ = 0;
  std::vector<flagos_plugin_physical_memory_t*> mapped_;
};

TEST_CASE("virtual memory: a buffer that grows is one range to fills, kernels and copies") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  Space space(device, 3);
  space.grow();
  space.grow();
  space.grow();
  const std::uint64_t words = 3 * space.unit / 4;
  const std::uint32_t pattern = 40;
  CHECK(device.api.memory->fill(stream, space.base, &pattern, 4, 3 * space.unit) ==
        FLAGOS_STATUS_OK);
  const struct {
    std::uint64_t data;
    std::uint32_t value;
  } arguments{space.base, 2};
  CHECK(device.launch(stream, "test_add", arguments, static_cast<std::uint32_t>(words / 1024),
                      1024) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, space.base, words) == std::vector<std::uint32_t>(words, 42));
}

TEST_CASE(
    "virtual memory: a part of the memory is not mapped, and what lies elsewhere is refused") {
  TestDevice device;
  const flagos_virtual_memory_table_t& table = *device.api.virtual_memory;
  Space space(device, 4);
  const flagos_physical_memory_desc_t desc = physical_desc(2 * space.unit);
  flagos_plugin_physical_memory_t* memory = nullptr;
  REQUIRE(table.create(device.get(), &desc, &memory) == FLAGOS_STATUS_OK);
  CHECK(table.map(device.get(), space.base, space.unit, memory, space.unit) ==
        FLAGOS_STATUS_UNSUPPORTED);
  CHECK(device.host.last_error().find("the driver maps all of it only") != std::string::npos);
  CHECK(table.map(device.get(), space.base, space.unit, memory, 0) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(table.map(device.get(), space.base + 8 * space.unit, 2 * space.unit, memory, 0) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  table.destroy(memory);
}

TEST_CASE("virtual memory: too much of it, and other kinds, are refused with what was asked") {
  TestDevice device;
  const flagos_virtual_memory_table_t& table = *device.api.virtual_memory;
  flagos_plugin_physical_memory_t* memory = nullptr;
  flagos_physical_memory_desc_t desc = physical_desc(std::uint64_t{1} << 50);
  CHECK(table.create(device.get(), &desc, &memory) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  CHECK(device.host.last_error().find("1125899906842624 bytes on '") != std::string::npos);
  flagos_address_t address = 0;
  CHECK(table.reserve(device.get(), std::uint64_t{1} << 62, std::uint64_t{1} << 21, 0, &address) ==
        FLAGOS_STATUS_OUT_OF_RESOURCES);
  CHECK(device.host.last_error().find("bytes of addresses") != std::string::npos);
  desc = physical_desc(std::uint64_t{1} << 50, 0, FLAGOS_MEMORY_KIND_PINNED);
  CHECK(table.create(device.get(), &desc, &memory) == FLAGOS_STATUS_OUT_OF_HOST_MEMORY);
  CHECK(device.host.last_error().find("1125899906842624 bytes of pinned memory") !=
        std::string::npos);
}

TEST_CASE("virtual memory: pinned memory is the host's as well, beside the device's own") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const flagos_virtual_memory_table_t& table = *device.api.virtual_memory;
  Space space(device, 3);
  space.grow();
  flagos_plugin_physical_memory_t* const pinned =
      space.grow(FLAGOS_MEMORY_FLAG_EXPORTABLE, FLAGOS_MEMORY_KIND_PINNED);
  space.grow();
  auto* const host = reinterpret_cast<std::uint32_t*>(space.base + space.unit);
  const std::uint64_t words = space.unit / 4;
  for (std::uint64_t i = 0; i < words; ++i) host[i] = 40;
  const struct {
    std::uint64_t data;
    std::uint32_t value;
  } arguments{space.base + space.unit, 2};
  CHECK(device.launch(stream, "test_add", arguments, static_cast<std::uint32_t>(words / 1024),
                      1024) == FLAGOS_STATUS_OK);
  CHECK(device.wait(stream) == FLAGOS_STATUS_OK);
  CHECK(std::vector<std::uint32_t>(host, host + words) == std::vector<std::uint32_t>(words, 42));
  // Over both kinds at once.
  CHECK(table.set_access(device.get(), space.base, 3 * space.unit, device.get(),
                         FLAGOS_MEMORY_ACCESS_READ_WRITE) == FLAGOS_STATUS_OK);
  const std::uint32_t pattern = 7;
  CHECK(device.api.memory->fill(stream, space.base, &pattern, 4, 3 * space.unit) ==
        FLAGOS_STATUS_OK);
  CHECK(device.wait(stream) == FLAGOS_STATUS_OK);
  CHECK(host[0] == 7);
  // What was given away is the host's there too.
  flagos_plugin_external_t external{};
  REQUIRE(table.export_memory(pinned, &external) == FLAGOS_STATUS_OK);
  flagos_plugin_physical_memory_t* other = nullptr;
  REQUIRE(table.import_memory(device.get(), &external, &other) == FLAGOS_STATUS_OK);
  close(external.fd);
  flagos_address_t at = 0;
  REQUIRE(table.reserve(device.get(), space.unit, space.unit, 0, &at) == FLAGOS_STATUS_OK);
  REQUIRE(table.map(device.get(), at, space.unit, other, 0) == FLAGOS_STATUS_OK);
  REQUIRE(table.set_access(device.get(), at, space.unit, device.get(),
                           FLAGOS_MEMORY_ACCESS_READ_WRITE) == FLAGOS_STATUS_OK);
  host[words - 1] = 99;
  CHECK(reinterpret_cast<std::uint32_t*>(at)[words - 1] == 99);
  table.unmap(device.get(), at, space.unit);
  table.release(device.get(), at, space.unit);
  table.destroy(other);
}

TEST_CASE("virtual memory: drivers before CUDA 12.2 map memory of the device only") {
  const std::string other = std::string(FLAGOS_NVIDIA_TEST_FAKE) + ".12.1";
  std::error_code ignored;
  std::filesystem::remove(other, ignored);
  std::filesystem::create_symlink(FLAGOS_NVIDIA_TEST_FAKE, other);
  const Setting version("FLAGOS_FAKE_CUDA_VERSION", "12010");
  TestInstance instance(Config{{"FLAGOS_NVIDIA_DRIVER", other}});
  REQUIRE(instance.opened == FLAGOS_STATUS_OK);
  flagos_plugin_device_t* device = nullptr;
  REQUIRE(instance.api.device->open(instance.api.instance, 0, &device) == FLAGOS_STATUS_OK);
  const flagos_physical_memory_desc_t desc = physical_desc(1 << 21, 0, FLAGOS_MEMORY_KIND_PINNED);
  flagos_plugin_physical_memory_t* memory = nullptr;
  CHECK(instance.api.virtual_memory->create(device, &desc, &memory) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(instance.host.last_error().find("drivers for CUDA 12.2 or newer, this one is for 12.1") !=
        std::string::npos);
  instance.api.device->close(device);
  std::filesystem::remove(other, ignored);
}

TEST_CASE("virtual memory: memory that was given away is the same memory; no other descriptor is") {
  TestDevice device;
  const flagos_virtual_memory_table_t& table = *device.api.virtual_memory;
  flagos_plugin_stream_t* stream = device.stream();
  Space space(device, 1);
  flagos_plugin_external_t external{};
  REQUIRE(table.export_memory(space.grow(FLAGOS_MEMORY_FLAG_EXPORTABLE), &external) ==
          FLAGOS_STATUS_OK);
  flagos_plugin_physical_memory_t* other = nullptr;
  REQUIRE(table.import_memory(device.get(), &external, &other) == FLAGOS_STATUS_OK);
  flagos_address_t at = 0;
  REQUIRE(table.reserve(device.get(), space.unit, 4 * space.unit, 0, &at) == FLAGOS_STATUS_OK);
  CHECK(at % (4 * space.unit) == 0);
  REQUIRE(table.map(device.get(), at, space.unit, other, 0) == FLAGOS_STATUS_OK);
  REQUIRE(table.set_access(device.get(), at, space.unit, device.get(), FLAGOS_MEMORY_ACCESS_READ) ==
          FLAGOS_STATUS_OK);
  const std::uint32_t pattern = 77;
  CHECK(device.api.memory->fill(stream, space.base, &pattern, 4, 4096) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, at, 1024) == std::vector<std::uint32_t>(1024, 77));
  table.unmap(device.get(), at, space.unit);
  table.release(device.get(), at, space.unit);
  table.destroy(other);
  flagos_plugin_external_t wrong = external;
  wrong.type = 1;
  CHECK(table.import_memory(device.get(), &wrong, &other) == FLAGOS_STATUS_INVALID_HANDLE);
  wrong = external;
  wrong.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK(table.import_memory(device.get(), &wrong, &other) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(device.host.last_error().find("no memory of this driver's") != std::string::npos);
  close(wrong.fd);
  close(external.fd);
}

}  // namespace
}  // namespace flagos::nvidia::test
