// Operators of the family "attention": forms of softmax(q k^T) v, and the cache of keys and values.
#include <cmath>

#include "ops/attention/flash.hpp"
#include "ops/engine/batch.hpp"
#include "ops/engine/product.hpp"
#include "ops/families.hpp"
#include "ops/native.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

constexpr std::int64_t most_depth = 512, most_positions = (std::int64_t{1} << 31) - 1024;

// Types and sizes that all forms share; depth is the last axis.
void check_types(const Call& call, std::size_t out) {
  call.expect_dtype(0, floats);
  call.expect_same_dtype(1, 0);
  call.expect_same_dtype(2, 0);
  call.expect_dtype(out, floats);
  for (std::size_t i = 0; i < 3; ++i) {
    expect_apart(call, i, out);
    const Tensor& tensor = call.tensor(i);
    if (tensor.rank == 0) call.refuse(i, "has no axes");
    const std::int64_t depth = tensor.shape[tensor.rank - 1];
    if (depth > most_depth)
      call.refuse(i, "has heads of {} elements; {} are the most", depth, most_depth);
  }
  const Tensor &q = call.tensor(0), &k = call.tensor(1);
  if (q.shape[q.rank - 1] != k.shape[k.rank - 1])
    call.refuse(1, "has heads of {} elements, and query of {}", k.shape[k.rank - 1],
                q.shape[q.rank - 1]);
}

double scale_of(const Call& call, std::size_t i, std::int64_t depth) {
  return call.has(i) ? call.real(i)
                     : 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(depth, 1)));
}

std::int64_t group_of(const Call& call, std::size_t key, std::int64_t heads,
                      std::int64_t key_heads) {
  if (heads == key_heads) return 1;
  if (key_heads == 0 || heads % key_heads != 0)
    call.refuse(key, "has {} heads, and query has {}: no multiple of them", key_heads, heads);
  return heads / key_heads;
}

// Axes before [batch, heads, ...] are walked here.
void run_all(const Call& call, const Attention& attention) {
  const int more = attention.q.rank - 4;
  if (more == 0) return run_attention(call, attention);
  const auto part = [](const Tensor& tensor, std::int64_t i) {
    return tensor.narrowed(0, i, 1).without_axis(0);
  };
  for (std::int64_t i = 0; i < attention.q.shape[0]; ++i) {
    Attention one = attention;
    for (Tensor* tensor : {&one.q, &one.k, &one.v, &one.out}) *tensor = part(*tensor, i);
    if (one.mask) one.mask = part(*one.mask, i);
    run_all(call, one);
  }
}

void scaled_dot_product_attention(Call& call) {
  constexpr std::size_t mask = 3, dropout = 4, causal = 5, scale = 6, gqa = 7, out = 8;
  check_types(call, out);
  const int rank = call.tensor(0).rank;
  for (std::size_t i = 0; i < 3; ++i) {
    call.expect_rank(i, 2, max_rank - 2);
    if (call.tensor(i).rank != rank)
      call.refuse(i, "is of rank {}, and query of rank {}", call.tensor(i).rank, rank);
  }
  if (call.real(dropout) != 0)
    call.refuse(dropout, "is {}; only 0 is known here: dropout is an operator of its own",
                call.real(dropout));
  Tensor q = call.tensor(0), k = call.tensor(1), v = call.tensor(2), to = call.tensor(out);
  for (int axis = 0; axis < rank - 2; ++axis) {
    if (axis == rank - 3 && call.flag(gqa)) continue;
    for (const std::size_t i : {1, 2})
      if (call.tensor(i).shape[axis] != q.shape[axis])
        call.refuse(i, "is of shape {}, and query of shape {}: dimension {} differs{}",
                    call.tensor(i).shape_text(), q.shape_text(), axis,
                    axis == rank - 3 ? " (enable_gqa is false)" : "");
  }
  if (k.shape[rank - 2] != v.shape[rank - 2])
    call.refuse(2, "has {} rows, and key has {}", v.shape[rank - 2], k.shape[rank - 2]);
  for (const Tensor& tensor : {q, k})
    if (tensor.shape[rank - 2] > most_positions)
      call.refuse(0, "or key has {} rows; {} are the most", tensor.shape[rank - 2], most_positions);
  std::vector<std::int64_t> shape(q.dims().begin(), q.dims().end());
  shape.back() = v.shape[rank - 1];
  call.expect_shape(out, shape);
  Attention attention{q, k, v, to, {}};
  if (call.has(mask)) {
    const Tensor& given = call.tensor(mask);
    if (given.dtype != DType::boolean && given.dtype != q.dtype && given.dtype != DType::f32)
      call.refuse(mask, "is of {}; allowed are bool, float32 and the type of query",
                  dtype_name(given.dtype));
    expect_apart(call, mask, out);
    shape.back() = k.shape[rank - 2];
    try {
      attention.mask = given.expanded_to(shape);
    } catch (const Error& error) {
      call.refuse(mask, "does not fit: {}", error.what());
    }
  }
  if (rank > 2) {
    attention.group = group_of(call, 1, q.shape[rank - 3], k.shape[rank - 3]);
    if (v.shape[rank - 3] != k.shape[rank - 3])
      call.refuse(2, "has {} heads, and key has {}", v.shape[rank - 3], k.shape[rank - 3]);
  }
  attention.causal = call.flag(causal);
  attention.scale = scale_of(call, scale, q.shape[rank - 1]);
  for (Tensor* tensor : {&attention.q, &attention.k, &attention.v, &attention.out})
    while (tensor->rank < 4) *tensor = tensor->with_axis(0, 1, 0);
  if (attention.mask)
    while (attention.mask->rank < 4) attention.mask = attention.mask->with_axis(0, 1, 0);
  if (call.tensor(out).elements() != 0 && run_native(call)) return;
  run_all(call, attention);
}

// [total, heads, depth] as [1, heads, total, depth].
Tensor by_heads(const Tensor& tensor) { return tensor.transposed(0, 1).with_axis(0, 1, 0); }

void varlen_attention(Call& call) {
  constexpr std::size_t q_starts = 3, k_starts = 4, most = 5, causal = 6, scale = 7, out = 8;
  check_types(call, out);
  for (std::size_t i = 0; i < 3; ++i) call.expect_rank(i, 3, 3);
  const Tensor &q = call.tensor(0), &k = call.tensor(1), &v = call.tensor(2);
  if (k.shape[0] != v.shape[0] || k.shape[1] != v.shape[1])
    call.refuse(2, "is of shape {}, and key of shape {}", v.shape_text(), k.shape_text());
  call.expect_shape(out, std::array{q.shape[0], q.shape[1], v.shape[2]});
  call.expect_rank(q_starts, 1, 1);
  call.expect_shape(k_starts, call.tensor(q_starts));
  if (call.tensor(q_starts).shape[0] < 1)
    call.refuse(q_starts, "is empty; it has one more element than there are sequences");
  if (call.integer(most) < 0 || call.integer(most) > most_positions)
    call.refuse(most, "is {}; 0 to {} are allowed", call.integer(most), most_positions);
  Attention attention{by_heads(q), by_heads(k), by_heads(v), by_heads(call.tensor(out)), {}};
  attention.group = group_of(call, 1, q.shape[1], k.shape[1]);
  attention.causal = call.flag(causal);
  attention.scale = scale_of(call, scale, q.shape[2]);
  attention.q.shape[2] = call.integer(most);
  attention.q_starts = call.tensor(q_starts);
  attention.k_starts = call.tensor(k_starts);
  if (call.integer(most) == 0 || call.tensor(q_starts).shape[0] == 1 || run_native(call)) return;
  run_attention(call, attention);
}

void paged_attention(Call& call) {
  constexpr std::size_t tables = 3, lengths = 4, scale = 5, out = 6;
  check_types(call, out);
  call.expect_rank(0, 3, 3);
  call.expect_rank(1, 4, 4);
  call.expect_rank(2, 4, 4);
  const Tensor &q = call.tensor(0), &k = call.tensor(1), &v = call.tensor(2);
  for (int axis = 0; axis < 3; ++axis)
    if (k.shape[axis] != v.shape[axis])
      call.refuse(2, "is of shape {}, and key_cache of shape {}", v.shape_text(), k.shape_text());
  call.expect_rank(tables, 2, 2);
  if (call.tensor(tables).shape[0] != q.shape[0])
    call.refuse(tables, "has rows for {} sequences, and query has {}", call.tensor(tables).shape[0],
                q.shape[0]);
  call.expect_shape(lengths, std::array{q.shape[0]});
  call.expect_shape(out, std::array{q.shape[0], q.shape[1], v.shape[3]});
  if (k.shape[1] == 0) call.refuse(1, "has pages of no keys");
  Attention attention{q.with_axis(2, 1, 0),
                      k.transposed(1, 2),
                      v.transposed(1, 2),
                      call.tensor(out).with_axis(2, 1, 0),
                      {}};
  attention.group = group_of(call, 1, q.shape[1], k.shape[2]);
  attention.scale = scale_of(call, scale, q.shape[2]);
  attention.tables = call.tensor(tables);
  attention.lengths = call.tensor(lengths);
  if (call.tensor(out).elements() != 0 && run_native(call)) return;
  run_attention(call, attention);
}

// ---- the cache ---------------------------------------------------------------------------------------------------

// Rows of key and value to the places slots[token] of a cache in pages; a negative slot is none.
std::string cache_text(DType from, DType to, DType slots, int width) {
  const auto i64 = tile::DType::i64;
  tile::Module module;
  module.kernel("ops_reshape_and_cache", {{"WIDTH", width}}, [&](Kernel& k) {
    const auto x = k.pointer("x", stored_as(from), "readonly, noalias");
    const auto slot = k.pointer("slots", stored_as(slots), "readonly, noalias");
    const auto cache = k.pointer("cache", stored_as(to), "noalias");
    const auto size = [&](const std::string& name) { return k.scalar(name, i64); };
    const Tile tokens = size("tokens"), heads = size("heads"), depth = size("depth");
    const Tile pages = size("pages"), page_size = size("page");
    const Tile x0 = size("x0"), x1 = size("x1"), x2 = size("x2"), s0 = size("s0");
    const Tile c0 = size("c0"), c1 = size("c1"), c2 = size("c2"), c3 = size("c3");
    for_each_block(k, tokens * heads, [&](const Tile& block) {
      const Tile head = block % heads, token = block / heads;
      const Tile place = cast(k.load(k.view(slot, {tokens}, {s0}), {token}), i64);
      k.require(place < pages * page_size,
                "reshape_and_cache: an element of slot_mapping is outside of the cache");
      k.branch(place >= 0, [&] {
        k.loop(k.constant(i64, 0), depth, width, [&](const Tile& at) {
          const Tile row = load_block(k, k.view(x, {tokens, heads, depth}, {x0, x1, x2}),
                                      {token, head, at}, {width});
          const Tile value = from == to ? row : cast(cast(row, computed_as(from)), stored_as(to));
          store_block(k, k.view(cache, {pages, page_size, heads, depth}, {c0, c1, c2, c3}),
                      {place / page_size, place % page_size, head, at}, value);
        });
      });
    });
  });
  return module.text(false);
}

void reshape_and_cache(Call& call) {
  const Tensor& slots = call.tensor(2);
  call.expect_rank(2, 1, 1);
  for (const std::size_t i : {0, 1}) {
    call.expect_rank(i, 3, 3);
    call.expect_rank(i + 3, 4, 4);
    call.expect_dtype(i, floats);
    call.expect_dtype(i + 3, floats);
    expect_apart(call, i, i + 3);
    const Tensor &x = call.tensor(i), &cache = call.tensor(i + 3);
    if (x.shape[0] != slots.shape[0])
      call.refuse(i, "has {} tokens, and slot_mapping {}", x.shape[0], slots.shape[0]);
    if (cache.shape[2] != x.shape[1] || cache.shape[3] != x.shape[2])
      call.refuse(i + 3, "is of shape {}, and [pages, page size, {}, {}] is needed",
                  cache.shape_text(), x.shape[1], x.shape[2]);
  }
  if (slots.elements() != 0 && run_native(call)) return;
  for (const std::size_t i : {0, 1}) {
    const Tensor &x = call.tensor(i), &cache = call.tensor(i + 3);
    if (x.elements() == 0) continue;
    const int width = 128;
    Key key = call.key();
    key.add(static_cast<std::uint64_t>(x.dtype), 4).add(static_cast<std::uint64_t>(cache.dtype), 4);
    key.add(static_cast<std::uint64_t>(slots.dtype), 4);
    Launch launch(call, call.device().kernel(key, [&] {
      return cache_text(x.dtype, cache.dtype, slots.dtype, width);
    }));
    launch.pointer(x.address).pointer(slots.address).pointer(cache.address);
    launch.integer(x.shape[0]).integer(x.shape[1]).integer(x.shape[2]);
    launch.integer(cache.shape[0]).integer(cache.shape[1]);
    for (int axis = 0; axis < 3; ++axis) launch.integer(x.strides[axis]);
    launch.integer(slots.strides[0]);
    for (int axis = 0; axis < 4; ++axis) launch.integer(cache.strides[axis]);
    launch.run(x.shape[0] * x.shape[1]);
  }
}

}  // namespace

void add_attention(Table& table) {
  const Bound bound = summed(8, 4);
  table.add(
      "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask, "
      "float dropout_p=0.0, bool is_causal=0, float? scale, bool enable_gqa=False, Tensor! out)",
      floats, bound, scaled_dot_product_attention);
  table.add(
      "varlen_attention(Tensor query, Tensor key, Tensor value, Tensor:int cu_seqlens_q, "
      "Tensor:int cu_seqlens_k, int max_seqlen_q, bool is_causal=0, float? scale, Tensor! out)",
      floats, bound, varlen_attention);
  table.add(
      "paged_attention(Tensor query, Tensor key_cache, Tensor value_cache, Tensor:int "
      "block_tables, Tensor:int seq_lens, float? scale, Tensor! out)",
      floats, bound, paged_attention);
  table.add(
      "reshape_and_cache(Tensor key, Tensor value, Tensor:int slot_mapping, Tensor! key_cache, "
      "Tensor! value_cache)",
      floats, exact, reshape_and_cache);
}

}  // namespace flagos::ops
