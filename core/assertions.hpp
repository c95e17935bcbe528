// What the assertions of portable kernels say. A kernel that cannot give a sentence leaves a number in the two middle bytes of
// its launch's status; the sentence is kept here since the kernel was loaded.
#pragma once

#include <flagos.h>

#include <string>
#include <vector>

#include "base/compiler_library.hpp"

namespace flagos::core {

// For as long as the process lives: a launch may fail after its module is gone. The same message is kept once.
void remember_assertions(const std::vector<TileAssertion>& assertions);

// Whether a plugin's status has such a number; it means FLAGOS_STATUS_EXECUTION_FAILED.
bool is_assertion(flagos_status_t status) noexcept;

// Its sentence, as the cpu plugin has it: "assert: ..."; those that share a number one behind the other, "" for a number
// of no kernel that was loaded: printed source may be loaded by itself.
std::string assertion_text(flagos_status_t status);

}  // namespace flagos::core
