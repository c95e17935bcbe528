#include "plugins/vulkan/spirv.hpp"

#include <doctest/doctest.h>
#include <vulkan/vulkan_core.h>

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "plugins/vulkan/pipeline_cache.hpp"
#include "plugins/vulkan/test_plugin.hpp"

namespace flagos::vulkan::test {
namespace {

Words test_words() {
  const std::vector<std::byte> bytes = test_spirv();
  Words words(bytes.size() / 4);
  std::memcpy(words.data(), bytes.data(), words.size() * 4);
  return words;
}

// The status with which the validator refuses it, OK when it does not.
flagos_status_t judge(const Words& words) {
  try {
    validate_spirv(words, VK_API_VERSION_1_2);
    return FLAGOS_STATUS_OK;
  } catch (const Error& error) {
    CHECK(std::strlen(error.what()) > 10);
    return error.status();
  }
}

const SpirvKernel& find(const SpirvModule& module, const char* name) {
  const auto found = std::find_if(module.kernels.begin(), module.kernels.end(),
                                  [&](const SpirvKernel& kernel) { return kernel.name == name; });
  REQUIRE(found != module.kernels.end());
  return *found;
}

TEST_CASE("spirv: kernels with their arguments") {
  const Words words = test_words();
  const SpirvModule module = reflect_spirv(words);
  CHECK(module.kernels.size() == 4);
  const SpirvKernel& add = find(module, "test_add");
  CHECK(add.block == ArgumentBlock::push_constants);
  CHECK(add.argument_bytes == 16);
  REQUIRE(add.parameters.size() == 3);
  CHECK(add.parameters[0].dtype == FLAGOS_DTYPE_ADDRESS);
  CHECK(add.parameters[1].dtype == FLAGOS_DTYPE_UINT32);
  CHECK(add.parameters[2].offset_bytes == 12);
  CHECK(add.address_offsets == std::vector<std::uint32_t>{0});
  for (std::uint32_t i = 0; i < 3; ++i) CHECK(add.size[i].spec_id == i);
}

TEST_CASE("spirv: an argument with a buffer bound to it is an address, whatever its type") {
  const SpirvModule module = reflect_spirv(test_words());
  const SpirvKernel& bound = find(module, "test_bound");
  REQUIRE(bound.buffers.size() == 1);
  CHECK(bound.buffers[0].binding == 1);
  CHECK(bound.buffers[0].offset == 0);
  CHECK(bound.address_offsets.empty());
  CHECK(bound.argument_bytes == 16);
  REQUIRE(bound.parameters.size() == 3);
  CHECK(bound.parameters[0].dtype == FLAGOS_DTYPE_ADDRESS);
  CHECK(bound.parameters[0].size_bytes == 8);
}

TEST_CASE("spirv: the hidden status is none of the caller's arguments") {
  const SpirvModule module = reflect_spirv(test_words());
  const SpirvKernel& fail = find(module, "test_fail");
  REQUIRE(fail.parameters.size() == 1);
  CHECK(fail.parameters[0].dtype == FLAGOS_DTYPE_INT32);
  CHECK(fail.status_offset != UINT32_MAX);
  CHECK(fail.argument_bytes <= fail.status_offset);
}

TEST_CASE("spirv: arguments in a buffer") {
  const SpirvModule module = reflect_spirv(test_words());
  const SpirvKernel& large = find(module, "test_large");
  CHECK(large.block == ArgumentBlock::storage_buffer);
  CHECK(large.argument_bytes == 648);
}

TEST_CASE("spirv: what is no module is refused, whatever is cut off") {
  const Words words = test_words();
  CHECK(judge(words) == FLAGOS_STATUS_OK);
  for (std::size_t size = 0; size < words.size(); size += 1 + words.size() / 97) {
    CAPTURE(size);
    CHECK(judge(Words(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(size))) ==
          FLAGOS_STATUS_INVALID_IMAGE);
  }
  Words foreign = words;
  foreign[0] = 0x464c457f;  // an ELF file
  CHECK(judge(foreign) == FLAGOS_STATUS_INVALID_IMAGE);
  Words newer = words;
  newer[1] = 0x00020000;
  CHECK(judge(newer) == FLAGOS_STATUS_UNSUPPORTED);
}

TEST_CASE("pipeline cache: a file of another driver is not used") {
  VkPhysicalDeviceProperties properties{};
  properties.vendorID = 7;
  properties.deviceID = 8;
  properties.pipelineCacheUUID[3] = 9;
  VkPipelineCacheHeaderVersionOne header{};
  header.headerSize = sizeof(header);
  header.headerVersion = VK_PIPELINE_CACHE_HEADER_VERSION_ONE;
  header.vendorID = 7;
  header.deviceID = 8;
  header.pipelineCacheUUID[3] = 9;
  std::vector<char> bytes(sizeof(header) + 10);
  std::memcpy(bytes.data(), &header, sizeof(header));
  CHECK(is_cache_of(bytes, properties));
  properties.deviceID = 9;
  CHECK_FALSE(is_cache_of(bytes, properties));
  properties.deviceID = 8;
  properties.pipelineCacheUUID[3] = 10;
  CHECK_FALSE(is_cache_of(bytes, properties));
  CHECK_FALSE(is_cache_of(std::vector<char>(5), properties));
}

}  // namespace
}  // namespace flagos::vulkan::test
