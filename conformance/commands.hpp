// `flagos-conformance verify`, `diff`, `matrix`, `mutants` and `soak`: everything but a run of the cases.
#pragma once

namespace flagos::conformance {

// Whether the first argument is one of these commands.
bool is_command(int argc, char** argv);
// Returns the exit code; throws std::exception with a sentence for whatever is wrong.
int run_command(int argc, char** argv);

}  // namespace flagos::conformance
