// The plugin under test, with its test kernels.
#pragma once

#include "base/testing/test_plugin.hpp"

namespace flagos::opencl::test {

using namespace flagos::testing;

// Whole runs of the tests may be sent to another driver or another kind of memory: FLAGOS_OPENCL_DRIVER and
// FLAGOS_OPENCL_MEMORY of the environment hold where a test says nothing else.
Config with_environment(Config config);

class TestInstance : public testing::TestInstance {
 public:
  explicit TestInstance(Config config = {})
      : testing::TestInstance(with_environment(std::move(config))) {}
};

// False, and a line that says so, on a machine without any OpenCL device: the test has nothing to do.
bool has_device();

TestModule test_kernels();

class TestDevice : public testing::TestDevice {
 public:
  explicit TestDevice(Config config = {})
      : testing::TestDevice(with_environment(std::move(config)), test_kernels()) {}
};

}  // namespace flagos::opencl::test
