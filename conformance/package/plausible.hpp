// Whether the order and the times of a run can be those of a run.
#pragma once

#include <string>
#include <vector>

#include "conformance/run_log.hpp"

namespace flagos::conformance {

// A sentence for each thing that cannot be; empty when all can.
std::vector<std::string> implausible(const LoggedRun& run, const std::vector<const Case*>& cases);

}  // namespace flagos::conformance
