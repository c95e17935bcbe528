#include "ops/table.hpp"

#include "ops/families.hpp"

namespace flagos::ops {

std::string Bound::text() const {
  if (ulp == 0 && sum == 0) return "exact";
  std::string out = ulp != 0 ? fmt::format("{} ulp", ulp) : "";
  if (sum != 0) out += fmt::format("{}{} u log2(K) Σ|x|", out.empty() ? "" : " + ", sum);
  return out;
}

Operator::Operator(const char* schema_text, DTypes dtypes, Bound bound)
    : schema_text_(schema_text),
      schema_(Schema::parse(schema_text)),
      dtypes_(dtypes),
      bound_(bound),
      dtypes_text_(dtypes.text()),
      bound_text_(bound.text()) {}

Table::Table() {
  begin("unary");
  add_unary(*this);
  begin("activation");
  add_activations(*this);
  add_gates(*this);
  begin("binary");
  add_binary(*this);
  add_polar(*this);
  begin("reduction");
  add_reductions(*this);
  begin("scan");
  add_scans(*this);
  begin("softmax");
  add_softmax(*this);
  begin("loss");
  add_losses(*this);
  begin("norm");
  add_norms(*this);
  begin("product");
  add_products(*this);
  begin("convolution");
  add_convolutions(*this);
  begin("pooling");
  add_pooling(*this);
  begin("attention");
  add_attention(*this);
  begin("language");
  add_language(*this);
  begin("indexing");
  add_indexing(*this);
  begin("sort");
  add_sorting(*this);
  add_searches(*this);
  add_unique(*this);
  add_histograms(*this);
  begin("shape");
  add_shape(*this);
  begin("random");
  add_random(*this);
  begin("optimizer");
  add_optimizers(*this);
}

const Table& Table::get() {
  static const Table table;
  return table;
}

void Table::insert(std::unique_ptr<Operator> op) {
  op->family_ = family_;
  op->index_ = static_cast<std::uint32_t>(operators_.size());
  function_names_.push_back(std::make_unique<std::string>(op->schema().function_name()));
  const bool fresh = by_name_.emplace(*function_names_.back(), op.get()).second;
  if (!fresh) throw_error(FLAGOS_STATUS_INTERNAL, "two operators are called {}", op->name());
  by_name_.emplace(op->name(), op.get());
  operators_.push_back(std::move(op));
}

const Operator* Table::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found != by_name_.end() ? found->second : nullptr;
}

}  // namespace flagos::ops
