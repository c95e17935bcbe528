// Whether every case finds a mutant: the kill matrix names the first case only.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/mutants/case_map.hpp"
#include "conformance/mutants/catalogue.hpp"

namespace flagos::conformance::mutants {

// What a case is tried on: mutants that another case has killed and that this one may find. Those that name it come first,
// then those of entries that few cases call, which it is likely to be about; at most `most`.
std::vector<const Mutant*> candidates_for(const Case& the_case, const CaseMap& map,
                                          const std::set<std::string>& killed, std::size_t most);

}  // namespace flagos::conformance::mutants
