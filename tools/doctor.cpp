// flagos doctor: probes every plugin in a process of its own and says what is missing and how to
// get it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tools/advice.hpp"
#include "tools/command.hpp"
#include "tools/describe.hpp"
#include "tools/probe.hpp"
#include "tools/search.hpp"
#include "tools/table.hpp"

namespace flagos::tools {
namespace {

using nlohmann::json;

// A name that is found nowhere is judged like a file that is not there.
std::string path_of(const std::string& path_or_name) {
  try {
    return find_plugin(path_or_name);
  } catch (const CommandError&) {
    return path_or_name;
  }
}

bool is_usable(const json& device) { return !device.contains("error"); }

json diagnose(const Arguments& plugins) {
  const Search search = search_plugins();
  std::vector<std::string> files = search.files;
  if (!plugins.empty()) {
    files.clear();
    for (const std::string& plugin : plugins) files.push_back(path_of(plugin));
  }
  json reports = json::array();
  std::size_t usable = 0;
  for (const std::string& file : files) {
    json report = probe(file);
    for (const json& device : report.at("devices")) usable += is_usable(device) ? 1 : 0;
    report["advice"] = advice_for(report);
    reports.push_back(std::move(report));
  }
  return {{"plugins", reports}, {"folders", search.folders}, {"usable_devices", usable}};
}

std::string field(const json& object, const char* key) { return printable(object.value(key, "")); }

void print_report(const json& report) {
  const bool good = report.at("verdict") == "loaded" && !report.at("devices").empty();
  fmt::print("{} {}: {}\n", good ? "ok  " : "FAIL", field(report, "path"),
             field(report, "verdict"));
  for (const json& device : report.at("devices")) {
    fmt::print("       {}: {}{}\n", field(device, "id"), field(device, "name"),
               is_usable(device) ? "" : ", cannot be used: " + field(device, "error"));
  }
  // Of a plugin that works only what it warns of is a diagnosis.
  if (const char* const lines = good ? "warns" : "says"; report.contains(lines))
    for (const auto& line : report.at(lines).get<std::vector<std::string>>())
      fmt::print("       says: {}\n", printable(line));
  for (const char* key : {"reason", "output", "advice"}) {
    if (!field(report, key).empty()) fmt::print("       {}: {}\n", key, field(report, key));
  }
}

void print_diagnosis(const json& diagnosis) {
  for (const json& report : diagnosis.at("plugins")) print_report(report);
  if (diagnosis.at("plugins").empty()) {
    const auto folders = diagnosis.at("folders").get<std::vector<std::string>>();
    fmt::print(
        "FAIL no plugin was found in {}\n",
        folders.empty() ? "FLAGOS_PLUGIN_FILES" : fmt::format("{}", fmt::join(folders, ", ")));
    fmt::print("       advice: install one there, or name its folder in FLAGOS_PLUGIN_PATH\n");
  }
  const auto usable = diagnosis.at("usable_devices").get<std::size_t>();
  fmt::print("{} usable {}\n", usable, usable == 1 ? "device" : "devices");
}

}  // namespace

int run_doctor(const Arguments& arguments) {
  cxxopts::Options options("flagos doctor",
                           "Probes every plugin, or those named, in a process of its own.");
  auto add = options.add_options();
  add("json", "print JSON");
  add("probe", "load one plugin in this very process and answer on file descriptor 3",
      cxxopts::value<std::string>(), "FILE");
  add("plugins", "files or names", cxxopts::value<std::vector<std::string>>(), "PLUGIN...");
  options.positional_help("[PLUGIN...]");
  const auto parsed = parse(options, arguments, {"plugins"});
  if (!parsed) return 0;
  if (parsed->count("probe") > 0) return run_probe_child((*parsed)["probe"].as<std::string>());
  const json diagnosis =
      diagnose(parsed->count("plugins") > 0 ? (*parsed)["plugins"].as<std::vector<std::string>>()
                                            : Arguments{});
  if (parsed->count("json") > 0) {
    fmt::print("{}\n", dump(diagnosis, 2));
  } else {
    print_diagnosis(diagnosis);
  }
  return diagnosis.at("usable_devices").get<std::size_t>() > 0 ? 0 : 1;
}

}  // namespace flagos::tools
