#include "ops/engine/pointwise.hpp"

#include <algorithm>

#include "ops/engine/complex.hpp"
#include "ops/engine/launch.hpp"
#include "ops/native.hpp"

namespace flagos::ops {

using tile::Kernel;
using tile::Tile;

namespace {

// How an operand lies along the innermost axis.
enum Inner : std::uint8_t { neighbours, repeated, spaced };

constexpr int serial_block = 2048, simt_block = 1024;
constexpr int row_ranks[] = {2, 4, 6};
constexpr int row_widths[] = {16, 64, 256, 1024};

Inner inner_of(std::int64_t stride) {
  return stride == 1 ? neighbours : stride == 0 ? repeated : spaced;
}

}  // namespace

// Everything that the text of a kernel depends on.
struct PointwiseOperator::Variant {
  struct Operand {
    DType dtype;
    Inner inner;
  };
  DType type = DType::f32;                               // that is computed in
  InlineVector<Operand, Layout::max_operands> operands;  // the output first
  InlineVector<std::uint32_t, 8> choices;
  int rank = 1;   // 1: everything is one row of `width` elements a block; else rows of several axes
  int width = 0;  // of a block along the innermost axis
  bool serial = false;

  int height() const { return rank == 1 ? 1 : std::max(1, (serial ? 4096 : 1024) / width); }
  Key key(Key key) const {
    key.add(static_cast<std::uint64_t>(type), 4).add(rank, 3).add(width / 16, 8);
    for (const Operand& operand : operands)
      key.add(static_cast<std::uint64_t>(operand.dtype), 4).add(operand.inner, 2);
    for (const std::uint32_t choice : choices) key.add(choice, 3);
    return key;
  }
};

Tile Elements::full(double value) const {
  const auto& shape = inputs.at(0).shape();
  return is_float() ? k.full(dtype, shape, value)
                    : k.full(dtype, shape, static_cast<long long>(value));
}

PointwiseOperator::PointwiseOperator(const char* schema_text, Rule rule, DTypes dtypes, Bound bound,
                                     Expression expression)
    : Operator(schema_text, dtypes, bound), rule_(rule), expression_(expression) {
  const std::vector<Parameter>& parameters = schema().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    using Kind = Parameter::Kind;
    if (parameter.kind == Kind::tensor && parameter.output) {
      output_ = i;
    } else if (parameter.kind == Kind::tensor) {
      inputs_.push_back(i);
      masks_.push_back(parameter.elements == Parameter::Elements::boolean);
    } else if (parameter.kind == Kind::boolean || parameter.kind == Kind::word) {
      choices_.push_back(i);
    } else {
      numbers_.push_back(i);
      if (parameter.optional) choices_.push_back(i);
    }
  }
}

// As torch.result_type: tensors with axes count first, then those without, then numbers.
DType PointwiseOperator::common_dtype(const Call& call) const {
  DType ranked[3] = {};
  bool seen[3] = {};
  const auto meet = [&](int which, DType dtype) {
    ranked[which] = seen[which] ? promote(ranked[which], dtype) : dtype;
    seen[which] = true;
  };
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (!masks_[i]) meet(call.tensor(inputs_[i]).rank != 0 ? 0 : 1, call.tensor(inputs_[i]).dtype);
  for (const std::size_t number : numbers_) {
    if (schema().parameters[number].kind != Parameter::Kind::scalar || !call.has(number)) continue;
    const DType dtype = call.any_scalar(number).dtype;
    meet(2, dtype == DType::f64 ? DType::f32 : dtype);
  }
  DType out = DType::boolean;
  bool any = false;
  for (int i = 0; i < 3; ++i) {
    if (!seen[i]) continue;
    // What counts less changes the type only when its category is higher.
    if (!any || category_of(ranked[i]) > category_of(out)) out = ranked[i];
    any = true;
  }
  if (rule_ == Rule::to_float && category_of(out) < Category::floating) out = DType::f32;
  return out;
}

void PointwiseOperator::check_broadcast(const Call& call) const {
  Tensor shape;
  for (const std::size_t i : inputs_) {
    try {
      shape = broadcast_shape(shape, call.tensor(i));
    } catch (const Error& error) {
      call.refuse(i, "does not fit: {}", error.what());
    }
  }
  call.expect_shape(output_, shape);
}

void PointwiseOperator::run(Call& call) const {
  const Tensor& out = call.tensor(output_);
  const bool alike = std::all_of(inputs_.begin(), inputs_.end(), [&](std::size_t i) {
    return same_shape(call.tensor(i).dims(), out.dims());
  });
  if (!alike) check_broadcast(call);
  call.expect_no_overlap(output_);

  Variant variant;
  variant.serial = call.device().is_serial();
  variant.type = common_dtype(call);
  if (variant.type == DType::c64)
    if (const ComplexOperator* const complex = find_complex(name()))
      return run_complex(call, *complex, {output_, inputs_, numbers_, masks_});
  if (!dtypes().has(variant.type))
    call.refuse(inputs_[0], "leads to a computation in {}; {} is possible in {}",
                dtype_name(variant.type), name(), dtypes().text());
  const DType result = gives_bool() ? DType::boolean : variant.type;
  if (!can_cast(result, out.dtype))
    call.refuse(output_, "is of {}, which cannot take results of {}", dtype_name(out.dtype),
                dtype_name(result));
  for (const std::size_t i : choices_) {
    const Parameter& parameter = schema().parameters[i];
    variant.choices.push_back(
        parameter.kind == Parameter::Kind::word      ? static_cast<std::uint32_t>(call.word(i))
        : parameter.kind == Parameter::Kind::boolean ? static_cast<std::uint32_t>(call.flag(i))
                                                     : static_cast<std::uint32_t>(call.has(i)));
  }
  if (out.elements() == 0 || run_native(call)) return;

  InlineVector<Tensor, Layout::max_operands> operands;
  operands.push_back(out);
  for (const std::size_t i : inputs_) operands.push_back(call.tensor(i));
  const Layout layout =
      simplify(out.dims(), std::span<const Tensor>(operands.data(), operands.size()));
  for (std::size_t i = 0; i < operands.size(); ++i)
    variant.operands.push_back({operands[i].dtype, inner_of(layout.strides[i].back())});
  const std::int64_t width = layout.shape.back();
  const bool flat = layout.rank() == 1 &&
                    std::none_of(variant.operands.begin(), variant.operands.end(),
                                 [](const auto& operand) { return operand.inner == spaced; });
  if (flat) {
    variant.width = variant.serial ? serial_block : simt_block;
  } else {
    variant.rank = *std::find_if(std::begin(row_ranks), std::end(row_ranks) - 1,
                                 [&](int rank) { return rank >= layout.rank(); });
    variant.width = *std::find_if(std::begin(row_widths), std::end(row_widths) - 1,
                                  [&](int candidate) { return candidate >= width; });
  }

  flagos_kernel_t* const kernel =
      call.device().kernel(variant.key(call.key()), [&] { return text_of(variant); });
  Launch launch(call, kernel);
  for (const Tensor& operand : operands) launch.pointer(operand.address);
  for (const std::size_t i : numbers_) {
    const Parameter& parameter = schema().parameters[i];
    const bool is_scalar = parameter.kind == Parameter::Kind::scalar;
    const double real = !call.has(i) ? 0
                        : is_scalar  ? call.scalar(i).as_real()
                        : parameter.kind == Parameter::Kind::real
                            ? call.real(i)
                            : static_cast<double>(call.integer(i));
    const std::int64_t integer = !call.has(i) ? 0
                                 : is_scalar  ? call.scalar(i).integer
                                              : call.integer(i);
    launch.number(computed_as(variant.type), real, integer);
  }
  if (flat) {
    launch.integer(layout.shape[0]);
    return launch.run((layout.shape[0] + variant.width - 1) / variant.width);
  }
  // More axes than a kernel knows: those furthest out are walked here.
  const int inside = std::min(layout.rank(), variant.rank);
  const int outside = layout.rank() - inside;
  std::int64_t blocks = (width + variant.width - 1) / variant.width;
  for (int axis = outside; axis < layout.rank() - 1; ++axis)
    blocks *= axis == layout.rank() - 2
                  ? (layout.shape[axis] + variant.height() - 1) / variant.height()
                  : layout.shape[axis];
  for (int axis = 0; axis < variant.rank; ++axis)
    launch.integer(
        axis < variant.rank - inside ? 1 : layout.shape[axis - variant.rank + layout.rank()]);
  for (std::size_t i = 0; i < operands.size(); ++i)
    for (int axis = 0; axis < variant.rank; ++axis)
      launch.integer(axis < variant.rank - inside
                         ? 0
                         : layout.strides[i][axis - variant.rank + layout.rank()]);
  std::int64_t walks = 1;
  for (int axis = 0; axis < outside; ++axis) walks *= layout.shape[axis];
  for (std::int64_t walk = 0; walk < walks; ++walk) {
    for (std::size_t i = 0; i < operands.size(); ++i) {
      std::int64_t rest = walk, offset = 0;
      for (int axis = outside; axis-- > 0;) {
        offset += rest % layout.shape[axis] * layout.strides[i][axis];
        rest /= layout.shape[axis];
      }
      launch.set_pointer(
          i, operands[i].address + static_cast<std::uint64_t>(offset * size_of(operands[i].dtype)));
    }
    launch.run(blocks);
  }
}

namespace {

Tile to_computed(const Tile& stored, DType dtype, DType type, bool truth) {
  if (dtype == DType::boolean || truth) {
    const Tile is_true = stored != 0;
    return truth || type == DType::boolean ? is_true : cast(is_true, computed_as(type));
  }
  return cast(stored, computed_as(type));
}

Tile to_stored(const Tile& value, DType dtype) {
  if (dtype == DType::boolean && value.dtype() != tile::DType::i1)
    return cast(cast(value, tile::DType::i1), tile::DType::u8);
  return cast(value, stored_as(dtype));
}

}  // namespace

std::string PointwiseOperator::text_of(const Variant& variant) const {
  tile::Module module;
  tile::Constants constants{{"WIDTH", variant.width}, {"RANK", variant.rank}};
  module.kernel("ops_" + schema().function_name(), constants, [&](Kernel& k) {
    // An output may be an input as well, element for element: each is read before it is written.
    std::vector<tile::Pointer> pointers;
    for (std::size_t i = 0; i < variant.operands.size(); ++i)
      pointers.push_back(k.pointer(i == 0 ? "out" : fmt::format("x{}", i - 1),
                                   stored_as(variant.operands[i].dtype),
                                   i == 0 ? "noalias" : "readonly, noalias"));
    // Numbers come as the widest of their kind; bool as an integer.
    const tile::DType computed = rule_ == Rule::logical ? tile::DType::i1
                                 : rule_ == Rule::compare && variant.type == DType::boolean
                                     ? tile::DType::u8
                                     : computed_as(variant.type);
    std::vector<Tile> given;
    for (std::size_t i = 0; i < numbers_.size(); ++i)
      given.push_back(
          cast(k.scalar(fmt::format("p{}", i), number_dtype(computed_as(variant.type))), computed));
    const auto evaluate = [&](std::vector<Tile> inputs) {
      std::vector<int> shape = variant.rank == 1
                                   ? std::vector<int>{variant.width}
                                   : std::vector<int>{variant.height(), variant.width};
      Elements elements{k,  computed, variant.type,
                        {}, given,    {variant.choices.begin(), variant.choices.end()}};
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const bool truth = masks_[i] || rule_ == Rule::logical;
        Tile input = to_computed(inputs[i], variant.operands[i + 1].dtype, variant.type, truth);
        if (!truth && input.dtype() != computed) input = cast(input, computed);
        elements.inputs.push_back(broadcast(input, shape));
      }
      return to_stored(expression_(elements), variant.operands[0].dtype);
    };
    if (variant.rank == 1) {
      const Tile n = k.scalar("n", tile::DType::i64);
      for_each_block(k, (n + (variant.width - 1)) / variant.width, [&](const Tile& block) {
        const Tile at = block * variant.width;
        std::vector<Tile> inputs;
        for (std::size_t i = 1; i < pointers.size(); ++i)
          inputs.push_back(variant.operands[i].inner == repeated
                               ? k.load(k.view(pointers[i], {1}, {1}), {0}, {1})
                               : k.load(k.view(pointers[i], {n}, {1}), {at}, {variant.width}));
        k.store(k.view(pointers[0], {n}, {1}), {at}, evaluate(std::move(inputs)));
      });
      return;
    }
    const int rank = variant.rank, height = variant.height(), width = variant.width;
    std::vector<Tile> extents;
    for (int axis = 0; axis < rank; ++axis)
      extents.push_back(k.scalar(fmt::format("d{}", axis), tile::DType::i64));
    std::vector<std::vector<Tile>> strides(pointers.size());
    for (std::size_t i = 0; i < pointers.size(); ++i)
      for (int axis = 0; axis < rank; ++axis)
        strides[i].push_back(k.scalar(fmt::format("s{}_{}", i, axis), tile::DType::i64));
    const Tile across = (extents[rank - 1] + (width - 1)) / width;
    const Tile down = (extents[rank - 2] + (height - 1)) / height;
    Tile blocks = across * down;
    for (int axis = 0; axis < rank - 2; ++axis) blocks = blocks * extents[axis];
    for_each_block(k, blocks, [&](const Tile& block) {
      std::vector<tile::Operand> corner(rank, tile::Operand(0));
      corner[rank - 1] = (block % across) * width;
      Tile rest = block / across;
      corner[rank - 2] = (rest % down) * height;
      rest = rest / down;
      for (int axis = rank - 3; axis >= 0; --axis) {
        corner[axis] = axis == 0 ? rest : rest % extents[axis];
        if (axis != 0) rest = rest / extents[axis];
      }
      std::vector<int> all(rank, 1);
      all[rank - 2] = height;
      all[rank - 1] = width;
      std::vector<Tile> inputs;
      for (std::size_t i = 1; i < pointers.size(); ++i) {
        std::vector<tile::Operand> from = corner;
        std::vector<int> shape = all;
        std::vector<tile::Extent> view_shape(extents.begin(), extents.end());
        std::vector<tile::Extent> view_strides(strides[i].begin(), strides[i].end());
        if (variant.operands[i].inner == repeated) {
          from[rank - 1] = 0;
          shape[rank - 1] = 1;
          view_strides[rank - 1] = 1;
        } else if (variant.operands[i].inner == neighbours) {
          view_strides[rank - 1] = 1;
        }
        inputs.push_back(reshape(k.load(k.view(pointers[i], view_shape, view_strides), from, shape),
                                 {height, shape[rank - 1]}));
      }
      std::vector<tile::Extent> view_shape(extents.begin(), extents.end());
      std::vector<tile::Extent> view_strides(strides[0].begin(), strides[0].end());
      if (variant.operands[0].inner == neighbours) view_strides[rank - 1] = 1;
      k.store(k.view(pointers[0], view_shape, view_strides), corner,
              reshape(evaluate(std::move(inputs)), all));
    });
  });
  return module.text(false);
}

void PointwiseOperator::enumerate(const KernelSink& sink) const {
  for (int i = 0; i < dtype_count; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!dtypes().has(dtype) || dtype == DType::c64) continue;
    Variant variant;
    variant.serial = true;
    variant.type = dtype;
    variant.width = serial_block;
    for (std::size_t k = 0; k < choices_.size(); ++k) variant.choices.push_back(0);
    variant.operands.push_back({gives_bool() ? DType::boolean : dtype, neighbours});
    for (const bool mask : masks_)
      variant.operands.push_back({mask ? DType::boolean : dtype, neighbours});
    sink(text_of(variant));
  }
}

}  // namespace flagos::ops
