// The pointwise engine: an operator that computes each element of its outputs from the elements of its inputs at the same
// place is a row of the table and one expression.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "ops/engine/layout.hpp"
#include "ops/operator.hpp"

namespace flagos::ops {

// What the expression of a pointwise operator sees.
class Elements {
 public:
  tile::Kernel& k;
  tile::DType dtype;  // that is computed in
  DType type;         // of the operator: float16 is computed in f32
  std::vector<tile::Tile> inputs;
  std::vector<tile::Tile> numbers;  // Scalar, float and int parameters in their order, of `dtype`
  std::vector<std::uint32_t>
      choices;  // bool and str parameters, and whether an optional one is there, in their order

  const tile::Tile& operator[](std::size_t i) const { return inputs[i]; }
  const tile::Tile& number(std::size_t i) const { return numbers[i]; }
  std::uint32_t choice(std::size_t i) const { return choices[i]; }
  bool is_float() const { return dtype >= tile::DType::f16; }
  bool is_bool() const { return dtype == tile::DType::i1; }
  // A tile full of a number, as large as the inputs.
  tile::Tile full(double value) const;
};
using Expression = tile::Tile (*)(const Elements&);

// In which type a pointwise operator computes, and what comes out.
enum class Rule {
  same,      // the promoted type of the inputs
  to_float,  // the same, integers become float32
  compare,   // computed in the promoted type; gives bool
  logical    // inputs as truth values; gives bool
};

class PointwiseOperator : public Operator {
 public:
  PointwiseOperator(const char* schema_text, Rule rule, DTypes dtypes, Bound bound,
                    Expression expression);
  void run(Call& call) const override;
  void enumerate(const KernelSink& sink) const override;
  bool gives_bool() const { return rule_ == Rule::compare || rule_ == Rule::logical; }

 private:
  struct Variant;
  DType common_dtype(const Call& call) const;
  void check_broadcast(const Call& call) const;
  std::string text_of(const Variant& variant) const;

  Rule rule_;
  Expression expression_;
  std::size_t output_ = 0;
  std::vector<std::size_t> inputs_, numbers_, choices_;  // places in the schema
  std::vector<bool> masks_;  // of the inputs: truth values, which do not promote
};

}  // namespace flagos::ops

// An expression of one, two or three inputs x, y, z; a is the whole Elements.
#define FLAGOS_OPS_X(...)                                        \
  [](const ::flagos::ops::Elements& a) -> ::flagos::tile::Tile { \
    [[maybe_unused]] const ::flagos::tile::Tile& x = a[0];       \
    return __VA_ARGS__;                                          \
  }
#define FLAGOS_OPS_XY(...)                                            \
  [](const ::flagos::ops::Elements& a) -> ::flagos::tile::Tile {      \
    [[maybe_unused]] const ::flagos::tile::Tile &x = a[0], &y = a[1]; \
    return __VA_ARGS__;                                               \
  }
