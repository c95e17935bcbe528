#include "conformance/sha256.hpp"

#include <openssl/evp.h>

#include <fmt/format.h>

#include <fstream>
#include <new>
#include <stdexcept>
#include <vector>

namespace flagos::conformance {
namespace {

EVP_MD_CTX* evp(void* context) { return static_cast<EVP_MD_CTX*>(context); }

void demand(int result) {
  if (result != 1) throw std::runtime_error("SHA-256: the crypto library failed");
}

}  // namespace

void Sha256::Free::operator()(void* context) const { EVP_MD_CTX_free(evp(context)); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_) throw std::bad_alloc();
  demand(EVP_DigestInit_ex(evp(context_.get()), EVP_sha256(), nullptr));
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::uint8_t> bytes) {
  demand(EVP_DigestUpdate(evp(context_.get()), bytes.data(), bytes.size()));
}

void Sha256::update(std::string_view text) {
  demand(EVP_DigestUpdate(evp(context_.get()), text.data(), text.size()));
}

std::array<std::uint8_t, 32> Sha256::digest() const {
  const std::unique_ptr<void, Free> copy(EVP_MD_CTX_new());
  if (!copy) throw std::bad_alloc();
  demand(EVP_MD_CTX_copy_ex(evp(copy.get()), evp(context_.get())));
  std::array<std::uint8_t, 32> bytes{};
  demand(EVP_DigestFinal_ex(evp(copy.get()), bytes.data(), nullptr));
  return bytes;
}

std::string Sha256::hex() const {
  std::string text;
  for (const std::uint8_t byte : digest()) text += fmt::format("{:02x}", byte);
  return text;
}

std::string sha256_hex(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.hex();
}

std::uint64_t stable_hash(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  const auto bytes = hash.digest();
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

std::string sha256_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(fmt::format("cannot read '{}'", path));
  Sha256 hash;
  std::vector<char> block(1 << 16);
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    hash.update(std::string_view(block.data(), static_cast<std::size_t>(file.gcount())));
  }
  if (file.bad()) throw std::runtime_error(fmt::format("reading '{}' failed", path));
  return hash.hex();
}

}  // namespace flagos::conformance
