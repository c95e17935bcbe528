// One call of the program: from the options to the files of the report and the exit code.
#pragma once

#include "conformance/options.hpp"

namespace flagos::conformance {

// Returns the exit code: 0 allowed, 1 not allowed, 2 incomplete, 3 harness error.
// Throws std::runtime_error when the options, or files that they name, cannot be used.
int run_session(Options options);

// Runs the selected cases in this process, without time limits, for a debugger.
int run_in_process(const Options& options);

}  // namespace flagos::conformance
