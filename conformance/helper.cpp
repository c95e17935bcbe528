#include "conformance/helper.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>

#include "conformance/registry.hpp"

namespace flagos::conformance {
namespace {

constexpr int helper_threw = 121;
constexpr int no_such_helper = 122;

}  // namespace

nlohmann::json settings_to_json(const Context::Settings& settings) {
  return {{"plugin_path", settings.plugin_path},
          {"device_ordinal", settings.device_ordinal},
          {"seed", settings.seed},
          {"kernels_dir", settings.kernels_dir},
          {"helper_path", settings.helper_path},
          {"quick", settings.quick},
          {"null_check", settings.null_check}};
}

Context::Settings settings_from_json(const nlohmann::json& json) {
  Context::Settings settings;
  json.at("plugin_path").get_to(settings.plugin_path);
  json.at("device_ordinal").get_to(settings.device_ordinal);
  json.at("seed").get_to(settings.seed);
  json.at("kernels_dir").get_to(settings.kernels_dir);
  json.at("helper_path").get_to(settings.helper_path);
  json.at("quick").get_to(settings.quick);
  json.at("null_check").get_to(settings.null_check);
  return settings;
}

int helper_main(const std::vector<std::string>& arguments) {
  try {
    const NamedHelper* const found = arguments.size() < 2 ? nullptr : find_helper(arguments[0]);
    if (found == nullptr) {
      std::fprintf(stderr, "flagos-conformance: no helper '%s'\n",
                   arguments.empty() ? "" : arguments[0].c_str());
      return no_such_helper;
    }
    Helper helper;
    helper.settings = settings_from_json(nlohmann::json::parse(arguments[1]));
    helper.arguments.assign(arguments.begin() + 2, arguments.end());
    return found->run(helper);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "flagos-conformance: the helper threw: %s\n", error.what());
    return helper_threw;
  }
}

}  // namespace flagos::conformance
