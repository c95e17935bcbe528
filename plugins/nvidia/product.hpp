// Products by cuBLASLt: what it can express, and how it computes each shape, which is asked once.
#pragma once

#include <flagos_plugin.h>

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/product_terms.hpp"
#include "plugins/nvidia/cublaslt.hpp"

namespace flagos::nvidia {

class Device;

// All that cuBLASLt has to know of a product but its addresses and numbers.
struct ProductShape {
  enum class Addend : std::int64_t { none, matrix, row };  // a row is added to all rows
  struct Matrix {
    flagos_dtype_t dtype = FLAGOS_DTYPE_NONE;
    std::int64_t transposed = 0, leading = 0,
                 step = 0;  // step: from one place of the batch to the next
    auto operator<=>(const Matrix&) const = default;
  };
  std::int64_t m = 0, n = 0, k = 0, places = 1;
  Matrix a, b, c, out;
  Addend addend = Addend::none;
  auto operator<=>(const ProductShape&) const = default;
};

// A call: a shape with its addresses and numbers.
struct Product {
  // Nothing where cuBLASLt cannot express it.
  static std::optional<Product> of(const flagos_operator_desc_t& desc);

  ProductShape shape;
  flagos_address_t a = 0, b = 0, c = 0, out = 0;
  double alpha = 1, beta = 0;
};

// How a shape is computed. Kept alive by what is under way.
class ProductPlan {
 public:
  ProductPlan(const CublasLt& library, cublasLtHandle_t handle, const ProductShape& shape,
              std::uint64_t most_workspace_bytes, bool allows_tf32);
  ~ProductPlan();
  ProductPlan(const ProductPlan&) = delete;
  ProductPlan& operator=(const ProductPlan&) = delete;

  bool is_found() const noexcept { return is_found_; }
  std::uint64_t workspace_bytes() const noexcept { return workspace_bytes_; }
  // Factors of 8 bits are taken at addresses that are aligned to 16 bytes only.
  bool fits(const Product& product) const noexcept { return !is_narrow_ || is_wide(product); }
  CUresult run(const Product& product, flagos_address_t workspace, std::uint64_t bytes,
               CUstream stream) const;

 private:
  // For addresses that are aligned as cuBLASLt likes them, and for those that only fit their elements.
  enum Alignment { wide, natural, alignments };

  void make(bool allows_tf32);
  void release() noexcept;
  cublasLtMatrixLayout_t layout(std::int64_t rows, std::int64_t columns,
                                const ProductShape::Matrix& matrix) const;
  bool find(Alignment alignment, std::uint64_t most_workspace_bytes);
  bool is_wide(const Product& product) const noexcept;

  const CublasLt& library_;
  cublasLtHandle_t const handle_;
  const ProductShape shape_;
  const bool is_narrow_;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t a_ = nullptr, b_ = nullptr, c_ = nullptr, out_ = nullptr;
  std::array<cublasLtMatmulHeuristicResult_t, alignments> found_{};
  bool is_found_ = false;
  std::uint64_t workspace_bytes_ = 0;
  mutable std::mutex mutex_;  // the row that is added is part of the operation
};

// Of a device. The plans of the shapes that were asked about.
class Products {
 public:
  Products(Device& device, const CublasLt& library);
  ~Products();
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

  // In the device's context. NULL where cuBLASLt does not compute it.
  std::shared_ptr<const ProductPlan> find(const ProductShape& shape);
  std::size_t count() const;

 private:
  Device& device_;
  const CublasLt& library_;
  const bool allows_tf32_;
  cublasLtHandle_t handle_ = nullptr;  // made for the first
  mutable std::mutex mutex_;
  std::map<ProductShape, std::shared_ptr<const ProductPlan>> plans_;
};

}  // namespace flagos::nvidia
