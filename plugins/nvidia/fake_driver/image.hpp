// The images of the fake: an ELF file for machine CUDA that is the host's own object but for that number, and a text with
// the head of PTX that carries it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/nvidia/cuda.hpp"

namespace flagos::nvidia::fake {

std::vector<char> make_cubin(std::vector<char> object);
std::string make_ptx(const std::vector<char>& cubin, const std::string& target,
                     const std::vector<std::string>& kernels);
// The host's object in an image of either kind, or in a fatbin around one.
CUresult read_image(const void* image, std::vector<char>& out_object);

}  // namespace flagos::nvidia::fake
