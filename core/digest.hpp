// SHA-256, of plugins, kernels and what is kept of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace flagos::core {

using Digest = std::array<std::uint8_t, 32>;

Digest sha256(std::span<const std::byte> bytes);
std::string hex(std::span<const std::uint8_t> bytes);

// Of several values, each with its length, so that no two lists give the same bytes.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  Hasher& add(std::span<const std::byte> bytes);
  Hasher& add(std::string_view text) { return add(std::as_bytes(std::span(text.data(), text.size()))); }
  Hasher& add(std::uint64_t number) { return add(std::as_bytes(std::span(&number, 1))); }
  Digest finish();

 private:
  void append(std::span<const std::byte> bytes);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flagos::core
