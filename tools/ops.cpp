// flagos ops: the table of operators on the command line.
#include <flagos_ops.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "tools/command.hpp"
#include "tools/describe.hpp"
#include "tools/table.hpp"

namespace flagos::tools {
namespace {

flagos_ops_info_t info_of(std::uint32_t index) {
  flagos_ops_info_t info{};
  info.struct_size = sizeof(info);
  if (flagos_ops_get_info(index, &info) != FLAGOS_STATUS_OK)
    throw CommandError(flagos_last_error());
  return info;
}

std::uint32_t count() {
  std::uint32_t out = 0;
  if (flagos_ops_get_count(&out) != FLAGOS_STATUS_OK) throw CommandError(flagos_last_error());
  return out;
}

// What the tests of operators wrote (FLAGOS_OPS_STATUS_FILE): for each operator they called whether all test cases that
// call it pass, and in which types they did. Several runs on a device are one status.
struct Status {
  struct Result {
    bool failed = false;
    std::set<std::string> types;
  };
  std::string device;
  std::map<std::string, Result> results;
  std::set<std::string> lacks;  // types that the device does not compute in
  std::uint64_t runs = 0, cases = 0, failed_cases = 0, calls = 0;
};

void read_status(const std::string& path, std::vector<Status>& statuses) {
  std::ifstream in(path);
  if (!in) throw CommandError(fmt::format("cannot read the results '{}'", path));
  try {
    const auto json = nlohmann::json::parse(in);
    const std::string device = json.at("device");
    auto status = std::find_if(statuses.begin(), statuses.end(),
                               [&](const Status& other) { return other.device == device; });
    if (status == statuses.end()) {
      status = statuses.emplace(statuses.end());
      status->device = device;
    }
    status->runs += 1;
    status->cases += json.at("cases").get<std::uint64_t>();
    status->failed_cases += json.at("failed").get<std::uint64_t>();
    for (const auto& type : json.at("lacks")) status->lacks.insert(type);
    for (const auto& [op, result] : json.at("operators").items()) {
      Status::Result& so_far = status->results[op];
      so_far.failed = so_far.failed || result.at("result") != "pass";
      for (const auto& type : result.at("types")) so_far.types.insert(type);
      status->calls += result.at("calls").get<std::uint64_t>();
    }
  } catch (const nlohmann::json::exception& error) {
    throw CommandError(fmt::format("'{}' holds no results of operators: {}", path, error.what()));
  }
}

// The types of "int8, int32 or float64" that the device has.
std::vector<std::string> types_of(std::string text, const Status& status) {
  if (const std::size_t at = text.find(" or "); at != std::string::npos) text.replace(at, 4, ", ");
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(", ", at), text.size());
    if (const std::string type = text.substr(at, end - at); status.lacks.count(type) == 0)
      out.push_back(type);
    at = end + 2;
  }
  return out;
}

// How an operator did on a device.
struct Verdict {
  std::string text = "-";  // "pass", "pass in 1 of 4 types", "fail"
  bool passed = false, in_all_types = false, failed = false;
  std::vector<std::string> missing;
};
Verdict verdict_of(const flagos_ops_info_t& info, const Status& status) {
  Verdict out;
  const auto found = status.results.find(info.name);
  const std::vector<std::string> types = types_of(info.dtypes, status);
  for (const std::string& type : types)
    if (found == status.results.end() || found->second.types.count(type) == 0)
      out.missing.push_back(type);
  if (found == status.results.end()) return out;
  out.failed = found->second.failed;
  out.passed = !out.failed;
  out.in_all_types = out.passed && out.missing.empty();
  out.text = out.failed         ? "fail"
             : out.in_all_types ? "pass"
                                : fmt::format("pass in {} of {} types",
                                              types.size() - out.missing.size(), types.size());
  return out;
}

// The plugins whose devices offer their own version of an operator, by its index.
std::vector<std::vector<std::string>> native_versions() {
  std::vector<std::vector<std::string>> out(count());
  const RuntimeOwner runtime(0);
  std::uint32_t devices = 0;
  if (flagos_device_get_count(runtime, &devices) != FLAGOS_STATUS_OK)
    throw CommandError(flagos_last_error());
  std::string last;
  for (std::uint32_t i = 0; i < devices; ++i) {
    flagos_device_info_t info{};
    info.struct_size = sizeof(info);
    flagos_device_t* device = nullptr;
    if (flagos_device_describe(runtime, i, &info) != FLAGOS_STATUS_OK) continue;
    const std::string plugin = std::string(info.id).substr(0, std::string_view(info.id).find(':'));
    if (std::exchange(last, plugin) == plugin) continue;  // devices of a plugin stand together
    if (flagos_device_open(runtime, i, &device) != FLAGOS_STATUS_OK) {
      fmt::print(stderr, "flagos: {} is left out: {}\n", info.id, flagos_last_error());
      continue;
    }
    for (std::uint32_t op = 0; op < out.size(); ++op) {
      std::uint32_t offered = 0;
      if (flagos_ops_get_native(device, op, &offered) == FLAGOS_STATUS_OK && offered != 0)
        out[op].push_back(plugin);
    }
    flagos_device_close(device);
  }
  return out;
}

int list(const Arguments& arguments) {
  cxxopts::Options options("flagos ops list", "Lists all operators.");
  options.add_options()("json", "as JSON")("family", "of this family only",
                                           cxxopts::value<std::string>()->default_value(""))(
      "status",
      "results of the operators' tests (FLAGOS_OPS_STATUS_FILE names their file; any number of "
      "them): "
      "pass, fail or - for not tried",
      cxxopts::value<std::vector<std::string>>());
  const auto parsed = parse(options, arguments);
  if (!parsed) return 0;
  const std::string family = (*parsed)["family"].as<std::string>();
  std::vector<Status> statuses;
  if (parsed->count("status") != 0)
    for (const std::string& path : (*parsed)["status"].as<std::vector<std::string>>())
      read_status(path, statuses);

  const std::vector<std::vector<std::string>> native = native_versions();
  nlohmann::json rows = nlohmann::json::array();
  std::vector<std::string> head = {"operator", "family", "computes in", "bound", "native on"};
  for (const Status& status : statuses) head.push_back(status.device);
  Table table(head);
  std::vector<std::uint32_t> passed(statuses.size()), in_all_types(statuses.size());
  std::uint32_t listed = 0;
  bool failed = false;
  for (std::uint32_t i = 0; i < count(); ++i) {
    const flagos_ops_info_t info = info_of(i);
    if (!family.empty() && family != info.family) continue;
    ++listed;
    std::vector<std::string> row = {
        info.name, info.family, info.dtypes, info.bound,
        native[i].empty() ? "-" : fmt::format("{}", fmt::join(native[i], ", "))};
    nlohmann::json entry = {{"name", info.name},     {"schema", info.schema},
                            {"family", info.family}, {"dtypes", info.dtypes},
                            {"bound", info.bound},   {"native", native[i]}};
    for (std::size_t k = 0; k < statuses.size(); ++k) {
      const Verdict verdict = verdict_of(info, statuses[k]);
      passed[k] += static_cast<std::uint32_t>(verdict.passed);
      in_all_types[k] += static_cast<std::uint32_t>(verdict.in_all_types);
      failed = failed || verdict.failed;
      row.push_back(verdict.text);
      entry["status"][statuses[k].device] = {{"result", verdict.text},
                                             {"not_tried", verdict.missing}};
    }
    table.add(row);
    rows.push_back(entry);
  }
  if (listed == 0) throw CommandError(fmt::format("there is no family '{}'", family));
  if (parsed->count("json") != 0) {
    fmt::print("{}\n", rows.dump(2));
  } else {
    fmt::print("{}\n{} operators\n", table.text(), listed);
    for (std::size_t k = 0; k < statuses.size(); ++k)
      fmt::print(
          "{}: {} of {} pass, {} of them in all their types{} ({} calls in {} test cases of {} "
          "runs, {} failed)\n",
          statuses[k].device, passed[k], listed, in_all_types[k],
          statuses[k].lacks.empty()
              ? ""
              : fmt::format(" but {}, which it lacks", fmt::join(statuses[k].lacks, ", ")),
          statuses[k].calls, statuses[k].cases, statuses[k].runs, statuses[k].failed_cases);
  }
  return failed ? 1 : 0;
}

int show(const Arguments& arguments) {
  cxxopts::Options options("flagos ops show", "Tells about one operator.");
  options.add_options("hidden")("name", "", cxxopts::value<std::string>());
  options.positional_help("NAME");
  const auto parsed = parse(options, arguments, {"name"});
  if (!parsed) return 0;
  if (parsed->count("name") == 0)
    throw UsageError("ops show needs a name: `flagos ops show softmax`");
  std::uint32_t index = 0;
  if (flagos_ops_find((*parsed)["name"].as<std::string>().c_str(), &index) != FLAGOS_STATUS_OK)
    throw CommandError(flagos_last_error());
  const flagos_ops_info_t info = info_of(index);
  fmt::print("{}\n  family       {}\n  computes in  {}\n  bound        {}\n", info.schema,
             info.family, info.dtypes, info.bound);
  return 0;
}

}  // namespace

int run_ops(const Arguments& arguments) {
  const std::string what = arguments.empty() ? "" : arguments.front();
  const Arguments rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (what == "list") return list(rest);
  if (what == "show") return show(rest);
  if (what == "--help" || what == "-h") {
    fmt::print(
        "usage: flagos ops list|show [ARGUMENTS]\n\n"
        "  list       all operators: the types they compute in, their bounds, the plugins with "
        "versions of their own\n"
        "  show NAME  one of them\n\n`flagos ops list --help` tells more.\n");
    return 0;
  }
  throw UsageError(what.empty()
                       ? "ops needs to know what: `flagos ops list`"
                       : fmt::format("there is no `flagos ops {}`; there are list and show", what));
}

}  // namespace flagos::tools
