// attestation.json: an in-toto statement about a report, in a DSSE envelope signed with ed25519.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "conformance/package/signature.hpp"

namespace flagos::conformance {

// The statement that a report deserves: a test result about the plugin's file, with all that binds
// it to the package. `sums_sha256` is the hash of SHA256SUMS, and so of every file.
nlohmann::json make_statement(const nlohmann::json& report, const std::string& sums_sha256);

// The envelope, as text.
std::string make_attestation(const nlohmann::json& report, const std::string& sums_sha256,
                             const Key& key);

struct Envelope {
  std::string payload;  // the canonical form of the statement
  std::string key_id;
  std::string signature;
};
// Throws std::runtime_error when it is no envelope with one signature.
Envelope read_attestation(const std::string& text);

// The bytes that are signed: DSSE's pre-authentication encoding.
std::string signed_bytes(const std::string& payload);

}  // namespace flagos::conformance
