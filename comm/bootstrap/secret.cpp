#include "comm/bootstrap/secret.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>

#include "base/error.hpp"

namespace flagos::comm {

void random_bytes(void* target, std::size_t bytes) {
  if (RAND_bytes(static_cast<unsigned char*>(target), static_cast<int>(bytes)) != 1)
    throw_error(FLAGOS_STATUS_INTERNAL, "OpenSSL gives no {} random bytes", bytes);
}

Digest prove(const Secret& secret, std::span<const std::uint8_t> message) {
  Digest digest{};
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), message.data(),
           message.size(), digest.data(), &size) == nullptr ||
      size != digest.size())
    throw_error(FLAGOS_STATUS_INTERNAL, "OpenSSL gives no HMAC-SHA256");
  return digest;
}

bool equal(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Secret derive(const Secret& secret, std::span<const std::uint8_t> label) {
  const Digest digest = prove(secret, label);
  Secret derived{};
  std::copy_n(digest.begin(), derived.size(), derived.begin());
  return derived;
}

}  // namespace flagos::comm
