// Looks up what case files have registered.
#pragma once

#include <string>
#include <string_view>

#include "conformance/case.hpp"

namespace flagos::conformance {

struct NamedHelper {
  std::string name;
  int (*run)(Helper&);
};

// nullptr when there is none.
const Case* find_case(std::string_view id);
const NamedHelper* find_helper(std::string_view name);

}  // namespace flagos::conformance
