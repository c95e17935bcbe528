#include "tools/trace_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "tools/command.hpp"

namespace flagos::tools {
namespace {

using nlohmann::json;

json parse_trace(const std::string& text) {
  try {
    return json::parse(text);
  } catch (const json::exception& error) {
    throw CommandError(fmt::format("the trace is not JSON: {}", error.what()));
  }
}

double number(const json& event, const char* key, std::size_t index) {
  if (!event.contains(key) || !event.at(key).is_number()) {
    throw CommandError(fmt::format("event {} of the trace has no number '{}'", index, key));
  }
  return event.at(key).get<double>();
}

void add_event(const json& event, std::size_t index, std::map<std::string, CallTotal>& totals,
               TraceSummary& summary) {
  if (!event.is_object() || !event.contains("ph") || !event.at("ph").is_string() ||
      !event.contains("name") || !event.at("name").is_string()) {
    throw CommandError(fmt::format("event {} of the trace has no name or phase", index));
  }
  if (event.at("ph") != "X") return;  // names of processes and threads
  number(event, "ts", index);
  const double duration = number(event, "dur", index);
  if (duration < 0)
    throw CommandError(fmt::format("event {} of the trace ends before it starts", index));
  CallTotal& total = totals[event.at("name").get<std::string>()];
  ++total.count;
  total.total_us += duration;
  ++summary.events;
}

}  // namespace

TraceSummary summarize_trace(const std::string& text) {
  const json trace = parse_trace(text);
  if (!trace.is_object() || !trace.contains("traceEvents") || !trace.at("traceEvents").is_array()) {
    throw CommandError("the trace has no list 'traceEvents'");
  }
  TraceSummary summary;
  std::map<std::string, CallTotal> totals;
  std::size_t index = 0;
  for (const json& event : trace.at("traceEvents")) add_event(event, index++, totals, summary);
  for (auto& [name, total] : totals) {
    total.name = name;
    summary.calls.push_back(total);
  }
  std::stable_sort(summary.calls.begin(), summary.calls.end(),
                   [](const CallTotal& a, const CallTotal& b) { return a.total_us > b.total_us; });
  if (trace.contains("otherData") && trace.at("otherData").is_object()) {
    const json& dropped = trace.at("otherData").value("dropped_events", json(0));
    if (dropped.is_number_unsigned()) summary.dropped = dropped.get<std::uint64_t>();
  }
  return summary;
}

}  // namespace flagos::tools
