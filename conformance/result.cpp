#include "conformance/result.hpp"

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace flagos::conformance {

nlohmann::json to_json(const CaseResult& result) {
  return {{"id", result.id},          {"status", status_name(result.status)},
          {"text", result.text},      {"digest", result.digest},
          {"checks", result.checks},  {"subcases", result.subcases},
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
  result.checks = json.at("checks").get<std::uint64_t>();
  result.subcases = json.at("subcases").get<std::uint64_t>();
  result.seconds = json.at("seconds").get<double>();
  return result;
}

}  // namespace flagos::conformance
