// Attention without its matrix of scores: block after block of keys, with a running maximum and sum.
#pragma once

#include <optional>

#include "ops/call.hpp"

namespace flagos::ops {

// softmax(scale q k^T + mask) v. Of a row that may see nothing, 0.
struct Attention {
  Tensor q;     // [batch, heads, rows, depth]
  Tensor k, v;  // [batch, heads / group, keys, depth]; v and out of a depth of their own
  Tensor out;   // as q
  std::optional<Tensor> mask = {};  // [batch, heads, rows, keys]: bool, or numbers that are added
  std::int64_t group = 1;           // heads of q that share one of k
  bool causal = false;
  double scale = 1;
  // Sequences one after the other: those of row r begin at starts[r]. Axis 2 of q, k, v and out has all of them, their
  // strides of axis 0 are 0, and `causal` lets the last row see the last key.
  std::optional<Tensor> q_starts = {}, k_starts = {};
  // Keys in pages: k and v are [pages, heads / group, page size, depth]; of sequence b, `lengths[b]` keys are there, and
  // those of block i in page tables[b][i].
  std::optional<Tensor> tables = {}, lengths = {};
};
void run_attention(const Call& call, Attention attention);

}  // namespace flagos::ops
