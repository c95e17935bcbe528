// Functions that printed SIMT kernels share, in the C that all dialects have in common.
#pragma once

#include <set>
#include <string>

namespace flagos::compiler {

bool has_simt_helper(const std::string& name);
// The text of the functions that are named, and of those that they use, each before its use.
std::string print_simt_helpers(const std::set<std::string>& names);

}  // namespace flagos::compiler
