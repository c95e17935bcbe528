// Computes the digests of a package again, on another plugin than the one it is about.
#pragma once

#include <string>
#include <vector>

#include "conformance/options.hpp"
#include "conformance/package/archive.hpp"

namespace flagos::conformance {

struct Replay {
  std::size_t equal = 0;
  std::vector<std::string> different;   // names of subcases: each is a false claim
  std::vector<std::string> unanswered;  // subcases that this plugin did not run to their end
};

// `options` names the plugin, the program and its files, and the jobs; the seed, the sizes and the
// cases are those of the package. Throws std::runtime_error when the package cannot be read.
Replay replay_package(const Files& files, const std::vector<Case>& cases, Options options);

}  // namespace flagos::conformance
