// Products of groups of rows, each with a matrix of its own, where the device knows how many rows a group has.
#pragma once

#include "ops/call.hpp"

namespace flagos::ops {

// Group g has the rows from ends[g - 1] (of the first: 0) up to ends[g].
struct GroupedProduct {
  Tensor a;     // [rows, k]
  Tensor b;     // [groups, k, n]
  Tensor out;   // [rows, n]; rows behind the last end stay as they are
  Tensor ends;  // [groups], int
};
void run_grouped(const Call& call, const GroupedProduct& product);

// Group g has the elements along k from ends[g - 1] up to ends[g], and an output of its own.
struct DepthGroups {
  Tensor a;     // [m, k]
  Tensor b;     // [k, n]
  Tensor out;   // [groups, m, n]
  Tensor ends;  // [groups], int
};
void run_depth_groups(const Call& call, const DepthGroups& product);

}  // namespace flagos::ops
