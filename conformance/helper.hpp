// Processes that a case starts: `flagos-conformance --helper NAME SETTINGS ARGUMENTS...`.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

#include "conformance/case.hpp"

namespace flagos::conformance {

nlohmann::json settings_to_json(const Context::Settings& settings);
Context::Settings settings_from_json(const nlohmann::json& json);

// What follows --helper on the command line. Returns the exit code: 121 when the helper threw, 122
// when there is none.
int helper_main(const std::vector<std::string>& arguments);

}  // namespace flagos::conformance
