// What the parts of `flagos kernel` share.
#pragma once

#include <flagos.h>

#include <string>

#include "base/compiler_library.hpp"
#include "tools/command.hpp"
#include "tools/describe.hpp"

namespace flagos::tools {

// The bytes of a file; "-" is the standard input. Throws CommandError.
std::string read_text(const std::string& path);
void write_bytes(const std::string& path, const void* data, std::size_t size);

// libflagos_compiler. Throws CommandError.
const CompilerLibrary& compiler();
// A module of a file; whatever is wrong with it is printed, then CommandError.
std::unique_ptr<TileModule> read_module(const std::string& path, const std::string& text);

// Throws CommandError with core's own words.
void check(flagos_status_t status, const std::string& what);

// An open device, by its id ("cpu:0") or its plugin's name.
class DeviceOwner {
 public:
  explicit DeviceOwner(const std::string& name);
  ~DeviceOwner();
  DeviceOwner(const DeviceOwner&) = delete;
  DeviceOwner& operator=(const DeviceOwner&) = delete;
  operator flagos_device_t*() const { return device_; }
  const flagos_device_info_t& info() const { return info_; }

 private:
  RuntimeOwner runtime_;
  flagos_device_t* device_ = nullptr;
  flagos_device_info_t info_{};
};

int run_kernel_run(const Arguments& arguments);
int run_kernel_bench(const Arguments& arguments);

}  // namespace flagos::tools
