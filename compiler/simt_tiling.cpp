#include "compiler/simt_tiling.hpp"

#include <fmt/format.h>

#include <optional>
#include <tuple>
#include <utility>

namespace flagos::compiler {
namespace {

// A thread keeps at most so many sums.
constexpr std::int64_t kMostOwned = 256;

template <typename F>
void for_each_dot(const Block& block, F&& f) {
  for (const Op& op : block.ops) {
    if (op.code == OpCode::dot || op.code == OpCode::dot_scaled) f(op);
    for (const Block& region : op.regions) for_each_dot(region, f);
  }
}

// The grid of `workers` over rows x columns units whose shares are nearest to a square in elements: such shares read the
// least for each product. Rows weigh `height`, columns `width` elements.
std::optional<std::pair<std::int64_t, std::int64_t>> best_grid(std::int64_t workers, std::int64_t rows,
                                                               std::int64_t columns, std::int64_t height,
                                                               std::int64_t width) {
  std::optional<std::pair<std::int64_t, std::int64_t>> best;
  std::int64_t least = 0;
  for (std::int64_t down = 1; down <= workers; ++down) {
    const std::int64_t across = workers / down;
    if (workers % down != 0 || rows % down != 0 || columns % across != 0) continue;
    const std::int64_t reads = rows / down * height + columns / across * width;
    // Of two that read the same, the one with neighbours side by side in a row.
    if (best && reads > least) continue;
    if (best && reads == least && across < best->second) continue;
    best = {down, across};
    least = reads;
  }
  return best;
}

std::optional<Tiling> plan(const Type& to, std::uint32_t threads, bool tensor) {
  Tiling made{tensor, to.dims[0], to.dims[1], 0, 0, 0, 0};
  const std::int64_t count = made.rows * made.columns;
  if (count % threads != 0 || count == threads || count / threads > kMostOwned) return std::nullopt;
  const std::int64_t height = tensor ? kPieceRows : 1, width = tensor ? kPieceColumns : 1;
  const std::int64_t rows = made.rows / height, columns = made.columns / width;
  const std::int64_t workers = tensor ? threads / kWarp : threads;
  const auto grid = best_grid(workers, rows, columns, height, width);
  if (!grid) return std::nullopt;
  std::tie(made.grid_rows, made.grid_columns) = *grid;
  made.own_rows = rows / made.grid_rows;
  made.own_columns = columns / made.grid_columns;
  return made;
}

// Numbers of 8 bits are exact in f16; what sums them without that keeps fewer digits, and is for who allows it.
std::optional<Piece> piece_of(DType dtype, bool reduced, const TensorCores& cores) {
  const bool f8 = reduced && cores.f8;
  switch (dtype) {
    case DType::f16:
      return Piece{"f16", dtype};
    case DType::bf16:
      return Piece{"bf16", dtype};
    case DType::i8:
      return Piece{"s8", dtype};
    case DType::u8:
      return Piece{"u8", dtype};
    case DType::f8e4m3:
      return f8 ? Piece{"e4m3", dtype} : Piece{"f16", DType::f16};
    case DType::f8e5m2:
      return f8 ? Piece{"e5m2", dtype} : Piece{"f16", DType::f16};
    case DType::f32:
      return reduced ? std::optional(Piece{"tf32", dtype}) : std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string Tiling::element() const {
  if (!tensor)
    return fmt::format("(t / {0}u + j / {1}u * {2}u) * {3}u + t % {0}u + j % {1}u * {0}u", grid_columns, own_columns,
                       grid_rows, columns);
  // Of a piece a thread has two neighbours in row (lane / 4), and two in the row 8 below.
  return fmt::format(
      "((t / 32u / {0}u * {1}u + j / {2}u) * 16u + t % 32u / 4u + j / 2u % 2u * 8u) * {3}u + (t / 32u % {0}u * {4}u + "
      "j "
      "/ 4u % {4}u) * 8u + t % 4u * 2u + j % 2u",
      grid_columns, own_rows, 4 * own_columns, columns, own_columns);
}

std::optional<Piece> piece_of(const Kernel& kernel, const Op& op, const TensorCores& cores) {
  if (!cores.any || op.code != OpCode::dot || op.has("strict")) return std::nullopt;
  const Type &a = kernel.values[op.operands[0]], &to = kernel.values[op.results[0]];
  const auto piece = piece_of(a.dtype, op.has("precision") && op.word("precision") == "reduced", cores);
  const bool whole = piece && to.is_tile() && to.rank == 2 && to.dims[0] % kPieceRows == 0 &&
                     to.dims[1] % kPieceColumns == 0 && a.dims[1] % piece->depth() == 0;
  return whole ? piece : std::nullopt;
}

Tilings choose_tilings(const Kernel& kernel, std::uint32_t threads, const TensorCores& cores) {
  Tilings tilings;
  // Tensor cores first: where two products of one size want different layouts, they gain the most.
  for (const bool pieces : {true, false}) {
    if (pieces && (!cores.any || threads % kWarp != 0)) continue;
    for_each_dot(kernel.body, [&](const Op& op) {
      const Type& to = kernel.values[op.results[0]];
      if (!to.is_tile() || to.rank != 2 || threads == 1 || (pieces && !piece_of(kernel, op, cores))) return;
      if (const auto made = plan(to, threads, pieces)) tilings.emplace(to.elements(), *made);
    });
  }
  return tilings;
}

const Tiling* tiling_of(const Tilings& tilings, const Kernel& kernel, const Op& op, const TensorCores& cores) {
  const Type& to = kernel.values[op.results[0]];
  const auto found = tilings.find(to.elements());
  if (found == tilings.end() || to.rank != 2) return nullptr;
  const Tiling& tiling = found->second;
  if (tiling.rows != to.dims[0] || tiling.columns != to.dims[1]) return nullptr;
  return tiling.tensor && !piece_of(kernel, op, cores) ? nullptr : &tiling;
}

}  // namespace flagos::compiler
