// Reads and writes .ppm and .pgm files (P2, P3, P5, P6). Trusts nothing in a file.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace flagos::samples {

struct Image {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t channels = 0;          // 1 or 3
  std::uint32_t maximum = 0;           // 1 .. 65535
  std::vector<std::uint16_t> samples;  // interleaved, row by row
};

// One sentence that names the file, what was found, and what to do.
class ImageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr std::uint32_t largest_side = 65536;
inline constexpr std::uint64_t largest_file = std::uint64_t{1} << 30;

Image read_image(const std::string& path);

// Writes P5 or P6. The file appears complete or not at all; `path` may be the file that was read.
void write_image(const std::string& path, const Image& image);

}  // namespace flagos::samples
