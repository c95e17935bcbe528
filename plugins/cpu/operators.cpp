#include "plugins/cpu/operators.hpp"

#include <bit>
#include <iterator>
#include <optional>

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/product.hpp"
#include "plugins/cpu/stream.hpp"

namespace flagos::cpu {
namespace {

// The arguments of a call by their place in the schema. What is not as the schema says is not there.
class Arguments {
 public:
  explicit Arguments(const flagos_operator_desc_t& desc) : desc_(desc) {}

  std::uint32_t count() const { return desc_.argument_count; }
  bool has(std::uint32_t i) const { return argument(i).type != FLAGOS_OPERATOR_ARGUMENT_TYPE_NONE; }
  std::optional<MatrixView> tensor(std::uint32_t i) const {
    if (argument(i).type != FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR) return std::nullopt;
    return MatrixView::of(
        *reinterpret_cast<const flagos_tensor_t*>(static_cast<std::uintptr_t>(argument(i).value)));
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
using Terms = std::optional<Product::Terms>;

Terms terms_of(const View& a, const View& b, const View& out) {
  if (!a || !b || !out) return std::nullopt;
  return Product::Terms{*a, *b, *out, std::nullopt};
}
View row(const View& view) { return view ? view->as_row() : std::nullopt; }
View column(const View& view) { return view ? view->as_column() : std::nullopt; }

template <int Rank>
Terms matrices(const Arguments& arguments) {
  return terms_of(arguments.tensor(0, Rank), arguments.tensor(1, Rank), arguments.tensor(2, Rank));
}

Terms mv(const Arguments& arguments) {
  return terms_of(arguments.tensor(0, 2), column(arguments.tensor(1, 1)),
                  column(arguments.tensor(2, 1)));
}

Terms dot(const Arguments& arguments) {
  return terms_of(row(arguments.tensor(0, 1)), column(arguments.tensor(1, 1)),
                  row(row(arguments.tensor(2, 0))));
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
  const char* name;
  const char* schema;
  std::uint32_t arguments;
  Terms (*terms)(const Arguments&);
};
// As the table of operators has them (flagos_ops.h).
constexpr Row rows[] = {
    {"mm", "mm(Tensor input, Tensor mat2, Tensor! out)", 3, matrices<2>},
    {"bmm", "bmm(Tensor input, Tensor mat2, Tensor! out)", 3, matrices<3>},
    {"addmm",
     "addmm(Tensor input, Tensor mat1, Tensor mat2, Scalar beta=1, Scalar alpha=1, Tensor! out)", 6,
     add<2, false>},
    {"baddbmm",
     "baddbmm(Tensor input, Tensor batch1, Tensor batch2, Scalar beta=1, Scalar alpha=1, Tensor! "
     "out)",
     6, add<3, false>},
    {"matmul", "matmul(Tensor input, Tensor other, Tensor! out)", 3, matmul},
    {"linear", "linear(Tensor input, Tensor weight, Tensor? bias, Tensor! out)", 4, linear},
    {"mv", "mv(Tensor input, Tensor vec, Tensor! out)", 3, mv},
    {"addmv",
     "addmv(Tensor input, Tensor mat, Tensor vec, Scalar beta=1, Scalar alpha=1, Tensor! out)", 6,
     add<2, true>},
    {"dot", "dot(Tensor input, Tensor tensor, Tensor! out)", 3, dot}};

// With the library that computes it; nothing where there is none.
std::optional<Product> product_of(Device& device, const flagos_operator_desc_t& desc) {
  const Row& row = rows[desc.index];
  if (desc.argument_count != row.arguments) return std::nullopt;
  const Terms terms = row.terms(Arguments(desc));
  std::optional<Product> product = terms ? Product::of(*terms, row.name) : std::nullopt;
  Instance& instance = device.instance();
  if (product &&
      !product->find_library(instance.blas(), instance.onednn(), device.pool().thread_count()))
    product.reset();
  return product;
}

}  // namespace

// The libraries themselves are looked for when a product asks for them.
flagos_status_t operator_get_info(flagos_plugin_device_t* device, std::uint32_t index,
                                  flagos_operator_info_t* out_info) noexcept {
  Device& self = from_c(device);
  Instance& instance = self.instance();
  if (index >= std::size(rows) || (!instance.blas().is_wanted() && !instance.onednn().is_wanted()))
    return FLAGOS_STATUS_NOT_FOUND;
  out_info->name = rows[index].name;
  out_info->schema = rows[index].schema;
  return FLAGOS_STATUS_OK;
}

flagos_status_t operator_query(flagos_plugin_device_t* device, const flagos_operator_desc_t* desc,
                               flagos_operator_support_t* out_support) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    if (!product_of(self, *desc)) return;
    out_support->flags =
        FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS | FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE;
  });
}

flagos_status_t operator_run(flagos_plugin_stream_t* stream,
                             const flagos_operator_desc_t* desc) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    std::optional<Product> product = product_of(self.device(), *desc);
    if (!product)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "no library that is here takes this call of {}",
                  rows[desc->index].name);
    self.submit<ProductCommand>(
        [&](ProductCommand& command) { command.product = *std::move(product); });
  });
}

}  // namespace flagos::cpu
