// `flagos-conformance mutants`: hunts every mutant and writes the kill matrix.
#pragma once

namespace flagos::conformance::mutants {

// Exit codes: 0 all goals are reached, 1 not, 2 incomplete, 3 error of use. Throws std::exception with a sentence.
int run_mutants(int argc, char** argv);

}  // namespace flagos::conformance::mutants
