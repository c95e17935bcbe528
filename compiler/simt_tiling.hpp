// Which elements of a tile a thread owns: t, t + threads, ... in row-major order; but where tiles of that size are what
// a product gives, a block of it, or what the tensor cores leave in the thread's registers. All tiles of one size in a
// kernel are laid out alike, so nothing is ever moved between two layouts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "compiler/lower.hpp"

namespace flagos::compiler {

struct Tiling {
  bool tensor = false;
  std::int64_t rows = 0, columns = 0;            // of the tile
  std::int64_t grid_rows = 0, grid_columns = 0;  // of threads; with `tensor` of warps
  std::int64_t own_rows = 0, own_columns = 0;    // elements of a thread; with `tensor` pieces of 16 x 8 of a warp

  // The thread's element number j, as text of t and j.
  std::string element() const;
};

inline constexpr std::int64_t kWarp = 32;
// What one instruction of the tensor cores gives: 16 rows of 8 columns, of 32 bytes of depth.
inline constexpr std::int64_t kPieceRows = 16, kPieceColumns = 8, kPieceBytes = 32;

// What tensor cores a target has.
struct TensorCores {
  bool any = false;  // for f16, bf16, i8, u8, and for f32 with fewer digits
  bool f8 = false;
};

struct Piece {
  const char* name;  // of tc_mma_<name>
  DType held;        // what the factors are in local memory

  std::int64_t bytes() const { return info(held).bytes; }
  std::int64_t depth() const { return kPieceBytes / bytes(); }
};
// How tensor cores multiply what `op` does; nothing where they do not: matrices in whole pieces only.
std::optional<Piece> piece_of(const Kernel& kernel, const Op& op, const TensorCores& cores);

// By the number of elements.
using Tilings = std::map<std::int64_t, Tiling>;
Tilings choose_tilings(const Kernel& kernel, std::uint32_t threads, const TensorCores& cores);
// The layout of what the product gives, or nullptr where it is laid out as other tiles, or for another product.
const Tiling* tiling_of(const Tilings& tilings, const Kernel& kernel, const Op& op, const TensorCores& cores);

}  // namespace flagos::compiler
