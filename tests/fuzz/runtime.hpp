// A runtime with a plugin that is part of the program.
#pragma once

#include <flagos_plugin.h>

#include "base/error.hpp"
#include "core/entry.hpp"
#include "core/runtime.hpp"
#include "tests/fuzz/fuzz.hpp"

// The cpu plugin, which the program holds.
extern "C" flagos_status_t flagos_plugin_open(const flagos_host_t* host,
                                              flagos_plugin_t* out_plugin);

namespace flagos::fuzz {

// Without devices where the plugin was refused.
inline flagos_runtime_t* make_runtime(const char* name, flagos_plugin_open_t open) {
  flagos_runtime_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  flagos_runtime_t* runtime = nullptr;
  demand(flagos_runtime_create(&desc, &runtime) == FLAGOS_STATUS_OK, "a runtime can be made");
  try {
    core::ReadSection section(core::this_thread());
    core::resolve<core::Runtime>(runtime, "runtime").add_opened(name, open);
  } catch (const Error& refused) {
    demand(refused.status() != FLAGOS_STATUS_OK && *refused.what() != '\0',
           "a refusal has a status and says why");
  }
  return runtime;
}

inline flagos_device_t* open_device(flagos_runtime_t* runtime, std::uint32_t index = 0) {
  flagos_device_t* device = nullptr;
  demand(flagos_device_open(runtime, index, &device) == FLAGOS_STATUS_OK, "a device can be opened");
  return device;
}

}  // namespace flagos::fuzz
