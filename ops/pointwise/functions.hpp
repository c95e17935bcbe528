// Functions that pointwise operators are made of, beside those of flagos/tile.hpp.
#pragma once

#include "ops/engine/pointwise.hpp"

namespace flagos::ops {

tile::Tile sign(const Elements& a, const tile::Tile& x);
tile::Tile signbit(const Elements& a, const tile::Tile& x);
tile::Tile copysign(const Elements& a, const tile::Tile& x, const tile::Tile& of);
tile::Tile log10(const tile::Tile& x);
tile::Tile asinh(const Elements& a, const tile::Tile& x);
tile::Tile acosh(const tile::Tile& x);
tile::Tile atanh(const Elements& a, const tile::Tile& x);
tile::Tile nan_to_num(const Elements& a, const tile::Tile& x);

tile::Tile sigmoid(const tile::Tile& x);
tile::Tile silu(const tile::Tile& x);
tile::Tile softplus(const tile::Tile& x, const tile::Operand& beta, const tile::Operand& threshold);
tile::Tile gelu(const tile::Tile& x, bool by_tanh);
tile::Tile log_sigmoid(const tile::Tile& x);

// Integers divided by 0 give 0 (truncated) or -1 (floored), as kernels of flagos.tile do; floats as IEEE.
tile::Tile divide_floor(const Elements& a, const tile::Tile& x, const tile::Tile& y);
tile::Tile power(const Elements& a, const tile::Tile& x, const tile::Tile& y);
tile::Tile hypot(const tile::Tile& x, const tile::Tile& y);
tile::Tile nextafter(const Elements& a, const tile::Tile& x, const tile::Tile& y);
tile::Tile logaddexp(const tile::Tile& x, const tile::Tile& y);
tile::Tile is_close(const Elements& a, const tile::Tile& x, const tile::Tile& y);
tile::Tile gcd(const Elements& a, const tile::Tile& x, const tile::Tile& y);
tile::Tile lerp(const tile::Tile& x, const tile::Tile& y, const tile::Tile& weight);

}  // namespace flagos::ops
