#include "plugins/cpu/product.hpp"

#include <algorithm>
#include <atomic>
#include <climits>
#include <cmath>
#include <type_traits>

#include "plugins/cpu/thread_pool.hpp"

namespace flagos::cpu {
namespace {

// About what a thread does in a nanosecond: whether others are worth waking.
constexpr double operations_per_ns = 50;
constexpr double bytes_per_ns = 8;
constexpr std::uint64_t least_shared_ns = 20'000;
// Pieces of a matrix are whole blocks of what BLAS keeps in registers.
constexpr std::int64_t piece_multiple = 16;
// One sum is not shared among calls of a library: longer ones are left to portable kernels, which share them.
constexpr int longest_sum = 65536;

bool fits_int(std::int64_t value) { return value >= 0 && value <= INT_MAX; }

bool is_same_place(const MatrixView& a, const MatrixView& b) {
  if (a.address != b.address) return false;
  for (int i = 0; i < a.rank; ++i)
    if (a.shape[i] != 1 && a.strides[i] != b.strides[i]) return false;
  return true;
}

// The address of an element of the matrix at a place of the batch.
std::byte* place_of(const MatrixView& view, std::int64_t place, std::int64_t row,
                    std::int64_t column) {
  std::int64_t offset = row * view.stride(2) + column * view.stride(1);
  for (int axis = view.rank - 3; axis >= 0; --axis) {
    offset += place % view.shape[axis] * view.strides[axis];
    place /= view.shape[axis];
  }
  return reinterpret_cast<std::byte*>(view.address) + offset * (FLAGOS_DTYPE_BITS(view.dtype) / 8);
}

// Types that a library multiplies, and what the products are of.
flagos_dtype_t result_of(flagos_dtype_t dtype) {
  switch (dtype) {
    case FLAGOS_DTYPE_FLOAT32:
    case FLAGOS_DTYPE_FLOAT64:
    case FLAGOS_DTYPE_FLOAT16:
    case FLAGOS_DTYPE_BFLOAT16:
      return dtype;
    case FLAGOS_DTYPE_INT8:
      return FLAGOS_DTYPE_INT32;
    default:
      return FLAGOS_DTYPE_NONE;
  }
}

bool is_int32(double value) { return std::trunc(value) == value && std::fabs(value) <= INT_MAX; }

}  // namespace

// ---- what libraries can express ---------------------------------------------------------------

std::optional<Product> Product::of(ProductTerms terms, const char* name) {
  auto& [a, b, out, c, alpha, beta] = terms;
  if (a.dtype != b.dtype || out.dtype == FLAGOS_DTYPE_NONE || out.dtype != result_of(a.dtype) ||
      (c && c->dtype != out.dtype) || !terms.prepare())
    return std::nullopt;
  if (!fits_int(out.extent(2)) || !fits_int(out.extent(1)) || !fits_int(a.extent(1)))
    return std::nullopt;

  Product product;
  product.name_ = name;
  product.m_ = static_cast<int>(out.extent(2));
  product.n_ = static_cast<int>(out.extent(1));
  product.k_ = static_cast<int>(a.extent(1));
  product.batch_ = terms.places();
  if (product.m_ == 0 || product.n_ == 0 || product.batch_ == 0) return std::nullopt;
  if (product.m_ == 1 && product.n_ == 1 && product.batch_ == 1 && product.k_ > longest_sum)
    return std::nullopt;
  product.alpha_ = alpha;
  if (c) {
    product.beta_ = beta;
    product.c_ = *c;
    product.c_is_out_ = is_same_place(*c, out);
  }
  const auto express = [](const MatrixView& view, Operand& operand) {
    operand.view = view;
    const std::optional<MatrixView::Form> form = view.form(INT_MAX);
    if (!form) return false;
    operand.transposed = form->transposed;
    operand.leading = static_cast<int>(form->leading);
    return true;
  };
  const auto steps = [](const MatrixView& column, Operand& operand) {
    operand.view = column;
    const std::int64_t step = column.extent(2) == 1 ? 1 : column.stride(2);
    operand.leading = static_cast<int>(step);
    return step > 0 && fits_int(step);
  };
  if (!express(a, product.a_)) return std::nullopt;
  const bool fits = product.n_ == 1 ? steps(b, product.b_) && steps(out, product.out_)
                                    : express(b, product.b_) && express(out, product.out_) &&
                                          !product.out_.transposed;
  return fits ? std::optional(product) : std::nullopt;
}

struct Product::Piece {
  int m = 0, n = 0;
  const std::byte *a = nullptr, *b = nullptr, *c = nullptr;
  std::byte* out = nullptr;
};

bool Product::find_library(Blas& blas, Onednn& onednn, std::uint32_t threads) {
  const flagos_dtype_t dtype = a_.view.dtype;
  if (dtype == FLAGOS_DTYPE_FLOAT32 || dtype == FLAGOS_DTYPE_FLOAT64) blas_ = blas.functions();
  plan_ = plan(blas_ != nullptr && !blas_->is_single ? 1 : threads);
  return blas_ != nullptr || (dtype != FLAGOS_DTYPE_FLOAT64 && find_matmuls(onednn));
}

// An int8 product is finished here, since oneDNN would scale and add in float32; another with an alpha is not taken.
bool Product::find_matmuls(Onednn& onednn) {
  const bool whole_numbers = out_.view.dtype == FLAGOS_DTYPE_INT32;
  if (whole_numbers ? !is_int32(alpha_) || !is_int32(beta_) || (beta_ != 0 && c_is_out_)
                    : alpha_ != 1)
    return false;
  whole_ = onednn.matmul(matmul_shape(piece(0)));
  if (whole_ != nullptr) last_ = onednn.matmul(matmul_shape(piece(plan_.parts - 1)));
  return last_ != nullptr;
}

std::uint64_t Product::bytes() const noexcept {
  const auto size = [](const MatrixView& view, int rows, int columns) {
    return std::uint64_t(rows) * std::uint64_t(columns) * (FLAGOS_DTYPE_BITS(view.dtype) / 8);
  };
  return (size(a_.view, m_, k_) + size(b_.view, k_, n_) + size(out_.view, m_, n_)) *
         static_cast<std::uint64_t>(batch_);
}

// ---- running it -------------------------------------------------------------------------------

Product::Plan Product::plan(std::uint32_t threads) const noexcept {
  Plan plan;
  const double operations = 2.0 * m_ * n_ * k_ * static_cast<double>(batch_);
  plan.expected_ns = static_cast<std::uint64_t>(std::max(
      operations / operations_per_ns, n_ == 1 ? static_cast<double>(bytes()) / bytes_per_ns : 0));
  plan.along_rows = n_ == 1 || m_ >= n_;
  const std::int64_t length = plan.along_rows ? m_ : n_;
  const bool shared =
      plan.expected_ns >= least_shared_ns && batch_ < 2 * static_cast<std::int64_t>(threads);
  const std::int64_t wanted = shared ? threads : 1;
  plan.piece =
      ((length + wanted - 1) / wanted + piece_multiple - 1) / piece_multiple * piece_multiple;
  plan.parts = static_cast<std::uint64_t>((length + plan.piece - 1) / plan.piece);
  return plan;
}

Product::Piece Product::piece(std::uint64_t index) const noexcept {
  const auto place = static_cast<std::int64_t>(index / plan_.parts);
  const std::int64_t begin = static_cast<std::int64_t>(index % plan_.parts) * plan_.piece;
  const std::int64_t top = plan_.along_rows ? begin : 0, left = plan_.along_rows ? 0 : begin;
  Piece piece;
  piece.m = plan_.along_rows ? static_cast<int>(std::min(plan_.piece, m_ - begin)) : m_;
  piece.n = plan_.along_rows ? n_ : static_cast<int>(std::min(plan_.piece, n_ - begin));
  piece.a = place_of(a_.view, place, top, 0);
  piece.b = place_of(b_.view, place, 0, left);
  piece.out = place_of(out_.view, place, top, left);
  if (beta_ != 0) piece.c = place_of(c_, place, top, left);
  return piece;
}

// Writes c, or zeros, where the sum goes on top.
void Product::lay_addend(const Piece& piece) const noexcept {
  const auto lay = [&]<typename T>(T) {
    const T* const c = reinterpret_cast<const T*>(piece.c);
    T* const out = reinterpret_cast<T*>(piece.out);
    for (int i = 0; i < piece.m; ++i)
      for (int j = 0; j < piece.n; ++j)
        out[i * out_.view.stride(2) + j * out_.view.stride(1)] =
            c != nullptr ? c[i * c_.stride(2) + j * c_.stride(1)] : T{0};
  };
  switch (FLAGOS_DTYPE_BITS(out_.view.dtype)) {
    case 16:
      return lay(std::uint16_t{});
    case 32:
      return lay(std::uint32_t{});
    default:
      return lay(std::uint64_t{});
  }
}

template <typename T>
void Product::run_blas(const Piece& piece) const noexcept {
  constexpr int in_rows = BlasFunctions::row_major;
  const auto order = [](bool transposed) {
    return transposed ? BlasFunctions::transpose : BlasFunctions::no_transpose;
  };
  BlasFunctions::Gemm<T> gemm;
  BlasFunctions::Gemv<T> gemv;
  if constexpr (std::is_same_v<T, float>) {
    gemm = blas_->sgemm;
    gemv = blas_->sgemv;
  } else {
    gemm = blas_->dgemm;
    gemv = blas_->dgemv;
  }
  // A vector is always added to, since not every BLAS leaves what it holds before unread.
  if (beta_ != 0 ? !c_is_out_ : n_ == 1) lay_addend(piece);
  const T alpha = static_cast<T>(alpha_), beta = static_cast<T>(beta_);
  const T *const a = reinterpret_cast<const T*>(piece.a), *const b =
                                                              reinterpret_cast<const T*>(piece.b);
  T* const out = reinterpret_cast<T*>(piece.out);
  if (n_ == 1)
    gemv(in_rows, order(a_.transposed), a_.transposed ? k_ : piece.m, a_.transposed ? piece.m : k_,
         alpha, a, a_.leading, b, b_.leading, beta_ != 0 ? beta : T{1}, out, out_.leading);
  else
    gemm(in_rows, order(a_.transposed), order(b_.transposed), piece.m, piece.n, k_, alpha, a,
         a_.leading, b, b_.leading, beta, out, out_.leading);
}

MatmulShape Product::matmul_shape(const Piece& piece) const noexcept {
  MatmulShape shape;
  shape.in = a_.view.dtype;
  shape.out = out_.view.dtype;
  shape.m = piece.m;
  shape.n = piece.n;
  shape.k = k_;
  const auto stride = [](const Operand& operand, std::int64_t(&strides)[2]) {
    strides[operand.transposed ? 1 : 0] = operand.leading;
    strides[operand.transposed ? 0 : 1] = 1;
  };
  stride(a_, shape.a);
  stride(b_, shape.b);
  stride(out_, shape.result);
  if (shape.out != FLAGOS_DTYPE_INT32) shape.beta = static_cast<float>(beta_);
  return shape;
}

int Product::run_onednn(const Piece& piece) const noexcept {
  const bool whole_numbers = out_.view.dtype == FLAGOS_DTYPE_INT32;
  if (beta_ != 0 && !c_is_out_ && !whole_numbers) lay_addend(piece);
  const bool is_whole = (plan_.along_rows ? piece.m == plan_.piece : piece.n == plan_.piece);
  const int code = (is_whole ? *whole_ : *last_).run(piece.a, piece.b, piece.out);
  if (!whole_numbers || (alpha_ == 1 && beta_ == 0)) return code;
  // Wraps, as all sums of int32.
  const auto alpha = static_cast<std::uint32_t>(static_cast<std::int32_t>(alpha_)),
             beta = static_cast<std::uint32_t>(static_cast<std::int32_t>(beta_));
  auto* const out = reinterpret_cast<std::uint32_t*>(piece.out);
  const auto* const c = reinterpret_cast<const std::uint32_t*>(piece.c);
  for (int i = 0; i < piece.m; ++i)
    for (int j = 0; j < piece.n; ++j) {
      std::uint32_t& sum = out[i * out_.view.stride(2) + j * out_.view.stride(1)];
      sum *= alpha;
      if (c != nullptr) sum += beta * c[i * c_.stride(2) + j * c_.stride(1)];
    }
  return code;
}

Failure Product::run(Worker& worker) const noexcept {
  struct Context {
    const Product& product;
    std::atomic<int> code{0};
  } context{*this};
  Job job;
  job.body = [](void* data, std::uint64_t first, std::uint64_t last, Worker&) {
    auto& [product, failed] = *static_cast<Context*>(data);
    for (std::uint64_t index = first; index < last; ++index) {
      const Piece piece = product.piece(index);
      if (product.blas_ == nullptr) {
        if (const int code = product.run_onednn(piece); code != 0) failed = code;
      } else if (product.out_.view.dtype == FLAGOS_DTYPE_FLOAT32) {
        product.run_blas<float>(piece);
      } else {
        product.run_blas<double>(piece);
      }
    }
  };
  job.context = &context;
  job.total = static_cast<std::uint64_t>(batch_) * plan_.parts;
  job.expected_ns = plan_.expected_ns;
  if ((blas_ != nullptr && !blas_->is_single) || job.total > Job::max_total)
    job.body(&context, 0, job.total, worker);
  else
    worker.pool().share(job, worker);
  return context.code == 0 ? nullptr : Onednn::failure(name_, context.code);
}

}  // namespace flagos::cpu
