// The catalogue of cases as text and as the page docs/conformance-cases.md.
#pragma once

#include <string>
#include <vector>

#include "conformance/case.hpp"

namespace flagos::conformance {

// One line per case.
std::string list_cases(const std::vector<const Case*>& cases);
std::string list_cases_as_markdown(const std::vector<const Case*>& cases);

}  // namespace flagos::conformance
