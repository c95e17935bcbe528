// A plugin whose entry throws, although no exception may leave a plugin.
#include <flagos_plugin.h>

#include <stdexcept>

extern "C" flagos_status_t flagos_plugin_open(const flagos_host_t*, flagos_plugin_t*) {
  throw std::runtime_error("thrown out of flagos_plugin_open");
}
