#include "conformance/package/stored_report.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <stdexcept>

#include "conformance/json_text.hpp"
#include "conformance/package/package.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

constexpr std::uintmax_t largest_report = 64u << 20;

std::string text(const json& object, const char* member) {
  return object.at(member).get<std::string>();
}

void read_cases(StoredReport& stored, const json& report) {
  for (const json& entry : report.at("cases")) {
    const auto status = status_from_name(text(entry, "status"));
    if (!status) throw std::runtime_error("it has an unknown status");
    StoredCase one;
    one.status = *status;
    one.level = text(entry.at("params"), "level");
    one.text = text(entry, "text");
    one.digests = entry.at("digests").get<std::map<std::string, std::string>>();
    one.seconds = entry.at("seconds").get<double>();
    if (!stored.cases.emplace(text(entry, "id"), std::move(one)).second) {
      throw std::runtime_error(fmt::format("it has {} twice", text(entry, "id")));
    }
  }
  for (const json& figure : report.at("performance")) {
    Measurement measurement{text(figure, "name"), text(figure, "unit"),
                            figure.at("samples").get<std::vector<double>>()};
    stored.figures[{text(figure, "id"), measurement.name}] = std::move(measurement);
  }
}

void read_subject(StoredReport& stored, const json& report) {
  const json& plugin = report.at("plugin");
  if (plugin.is_object()) {
    stored.plugin_sha256 = text(plugin.at("file"), "sha256");
    if (plugin.contains("name")) {
      stored.plugin_name = text(plugin, "name");
      stored.plugin_version = text(plugin, "version");
      stored.vendor = text(plugin, "vendor");
    }
  }
  for (const json& device : report.at("devices")) {
    stored.device = device;
    stored.device_name = text(device, "name");
    stored.driver_version = text(device, "driver_version");
  }
  for (const auto& [support, names] : report.at("features").items()) {
    for (const json& name : names) stored.features[name.get<std::string>()] = support;
  }
}

StoredReport from_json(const json& report) {
  if (report.at("schema") != 2)
    throw std::runtime_error("its schema is not 2: this program does not read it");
  StoredReport stored;
  read_subject(stored, report);
  stored.suite_version = text(report.at("suite"), "version");
  stored.commit = text(report.at("suite"), "commit");
  stored.abi_version = text(report.at("claim"), "abi_version");
  const json& run = report.at("run");
  stored.level = text(run, "level");
  stored.started_utc = text(run, "started_utc");
  stored.quick = run.at("quick").get<bool>();
  stored.seed = run.at("seed").get<std::uint64_t>();
  const json& verdict = report.at("verdict");
  stored.conformant = verdict.at("conformant").get<bool>();
  for (const char* const member : {"reasons", "not_for_certification"}) {
    for (const json& reason : verdict.at(member))
      stored.reasons.push_back(reason.get<std::string>());
  }
  stored.categories = report.at("totals").at("by_category").get<decltype(stored.categories)>();
  stored.environment = report.at("environment");
  read_cases(stored, report);
  return stored;
}

void read_waivers(StoredReport& stored, const json& document) {
  for (const char* const member : {"waivers", "expectations"}) {
    for (json entry : document.at(member)) {
      const std::string name = subcase_name(text(entry, "id"), entry.value("params", ""));
      for (const char* const found : {"status", "matches"}) entry.erase(found);
      stored.waivers[name] = canonical_json(entry);
    }
  }
}

}  // namespace

StoredReport read_stored_report(const std::string& path) {
  try {
    StoredReport stored;
    std::error_code error;
    if (path.ends_with(".json")) {
      if (std::filesystem::file_size(path, error) > largest_report && !error) {
        throw std::runtime_error("it is larger than a report may be");
      }
      stored = from_json(parse_json(read_whole_file(path), "it"));
    } else {
      const Files files = read_package(path);
      if (!files.contains("report.json")) throw std::runtime_error("it holds no report.json");
      stored = from_json(parse_json(files.at("report.json"), "its report.json"));
      if (const auto waivers = files.find("waivers.json"); waivers != files.end()) {
        read_waivers(stored, parse_json(waivers->second, "its waivers.json"));
      }
    }
    stored.path = path;
    return stored;
  } catch (const json::exception&) {
    throw std::runtime_error(fmt::format("'{}': a member is missing or of the wrong kind", path));
  } catch (const std::exception& error) {
    throw std::runtime_error(fmt::format("'{}': {}", path, error.what()));
  }
}

}  // namespace flagos::conformance
