#include "conformance/result.hpp"

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace flagos::conformance {

namespace {

Measurement measurement_from_json(const nlohmann::json& json) {
  return {json.at("name").get<std::string>(), json.at("unit").get<std::string>(),
          json.at("samples").get<std::vector<double>>()};
}

}  // namespace

std::string subcase_name(const std::string& id, const std::string& parameters) {
  return parameters.empty() ? id : id + "[" + parameters + "]";
}

nlohmann::json to_json(const Measurement& measurement) {
  return {{"name", measurement.name}, {"unit", measurement.unit}, {"samples", measurement.samples}};
}

nlohmann::json to_json(const CaseResult& result) {
  nlohmann::json measurements = nlohmann::json::array();
  for (const Measurement& measurement : result.measurements) {
    measurements.push_back(to_json(measurement));
  }
  return {{"id", result.id},           {"status", status_name(result.status)},
          {"text", result.text},       {"digest", result.digest},
          {"digests", result.digests}, {"measurements", measurements},
          {"checks", result.checks},   {"subcases", result.subcases},
          {"seconds", result.seconds}};
}

CaseResult result_from_json(const nlohmann::json& json) {
  const auto name = json.at("status").get<std::string>();
  const auto status = status_from_name(name);
  if (!status) throw std::runtime_error("unknown status '" + name + "'");
  CaseResult result;
  result.id = json.at("id").get<std::string>();
  result.status = *status;
  result.text = json.at("text").get<std::string>();
  result.digest = json.at("digest").get<std::string>();
  result.digests = json.at("digests").get<std::map<std::string, std::string>>();
  for (const nlohmann::json& measurement : json.at("measurements")) {
    result.measurements.push_back(measurement_from_json(measurement));
  }
  result.checks = json.at("checks").get<std::uint64_t>();
  result.subcases = json.at("subcases").get<std::uint64_t>();
  result.seconds = json.at("seconds").get<double>();
  return result;
}

}  // namespace flagos::conformance
