#include "conformance/waivers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <utility>

#include "conformance/json_text.hpp"
#include "conformance/selection.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

constexpr std::size_t shortest_reason = 40;
constexpr long longest_days = 180;
constexpr std::size_t most_waivers = 1000;
constexpr std::array<std::string_view, 4> class_names = {"suite-bug", "spec-ambiguity",
                                                         "hw-erratum", "known-failure"};
// What these cases look for is never excused.
constexpr std::array<std::string_view, 6> never_waived = {
    "abi.*", "sec.*", "mem.guard*", "fault.host_oom*", "neg.*stale*", "neg.*foreign*"};

// One entry under examination: what is wrong with it is collected.
class Reader {
 public:
  Reader(const json& entry, std::size_t index, std::vector<std::string>& mistakes)
      : entry_(entry), where_(fmt::format("waiver {}", index + 1)), mistakes_(mistakes) {}

  void name(const std::string& id) { where_ += fmt::format(" ('{}')", id); }
  void complain(const std::string& what) const { mistakes_.push_back(where_ + " " + what); }

  std::string text(const char* member, bool required) const {
    const auto found = entry_.find(member);
    if (found != entry_.end() && found->is_string()) return found->get<std::string>();
    if (required || found != entry_.end()) complain(fmt::format("needs a text '{}'", member));
    return "";
  }
  void refuse_unknown(const json& object, const std::set<std::string>& known) const {
    for (const auto& [member, value] : object.items()) {
      if (!known.contains(member)) complain(fmt::format("has an unknown member '{}'", member));
    }
  }

 private:
  const json& entry_;
  std::string where_;
  std::vector<std::string>& mistakes_;
};

std::optional<WaiverClass> class_from_name(const std::string& name) {
  const auto found = std::find(class_names.begin(), class_names.end(), name);
  if (found == class_names.end()) return std::nullopt;
  return static_cast<WaiverClass>(found - class_names.begin());
}

bool may_be_expected(Status status) {
  return status == Status::fail || status == Status::crash || status == Status::timeout ||
         status == Status::leak || status == Status::device_lost;
}

std::vector<std::string> text_list(const json& scope, const char* member, const Reader& reader) {
  std::vector<std::string> texts;
  const auto found = scope.find(member);
  if (found == scope.end()) return texts;
  const bool is_list =
      found->is_array() && !found->empty() &&
      std::all_of(found->begin(), found->end(), [](const json& item) { return item.is_string(); });
  if (!is_list) {
    reader.complain(fmt::format("needs a list of texts as scope '{}'", member));
    return texts;
  }
  return found->get<std::vector<std::string>>();
}

std::optional<VersionRange> version_range(const json& scope, const char* member,
                                          const Reader& reader) {
  const auto found = scope.find(member);
  if (found == scope.end()) return std::nullopt;
  VersionRange range;
  bool good = found->is_object() && !found->empty();
  if (good) {
    for (const auto& [name, value] : found->items()) {
      const bool known = (name == "min" || name == "max") && value.is_string();
      good &= known;
      if (known) (name == "min" ? range.min : range.max) = value.get<std::string>();
    }
  }
  if (!good) reader.complain(fmt::format("needs scope '{}' as {{min, max}}", member));
  return range;
}

void read_scope(const json& entry, Waiver& waiver, const Reader& reader) {
  const auto scope = entry.find("scope");
  if (scope == entry.end() || !scope->is_object() || scope->empty()) {
    return reader.complain(
        "needs a 'scope': plugin_sha256, plugin_version, device_ids or driver_version");
  }
  reader.refuse_unknown(*scope,
                        {"plugin_sha256", "plugin_version", "device_ids", "driver_version"});
  waiver.plugin_sha256 = text_list(*scope, "plugin_sha256", reader);
  waiver.device_ids = text_list(*scope, "device_ids", reader);
  waiver.plugin_version = version_range(*scope, "plugin_version", reader);
  waiver.driver_version = version_range(*scope, "driver_version", reader);
}

void judge_id(const Waiver& waiver, const std::vector<Case>& cases, const Reader& reader) {
  if (waiver.id.find_first_of("*?") != std::string::npos) {
    return reader.complain("names a pattern; a waiver is for one case");
  }
  const bool known =
      std::any_of(cases.begin(), cases.end(), [&](const Case& c) { return c.id == waiver.id; });
  if (!waiver.id.empty() && !known) reader.complain("is for a case that is not there");
  for (const std::string_view pattern : never_waived) {
    if (glob_matches(pattern, waiver.id)) reader.complain("is for a case that is never waived");
  }
}

void judge_dates(const Waiver& waiver, const Reader& reader) {
  const auto days = days_between(waiver.created, waiver.expires);
  if (!days) {
    reader.complain("needs 'created' and 'expires' as dates such as 2026-01-31");
  } else if (*days < 0 || *days > longest_days) {
    reader.complain(fmt::format("lasts {} days; it may last {} at most", *days, longest_days));
  }
}

void judge_approval(const json& entry, WaiverClass waiver_class, const Reader& reader) {
  const auto approval = entry.find("approval");
  if (approval == entry.end()) {
    if (counts_for_certification(waiver_class)) {
      reader.complain(
          fmt::format("is of class {} and needs an 'approval'", waiver_class_name(waiver_class)));
    }
    return;
  }
  bool good = approval->is_string();
  if (good) {
    try {
      good = from_base64(approval->get<std::string>()).size() == 64;
    } catch (const std::runtime_error&) {
      good = false;
    }
  }
  if (!good) reader.complain("needs an ed25519 signature in base64 as 'approval'");
}

Waiver read_waiver(const json& entry, std::size_t index, const std::vector<Case>& cases,
                   std::vector<std::string>& mistakes) {
  Reader reader(entry, index, mistakes);
  Waiver waiver;
  if (!entry.is_object()) {
    reader.complain("is no object");
    return waiver;
  }
  waiver.entry = entry;
  waiver.id = reader.text("id", true);
  reader.name(waiver.id);
  reader.refuse_unknown(entry, {"id", "params", "class", "expect", "check", "scope", "reason",
                                "issue", "owner", "created", "expires", "approval"});
  judge_id(waiver, cases, reader);
  waiver.parameters = reader.text("params", false);
  const auto waiver_class = class_from_name(reader.text("class", true));
  if (!waiver_class)
    reader.complain("needs a class: suite-bug, spec-ambiguity, hw-erratum or known-failure");
  waiver.waiver_class = waiver_class.value_or(WaiverClass::known_failure);
  const auto expect = status_from_name(reader.text("expect", true));
  if (!expect || !may_be_expected(*expect)) {
    reader.complain("must expect FAIL, CRASH, TIMEOUT, LEAK or DEVICE_LOST");
  }
  waiver.expect = expect.value_or(Status::fail);
  waiver.check = reader.text("check", waiver.expect == Status::fail);
  if (waiver.expect == Status::fail && waiver.check.empty())
    reader.complain("must say which 'check' fails");
  read_scope(entry, waiver, reader);
  waiver.reason = reader.text("reason", true);
  if (waiver.reason.size() < shortest_reason) {
    reader.complain(fmt::format("has a reason of {} characters, at least {} are asked for",
                                waiver.reason.size(), shortest_reason));
  }
  waiver.issue = reader.text("issue", true);
  if (waiver.issue.find("://") == std::string::npos) reader.complain("needs a link as 'issue'");
  waiver.owner = reader.text("owner", true);
  if (waiver.owner.empty()) reader.complain("needs an 'owner'");
  waiver.created = reader.text("created", true);
  waiver.expires = reader.text("expires", true);
  judge_dates(waiver, reader);
  judge_approval(entry, waiver.waiver_class, reader);
  return waiver;
}

bool in_range(const std::string& version, const std::optional<VersionRange>& range) {
  if (!range) return true;
  return (range->min.empty() || compare_versions(version, range->min) >= 0) &&
         (range->max.empty() || compare_versions(version, range->max) <= 0);
}

bool in_list(const std::string& text, const std::vector<std::string>& list) {
  return list.empty() || std::find(list.begin(), list.end(), text) != list.end();
}

// The next run of digits, or of anything else.
std::string_view next_part(std::string_view& text) {
  const bool digits = std::isdigit(static_cast<unsigned char>(text.front())) != 0;
  std::size_t size = 0;
  while (size < text.size() &&
         (std::isdigit(static_cast<unsigned char>(text[size])) != 0) == digits)
    ++size;
  const std::string_view part = text.substr(0, size);
  text.remove_prefix(size);
  return part;
}

std::string_view without_zeros(std::string_view digits) {
  return digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
}

}  // namespace

bool Waiver::covers(const WaiverSubject& subject) const {
  return in_list(subject.plugin_sha256, plugin_sha256) && in_list(subject.device_id, device_ids) &&
         in_range(subject.plugin_version, plugin_version) &&
         in_range(subject.driver_version, driver_version);
}

bool Waiver::foresees(Status found, const std::string& text) const {
  if (found != expect) return false;
  if (!parameters.empty() && !text.starts_with("[" + parameters + "] ")) return false;
  return text.find(check) != std::string::npos;
}

Waivers parse_waivers(const json& document, const std::vector<Case>& cases) {
  if (!document.is_object() || document.size() != 1 || !document.contains("waivers") ||
      !document["waivers"].is_array()) {
    throw std::runtime_error("it is not an object with an array 'waivers'");
  }
  const json& entries = document["waivers"];
  if (entries.size() > most_waivers) {
    throw std::runtime_error(
        fmt::format("it has {} waivers, {} may be", entries.size(), most_waivers));
  }
  std::vector<std::string> mistakes;
  std::set<std::pair<std::string, std::string>> seen;
  Waivers waivers;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    waivers.push_back(read_waiver(entries[i], i, cases, mistakes));
    const Waiver& waiver = waivers.back();
    if (!seen.insert({waiver.id, waiver.parameters}).second) {
      mistakes.push_back(fmt::format("waiver {} ('{}') stands twice", i + 1, waiver.id));
    }
  }
  if (!mistakes.empty()) throw std::runtime_error(fmt::format("{}", fmt::join(mistakes, "; ")));
  return waivers;
}

Waivers load_waivers(const std::string& path, const std::vector<Case>& cases) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(fmt::format("cannot read the waivers '{}'", path));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try {
    return parse_waivers(parse_json(text, "it"), cases);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("waivers '{}': {}", path, error.what()));
  }
}

json to_json(const Waivers& waivers) {
  json entries = json::array();
  for (const Waiver& waiver : waivers) entries.push_back(waiver.entry);
  return {{"waivers", entries}};
}

std::string_view waiver_class_name(WaiverClass waiver_class) {
  return class_names[static_cast<std::size_t>(waiver_class)];
}

bool counts_for_certification(WaiverClass waiver_class) {
  return waiver_class != WaiverClass::known_failure;
}

std::string approved_text(const Waiver& waiver) {
  json entry = waiver.entry;
  entry.erase("approval");
  return canonical_json(entry);
}

void demand_approvals(const Waivers& waivers, const Key& approver) {
  for (const Waiver& waiver : waivers) {
    if (!counts_for_certification(waiver.waiver_class)) continue;
    const std::string signature = from_base64(waiver.entry.at("approval").get<std::string>());
    if (!approver.verifies(approved_text(waiver), signature)) {
      throw std::runtime_error(
          fmt::format("the waiver of {} is not approved by the key {}", waiver.id, approver.id()));
    }
  }
}

int compare_versions(const std::string& a, const std::string& b) {
  std::string_view left = a;
  std::string_view right = b;
  while (!left.empty() && !right.empty()) {
    const std::string_view x = next_part(left);
    const std::string_view y = next_part(right);
    const bool numbers = std::isdigit(static_cast<unsigned char>(x[0])) != 0 &&
                         std::isdigit(static_cast<unsigned char>(y[0])) != 0;
    const std::string_view p = numbers ? without_zeros(x) : x;
    const std::string_view q = numbers ? without_zeros(y) : y;
    if (numbers && p.size() != q.size()) return p.size() < q.size() ? -1 : 1;
    if (const int order = p.compare(q); order != 0) return order;
  }
  return left.empty() == right.empty() ? 0 : left.empty() ? -1 : 1;
}

std::optional<long> days_between(const std::string& from, const std::string& to) {
  const auto day = [](const std::string& text) -> std::optional<std::chrono::sys_days> {
    int year = 0;
    unsigned month = 0;
    unsigned date = 0;
    int used = 0;
    const int found = std::sscanf(text.c_str(), "%4d-%2u-%2u%n", &year, &month, &date, &used);
    if (found != 3 || used != 10 || text.size() != 10) return std::nullopt;
    const std::chrono::year_month_day parts{std::chrono::year(year), std::chrono::month(month),
                                            std::chrono::day(date)};
    if (!parts.ok()) return std::nullopt;
    return std::chrono::sys_days(parts);
  };
  const auto first = day(from);
  const auto last = day(to);
  if (!first || !last) return std::nullopt;
  return (*last - *first).count();
}

}  // namespace flagos::conformance
