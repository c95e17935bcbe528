#include "ops/attention/flash.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "ops/engine/batch.hpp"

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

constexpr std::uint32_t engine_key = 4002;
constexpr int depths[] = {32, 64, 96, 128, 256, 512};
constexpr double infinity = std::numeric_limits<double>::infinity();

enum class Keys : std::uint8_t { dense, ragged, paged };

// Everything that the text of a kernel depends on.
struct Variant {
  DType dtype = DType::f32, out = DType::f32, mask = DType::f32;
  bool serial = false, masked = false, causal = false, unit = false, few = false;
  Keys keys = Keys::dense;
  std::size_t depth = 0;
  int page = 0;                                    // keys of a block that lie in one page
  bool wide_starts = false, wide_lengths = false;  // int64

  int rows() const {
    if (serial) return few ? 12 : 84;
    return depths[depth] <= 128 ? 16 : 8;
  }
  int columns() const {
    if (keys == Keys::paged) return page;
    return serial ? 128 : rows();
  }
  Key key() const {
    Key key(engine_key);
    key.add(static_cast<std::uint64_t>(dtype), 4).add(static_cast<std::uint64_t>(out), 4);
    key.add(masked, 1).add(static_cast<std::uint64_t>(masked ? mask : DType::f32), 4);
    key.add(serial, 1).add(causal, 1).add(unit, 1).add(few, 1).add(wide_starts, 1);
    key.add(wide_lengths, 1).add(static_cast<std::uint64_t>(keys), 2).add(depth, 3).add(page, 8);
    return key;
  }
};

std::string text_of(const Variant& v) {
  const auto i64 = tile::DType::i64, i32 = tile::DType::i32;
  const int bm = v.rows(), bn = v.columns(), d = depths[v.depth];
  const tile::DType in = stored_as(v.dtype), f = computed_as(v.dtype);
  tile::Module module;
  module.kernel("ops_attention", {{"ROWS", bm}, {"KEYS", bn}, {"DEPTH", d}}, [&](Kernel& k) {
    const auto q = k.pointer("q", in, "readonly, noalias");
    const auto pk = k.pointer("k", in, "readonly, noalias");
    const auto pv = k.pointer("v", in, "readonly, noalias");
    const auto mask = v.masked ? k.pointer("mask", stored_as(v.mask), "readonly, noalias") : q;
    const bool paged = v.keys == Keys::paged, ragged = v.keys == Keys::ragged;
    const tile::DType starts = v.wide_starts ? i64 : i32, lengths = v.wide_lengths ? i64 : i32;
    const auto first = paged    ? k.pointer("tables", starts, "readonly, noalias")
                       : ragged ? k.pointer("q_starts", starts, "readonly, noalias")
                                : q;
    const auto second = paged    ? k.pointer("lengths", lengths, "readonly, noalias")
                        : ragged ? k.pointer("k_starts", lengths, "readonly, noalias")
                                 : q;
    const auto out = k.pointer("out", stored_as(v.out), "noalias");
    const Tile scale = k.scalar("scale", f);
    const auto size = [&](const std::string& name) { return k.scalar(name, i64); };
    const Tile batch = size("batch"), heads = size("heads"), rows = size("rows");
    const Tile all_keys = size("keys"), depth = size("depth"), out_depth = size("out_depth");
    const Tile group = size("group");
    const auto strides = [&](const std::string& name) {
      std::vector<tile::Extent> made;
      for (int axis = 0; axis < 3; ++axis) made.push_back(size(fmt::format("{}_{}", name, axis)));
      const Tile last = size(name + "_3");
      made.push_back(v.unit && name != "mask" ? tile::Extent(1) : tile::Extent(last));
      return made;
    };
    const auto q_strides = strides("q"), k_strides = strides("k"), v_strides = strides("v");
    const auto out_strides = strides("out");
    const auto mask_strides = v.masked ? strides("mask") : std::vector<tile::Extent>{};
    const Tile zero = k.constant(i64, 0);
    // Of starts, or of tables and lengths.
    const bool listed = paged || ragged;
    const Tile first_step = listed ? size("first_step") : zero;
    const Tile second_step = listed ? size("second_step") : zero;
    const Tile pages = paged ? size("pages") : zero, table_step = paged ? size("table_step") : zero;
    const Tile tables = paged ? size("table_size") : zero, page_size = paged ? size("page") : zero;
    const Tile kv_heads = (heads + (group - 1)) / group;

    const Tile down = (rows + (bm - 1)) / bm;
    for_each_block(k, batch * heads * down, [&](const Tile& block) {
      const Tile row = block % down * bm;
      const Tile head = block / down % heads, b = block / (down * heads), kv_head = head / group;
      Tile q_first = zero, q_end = rows, k_first = zero, k_end = all_keys;
      if (ragged) {
        const auto start = [&](const tile::Pointer& p, const Tile& step, const Tile& at) {
          return cast(k.load(k.view(p, {batch + 1}, {step}), {at}), i64);
        };
        q_first = start(first, first_step, b);
        q_end = start(first, first_step, b + 1);
        k_first = start(second, second_step, b);
        k_end = start(second, second_step, b + 1);
      }
      if (paged) {
        k_end = cast(k.load(k.view(second, {batch}, {second_step}), {b}), i64);
        k.require(
            k_end <= tables * page_size,
            "paged_attention: an element of seq_lens is more than block_tables have pages for");
      }
      const Tile length = q_end - q_first, keys = k_end - k_first;
      const tile::View vq = k.view(q, {batch, heads, q_end, depth}, q_strides);
      const Tile query = load_block(k, vq, {b, head, q_first + row, 0}, {bm, d});
      const Tile offset = ragged ? keys - length : zero;
      Tile high = v.causal ? min(keys, row + bm + offset) : keys;
      if (ragged) high = where(row < length, high, zero);
      const Tile row_at = expand(k.range(bm) + cast(row + offset, i32), 1);
      const Tile keys32 = cast(keys, i32);
      const auto load_keys = [&](const tile::Pointer& p, const std::vector<tile::Extent>& steps,
                                 const Tile& at, const Tile& page, const Tile& width) {
        if (paged) {
          const tile::View view = k.view(p, {pages, kv_heads, page_size, width}, steps);
          return load_block(k, view, {page, kv_head, at % page_size, 0}, {bn, d});
        }
        const tile::View view = k.view(p, {batch, kv_heads, k_end, width}, steps);
        return load_block(k, view, {b, kv_head, k_first + at, 0}, {bn, d});
      };
      const auto start =
          tile::carry(k.full(f, {bm}, -infinity), k.full(f, {bm}, 0.0), k.full(f, {bm, d}, 0.0));
      const auto end = k.loop(
          zero, high, bn, start,
          [&](const Tile& at, const Tile& most, const Tile& total, const Tile& sum) {
            Tile page = zero;
            if (paged) {
              page = cast(k.load(k.view(first, {batch, tables}, {first_step, table_step}),
                                 {b, at / page_size}),
                          i64);
              k.require((page >= 0) & (page < pages),
                        "paged_attention: a page of block_tables is outside of the cache");
            }
            const Tile ks = load_keys(pk, k_strides, at, page, depth);
            const Tile vs = cast(load_keys(pv, v_strides, at, page, out_depth), f);
            Tile scores = dot(query, trans(ks), k.full(f, {bm, bn}, 0.0)) * scale;
            const Tile columns = expand(k.range(bn) + cast(at, i32), 0);
            Tile seen = columns < keys32;
            if (v.causal) seen = seen & (columns <= row_at);
            if (v.masked) {
              const tile::View vm = k.view(mask, {batch, heads, rows, all_keys}, mask_strides);
              const Tile given = load_block(k, vm, {b, head, row, at}, {bm, bn});
              if (v.mask == DType::boolean) {
                seen = seen & (given != 0);
              } else {
                scores = scores + cast(given, f);
              }
            }
            scores = where(seen, scores, -infinity);
            const Tile now = max(most, reduce_max(scores, 1));
            const Tile base = where(now == -infinity, 0.0, now);
            const Tile p = exp(scores - expand(base, 1));
            const Tile fade = exp(most - base);
            return tile::carry(now, total * fade + tile::sum(p, 1),
                               dot(p, vs, sum * expand(fade, 1)));
          });
      const Tile total = where(end[1] == 0.0, 1.0, end[1]);
      const tile::View vo = k.view(out, {batch, heads, q_end, out_depth}, out_strides);
      store_block(k, vo, {b, head, q_first + row, 0},
                  cast(end[2] / expand(total, 1), stored_as(v.out)));
    });
  });
  return module.text(false);
}

// One row for each head: heads that share keys are rows of one head, and keys are read once for all of them.
void fold_group(Attention& a) {
  if (a.group == 1 || a.q.shape[2] != 1 || a.causal || a.q_starts) return;
  if (a.mask && a.mask->strides[1] != 0) return;
  for (Tensor* tensor : {&a.q, &a.out}) {
    tensor->strides[2] = tensor->strides[1];
    tensor->strides[1] *= a.group;
    tensor->shape[2] = a.group;
    tensor->shape[1] /= a.group;
  }
  if (a.mask) {
    a.mask->strides[2] = 0;
    a.mask->shape[1] = a.q.shape[1];
    a.mask->shape[2] = a.group;
  }
  a.group = 1;
}

}  // namespace

void run_attention(const Call& call, Attention a) {
  if (a.out.elements() == 0) return;
  fold_group(a);
  Variant v;
  v.dtype = a.q.dtype;
  v.out = a.out.dtype;
  v.serial = call.device().is_serial();
  v.masked = a.mask.has_value();
  if (v.masked) v.mask = a.mask->dtype;
  v.causal = a.causal;
  v.unit =
      a.q.strides[3] == 1 && a.k.strides[3] == 1 && a.v.strides[3] == 1 && a.out.strides[3] == 1;
  v.keys = a.q_starts ? Keys::ragged : a.tables ? Keys::paged : Keys::dense;
  const std::int64_t width = std::max(a.q.shape[3], a.v.shape[3]);
  v.depth = static_cast<std::size_t>(
      std::find_if(std::begin(depths), std::end(depths), [&](int d) { return d >= width; }) -
      std::begin(depths));
  const Tensor* const first = a.q_starts ? &*a.q_starts : a.tables ? &*a.tables : nullptr;
  const Tensor* const second = a.k_starts ? &*a.k_starts : a.lengths ? &*a.lengths : nullptr;
  if (first != nullptr) {
    v.wide_starts = first->dtype == DType::i64;
    v.wide_lengths = second->dtype == DType::i64;
  }
  if (a.tables) v.page = static_cast<int>(std::gcd(a.k.shape[2], v.serial ? 128 : 16));
  v.few = v.serial && a.q.shape[2] <= 12;

  Launch launch(call, call.device().kernel(v.key(), [&] { return text_of(v); }));
  launch.pointer(a.q.address).pointer(a.k.address).pointer(a.v.address);
  if (a.mask) launch.pointer(a.mask->address);
  if (first != nullptr) launch.pointer(first->address).pointer(second->address);
  launch.pointer(a.out.address);
  if (v.dtype == DType::f64) {
    launch.real64(a.scale);
  } else {
    launch.real32(static_cast<float>(a.scale));
  }
  const std::int64_t batch =
      first != nullptr ? second->shape[0] - (a.q_starts ? 1 : 0) : a.q.shape[0];
  launch.integer(batch).integer(a.q.shape[1]).integer(a.q.shape[2]).integer(a.k.shape[2]);
  launch.integer(a.q.shape[3]).integer(a.v.shape[3]).integer(a.group);
  for (const Tensor* tensor : {&a.q, &a.k, &a.v, &a.out, a.mask ? &*a.mask : nullptr})
    for (int axis = 0; tensor != nullptr && axis < 4; ++axis) launch.integer(tensor->strides[axis]);
  if (first != nullptr) launch.integer(first->strides[0]).integer(second->strides[0]);
  if (a.tables)
    launch.integer(a.k.shape[0])
        .integer(a.tables->strides[1])
        .integer(a.tables->shape[1])
        .integer(a.k.shape[2]);
  launch.run(batch * a.q.shape[1] * ((a.q.shape[2] + v.rows() - 1) / v.rows()));
}

}  // namespace flagos::ops
