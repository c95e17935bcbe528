// Operators, each element by itself: exact on whole numbers, within the published bound elsewhere.
#include <flagos_ops.h>

#include <cstring>

#include "conformance/cases/num_support.hpp"

namespace flagos::conformance {
namespace {

std::string family_of(const std::string& name) {
  std::uint32_t index = 0;
  flagos_ops_info_t info{};
  info.struct_size = sizeof(info);
  if (flagos_ops_find(name.c_str(), &index) != FLAGOS_STATUS_OK ||
      flagos_ops_get_info(index, &info) != FLAGOS_STATUS_OK)
    return "";
  return info.family;
}

// All operators of a family, or with --quick each seventh: kernels take their time on some devices.
void run_family(Context& t, const std::string& family, std::initializer_list<DType> types,
                bool whole) {
  Operators operators(t);
  std::uint64_t number = t.random_below(7);
  for (const op::PointwiseReference& row : op::pointwise_references()) {
    if (family_of(row.op) != family || (operators.quick() && number++ % 7 != 0)) continue;
    for (const DType dtype : operators.types(types)) {
      if (!op::takes(row, dtype)) continue;
      operators.run(
          op::pointwise_example(row, dtype, {1031}, Placement::dense, whole, operators.random()));
    }
  }
}

const op::PointwiseReference& reference_of(const std::string& name) {
  for (const op::PointwiseReference& row : op::pointwise_references())
    if (name == row.op) return row;
  throw std::runtime_error("there is no reference of " + name);
}

constexpr auto real_types = {DType::f32, DType::f16, DType::bf16, DType::f64};
constexpr auto whole_types = {DType::i32, DType::i64, DType::i16, DType::i8, DType::u8};

}  // namespace

FLAGOS_CASE("num.ew.unary", {.clause = "flagos_ops.h: unary operators",
                             .level = Level::optional,
                             .oracle = Oracle::bound,
                             .isolation = Isolation::own,
                             .seconds = 900}) {
  run_family(t, "unary", real_types, false);
}

FLAGOS_CASE("num.ew.activations", {.clause = "flagos_ops.h: activations",
                                   .level = Level::optional,
                                   .oracle = Oracle::bound,
                                   .isolation = Isolation::own,
                                   .seconds = 900}) {
  run_family(t, "activation", real_types, false);
}

FLAGOS_CASE("num.ew.binary", {.clause = "flagos_ops.h: operators of two and three tensors",
                              .level = Level::optional,
                              .oracle = Oracle::bound,
                              .isolation = Isolation::own,
                              .seconds = 900}) {
  run_family(t, "binary", real_types, false);
}

FLAGOS_CASE("num.ew.int", {.clause = "flagos_ops.h: whole numbers",
                           .level = Level::optional,
                           .isolation = Isolation::own,
                           .seconds = 900}) {
  run_family(t, "unary", whole_types, true);
  run_family(t, "binary", whole_types, true);
}

FLAGOS_CASE("num.ew.strided", {.clause = "flagos_ops.h: strides of tensors",
                               .level = Level::optional,
                               .isolation = Isolation::own}) {
  Operators operators(t);
  for (const char* const name : {"add", "where", "abs"})
    for (const Placement placement :
         {Placement::dense, Placement::transposed, Placement::sliced, Placement::broadcast})
      operators.run(op::pointwise_example(reference_of(name), DType::f32, {5, 3, 11}, placement,
                                          true, operators.random()));
}

FLAGOS_CASE("num.ew.inplace", {.clause = "flagos_ops.h: an output that is an input",
                               .level = Level::optional,
                               .isolation = Isolation::own}) {
  Operators operators(t);
  op::HostTensor x = op::random_tensor(operators.random(), DType::f32, {777}, true);
  const std::vector<op::Number> before = x.values();
  t.ok(operators.caller().call("square", {&x, &x}), "square in place");
  for (std::size_t i = 0; i < before.size(); ++i)
    t.check(x.get(static_cast<std::int64_t>(i)) == before[i] * before[i],
            "element " + std::to_string(i) + " is the square of what it was");
}

FLAGOS_CASE("num.cast.all_pairs", {.clause = "flagos_ops_copy: conversions",
                                   .level = Level::optional,
                                   .isolation = Isolation::own,
                                   .seconds = 600}) {
  Operators operators(t);
  const auto all = {DType::f32, DType::i32, DType::f16, DType::bf16, DType::f64,
                    DType::i64, DType::i16, DType::i8,  DType::u8};
  for (const DType from : operators.types(all))
    for (const DType to : operators.types(all))
      operators.run(op::cast_example(from, to, 257, operators.random()));
}

FLAGOS_CASE("num.empty_tensors", {.clause = "flagos_ops.h: tensors without elements",
                                  .level = Level::optional,
                                  .isolation = Isolation::own}) {
  Operators operators(t);
  for (const char* const name : {"add", "exp"})
    for (const op::Shape& shape : {op::Shape{0}, op::Shape{3, 0, 2}})
      operators.run(op::pointwise_example(reference_of(name), DType::f32, shape, Placement::dense,
                                          true, operators.random()));
  operators.run(op::mm_example(DType::f32, 3, 5, 0, true, {}, operators.random()));
}

FLAGOS_CASE("num.scalar_0d", {.clause = "flagos_ops.h: tensors without axes",
                              .level = Level::optional,
                              .isolation = Isolation::own}) {
  Operators operators(t);
  for (const char* const name : {"add", "neg"})
    operators.run(op::pointwise_example(reference_of(name), DType::f32, {}, Placement::dense, true,
                                        operators.random()));
  for (const op::ReductionReference& row : op::reduction_references())
    if (std::strcmp(row.op, "sum") == 0)
      operators.run(op::reduction_example(row, DType::f32, {}, {}, false, Placement::dense, true,
                                          operators.random()));
}

FLAGOS_CASE("num.attr_errors", {.clause = "flagos_ops.h: INVALID_ARGUMENT",
                                .level = Level::optional,
                                .oracle = Oracle::code,
                                .isolation = Isolation::own}) {
  Operators operators(t);
  constexpr flagos_status_t invalid = FLAGOS_STATUS_INVALID_ARGUMENT;
  op::HostTensor a(DType::f32, {3, 4}), b(DType::f32, {5, 4}), half(DType::f16, {3, 4}),
      out(DType::f32, {3, 4});
  operators.refuse("add", {&a, &b, std::int64_t{1}, &out}, invalid);
  operators.refuse("mm", {&a, &b, &out}, invalid);
  operators.refuse("softmax", {&a, std::int64_t{2}, &out}, invalid);
  operators.refuse("softmax", {&a, std::int64_t{1}, &b}, invalid);
  operators.refuse("gather", {&a, std::int64_t{0}, &b, &out}, invalid);
  operators.refuse("mm", {&half, &b, &out}, invalid);
}

}  // namespace flagos::conformance
