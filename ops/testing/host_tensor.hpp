// Tensors on the host, for tests: any type and layout, elements as long double.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "ops/dtype.hpp"

namespace flagos::ops::testing {

using Number = long double;
using Shape = std::vector<std::int64_t>;

// How a tensor lies in its memory. The bytes between its elements must stay as they were.
enum class Placement {
  dense,
  transposed,  // the last two axes swapped in memory
  sliced,      // every second element of every axis, from the second on
  broadcast    // the first axis repeats (stride 0)
};
const char* placement_name(Placement placement);

class HostTensor {
 public:
  HostTensor() = default;
  HostTensor(DType dtype, Shape shape, Placement placement = Placement::dense);
  static HostTensor of(DType dtype, Shape shape, const std::vector<Number>& values);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t elements() const { return elements_; }
  int rank() const { return static_cast<int>(shape_.size()); }
  // Elements by their row-major number.
  Number get(std::int64_t index) const;
  void set(std::int64_t index, Number value);
  // size_of(dtype()) bytes.
  unsigned char* element(std::int64_t index) { return bytes_.data() + place(index); }
  const unsigned char* element(std::int64_t index) const { return bytes_.data() + place(index); }
  std::vector<Number> values() const;
  void fill(const std::function<Number(std::int64_t)>& value);
  // Uniform numbers, rounded to the type: whole ones with `whole`.
  void fill_random(std::mt19937_64& random, double low, double high, bool whole);

  std::vector<unsigned char>& bytes() { return bytes_; }
  const std::vector<unsigned char>& bytes() const { return bytes_; }
  std::uint64_t offset_bytes() const;
  const Shape& strides() const { return strides_; }
  // Bytes that belong to no element and differ from those of `before`.
  std::int64_t strayed(const std::vector<unsigned char>& before) const;

 private:
  std::int64_t place(std::int64_t index) const;

  DType dtype_ = DType::f32;
  Shape shape_, strides_;
  std::int64_t elements_ = 0, first_ = 0;
  std::vector<unsigned char> bytes_;
};

// To the type and back: what an element holds. Integers wrap, bool is whether it is not 0.
Number rounded(DType dtype, Number value);
// The distance between neighbours of the type at `value`; 1 for integers.
Number ulp_at(DType dtype, Number value);

}  // namespace flagos::ops::testing
