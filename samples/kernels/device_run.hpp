// Runs a kernel of flagos.tile on a device, for the test: text, memory on the host, grid.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flagos::samples {

struct DeviceArgument {
  void* data;  // memory of the host, copied to the device and back; nullptr: a scalar
  std::uint64_t size_bytes;
  std::uint64_t bits;  // of a scalar
};

// The device that FLAGOS_SAMPLE_DEVICE names, such as "cpu" or "opencl:1"; "" when it names none.
std::string sample_device();
// Throws std::runtime_error with flagos' own words.
void run_on_device(const std::string& device, const std::string& text,
                   const std::vector<DeviceArgument>& arguments, std::uint32_t grid_x,
                   std::uint32_t grid_y);
// Whether there is such a device.
bool has_device(const std::string& device);

}  // namespace flagos::samples
