// The features, capabilities and support levels of the ABI by name.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flagos::conformance {

// "graph" for FLAGOS_FEATURE_GRAPH; "" for a value that this suite does not know.
std::string_view feature_name(flagos_feature_t feature);
std::optional<flagos_feature_t> feature_from_name(std::string_view name);

// "absent", "emulated", "native".
std::string_view support_name(flagos_support_t support);

// The names of the bits set in flagos_device_info_t.capabilities.
std::vector<std::string> capability_names(std::uint64_t capabilities);

// What level full demands beyond its cases.
const std::vector<flagos_feature_t>& features_of_full();

}  // namespace flagos::conformance
