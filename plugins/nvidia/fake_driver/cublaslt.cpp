// The functions of cuBLASLt: products on host memory, in a stream's turn. What an algorithm was chosen for, alignment and
// workspace, is checked when it is used.
#include <bit>
#include <cmath>
#include <cstring>

#include "plugins/nvidia/cublaslt.hpp"
#include "plugins/nvidia/fake_driver/fake.hpp"

#define FAKE_CATCH_CUBLAS              \
  catch (const std::exception&) {      \
    return CUBLAS_STATUS_ALLOC_FAILED; \
  }
#define FAKE_CUBLAS_CALL(name) \
  if (fake::begin(#name) != CUDA_SUCCESS) return CUBLAS_STATUS_ALLOC_FAILED

namespace flagos::nvidia {

struct cublasLtContext {
  CUcontext context = nullptr;
};
struct cublasLtMatmulDescOpaque_t {
  int compute = 0, scale = 0;
  int transposed_a = 0, transposed_b = 0;
  int epilogue = 1;
  const void* bias = nullptr;
};
struct cublasLtMatrixLayoutOpaque_t {
  int type = 0;
  std::uint64_t rows = 0, columns = 0;
  std::int64_t leading = 0, step = 0;
  std::int32_t places = 1;
};
struct cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace = 0;
  std::uint32_t alignment = 256;
};

namespace fake {
namespace {

// What the algorithm asks for, so that its user has to hand it over.
constexpr std::size_t workspace_bytes = 2048;

using Layout = cublasLtMatrixLayoutOpaque_t;

float from_half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 0x3ff;
  const float sign = (bits & 0x8000) != 0 ? -1.f : 1.f;
  if (exponent == 31) return mantissa != 0 ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

// Rounded to the nearest, ties to even.
std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7e00);
  const float size = std::fabs(value);
  if (size >= 65520.f) return static_cast<std::uint16_t>(sign | 0x7c00);
  int exponent = -13;  // of 0 as of the least numbers
  if (size != 0) std::frexp(size, &exponent);
  const int unit = std::max(exponent - 11, -24);  // of the last digit
  const auto digits = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(size, -unit)));
  if (unit == -24) return static_cast<std::uint16_t>(sign | digits);
  return static_cast<std::uint16_t>(sign | (((unit + 25) << 10) + (digits - 1024)));
}

float from_e4m3(std::uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const float sign = (bits & 0x80) != 0 ? -1.f : 1.f;
  if (exponent == 15 && mantissa == 7) return NAN;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -9);
  return sign * std::ldexp(static_cast<float>(mantissa + 8), exponent - 10);
}

double load(const void* data, int type, std::int64_t i) {
  switch (type) {
    case CUDA_R_8I:
      return static_cast<const std::int8_t*>(data)[i];
    case CUDA_R_32I:
      return static_cast<const std::int32_t*>(data)[i];
    case CUDA_R_8F_E4M3:
      return from_e4m3(static_cast<const std::uint8_t*>(data)[i]);
    case CUDA_R_8F_E5M2:
      return from_half(static_cast<std::uint16_t>(static_cast<const std::uint8_t*>(data)[i] << 8));
    case CUDA_R_32F:
      return static_cast<const float*>(data)[i];
    case CUDA_R_64F:
      return static_cast<const double*>(data)[i];
    case CUDA_R_16F:
      return from_half(static_cast<const std::uint16_t*>(data)[i]);
    default:
      return std::bit_cast<float>(std::uint32_t{static_cast<const std::uint16_t*>(data)[i]} << 16);
  }
}

void store(void* data, int type, std::int64_t i, double value) {
  const auto narrow = static_cast<float>(value);
  switch (type) {
    case CUDA_R_32I:
      // Sums wrap around.
      static_cast<std::int32_t*>(data)[i] =
          static_cast<std::int32_t>(static_cast<std::uint32_t>(static_cast<std::int64_t>(value)));
      break;
    case CUDA_R_32F:
      static_cast<float*>(data)[i] = narrow;
      break;
    case CUDA_R_64F:
      static_cast<double*>(data)[i] = value;
      break;
    case CUDA_R_16F:
      static_cast<std::uint16_t*>(data)[i] = to_half(narrow);
      break;
    default: {
      const auto bits = std::bit_cast<std::uint32_t>(narrow);
      const std::uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
      static_cast<std::uint16_t*>(data)[i] =
          static_cast<std::uint16_t>(std::isnan(narrow) ? 0x7fc0 : rounded >> 16);
    }
  }
}

struct Matmul {
  cublasLtMatmulDescOpaque_t desc;
  Layout a, b, c, d;
  double alpha, beta;
  const void *at_a, *at_b, *at_c;
  void* at_d;
};

// The last digits of a factor that a tensor core leaves out.
double factor(double value, int compute) {
  if (compute != CUBLAS_COMPUTE_32F_FAST_TF32) return value;
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return std::bit_cast<float>((bits + 0x1000) & 0xffffe000u);
}

void multiply(const Matmul& call, std::int64_t place) {
  const auto at = [&](const Layout& layout, std::int64_t row, std::int64_t column) {
    return place * layout.step + column * layout.leading + row;
  };
  const bool is_t_a = call.desc.transposed_a != 0, is_t_b = call.desc.transposed_b != 0;
  const auto depth = static_cast<std::int64_t>(is_t_a ? call.a.rows : call.a.columns);
  for (std::int64_t j = 0; j < static_cast<std::int64_t>(call.d.columns); ++j)
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(call.d.rows); ++i) {
      double sum = 0;
      for (std::int64_t k = 0; k < depth; ++k)
        sum += factor(load(call.at_a, call.a.type, is_t_a ? at(call.a, k, i) : at(call.a, i, k)),
                      call.desc.compute) *
               factor(load(call.at_b, call.b.type, is_t_b ? at(call.b, j, k) : at(call.b, k, j)),
                      call.desc.compute);
      double value = call.alpha * sum;
      if (call.beta != 0) value += call.beta * load(call.at_c, call.c.type, at(call.c, i, j));
      if (call.desc.epilogue == CUBLASLT_EPILOGUE_BIAS)
        value += load(call.desc.bias, call.d.type, i);
      store(call.at_d, call.d.type, at(call.d, i, j), value);
    }
}

template <typename Value>
cublasStatus_t take(Value& target, const void* source, std::size_t size) {
  if (size != sizeof(target)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&target, source, size);
  return CUBLAS_STATUS_SUCCESS;
}

bool fits(const cublasLtMatmulDescOpaque_t& desc, const Layout& a, const Layout& b, const Layout& c,
          const Layout& d) {
  const bool is_t_a = desc.transposed_a != 0, is_t_b = desc.transposed_b != 0;
  const bool agrees = (is_t_a ? a.columns : a.rows) == d.rows &&
                      (is_t_b ? b.rows : b.columns) == d.columns &&
                      (is_t_a ? a.rows : a.columns) == (is_t_b ? b.columns : b.rows) &&
                      c.rows == d.rows && c.columns == d.columns;
  for (const Layout* layout : {&a, &b, &c, &d})
    if (layout->places != d.places || layout->leading < static_cast<std::int64_t>(layout->rows))
      return false;
  return agrees && c.type == d.type && d.rows != 0 && d.columns != 0;
}

// As the vendor's table of types has it. Those of 8 bits lie along the depth, which is whole words, or 16 bytes.
bool computes(const cublasLtMatmulDescOpaque_t& desc, const Layout& a, const Layout& b,
              const Layout& d) {
  const auto is_f8 = [](const Layout& layout) {
    return layout.type == CUDA_R_8F_E4M3 || layout.type == CUDA_R_8F_E5M2;
  };
  const bool is_i8 = a.type == CUDA_R_8I && b.type == CUDA_R_8I;
  if (!is_i8 && !is_f8(a) && !is_f8(b))
    return a.type == d.type && b.type == d.type && desc.compute != CUBLAS_COMPUTE_32I;
  const std::uint64_t unit = is_i8 ? 4 : 16;
  const bool lies_well = desc.transposed_a != 0 && desc.transposed_b == 0 && a.rows % unit == 0 &&
                         a.leading % static_cast<std::int64_t>(unit) == 0 &&
                         b.leading % static_cast<std::int64_t>(unit) == 0 && d.rows % unit == 0 &&
                         desc.epilogue == 1;
  if (is_i8)
    return lies_well && desc.compute == CUBLAS_COMPUTE_32I && desc.scale == CUDA_R_32I &&
           d.type == CUDA_R_32I;
  return lies_well && capability() >= 89 && is_f8(a) && is_f8(b) &&
         (a.type == CUDA_R_8F_E4M3 || b.type == CUDA_R_8F_E4M3) &&
         desc.compute == CUBLAS_COMPUTE_32F &&
         (d.type == CUDA_R_32F || d.type == CUDA_R_16F || d.type == CUDA_R_16BF);
}

}  // namespace
}  // namespace fake
}  // namespace flagos::nvidia

using namespace flagos::nvidia;
using fake::take;

FAKE_EXPORT std::size_t cublasLtGetVersion() { return 120800; }

FAKE_EXPORT cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) try {
  FAKE_CUBLAS_CALL(cublasLtCreate);
  if (fake::current() == nullptr) return CUBLAS_STATUS_ALLOC_FAILED;
  *handle = new cublasLtContext{fake::current()};
  fake::count_object(1);
  return CUBLAS_STATUS_SUCCESS;
}
FAKE_CATCH_CUBLAS

FAKE_EXPORT cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  fake::count_object(-1);
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

FAKE_EXPORT cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, int compute,
                                                    int scale) try {
  FAKE_CUBLAS_CALL(cublasLtMatmulDescCreate);
  *desc = new cublasLtMatmulDescOpaque_t{compute, scale};
  fake::count_object(1);
  return CUBLAS_STATUS_SUCCESS;
}
FAKE_CATCH_CUBLAS

FAKE_EXPORT cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  fake::count_object(-1);
  delete desc;
  return CUBLAS_STATUS_SUCCESS;
}

FAKE_EXPORT cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, int what,
                                                          const void* value, std::size_t size) {
  switch (what) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return take(desc->transposed_a, value, size);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return take(desc->transposed_b, value, size);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return take(desc->epilogue, value, size);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return take(desc->bias, value, size);
    default:
      return CUBLAS_STATUS_INVALID_VALUE;
  }
}

FAKE_EXPORT cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, int type,
                                                      std::uint64_t rows, std::uint64_t columns,
                                                      std::int64_t leading) try {
  FAKE_CUBLAS_CALL(cublasLtMatrixLayoutCreate);
  *layout = new cublasLtMatrixLayoutOpaque_t{type, rows, columns, leading};
  fake::count_object(1);
  return CUBLAS_STATUS_SUCCESS;
}
FAKE_CATCH_CUBLAS

FAKE_EXPORT cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  fake::count_object(-1);
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}

FAKE_EXPORT cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, int what,
                                                            const void* value, std::size_t size) {
  switch (what) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return take(layout->places, value, size);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return take(layout->step, value, size);
    default:
      return CUBLAS_STATUS_INVALID_VALUE;
  }
}

FAKE_EXPORT cublasStatus_t
cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) try {
  FAKE_CUBLAS_CALL(cublasLtMatmulPreferenceCreate);
  *preference = new cublasLtMatmulPreferenceOpaque_t;
  fake::count_object(1);
  return CUBLAS_STATUS_SUCCESS;
}
FAKE_CATCH_CUBLAS

FAKE_EXPORT cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  fake::count_object(-1);
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

FAKE_EXPORT cublasStatus_t cublasLtMatmulPreferenceSetAttribute(
    cublasLtMatmulPreference_t preference, int what, const void* value, std::size_t size) {
  if (what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
    return take(preference->workspace, value, size);
  std::uint32_t alignment = 0;
  const cublasStatus_t status = take(alignment, value, size);
  preference->alignment = std::min(preference->alignment, alignment);
  return status;
}

FAKE_EXPORT cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
    cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference,
    int wanted, cublasLtMatmulHeuristicResult_t* results, int* count) {
  FAKE_CUBLAS_CALL(cublasLtMatmulAlgoGetHeuristic);
  *count = 0;
  if (wanted < 1 || !fake::fits(*desc, *a, *b, *c, *d)) return CUBLAS_STATUS_INVALID_VALUE;
  if (!fake::computes(*desc, *a, *b, *d)) return CUBLAS_STATUS_NOT_SUPPORTED;
  *results = {};
  results->algo.data[0] = preference->alignment;
  results->workspaceSize =
      preference->workspace >= fake::workspace_bytes ? fake::workspace_bytes : 0;
  results->algo.data[1] = results->workspaceSize;
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

FAKE_EXPORT cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                          const void* alpha, const void* at_a,
                                          cublasLtMatrixLayout_t a, const void* at_b,
                                          cublasLtMatrixLayout_t b, const void* beta,
                                          const void* at_c, cublasLtMatrixLayout_t c, void* at_d,
                                          cublasLtMatrixLayout_t d,
                                          const cublasLtMatmulAlgo_t* algo, void* workspace,
                                          std::size_t workspace_size, CUstream stream) try {
  FAKE_CUBLAS_CALL(cublasLtMatmul);
  if (!fake::fits(*desc, *a, *b, *c, *d) || !fake::computes(*desc, *a, *b, *d) ||
      fake::current() != handle->context)
    return CUBLAS_STATUS_INVALID_VALUE;
  for (const void* pointer : {at_a, at_b, at_c, static_cast<const void*>(at_d)})
    if (reinterpret_cast<std::uintptr_t>(pointer) % algo->data[0] != 0)
      return CUBLAS_STATUS_NOT_SUPPORTED;
  if (workspace_size < algo->data[1] || (algo->data[1] != 0 && workspace == nullptr))
    return CUBLAS_STATUS_INVALID_VALUE;
  const auto number = [&](const void* value) {
    if (desc->scale == CUDA_R_32I)
      return static_cast<double>(*static_cast<const std::int32_t*>(value));
    return desc->scale == CUDA_R_64F ? *static_cast<const double*>(value)
                                     : double{*static_cast<const float*>(value)};
  };
  const fake::Matmul call{*desc,        *a,   *b,   *c,   *d,  number(alpha),
                          number(beta), at_a, at_b, at_c, at_d};
  fake::enqueue(stream, {[call, workspace, bytes = algo->data[1]] {
                           if (bytes != 0) std::memset(workspace, 0xa5, bytes);
                           for (std::int32_t i = 0; i < call.d.places; ++i) fake::multiply(call, i);
                           return CUDA_SUCCESS;
                         },
                         false});
  return CUBLAS_STATUS_SUCCESS;
}
FAKE_CATCH_CUBLAS
