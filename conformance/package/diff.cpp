#include "conformance/package/diff.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "conformance/html.hpp"
#include "conformance/statistics.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

constexpr double slower = 3;
constexpr double shortest_time = 0.05;  // below, a time is noise
constexpr double performance_margin = 0.05;
constexpr std::size_t least_samples = 3;
constexpr std::size_t most_samples = 1000;
constexpr std::size_t most_figures = 500;

class Comparer {
 public:
  Comparer(const StoredReport& before, const StoredReport& after)
      : before_(before), after_(after) {}

  Diff run() {
    demand_equal("the level", before_.level, after_.level);
    demand_equal("the plugin", before_.plugin_name, after_.plugin_name);
    demand_equal("--quick", before_.quick ? "yes" : "no", after_.quick ? "yes" : "no");
    if (!diff_.not_comparable.empty()) return diff_;
    if (before_.seed != after_.seed) {
      diff_.notes.push_back("the seeds differ, so digests are not compared");
    }
    compare_cases();
    compare_features();
    compare_members("environment", before_.environment, after_.environment);
    compare_members("capability", before_.device, after_.device);
    compare_waivers();
    compare_figures();
    return diff_;
  }

 private:
  void demand_equal(const char* what, const std::string& before, const std::string& after) {
    if (before == after) return;
    diff_.not_comparable.push_back(fmt::format("{} differs: '{}' and '{}'", what, before, after));
  }
  void add(std::string kind, Direction direction, const std::string& subject, std::string before,
           std::string after) {
    diff_.differences.push_back(
        {std::move(kind), direction, subject, std::move(before), std::move(after)});
  }

  void compare_cases() {
    for (const auto& [id, before] : before_.cases) {
      const auto after = after_.cases.find(id);
      if (after == after_.cases.end()) {
        add("removed case", Direction::worse, id, std::string(status_name(before.status)), "");
      } else {
        compare_case(id, before, after->second);
      }
    }
    for (const auto& [id, after] : after_.cases) {
      if (before_.cases.contains(id)) continue;
      add("new case", is_allowed(after.status) ? Direction::better : Direction::worse, id, "",
          std::string(status_name(after.status)));
    }
  }

  void compare_case(const std::string& id, const StoredCase& before, const StoredCase& after) {
    if (before.status != after.status) {
      const bool was = is_allowed(before.status);
      const bool is = is_allowed(after.status);
      const char* const kind = was && !is ? "regression" : !was && is ? "fix" : "kind change";
      add(kind, after.status > before.status ? Direction::worse : Direction::better, id,
          std::string(status_name(before.status)), std::string(status_name(after.status)));
      return;
    }
    if (before.status == Status::pass && before_.seed == after_.seed)
      compare_digests(id, before, after);
    const bool timed = before.seconds >= shortest_time || after.seconds >= shortest_time;
    if (timed &&
        (after.seconds > before.seconds * slower || before.seconds > after.seconds * slower)) {
      add("time", Direction::neutral, id, fmt::format("{:.3f} s", before.seconds),
          fmt::format("{:.3f} s", after.seconds));
    }
  }

  // Both pass, and yet the bytes are others: nobody would see it otherwise.
  void compare_digests(const std::string& id, const StoredCase& before, const StoredCase& after) {
    for (const auto& [parameters, digest] : before.digests) {
      const auto found = after.digests.find(parameters);
      if (found == after.digests.end() || found->second == digest) continue;
      add("numeric drift", Direction::worse, subcase_name(id, parameters), digest, found->second);
    }
  }

  static int rank(const std::string& support) {
    return support == "native" ? 2 : support == "emulated" ? 1 : 0;
  }

  void compare_features() {
    std::map<std::string, std::string> names = before_.features;
    names.insert(after_.features.begin(), after_.features.end());
    const auto support = [](const StoredReport& report, const std::string& name) {
      const auto found = report.features.find(name);
      return found == report.features.end() ? std::string("absent") : found->second;
    };
    for (const auto& [name, any] : names) {
      const std::string before = support(before_, name);
      const std::string after = support(after_, name);
      if (before == after) continue;
      add("capability", rank(after) > rank(before) ? Direction::better : Direction::worse,
          "feature " + name, before, after);
    }
  }

  void compare_members(const char* kind, const json& before, const json& after) {
    if (!before.is_object() || !after.is_object()) return;
    json names = before;
    names.update(after);
    for (const auto& [name, any] : names.items()) {
      const json old_value = before.value(name, json());
      const json new_value = after.value(name, json());
      if (old_value == new_value) continue;
      add(kind, Direction::neutral, name, plain_text(old_value), plain_text(new_value));
    }
  }

  void compare_waivers() {
    for (const auto& [name, entry] : before_.waivers) {
      const auto found = after_.waivers.find(name);
      if (found == after_.waivers.end()) {
        add("waiver", Direction::better, name, "waived", "");
      } else if (found->second != entry) {
        add("waiver", Direction::neutral, name, entry, found->second);
      }
    }
    for (const auto& [name, entry] : after_.waivers) {
      if (!before_.waivers.contains(name)) add("waiver", Direction::worse, name, "", "waived");
    }
  }

  static std::vector<double> some(const std::vector<double>& samples) {
    return {samples.begin(),
            samples.begin() + static_cast<std::ptrdiff_t>(std::min(samples.size(), most_samples))};
  }

  void compare_figures() {
    std::size_t compared = 0;
    for (const auto& [name, before] : before_.figures) {
      const auto found = after_.figures.find(name);
      if (found == after_.figures.end() || found->second.unit != before.unit) continue;
      const Measurement& after = found->second;
      const bool enough =
          before.samples.size() >= least_samples && after.samples.size() >= least_samples;
      if (!enough || ++compared > most_figures) continue;
      const Interval ratio = bootstrap_ratio(some(before.samples), some(after.samples));
      const bool more = ratio.low > 1 + performance_margin;
      if (!more && ratio.high >= 1 - performance_margin) continue;
      const bool more_is_better = before.unit.find("/s") != std::string::npos;
      const auto figure = [](const Measurement& measurement) {
        return fmt::format("{:.4g} {}", summarize(measurement.samples).median, measurement.unit);
      };
      add("performance", more == more_is_better ? Direction::better : Direction::worse,
          name.first + ": " + name.second, figure(before), figure(after));
    }
  }

  const StoredReport& before_;
  const StoredReport& after_;
  Diff diff_;
};

const char* direction_name(Direction direction) {
  return direction == Direction::better  ? "better"
         : direction == Direction::worse ? "worse"
                                         : "neutral";
}

json subject_json(const StoredReport& report) {
  return {{"path", report.path},
          {"plugin", report.plugin_name},
          {"plugin_sha256", report.plugin_sha256},
          {"suite", report.suite_version},
          {"level", report.level},
          {"started_utc", report.started_utc},
          {"conformant", report.conformant}};
}

std::string subject_row(const char* name, const StoredReport& report) {
  return html_name_row(name, fmt::format("{} {} on {}, suite {}, level {}, {}", report.plugin_name,
                                         report.plugin_version, report.device_name,
                                         report.suite_version, report.level, report.started_utc));
}

}  // namespace

int Diff::exit_code(bool golden) const {
  if (!not_comparable.empty()) return 3;
  int code = 0;
  for (const Difference& difference : differences) {
    const bool excused = difference.kind == "time" || difference.kind == "environment";
    if (difference.direction == Direction::worse || (golden && !excused)) code = 2;
    if (difference.direction == Direction::better) code = std::max(code, 1);
  }
  return code;
}

Diff diff_reports(const StoredReport& before, const StoredReport& after) {
  return Comparer(before, after).run();
}

std::string diff_text(const Diff& diff) {
  std::string text;
  for (const std::string& reason : diff.not_comparable)
    text += fmt::format("not comparable: {}\n", reason);
  for (const std::string& note : diff.notes) text += fmt::format("note: {}\n", note);
  for (const Difference& difference : diff.differences) {
    text += fmt::format("{:<8}{}: {}: '{}' -> '{}'\n", direction_name(difference.direction),
                        difference.kind, difference.subject, difference.before, difference.after);
  }
  if (diff.not_comparable.empty()) {
    const auto count = [&](Direction direction) {
      return std::count_if(diff.differences.begin(), diff.differences.end(),
                           [&](const Difference& one) { return one.direction == direction; });
    };
    text += fmt::format("{} better, {} worse, {} neutral\n", count(Direction::better),
                        count(Direction::worse), count(Direction::neutral));
  }
  return text;
}

json diff_json(const StoredReport& before, const StoredReport& after, const Diff& diff,
               bool golden) {
  json differences = json::array();
  for (const Difference& difference : diff.differences) {
    differences.push_back({{"kind", difference.kind},
                           {"direction", direction_name(difference.direction)},
                           {"subject", difference.subject},
                           {"before", difference.before},
                           {"after", difference.after}});
  }
  return {{"schema", 1},
          {"a", subject_json(before)},
          {"b", subject_json(after)},
          {"not_comparable", diff.not_comparable},
          {"notes", diff.notes},
          {"differences", differences},
          {"exit_code", diff.exit_code(golden)}};
}

std::string diff_html(const StoredReport& before, const StoredReport& after, const Diff& diff) {
  std::string rows;
  for (const Difference& difference : diff.differences) {
    const char* const tone = difference.direction == Direction::better  ? "good"
                             : difference.direction == Direction::worse ? "bad"
                                                                        : "soft";
    rows += html_row(
        {fmt::format("<span class=\"{}\">{}</span>", tone, direction_name(difference.direction)),
         escape_markup(difference.kind), "<code>" + escape_markup(difference.subject) + "</code>",
         escape_markup(difference.before), escape_markup(difference.after)});
  }
  std::string body = "<h1>Difference of two conformance reports</h1>\n";
  body += html_table_section("Reports", "", subject_row("A", before) + subject_row("B", after));
  if (!diff.not_comparable.empty())
    body += html_section("Not comparable", html_list(diff.not_comparable));
  if (!diff.notes.empty()) body += html_section("Notes", html_list(diff.notes));
  constexpr std::string_view head =
      "<tr><th>direction</th><th>kind</th><th>what</th><th>in A</th><th>in B</th></tr>\n";
  body += rows.empty() ? html_section("Differences", "<p>None.</p>\n")
                       : html_table_section("Differences", head, rows);
  return html_page("flagos conformance difference", body);
}

}  // namespace flagos::conformance
