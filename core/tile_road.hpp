// The road of a portable module to a device: the format that it is lowered to, the compiler of the plugin, the caches.
#pragma once

#include <flagos_plugin.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/compiler_library.hpp"
#include "core/device.hpp"
#include "core/digest.hpp"
#include "core/tile_binary.hpp"

namespace flagos::core {

inline constexpr const char* tile_format = "flagos.tile";
inline constexpr const char* tile_binary_format = "flagos.tile-binary";

// The plugin's own formats.
std::vector<flagos_format_info_t> plugin_formats(Device& device);
// Those, and what core makes of them.
std::vector<flagos_format_info_t> all_formats(Device& device);
// Whether flagos_module_compile takes one of them.
bool compiles(Device& device);

// One way: a format of the plugin that is a dialect of the compiler.
struct TileRoad {
  flagos_format_info_t format;
  std::string target;    // what is lowered for
  std::string compiler;  // what the plugin calls its compiler
};

// Why a plugin's compiler did not take what was lowered; what it said is kept.
class TileCompileError : public Error {
 public:
  TileCompileError(std::string text, std::string log)
      : Error(FLAGOS_STATUS_COMPILE_FAILED, std::move(text)), log_(std::move(log)) {}
  const std::string& log() const noexcept { return log_; }

 private:
  std::string log_;
};

class TileRoads {
 public:
  // Throws UNSUPPORTED, with the reason, when the compiler of portable kernels cannot be opened.
  explicit TileRoads(Device& device);

  // Whether what core makes goes before what the plugin itself makes of the portable form.
  bool goes_first() const { return goes_first_; }

  // What was made before for this device, or is made now, in the order of the formats' priorities. Throws
  // TileCompileError, and what the module or the lowerings are refused with. `options` are for the plugin's compiler, but
  // for "target=...", a target that the device's own runs, too.
  // `anew`: what was kept is not looked at.
  TileBinary make(std::string_view text, const std::string& given_options, bool anew = false);
  // Of the packs only.
  std::optional<TileBinary> find_in_packs(std::string_view text);
  // Throws UNSUPPORTED unless the device runs it.
  void check_target(const TileBinary& binary) const;

 private:
  std::optional<TileBinary> find_kept(const TileModule& module, const TileRoad& road, const std::string& options) const;
  std::optional<TileBinary> make_on(const TileModule& module, const TileRoad& road, const std::string& options,
                                    bool anew) const;
  // The roads that options like "target=gnu-c++;isa=x86-64-v3" leave, and the options without it.
  std::vector<TileRoad> choose(std::string& options) const;
  std::string identity_of(const TileModule& module) const;
  std::optional<TileBinary> read_pack(const TileModule& module, const std::string& target) const;
  Digest key(const TileModule& module, const TileRoad& road, const std::string& options) const;
  TileBinary compile(const TileModule& module, const TileSource& source, const TileRoad& road,
                     const std::string& options) const;

  Device& device_;
  const CompilerLibrary& library_;
  std::vector<TileRoad> roads_;
  bool goes_first_ = false;
};

// Targets whose kernels run where those of `target` run, itself first: "...;isa=x86-64-v4" runs x86-64-v3, too.
std::vector<std::string> accepted_targets(const std::string& target);

// The file of a pack: "<digest of the text>.<plugin>.<target, with _ for what stands in no file name>.ftb".
std::string tile_pack_name(const std::string& digest, const std::string& plugin, const std::string& target);

}  // namespace flagos::core
