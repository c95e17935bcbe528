// Calls of operators with what they must give: the definitions that the operators' tests and the conformance suite share.
#pragma once

#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "ops/testing/caller.hpp"
#include "ops/testing/pointwise_reference.hpp"

namespace flagos::ops::testing {

using Random = std::mt19937_64;

// One call on tensors of its own.
struct Example {
  std::string op;
  std::string which;  // "mm float32 9x35x70 whole"
  std::deque<HostTensor> tensors;
  HostTensor* out = nullptr;  // the one that is judged, of `tensors`
  Arguments arguments;
  std::vector<Number> expected;
  std::vector<Number> scale = {};  // see compare()
  std::int64_t terms = 1;
  Bound bound = exact;

  Example() = default;
  Example(Example&&) = default;
  Example& operator=(Example&&) = default;
  Example(const Example&) = delete;
  Example& operator=(const Example&) = delete;

  HostTensor& add(HostTensor tensor) { return tensors.emplace_back(std::move(tensor)); }
  // What is wrong, "" when nothing is: with the call, with a result, with a byte beside the results.
  std::string run(const Caller& caller);
  // The same of the device's own version with this number. Nothing where the device does not take the call.
  std::optional<std::string> run_native(const Caller& caller, std::uint32_t index);

 private:
  std::string judge(flagos_status_t status, const std::vector<unsigned char>& before) const;
};

HostTensor random_tensor(Random& random, DType dtype, const Shape& shape, bool whole,
                         Placement placement = Placement::dense);

// ---- pointwise -------------------------------------------------------------------------------------------------------

// Whether it is tried in this type; whether the device computes in it is another matter.
bool takes(const PointwiseReference& row, DType dtype);
Example pointwise_example(const PointwiseReference& row, DType dtype, const Shape& shape,
                          Placement placement, bool whole, Random& random);

// ---- products --------------------------------------------------------------------------------------------------------

// alpha a b + beta c of `batch` matrices, element by element; c may be empty.
struct ExpectedProduct {
  std::vector<Number> values, scale;

  using At = std::function<Number(std::int64_t batch, std::int64_t i, std::int64_t j)>;
  ExpectedProduct(std::int64_t batch, std::int64_t m, std::int64_t n, std::int64_t k, const At& a,
                  const At& b, Number alpha = 1, Number beta = 0, const At& c = {});
};
// The last two axes of a tensor, and all places before them.
ExpectedProduct::At matrix(const HostTensor& tensor);

DType product_of(DType dtype);  // int8 gives int32
struct MatrixPlacements {
  Placement a = Placement::dense, b = Placement::dense, out = Placement::dense;
};
Example mm_example(DType dtype, std::int64_t m, std::int64_t n, std::int64_t k, bool whole,
                   MatrixPlacements placements, Random& random);
// Of two batches, from whole numbers.
Example bmm_example(DType dtype, std::int64_t batch, std::int64_t m, std::int64_t n, std::int64_t k,
                    Random& random);
// beta c + alpha a b, where c is a row.
Example addmm_example(DType dtype, std::int64_t m, std::int64_t n, std::int64_t k,
                      std::int64_t beta, std::int64_t alpha, Random& random);

// ---- reductions ------------------------------------------------------------------------------------------------------

using Values = std::vector<Number>;
// For each line along the axes of `along` (bits) the row-major numbers of its elements, lines in row-major order of what
// is left.
std::vector<std::vector<std::int64_t>> lines_of(const Shape& shape, std::uint32_t along);
// Of the first of the largest or least; a NaN is beyond all.
std::int64_t place_of(const Values& x, bool largest);

struct ReductionReference {
  const char* op;
  enum Result { summed_type, same_type, index, truth } result;
  std::vector<DType> types;
  std::function<Number(const Values&)> value;
  std::function<Number(const Values&)> scale;  // of the terms of a sum; none: exact
  std::vector<Argument> middle;                // between dim and keepdim, or before dim for norm
  double low = -3, high = 3;
};
const std::vector<ReductionReference>& reduction_references();
Example reduction_example(const ReductionReference& row, DType dtype, const Shape& shape,
                          std::vector<std::int64_t> dims, bool keepdim, Placement placement,
                          bool whole, Random& random);

// ---- lines, attention, elements that move ------------------------------------------------------------------------------

Example softmax_example(DType dtype, const Shape& shape, bool log, Random& random);
Example cumsum_example(DType dtype, std::int64_t rows, std::int64_t columns, Random& random);
Example rms_norm_example(DType dtype, std::int64_t rows, std::int64_t columns, Random& random);
Example attention_example(DType dtype, std::int64_t heads, std::int64_t queries, std::int64_t keys,
                          std::int64_t depth, bool causal, Random& random);
Example gather_example(DType dtype, std::int64_t rows, std::int64_t columns, Random& random);
Example scatter_add_example(DType dtype, std::int64_t rows, std::int64_t columns, Random& random);
Example embedding_example(DType dtype, std::int64_t rows, std::int64_t columns,
                          std::int64_t indices, Random& random);
Example sort_example(DType dtype, std::int64_t rows, std::int64_t columns, Random& random);
Example cast_example(DType from, DType to, std::int64_t elements, Random& random);
Example cat_example(DType dtype, Random& random);

}  // namespace flagos::ops::testing
