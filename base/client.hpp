// What the libraries above core share: failures of its calls as exceptions, and portable kernels. Header only, since what calls
// functions of flagos.h is not for core and plugins, which have base in them.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "base/error.hpp"

namespace flagos {

// Throws Error with the text of the failing call of core.
inline void expect(flagos_status_t status) {
  if (FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER) throw Error(status, flagos_last_error());
}

// Whether the device takes portable kernels, and how it runs them.
inline bool find_tile_format(flagos_device_t* device, flagos_schedule_class_t& out_schedule) {
  std::uint32_t count = 0;
  expect(flagos_module_get_format_count(device, &count));
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_format_info_t format{};
    format.struct_size = sizeof(format);
    expect(flagos_module_get_format(device, i, &format));
    if (std::strcmp(format.name, "flagos.tile") != 0) continue;
    out_schedule = format.schedule_class;
    return true;
  }
  return false;
}

// The caller unloads it.
inline flagos_module_t* load_tile_module(flagos_device_t* device, const std::string& text) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = "flagos.tile";
  desc.data = text.data();
  desc.size_bytes = text.size();
  flagos_module_t* module = nullptr;
  expect(flagos_module_load(device, &desc, &module));
  return module;
}

// The only kernel of a module.
inline flagos_kernel_t* first_kernel(flagos_module_t* module) {
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof(desc);
  expect(flagos_module_get_kernel_name(module, 0, &desc.name));
  flagos_kernel_t* kernel = nullptr;
  expect(flagos_module_get_kernel(module, &desc, &kernel));
  return kernel;
}

}  // namespace flagos
