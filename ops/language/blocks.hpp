// The sizes of the blocks that products of this family are made of.
#pragma once

#include "ops/call.hpp"

namespace flagos::ops {

struct Blocks {
  int rows, columns, depth;

  // Few rows of a: the columns of b are what is shared out. Sizes as those of ops/engine/product.cpp.
  static Blocks choose(const Call& call, std::int64_t m, std::int64_t n, std::int64_t k) {
    if (!call.device().is_serial()) return {16, 32, 32};
    if (m <= 12) return {12, 256, 128};
    if (n <= 32) return {126, 32, 128};
    return k > 96 && m > 84 && n > 96 ? Blocks{126, 256, 192} : Blocks{42, 64, 64};
  }
  Key add_to(Key key) const {
    return key.add(static_cast<std::uint64_t>(rows), 8)
        .add(static_cast<std::uint64_t>(columns), 10)
        .add(static_cast<std::uint64_t>(depth), 9);
  }
};

// What products of this type are added up in.
inline tile::DType summed_as(DType dtype) {
  return dtype == DType::i8 ? tile::DType::i32 : computed_as(dtype);
}

}  // namespace flagos::ops
