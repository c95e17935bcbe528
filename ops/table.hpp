// All operators.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ops/operator.hpp"

namespace flagos::ops {

class Table {
 public:
  // The one table; made when it is first asked for.
  static const Table& get();

  const std::vector<std::unique_ptr<Operator>>& operators() const { return operators_; }
  // By the name of ATen ("add.Scalar") or of the C function ("add_scalar"); NULL when there is none.
  const Operator* find(std::string_view name) const;

  // For the families: rows in the order of the documents.
  void begin(const char* family) { family_ = family; }
  template <typename T, typename... Args>
  void add(Args&&... args) {
    insert(std::make_unique<T>(std::forward<Args>(args)...));
  }
  void add(const char* schema_text, DTypes dtypes, Bound bound, PlainOperator::Run run) {
    add<PlainOperator>(schema_text, dtypes, bound, run);
  }

 private:
  Table();
  void insert(std::unique_ptr<Operator> op);

  const char* family_ = "";
  std::vector<std::unique_ptr<Operator>> operators_;
  std::unordered_map<std::string_view, const Operator*> by_name_;
  std::vector<std::unique_ptr<std::string>> function_names_;
};

}  // namespace flagos::ops
