// Which devices of a driver a plugin shows, and in which order: the value of
// FLAGOS_<PLUGIN>_DEVICES.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flagos {

struct FilterDevice {
  std::string name;
  std::uint8_t uuid[16];
};

struct DeviceSelection {
  std::vector<std::size_t> indices;   // into the devices given, none twice
  std::vector<std::string> warnings;  // one sentence per entry that matches nothing
};

// `filter` is a list with commas. An entry is an index, `uuid:` with the first hex digits of a uuid
// (dashes are skipped), or a part of a name in any case; it takes every device that it matches and
// no entry before it took, in the order of `devices`. An empty list takes all.
// `variable` is named in the warnings.
DeviceSelection select_devices(std::string_view variable, std::string_view filter,
                               std::span<const FilterDevice> devices);

}  // namespace flagos
