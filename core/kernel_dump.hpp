// FLAGOS_KERNEL_DUMP=folder: every stage of a portable kernel as files, for whoever looks for a fault.
#pragma once

#include <string>
#include <string_view>

#include "base/compiler_library.hpp"
#include "core/device.hpp"
#include "core/tile_binary.hpp"

namespace flagos::core {

// Files <first kernel>-<hash>-<plugin>.tile, .<format>, .log and .json. A folder that cannot be written is one line in
// the log. Switched off it does nothing.
class KernelDump {
 public:
  KernelDump(const Device& device, const TileModule& module, const std::string& target);

  bool enabled() const { return !stem_.empty(); }
  void source(const std::string& format, std::string_view text) const;
  void result(const TileBinary& binary) const;
  void failure(std::string_view log) const;

 private:
  void write(const std::string& extension, std::string_view text) const;

  std::string stem_;
  std::string target_;
};

}  // namespace flagos::core
