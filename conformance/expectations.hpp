// What the makers of a plugin say beforehand about cases that do not pass: expectations.json.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <map>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/status.hpp"

namespace flagos::conformance {

enum class Expect { unsupported, expected_failure };

struct Expectation {
  Expect expect;
  std::string reason;
};

using Expectations = std::map<std::string, Expectation>;

// As parse_expectations takes it.
nlohmann::json to_json(const Expectations& expectations);

// Throws std::runtime_error with one sentence per mistake: no JSON, an unknown member, id or
// expectation, a reason of less than 20 characters, an id that stands twice.
Expectations parse_expectations(const std::string& text, const std::vector<Case>& cases);
// The same for a file; the sentence names it.
Expectations load_expectations(const std::string& path, const std::vector<Case>& cases);

// The status of a case that ended with `found` under this expectation.
Status apply_expectation(Status found, const Expectation& expectation);

}  // namespace flagos::conformance
