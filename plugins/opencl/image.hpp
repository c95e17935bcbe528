// Format `opencl-binary`: what compile gives. The driver's binary with what the driver would forget
// of it, and a check sum, so that bytes that were changed never reach the driver.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "plugins/opencl/signature.hpp"

namespace flagos::opencl {

struct Image {
  std::string device;  // what it was made for: device and driver, by name and version
  bool is_wrapped = false;
  std::vector<Signature> signatures;
  std::vector<std::byte> binary;
};

std::vector<std::byte> write_image(const Image& image);
// Throws INVALID_IMAGE for bytes that write_image did not make, or not quite.
Image read_image(std::span<const std::byte> bytes);

}  // namespace flagos::opencl
