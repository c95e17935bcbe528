#include "core/digest.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/error.hpp"

namespace flagos::core {

namespace {

void demand(int result) {
  if (result == 1) return;
  ERR_clear_error();  // the queue is the application's
  throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES,
              "OpenSSL computes no SHA-256: no memory is left, or it was built without");
}

}  // namespace

struct Hasher::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  demand(state_->context != nullptr ? EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) : 0);
}

Hasher::~Hasher() = default;

void Hasher::append(std::span<const std::byte> bytes) {
  demand(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()));
}

Hasher& Hasher::add(std::span<const std::byte> bytes) {
  const std::uint64_t size = bytes.size();
  append(std::as_bytes(std::span(&size, 1)));
  append(bytes);
  return *this;
}

Digest Hasher::finish() {
  Digest digest{};
  demand(EVP_DigestFinal_ex(state_->context, digest.data(), nullptr));
  return digest;
}

Digest sha256(std::span<const std::byte> bytes) {
  Digest digest{};
  demand(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr));
  return digest;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace flagos::core
