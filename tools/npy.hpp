// Arrays in files of numpy's form .npy: little-endian, row-major.
#pragma once

#include <flagos.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace flagos::tools {

struct Array {
  flagos_dtype_t dtype = FLAGOS_DTYPE_FLOAT32;
  std::vector<std::uint64_t> shape;
  std::vector<std::byte> data;

  std::uint64_t count() const;
};

std::uint32_t element_bytes(flagos_dtype_t dtype);
// "f32", "i64", "bf16" and the like. Throws UsageError.
flagos_dtype_t parse_dtype(const std::string& name);

// Throw CommandError with the file's name. bf16 and the 8-bit floats are numpy's u2 and u1.
Array read_npy(const std::string& path);
void write_npy(const std::string& path, const Array& array);

}  // namespace flagos::tools
