// The sort engine: in which order the elements along a dimension come. Stable, a NaN above everything, -0 equal to +0.
#pragma once

#include <deque>

#include "ops/engine/copy.hpp"

namespace flagos::ops {

class Sorted {
 public:
  Sorted(Call& call, const Tensor& input, int dim, bool descending);
  // Of the shape of input, in workspace: the place along the dimension of each element in order. int32, or int64 where
  // the dimension is that long; dense, with the dimension innermost.
  const Tensor& order() const { return order_; }

 private:
  // Sizes of the job as kernels see it: dense lines.
  struct Job {
    std::int64_t lines, length;
    DType key, place;  // how they are held
    int bits;          // of a key
  };
  void sort_tiles(Call& call, const Tensor& input, int dim, bool descending);
  void sort_lines(Call& call, const Tensor& input, const Job& job, bool descending);
  void sort_by_digits(Call& call, const Job& job, flagos_address_t keys);
  void sort_by_merging(Call& call, const Job& job, flagos_address_t keys);

  std::deque<Scratch> memory_;
  Tensor order_;
};

}  // namespace flagos::ops
