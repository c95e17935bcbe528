// Takes out of a log what the people who publish it would not want to publish.
#pragma once

#include <string>

namespace flagos::conformance {

// Values of environment variables that are named like secrets become "[removed]", the home folder
// becomes "~".
std::string without_secrets(std::string text);

}  // namespace flagos::conformance
