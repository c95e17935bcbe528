// The plugin on its fake driver, for its own tests.
#pragma once

#include <cstdlib>
#include <string>
#include <utility>

#include "base/dynamic_library.hpp"
#include "base/testing/test_plugin.hpp"
#include "plugins/nvidia/cuda.hpp"

namespace flagos::nvidia::test {

using testing::address_of;
using testing::Config;
using testing::forever;
using testing::launch_desc;
using testing::module_desc;
using testing::TestHost;
using testing::TestModule;

// Whole runs of the tests may be sent to another driver: FLAGOS_NVIDIA_DRIVER of the environment holds where a test says
// nothing else; without it they run on the fake.
Config with_driver(Config config);

class TestInstance : public testing::TestInstance {
 public:
  explicit TestInstance(Config config = {})
      : testing::TestInstance(with_driver(std::move(config))) {}
};

// The tests' kernels in CUDA C++.
TestModule test_kernels();

class TestDevice : public testing::TestDevice {
 public:
  explicit TestDevice(Config config = {})
      : testing::TestDevice(with_driver(std::move(config)), test_kernels()) {}
};

// The fake reads its own settings from the environment, as a driver does.
class Setting {
 public:
  Setting(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Setting() { unsetenv(name_); }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

 private:
  const char* name_;
};

// The fake's own entries, beside those of the driver.
struct Fake {
  Fake();
  DynamicLibrary library;
  void (*control)(std::uint64_t, int);  // the n-th call from now on fails with this code; 0: none
  std::int64_t (*live)();               // objects of the driver that live
  const char* (*failed)();              // the function that failed
};

}  // namespace flagos::nvidia::test
