// A portable kernel as it is kept and shipped: the plugin's image, how its kernels are launched, and for which target
// it was made. Format name flagos.tile-binary.
#pragma once

#include <flagos_plugin.h>

#include "base/compiler_library.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace flagos::core {

// How a kernel is launched: the grid is in programs, the block {threads, 1, 1}.
struct TileRecord {
  std::string name;
  std::uint32_t threads = 1;
  std::uint32_t shared_bytes = 0;
  std::uint64_t scratch_bytes = 0;
  bool fails = false;
  std::uint32_t argument_bytes = 0;
  std::vector<flagos_parameter_t> parameters;
  std::vector<TileAssertion> assertions = {};
  std::string symbol = {};  // the name in the image, where it is another one
};

struct TileBinary {
  std::string module;  // the digest of the text, and the version of the lowering
  std::string plugin;  // whose image it is
  std::string target;  // it was lowered for
  std::string format;  // of the image
  std::string maker;   // device and compiler that made it, for people
  std::string log;     // of the compiler
  std::vector<std::byte> image;
  std::vector<TileRecord> kernels;
  bool is_kept = false;  // came from a cache or pack; not written

  const TileRecord* find(const std::string& name) const;
};

// Bytes that say what they are, with a check sum: the same on every machine of the same byte order.
std::vector<std::byte> write_tile_binary(const TileBinary& binary);

// Throws INVALID_IMAGE unless the bytes are whole and unchanged, UNSUPPORTED_VERSION for a later form.
TileBinary read_tile_binary(std::span<const std::byte> bytes);

}  // namespace flagos::core
