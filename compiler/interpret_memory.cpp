// Views of host memory, loads, stores and atomics.
#include <fmt/format.h>

#include <cstring>

#include "compiler/interpret_op.hpp"

namespace flagos::compiler {
namespace {

// Host memory as a view sees it.
class Memory {
 public:
  Memory(Interpreter& run, const Op& op)
      : run_(run),
        op_(op),
        view_(run.operand(op, 0)),
        dtype_(run.operand_type(op, 0).dtype),
        rank_(run.operand_type(op, 0).rank) {}

  std::size_t rank() const { return rank_; }
  DType dtype() const { return dtype_; }

  // The element's address, or NULL where the index lies outside of the view.
  std::byte* find(const std::array<std::uint64_t, Limits::rank>& index) const {
    std::uint64_t offset = 0;  // in elements; wraps as two's complement does
    for (std::size_t axis = 0; axis < rank_; ++axis) {
      const auto extent = static_cast<std::int64_t>(view_[2 + axis]);
      if (extent <= 0 || index[axis] >= static_cast<std::uint64_t>(extent)) return nullptr;
      offset += index[axis] * view_[2 + rank_ + axis];
    }
    const auto bytes = static_cast<std::uint64_t>(info(dtype_).bytes);
    check(offset * bytes, bytes);
    return reinterpret_cast<std::byte*>(view_[0] + offset * bytes);
  }

  std::uint64_t read(const std::byte* at) const {
    std::uint64_t bits = 0;
    std::memcpy(&bits, at, static_cast<std::size_t>(info(dtype_).bytes));
    return dtype_ == DType::i1 ? (bits != 0 ? 1 : 0) : bits;
  }
  void write(std::byte* at, std::uint64_t bits) const {
    std::memcpy(at, &bits, static_cast<std::size_t>(info(dtype_).bytes));
  }

 private:
  void check(std::uint64_t offset, std::uint64_t bytes) const {
    if (view_[0] == 0) run_.fail(op_, "the view is on address 0");
    const std::uint64_t size = view_[1];
    if (size != 0 && (offset > size || size - offset < bytes))
      run_.fail(op_,
                fmt::format("byte {} is outside of the argument's {} bytes", static_cast<std::int64_t>(offset), size));
  }

  Interpreter& run_;
  const Op& op_;
  const Words& view_;
  DType dtype_;
  std::size_t rank_;
};

void run_view(Interpreter& run, const Op& op) {
  Words out = run.operand(op, 0);
  std::size_t next = 1;
  for (const std::string_view name : {"shape", "strides"}) {
    for (const std::int64_t value : op.find(name)->list) {
      const bool dynamic = value == kDynamic;
      out.push_back(static_cast<std::uint64_t>(
          dynamic ? decode_int(run.operand_type(op, next).dtype, run.operand(op, next)[0]) : value));
      if (dynamic) ++next;
    }
  }
  run.words(op.results[0]) = std::move(out);
}

std::uint64_t index_of(Interpreter& run, const Op& op, std::size_t axis, std::size_t element) {
  return static_cast<std::uint64_t>(
      decode_int(run.operand_type(op, 1 + axis).dtype, run.operand(op, 1 + axis)[element]));
}

// Calls f(element, address or NULL) for a block whose corner is at the offsets.
template <typename F>
void for_each_in_block(Interpreter& run, const Op& op, const Memory& memory, const Type& block, F f) {
  std::array<std::uint64_t, Limits::rank> corner{}, index{}, local{};
  for (std::size_t axis = 0; axis < memory.rank(); ++axis) corner[axis] = index_of(run, op, axis, 0);
  const auto count = static_cast<std::size_t>(block.elements());
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t axis = 0; axis < memory.rank(); ++axis) index[axis] = corner[axis] + local[axis];
    f(i, memory.find(index));
    for (std::size_t axis = block.rank; axis-- > 0;) {
      if (++local[axis] < static_cast<std::uint64_t>(block.dims[axis])) break;
      local[axis] = 0;
    }
  }
}

// Calls f(element, address or NULL) for index tiles; `others` operands come before the mask.
template <typename F>
void for_each_indexed(Interpreter& run, const Op& op, const Memory& memory, std::size_t others, F f) {
  const Words* mask = op.operands.size() > others ? &run.operand(op, others) : nullptr;
  std::array<std::uint64_t, Limits::rank> index{};
  const std::size_t count = run.operand(op, 1).size();
  for (std::size_t i = 0; i < count; ++i) {
    if (mask && (*mask)[i] == 0) {
      f(i, static_cast<std::byte*>(nullptr));
      continue;
    }
    for (std::size_t axis = 0; axis < memory.rank(); ++axis) index[axis] = index_of(run, op, axis, i);
    f(i, memory.find(index));
  }
}

void run_atomic(Interpreter& run, const Op& op, const Memory& memory) {
  const std::size_t first = 1 + memory.rank();
  const bool cas = op.code == OpCode::atomic_cas;
  const std::string_view name = cas ? "" : op.word("op");
  const OpCode code = cas || name == "exchange" ? OpCode::add : combiner(name);
  Words& out = run.result(op);
  for_each_indexed(run, op, memory, first + (cas ? 2 : 1), [&](std::size_t i, std::byte* at) {
    out[i] = 0;
    if (!at) return;
    out[i] = memory.read(at);
    const std::uint64_t value = run.operand(op, first)[i];
    if (cas) {
      if (out[i] == value) memory.write(at, run.operand(op, first + 1)[i]);
    } else {
      memory.write(at, name == "exchange" ? value : run_scalar(code, memory.dtype(), "propagate", out[i], value));
    }
  });
}

}  // namespace

bool run_memory_op(Interpreter& run, const Op& op) {
  if (op.code == OpCode::view) {
    run_view(run, op);
    return true;
  }
  const Effect effect = info(op.code).effect;
  if (effect != Effect::read && effect != Effect::write && effect != Effect::update) return false;
  const Memory memory(run, op);
  const std::size_t first = 1 + memory.rank();
  const auto pad = static_cast<std::uint64_t>(op.integer("pad"));
  const auto read = [&](Words& out) {
    return [&memory, &out, pad](std::size_t i, const std::byte* at) { out[i] = at ? memory.read(at) : pad; };
  };
  const auto write = [&](const Words& in) {
    return [&memory, &in](std::size_t i, std::byte* at) {
      if (at) memory.write(at, in[i]);
    };
  };
  switch (op.code) {
    case OpCode::load:
      for_each_in_block(run, op, memory, run.result_type(op), read(run.result(op)));
      break;
    case OpCode::store:
      for_each_in_block(run, op, memory, run.operand_type(op, first), write(run.operand(op, first)));
      break;
    case OpCode::gather:
      for_each_indexed(run, op, memory, first, read(run.result(op)));
      break;
    case OpCode::scatter:
      for_each_indexed(run, op, memory, first + 1, write(run.operand(op, first)));
      break;
    default:
      run_atomic(run, op, memory);
      break;
  }
  return true;
}

}  // namespace flagos::compiler
