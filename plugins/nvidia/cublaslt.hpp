// cuBLASLt, which multiplies matrices: opened at run time, where it is there. What we use of its interface is declared here, by
// the vendor's own names.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "base/dynamic_library.hpp"
#include "base/plugin_host.hpp"
#include "plugins/nvidia/cuda.hpp"

namespace flagos::nvidia {

struct Driver;

using cublasStatus_t = int;
enum : cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_NOT_SUPPORTED = 15
};
enum : int {
  CUDA_R_32F = 0,
  CUDA_R_64F = 1,
  CUDA_R_16F = 2,
  CUDA_R_8I = 3,
  CUDA_R_32I = 10,
  CUDA_R_16BF = 14,
  CUDA_R_8F_E4M3 = 28,
  CUDA_R_8F_E5M2 = 29
};
enum : int {
  CUBLAS_COMPUTE_32F = 68,
  CUBLAS_COMPUTE_64F = 70,
  CUBLAS_COMPUTE_32I = 72,
  CUBLAS_COMPUTE_32F_FAST_TF32 = 77
};
enum : int { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum : int {
  CUBLASLT_MATMUL_DESC_TRANSA = 3,
  CUBLASLT_MATMUL_DESC_TRANSB = 4,
  CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
  CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8
};
enum : int { CUBLASLT_EPILOGUE_BIAS = 4 };
enum : int {
  CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT = 5,
  CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET = 6
};
enum : int {
  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8
};
using cublasLtHandle_t = struct cublasLtContext*;
using cublasLtMatmulDesc_t = struct cublasLtMatmulDescOpaque_t*;
using cublasLtMatrixLayout_t = struct cublasLtMatrixLayoutOpaque_t*;
using cublasLtMatmulPreference_t = struct cublasLtMatmulPreferenceOpaque_t*;
struct cublasLtMatmulAlgo_t {
  std::uint64_t data[8];
};
struct cublasLtMatmulHeuristicResult_t {
  cublasLtMatmulAlgo_t algo;
  std::size_t workspaceSize;
  cublasStatus_t state;
  float wavesCount;
  int reserved[4];
};
static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == 96);

class CublasLt {
 public:
  // What is there: FLAGOS_NVIDIA_CUBLASLT, or the newest that the dynamic linker finds and the driver takes. NULL, with a
  // sentence in `out_reason`, where there is none. Throws NOT_FOUND when the variable names it.
  static const CublasLt* find(const Host& host, const Driver& driver, std::string* out_reason);

#define SYMBOL(name, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
#include "plugins/nvidia/cublaslt_symbols.inc"
#undef SYMBOL

 private:
  explicit CublasLt(const std::string& path);
  DynamicLibrary library_;
};

}  // namespace flagos::nvidia
