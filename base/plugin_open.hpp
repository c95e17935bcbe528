// The handshake of flagos_plugin_open, the same for every plugin: versions, sizes, then the instance.
#pragma once

#include <flagos_plugin.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/error.hpp"

namespace flagos {

// `table` is what a plugin of exactly one ABI version offers; `make_instance(table)` sets table.instance, and may change
// groups. Throws UNSUPPORTED_VERSION, with the versions filled in, or INVALID_STRUCT_SIZE.
template <typename MakeInstance>
void answer_open(const flagos_host_t& host, flagos_plugin_t& out_plugin, flagos_plugin_t table,
                 const MakeInstance& make_instance) {
  const std::uint32_t own = table.abi_version_max;
  table.struct_size = std::min(out_plugin.struct_size, static_cast<std::uint32_t>(sizeof(table)));
  const bool agreed = host.abi_version_min <= own && own <= host.abi_version_max;
  // Without room for the instance and the required groups nobody could close it.
  constexpr std::size_t least = offsetof(flagos_plugin_t, kernel) + sizeof(table.kernel);
  if (agreed && table.struct_size < least)
    throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE, "flagos_plugin_t: struct_size is {}, at least {} is needed",
                out_plugin.struct_size, least);
  if (agreed) {
    table.abi_version = own;
    make_instance(table);
  }
  std::memcpy(&out_plugin, &table, table.struct_size);
  if (!agreed)
    throw_error(FLAGOS_STATUS_UNSUPPORTED_VERSION, "the {} plugin implements ABI {}.{}, asked for {}.{} to {}.{}",
                table.name, FLAGOS_VERSION_MAJOR(own), FLAGOS_VERSION_MINOR(own),
                FLAGOS_VERSION_MAJOR(host.abi_version_min), FLAGOS_VERSION_MINOR(host.abi_version_min),
                FLAGOS_VERSION_MAJOR(host.abi_version_max), FLAGOS_VERSION_MINOR(host.abi_version_max));
}

}  // namespace flagos
