// OpenBLAS, opened when a product first asks for it, and never required.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "base/dynamic_library.hpp"
#include "base/plugin_host.hpp"

namespace flagos::cpu {

// Of the C interface of BLAS, what products use. Names, types and numbers are those of cblas.h.
struct BlasFunctions {
  static constexpr int row_major = 101;
  static constexpr int no_transpose = 111;
  static constexpr int transpose = 112;

  template <typename T>
  using Gemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, T alpha,
                        const T* a, int lda, const T* b, int ldb, T beta, T* c, int ldc);
  template <typename T>
  using Gemv = void (*)(int order, int transpose_a, int m, int n, T alpha, const T* a, int lda,
                        const T* x, int step_x, T beta, T* y, int step_y);

  Gemm<float> sgemm = nullptr;
  Gemm<double> dgemm = nullptr;
  Gemv<float> sgemv = nullptr;
  Gemv<double> dgemv = nullptr;
  // Its calls run on the thread that makes them, so several of our threads share a product. Else one thread calls, and
  // the library has threads of its own.
  bool is_single = false;
};

class Blas {
 public:
  explicit Blas(const Host& host) : host_(host) {}

  // False where FLAGOS_CPU_BLAS is "none".
  bool is_wanted() const;
  // NULL where there is none. Throws for a library that FLAGOS_CPU_BLAS names and that does not do.
  const BlasFunctions* functions();

 private:
  void open();

  const Host& host_;
  std::mutex mutex_;
  std::atomic<bool> looked_{false};
  std::unique_ptr<DynamicLibrary> library_;
  BlasFunctions functions_;
};

}  // namespace flagos::cpu
