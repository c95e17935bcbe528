// The plugin that carries the bugs: it opens another one, gives core that one's tables, and has one mutant switched on.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>

namespace flagos::conformance::mutants {

// Answers core in the place of flagos_plugin_open; `settings` is the text of the file's own. Never throws.
flagos_status_t open_mutant(const char* settings, const flagos_host_t* host,
                            flagos_plugin_t* out_plugin) noexcept;

// The number behind '@' of the mutant that is on; 0 when there is none.
std::uint64_t mutant_number();

}  // namespace flagos::conformance::mutants
