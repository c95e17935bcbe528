#include "ops/engine/product.hpp"

#include <algorithm>
#include <limits>

#include "ops/engine/batch.hpp"
#include "ops/operator.hpp"

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

constexpr std::uint32_t engine_key = 4001;  // kernels are shared by all operators of the engine

enum Unit : std::uint8_t { spaced, along_last, along_first };  // which axis has stride 1

Unit unit_of(std::int64_t first, std::int64_t last) {
  return last == 1 ? along_last : first == 1 ? along_first : spaced;
}

struct Config {
  int rows, columns, depth;
};
// For processors: a block of the result and of the first factor stay in the second cache. Sizes are multiples of what
// AVX-512 holds in registers, 14 rows and 32 columns.
constexpr Config serial_configs[] = {{294, 512, 128}, {294, 256, 128}, {140, 256, 128},
                                     {140, 128, 128}, {70, 64, 128},   {42, 256, 128},
                                     {126, 32, 128}};
// For groups of threads: larger blocks take drivers that compile for a processor minutes.
constexpr Config simt_configs[] = {{32, 32, 16}, {16, 32, 32}};

std::int64_t blocks_of(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }
std::int64_t up_to(std::int64_t count, std::int64_t size) { return blocks_of(count, size) * size; }

// What a product takes a processor, in cycles of one core with vectors of 512 bits; only their ratios count.
class Cost {
 public:
  Cost(const Config& config, std::int64_t m, std::int64_t n, std::int64_t depth)
      : config_(config), m_(m), n_(n), depth_(depth) {}

  // As long as the cores have blocks, and then half a block, since one of them ends last.
  double on(std::uint32_t units, std::int64_t batch) const {
    const std::int64_t down = m_ / config_.rows, across = n_ / config_.columns;
    const std::int64_t rows = m_ % config_.rows, columns = n_ % config_.columns;
    double all = static_cast<double>(down * across) * block(config_.rows, config_.columns);
    if (rows != 0) all += static_cast<double>(across) * block(rows, config_.columns);
    if (columns != 0) all += static_cast<double>(down) * block(config_.rows, columns);
    if (rows != 0 && columns != 0) all += block(rows, columns);
    all *= static_cast<double>(batch);
    if (units <= 1) return all;
    const double largest = block(std::min<std::int64_t>(m_, config_.rows),
                                 std::min<std::int64_t>(n_, config_.columns));
    return std::max(all / units + largest / 2, largest);
  }

 private:
  // Two vectors a cycle are multiplied, each number packed takes a quarter of one, and sums are read and written for each
  // step.
  double block(std::int64_t rows, std::int64_t columns) const {
    const auto sums = static_cast<double>(up_to(rows, 14) * up_to(columns, 32));
    const auto depth = static_cast<double>(depth_), packed = static_cast<double>(rows + columns);
    const auto steps = static_cast<double>(blocks_of(depth_, config_.depth));
    return sums * depth / 32 + packed * depth / 4 + sums * steps / 16 +
           config_.rows * config_.columns / 16.0 + 200;
  }
  const Config config_;
  const std::int64_t m_, n_, depth_;
};

struct Choice {
  std::size_t config = 0;
  bool alone = false;  // by one program: sharing it would take longer
};

Choice choose(bool serial, std::uint32_t units, std::int64_t batch, std::int64_t m, std::int64_t n,
              std::int64_t depth, std::int64_t bytes) {
  if (!serial) return {m >= 48 && n >= 48 ? 0U : 1U};
  constexpr double sharing = 10'000;  // until another thread has its part, and its end is known
  Choice best;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < std::size(serial_configs); ++i) {
    const Config& config = serial_configs[i];
    if (config.rows * (config.columns + config.depth) * bytes > std::int64_t{1} << 20) continue;
    const Cost cost(config, m, n, depth);
    for (const bool alone : {true, false}) {
      const double cycles = alone ? cost.on(1, batch) : cost.on(units, batch) + sharing;
      if (cycles >= least) continue;
      best = {i, alone};
      least = cycles;
    }
  }
  return best;
}

// Everything that the text of a kernel depends on.
struct Variant {
  DType in = DType::f32, out = DType::f32;
  bool serial = false, batched = false, deep = false, addend = false;
  DType c = DType::f32;
  Unit a_unit = spaced, b_unit = spaced;
  bool out_unit = false;
  std::size_t config = 0;
  bool thin = false, one = false;  // a matrix and a vector; two vectors

  Key key() const {
    Key key(engine_key);
    key.add(static_cast<std::uint64_t>(in), 4).add(static_cast<std::uint64_t>(out), 4);
    key.add(static_cast<std::uint64_t>(addend ? c : DType::boolean), 4).add(addend, 1);
    key.add(serial, 1).add(batched, 1).add(deep, 1).add(a_unit, 2).add(b_unit, 2).add(out_unit, 1);
    return key.add(config, 4).add(thin, 1).add(one, 1);
  }
};

tile::DType summed_in(DType dtype) {
  return dtype == DType::i8 ? tile::DType::i32 : computed_as(dtype);
}

Batch batch_of(Kernel& k, const Variant& v) {
  return v.addend ? Batch(k, v.batched, {"out", "a", "b", "c"})
                  : Batch(k, v.batched, {"out", "a", "b"});
}

// alpha sum + beta c; c may hold anything where beta is 0.
Tile with_addend(Kernel& k, const Tile& sum, const Tile& c, const Tile& alpha, const Tile& beta) {
  const Tile kept = beta * cast(c, sum.dtype());
  return alpha * sum + where(beta == 0, k.full(sum.dtype(), c.shape(), 0), kept);
}

std::string text_of_blocks(const Variant& v) {
  const auto i64 = tile::DType::i64;
  const Config config = v.serial ? serial_configs[v.config] : simt_configs[v.config];
  // Instructions for bfloat16 take two steps of the depth at once.
  const int bm = config.rows, bn = config.columns;
  const int bk = v.serial && v.in == DType::bf16 ? 2 * config.depth : config.depth;
  const tile::DType in = stored_as(v.in), sum_type = summed_in(v.in);
  tile::Module module;
  module.kernel("ops_product", {{"ROWS", bm}, {"COLUMNS", bn}, {"DEPTH", bk}}, [&](Kernel& k) {
    const auto pa = k.pointer("a", in, "readonly, noalias");
    const auto pb = k.pointer("b", in, "readonly, noalias");
    // In place, each element of c is read before it is written, by the same program.
    const auto pc = v.addend ? k.pointer("c", stored_as(v.c), "readonly, noalias") : pa;
    const auto po = k.pointer("out", stored_as(v.out), "noalias");
    const auto number = [&](const char* name) {
      return cast(k.scalar(name, number_dtype(sum_type)), sum_type);
    };
    const Tile zero = k.constant(i64, 0);
    const Tile alpha = v.addend ? number("alpha") : zero, beta = v.addend ? number("beta") : zero;
    const auto size = [&](const char* name) { return k.scalar(name, i64); };
    const Tile m = size("m"), n = size("n"), depth = size("depth");
    const Tile am = size("a_m"), ak = size("a_k"), bkk = size("b_k"), bnn = size("b_n");
    const Tile om = size("out_m"), on = size("out_n");
    const Tile cm = v.addend ? size("c_m") : zero, cn = v.addend ? size("c_n") : zero;
    const Tile terms = v.deep ? size("terms") : zero;
    const Tile a_step = v.deep ? size("a_step") : zero, b_step = v.deep ? size("b_step") : zero;
    const Batch batch = batch_of(k, v);
    const auto stride = [](Unit unit, Unit wanted, const Tile& given) {
      return unit == wanted ? tile::Extent(1) : tile::Extent(given);
    };
    std::vector<tile::Extent> a_shape{m, depth}, b_shape{depth, n};
    std::vector<tile::Extent> a_strides{stride(v.a_unit, along_first, am),
                                        stride(v.a_unit, along_last, ak)};
    std::vector<tile::Extent> b_strides{stride(v.b_unit, along_first, bkk),
                                        stride(v.b_unit, along_last, bnn)};
    if (v.deep) {
      for (auto* shape : {&a_shape, &b_shape}) shape->insert(shape->begin(), terms);
      a_strides.insert(a_strides.begin(), a_step);
      b_strides.insert(b_strides.begin(), b_step);
    }
    const tile::View a = batch.view(k, pa, 1, a_shape, a_strides);
    const tile::View b = batch.view(k, pb, 2, b_shape, b_strides);
    const Tile down = (m + (bm - 1)) / bm, across = (n + (bn - 1)) / bn;
    for_each_block(k, batch.count() * down * across, [&](const Tile& block) {
      const Tile column = block % across * bn;
      const Tile row = block / across % down * bm;
      const std::vector<tile::Operand> place = batch.places(block / (across * down));
      const auto add_up = [&](const Tile& start, const std::vector<tile::Operand>& outer) {
        return k.loop(zero, depth, bk, start, [&](const Tile& at, const Tile& sum) {
          const Tile left = load_block(k, a, joined(outer, {row, at}), {bm, bk});
          const Tile right = load_block(k, b, joined(outer, {at, column}), {bk, bn});
          return dot(left, right, sum);
        });
      };
      const Tile empty = k.full(sum_type, {bm, bn}, 0);
      Tile sum = v.deep ? k.loop(zero, terms, 1, empty,
                                 [&](const Tile& term, const Tile& so_far) {
                                   return add_up(so_far, joined(place, {term}));
                                 })
                        : add_up(empty, place);
      if (v.addend) {
        const tile::View c = batch.view(k, pc, 3, {m, n}, {cm, cn});
        sum = with_addend(k, sum, load_block(k, c, joined(place, {row, column}), {bm, bn}), alpha,
                          beta);
      }
      const tile::View out =
          batch.view(k, po, 0, {m, n}, {om, v.out_unit ? tile::Extent(1) : tile::Extent(on)});
      store_block(k, out, joined(place, {row, column}), cast(sum, stored_as(v.out)));
    });
  });
  return module.text(false);
}

// A matrix and a vector: what counts is to read the matrix once, along its memory.
struct Thin {
  int rows, depth;
};
Thin thin_of(const Variant& v) {
  if (v.a_unit == along_first) return v.serial ? Thin{256, 16} : Thin{64, 16};
  if (v.one) return v.serial ? Thin{1, 4096} : Thin{1, 1024};
  return v.serial ? Thin{8, 512} : Thin{4, 256};
}

std::string text_of_thin(const Variant& v) {
  const auto i64 = tile::DType::i64;
  const auto [rows, depth_step] = thin_of(v);
  const tile::DType in = stored_as(v.in), sum_type = summed_in(v.in);
  tile::Module module;
  module.kernel("ops_product_thin", {{"ROWS", rows}, {"DEPTH", depth_step}}, [&](Kernel& k) {
    const auto pa = k.pointer("a", in, "readonly, noalias");
    const auto pb = k.pointer("b", in, "readonly, noalias");
    const auto pc = v.addend ? k.pointer("c", stored_as(v.c), "readonly, noalias") : pa;
    const auto po = k.pointer("out", stored_as(v.out), "noalias");
    const auto number = [&](const char* name) {
      return cast(k.scalar(name, number_dtype(sum_type)), sum_type);
    };
    const Tile zero = k.constant(i64, 0);
    const Tile alpha = v.addend ? number("alpha") : zero, beta = v.addend ? number("beta") : zero;
    const auto size = [&](const char* name) { return k.scalar(name, i64); };
    const Tile m = size("m"), depth = size("depth"), am = size("a_m"), ak = size("a_k");
    const Tile bk = size("b_k"), om = size("out_m"), cm = v.addend ? size("c_m") : zero;
    const Batch batch = batch_of(k, v);
    const bool across = v.a_unit == along_first;  // neighbours in memory are rows
    const tile::View a = batch.view(k, pa, 1, {m, depth},
                                    {across ? tile::Extent(1) : tile::Extent(am),
                                     v.a_unit == along_last ? tile::Extent(1) : tile::Extent(ak)});
    const tile::View b = batch.view(k, pb, 2, {depth},
                                    {v.b_unit == along_last ? tile::Extent(1) : tile::Extent(bk)});
    const Tile down = (m + (rows - 1)) / rows;
    for_each_block(k, batch.count() * down, [&](const Tile& block) {
      const Tile row = block % down * rows;
      const std::vector<tile::Operand> place = batch.places(block / down);
      Tile sum = k.loop(
          zero, depth, depth_step, k.full(sum_type, {rows}, 0),
          [&](const Tile& at, const Tile& so_far) {
            const Tile left =
                cast(load_block(k, a, joined(place, {row, at}), {rows, depth_step}), sum_type);
            const Tile right = cast(load_block(k, b, joined(place, {at}), {depth_step}), sum_type);
            return so_far + tile::sum(left * expand(right, 0), 1);
          });
      if (v.addend) {
        const tile::View c = batch.view(k, pc, 3, {m}, {cm});
        sum = with_addend(k, sum, load_block(k, c, joined(place, {row}), {rows}), alpha, beta);
      }
      const tile::View out = batch.view(k, po, 0, {m}, {om});
      store_block(k, out, joined(place, {row}), cast(sum, stored_as(v.out)));
    });
  });
  return module.text(false);
}

std::int64_t& extent(Tensor& tensor, int from_end) { return tensor.shape[tensor.rank - from_end]; }
std::int64_t stride(const Tensor& tensor, int from_end) {
  return tensor.strides[tensor.rank - from_end];
}
void swap_last(Tensor& tensor) { tensor = tensor.transposed(tensor.rank - 2, tensor.rank - 1); }

// One matrix b for all places of the batch: rows of all of them are rows of one a, where a, c and out allow it.
void fold_batch(Product& p) {
  const int axes = p.out.rank - 2;
  if (axes == 0) return;
  for (int axis = 0; axis < axes; ++axis)
    if (p.b.strides[axis] != 0 && p.out.shape[axis] != 1) return;
  InlineVector<Tensor, 3> rows;
  for (const Tensor* tensor : {&p.out, &p.a}) rows.push_back(tensor->without_axis(axes + 1));
  if (p.c) rows.push_back(p.c->without_axis(axes + 1));
  const Layout layout = simplify_in_order(rows[0].dims(), rows);
  if (layout.rank() != 1) return;
  const auto fold = [&](Tensor& tensor, std::int64_t row_stride, std::int64_t row_count) {
    tensor.shape[0] = row_count;
    tensor.shape[1] = tensor.shape[axes + 1];
    tensor.strides[0] = row_stride;
    tensor.strides[1] = tensor.strides[axes + 1];
    tensor.rank = 2;
  };
  fold(p.out, layout.strides[0][0], layout.shape[0]);
  fold(p.a, layout.strides[1][0], layout.shape[0]);
  if (p.c) fold(*p.c, layout.strides[2][0], layout.shape[0]);
  p.b.shape[0] = p.b.shape[axes];
  p.b.shape[1] = p.b.shape[axes + 1];
  p.b.strides[0] = p.b.strides[axes];
  p.b.strides[1] = p.b.strides[axes + 1];
  p.b.rank = 2;
}

}  // namespace

void run_product(const Call& call, Product p) {
  if (p.out.elements() == 0) return;
  for (Tensor* tensor : {&p.a, &p.b}) {
    Layout::Axes shape;
    for (int axis = 0; axis < p.out.rank - 2; ++axis) shape.push_back(p.out.shape[axis]);
    for (int from_end = 2; from_end > 0; --from_end) shape.push_back(extent(*tensor, from_end));
    *tensor = tensor->expanded_to(shape);
  }
  if (p.c) p.c = p.c->expanded_to(p.out.dims());
  fold_batch(p);
  // Stores along memory; and a matrix and a vector are always in this order.
  const bool flip = extent(p.out, 1) == 1
                        ? false
                        : extent(p.out, 2) == 1 || (stride(p.out, 1) != 1 && stride(p.out, 2) == 1);
  if (flip) {
    std::swap(p.a, p.b);
    std::swap(p.a_step, p.b_step);
    for (Tensor* tensor : {&p.a, &p.b, &p.out}) swap_last(*tensor);
    if (p.c) swap_last(*p.c);
  }
  const std::int64_t m = extent(p.out, 2), n = extent(p.out, 1), depth = extent(p.a, 1);

  Variant v;
  v.serial = call.device().is_serial();
  v.in = p.a.dtype;
  v.out = p.out.dtype;
  const bool scaled = p.alpha.as_real() != 1;
  v.addend = scaled || (p.c && p.beta.as_real() != 0);
  if (v.addend && !p.c) {
    p.c = p.out;  // not read
    p.beta = {DType::i64, 0, 0};
  }
  if (v.addend) v.c = p.c->dtype;
  v.deep = p.terms != 1;
  v.thin = n == 1 && !v.deep;

  const Tensor* const operands[] = {&p.out, &p.a, &p.b, v.addend ? &*p.c : nullptr};
  const BatchWalk batch(std::span(operands, v.addend ? 4 : 3), 2);
  v.batched = batch.batched();

  std::int64_t blocks = 0;
  if (v.thin) {
    v.one = m == 1;
    v.a_unit = v.one ? (stride(p.a, 1) == 1 ? along_last : spaced)
                     : unit_of(stride(p.a, 2), stride(p.a, 1));
    v.b_unit = stride(p.b, 2) == 1 ? along_last : spaced;
    blocks = batch.count() * blocks_of(m, thin_of(v).rows);
  } else {
    const Choice choice = choose(v.serial, call.device().info().compute_units, batch.count(), m, n,
                                 depth * p.terms, summed_in(v.in) == tile::DType::f64 ? 8 : 4);
    v.config = choice.config;
    const Config& config = v.serial ? serial_configs[v.config] : simt_configs[v.config];
    if (!v.serial) {  // a processor packs both factors anyway
      v.a_unit = unit_of(stride(p.a, 2), stride(p.a, 1));
      v.b_unit = unit_of(stride(p.b, 2), stride(p.b, 1));
    }
    v.out_unit = stride(p.out, 1) == 1;
    blocks =
        choice.alone ? 1 : batch.count() * blocks_of(m, config.rows) * blocks_of(n, config.columns);
  }

  Launch launch(call, call.device().kernel(
                          v.key(), [&] { return v.thin ? text_of_thin(v) : text_of_blocks(v); }));
  launch.pointer(p.a.address).pointer(p.b.address);
  if (v.addend) launch.pointer(p.c->address);
  launch.pointer(p.out.address);
  if (v.addend) {
    const tile::DType sum_type = summed_in(v.in);
    const auto whole = [](const Scalar& scalar) {
      return scalar.dtype == DType::f64 ? static_cast<std::int64_t>(scalar.real) : scalar.integer;
    };
    launch.number(sum_type, p.alpha.as_real(), whole(p.alpha));
    launch.number(sum_type, p.beta.as_real(), whole(p.beta));
  }
  if (v.thin) {
    launch.integer(m).integer(depth).integer(stride(p.a, 2)).integer(stride(p.a, 1));
    launch.integer(stride(p.b, 2)).integer(stride(p.out, 2));
    if (v.addend) launch.integer(stride(*p.c, 2));
  } else {
    launch.integer(m).integer(n).integer(depth);
    for (const Tensor* tensor : {&p.a, &p.b, &p.out})
      launch.integer(stride(*tensor, 2)).integer(stride(*tensor, 1));
    if (v.addend) launch.integer(stride(*p.c, 2)).integer(stride(*p.c, 1));
  }
  if (v.deep) launch.integer(p.terms).integer(p.a_step).integer(p.b_step);
  batch.put(launch);
  if (v.addend) return batch.run(launch, blocks, {3, 0, 1, 2});
  batch.run(launch, blocks, {2, 0, 1});
}

void expect_apart(const Call& call, std::size_t input, std::size_t output) {
  const Tensor& in = call.tensor(input);
  const Tensor& out = call.tensor(output);
  if (in.elements() == 0 || out.elements() == 0) return;
  const Tensor::Range read = in.range(), written = out.range();
  if (read.low >= written.high || written.low >= read.high) return;
  if (in.address != out.address && !(in.is_dense() && out.is_dense())) return;
  call.refuse(input, "lies over a part of {}, which is written",
              call.op().schema().parameters[output].name);
}

}  // namespace flagos::ops
