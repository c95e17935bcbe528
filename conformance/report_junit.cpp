// junit.xml: for tools that know nothing of our statuses; nothing but a pass may look like one.
#include <fmt/format.h>

#include <iterator>

#include "conformance/html.hpp"
#include "conformance/report.hpp"
#include "conformance/selection.hpp"

namespace flagos::conformance {
namespace {

// Things that went wrong around a case are errors; what a check found is a failure.
bool is_error(Status status) {
  return status == Status::crash || status == Status::timeout || status == Status::device_lost ||
         status == Status::harness_error || status == Status::not_run || status == Status::resource;
}

const char* element_of(Status status) {
  if (status == Status::not_supported) return "skipped";
  return is_error(status) ? "error" : "failure";
}

std::string testcase(const std::string& category, const Outcome& outcome) {
  std::string text =
      fmt::format("    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"",
                  escape_markup(category), escape_markup(outcome.the_case->id), outcome.seconds);
  if (outcome.status == Status::pass) return text + "/>\n";
  const std::string message = escape_markup(outcome.text);
  if (outcome.status == Status::not_supported) {
    return text + fmt::format(">\n      <skipped message=\"{}\"/>\n    </testcase>\n", message);
  }
  const char* const element = element_of(outcome.status);
  text += fmt::format(">\n      <{} type=\"{}\" message=\"{}\">{}</{}>\n", element,
                      status_name(outcome.status), message,
                      escape_markup("again: " + outcome.repro), element);
  if (!outcome.reason.empty()) {
    text += fmt::format("      <system-out>{}</system-out>\n",
                        escape_markup("expected: " + outcome.reason));
  }
  return text + "    </testcase>\n";
}

struct SuiteCounts {
  std::size_t tests = 0, failures = 0, errors = 0, skipped = 0;
  double seconds = 0;

  void add(const Outcome& outcome) {
    ++tests;
    seconds += outcome.seconds;
    if (outcome.status == Status::pass) return;
    const std::string_view element = element_of(outcome.status);
    ++(element == "skipped" ? skipped : element == "error" ? errors : failures);
  }
  std::string attributes() const {
    return fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3f}\"",
                       tests, failures, errors, skipped, seconds);
  }
};

}  // namespace

std::string make_junit(const ReportInput& input) {
  std::map<std::string, std::string> bodies;
  std::map<std::string, SuiteCounts> counts;
  SuiteCounts total;
  for (const Outcome& outcome : input.judgement.outcomes) {
    const std::string category = category_of(outcome.the_case->id);
    bodies[category] += testcase(category, outcome);
    counts[category].add(outcome);
    total.add(outcome);
  }
  std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  text += fmt::format("<testsuites name=\"flagos-conformance\" {}>\n", total.attributes());
  for (const auto& [category, body] : bodies) {
    text += fmt::format("  <testsuite name=\"{}\" {}>\n{}  </testsuite>\n", escape_markup(category),
                        counts[category].attributes(), body);
  }
  return text + "</testsuites>\n";
}

}  // namespace flagos::conformance
