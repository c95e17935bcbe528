// SHA-256 of bytes, texts and files, as lower-case hexadecimal text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace flagos::conformance {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::uint8_t> bytes);
  void update(std::string_view text);
  // The digest of everything so far; more may follow.
  std::array<std::uint8_t, 32> digest() const;
  std::string hex() const;

 private:
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

std::string sha256_hex(std::string_view text);
// The first eight bytes of the digest as a number: a hash that is the same everywhere and for ever.
std::uint64_t stable_hash(std::string_view text);
// Throws std::runtime_error that names the file when it cannot be read.
std::string sha256_file(const std::string& path);

}  // namespace flagos::conformance
