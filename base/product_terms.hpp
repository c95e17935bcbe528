// Products of matrices as operators ask for them: out = alpha a b + beta c, whatever the operator's name. For plugins that hand
// them to a library of their vendor's.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <optional>
#include <span>

namespace flagos {

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

  // As libraries take matrices: its rows lie one behind the other, or where `transposed` its columns, `leading` elements apart.
  struct Form {
    bool transposed = false;
    std::int64_t leading = 1;
  };
  // Of the last two axes; nothing for one that lies otherwise, or further apart than that.
  std::optional<Form> form(std::int64_t most_leading = INT64_MAX) const;

  std::span<const std::int64_t> dims() const { return {shape, static_cast<std::size_t>(rank)}; }
  std::int64_t extent(int from_end) const { return shape[rank - from_end]; }
  std::int64_t stride(int from_end) const { return strides[rank - from_end]; }
};

struct ProductTerms {
  MatrixView a, b, out;
  std::optional<MatrixView> c;  // spread to out
  double alpha = 1, beta = 0;

  // Of a call of a product: nothing where it is not as the schema says.
  static std::optional<ProductTerms> of(const flagos_operator_desc_t& desc);
  // All three are spread to one batch, in as few places as can be, and rows of the result lie along memory. False where shapes
  // do not go together, and for what is left to those who know what NaN times 0 is: an alpha of 0, and sums of nothing.
  bool prepare();
  // Places of the batch.
  std::int64_t places() const noexcept;
};

// The operators that are products, as the table of operators has them (flagos_ops.h).
struct ProductOperator {
  const char* name;
  const char* schema;
};
std::span<const ProductOperator> product_operators() noexcept;

}  // namespace flagos
