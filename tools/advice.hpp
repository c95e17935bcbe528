// What a user can do about a plugin that is not usable.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace flagos::tools {

// For a report of probe(); "" when there is nothing to do.
std::string advice_for(const nlohmann::json& report);

}  // namespace flagos::tools
