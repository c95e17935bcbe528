// What a plugin computes with a library of its own (group operators), beside the operators' own definitions.
#include <flagos_ops.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "conformance/cases/num_support.hpp"

namespace flagos::conformance {
namespace {

constexpr DType real_types[] = {DType::f32, DType::f64, DType::f16, DType::bf16};

// Calls of an operator, small and larger; nothing for one that the suite has no examples of.
std::vector<op::Example> examples_of(const std::string& name, op::Random& random) {
  std::vector<op::Example> out;
  for (const op::PointwiseReference& row : op::pointwise_references())
    if (name == row.op)
      for (const DType dtype : real_types)
        if (op::takes(row, dtype))
          out.push_back(
              op::pointwise_example(row, dtype, {17, 31}, Placement::dense, false, random));
  for (const op::ReductionReference& row : op::reduction_references())
    if (name == row.op)
      for (const DType dtype : row.types)
        out.push_back(op::reduction_example(row, dtype, {17, 31}, {1}, false, Placement::dense,
                                            true, random));
  const auto of_products = [&](DType dtype) {
    if (name == "mm") {
      for (const std::int64_t k : {1, 70, 300})
        out.push_back(op::mm_example(dtype, 37, 50, k, true, {}, random));
      for (const Placement placement : {Placement::dense, Placement::transposed})
        out.push_back(op::mm_example(dtype, 129, 65, 70, dtype == DType::i8,
                                     {placement, placement, Placement::dense}, random));
      out.push_back(op::mm_example(dtype, 1, 65, 70, true, {}, random));
      out.push_back(op::mm_example(dtype, 65, 1, 70, true, {}, random));
    } else if (name == "bmm") {
      out.push_back(op::bmm_example(dtype, 6, 9, 35, 70, random));
    } else if (name == "addmm") {
      out.push_back(op::addmm_example(dtype, 37, 50, 70, 2, 1, random));
      out.push_back(op::addmm_example(dtype, 37, 50, 70, 0, 3, random));
    }
  };
  for (const DType dtype : real_types) of_products(dtype);
  of_products(DType::i8);
  for (const DType dtype : real_types) {
    if (name == "softmax" || name == "log_softmax")
      out.push_back(op::softmax_example(dtype, {9, 257}, name == "log_softmax", random));
    if (name == "rms_norm") out.push_back(op::rms_norm_example(dtype, 9, 256, random));
    if (name == "cumsum") out.push_back(op::cumsum_example(dtype, 9, 100, random));
    if (name == "scaled_dot_product_attention")
      for (const bool causal : {false, true})
        out.push_back(op::attention_example(dtype, 2, 33, 65, 64, causal, random));
    if (name == "gather") out.push_back(op::gather_example(dtype, 9, 64, random));
    if (name == "scatter_add") out.push_back(op::scatter_add_example(dtype, 9, 64, random));
    if (name == "embedding") out.push_back(op::embedding_example(dtype, 13, 40, 29, random));
    if (name == "sort") out.push_back(op::sort_example(dtype, 9, 100, random));
    if (name == "copy") out.push_back(op::cast_example(dtype, DType::f32, 257, random));
    if (name == "cat") out.push_back(op::cat_example(dtype, random));
  }
  return out;
}

// Whether the library knows an operator by this schema; under another it is another operator, and is never run.
bool is_known(const flagos_operator_info_t& native) {
  std::uint32_t index = 0;
  flagos_ops_info_t info{};
  info.struct_size = sizeof(info);
  return flagos_ops_find(native.name, &index) == FLAGOS_STATUS_OK &&
         flagos_ops_get_info(index, &info) == FLAGOS_STATUS_OK &&
         std::strcmp(info.schema, native.schema) == 0;
}

}  // namespace

FLAGOS_CASE("num.native.matches_portable",
            {.clause = "flagos_operator_run: the bounds of the portable operator",
             .level = Level::optional,
             .oracle = Oracle::bound,
             .isolation = Isolation::own,
             .feature = "operators",
             .seconds = 600}) {
  t.require(FLAGOS_FEATURE_OPERATORS);
  Stream stream(t);
  const op::Caller caller(t.device(), stream);
  std::uint32_t count = 0, taken = 0;
  t.ok(flagos_operator_get_count(t.device(), &count), "the number of native operators");
  t.check(count > 0, "a device with the feature offers operators");
  for (std::uint32_t index = 0; index < count; ++index) {
    flagos_operator_info_t native{};
    native.struct_size = sizeof(native);
    t.ok(flagos_operator_get_info(t.device(), index, &native), "a native operator");
    if (!is_known(native)) continue;
    for (op::Example& example : examples_of(native.name, t.random())) {
      t.subcase(example.which);
      const std::optional<std::string> wrong = example.run_native(caller, index);
      if (!wrong) continue;
      ++taken;
      t.check(wrong->empty(), wrong->empty() ? "the native result is within its bound" : *wrong);
    }
  }
  if (taken == 0) t.not_supported("none of the suite's calls is taken by a native operator");
}

}  // namespace flagos::conformance
