#include "plugins/cpu/product.hpp"

#include <algorithm>
#include <climits>
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

bool fits_int(std::int64_t value) { return value >= 0 && value <= INT_MAX; }

// Rows of all places of the batch are rows of one matrix where they lie evenly and b is the same at each.
void fold_batch(Product::Terms& terms) {
  auto& [a, b, out, c, alpha, beta] = terms;
  const auto drop = [](MatrixView& view, std::int64_t rows) {
    const int axis = view.rank - 3;
    view.shape[axis] = rows;
    view.strides[axis] = view.strides[axis + 1];
    view.shape[axis + 1] = view.shape[axis + 2];
    view.strides[axis + 1] = view.strides[axis + 2];
    --view.rank;
  };
  while (out.rank > 2) {
    const std::int64_t m = out.extent(2), places = out.extent(3), rows = m * places;
    const auto even = [&](const MatrixView& view) {
      return m == 1 || view.stride(3) == m * view.stride(2);
    };
    if (places != 1 && (b.stride(3) != 0 || !even(a) || !even(out) || (c && !even(*c)))) return;
    const bool one_row = m == 1 && places != 1;  // then the stride of places is that of rows
    for (MatrixView* view : {&a, &out, c ? &*c : nullptr}) {
      if (view == nullptr) continue;
      if (one_row) view->strides[view->rank - 2] = view->stride(3);
      drop(*view, rows);
    }
    drop(b, b.extent(2));
  }
}

bool is_same_place(const MatrixView& a, const MatrixView& b) {
  if (a.address != b.address) return false;
  for (int i = 0; i < a.rank; ++i)
    if (a.shape[i] != 1 && a.strides[i] != b.strides[i]) return false;
  return true;
}

// The address at a place of the batch.
template <typename T>
T* place_of(const MatrixView& view, std::int64_t place) {
  std::int64_t offset = 0;
  for (int axis = view.rank - 3; axis >= 0; --axis) {
    offset += place % view.shape[axis] * view.strides[axis];
    place /= view.shape[axis];
  }
  return reinterpret_cast<T*>(view.address) + offset;
}

}  // namespace

// ---- views ------------------------------------------------------------------------------------

std::optional<MatrixView> MatrixView::of(const flagos_tensor_t& tensor) {
  if (tensor.rank > max_rank) return std::nullopt;
  MatrixView view;
  view.address = tensor.address;
  view.dtype = tensor.dtype;
  view.rank = static_cast<int>(tensor.rank);
  std::copy_n(tensor.shape, tensor.rank, view.shape);
  std::copy_n(tensor.strides, tensor.rank, view.strides);
  return view;
}

std::optional<MatrixView> MatrixView::with_axis(int axis) const {
  if (rank == max_rank) return std::nullopt;
  MatrixView view = *this;
  ++view.rank;
  std::copy_backward(shape + axis, shape + rank, view.shape + view.rank);
  std::copy_backward(strides + axis, strides + rank, view.strides + view.rank);
  view.shape[axis] = 1;
  view.strides[axis] = 0;
  return view;
}

MatrixView MatrixView::transposed() const {
  MatrixView view = *this;
  std::swap(view.shape[rank - 1], view.shape[rank - 2]);
  std::swap(view.strides[rank - 1], view.strides[rank - 2]);
  return view;
}

std::optional<MatrixView> MatrixView::expanded_to(std::span<const std::int64_t> target) const {
  const int grown = static_cast<int>(target.size()) - rank;
  if (grown < 0 || target.size() > max_rank) return std::nullopt;
  MatrixView view = *this;
  view.rank = static_cast<int>(target.size());
  for (int i = view.rank; i-- > 0;) {
    const std::int64_t own = i >= grown ? shape[i - grown] : 1;
    if (own != target[i] && own != 1) return std::nullopt;
    view.shape[i] = target[i];
    view.strides[i] = i >= grown && own == target[i] ? strides[i - grown] : 0;
  }
  return view;
}

// ---- what BLAS can express --------------------------------------------------------------------

std::optional<Product> Product::of(Terms terms, const char* name) {
  auto& [a, b, out, c, alpha, beta] = terms;
  if (a.rank < 2 || b.rank < 2 || out.rank < 2 || a.dtype != b.dtype || a.dtype != out.dtype ||
      (c && c->dtype != out.dtype))
    return std::nullopt;
  if (a.dtype != FLAGOS_DTYPE_FLOAT32 && a.dtype != FLAGOS_DTYPE_FLOAT64) return std::nullopt;
  if (beta == 0) c.reset();
  // An alpha of 0, and sums of nothing, are left to those who know what NaN times 0 is.
  if (alpha == 0 || a.extent(1) == 0 || a.extent(1) != b.extent(2) ||
      a.extent(2) != out.extent(2) || b.extent(1) != out.extent(1))
    return std::nullopt;
  const auto spread = [&](MatrixView& view) {
    std::int64_t target[MatrixView::max_rank];
    std::copy_n(out.shape, out.rank - 2, target);
    target[out.rank - 2] = view.extent(2);
    target[out.rank - 1] = view.extent(1);
    const auto found = view.expanded_to({target, static_cast<std::size_t>(out.rank)});
    if (found) view = *found;
    return found.has_value();
  };
  if (!spread(a) || !spread(b)) return std::nullopt;
  if (c) {
    c = c->expanded_to(out.dims());
    if (!c) return std::nullopt;
  }
  fold_batch(terms);
  // Rows of the result lie along memory; and a matrix and a vector come in this order.
  if (out.extent(1) != 1 && (out.extent(2) == 1 || (out.stride(1) != 1 && out.stride(2) == 1))) {
    std::swap(a, b);
    for (MatrixView* view : {&a, &b, &out, c ? &*c : nullptr})
      if (view != nullptr) *view = view->transposed();
  }
  if (!fits_int(out.extent(2)) || !fits_int(out.extent(1)) || !fits_int(a.extent(1)))
    return std::nullopt;

  Product product;
  product.name_ = name;
  product.m_ = static_cast<int>(out.extent(2));
  product.n_ = static_cast<int>(out.extent(1));
  product.k_ = static_cast<int>(a.extent(1));
  for (int axis = 0; axis < out.rank - 2; ++axis) product.batch_ *= out.shape[axis];
  if (product.m_ == 0 || product.n_ == 0 || product.batch_ == 0) return std::nullopt;
  product.alpha_ = alpha;
  if (c) {
    product.beta_ = beta;
    product.c_ = *c;
    product.c_is_out_ = is_same_place(*c, out);
  }
  const auto express = [](const MatrixView& view, Operand& operand) {
    operand.view = view;
    for (const bool transposed : {false, true}) {
      const MatrixView rows = transposed ? view.transposed() : view;
      const bool one_row = rows.extent(2) == 1, one_column = rows.extent(1) == 1;
      const std::int64_t least = std::max<std::int64_t>(rows.extent(1), 1);
      const std::int64_t leading = one_row ? least : rows.stride(2);
      if ((rows.stride(1) != 1 && !one_column) || leading < least || !fits_int(leading)) continue;
      operand.transposed = transposed;
      operand.leading = static_cast<int>(leading);
      return true;
    }
    return false;
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

std::uint64_t Product::bytes() const noexcept {
  const std::uint64_t elements =
      std::uint64_t(m_) * k_ + std::uint64_t(k_) * n_ + std::uint64_t(m_) * n_;
  return elements * (FLAGOS_DTYPE_BITS(out_.view.dtype) / 8) * static_cast<std::uint64_t>(batch_);
}

// ---- running it -------------------------------------------------------------------------------

// Places of the batch, each of `parts` pieces along rows or columns. What a piece computes depends on the shape and on
// the number of threads, not on who runs it: the same call gives the same bits each time.
struct Product::Plan {
  std::uint64_t parts = 1;
  bool along_rows = true;
  std::int64_t piece = 0;  // rows or columns
  std::uint64_t expected_ns = 0;
};

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

template <typename T>
void Product::run_pieces(const BlasFunctions& blas, const Plan& plan, std::uint64_t first,
                         std::uint64_t last) const {
  constexpr int in_rows = BlasFunctions::row_major;
  const auto order = [](bool transposed) {
    return transposed ? BlasFunctions::transpose : BlasFunctions::no_transpose;
  };
  BlasFunctions::Gemm<T> gemm;
  BlasFunctions::Gemv<T> gemv;
  if constexpr (std::is_same_v<T, float>) {
    gemm = blas.sgemm;
    gemv = blas.sgemv;
  } else {
    gemm = blas.dgemm;
    gemv = blas.dgemv;
  }
  for (std::uint64_t index = first; index < last; ++index) {
    const auto place = static_cast<std::int64_t>(index / plan.parts);
    const std::int64_t begin = static_cast<std::int64_t>(index % plan.parts) * plan.piece;
    const std::int64_t top = plan.along_rows ? begin : 0, left = plan.along_rows ? 0 : begin;
    const int m = plan.along_rows ? static_cast<int>(std::min(plan.piece, m_ - begin)) : m_;
    const int n = plan.along_rows ? n_ : static_cast<int>(std::min(plan.piece, n_ - begin));
    const T* const a = place_of<const T>(a_.view, place) + top * a_.view.stride(2);
    const T* const b = place_of<const T>(b_.view, place) + left * b_.view.stride(1);
    T* const out =
        place_of<T>(out_.view, place) + top * out_.view.stride(2) + left * out_.view.stride(1);
    // The sum goes on top of c. A vector is always added to, since not every BLAS leaves what it holds before unread.
    if (beta_ != 0 ? !c_is_out_ : n_ == 1) {
      const T* const c =
          beta_ != 0 ? place_of<const T>(c_, place) + top * c_.stride(2) + left * c_.stride(1)
                     : nullptr;
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < n; ++j)
          out[i * out_.view.stride(2) + j * out_.view.stride(1)] =
              c != nullptr ? c[i * c_.stride(2) + j * c_.stride(1)] : T{0};
    }
    const T alpha = static_cast<T>(alpha_), beta = static_cast<T>(beta_);
    if (n_ == 1)
      gemv(in_rows, order(a_.transposed), a_.transposed ? k_ : m, a_.transposed ? m : k_, alpha, a,
           a_.leading, b, b_.leading, beta_ != 0 ? beta : T{1}, out, out_.leading);
    else
      gemm(in_rows, order(a_.transposed), order(b_.transposed), m, n, k_, alpha, a, a_.leading, b,
           b_.leading, beta, out, out_.leading);
  }
}

void Product::run(const BlasFunctions& blas, Worker& worker) const noexcept {
  struct Context {
    const Product& product;
    const BlasFunctions& blas;
    Plan plan;
  } context{*this, blas, plan(blas.is_single ? worker.pool().thread_count() : 1)};
  Job job;
  job.body = [](void* data, std::uint64_t first, std::uint64_t last, Worker&) {
    const auto& [product, functions, plan] = *static_cast<const Context*>(data);
    if (product.out_.view.dtype == FLAGOS_DTYPE_FLOAT32)
      product.run_pieces<float>(functions, plan, first, last);
    else
      product.run_pieces<double>(functions, plan, first, last);
  };
  job.context = &context;
  job.total = static_cast<std::uint64_t>(batch_) * context.plan.parts;
  job.expected_ns = context.plan.expected_ns;
  if (!blas.is_single || job.total > Job::max_total)
    return job.body(&context, 0, job.total, worker);
  worker.pool().share(job, worker);
}

}  // namespace flagos::cpu
