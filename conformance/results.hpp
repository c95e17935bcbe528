// What a case may add to its result beside its checks; the bytes of its digests it adds with
// Context::digest and equal_bytes.
#pragma once

#include <span>
#include <string>

#include "conformance/case.hpp"

namespace flagos::conformance {

// A figure for the report, never judged: samples of one quantity, such as ("copy", "GB/s").
void measure(Context& t, const std::string& what, const std::string& unit,
             std::span<const double> samples);

// From here on the bytes of the case depend on the device, so no other device can be asked for
// them: they stay out of digests.json.
void keep_digests_private(Context& t);

}  // namespace flagos::conformance
