// Whether a package is what it says it is: docs/certification.md has the checks, one by one.
#pragma once

#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/package/archive.hpp"
#include "conformance/run_log.hpp"

namespace flagos::conformance {

struct VerifyOptions {
  std::string key;           // public key of the signer, PEM; "": the signature is not checked
  std::string approver_key;  // public key of whoever approves waivers
  std::string plugin;        // the plugin's file, to compare with the one that was tested
  std::string suite_sha256;  // of the published suite's program
  std::string today;         // a date such as 2026-01-31
};

struct Verification {
  std::vector<std::string> refusals;  // why the package is not to be believed
  std::vector<std::string> notes;     // what was not looked at, and why
  std::vector<std::string> reasons;   // why a genuine package is no certificate
  std::string subject;                // what the package is about, in one line
  bool conformant = false;

  bool genuine() const { return refusals.empty(); }
};

Verification verify_package(const Files& files, const std::vector<Case>& cases,
                            const VerifyOptions& options);

// The digests that a package claims: name of the subcase -> SHA-256.
std::map<std::string, std::string> claimed_digests(const Files& files);

}  // namespace flagos::conformance
