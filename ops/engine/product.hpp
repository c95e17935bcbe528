// The product engine: every operator that multiplies matrices or vectors is one call of `run_product` on views.
#pragma once

#include <optional>

#include "ops/call.hpp"

namespace flagos::ops {

// out = alpha a b + beta c, for each place of the batch axes. Those of a, b and c are spread to those of out, so all
// ranks are the same. float16 and bfloat16 are summed in float32, int8 in int32.
struct Product {
  Tensor a;                 // [batch..., m, k]
  Tensor b;                 // [batch..., k, n]
  Tensor out;               // [batch..., m, n]
  std::optional<Tensor> c;  // as out; not read where beta is 0
  Scalar alpha{DType::i64, 1, 1};
  Scalar beta{DType::i64, 1, 1};
  // More products that are summed up with the first: a and b this many times, so many elements further each.
  std::int64_t terms = 1, a_step = 0, b_step = 0;
};
void run_product(const Call& call, Product product);

// Types that products are computed in.
constexpr DTypes product_dtypes = floats | DType::i8;
// What a product of these is before it is rounded to the output: int32 for int8, else the type itself.
constexpr DType product_result(DType dtype) { return dtype == DType::i8 ? DType::i32 : dtype; }

// The operands of a product do not overlap what is written; parts that lie between each other's elements are allowed.
void expect_apart(const Call& call, std::size_t input, std::size_t output);

}  // namespace flagos::ops
