// The parts of the family "language": what a decoder-only language model needs beside products, norms and attention.
#pragma once

#include "ops/engine/copy.hpp"

namespace flagos::ops {

class Table;

void add_embedding(Table& table);
void add_rope(Table& table);
void add_sampling(Table& table);
void add_router(Table& table);
void add_experts(Table& table);
void add_grouped(Table& table);
void add_quantized(Table& table);
void add_recurrent(Table& table);

// The tensor itself where it is dense, else memory that finish() copies to it.
class Written {
 public:
  Written(const Call& call, const Tensor& out) : call_(call), out_(out) {
    if (!out.is_dense()) scratch_ = std::make_unique<Scratch>(call, out.dtype, out.dims());
  }
  const Tensor& tensor() const { return scratch_ ? scratch_->tensor() : out_; }
  void finish() const {
    if (scratch_) copy(call_, out_, scratch_->tensor());
  }

 private:
  const Call& call_;
  Tensor out_;
  std::unique_ptr<Scratch> scratch_;
};

// out[i] = table[index[i] / divisor], rows of one width: `table` is [rows, width] of any strides, `index` and `out` are
// dense. An index outside of the table ends the kernel; the sentence names the operator.
void take_rows(const Call& call, const Tensor& table, const Tensor& index, std::int64_t divisor,
               const Tensor& out);

}  // namespace flagos::ops
