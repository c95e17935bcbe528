// Everything that a plugin says about itself and about one device, as JSON: caps.json.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "conformance/case.hpp"

namespace flagos::conformance {

// Ends the case when the plugin does not answer.
nlohmann::json describe_capabilities(Context& t);

}  // namespace flagos::conformance
