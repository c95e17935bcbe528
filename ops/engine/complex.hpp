// Pointwise operators of complex64: each has a second expression, over real and imaginary parts, which are float32. A tensor of
// complex numbers is walked as two of float32 with every second element each.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "ops/operator.hpp"

namespace flagos::ops {

struct Complex {
  tile::Tile re, im;
};
// A Scalar parameter, as a tile full of it.
struct ComplexNumber {
  Complex value;
  bool is_real;  // known when the kernel is made
};

// What the expression sees: inputs of real types have an imaginary part of 0, a mask is `re` alone.
class ComplexElements {
 public:
  std::vector<Complex> inputs;
  std::vector<ComplexNumber> numbers;  // Scalar parameters
  const Complex& operator[](std::size_t i) const { return inputs[i]; }
  const ComplexNumber& number(std::size_t i) const { return numbers[i]; }
};

struct ComplexOperator {
  const char* name;
  enum Result : std::uint8_t { complex, real, truth } result;
  double
      units;  // how far a result may be from the exact one, in units in the last place of the length of what is larger: the
              // result, or a term that is added
  std::function<Complex(const ComplexElements&)>
      expression;  // of a real result or truth `re` alone
  // What the units are of beside; said in the documents.
  const char* beside = "";
};

DType dtype_of(ComplexOperator::Result result);
// All of them, in the order of the documents; NULL for an operator that takes no complex numbers.
const std::vector<ComplexOperator>& complex_operators();
const ComplexOperator* find_complex(std::string_view name);

// The places of an operator's parameters in its schema.
struct ComplexPlaces {
  std::size_t output;
  const std::vector<std::size_t>&inputs, &numbers;
  const std::vector<bool>& masks;
};
// Queues the operator; the shapes were checked, and an input or a number is complex. Throws Error for an output that cannot take the result.
void run_complex(Call& call, const ComplexOperator& op, const ComplexPlaces& places);

}  // namespace flagos::ops
