// Products of matrices by BLAS and oneDNN: what they can express, and how workers share one.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <optional>

#include "base/product_terms.hpp"
#include "plugins/cpu/blas.hpp"
#include "plugins/cpu/onednn.hpp"

namespace flagos::cpu {

class Worker;

// out = alpha a b + beta c at each place of the batch, of shapes that fit, in a form that the libraries take.
class Product {
 public:
  // Nothing where the terms do not go together or no library can express them. `name` is static.
  static std::optional<Product> of(ProductTerms terms, const char* name);

  // Finds what computes it with so many threads. False: no library that is here does.
  bool find_library(Blas& blas, Onednn& onednn, std::uint32_t threads);

  const char* name() const noexcept { return name_; }
  std::uint64_t bytes() const noexcept;  // that are read and written
  // After find_library. NULL, or why it failed.
  Failure run(Worker& worker) const noexcept;

 private:
  struct Operand {
    MatrixView view;
    bool transposed = false;  // its columns lie one behind the other, else its rows
    int leading = 1;          // elements from one of them to the next
  };
  // Places of the batch, each of `parts` pieces along rows or columns. What a piece computes depends on the shape and on
  // the number of threads, not on who runs it: the same call gives the same bits each time.
  struct Plan {
    std::uint64_t parts = 1;
    bool along_rows = true;
    std::int64_t piece = 0;  // rows or columns
    std::uint64_t expected_ns = 0;
  };
  struct Piece;

  Plan plan(std::uint32_t threads) const noexcept;
  Piece piece(std::uint64_t index) const noexcept;
  bool find_matmuls(Onednn& onednn);
  MatmulShape matmul_shape(const Piece& piece) const noexcept;
  template <typename T>
  void run_blas(const Piece& piece) const noexcept;
  int run_onednn(const Piece& piece) const noexcept;
  void lay_addend(const Piece& piece) const noexcept;

  const char* name_ = "";
  Operand a_, b_, out_;
  MatrixView c_;
  double alpha_ = 1, beta_ = 0;  // beta is 0: c is not there
  bool c_is_out_ = false;
  int m_ = 0, n_ = 0, k_ = 0;
  std::int64_t batch_ = 1;
  Plan plan_;
  const BlasFunctions* blas_ = nullptr;  // or, of oneDNN, whole pieces and the last one
  std::shared_ptr<const Matmul> whole_, last_;
};

}  // namespace flagos::cpu
