// The one exported symbol and the root table: a table of contents, no logic beyond the versions.
#include "skeleton.hpp"

using namespace skeleton;

extern "C" flagos_status_t flagos_plugin_open(const flagos_host_t* host, flagos_plugin_t* out) {
  flagos_plugin_t root{};
  root.abi_version_min = FLAGOS_MAKE_VERSION(1, 0);
  root.abi_version_max = FLAGOS_ABI_VERSION;
  const flagos_status_t status = guard(host, [&] {
    if (host->abi_version_max < root.abi_version_min ||
        host->abi_version_min > root.abi_version_max) {
      throw Error(FLAGOS_STATUS_UNSUPPORTED_VERSION, "this plugin implements ABI 1.0 only");
    }
    if (out->struct_size < offsetof(flagos_plugin_t, kernel) + sizeof(root.kernel)) {
      throw Error(FLAGOS_STATUS_INVALID_STRUCT_SIZE, "the root table is smaller than that of 1.0");
    }
    root.instance = new flagos_plugin_instance_t{.host = host, .mutex = {}};
    root.abi_version = std::min(host->abi_version_max, root.abi_version_max);
    root.name = "skeleton";
    root.vendor = "flagos samples";
    root.version = "0.1.0";
    root.close = delete_object;
    root.device = &device_table;
    root.memory = &memory_table;
    root.stream = &stream_table;
    root.event = &event_table;
    root.module = &module_table;
    root.kernel = &kernel_table;
  });
  write_out(out, root);
  return status;
}
