#include "ops/engine/complex.hpp"

#include <algorithm>

#include "ops/engine/copy.hpp"
#include "ops/engine/walk.hpp"
#include "ops/native.hpp"

namespace flagos::ops {

using tile::Tile;

namespace {

constexpr auto f32 = tile::DType::f32;
constexpr int none = -1;

// What an input is in the walk: one operand, or two.
struct Input {
  int re, im;
  bool mask;
  DType dtype;
};

Complex load(const Here& here, const Input& input) {
  const Tile re = here.load(input.re);
  if (input.mask) return {re != 0, re != 0};
  if (input.im != none) return {re, here.load(input.im)};
  return {input.dtype == DType::boolean ? cast(re != 0, f32) : cast(re, f32), here.full(f32, 0.0)};
}

}  // namespace

DType dtype_of(ComplexOperator::Result result) {
  return result == ComplexOperator::complex ? DType::c64
         : result == ComplexOperator::real  ? DType::f32
                                            : DType::boolean;
}

const ComplexOperator* find_complex(std::string_view name) {
  const std::vector<ComplexOperator>& all = complex_operators();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const ComplexOperator& op) { return name == op.name; });
  return found == all.end() ? nullptr : &*found;
}

void run_complex(Call& call, const ComplexOperator& op, const ComplexPlaces& places) {
  const Tensor& out = call.tensor(places.output);
  const DType type = dtype_of(op.result);
  if (!can_cast(type, out.dtype))
    call.refuse(places.output, "is of {}, which cannot take results of {}", dtype_name(out.dtype),
                dtype_name(type));
  if (out.elements() == 0 || run_native(call)) return;
  // Apart from the kernels of real types, which have their type here.
  Key key = call.key();
  key.add(static_cast<std::uint64_t>(DType::c64), 4);
  Walk walk(call, out.dims());
  const bool pair = out.dtype == DType::c64;
  const int to = walk.write(pair ? real_part(out) : out);
  const int to_imaginary = pair ? walk.write(imaginary_part(out)) : none;
  key.add(pair, 1);
  std::vector<Input> inputs;
  for (std::size_t i = 0; i < places.inputs.size(); ++i) {
    const Tensor& tensor = call.tensor(places.inputs[i]);
    const bool complex = tensor.dtype == DType::c64;
    key.add(complex, 1);
    inputs.push_back({walk.read(complex ? real_part(tensor) : tensor),
                      complex ? walk.read(imaginary_part(tensor)) : none, places.masks[i],
                      tensor.dtype});
  }
  InlineVector<bool, 8> real_numbers;
  for (const std::size_t number : places.numbers) {
    const Scalar value = call.any_scalar(number);
    real_numbers.push_back(!value.is_complex());
    key.add(value.is_complex(), 1);
    walk.number(f32, value.as_real(), 0);
    if (value.is_complex()) walk.number(f32, value.imaginary, 0);
  }
  walk.run(key, (call.op().schema().function_name() + "_complex").c_str(), [&](const Here& here) {
    ComplexElements elements;
    for (const Input& input : inputs) elements.inputs.push_back(load(here, input));
    for (std::size_t i = 0, given = 0; i < real_numbers.size(); ++i) {
      const Tile re = here.full(f32, here.numbers[given++]);
      const Tile im = here.full(f32, real_numbers[i] ? tile::Operand(0.0) : here.numbers[given++]);
      elements.numbers.push_back({{re, im}, real_numbers[i]});
    }
    const Complex result = op.expression(elements);
    if (op.result == ComplexOperator::truth && pair) {
      here.store(to, cast(result.re, f32));
    } else {
      here.store(to, to_stored(result.re, pair ? DType::f32 : out.dtype));
    }
    if (pair)
      here.store(to_imaginary,
                 op.result == ComplexOperator::complex ? result.im : here.full(f32, 0.0));
  });
}

}  // namespace flagos::ops
