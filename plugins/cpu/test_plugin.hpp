// The plugin under test, with its test kernels.
#pragma once

#include "base/testing/test_plugin.hpp"

namespace flagos::cpu::test {

using namespace flagos::testing;

inline std::vector<std::byte> read_test_kernels() { return read_file(FLAGOS_CPU_TEST_KERNELS); }

class TestDevice : public testing::TestDevice {
 public:
  explicit TestDevice(Config config = {})
      : testing::TestDevice(std::move(config), {"elf-so", read_test_kernels()}) {}

  flagos_status_t launch_empty(flagos_plugin_stream_t* stream) {
    return launch_bytes(stream, "test_empty", nullptr, 0);
  }
};

inline flagos_module_desc_t module_desc(const void* data, std::size_t size_bytes) {
  return testing::module_desc("elf-so", data, size_bytes);
}

}  // namespace flagos::cpu::test
