// Products of matrices by BLAS: what it can express, and how workers share one.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <optional>
#include <span>

#include "plugins/cpu/blas.hpp"

namespace flagos::cpu {

class Worker;

// A tensor as products look at it: the last two axes are a matrix, those before are places of a batch.
struct MatrixView {
  static constexpr int max_rank = 8;

  flagos_address_t address = 0;
  flagos_dtype_t dtype = FLAGOS_DTYPE_NONE;
  int rank = 0;
  std::int64_t shape[max_rank] = {};
  std::int64_t strides[max_rank] = {};  // in elements

  // Nothing for a rank above max_rank; so do all that follow.
  static std::optional<MatrixView> of(const flagos_tensor_t& tensor);
  std::optional<MatrixView> as_row() const { return with_axis(0); }
  std::optional<MatrixView> as_column() const { return with_axis(rank); }
  std::optional<MatrixView> with_axis(int axis) const;  // one more, of extent 1, before `axis`
  MatrixView transposed() const;
  // Spread to this shape as by broadcasting; nothing where it does not fit.
  std::optional<MatrixView> expanded_to(std::span<const std::int64_t> target) const;

  std::span<const std::int64_t> dims() const { return {shape, static_cast<std::size_t>(rank)}; }
  std::int64_t extent(int from_end) const { return shape[rank - from_end]; }
  std::int64_t stride(int from_end) const { return strides[rank - from_end]; }
};

// out = alpha a b + beta c at each place of the batch, of shapes that fit, in a form that BLAS takes.
class Product {
 public:
  struct Terms {
    MatrixView a, b, out;
    std::optional<MatrixView> c;  // spread to out
    double alpha = 1, beta = 0;
  };
  // Nothing where the terms do not go together or BLAS cannot express them. `name` is static.
  static std::optional<Product> of(Terms terms, const char* name);

  const char* name() const noexcept { return name_; }
  std::uint64_t bytes() const noexcept;  // that are read and written
  void run(const BlasFunctions& blas, Worker& worker) const noexcept;

 private:
  struct Operand {
    MatrixView view;
    bool transposed = false;  // its columns lie one behind the other, else its rows
    int leading = 1;          // elements from one of them to the next
  };
  struct Plan;
  template <typename T>
  void run_pieces(const BlasFunctions& blas, const Plan& plan, std::uint64_t first,
                  std::uint64_t last) const;
  Plan plan(std::uint32_t threads) const noexcept;

  const char* name_ = "";
  Operand a_, b_, out_;
  MatrixView c_;
  double alpha_ = 1, beta_ = 0;  // beta is 0: c is not there
  bool c_is_out_ = false;
  int m_ = 0, n_ = 0, k_ = 0;
  std::int64_t batch_ = 1;
};

}  // namespace flagos::cpu
