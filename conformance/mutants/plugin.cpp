// The one exported symbol of the plugin with the bugs, and the place for its settings.
#include <flagos_plugin.h>

#include "conformance/mutants/interposer.hpp"
#include "conformance/mutants/settings.hpp"

namespace flagos::conformance::mutants {
namespace {

// The mark is looked for in the file. Volatile, so that what was written there is read.
[[gnu::used]] volatile const SettingsBlock settings_of_this_file = {
    "flagos mutant settings, block 1", {}};

}  // namespace
}  // namespace flagos::conformance::mutants

extern "C" flagos_status_t flagos_plugin_open(const flagos_host_t* host,
                                              flagos_plugin_t* out_plugin) {
  using namespace flagos::conformance::mutants;
  char text[sizeof(settings_of_this_file.text)];
  for (std::size_t i = 0; i < sizeof(text); ++i) text[i] = settings_of_this_file.text[i];
  return open_mutant(text, host, out_plugin);
}
