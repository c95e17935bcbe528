#include "ops/schema.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "ops/table.hpp"

using namespace flagos::ops;

TEST_CASE("schema: everything that a text says") {
  const Schema schema = Schema::parse(
      "op.Form(Tensor input, Tensor:int index, Tensor?[] more, int[] dim, int? k, float eps=1e-05, "
      "bool keepdim=0, "
      "Scalar? min, str reduction=mean|sum, Tensor! out)");
  CHECK(schema.name == "op.Form");
  CHECK(schema.function_name() == "op_form");
  REQUIRE(schema.parameters.size() == 10);
  CHECK(schema.parameters[1].elements == Parameter::Elements::integer);
  CHECK(schema.parameters[2].list);
  CHECK(schema.parameters[2].optional);
  CHECK(schema.parameters[4].optional);
  CHECK(schema.parameters[5].default_text == "1e-05");
  CHECK(schema.parameters[8].words == std::vector<std::string>{"mean", "sum"});
  CHECK(schema.parameters[9].output);
  CHECK(schema.index_of("keepdim") == 6);
  CHECK_THROWS_AS(schema.index_of("nothing"), flagos::Error);
  CHECK(c_parameter(schema.parameters[3]) == "const int64_t* dim, uint32_t dim_count");
  CHECK(c_parameter(schema.parameters[4]) == "const int64_t* k");
  CHECK(c_parameter(schema.parameters[5]) == "double eps");
  CHECK(c_parameter(schema.parameters[6]) == "uint32_t keepdim");
  CHECK(c_parameter(schema.parameters[2]) ==
        "const flagos_tensor_t* const* more, uint32_t more_count");
}

TEST_CASE("schema: what is none is refused") {
  for (const char* text : {"op", "op(Tensor)", "op(Thing x)", "op(Tensor x"})
    CHECK_THROWS_AS(Schema::parse(text), flagos::Error);
}

TEST_CASE("table: names are unique, and every operator writes something and says what it takes") {
  std::set<std::string> names;
  for (const auto& op : Table::get().operators()) {
    INFO(op->schema_text());
    CHECK(names.insert(op->schema().function_name()).second);
    CHECK(Table::get().find(op->name()) == op.get());
    CHECK(Table::get().find(op->schema().function_name()) == op.get());
    CHECK(op->schema().parameters.size() <= Call::max_arguments);
    const std::vector<Parameter>& all = op->schema().parameters;
    // Last, except of those that work in place only: rope, penalties, optimisers.
    CHECK(std::any_of(all.begin(), all.end(), [](const Parameter& each) { return each.output; }));
    CHECK(!op->dtypes_text().empty());
    std::set<std::string> parameters;
    for (const Parameter& parameter : op->schema().parameters)
      CHECK(parameters.insert(parameter.name).second);
  }
  CHECK(Table::get().find("no such operator") == nullptr);
}

TEST_CASE("types: promotion is ATen's") {
  CHECK(promote(DType::u8, DType::i8) == DType::i16);
  CHECK(promote(DType::f16, DType::bf16) == DType::f32);
  CHECK(promote(DType::i64, DType::f16) == DType::f16);
  CHECK(promote(DType::boolean, DType::u8) == DType::u8);
  CHECK(promote(DType::f32, DType::f64) == DType::f64);
  CHECK(can_cast(DType::i64, DType::f16));
  CHECK(!can_cast(DType::f16, DType::i64));
}
