#include "conformance/package/attestation.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "conformance/json_text.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

constexpr const char* payload_type = "application/vnd.in-toto+json";

json descriptor(const std::string& name, const json& sha256) {
  return {{"name", name}, {"digest", {{"sha256", sha256}}}};
}

// Ids of the cases by what test-result v0.1 calls them.
json tests(const json& report, bool (*belongs)(const std::string& status)) {
  json ids = json::array();
  for (const json& entry : report.at("cases")) {
    if (belongs(entry.at("status").get<std::string>())) ids.push_back(entry.at("id"));
  }
  return ids;
}

json extension(const json& report, const std::string& sums_sha256) {
  return {{"claim", report.at("claim")},
          {"conformant", report.at("verdict").at("conformant")},
          {"device", report.at("devices")},
          {"seed", report.at("run").at("seed")},
          {"chain_root", report.at("events_root")},
          {"capabilities_sha256", report.at("capabilities_sha256")},
          {"sha256sums", sums_sha256},
          {"notSupported",
           tests(report, [](const std::string& status) { return status == "NOT_SUPPORTED"; })},
          {"waived", tests(report, [](const std::string& status) { return status == "WAIVED"; })},
          {"notRun", tests(report, [](const std::string& status) { return status == "NOT_RUN"; })}};
}

}  // namespace

json make_statement(const json& report, const std::string& sums_sha256) {
  const json& suite = report.at("suite");
  json subjects = json::array();
  if (report.at("plugin").is_object()) {
    for (const json& file : report.at("plugin").at("files")) {
      subjects.push_back(descriptor(file.at("name").get<std::string>(), file.at("sha256")));
    }
  }
  const bool conformant = report.at("verdict").at("conformant").get<bool>();
  const json failed = tests(report, [](const std::string& status) {
    return status != "PASS" && status != "NOT_SUPPORTED" && status != "WAIVED" &&
           status != "NOT_RUN";
  });
  return {
      {"_type", "https://in-toto.io/Statement/v1"},
      {"subject", subjects},
      {"predicateType", "https://in-toto.io/attestation/test-result/v0.1"},
      {"predicate",
       {{"result", conformant ? "PASSED" : "FAILED"},
        {"configuration",
         {descriptor("flagos-conformance " + suite.at("version").get<std::string>(),
                     suite.at("binary_sha256")),
          descriptor("caselist", suite.at("caselist_sha256"))}},
        {"passedTests", tests(report, [](const std::string& status) { return status == "PASS"; })},
        {"warnedTests",
         tests(report, [](const std::string& status) { return status == "WAIVED"; })},
        {"failedTests", failed},
        {"x-flagos", extension(report, sums_sha256)}}}};
}

std::string signed_bytes(const std::string& payload) {
  return fmt::format("DSSEv1 {} {} {} {}", std::string_view(payload_type).size(), payload_type,
                     payload.size(), payload);
}

std::string make_attestation(const json& report, const std::string& sums_sha256, const Key& key) {
  const std::string payload = canonical_json(make_statement(report, sums_sha256));
  const json signature = {{"keyid", key.id()}, {"sig", to_base64(key.sign(signed_bytes(payload)))}};
  return canonical_json({{"payload", to_base64(payload)},
                         {"payloadType", payload_type},
                         {"signatures", json::array({signature})}});
}

Envelope read_attestation(const std::string& text) {
  const json envelope = parse_canonical_json(text, "attestation.json");
  try {
    const json& signatures = envelope.at("signatures");
    if (envelope.at("payloadType") != payload_type || signatures.size() != 1) {
      throw std::runtime_error("attestation.json is no in-toto envelope with one signature");
    }
    return {from_base64(envelope.at("payload").get<std::string>()),
            signatures.at(0).at("keyid").get<std::string>(),
            from_base64(signatures.at(0).at("sig").get<std::string>())};
  } catch (const json::exception&) {
    throw std::runtime_error("attestation.json is no DSSE envelope");
  }
}

}  // namespace flagos::conformance
