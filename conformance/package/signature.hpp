// ed25519 signatures with OpenSSL, and base64.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace flagos::conformance {

// A key from a PEM file, as `openssl genpkey -algorithm ed25519` writes it and `openssl pkey
// -pubout` its public half.
class Key {
 public:
  // Throw std::runtime_error that names the file when it holds no such key.
  static Key read_private(const std::string& path);
  static Key read_public(const std::string& path);

  // SHA-256 of the public key in DER form: `openssl pkey -pubout -outform DER | sha256sum`.
  std::string id() const;
  std::string sign(std::string_view message) const;  // 64 bytes; needs a private key
  bool verifies(std::string_view message, std::string_view signature) const;

 private:
  struct Free {
    void operator()(void* key) const;
  };
  explicit Key(void* key) : key_(key) {}
  static Key read(const std::string& path, bool is_private);

  std::unique_ptr<void, Free> key_;
};

std::string to_base64(std::string_view bytes);
// Throws std::runtime_error when it is not base64 in its strict form.
std::string from_base64(const std::string& text);

}  // namespace flagos::conformance
