// How an assert that has no room for a sentence says which it was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compiler/module.hpp"

namespace flagos::compiler {

// What a launch's word of failure becomes where this assert does not hold: FLAGOS_STATUS_EXECUTION_FAILED, and in its two
// middle bytes a number made of the author's message alone, so that it does not change with the place.
std::uint32_t failure_word(const Op& op);
// That number, and the messages of all asserts that a block and its regions have.
struct Assertion {
  std::uint32_t number;
  std::string message;
};
std::vector<Assertion> assertions_in(const Block& block);

}  // namespace flagos::compiler
