#include "ops/engine/lines.hpp"

#include <algorithm>

#include "ops/engine/layout.hpp"
#include "ops/operator.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr tile::DType i64 = tile::DType::i64;
// Kernels of this engine are told apart from others of the same operator by their first bits.
enum KernelKind : std::uint8_t { of_lines = 1, of_copies = 2 };

std::int64_t divided(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }
int power_above(std::int64_t count, int low, int high) {
  int power = low;
  while (power < high && power < count) power *= 2;
  return power;
}

// The axes of `bits`, those of one element too.
struct Chosen {
  Layout::Axes shape;
  InlineVector<Tensor, LineOperands::capacity()> operands;
};
Chosen choose_axes(std::span<const std::int64_t> shape, std::uint32_t bits,
                   const LineOperands& operands) {
  Chosen chosen;
  InlineVector<int, max_rank> axes;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (((bits >> i) & 1U) == 0) continue;
    chosen.shape.push_back(shape[i]);
    axes.push_back(static_cast<int>(i));
  }
  for (const LineOperand& operand : operands) {
    Tensor part = operand.tensor.permuted(axes);
    part.rank = static_cast<int>(axes.size());
    chosen.operands.push_back(part);
  }
  return chosen;
}

}  // namespace

Key LinePlan::key(Key key) const {
  key.add(of_lines, 2).add(columns, 1).add(whole, 1).add(split, 1).add(rounds, 1);
  key.add(width, 13).add(height, 9);
  for (const Operand& operand : operands)
    key.add(static_cast<std::uint64_t>(operand.dtype), 4)
        .add(static_cast<std::uint64_t>(operand.part), 2)
        .add(operand.neighbours, 1);
  return key;
}

Lines::Lines(Call& call, std::span<const std::int64_t> shape, std::uint32_t along,
             const LineOperands& operands, Order order)
    : call_(call), operands_(operands) {
  lay(shape, along, order);
  choose();
}

void Lines::lay(std::span<const std::int64_t> shape, std::uint32_t along, Order order) {
  const std::uint32_t all = (1U << shape.size()) - 1;
  along &= all;
  const auto simplified = [&](std::uint32_t bits, bool in_order) {
    const Chosen chosen = choose_axes(shape, bits, operands_);
    return in_order ? simplify_in_order(chosen.shape, chosen.operands)
                    : simplify(chosen.shape, chosen.operands);
  };
  Layout lines = simplified(all & ~along, false), inner = simplified(along, order == row_major);
  plan_.rounds = order == in_rounds && inner.rank() == 2 && lines.rank() <= 3;
  if (lines.rank() > 3 || (inner.rank() > 1 && !plan_.rounds)) {
    make_compact(shape, along);
    lines = simplified(all & ~along, false);
    inner = simplified(along, true);
  }
  if (lines.rank() > 3 || inner.rank() > (plan_.rounds ? 2 : 1))
    throw_error(FLAGOS_STATUS_INTERNAL, "lines of rank {} and {}", lines.rank(), inner.rank());
  extents_ = {1, 1, 1};
  for (int i = 0; i < lines.rank(); ++i) extents_[3 - lines.rank() + i] = lines.shape[i];
  length_ = inner.shape.back();
  rounds_ = plan_.rounds ? inner.shape[0] : 1;
  if (rounds_ == 0) {  // one of nothing, so that there is a first
    rounds_ = 1;
    length_ = 0;
  }
  for (std::size_t k = 0; k < operands_.size(); ++k) {
    const bool on_line = operands_[k].part != Part::line;
    std::array<std::int64_t, 4> strides{};
    if (operands_[k].part != Part::along)
      for (int i = 0; i < lines.rank(); ++i) strides[3 - lines.rank() + i] = lines.strides[k][i];
    strides[3] = on_line ? inner.strides[k].back() : 0;
    strides_.push_back(strides);
    round_strides_.push_back(on_line && plan_.rounds ? inner.strides[k][0] : 0);
  }
}

// Brings operands into workspace: kept axes first, then the line, without gaps.
void Lines::make_compact(std::span<const std::int64_t> shape, std::uint32_t along) {
  InlineVector<int, max_rank> order;
  for (int pass = 0; pass < 2; ++pass)
    for (std::size_t i = 0; i < shape.size(); ++i)
      if (((along >> i) & 1U) == static_cast<std::uint32_t>(pass))
        order.push_back(static_cast<int>(i));
  for (LineOperand& operand : operands_) {
    // Axes along which it repeats stay as they are.
    Tensor compact = operand.tensor;
    std::int64_t step = 1;
    for (std::size_t i = order.size(); i-- > 0;) {
      const int axis = order[i];
      const bool on_line = ((along >> axis) & 1U) != 0;
      const bool repeats = operand.part == Part::line    ? on_line
                           : operand.part == Part::along ? !on_line
                                                         : false;
      compact.strides[axis] = repeats ? 0 : step;
      if (!repeats) step *= compact.shape[axis];
    }
    workspaces_.emplace_back(call_.device(), call_.stream(),
                             static_cast<std::uint64_t>(step) * size_of(compact.dtype));
    compact.address = workspaces_.back().address();
    Tensor from = operand.tensor, to = compact;
    for (std::size_t i = 0; i < order.size(); ++i)
      if (to.strides[i] == 0) from.shape[i] = to.shape[i] = 1;
    if (operand.written) to_copy_back_.emplace_back(to, from);
    if (!operand.written || operand.read) copy_elements(call_, from, to);
    operand.tensor = compact;
  }
}

void Lines::choose() {
  const bool serial = plan_.serial = call_.device().is_serial();
  const int budget = serial ? 4096 : 1024;
  std::size_t judge = 0;  // the operand that most bytes come from
  while (judge + 1 < operands_.size() && operands_[judge].part != Part::full) ++judge;
  const std::int64_t across = std::abs(strides_[judge][2]), on = std::abs(strides_[judge][3]);
  plan_.columns =
      length_ > 1 && extents_[2] > 1 && on != 1 && (across == 1 || (across != 0 && across < on));
  if (plan_.columns) {
    plan_.height = power_above(extents_[2], 8, 256);
    plan_.width = power_above(length_, 4, std::max(4, budget / plan_.height));
  } else {
    const int most = serial ? 4096 : 2048;
    plan_.width = length_ > most ? 1024 : power_above(length_, 16, most);
    plan_.height = power_above(extents_[2], 1, std::clamp(budget / plan_.width, 1, 64));
  }
  plan_.whole = length_ <= plan_.width;
  describe_operands();
}

void Lines::shape_for_scan() {
  if (plan_.columns) {
    plan_.width = 1;
  } else {
    plan_.width = std::min(plan_.width, 1024);
    plan_.height = std::min(plan_.height, 1024 / plan_.width);
  }
  plan_.whole = length_ <= plan_.width;
}

void Lines::describe_operands() {
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    const LineOperand& operand = operands_[i];
    plan_.operands.push_back({operand.tensor.dtype, operand.part, operand.written,
                              strides_[i][plan_.columns ? 2 : 3] == 1});
  }
}

std::int64_t Lines::splits() const {
  const std::int64_t tiles = extents_[0] * extents_[1] * divided(extents_[2], plan_.height);
  const std::int64_t free = call_.device().programs() / std::max<std::int64_t>(tiles, 1);
  // A part is worth a program of its own from about 16 chunks on.
  const std::int64_t worth = length() / (16 * static_cast<std::int64_t>(plan_.width));
  return std::clamp<std::int64_t>(std::min(worth, cut_length()), 1,
                                  std::max<std::int64_t>(free, 1));
}

std::int64_t Lines::run_split(const Key& key, tile::DType computed, std::int64_t splits,
                              std::span<const std::pair<flagos_address_t, DType>> states,
                              const Write& write) {
  LinePlan plan = plan_;
  plan.split = splits > 1;
  if (plan.split && !plan.rounds) plan.whole = false;
  const std::size_t count = operands_.size();
  flagos_kernel_t* const kernel = call_.device().kernel(plan.key(key), [&] {
    tile::Module module;
    module.kernel(
        "ops_" + call_.op().schema().function_name(),
        {{"WIDTH", plan.width}, {"HEIGHT", plan.height}}, [&](tile::Kernel& k) {
          std::vector<tile::Pointer> pointers;
          for (std::size_t i = 0; i < count; ++i)
            pointers.push_back(
                k.pointer(fmt::format("x{}", i), stored_as(plan.operands[i].dtype),
                          plan.operands[i].written ? "noalias" : "readonly, noalias"));
          for (std::size_t i = 0; i < states.size(); ++i)
            pointers.push_back(
                k.pointer(fmt::format("state{}", i), stored_as(states[i].second), "noalias"));
          std::vector<Tile> given;
          for (std::size_t i = 0; i < numbers_.size(); ++i)
            given.push_back(
                cast(k.scalar(fmt::format("p{}", i),
                              computed == tile::DType::f64 ? tile::DType::f64 : tile::DType::f32),
                     computed >= tile::DType::f16 ? computed : tile::DType::f32));
          std::vector<Tile> whole;
          for (std::size_t i = 0; i < integers_.size(); ++i)
            whole.push_back(k.scalar(fmt::format("i{}", i), i64));
          std::vector<Tile> extents;
          for (int i = 0; i < 3; ++i) extents.push_back(k.scalar(fmt::format("d{}", i), i64));
          const Tile length = k.scalar("length", i64);
          const Tile part = k.scalar("part", i64);  // of a line that one program sees
          const Tile rounds = plan.rounds ? k.scalar("rounds", i64) : part;
          LineKernel lines(k, plan, computed, length);
          lines.pointers_ = pointers;
          lines.numbers = given;
          lines.integers = whole;
          lines.extents_ = extents;
          for (std::size_t i = 0; i < count; ++i) {
            lines.strides_.emplace_back();
            for (int axis = 0; axis < 4; ++axis)
              lines.strides_.back().push_back(k.scalar(fmt::format("s{}_{}", i, axis), i64));
            if (plan.rounds)
              lines.round_strides_.push_back(k.scalar(fmt::format("s{}_round", i), i64));
          }
          lines.rounds_ = rounds;
          const Tile cut = plan.rounds ? rounds : length;
          const Tile down = (extents[2] + (plan.height - 1)) / plan.height;
          Tile blocks = extents[0] * extents[1] * down;
          const Tile tiles = blocks;
          if (plan.split) blocks = blocks * ((cut + (part - 1)) / part);
          for_each_block(k, blocks, [&](const Tile& block) {
            Tile rest = block;
            lines.low = lines.first_round_ = k.constant(i64, 0);
            lines.high = length;
            lines.end_of_rounds_ = rounds;
            if (plan.split) {
              lines.part_ = part;
              lines.split_ = block / tiles;
              rest = block % tiles;
              const Tile low = lines.split_ * part, high = min(low + part, cut);
              (plan.rounds ? lines.first_round_ : lines.low) = low;
              (plan.rounds ? lines.end_of_rounds_ : lines.high) = high;
            }
            const Tile outer = rest / down;
            lines.place_ = {outer / extents[1], outer % extents[1], (rest % down) * plan.height};
            lines.outer_ = outer;
            lines.loaded_.clear();
            write(lines);
          });
        });
    return module.text(false);
  });
  Launch launch(call_, kernel);
  for (const LineOperand& operand : operands_) launch.pointer(operand.tensor.address);
  for (const auto& state : states) launch.pointer(state.first);
  for (const double number : numbers_) {
    if (computed == tile::DType::f64) {
      launch.real64(number);
    } else {
      launch.real32(static_cast<float>(number));
    }
  }
  for (const std::int64_t number : integers_) launch.integer(number);
  for (const std::int64_t extent : extents_) launch.integer(extent);
  launch.integer(length_);
  const std::int64_t part = divided(cut_length(), splits);
  launch.integer(part);
  if (plan.rounds) launch.integer(rounds_);
  for (std::size_t i = 0; i < count; ++i) {
    for (const std::int64_t stride : strides_[i]) launch.integer(stride);
    if (plan.rounds) launch.integer(round_strides_[i]);
  }
  const std::int64_t parts = plan.split ? divided(cut_length(), part) : 1;  // none is empty
  launch.run(extents_[0] * extents_[1] * divided(extents_[2], plan.height) * parts);
  return parts;
}

Lines Lines::of_states(std::size_t outputs,
                       std::span<const std::pair<flagos_address_t, DType>> states,
                       std::int64_t parts) const {
  Lines out(call_);
  out.extents_ = extents_;
  out.length_ = parts;
  out.numbers_ = numbers_;
  out.integers_ = integers_;
  for (std::size_t i = 0; i < outputs; ++i) {
    out.operands_.push_back(operands_[i]);
    out.strides_.push_back(strides_[i]);
  }
  for (const auto& [address, dtype] : states) {
    Tensor state;
    state.address = address;
    state.dtype = dtype;
    out.operands_.push_back({state});
    out.strides_.push_back({extents_[1] * extents_[2], extents_[2], 1, lines()});
  }
  // A tile has one state of several lines.
  out.plan_.columns = true;
  out.plan_.serial = plan_.serial;
  out.plan_.width = 1;
  out.plan_.height = power_above(extents_[2], 8, 256);
  out.describe_operands();
  return out;
}

void Lines::copy_back() {
  for (const auto& [from, to] : to_copy_back_) copy_elements(call_, from, to);
}

tile::View LineKernel::view(std::size_t operand) const {
  const LinePlan::Operand& of = plan.operands[operand];
  std::vector<tile::Extent> shape, strides;
  if (plan.rounds) {
    shape.push_back(of.part == Part::line ? tile::Extent(1) : tile::Extent(rounds_));
    strides.push_back(round_strides_[operand]);
  }
  for (int i = 0; i < 3; ++i) {
    shape.push_back(of.part == Part::along ? tile::Extent(1) : tile::Extent(extents_[i]));
    strides.push_back(strides_[operand][i]);
  }
  shape.push_back(of.part == Part::line ? tile::Extent(1) : tile::Extent(high));
  strides.push_back(strides_[operand][3]);
  const std::size_t last = shape.size() - 1;
  if (plan.columns) {
    std::swap(shape[last - 1], shape[last]);
    std::swap(strides[last - 1], strides[last]);
  }
  if (of.neighbours) strides[last] = 1;
  return k.view(pointers_[operand], shape, strides);
}

std::vector<tile::Operand> LineKernel::corner(std::size_t operand, const Tile& at) const {
  const Part part = plan.operands[operand].part;
  std::vector<tile::Operand> from;
  if (plan.rounds) from.push_back(part == Part::line ? tile::Operand(0) : tile::Operand(round_));
  for (int i = 0; i < 3; ++i)
    from.push_back(part == Part::along ? tile::Operand(0) : tile::Operand(place_[i]));
  from.push_back(part == Part::line ? tile::Operand(0) : tile::Operand(at));
  if (plan.columns) std::swap(from[from.size() - 2], from.back());
  return from;
}

std::vector<int> LineKernel::block_shape(std::size_t operand) const {
  const Part part = plan.operands[operand].part;
  std::vector<int> shape(plan.rounds ? 3 : 2, 1);
  shape.push_back(part == Part::along ? 1 : plan.height);
  shape.push_back(part == Part::line ? 1 : plan.width);
  if (plan.columns) std::swap(shape[shape.size() - 2], shape.back());
  return shape;
}

Tile LineKernel::load(std::size_t operand, const Tile& at, const tile::Operand& pad) {
  return load(operand, at, pad, dtype);
}

Tile LineKernel::load(std::size_t operand, const Tile& at, const tile::Operand& pad,
                      tile::DType as) {
  const tile::DType stored = stored_as(plan.operands[operand].dtype);
  const std::pair<std::size_t, std::string> name(operand, pad.text(stored));
  if (plan.whole)
    if (const auto found = loaded_.find(name); found != loaded_.end())
      return cast(found->second, as);
  const std::vector<int> shape = block_shape(operand);
  const Tile loaded = reshape(k.load(view(operand), corner(operand, at), shape, pad),
                              {shape[shape.size() - 2], shape.back()});
  if (plan.whole) loaded_.emplace(name, loaded);
  return cast(loaded, as);
}

void LineKernel::store(std::size_t operand, const Tile& at, const Tile& value) {
  k.store(view(operand), corner(operand, at),
          reshape(cast(value, stored_as(plan.operands[operand].dtype)), block_shape(operand)));
}

Tile LineKernel::load_line(std::size_t operand, tile::DType as) {
  const std::vector<int> shape = block_shape(operand);
  return cast(reshape(k.load(view(operand), corner(operand, low), shape),
                      {shape[shape.size() - 2], shape.back()}),
              as);
}

void LineKernel::store_line(std::size_t operand, const Tile& value) { store(operand, low, value); }

tile::View LineKernel::states(std::size_t state) const {
  const Tile rows = extents_[0] * extents_[1];
  const Tile cut = plan.rounds ? rounds_ : length;
  return k.view(pointers_[plan.operands.size() + state],
                {rows * ((cut + (part_ - 1)) / part_), extents_[2]}, {extents_[2], 1});
}

void LineKernel::store_state(std::size_t state, const Tile& value) {
  const tile::View kept = states(state);
  k.store(kept, {split_ * extents_[0] * extents_[1] + outer_, place_[2]},
          reshape(cast(value, kept.dtype()), {1, plan.height}));
}

Tile LineKernel::load_state(std::size_t state, const Tile& part, tile::DType as) const {
  const Tile kept = k.load(states(state), {part * extents_[0] * extents_[1] + outer_, place_[2]},
                           {1, plan.height});
  return cast(reshape(kept, line_shape()), as);
}

Tile LineKernel::inside(const Tile& at) const {
  return expand(k.range(plan.width, i64) + at < high, plan.columns ? 1 : 0);
}

void copy_elements(Call& call, const Tensor& from, const Tensor& to) {
  if (to.elements() == 0) return;
  const std::array<Tensor, 2> both{to, from};
  const Layout layout = simplify(to.dims(), both);
  const int rank = layout.rank() <= 4 ? 4 : 16;
  constexpr int block = 1024;
  Key key = call.key();
  key.add(of_copies, 2).add(static_cast<std::uint64_t>(to.dtype), 4).add(rank, 5);
  flagos_kernel_t* const kernel = call.device().kernel(key, [&] {
    tile::Module module;
    module.kernel("ops_" + call.op().schema().function_name() + "_copy", {{"RANK", rank}},
                  [&](tile::Kernel& k) {
                    const tile::DType stored = stored_as(to.dtype);
                    const tile::Pointer out = k.pointer("out", stored, "noalias");
                    const tile::Pointer in = k.pointer("in", stored, "readonly, noalias");
                    const Tile n = k.scalar("n", i64);
                    std::vector<Tile> extents, offsets, strides[2];
                    for (int i = 0; i < 2; ++i)
                      offsets.push_back(k.scalar(fmt::format("offset{}", i), i64));
                    for (int i = 0; i < rank; ++i)
                      extents.push_back(k.scalar(fmt::format("d{}", i), i64));
                    for (int which = 0; which < 2; ++which)
                      for (int i = 0; i < rank; ++i)
                        strides[which].push_back(k.scalar(fmt::format("s{}_{}", which, i), i64));
                    for_each_block(k, (n + (block - 1)) / block, [&](const Tile& number) {
                      const Tile index = k.range(block, i64) + number * block;
                      Tile rest = index, target = k.full(i64, {block}, 0) + offsets[0],
                           source = k.full(i64, {block}, 0) + offsets[1];
                      for (int i = rank; i-- > 0;) {
                        const Tile place = i == 0 ? rest : rest % extents[i];
                        if (i != 0) rest = rest / extents[i];
                        target = target + place * strides[0][i];
                        source = source + place * strides[1][i];
                      }
                      const Tile mask = index < n;
                      const long long far = std::int64_t{1} << 56;
                      k.scatter(k.view(out, {far}, {1}), {target},
                                k.gather(k.view(in, {far}, {1}), {source}, mask), mask);
                    });
                  });
    return module.text(false);
  });
  // Pointers at the lowest element: indices are never negative.
  Launch launch(call, kernel);
  const auto low = [](const Tensor& tensor) { return tensor.range().low; };
  const auto offset = [&](const Tensor& tensor) {
    return static_cast<std::int64_t>((tensor.address - low(tensor)) / size_of(tensor.dtype));
  };
  launch.pointer(low(to)).pointer(low(from)).integer(layout.elements());
  launch.integer(offset(to)).integer(offset(from));
  for (int i = 0; i < rank; ++i)
    launch.integer(i < rank - layout.rank() ? 1 : layout.shape[i - rank + layout.rank()]);
  for (int which = 0; which < 2; ++which)
    for (int i = 0; i < rank; ++i)
      launch.integer(i < rank - layout.rank() ? 0
                                              : layout.strides[which][i - rank + layout.rank()]);
  launch.run(divided(layout.elements(), block));
}

}  // namespace flagos::ops
