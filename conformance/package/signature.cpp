#include "conformance/package/signature.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <new>
#include <stdexcept>
#include <vector>

#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

constexpr std::size_t signature_bytes = 64;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

EVP_PKEY* pkey(void* key) { return static_cast<EVP_PKEY*>(key); }

// Never asks on the terminal: a key with a passphrase is refused.
int no_passphrase(char*, int, int, void*) { return -1; }

std::unique_ptr<EVP_MD_CTX, FreeContext> new_context() {
  std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  if (!context) throw std::bad_alloc();
  return context;
}

}  // namespace

void Key::Free::operator()(void* key) const { EVP_PKEY_free(pkey(key)); }

Key Key::read(const std::string& path, bool is_private) {
  const std::unique_ptr<BIO, FreeBio> file(BIO_new_file(path.c_str(), "r"));
  if (!file) throw std::runtime_error(fmt::format("cannot read the key '{}'", path));
  EVP_PKEY* const found =
      is_private ? PEM_read_bio_PrivateKey(file.get(), nullptr, &no_passphrase, nullptr)
                 : PEM_read_bio_PUBKEY(file.get(), nullptr, &no_passphrase, nullptr);
  Key key(found);
  const char* const kind = is_private ? "private" : "public";
  if (found == nullptr) {
    throw std::runtime_error(
        fmt::format("'{}' holds no {} key in PEM form without a passphrase", path, kind));
  }
  if (EVP_PKEY_get_base_id(found) != EVP_PKEY_ED25519) {
    throw std::runtime_error(fmt::format("the key in '{}' is not of ed25519", path));
  }
  return key;
}

Key Key::read_private(const std::string& path) { return read(path, true); }
Key Key::read_public(const std::string& path) { return read(path, false); }

std::string Key::id() const {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(pkey(key_.get()), &der);
  if (size <= 0) throw std::runtime_error("the crypto library cannot write a public key");
  const std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return sha256_hex(text);
}

std::string Key::sign(std::string_view message) const {
  const auto context = new_context();
  std::string signature(signature_bytes, '\0');
  std::size_t size = signature.size();
  const bool signed_now =
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, pkey(key_.get())) == 1 &&
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     bytes_of(message), message.size()) == 1;
  if (!signed_now || size != signature_bytes) {
    throw std::runtime_error("the crypto library could not sign");
  }
  return signature;
}

bool Key::verifies(std::string_view message, std::string_view signature) const {
  const auto context = new_context();
  return signature.size() == signature_bytes &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pkey(key_.get())) == 1 &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                          message.size()) == 1;
}

std::string to_base64(std::string_view bytes) {
  std::vector<unsigned char> text(4 * ((bytes.size() + 2) / 3) + 1);
  const int size = EVP_EncodeBlock(text.data(), bytes_of(bytes), static_cast<int>(bytes.size()));
  return {text.begin(), text.begin() + size};
}

std::string from_base64(const std::string& text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), bytes_of(text),
                                   static_cast<int>(text.size()));
  const std::size_t end = text.find('=');
  const std::size_t padding = end == std::string::npos ? 0 : text.size() - end;
  if (size >= 0 && padding <= 2 && text.size() % 4 == 0) {
    bytes.resize(static_cast<std::size_t>(size) - padding);
    if (to_base64(bytes) == text) return bytes;
  }
  throw std::runtime_error("it is not base64");
}

}  // namespace flagos::conformance
