// Format `spirv`: what a module says of its kernels, read without a driver. Judges the bytes too, so
// that a cut, random or graphics module never reaches one.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "plugins/opencl/signature.hpp"

namespace flagos::opencl {

// Throws INVALID_IMAGE for bytes that are no whole module, UNSUPPORTED for one that is not made for
// OpenCL.
std::vector<Signature> reflect_spirv(std::span<const std::byte> bytes);

}  // namespace flagos::opencl
