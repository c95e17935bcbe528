// What the plugin for the tests of routing does with a product of so many rows.
#pragma once

#include <cstdint>

namespace flagos::ops::testing {

constexpr std::int64_t rows_refused = 1;     // query says no
constexpr std::int64_t rows_taken = 2;       // it runs
constexpr std::int64_t rows_workspace = 3;   // it runs, with a workspace
constexpr std::int64_t rows_unsuitable = 4;  // query says yes, and run UNSUPPORTED
constexpr std::int64_t rows_failing = 5;     // run fails
constexpr std::int64_t rows_at_once = 6;     // it runs, but not in a capture
constexpr std::int64_t rows_once = 7;        // query says yes the first time only
constexpr std::int64_t rows_broken = 8;      // query fails

constexpr std::uint64_t workspace_bytes = 1000;
constexpr float answer = 42;  // all that it computes

// What else it offers: one operator of each way that the library computes in.
struct Offered {
  const char* name;
  const char* schema;
};
constexpr Offered always_taken[] = {
    {"sum", "sum(Tensor input, int?[] dim, bool keepdim=false, Tensor! out)"},
    {"argmax", "argmax(Tensor input, int? dim, bool keepdim=false, Tensor! out)"},
    {"var", "var(Tensor input, int?[] dim, float correction=1.0, bool keepdim=false, Tensor! out)"},
    {"cumsum", "cumsum(Tensor input, int dim, Tensor! out)"},
    {"sort", "sort(Tensor input, int dim=-1, bool descending=0, Tensor! values, Tensor! indices)"},
    {"softmax", "softmax(Tensor input, int dim, Tensor! out)"},
    {"scaled_dot_product_attention",
     "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask, "
     "float dropout_p=0.0, bool is_causal=0, float? scale, bool enable_gqa=False, Tensor! out)"},
    {"copy", "copy(Tensor input, Tensor! out)"},
    {"cat", "cat(Tensor[] tensors, int dim=0, Tensor! out)"},
    {"flip", "flip(Tensor input, int[] dims, Tensor! out)"},
    {"gather", "gather(Tensor input, int dim, Tensor:int index, Tensor! out)"},
    {"index.Tensor", "index.Tensor(Tensor input, Tensor[]:int indices, Tensor! out)"},
    {"scatter_add",
     "scatter_add(Tensor input, int dim, Tensor:int index, Tensor src, Tensor! out)"},
    {"masked_fill", "masked_fill(Tensor input, Tensor:bool mask, Scalar value, Tensor! out)"},
    {"tril", "tril(Tensor input, int diagonal=0, Tensor! out)"},
    {"embedding", "embedding(Tensor weight, Tensor:int indices, int padding_idx=-1, Tensor! out)"}};

}  // namespace flagos::ops::testing
