// What the fuzz targets share: bytes that are read as choices, and seeds that a program writes by itself.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flagos::fuzz {

// What to begin with; each target has its own. `--write-seeds FOLDER` writes one file for each.
std::vector<std::string> seeds();

// A folder of this process, gone at its end.
const std::string& folder();
void write_file(const std::string& path, std::string_view bytes);

// The input, read from its start. Past its end there are zeros.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  template <typename T>
  T number() {
    T value{};
    const std::size_t size = std::min(sizeof(value), rest_.size());
    if (size != 0) std::memcpy(&value, rest_.data(), size);
    rest_ = rest_.subspan(size);
    return value;
  }
  std::uint32_t below(std::uint32_t bound) { return number<std::uint8_t>() % bound; }
  std::span<const std::uint8_t> take(std::size_t size) {
    const auto taken = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  bool at_end() const { return rest_.empty(); }
  std::size_t size() const { return rest_.size(); }

 private:
  std::span<const std::uint8_t> rest_;
};

inline std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
template <typename T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

// What must hold for every input.
inline void demand(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "fuzz: this does not hold: %s\n", what);
  std::abort();
}

}  // namespace flagos::fuzz
