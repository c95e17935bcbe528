// Two pairs of keys, for tests only: files a.key, a.pub, b.key and b.pub.
#pragma once

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdio>
#include <string>

namespace flagos::conformance {

inline void write_test_keys(const std::string& folder) {
  for (const char* const name : {"a", "b"}) {
    EVP_PKEY* const key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    REQUIRE(key != nullptr);
    std::FILE* const secret = std::fopen((folder + "/" + name + ".key").c_str(), "w");
    std::FILE* const open = std::fopen((folder + "/" + name + ".pub").c_str(), "w");
    REQUIRE(secret != nullptr);
    REQUIRE(open != nullptr);
    CHECK(PEM_write_PrivateKey(secret, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    CHECK(PEM_write_PUBKEY(open, key) == 1);
    std::fclose(secret);
    std::fclose(open);
    EVP_PKEY_free(key);
  }
}

}  // namespace flagos::conformance
