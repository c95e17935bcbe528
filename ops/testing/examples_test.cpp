// The examples that the conformance suite shares with these tests and that no other test runs.
#include "ops/testing/examples.hpp"

#include <doctest/doctest.h>

#include "ops/testing/check.hpp"
#include "ops/testing/results.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

void run(Example example) { CHECK(run_noted(example) == ""); }

}  // namespace

TEST_CASE("examples: lines, products, attention, elements that move") {
  Random random(seed());
  for (const DType dtype : types_of(floats)) {
    for (const bool log : {false, true}) run(softmax_example(dtype, {3, 257}, log, random));
    run(rms_norm_example(dtype, 3, 257, random));
    for (const bool causal : {false, true})
      run(attention_example(dtype, 2, 7, 33, 64, causal, random));
    run(embedding_example(dtype, 13, 40, 29, random));
    run(bmm_example(dtype, 6, 5, 7, 11, random));
    run(addmm_example(dtype, 20, 41, 33, 0, 3, random));
  }
  for (const DType dtype : types_of(DTypes(DType::f32) | DType::i32 | DType::i64)) {
    run(cumsum_example(dtype, 3, 100, random));
    run(gather_example(dtype, 7, 33, random));
    run(scatter_add_example(dtype, 7, 33, random));
    run(sort_example(dtype, 3, 100, random));
    run(cat_example(dtype, random));
    run(cast_example(DType::f32, dtype, 257, random));
    run(cast_example(dtype, DType::f32, 257, random));
  }
}

TEST_CASE("examples: what is wrong is told") {
  Random random(seed());
  Example value = rms_norm_example(DType::f32, 2, 8, random);
  value.expected[5] += 1;
  CHECK(value.run(Fixture::get().caller()).find("rms_norm float32 of [2, 8]: element 5 of 16 is") ==
        0);
  Example call = rms_norm_example(DType::f32, 2, 8, random);
  call.arguments[1] = std::vector<std::int64_t>{9};
  CHECK(call.run(Fixture::get().caller()).find("rms_norm: ") != std::string::npos);
  Example native = mm_example(DType::f32, 2, 3, 4, true, {}, random);
  if (Fixture::get().device_id().rfind("cpu", 0) ==
      0)  // the number of an operator of other arguments
    CHECK(!native.run_native(Fixture::get().caller(), 5).has_value());
}
