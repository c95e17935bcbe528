// A device of a plugin, on which printed kernels are run.
#pragma once

#include <flagos.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "compiler/lower.hpp"
#include "tests/lowering/oracle.hpp"

namespace flagos::compiler::test {

class Device {
 public:
  // The first device of the plugin; throws Error where it has none.
  explicit Device(const std::string& plugin);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const flagos_device_info_t& info() const { return info_; }
  // Compiles a text; the module lives as long as the device.
  flagos_module_t* load(const std::string& format, const std::string& source);
  // What the case's memory is afterwards.
  std::vector<std::vector<std::byte>> run(flagos_module_t* module, const LaunchRecord& record,
                                          const Case& made);

 private:
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
  flagos_device_info_t info_{};
  std::vector<flagos_module_t*> modules_;
};

}  // namespace flagos::compiler::test
