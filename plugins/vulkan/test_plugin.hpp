// The plugin under test, with its test kernels.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "base/testing/test_plugin.hpp"

namespace flagos::vulkan::test {

using namespace flagos::testing;

inline std::vector<std::byte> test_spirv() { return read_file(FLAGOS_VULKAN_TEST_SPIRV); }
inline std::vector<std::byte> test_glsl() { return read_file(FLAGOS_VULKAN_TEST_GLSL); }

// Without any device the test is skipped.
inline Config on_a_device(Config config) {
  TestInstance instance(config);
  if (instance.count() == 0) {
    std::printf("skipped: %s", instance.host.log().c_str());
    std::fflush(stdout);
    std::_Exit(77);
  }
  return config;
}

class TestDevice : public testing::TestDevice {
 public:
  explicit TestDevice(Config config = {})
      : testing::TestDevice(on_a_device(std::move(config)), {"spirv", test_spirv()}) {}
};

inline flagos_module_desc_t module_desc(const char* format, const std::vector<std::byte>& image) {
  return testing::module_desc(format, image.data(), image.size());
}

}  // namespace flagos::vulkan::test
