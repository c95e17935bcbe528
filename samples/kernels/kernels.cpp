#include "kernels.hpp"

#include <cmath>
#include <limits>

namespace flagos::samples {

using tile::carry;
using tile::DType;
using tile::Kernel;
using tile::Tile;

constexpr DType f32 = DType::f32;
constexpr DType i32 = DType::i32;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

void vector_add(tile::Module& module, DType dtype, int block) {
  module.kernel("vector_add", {{"BLOCK", block}}, [=](Kernel& k) {
    const auto x = k.pointer("x", dtype, "readonly"), y = k.pointer("y", dtype, "readonly"),
               z = k.pointer("z", dtype);
    const auto n = k.scalar("n", i32);
    const auto at = k.program_id(0) * block;
    k.store(
        k.view(z, {n}, {1}), {at},
        k.load(k.view(x, {n}, {1}), {at}, {block}) + k.load(k.view(y, {n}, {1}), {at}, {block}));
  });
}

void softmax(tile::Module& module, DType dtype, int block) {
  module.kernel("softmax", {{"BLOCK", block}}, [=](Kernel& k) {
    const auto x = k.pointer("x", dtype, "readonly"), y = k.pointer("y", dtype);
    const auto rows = k.scalar("rows", i32), columns = k.scalar("columns", i32);
    const auto row = k.program_id(0);
    const auto in = cast(
        k.load(k.view(x, {rows, columns}, {columns, 1}), {row, 0}, {1, block}, -kInfinity), f32);
    const auto e = exp(in - expand(reduce_max(in, 1), 1));
    k.store(k.view(y, {rows, columns}, {columns, 1}), {row, 0},
            cast(e * expand(1.0 / sum(e, 1), 1), dtype));
  });
}

void layernorm(tile::Module& module, DType dtype, int block) {
  module.kernel("layernorm", {{"BLOCK", block}}, [=](Kernel& k) {
    const auto x = k.pointer("x", dtype, "readonly"), w = k.pointer("w", dtype, "readonly");
    const auto b = k.pointer("b", dtype, "readonly"), y = k.pointer("y", dtype);
    const auto rows = k.scalar("rows", i32), columns = k.scalar("columns", i32);
    const auto eps = k.scalar("eps", f32);
    const auto row = k.program_id(0);
    const auto in =
        cast(k.load(k.view(x, {rows, columns}, {columns, 1}), {row, 0}, {1, block}), f32);
    const auto count = cast(columns, f32);
    const auto inside = expand(k.range(block) < columns, 0);
    const auto centered = where(inside, in - expand(sum(in, 1) / count, 1), 0.0);
    const auto variance = sum(centered * centered, 1) / count;
    const auto scale = cast(expand(k.load(k.view(w, {columns}, {1}), {0}, {block}), 0), f32);
    const auto shift = cast(expand(k.load(k.view(b, {columns}, {1}), {0}, {block}), 0), f32);
    k.store(k.view(y, {rows, columns}, {columns, 1}), {row, 0},
            cast(centered * expand(rsqrt(variance + eps), 1) * scale + shift, dtype));
  });
}

void matmul_bias_relu(tile::Module& module, DType dtype, int bm, int bn, int bk) {
  module.kernel("matmul_bias_relu", {{"BM", bm}, {"BN", bn}, {"BK", bk}}, [=](Kernel& k) {
    const auto a = k.pointer("a", dtype, "readonly"), b = k.pointer("b", dtype, "readonly");
    const auto bias = k.pointer("bias", f32, "readonly"), c = k.pointer("c", dtype);
    const auto m = k.scalar("m", i32), n = k.scalar("n", i32), depth = k.scalar("k", i32);
    const auto va = k.view(a, {m, depth}, {depth, 1});
    const auto vb = k.view(b, {depth, n}, {n, 1});
    const auto row = k.program_id(0) * bm;
    const auto column = k.program_id(1) * bn;
    const auto product =
        k.loop(0, depth, bk, k.full(f32, {bm, bn}, 0.0), [&](const Tile& at, const Tile& sum) {
          return dot(k.load(va, {row, at}, {bm, bk}), k.load(vb, {at, column}, {bk, bn}), sum);
        });
    const auto biased = product + expand(k.load(k.view(bias, {n}, {1}), {column}, {bn}), 0);
    k.store(k.view(c, {m, n}, {n, 1}), {row, column}, cast(max(biased, 0.0), dtype));
  });
}

void flash_attention(tile::Module& module, DType dtype, int bm, int bn, int d) {
  module.kernel("flash_attention", {{"BM", bm}, {"BN", bn}, {"D", d}}, [=](Kernel& k) {
    const auto q = k.pointer("q", dtype, "readonly"), key = k.pointer("k", dtype, "readonly");
    const auto v = k.pointer("v", dtype, "readonly"), o = k.pointer("o", dtype);
    const auto heads = k.scalar("heads", i32), n = k.scalar("n", i32);
    const auto view = [&](const tile::Pointer& p) {
      return k.view(p, {heads, n, d}, {n * d, d, 1});
    };
    const auto vk = view(key), vv = view(v);
    const auto head = k.program_id(1);
    const auto row = k.program_id(0) * bm;
    const auto rows = expand(k.range(bm) + row, 1);
    const auto query = reshape(k.load(view(q), {head, row, 0}, {1, bm, d}), {bm, d});
    const auto start =
        carry(k.full(f32, {bm}, -kInfinity), k.full(f32, {bm}, 0.0), k.full(f32, {bm, d}, 0.0));
    const auto end =
        k.loop(0, min(row + bm, n), bn, start,
               [&](const Tile& at, const Tile& most, const Tile& total, const Tile& sum) {
                 const auto keys = reshape(k.load(vk, {head, at, 0}, {1, bn, d}), {bn, d});
                 const auto values = reshape(k.load(vv, {head, at, 0}, {1, bn, d}), {bn, d});
                 const auto columns = expand(k.range(bn) + at, 0);
                 const auto scores = dot(query, trans(keys), k.full(f32, {bm, bn}, 0.0)) *
                                     (1 / std::sqrt(double(d)));
                 const auto seen =
                     where(columns <= rows, where(columns < n, scores, -kInfinity), -kInfinity);
                 const auto now = max(most, reduce_max(seen, 1));
                 const auto p = exp(seen - expand(now, 1));
                 const auto fade = exp(most - now);
                 return carry(now, total * fade + tile::sum(p, 1),
                              dot(cast(p, dtype), values, sum * expand(fade, 1)));
               });
    k.store(view(o), {head, row, 0}, reshape(cast(end[2] / expand(end[1], 1), dtype), {1, bm, d}));
  });
}

void histogram(tile::Module& module, int block, int bins) {
  module.kernel("histogram", {{"BLOCK", block}, {"BINS", bins}}, [=](Kernel& k) {
    const auto x = k.pointer("x", i32, "readonly"), counts = k.pointer("counts", i32);
    const auto n = k.scalar("n", i32);
    const auto at = k.program_id(0) * block;
    const auto values = k.load(k.view(x, {n}, {1}), {at}, {block});
    const auto mine = tile::histogram(values, k.range(block) + at < n, bins);
    k.atomic("add", k.view(counts, {bins}, {1}), {k.range(bins)}, mine);
  });
}

void scan(tile::Module& module, DType dtype, int block) {
  module.kernel("scan", {{"BLOCK", block}}, [=](Kernel& k) {
    const auto x = k.pointer("x", dtype, "readonly"), y = k.pointer("y", dtype);
    const auto rows = k.scalar("rows", i32), columns = k.scalar("columns", i32);
    const auto row = k.program_id(0);
    const auto in = k.load(k.view(x, {rows, columns}, {columns, 1}), {row, 0}, {1, block});
    k.store(k.view(y, {rows, columns}, {columns, 1}), {row, 0}, cumsum(in, 1));
  });
}

void gather_scatter_add(tile::Module& module, int block) {
  module.kernel("gather_scatter_add", {{"BLOCK", block}}, [=](Kernel& k) {
    const auto x = k.pointer("x", f32, "readonly"), w = k.pointer("w", f32, "readonly");
    const auto index = k.pointer("index", i32, "readonly"), y = k.pointer("y", f32);
    const auto n = k.scalar("n", i32), size = k.scalar("size", i32);
    const auto at = k.program_id(0) * block;
    const auto places = k.load(k.view(index, {n}, {1}), {at}, {block}, -1);
    const auto weights = k.load(k.view(w, {n}, {1}), {at}, {block});
    // The pad of -1 lies outside of every view: nothing is read or added there.
    const auto values = k.gather(k.view(x, {size}, {1}), {places});
    k.atomic("add", k.view(y, {size}, {1}), {places}, values * weights);
  });
}

void sort(tile::Module& module, DType dtype, int block) {
  module.kernel("sort", {{"BLOCK", block}}, [=](Kernel& k) {
    const auto x = k.pointer("x", dtype, "readonly"), y = k.pointer("y", dtype),
               from = k.pointer("from", i32);
    const auto rows = k.scalar("rows", i32), columns = k.scalar("columns", i32);
    const auto row = k.program_id(0);
    const auto keys =
        k.load(k.view(x, {rows, columns}, {columns, 1}), {row, 0}, {1, block}, kInfinity);
    const auto sorted = tile::sort(keys, {expand(k.range(block), 0)}, 1);
    k.store(k.view(y, {rows, columns}, {columns, 1}), {row, 0}, sorted[0]);
    k.store(k.view(from, {rows, columns}, {columns, 1}), {row, 0}, sorted[1]);
  });
}

void philox_dropout(tile::Module& module, int block) {
  module.kernel("philox_dropout", {{"BLOCK", block}}, [=](Kernel& k) {
    const auto x = k.pointer("x", f32, "readonly"), y = k.pointer("y", f32);
    const auto n = k.scalar("n", i32);
    const auto p = k.scalar("p", f32);
    const auto seed = k.scalar("seed", DType::i64);
    const auto at = k.program_id(0) * block;
    const auto random = philox(seed, k.range(block) + at);
    // The upper 24 bits as a number from 0 to below 1: exact in f32.
    const auto uniform = cast(random[0] >> 8, f32) * std::ldexp(1.0, -24);
    const auto in = k.load(k.view(x, {n}, {1}), {at}, {block});
    k.store(k.view(y, {n}, {1}), {at}, where(uniform >= p, in / (1.0 - p), 0.0));
  });
}

}  // namespace flagos::samples
