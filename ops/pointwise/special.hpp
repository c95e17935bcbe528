// Functions of probability and of the gamma family, which flagos/tile.hpp does not have.
#pragma once

#include "ops/engine/pointwise.hpp"

namespace flagos::ops {

tile::Tile erfc(const Elements& a, const tile::Tile& x);
tile::Tile erfinv(const Elements& a, const tile::Tile& x);
tile::Tile lgamma(const Elements& a, const tile::Tile& x);
tile::Tile digamma(const Elements& a, const tile::Tile& x);

}  // namespace flagos::ops
