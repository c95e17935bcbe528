// Reductions, scans, sorting, products and random numbers. This file is compiled without contraction.
#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "compiler/interpret_op.hpp"

namespace flagos::compiler {
namespace {

// Sums and products of f16, bf16 and f8 are held in f32 and rounded at the end.
DType held_in(DType dtype) { return is_float(dtype) && info(dtype).bits < 32 ? DType::f32 : dtype; }

Words convert(const Words& in, DType from, DType to) {
  Words out(in.size());
  for (std::size_t i = 0; i < in.size(); ++i)
    out[i] = from == to ? in[i] : cast_bits(from, to, in[i], Rounding::nearest_even, false);
  return out;
}

// How two elements, or two tuples of them, become one.
class Combine {
 public:
  Combine(Interpreter& run, const Op& op) : run_(run), op_(op), count_(op.operands.size()) {
    if (op.regions.empty()) {
      code_ = combiner(op.word("op"));
      dtypes_ = {held_in(run.operand_type(op, 0).dtype)};
    } else {
      for (std::size_t i = 0; i < count_; ++i) dtypes_.push_back(run.operand_type(op, i).dtype);
      arguments_.resize(count_ * 2);
    }
  }
  std::size_t count() const { return count_; }
  DType dtype(std::size_t i) const { return dtypes_[i]; }
  Words take(std::size_t i) const { return convert(run_.operand(op_, i), run_.operand_type(op_, i).dtype, dtypes_[i]); }
  void give(std::size_t i, std::size_t at, std::uint64_t bits) const {
    const DType to = run_.operand_type(op_, i).dtype;
    run_.words(op_.results[i])[at] =
        dtypes_[i] == to ? bits : cast_bits(dtypes_[i], to, bits, Rounding::nearest_even, false);
  }
  // values[.][a] = values[.][a] combined with other[.][b]
  void operator()(std::vector<Words>& values, std::size_t a, const std::vector<Words>& other, std::size_t b) {
    if (op_.regions.empty()) {
      values[0][a] = run_scalar(code_, dtypes_[0], op_.word("nan"), values[0][a], other[0][b]);
      return;
    }
    for (std::size_t i = 0; i < count_; ++i) {
      arguments_[i] = {values[i][a]};
      arguments_[count_ + i] = {other[i][b]};
    }
    const std::vector<Words>& yields = run_.run_region(op_.regions[0], arguments_);
    for (std::size_t i = 0; i < count_; ++i) values[i][a] = yields[i][0];
  }

 private:
  Interpreter& run_;
  const Op& op_;
  std::size_t count_;
  OpCode code_ = OpCode::add;
  std::vector<DType> dtypes_;
  std::vector<Words> arguments_;
};

// Neighbours are combined, then neighbours of what came out, until one is left: order is kept, and errors grow with
// the logarithm of the extent.
void run_reduce(Interpreter& run, const Op& op) {
  const Axis axis(run.operand_type(op, 0), static_cast<std::size_t>(op.integer("axis")));
  Combine combine(run, op);
  std::vector<Words> values;
  for (std::size_t i = 0; i < combine.count(); ++i) {
    values.push_back(combine.take(i));
    run.result(op, i);
  }
  for (std::size_t o = 0; o < axis.outer; ++o) {
    for (std::size_t n = 0; n < axis.inner; ++n) {
      for (std::size_t gap = 1; gap < axis.extent; gap *= 2)
        for (std::size_t k = 0; k + gap < axis.extent; k += gap * 2)
          combine(values, axis.at(o, k, n), values, axis.at(o, k + gap, n));
      for (std::size_t i = 0; i < combine.count(); ++i)
        combine.give(i, o * axis.inner + n, values[i][axis.at(o, 0, n)]);
    }
  }
}

// One after the other.
void run_scan(Interpreter& run, const Op& op) {
  const Axis axis(run.operand_type(op, 0), static_cast<std::size_t>(op.integer("axis")));
  const bool reverse = op.has("reverse");
  Combine combine(run, op);
  std::vector<Words> values, running(combine.count(), Words(1));
  for (std::size_t i = 0; i < combine.count(); ++i) {
    values.push_back(combine.take(i));
    run.result(op, i);
  }
  for (std::size_t o = 0; o < axis.outer; ++o) {
    for (std::size_t n = 0; n < axis.inner; ++n) {
      for (std::size_t k = 0; k < axis.extent; ++k) {
        const std::size_t at = axis.at(o, reverse ? axis.extent - 1 - k : k, n);
        if (k != 0) combine(running, 0, values, at);
        for (std::size_t i = 0; i < combine.count(); ++i) {
          if (k == 0) running[i][0] = values[i][at];
          combine.give(i, at, running[i][0]);
        }
      }
    }
  }
}

// The order of sort and argreduce: NaN is above everything and equal to itself, -0 equals +0.
bool is_less(DType dtype, std::uint64_t a, std::uint64_t b) {
  if (is_float(dtype)) {
    const double x = decode_float(dtype, a), y = decode_float(dtype, b);
    return std::isnan(y) ? !std::isnan(x) : x < y;
  }
  return is_signed(dtype) ? decode_int(dtype, a) < decode_int(dtype, b) : a < b;
}

bool is_nan(DType dtype, std::uint64_t bits) { return is_float(dtype) && std::isnan(decode_float(dtype, bits)); }

// The first of equal ones; a NaN wins, for min as for max.
void run_argreduce(Interpreter& run, const Op& op) {
  const Type& type = run.operand_type(op, 0);
  const Axis axis(type, static_cast<std::size_t>(op.integer("axis")));
  const bool least = op.word("op") == "min";
  const Words in = run.operand(op, 0);
  Words& values = run.result(op, 0);
  Words& indices = run.result(op, 1);
  const auto better = [&](std::uint64_t a, std::uint64_t b) {
    if (is_nan(type.dtype, b)) return false;
    return is_nan(type.dtype, a) || (least ? is_less(type.dtype, a, b) : is_less(type.dtype, b, a));
  };
  for (std::size_t o = 0; o < axis.outer; ++o) {
    for (std::size_t n = 0; n < axis.inner; ++n) {
      std::size_t best = 0;
      for (std::size_t k = 1; k < axis.extent; ++k)
        if (better(in[axis.at(o, k, n)], in[axis.at(o, best, n)])) best = k;
      values[o * axis.inner + n] = in[axis.at(o, best, n)];
      indices[o * axis.inner + n] = best;
    }
  }
}

void run_sort(Interpreter& run, const Op& op) {
  const Type& type = run.operand_type(op, 0);
  const Axis axis(type, static_cast<std::size_t>(op.integer("axis")));
  const bool descending = op.has("desc");
  std::vector<Words> in;
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    in.push_back(run.operand(op, i));
    run.result(op, i);
  }
  std::vector<std::size_t> order(axis.extent);
  for (std::size_t o = 0; o < axis.outer; ++o) {
    for (std::size_t n = 0; n < axis.inner; ++n) {
      const auto key = [&](std::size_t k) { return in[0][axis.at(o, k, n)]; };
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return descending ? is_less(type.dtype, key(b), key(a)) : is_less(type.dtype, key(a), key(b));
      });
      for (std::size_t i = 0; i < in.size(); ++i)
        for (std::size_t k = 0; k < axis.extent; ++k)
          run.words(op.results[i])[axis.at(o, k, n)] = in[i][axis.at(o, order[k], n)];
    }
  }
}

void run_histogram(Interpreter& run, const Op& op) {
  const Words& in = run.operand(op, 0);
  const DType dtype = run.operand_type(op, 0).dtype;
  Words& out = run.result(op);
  std::fill(out.begin(), out.end(), 0);
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (op.operands.size() > 1 && run.operand(op, 1)[i] == 0) continue;
    const auto bin = static_cast<std::uint64_t>(decode_int(dtype, in[i]));
    if (bin < out.size()) ++out[bin];
  }
}

struct Shape {
  std::size_t batch, rows, inner, columns;
};

// One product after the other, in order; multiplied and added with a rounding each (T is float or double), or wrapping.
template <typename T>
void multiply(const Shape& shape, const std::vector<T>& a, const std::vector<T>& b, std::vector<T>& c) {
  for (std::size_t n = 0; n < shape.batch; ++n) {
    for (std::size_t i = 0; i < shape.rows; ++i) {
      T* row = &c[(n * shape.rows + i) * shape.columns];
      for (std::size_t k = 0; k < shape.inner; ++k) {
        const T factor = a[(n * shape.rows + i) * shape.inner + k];
        const T* other = &b[(n * shape.inner + k) * shape.columns];
        for (std::size_t j = 0; j < shape.columns; ++j) row[j] += factor * other[j];
      }
    }
  }
}

template <typename T>
std::vector<T> numbers(const Words& words, DType dtype) {
  std::vector<T> out(words.size());
  for (std::size_t i = 0; i < words.size(); ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      out[i] = static_cast<T>(decode_float(dtype, words[i]));
    } else {
      out[i] = static_cast<T>(decode_int(dtype, words[i]));
    }
  }
  return out;
}

template <typename T>
void run_product(Interpreter& run, const Op& op, const std::vector<T>& a, const std::vector<T>& b, std::size_t acc) {
  const Type& left = run.operand_type(op, 0);
  const Type& out_type = run.result_type(op);
  const auto dim = [](const Type& type, std::size_t back) {
    return static_cast<std::size_t>(type.dims[type.rank - back]);
  };
  const Shape shape{left.rank == 3 ? dim(left, 3) : 1, dim(left, 2), dim(left, 1), dim(out_type, 1)};
  std::vector<T> c = numbers<T>(run.operand(op, acc), out_type.dtype);
  multiply(shape, a, b, c);
  Words& out = run.result(op);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      out[i] = encode_float(out_type.dtype, c[i]);
    } else {
      out[i] = encode_int(out_type.dtype, c[i]);
    }
  }
}

void run_dot(Interpreter& run, const Op& op) {
  const DType dtype = run.operand_type(op, 0).dtype;
  const auto product = [&]<typename T>(T) {
    run_product<T>(run, op, numbers<T>(run.operand(op, 0), dtype), numbers<T>(run.operand(op, 1), dtype), 2);
  };
  if (!is_float(dtype)) return product(std::uint32_t{});
  if (dtype == DType::f64) return product(double{});
  product(float{});
}

// u8 is the exponent of a power of two, with a bias of 127; 255 is NaN.
float scale(std::uint64_t bits) { return bits == 255 ? NAN : std::ldexp(1.0F, static_cast<int>(bits) - 127); }

void run_dot_scaled(Interpreter& run, const Op& op) {
  const Type& left = run.operand_type(op, 0);
  const auto block = static_cast<std::size_t>(op.integer("block"));
  const auto columns = static_cast<std::size_t>(run.result_type(op).dims[1]);
  std::vector<float> a = numbers<float>(run.operand(op, 0), left.dtype);
  std::vector<float> b = numbers<float>(run.operand(op, 2), run.operand_type(op, 2).dtype);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] *= scale(run.operand(op, 1)[i / block]);
  for (std::size_t i = 0; i < b.size(); ++i) {
    const std::size_t k = i / columns;
    b[i] *= scale(run.operand(op, 3)[k / block * columns + i % columns]);
  }
  run_product<float>(run, op, a, b, 4);
}

void run_philox(Interpreter& run, const Op& op) {
  const auto number = [&](std::size_t k, std::size_t i) {
    const Words& words = run.operand(op, k);
    return static_cast<std::uint64_t>(decode_int(run.operand_type(op, k).dtype, words[words.size() == 1 ? 0 : i]));
  };
  const std::uint64_t seed = number(0, 0);
  const std::array<std::uint32_t, 2> key{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  const std::size_t count = run.operand(op, 1).size();
  for (std::size_t k = 0; k < 4; ++k) run.result(op, k);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t offset = number(1, i);
    const std::uint64_t stream = op.operands.size() > 2 ? number(2, i) : 0;
    const auto random = philox({static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(offset >> 32),
                                static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                               key);
    for (std::size_t k = 0; k < 4; ++k) run.words(op.results[k])[i] = random[k];
  }
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t even = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t odd = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(odd >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(odd),
               static_cast<std::uint32_t>(even >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(even)};
    key = {key[0] + 0x9E3779B9U, key[1] + 0xBB67AE85U};
  }
  return counter;
}

bool run_collective_op(Interpreter& run, const Op& op) {
  switch (op.code) {
    case OpCode::reduce:
      run_reduce(run, op);
      break;
    case OpCode::argreduce:
      run_argreduce(run, op);
      break;
    case OpCode::scan:
      run_scan(run, op);
      break;
    case OpCode::sort:
      run_sort(run, op);
      break;
    case OpCode::histogram:
      run_histogram(run, op);
      break;
    case OpCode::dot:
      run_dot(run, op);
      break;
    case OpCode::dot_scaled:
      run_dot_scaled(run, op);
      break;
    case OpCode::philox:
      run_philox(run, op);
      break;
    default:
      return false;
  }
  return true;
}

}  // namespace flagos::compiler
