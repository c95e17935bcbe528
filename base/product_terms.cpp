#include "base/product_terms.hpp"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

namespace flagos {
namespace {

// The arguments of a call by their place in the schema. What is not as the schema says is not there.
class Arguments {
 public:
  explicit Arguments(const flagos_operator_desc_t& desc) : desc_(desc) {}

  std::uint32_t count() const { return desc_.argument_count; }
  bool has(std::uint32_t i) const { return argument(i).type != FLAGOS_OPERATOR_ARGUMENT_TYPE_NONE; }
  std::optional<MatrixView> tensor(std::uint32_t i) const {
    if (argument(i).type != FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR) return std::nullopt;
    return MatrixView::of(*reinterpret_cast<const flagos_tensor_t*>(static_cast<std::uintptr_t>(argument(i).value)));
  }
  std::optional<MatrixView> tensor(std::uint32_t i, int rank) const {
    const std::optional<MatrixView> view = tensor(i);
    return view && view->rank == rank ? view : std::nullopt;
  }
  std::optional<double> number(std::uint32_t i) const {
    switch (argument(i).type) {
      case FLAGOS_OPERATOR_ARGUMENT_TYPE_REAL:
        return std::bit_cast<double>(argument(i).value);
      case FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGER:
      case FLAGOS_OPERATOR_ARGUMENT_TYPE_BOOLEAN:
        return static_cast<double>(static_cast<std::int64_t>(argument(i).value));
      default:
        return std::nullopt;
    }
  }

 private:
  const flagos_operator_argument_t& argument(std::uint32_t i) const { return desc_.arguments[i]; }

  const flagos_operator_desc_t& desc_;
};

using View = std::optional<MatrixView>;
using Terms = std::optional<ProductTerms>;

Terms terms_of(const View& a, const View& b, const View& out) {
  if (!a || !b || !out) return std::nullopt;
  return ProductTerms{*a, *b, *out, std::nullopt};
}
View row(const View& view) { return view ? view->as_row() : std::nullopt; }
View column(const View& view) { return view ? view->as_column() : std::nullopt; }

template <int Rank>
Terms matrices(const Arguments& arguments) {
  return terms_of(arguments.tensor(0, Rank), arguments.tensor(1, Rank), arguments.tensor(2, Rank));
}

Terms mv(const Arguments& arguments) {
  return terms_of(arguments.tensor(0, 2), column(arguments.tensor(1, 1)), column(arguments.tensor(2, 1)));
}

Terms dot(const Arguments& arguments) {
  return terms_of(row(arguments.tensor(0, 1)), column(arguments.tensor(1, 1)), row(row(arguments.tensor(2, 0))));
}

// beta input + alpha (1 2)
template <int Rank, bool Vector>
Terms add(const Arguments& arguments) {
  constexpr int result_rank = Vector ? 1 : Rank;
  View out = arguments.tensor(5, result_rank), b = arguments.tensor(2, result_rank);
  View c = arguments.tensor(0);
  const std::optional<double> beta = arguments.number(3), alpha = arguments.number(4);
  if (!out || !c || !beta || !alpha) return std::nullopt;
  c = c->expanded_to(out->dims());
  if (Vector) {
    out = column(out);
    b = column(b);
    c = column(c);
  }
  Terms terms = terms_of(arguments.tensor(1, Rank), b, out);
  if (!terms || !c) return std::nullopt;
  terms->c = c;
  terms->alpha = *alpha;
  terms->beta = *beta;
  return terms;
}

Terms matmul(const Arguments& arguments) {
  View a = arguments.tensor(0), b = arguments.tensor(1), out = arguments.tensor(2);
  if (!a || !b || !out || a->rank == 0 || b->rank == 0) return std::nullopt;
  const bool is_row = a->rank == 1, is_column = b->rank == 1;
  if (is_column) {
    b = column(b);
    out = column(out);
  }
  if (is_row) {
    a = row(a);
    if (out && out->rank > 0) out = out->with_axis(out->rank - 1);
  }
  return terms_of(a, b, out);
}

Terms linear(const Arguments& arguments) {
  View a = arguments.tensor(0), weight = arguments.tensor(1), out = arguments.tensor(3);
  if (!a || !weight || !out || weight->rank == 0) return std::nullopt;
  if (weight->rank == 1) {
    weight = row(weight);
    out = column(out);
  }
  if (!weight || weight->rank != 2) return std::nullopt;
  if (a->rank == 1) a = row(a);
  if (out && out->rank == 1) out = row(out);
  Terms terms = terms_of(a, weight->transposed(), out);
  if (!terms || !arguments.has(2)) return terms;
  terms->c = arguments.tensor(2);
  terms->beta = 1;
  return terms->c && terms->c->rank <= 1 ? terms : std::nullopt;
}

struct Row {
  std::uint32_t arguments;
  Terms (*terms)(const Arguments&);
};
// In the order of `operators`.
constexpr Row table[] = {
    {3, matrices<2>},  {3, matrices<3>}, {6, add<2, false>}, {6, add<3, false>}, {3, matmul}, {4, linear}, {3, mv},
    {6, add<2, true>}, {3, dot}};
constexpr ProductOperator operators[] = {
    {"mm", "mm(Tensor input, Tensor mat2, Tensor! out)"},
    {"bmm", "bmm(Tensor input, Tensor mat2, Tensor! out)"},
    {"addmm", "addmm(Tensor input, Tensor mat1, Tensor mat2, Scalar beta=1, Scalar alpha=1, Tensor! out)"},
    {"baddbmm",
     "baddbmm(Tensor input, Tensor batch1, Tensor batch2, Scalar beta=1, Scalar alpha=1, Tensor! "
     "out)"},
    {"matmul", "matmul(Tensor input, Tensor other, Tensor! out)"},
    {"linear", "linear(Tensor input, Tensor weight, Tensor? bias, Tensor! out)"},
    {"mv", "mv(Tensor input, Tensor vec, Tensor! out)"},
    {"addmv", "addmv(Tensor input, Tensor mat, Tensor vec, Scalar beta=1, Scalar alpha=1, Tensor! out)"},
    {"dot", "dot(Tensor input, Tensor tensor, Tensor! out)"}};
static_assert(std::size(table) == std::size(operators));

// Rows of all places of the batch are rows of one matrix where they lie evenly and b is the same at each.
void fold_batch(ProductTerms& terms) {
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
    const auto even = [&](const MatrixView& view) { return m == 1 || view.stride(3) == m * view.stride(2); };
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

std::optional<MatrixView::Form> MatrixView::form(std::int64_t most_leading) const {
  for (const bool is_transposed : {false, true}) {
    const MatrixView rows = is_transposed ? transposed() : *this;
    const bool one_row = rows.extent(2) == 1, one_column = rows.extent(1) == 1;
    const std::int64_t least = std::max<std::int64_t>(rows.extent(1), 1);
    const std::int64_t leading = one_row ? least : rows.stride(2);
    if ((rows.stride(1) == 1 || one_column) && leading >= least && leading <= most_leading)
      return Form{is_transposed, leading};
  }
  return std::nullopt;
}

// ---- terms --------------------------------------------------------------------------------------------------------

std::span<const ProductOperator> product_operators() noexcept { return operators; }

std::optional<ProductTerms> ProductTerms::of(const flagos_operator_desc_t& desc) {
  const Row& row = table[desc.index];
  if (desc.argument_count != row.arguments) return std::nullopt;
  return row.terms(Arguments(desc));
}

bool ProductTerms::prepare() {
  if (a.rank < 2 || b.rank < 2 || out.rank < 2) return false;
  if (beta == 0) c.reset();
  if (alpha == 0 || a.extent(1) == 0 || a.extent(1) != b.extent(2) || a.extent(2) != out.extent(2) ||
      b.extent(1) != out.extent(1))
    return false;
  const auto spread = [&](MatrixView& view) {
    std::int64_t target[MatrixView::max_rank];
    std::copy_n(out.shape, out.rank - 2, target);
    target[out.rank - 2] = view.extent(2);
    target[out.rank - 1] = view.extent(1);
    const auto found = view.expanded_to({target, static_cast<std::size_t>(out.rank)});
    if (found) view = *found;
    return found.has_value();
  };
  if (!spread(a) || !spread(b)) return false;
  if (c) {
    c = c->expanded_to(out.dims());
    if (!c) return false;
  }
  fold_batch(*this);
  // Rows of the result lie along memory; and a matrix and a vector come in this order.
  if (out.extent(1) != 1 && (out.extent(2) == 1 || (out.stride(1) != 1 && out.stride(2) == 1))) {
    std::swap(a, b);
    for (MatrixView* view : {&a, &b, &out, c ? &*c : nullptr})
      if (view != nullptr) *view = view->transposed();
  }
  return true;
}

std::int64_t ProductTerms::places() const noexcept {
  std::int64_t places = 1;
  for (int axis = 0; axis < out.rank - 2; ++axis) places *= out.shape[axis];
  return places;
}

}  // namespace flagos
