#include "plugins/nvidia/product.hpp"

#include <algorithm>

#include "base/thread.hpp"
#include "plugins/nvidia/device.hpp"

namespace flagos::nvidia {
namespace {

// More shapes than any program uses at a time; then the memory of them begins anew.
constexpr std::size_t most_plans = 4096;
// What cuBLASLt vectors need at most.
constexpr std::uint64_t wide_bytes = 16;

int type_of(flagos_dtype_t dtype) {
  switch (dtype) {
    case FLAGOS_DTYPE_FLOAT32:
      return CUDA_R_32F;
    case FLAGOS_DTYPE_FLOAT64:
      return CUDA_R_64F;
    case FLAGOS_DTYPE_FLOAT16:
      return CUDA_R_16F;
    case FLAGOS_DTYPE_BFLOAT16:
      return CUDA_R_16BF;
    case FLAGOS_DTYPE_INT8:
      return CUDA_R_8I;
    case FLAGOS_DTYPE_INT32:
      return CUDA_R_32I;
    case FLAGOS_DTYPE_FLOAT8_E4M3FN:
      return CUDA_R_8F_E4M3;
    case FLAGOS_DTYPE_FLOAT8_E5M2:
      return CUDA_R_8F_E5M2;
    default:
      return -1;
  }
}

std::uint64_t element_bytes(flagos_dtype_t dtype) { return FLAGOS_DTYPE_BITS(dtype) / 8; }

bool is_float8(flagos_dtype_t dtype) {
  return dtype == FLAGOS_DTYPE_FLOAT8_E4M3FN || dtype == FLAGOS_DTYPE_FLOAT8_E5M2;
}
bool is_float(flagos_dtype_t dtype) {
  return dtype == FLAGOS_DTYPE_FLOAT32 || dtype == FLAGOS_DTYPE_FLOAT16 ||
         dtype == FLAGOS_DTYPE_BFLOAT16;
}

// The types that go together: all the same, int8 to int32, float8 to wider floating numbers.
bool has_types(flagos_dtype_t a, flagos_dtype_t b, flagos_dtype_t out) {
  if (a == FLAGOS_DTYPE_INT8) return b == a && out == FLAGOS_DTYPE_INT32;
  if (is_float8(a))
    return is_float8(b) && is_float(out) &&
           (a == FLAGOS_DTYPE_FLOAT8_E4M3FN || b == FLAGOS_DTYPE_FLOAT8_E4M3FN);
  return a == b && a == out && (is_float(a) || a == FLAGOS_DTYPE_FLOAT64);
}

bool is_whole(double number) { return number == static_cast<std::int32_t>(number); }

CUresult result_of(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return CUDA_SUCCESS;
    case CUBLAS_STATUS_ALLOC_FAILED:
      return CUDA_ERROR_OUT_OF_MEMORY;
    case CUBLAS_STATUS_INVALID_VALUE:
      return CUDA_ERROR_INVALID_VALUE;
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return CUDA_ERROR_NOT_SUPPORTED;
    default:
      return CUDA_ERROR_UNKNOWN;
  }
}

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw_error(status == CUBLAS_STATUS_ALLOC_FAILED ? FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY
                                                     : FLAGOS_STATUS_INTERNAL,
                "{}: status {}", call, status);
}

bool express(const MatrixView& view, ProductShape::Matrix& matrix) {
  matrix.dtype = view.dtype;
  const std::optional<MatrixView::Form> form = view.form();
  if (!form) return false;
  matrix.transposed = form->transposed ? 1 : 0;
  matrix.leading = form->leading;
  matrix.step = view.rank > 2 ? view.stride(3) : 0;
  return matrix.step >= 0;
}

// A matrix, or a row that all rows get.
bool express_addend(const ProductTerms& terms, ProductShape& shape) {
  const MatrixView& c = *terms.c;
  const bool is_narrow = element_bytes(terms.a.dtype) == 1;
  if (!is_narrow && shape.places == 1 && terms.beta == 1 && c.stride(2) == 0 && shape.m > 1 &&
      (c.stride(1) == 1 || shape.n == 1)) {
    shape.addend = ProductShape::Addend::row;
    return true;
  }
  shape.addend = ProductShape::Addend::matrix;
  return express(c, shape.c) && shape.c.transposed == 0;
}

// A number as the library takes it beside such a result.
union Scale {
  Scale(flagos_dtype_t out, double number) {
    if (out == FLAGOS_DTYPE_FLOAT64) {
      wide = number;
    } else if (out == FLAGOS_DTYPE_INT32) {
      whole = static_cast<std::int32_t>(number);
    } else {
      narrow = static_cast<float>(number);
    }
  }
  double wide;
  float narrow;
  std::int32_t whole;
};

}  // namespace

// ---- what cuBLASLt can express ----------------------------------------------------------------

std::optional<Product> Product::of(const flagos_operator_desc_t& desc) {
  std::optional<ProductTerms> terms = ProductTerms::of(desc);
  if (!terms) return std::nullopt;
  auto& [a, b, out, c, alpha, beta] = *terms;
  if (!has_types(a.dtype, b.dtype, out.dtype) || (c && c->dtype != out.dtype) ||
      !terms->prepare() || out.rank > 3)
    return std::nullopt;
  if (out.dtype == FLAGOS_DTYPE_INT32 && !(is_whole(alpha) && is_whole(beta))) return std::nullopt;
  Product product;
  ProductShape& shape = product.shape;
  shape.m = out.extent(2);
  shape.n = out.extent(1);
  shape.k = a.extent(1);
  shape.places = terms->places();
  if (shape.m == 0 || shape.n == 0 || shape.places == 0 || !express(a, shape.a) ||
      !express(b, shape.b) || !express(out, shape.out) || shape.out.transposed != 0 ||
      (c && !express_addend(*terms, shape)))
    return std::nullopt;
  product.a = a.address;
  product.b = b.address;
  product.out = out.address;
  product.alpha = alpha;
  if (c) {
    product.c = c->address;
    product.beta = beta;
  }
  return product;
}

// ---- plans ------------------------------------------------------------------------------------

ProductPlan::ProductPlan(const CublasLt& library, cublasLtHandle_t handle,
                         const ProductShape& shape, std::uint64_t most_workspace_bytes,
                         bool allows_tf32)
    : library_(library),
      handle_(handle),
      shape_(shape),
      is_narrow_(element_bytes(shape.a.dtype) == 1) {
  try {
    make(allows_tf32);
    is_found_ =
        find(wide, most_workspace_bytes) && (is_narrow_ || find(natural, most_workspace_bytes));
  } catch (...) {
    release();
    throw;
  }
  for (const cublasLtMatmulHeuristicResult_t& one : found_)
    workspace_bytes_ = std::max<std::uint64_t>(workspace_bytes_, one.workspaceSize);
}

ProductPlan::~ProductPlan() { release(); }

// cuBLASLt counts along columns: it is asked for the transpose, b times a, where rows are columns.
void ProductPlan::make(bool allows_tf32) {
  const bool is_tf32 = allows_tf32 && shape_.a.dtype == FLAGOS_DTYPE_FLOAT32;
  int compute = is_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, scale = CUDA_R_32F;
  if (shape_.out.dtype == FLAGOS_DTYPE_FLOAT64) {
    compute = CUBLAS_COMPUTE_64F;
    scale = CUDA_R_64F;
  } else if (shape_.out.dtype == FLAGOS_DTYPE_INT32) {
    compute = CUBLAS_COMPUTE_32I;
    scale = CUDA_R_32I;
  }
  const SignalsBlocked blocked;
  check(library_.cublasLtMatmulDescCreate(&operation_, compute, scale), "cublasLtMatmulDescCreate");
  const auto set = [&](int what, const auto& value) {
    check(library_.cublasLtMatmulDescSetAttribute(operation_, what, &value, sizeof(value)),
          "cublasLtMatmulDescSetAttribute");
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, int{shape_.b.transposed != 0 ? CUBLAS_OP_T : CUBLAS_OP_N});
  set(CUBLASLT_MATMUL_DESC_TRANSB, int{shape_.a.transposed != 0 ? CUBLAS_OP_T : CUBLAS_OP_N});
  if (shape_.addend == ProductShape::Addend::row)
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, int{CUBLASLT_EPILOGUE_BIAS});
  const auto along = [&](std::int64_t rows, std::int64_t columns,
                         const ProductShape::Matrix& matrix) {
    return matrix.transposed != 0 ? layout(rows, columns, matrix) : layout(columns, rows, matrix);
  };
  a_ = along(shape_.k, shape_.n, shape_.b);
  b_ = along(shape_.m, shape_.k, shape_.a);
  out_ = layout(shape_.n, shape_.m, shape_.out);
  c_ = layout(shape_.n, shape_.m,
              shape_.addend == ProductShape::Addend::matrix ? shape_.c : shape_.out);
}

void ProductPlan::release() noexcept {
  for (cublasLtMatrixLayout_t one : {a_, b_, c_, out_})
    if (one != nullptr) library_.cublasLtMatrixLayoutDestroy(one);
  if (operation_ != nullptr) library_.cublasLtMatmulDescDestroy(operation_);
}

cublasLtMatrixLayout_t ProductPlan::layout(std::int64_t rows, std::int64_t columns,
                                           const ProductShape::Matrix& matrix) const {
  cublasLtMatrixLayout_t made = nullptr;
  check(library_.cublasLtMatrixLayoutCreate(&made, type_of(matrix.dtype),
                                            static_cast<std::uint64_t>(rows),
                                            static_cast<std::uint64_t>(columns), matrix.leading),
        "cublasLtMatrixLayoutCreate");
  if (shape_.places == 1) return made;
  const auto count = static_cast<std::int32_t>(shape_.places);
  library_.cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                            sizeof(count));
  library_.cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                            &matrix.step, sizeof(matrix.step));
  return made;
}

bool ProductPlan::find(Alignment alignment, std::uint64_t most_workspace_bytes) {
  cublasLtMatmulPreference_t preference = nullptr;
  check(library_.cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
  library_.cublasLtMatmulPreferenceSetAttribute(preference,
                                                CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                &most_workspace_bytes, sizeof(std::uint64_t));
  const auto bytes =
      static_cast<std::uint32_t>(alignment == wide ? wide_bytes : element_bytes(shape_.out.dtype));
  for (const int which :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    library_.cublasLtMatmulPreferenceSetAttribute(preference, which, &bytes, sizeof(bytes));
  int count = 0;
  const cublasStatus_t status = library_.cublasLtMatmulAlgoGetHeuristic(
      handle_, operation_, a_, b_, c_, out_, preference, 1, &found_[alignment], &count);
  library_.cublasLtMatmulPreferenceDestroy(preference);
  return status == CUBLAS_STATUS_SUCCESS && count > 0 &&
         found_[alignment].state == CUBLAS_STATUS_SUCCESS;
}

bool ProductPlan::is_wide(const Product& product) const noexcept {
  const auto fits = [&](flagos_address_t address, const ProductShape::Matrix& matrix) {
    return address % wide_bytes == 0 &&
           static_cast<std::uint64_t>(matrix.step) * element_bytes(matrix.dtype) % wide_bytes == 0;
  };
  return fits(product.a, shape_.a) && fits(product.b, shape_.b) && fits(product.c, shape_.c) &&
         fits(product.out, shape_.out);
}

CUresult ProductPlan::run(const Product& product, flagos_address_t workspace, std::uint64_t bytes,
                          CUstream stream) const {
  const auto at = [](flagos_address_t address) { return reinterpret_cast<void*>(address); };
  const bool adds_matrix = shape_.addend == ProductShape::Addend::matrix;
  const Scale alpha(shape_.out.dtype, product.alpha);
  const Scale beta(shape_.out.dtype, adds_matrix ? product.beta : 0);
  const cublasLtMatmulHeuristicResult_t& found = found_[is_wide(product) ? wide : natural];
  std::unique_lock<std::mutex> lock;
  if (shape_.addend == ProductShape::Addend::row) {
    lock = std::unique_lock(mutex_);
    const void* const row = at(product.c);
    library_.cublasLtMatmulDescSetAttribute(operation_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &row,
                                            sizeof(row));
  }
  return result_of(library_.cublasLtMatmul(
      handle_, operation_, &alpha, at(product.b), a_, at(product.a), b_, &beta,
      at(adds_matrix ? product.c : product.out), c_, at(product.out), out_, &found.algo,
      at(workspace), std::min<std::uint64_t>(bytes, found.workspaceSize), stream));
}

// ---- the plans of a device --------------------------------------------------------------------

Products::Products(Device& device, const CublasLt& library)
    : device_(device),
      library_(library),
      allows_tf32_(device.host().get_switch("FLAGOS_NVIDIA_TF32")) {}

Products::~Products() {
  plans_.clear();
  if (handle_ != nullptr) library_.cublasLtDestroy(handle_);
}

std::shared_ptr<const ProductPlan> Products::find(const ProductShape& shape) {
  // As the vendor advises: more where there is more to share.
  const std::uint64_t most_workspace =
      device_.description().capability >= 90 ? std::uint64_t{32} << 20 : std::uint64_t{4} << 20;
  const std::lock_guard lock(mutex_);
  if (handle_ == nullptr) {
    const SignalsBlocked blocked;
    check(library_.cublasLtCreate(&handle_), "cublasLtCreate");
  }
  const auto known = plans_.find(shape);
  if (known != plans_.end()) return known->second->is_found() ? known->second : nullptr;
  if (plans_.size() >= most_plans) plans_.clear();
  auto plan =
      std::make_shared<const ProductPlan>(library_, handle_, shape, most_workspace, allows_tf32_);
  plans_.emplace(shape, plan);
  return plan->is_found() ? plan : nullptr;
}

std::size_t Products::count() const {
  const std::lock_guard lock(mutex_);
  return plans_.size();
}

}  // namespace flagos::nvidia
