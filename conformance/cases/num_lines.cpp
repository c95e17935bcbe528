// Operators that add up, normalise, multiply, move and order elements.
#include <algorithm>
#include <string>

#include "conformance/cases/num_support.hpp"

namespace flagos::conformance {
namespace {

// These reductions over rows, columns and everything.
void run_reductions(Context& t, std::initializer_list<const char*> names) {
  Operators operators(t);
  for (const op::ReductionReference& row : op::reduction_references()) {
    if (std::find(names.begin(), names.end(), std::string(row.op)) == names.end()) continue;
    for (const DType dtype : operators.types({DType::f32, DType::i32, DType::f16, DType::bf16,
                                              DType::f64, DType::i64, DType::u8})) {
      if (std::find(row.types.begin(), row.types.end(), dtype) == row.types.end()) continue;
      const auto run = [&](const op::Shape& shape, const std::vector<std::int64_t>& dims) {
        operators.run(op::reduction_example(row, dtype, shape, dims, false, Placement::dense, true,
                                            operators.random()));
      };
      run({31, 33}, {1});
      run({31, 33}, {0});
      run({1025}, {});
      if (!operators.quick()) run({70000}, {});
    }
  }
}

using Sizes = std::vector<std::int64_t>;

}  // namespace

FLAGOS_CASE("num.red.sum_mean", {.clause = "flagos_ops_sum, flagos_ops_mean",
                                 .level = Level::optional,
                                 .isolation = Isolation::own,
                                 .seconds = 600}) {
  run_reductions(t, {"sum", "mean", "nansum", "count_nonzero"});
}

FLAGOS_CASE("num.red.prod_minmax", {.clause = "flagos_ops_prod, flagos_ops_amax",
                                    .level = Level::optional,
                                    .isolation = Isolation::own,
                                    .seconds = 600}) {
  run_reductions(t, {"prod", "amax", "amin"});
}

FLAGOS_CASE("num.red.argminmax", {.clause = "flagos_ops_argmax: the first of the largest",
                                  .level = Level::optional,
                                  .isolation = Isolation::own,
                                  .seconds = 600}) {
  run_reductions(t, {"argmax", "argmin"});
}

FLAGOS_CASE("num.red.anyall", {.clause = "flagos_ops_any, flagos_ops_all",
                               .level = Level::optional,
                               .isolation = Isolation::own,
                               .seconds = 600}) {
  run_reductions(t, {"any", "all"});
}

FLAGOS_CASE("num.red.var_std_norm", {.clause = "flagos_ops_var, flagos_ops_norm",
                                     .level = Level::optional,
                                     .oracle = Oracle::bound,
                                     .isolation = Isolation::own,
                                     .seconds = 600}) {
  run_reductions(t, {"var", "std", "norm", "logsumexp"});
}

FLAGOS_CASE("num.red.cumsum_cumprod", {.clause = "flagos_ops_cumsum",
                                       .level = Level::optional,
                                       .isolation = Isolation::own}) {
  Operators operators(t);
  for (const DType dtype : operators.types({DType::f32, DType::i32, DType::f64, DType::i64}))
    for (const std::int64_t columns : {1, 33, 1025})
      operators.run(op::cumsum_example(dtype, 3, columns, operators.random()));
}

FLAGOS_CASE("num.softmax", {.clause = "flagos_ops_softmax, flagos_ops_log_softmax",
                            .level = Level::optional,
                            .oracle = Oracle::bound,
                            .isolation = Isolation::own}) {
  Operators operators(t);
  for (const DType dtype : operators.types({DType::f32, DType::f16, DType::bf16, DType::f64}))
    for (const bool log : {false, true})
      for (const std::int64_t columns : {1, 33, 1025})
        operators.run(op::softmax_example(dtype, {3, columns}, log, operators.random()));
}

FLAGOS_CASE("num.layernorm_rmsnorm", {.clause = "flagos_ops_rms_norm",
                                      .level = Level::optional,
                                      .oracle = Oracle::bound,
                                      .isolation = Isolation::own}) {
  Operators operators(t);
  for (const DType dtype : operators.types({DType::f32, DType::f16, DType::bf16, DType::f64}))
    for (const std::int64_t columns : {5, 64, 1025})
      operators.run(op::rms_norm_example(dtype, 3, columns, operators.random()));
}

FLAGOS_CASE("num.gemm.exact_int", {.clause = "flagos_ops_mm: no term is lost",
                                   .level = Level::optional,
                                   .isolation = Isolation::own,
                                   .seconds = 600}) {
  Operators operators(t);
  const Sizes sizes = operators.quick() ? Sizes{1, 17, 65} : Sizes{1, 2, 16, 31, 33, 65, 129};
  for (const DType dtype : operators.types({DType::f32, DType::f16, DType::bf16, DType::f64}))
    for (const std::int64_t m : sizes)
      for (const std::int64_t n : sizes)
        operators.run(op::mm_example(dtype, m, n, 33, true, {}, operators.random()));
  for (const Placement a : {Placement::dense, Placement::transposed})
    for (const Placement b : {Placement::dense, Placement::transposed})
      operators.run(op::mm_example(DType::f32, 33, 17, 65, true, {a, b, Placement::dense},
                                   operators.random()));
}

FLAGOS_CASE("num.gemm.real_bound", {.clause = "flagos_ops_mm: the bound of each element",
                                    .level = Level::optional,
                                    .oracle = Oracle::bound,
                                    .isolation = Isolation::own}) {
  Operators operators(t);
  for (const DType dtype : operators.types({DType::f32, DType::f16, DType::bf16, DType::f64}))
    for (const std::int64_t k : {1, 129, 1025})
      operators.run(op::mm_example(dtype, 33, 17, k, false, {}, operators.random()));
}

FLAGOS_CASE("num.gemm.alpha_beta_lda", {.clause = "flagos_ops_addmm: a beta of 0 does not read",
                                        .level = Level::optional,
                                        .isolation = Isolation::own}) {
  Operators operators(t);
  for (const auto& [beta, alpha] : {std::pair<int, int>{1, 1}, {0, 1}, {2, 3}, {-1, 1}})
    operators.run(op::addmm_example(DType::f32, 20, 41, 33, beta, alpha, operators.random()));
  operators.run(op::mm_example(DType::f32, 20, 41, 33, true,
                               {Placement::sliced, Placement::sliced, Placement::sliced},
                               operators.random()));
}

FLAGOS_CASE("num.gemm.batched_strided",
            {.clause = "flagos_ops_bmm", .level = Level::optional, .isolation = Isolation::own}) {
  Operators operators(t);
  for (const std::int64_t batch : {0, 1, 40})
    operators.run(op::bmm_example(DType::f32, batch, 5, 7, 11, operators.random()));
}

FLAGOS_CASE("num.gemm.mixed", {.clause = "flagos_ops_mm: int8 into int32",
                               .level = Level::optional,
                               .isolation = Isolation::own}) {
  Operators operators(t);
  for (const std::int64_t k : {1, 65, 700})
    operators.run(op::mm_example(DType::i8, 33, 17, k, true, {}, operators.random()));
  operators.run(op::addmm_example(DType::i8, 33, 17, 65, 2, 3, operators.random()));
}

FLAGOS_CASE("num.gemm.zero_dims", {.clause = "flagos_ops_addmm: sums of nothing",
                                   .level = Level::optional,
                                   .isolation = Isolation::own}) {
  Operators operators(t);
  operators.run(op::mm_example(DType::f32, 3, 5, 0, true, {}, operators.random()));
  operators.run(op::addmm_example(DType::f32, 3, 5, 0, 2, 1, operators.random()));
  operators.run(op::mm_example(DType::f32, 0, 5, 3, true, {}, operators.random()));
}

// Odd numbers of twelve bits: a product in fewer bits than float32 has cannot hold them.
FLAGOS_CASE("num.gemm.fast_math_flag",
            {.clause = "ops: reduced precision only when it is asked for",
             .level = Level::optional,
             .isolation = Isolation::own}) {
  Operators operators(t);
  constexpr std::int64_t side = 64;
  op::HostTensor a(DType::f32, {side, side}), unit(DType::f32, {side, side}),
      out(DType::f32, {side, side});
  a.fill([&](std::int64_t) { return 2049 + 2 * static_cast<op::Number>(t.random_below(1024)); });
  unit.fill([](std::int64_t i) { return i / side == i % side ? 1 : 0; });
  for (const bool from_left : {true, false}) {
    t.subcase(from_left ? "times a unit matrix" : "a unit matrix times");
    const op::Arguments arguments =
        from_left ? op::Arguments{&a, &unit, &out} : op::Arguments{&unit, &a, &out};
    t.ok(operators.caller().call("mm", arguments), "mm");
    t.equal_bytes(out.bytes(), a.bytes(), "every bit comes through");
  }
}

FLAGOS_CASE("num.attn.real", {.clause = "flagos_ops_scaled_dot_product_attention",
                              .level = Level::optional,
                              .oracle = Oracle::bound,
                              .isolation = Isolation::own}) {
  Operators operators(t);
  for (const DType dtype : operators.types({DType::f32, DType::f16, DType::bf16}))
    for (const bool causal : {false, true}) {
      operators.run(op::attention_example(dtype, 2, 5, 5, 64, causal, operators.random()));
      operators.run(op::attention_example(dtype, 1, 33, 65, 64, causal, operators.random()));
    }
}

FLAGOS_CASE("num.index.gather_scatter", {.clause = "flagos_ops_gather, flagos_ops_scatter_add",
                                         .level = Level::optional,
                                         .isolation = Isolation::own}) {
  Operators operators(t);
  for (const DType dtype : operators.types({DType::f32, DType::i32, DType::f16, DType::i64})) {
    operators.run(op::gather_example(dtype, 7, 33, operators.random()));
    operators.run(op::scatter_add_example(dtype, 7, 33, operators.random()));
  }
}

FLAGOS_CASE("num.index.select_embedding", {.clause = "flagos_ops_embedding",
                                           .level = Level::optional,
                                           .isolation = Isolation::own}) {
  Operators operators(t);
  for (const DType dtype : operators.types({DType::f32, DType::f16, DType::bf16}))
    operators.run(op::embedding_example(dtype, 13, 40, 29, operators.random()));
}

FLAGOS_CASE("num.index.topk_sort", {.clause = "flagos_ops_sort: equal elements keep their order",
                                    .level = Level::optional,
                                    .isolation = Isolation::own}) {
  Operators operators(t);
  for (const DType dtype : operators.types({DType::f32, DType::i32}))
    for (const std::int64_t columns : {1, 33, 300})
      operators.run(op::sort_example(dtype, 3, columns, operators.random()));
}

FLAGOS_CASE("num.shape.cat_split_pad",
            {.clause = "flagos_ops_cat", .level = Level::optional, .isolation = Isolation::own}) {
  Operators operators(t);
  for (const DType dtype : operators.types({DType::f32, DType::i32, DType::f16, DType::u8}))
    operators.run(op::cat_example(dtype, operators.random()));
}

}  // namespace flagos::conformance
