// One call of an operator: its arguments, read and checked against the schema, and errors that name them.
#pragma once

#include <flagos_ops.h>

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/inline_vector.hpp"
#include "ops/device.hpp"
#include "ops/schema.hpp"
#include "ops/tensor.hpp"

namespace flagos::ops {

class Operator;

// A number that the caller gives by value.
struct Scalar {
  DType dtype = DType::i64;  // boolean, i64, f64 or c64
  std::int64_t integer = 0;
  double real = 0;
  double imaginary = 0;
  bool is_complex() const { return dtype == DType::c64; }
  double as_real() const { return dtype >= DType::f64 ? real : static_cast<double>(integer); }
};

// Arguments are named by their place in the schema.
class Call {
 public:
  static constexpr std::size_t max_arguments = 24;

  // Throws Error, naming the argument, for what the schema does not allow.
  Call(const Operator& op, flagos_stream_t* stream,
       std::span<const flagos_ops_argument_t> arguments);

  const Operator& op() const { return op_; }
  flagos_stream_t* stream() const { return stream_; }
  Device& device() const { return *device_; }
  Key key() const;  // of a kernel of this operator

  bool has(std::size_t i) const { return values_[i].present; }
  const Tensor& tensor(std::size_t i) const { return tensors_[values_[i].tensor]; }
  std::span<const Tensor> tensors(std::size_t i) const {
    return {tensors_.data() + values_[i].tensor, values_[i].count};
  }
  std::int64_t integer(std::size_t i) const { return values_[i].integer; }
  std::span<const std::int64_t> integers(std::size_t i) const {
    return {values_[i].list, values_[i].count};
  }
  double real(std::size_t i) const { return values_[i].real; }
  bool flag(std::size_t i) const { return values_[i].integer != 0; }
  // Not complex; else the call is refused.
  Scalar scalar(std::size_t i) const {
    if (values_[i].dtype == DType::c64) refuse(i, "is complex; a real number is needed");
    return any_scalar(i);
  }
  Scalar any_scalar(std::size_t i) const {
    return {values_[i].dtype, values_[i].integer, values_[i].real, values_[i].imaginary};
  }
  bool has_complex_number() const { return has_complex_number_; }
  // The place of the word among those of the schema.
  std::size_t word(std::size_t i) const { return static_cast<std::size_t>(values_[i].integer); }

  // "softmax: dim is 5, and ..."
  template <typename... Args>
  [[noreturn]] void refuse(std::size_t i, fmt::format_string<Args...> format,
                           Args&&... args) const {
    refuse_text(i, FLAGOS_STATUS_INVALID_ARGUMENT,
                fmt::format(format, std::forward<Args>(args)...));
  }
  // A dimension of a tensor of this rank, counted from the end when it is negative. A scalar has dimension 0.
  int dim(std::size_t i, int rank) const { return checked_dim(i, integer(i), rank); }
  // As bits; all when the list is empty or absent. Each at most once.
  std::uint32_t dims(std::size_t i, int rank) const;
  // Throws unless the tensor has this shape.
  void expect_shape(std::size_t i, std::span<const std::int64_t> shape) const;
  void expect_shape(std::size_t i, const Tensor& like) const { expect_shape(i, like.dims()); }
  void expect_dtype(std::size_t i, DTypes allowed) const;
  void expect_same_dtype(std::size_t i, std::size_t other) const;
  void expect_rank(std::size_t i, int low, int high) const;
  // Inputs that lie over an output must be the same elements: the kernel reads and writes each at once.
  // `in_place`: false where even those are not allowed.
  void expect_no_overlap(std::size_t output, bool in_place = true) const;

 private:
  struct Value {
    bool present = false;
    std::uint32_t count = 0;
    std::uint32_t tensor = 0;  // index in tensors_, of the first
    DType dtype = DType::i64;  // of a scalar
    std::int64_t integer = 0;
    double real = 0;
    double imaginary = 0;
    const std::int64_t* list = nullptr;
  };
  [[noreturn]] void refuse_text(std::size_t i, flagos_status_t status,
                                const std::string& text) const;
  int checked_dim(std::size_t i, std::int64_t dim, int rank) const;
  void read(std::size_t i, const flagos_ops_argument_t& argument);
  void read_tensor(std::size_t i, const flagos_tensor_t* tensor);
  void read_scalar(std::size_t i, const flagos_scalar_t* scalar);
  void check_memory(std::size_t i, const Tensor& tensor) const;

  const Operator& op_;
  flagos_stream_t* stream_;
  std::shared_ptr<Device> device_;
  InlineVector<Value, max_arguments> values_;
  bool has_complex_number_ = false;
  std::uint32_t tensor_count_ = 0;
  InlineVector<Tensor, 8> few_;
  std::vector<Tensor> many_;  // where there are lists
  std::span<Tensor> tensors_;
};

}  // namespace flagos::ops
