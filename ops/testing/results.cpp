#include "ops/testing/results.hpp"

#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <set>

#include "ops/table.hpp"
#include "ops/testing/fixture.hpp"

namespace flagos::ops::testing {
namespace {

struct Result {
  bool passed = true;
  std::set<DType> types;
  std::uint64_t calls = 0;  // that worked
};
using Results = std::map<std::string, Result>;

struct Record {
  Results all, of_this_case;
  std::uint64_t cases = 0, failed = 0;
};
Record& record() {
  static Record value;
  return value;
}

bool is_any(const Parameter& parameter) {
  return parameter.kind == Parameter::Kind::tensor &&
         parameter.elements == Parameter::Elements::any;
}

const HostTensor* first_of(const Argument& argument) {
  if (auto* const* tensor = std::get_if<HostTensor*>(&argument)) return *tensor;
  const auto* const list = std::get_if<std::vector<HostTensor*>>(&argument);
  return list != nullptr && !list->empty() ? list->front() : nullptr;
}

// The type that the call is a test of: that of the first input which is neither a mask nor holds indices, or of the first
// output where there is none, or where it is changed in place. Nothing for inputs of several types, whose promotion is
// another matter; those that the operator does not compute in, such as what is added to products of int8, do not count.
std::optional<DType> type_of(const Operator& op, const Arguments& arguments) {
  const std::vector<Parameter>& parameters = op.schema().parameters;
  const bool in_place = !parameters.empty() && parameters[0].output;
  for (const bool outputs : {in_place, !in_place}) {
    std::optional<DType> found;
    for (std::size_t i = 0; i < arguments.size() && i < parameters.size(); ++i) {
      const HostTensor* const tensor = first_of(arguments[i]);
      if (tensor == nullptr || parameters[i].output != outputs || !is_any(parameters[i])) continue;
      if (!op.dtypes().has(tensor->dtype())) continue;
      if (found && *found != tensor->dtype() && !is_floating(*found)) return std::nullopt;
      if (!found) found = tensor->dtype();
    }
    if (found) return found;
  }
  return std::nullopt;
}

}  // namespace

void note_call(const Operator& op, const Arguments& arguments, bool worked) {
  Result& result = record().of_this_case[op.name()];
  if (!worked) return;
  ++result.calls;
  if (const std::optional<DType> type = type_of(op, arguments)) result.types.insert(*type);
}

std::string run_noted(Example& example) {
  const std::string wrong = example.run(Fixture::get().caller());
  note_call(*Table::get().find(example.op), example.arguments, wrong.empty());
  return wrong;
}

void note_test_case(bool passed) {
  Record& r = record();
  ++r.cases;
  r.failed += passed ? 0 : 1;
  for (const auto& [op, result] : r.of_this_case) {
    Result& so_far = r.all[op];
    so_far.passed = so_far.passed && passed;
    so_far.calls += result.calls;
    if (passed) so_far.types.insert(result.types.begin(), result.types.end());
  }
  r.of_this_case.clear();
}

void write_results(const std::string& device, bool lacks_f64) {
  const char* const path = std::getenv("FLAGOS_OPS_STATUS_FILE");
  if (path == nullptr) return;
  std::ofstream out(path);
  out << "{\"device\": \"" << device << "\", \"seed\": " << seed()
      << ", \"cases\": " << record().cases << ", \"failed\": " << record().failed
      << ", \"lacks\": [" << (lacks_f64 ? "\"float64\"" : "") << "],\n \"operators\": {";
  const char* separator = "\n";
  for (const auto& [op, result] : record().all) {
    // One that was only ever refused is not tried.
    const bool tried = result.calls != 0 || !result.passed;
    if (!tried) continue;
    out << separator << "  \"" << op << "\": {\"result\": \"" << (result.passed ? "pass" : "fail")
        << "\", \"calls\": " << result.calls << ", \"types\": [";
    const char* comma = "";
    for (const DType type : result.types) {
      out << comma << '"' << dtype_name(type) << '"';
      comma = ", ";
    }
    out << "]}";
    separator = ",\n";
  }
  out << "\n}}\n";
}

}  // namespace flagos::ops::testing
