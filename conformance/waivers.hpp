// Waivers: failures that a certificate may hold for a while, each with its reason, its owner and
// its end. conformance/README.md has the rules.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/package/signature.hpp"
#include "conformance/status.hpp"

namespace flagos::conformance {

enum class WaiverClass { suite_bug, spec_ambiguity, hw_erratum, known_failure };

// What was tested, as far as a waiver may be limited to it.
struct WaiverSubject {
  std::string plugin_sha256;
  std::string plugin_version;
  std::string device_id;
  std::string driver_version;
};

struct VersionRange {
  std::string min, max;  // "" has no end
};

struct Waiver {
  std::string id;
  std::string parameters;  // of the subcase; "": whichever
  WaiverClass waiver_class = WaiverClass::known_failure;
  Status expect = Status::fail;
  std::string check;  // part of the text of the failing check
  std::vector<std::string> plugin_sha256;
  std::vector<std::string> device_ids;
  std::optional<VersionRange> plugin_version, driver_version;
  std::string reason, issue, owner, created, expires;
  nlohmann::json entry;  // as it was read

  // A date of the form 2026-01-31.
  bool has_expired(const std::string& date) const { return date > expires; }
  bool covers(const WaiverSubject& subject) const;
  // Whether a case that ended so failed exactly as foreseen.
  bool foresees(Status found, const std::string& text) const;
};

using Waivers = std::vector<Waiver>;

// `json` is {"waivers": [...]}. Throws std::runtime_error with one sentence per mistake.
Waivers parse_waivers(const nlohmann::json& json, const std::vector<Case>& cases);
// The same for a file; the sentence names it.
Waivers load_waivers(const std::string& path, const std::vector<Case>& cases);
nlohmann::json to_json(const Waivers& waivers);

std::string_view waiver_class_name(WaiverClass waiver_class);
// Only a known failure is nobody's decision but the plugin's: it is never part of a certificate.
bool counts_for_certification(WaiverClass waiver_class);
// The text that the approver signs: the canonical form of the entry without its `approval`.
std::string approved_text(const Waiver& waiver);

// Throws std::runtime_error naming the first waiver whose approval is not of this key, where one is
// needed.
void demand_approvals(const Waivers& waivers, const Key& approver);

// 1.10 is behind 1.9; text is compared as text.
int compare_versions(const std::string& a, const std::string& b);
// Days between two dates; nothing when one is no date of the form 2026-01-31.
std::optional<long> days_between(const std::string& from, const std::string& to);

}  // namespace flagos::conformance
