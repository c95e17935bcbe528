/* The smallest library that flagos_add_plugin builds: it refuses to open. */
#include <flagos_plugin.h>

flagos_status_t flagos_plugin_open(const flagos_host_t* host, flagos_plugin_t* out_plugin) {
  out_plugin->abi_version = 0;
  host->set_error(host->context, FLAGOS_STATUS_UNSUPPORTED,
                  "a consumer of the package, not a plugin");
  return FLAGOS_STATUS_UNSUPPORTED;
}
