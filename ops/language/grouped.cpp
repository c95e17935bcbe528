#include "ops/language/grouped.hpp"

#include "ops/engine/batch.hpp"
#include "ops/engine/product.hpp"
#include "ops/language/blocks.hpp"
#include "ops/language/language.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

using tile::carry;
using tile::Kernel;
using tile::Tile;

namespace {

constexpr auto i64 = tile::DType::i64;

// Everything that the text of a kernel depends on.
struct Variant {
  DType in, out, ends;
  Blocks blocks;
  bool along_depth;
  Key key(const Call& call) const {
    Key key = call.key();
    key.add(along_depth ? 5 : 4, 4).add(static_cast<std::uint64_t>(in), 4);
    key.add(static_cast<std::uint64_t>(out), 4).add(static_cast<std::uint64_t>(ends), 4);
    return blocks.add_to(key);
  }
};

// Where a group begins and ends.
struct Ends {
  Kernel& k;
  tile::View view;
  Tile limit;
  std::string name;
  Tile at(const Tile& group) const {
    // Of what is no group, 0.
    return cast(k.load(view, {group}), i64);
  }
  std::array<Tile, 2> of(const Tile& group) const {
    const Tile start = at(group - 1), end = at(group);
    k.require((start >= 0) & (start <= end) & (end <= limit),
              name + ": the offsets do not grow, or end outside of what they divide");
    return {start, end};
  }
};

std::string text_of(const Call& call, const Variant& v) {
  const int bm = v.blocks.rows, bn = v.blocks.columns, bk = v.blocks.depth;
  const tile::DType in = stored_as(v.in), sum_type = summed_as(v.in);
  const std::string name = call.op().name();
  tile::Module module;
  module.kernel("ops_grouped", {{"ROWS", bm}, {"COLUMNS", bn}, {"DEPTH", bk}}, [&](Kernel& k) {
    const auto pa = k.pointer("a", in, "readonly, noalias");
    const auto pb = k.pointer("b", in, "readonly, noalias");
    const auto pe = k.pointer("ends", stored_as(v.ends), "readonly, noalias");
    const auto po = k.pointer("out", stored_as(v.out), "noalias");
    const auto size = [&](const char* n) { return k.scalar(n, i64); };
    const Tile m = size("m"), n = size("n"), depth = size("depth"), groups = size("groups");
    const Tile ends_step = size("ends_step");
    const Tile a_m = size("a_m"), a_k = size("a_k");
    const Tile b_g = size("b_g"), b_k = size("b_k"), b_n = size("b_n");
    const Tile out_g = size("out_g"), out_m = size("out_m"), out_n = size("out_n");
    const Tile zero = k.constant(i64, 0), one = k.constant(i64, 1);
    const Ends ends{k, k.view(pe, {groups}, {ends_step}), v.along_depth ? depth : m, name};
    const Tile across = (n + (bn - 1)) / bn;
    const auto add_up = [&](const tile::View& a, const tile::View& b, const Tile& group,
                            const Tile& row, const Tile& column, const Tile& low,
                            const Tile& high) {
      return k.loop(
          low, high, bk, k.full(sum_type, {bm, bn}, 0), [&](const Tile& at, const Tile& sum) {
            const Tile left = k.load(a, {row, at}, {bm, bk});
            const Tile right = v.along_depth
                                   ? k.load(b, {at, column}, {bk, bn})
                                   : reshape(k.load(b, {group, at, column}, {1, bk, bn}), {bk, bn});
            return dot(left, right, sum);
          });
    };
    if (v.along_depth) {
      const Tile down = (m + (bm - 1)) / bm;
      return for_each_block(k, groups * down * across, [&](const Tile& block) {
        const Tile column = block % across * bn, row = block / across % down * bm;
        const Tile group = block / (across * down);
        const auto part = ends.of(group);
        const Tile sum =
            add_up(k.view(pa, {m, part[1]}, {a_m, a_k}), k.view(pb, {part[1], n}, {b_k, b_n}),
                   group, row, column, part[0], part[1]);
        k.store(k.view(po, {groups, m, n}, {out_g, out_m, out_n}), {group, row, column},
                reshape(cast(sum, stored_as(v.out)), {1, bm, bn}));
      });
    }
    // As many blocks of rows as there can be; those that no group needs do nothing.
    const Tile most = m / bm + groups;
    for_each_block(k, most * across, [&](const Tile& block) {
      const Tile column = block % across * bn, wanted = block / across;
      // The group that has this block of rows: blocks of the groups before it are counted.
      const auto found = k.loop_while(
          carry(zero, zero),
          [&](const Tile& group, const Tile& before) {
            const Tile count = (ends.at(group) - ends.at(group - 1) + (bm - 1)) / bm;
            return (group < groups) & (before + count <= wanted);
          },
          [&](const Tile& group, const Tile& before) {
            const auto part = ends.of(group);
            return carry(group + one, before + (part[1] - part[0] + (bm - 1)) / bm);
          });
      k.branch(found[0] < groups, [&] {
        const Tile group = found[0];
        const auto part = ends.of(group);
        const Tile row = part[0] + (wanted - found[1]) * bm;
        const Tile sum = add_up(k.view(pa, {part[1], depth}, {a_m, a_k}),
                                k.view(pb, {groups, depth, n}, {b_g, b_k, b_n}), group, row, column,
                                zero, depth);
        k.store(k.view(po, {part[1], n}, {out_m, out_n}), {row, column},
                cast(sum, stored_as(v.out)));
      });
    });
  });
  return module.text(false);
}

std::int64_t divided(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

}  // namespace

void run_grouped(const Call& call, const GroupedProduct& p) {
  const std::int64_t m = p.a.shape[0], depth = p.a.shape[1], groups = p.b.shape[0],
                     n = p.b.shape[2];
  if (m == 0 || n == 0 || groups == 0) return;
  const Variant v{p.a.dtype, p.out.dtype, p.ends.dtype,
                  Blocks::choose(call, divided(m, groups), n, depth), false};
  Launch launch(call, call.device().kernel(v.key(call), [&] { return text_of(call, v); }));
  launch.pointer(p.a.address).pointer(p.b.address).pointer(p.ends.address).pointer(p.out.address);
  launch.integer(m).integer(n).integer(depth).integer(groups).integer(p.ends.strides[0]);
  launch.integer(p.a.strides[0]).integer(p.a.strides[1]);
  for (int axis = 0; axis < 3; ++axis) launch.integer(p.b.strides[axis]);
  launch.integer(0).integer(p.out.strides[0]).integer(p.out.strides[1]);
  launch.run((m / v.blocks.rows + groups) * divided(n, v.blocks.columns));
}

void run_depth_groups(const Call& call, const DepthGroups& p) {
  const std::int64_t groups = p.out.shape[0], m = p.a.shape[0], depth = p.a.shape[1],
                     n = p.b.shape[1];
  if (p.out.elements() == 0) return;
  const Variant v{p.a.dtype, p.out.dtype, p.ends.dtype,
                  Blocks::choose(call, m, n, divided(depth, groups)), true};
  Launch launch(call, call.device().kernel(v.key(call), [&] { return text_of(call, v); }));
  launch.pointer(p.a.address).pointer(p.b.address).pointer(p.ends.address).pointer(p.out.address);
  launch.integer(m).integer(n).integer(depth).integer(groups).integer(p.ends.strides[0]);
  launch.integer(p.a.strides[0]).integer(p.a.strides[1]);
  launch.integer(0).integer(p.b.strides[0]).integer(p.b.strides[1]);
  for (int axis = 0; axis < 3; ++axis) launch.integer(p.out.strides[axis]);
  launch.run(groups * divided(m, v.blocks.rows) * divided(n, v.blocks.columns));
}

namespace {

void run_grouped_mm(Call& call) {
  constexpr std::size_t offs = 2, out = 3;
  const Tensor &a = call.tensor(0), &b = call.tensor(1), &to = call.tensor(out);
  call.expect_rank(0, 2, 3);
  call.expect_rank(1, 2, 3);
  call.expect_dtype(0, product_dtypes);
  call.expect_same_dtype(1, 0);
  call.expect_dtype(out, a.dtype == DType::i8 ? DTypes(DType::i32) : floats);
  for (const std::size_t i : {std::size_t{0}, std::size_t{1}, offs})
    if (call.has(i)) expect_apart(call, i, out);
  const std::int64_t m = a.shape[a.rank - 2], k = a.shape[a.rank - 1], n = b.shape[b.rank - 1];
  if (b.shape[b.rank - 2] != k)
    call.refuse(1, "is of shape {}, and input of shape {}: {} and {} elements are multiplied",
                b.shape_text(), a.shape_text(), k, b.shape[b.rank - 2]);
  const bool each = a.rank == 3 && b.rank == 3;
  if (each == call.has(offs))
    call.refuse(offs, "{}",
                each ? "is given, and both factors have a matrix for each group"
                     : "is NULL; it says where the groups of a factor of rank 2 end");
  std::int64_t groups = a.rank == 3 ? a.shape[0] : b.rank == 3 ? b.shape[0] : 0;
  if (each && b.shape[0] != groups)
    call.refuse(1, "has {} matrices, and input has {}", b.shape[0], groups);
  if (call.has(offs)) {
    call.expect_rank(offs, 1, 1);
    if (a.rank == 2 && b.rank == 2) groups = call.tensor(offs).shape[0];
    if (call.tensor(offs).shape[0] != groups)
      call.refuse(offs, "has {} elements, and there are {} groups", call.tensor(offs).shape[0],
                  groups);
  }
  if (a.rank == b.rank) {
    call.expect_shape(out, std::array{groups, m, n});
    if (each) return run_product(call, {a, b, to, {}});
    return run_depth_groups(call, {a, b, to, call.tensor(offs)});
  }
  call.expect_shape(out, std::array{m, n});
  if (a.rank == 2) return run_grouped(call, {a, b, to, call.tensor(offs)});
  // Groups of columns of b are groups of rows of what is transposed.
  run_grouped(call,
              {b.transposed(0, 1), a.transposed(1, 2), to.transposed(0, 1), call.tensor(offs)});
}

}  // namespace

void add_grouped(Table& table) {
  table.add("grouped_mm(Tensor input, Tensor mat2, Tensor?:int offs, Tensor! out)", product_dtypes,
            summed(4, 1), run_grouped_mm);
}

}  // namespace flagos::ops
