// What tests of operators say again and again: calls that must work or must be refused, coordinates of elements.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <span>
#include <string>

#include "ops/testing/fixture.hpp"

namespace flagos::ops::testing {

inline void must_call(const std::string& op, const Arguments& arguments) {
  const flagos_status_t status = Fixture::get().call(op, arguments);
  REQUIRE_MESSAGE(status == FLAGOS_STATUS_OK, std::string(flagos_last_error()));
}
inline void must_refuse(const std::string& op, const Arguments& arguments,
                        const std::string& words) {
  CHECK(Fixture::get().call(op, arguments) == FLAGOS_STATUS_INVALID_ARGUMENT);
  const std::string text = flagos_last_error();
  CHECK_MESSAGE(text.find(words) != std::string::npos, text);
}
// An error that the device finds: the call is queued, and its stream fails. The kernel's own sentence says why.
inline void must_fail_on_device(const std::string& op, const Arguments& arguments) {
  CHECK(Fixture::get().call(op, arguments) == FLAGOS_STATUS_EXECUTION_FAILED);
  const std::string text = flagos_last_error();
  CHECK_MESSAGE(text.find("assert: " + op + ": ") != std::string::npos, text);
}

// The coordinates of the element with this row-major number, and back.
inline Shape coordinates(const Shape& shape, std::int64_t index) {
  Shape at(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    at[axis] = index % shape[axis];
    index /= shape[axis];
  }
  return at;
}
inline std::int64_t number_of(const Shape& shape, const Shape& at) {
  std::int64_t index = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) index = index * shape[axis] + at[axis];
  return index;
}
inline Number at(const HostTensor& tensor, const Shape& place) {
  return tensor.get(number_of(tensor.shape(), place));
}

// Whole numbers that every type holds: 0 and 1 of bool, not negative for unsigned types.
inline HostTensor counted(DType dtype, Shape shape, Placement placement = Placement::dense) {
  HostTensor out(dtype, std::move(shape), placement);
  out.fill([&](std::int64_t i) {
    if (dtype == DType::boolean) return static_cast<Number>((i * 7 % 5) % 2);
    return static_cast<Number>(i * 7 % 61) - (dtype == DType::u8 ? 0 : 30);
  });
  return out;
}

// The call, and that the output is what `expected` says of every element, bit for bit, with nothing written beside it.
inline void must_give(const std::string& op, const Arguments& arguments, HostTensor& out,
                      const std::function<Number(const Shape&)>& expected, Bound bound = exact) {
  const std::vector<unsigned char> before = out.bytes();
  const std::string which = op + " " + dtype_name(out.dtype());
  INFO(which);
  must_call(op, arguments);
  std::vector<Number> values;
  for (std::int64_t i = 0; i < out.elements(); ++i)
    values.push_back(rounded(out.dtype(), expected(coordinates(out.shape(), i))));
  CHECK(compare(out, values, bound) == "");
  CHECK(out.strayed(before) == 0);
}

inline std::vector<DType> types_of(DTypes allowed) {
  std::vector<DType> out;
  for (int i = 0; i < dtype_count; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (allowed.has(dtype) && wants(dtype) && Fixture::get().computes_in(dtype))
      out.push_back(dtype);
  }
  return out;
}
// Where kernels are made quickly, all is tried in float32, on tensors that lie in every way. Elsewhere a part of it, on
// dense ones: placements are the engines' matter, and their tests try them.
inline bool in_full(DType dtype) { return dtype == DType::f32 && Fixture::get().is_thorough(); }
inline std::span<const Placement> placements() {
  static constexpr Placement all[] = {Placement::dense, Placement::transposed, Placement::sliced,
                                      Placement::broadcast};
  return std::span(all).first(Fixture::get().is_thorough() ? 4 : 1);
}
// Of tensors that are written too: no two elements in one place.
inline std::span<const Placement> own_placements() {
  return placements().first(std::min<std::size_t>(placements().size(), 3));
}
// Where an output may lie: nothing is written twice.
inline Placement written(Placement placement) {
  return placement == Placement::broadcast ? Placement::dense : placement;
}

}  // namespace flagos::ops::testing
