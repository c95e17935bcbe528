// Device code as bytes: judged before the driver's loader sees it, which is not made for what is no image.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flagos::nvidia {

constexpr const char* source_format = "cuda-c";
constexpr const char* ptx_format = "ptx";
constexpr const char* cubin_format = "cubin";
constexpr const char* fatbin_format = "fatbin";

// Throws INVALID_IMAGE for what is not of the format, or cut off.
void check_image(std::string_view format, std::span<const std::byte> bytes);
// CUDA C++; throws INVALID_IMAGE for what is no text.
std::string read_source(std::span<const std::byte> bytes);
// "8.7" of ".version 8.7"; "" where there is none.
std::string ptx_version(std::string_view text);
// The kernels of an image, by itself: for drivers that do not list them.
std::vector<std::string> kernel_names(std::string_view format, std::span<const std::byte> bytes);

}  // namespace flagos::nvidia
