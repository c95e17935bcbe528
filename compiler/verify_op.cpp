#include "compiler/verify_op.hpp"

#include <algorithm>

namespace flagos::compiler {
namespace {

void verify_elementwise(const OpView& view) {
  const OpInfo& rules = info(view.op.code);
  const Type& type = view.operand(0);
  demand(type.is_data() && in_domain(type.dtype, rules.domain), "operand 0 is {}; it takes {}", print_type(type),
         describe(rules.domain));
  for (std::size_t i = 1; i < view.operands(); ++i)
    demand(view.operand(i) == type, "operand {} is {}, operand 0 is {}", i, print_type(view.operand(i)),
           print_type(type));
  view.demand_result(0, rules.result == Result::same ? type : type.with(DType::i1));
  const bool floored = view.op.word("mode") == "floor";
  demand(!(floored && is_float(type.dtype) && view.op.code == OpCode::div), "mode=floor is for integers, not {}",
         print_type(type));
}

void verify_select(const OpView& view) {
  const Type& condition = view.operand(0);
  const Type& type = view.operand(1);
  demand(type.is_data(), "operand 1 is {}", print_type(type));
  demand(condition == Type::scalar(DType::i1) || condition == type.with(DType::i1),
         "operand 0 is {}; it must be i1 or {}", print_type(condition), print_type(type.with(DType::i1)));
  view.demand_operand(2, type);
  view.demand_result(0, type);
}

void verify_cast(const OpView& view) {
  const Type& from = view.operand(0);
  const Type& to = view.result();
  demand(from.is_data() && to.same_shape(from), "it makes {} of {}: the shapes differ", print_type(to),
         print_type(from));
  if (view.op.code == OpCode::bitcast)
    demand(info(from.dtype).bits == info(to.dtype).bits && (from.dtype == DType::i1) == (to.dtype == DType::i1),
           "it makes {} of {}: the sizes differ", print_type(to), print_type(from));
}

void verify_range(const OpView& view) {
  const Type& type = view.result();
  demand(type.is_tile() && type.rank == 1 && is_int(type.dtype),
         "its result is {}; it must be a tile of integers with one axis", print_type(type));
}

void verify_full(const OpView& view) {
  const Type& type = view.result();
  demand(type.is_tile(), "its result is {}; it must be a tile", print_type(type));
  view.demand_operand(0, Type::scalar(type.dtype));
}

void verify_expand(const OpView& view) {
  const Type& from = view.operand(0);
  demand(from.is_tile() && from.rank < Limits::rank, "operand 0 is {}; it takes a tile of at most {} axes",
         print_type(from), Limits::rank - 1);
  const std::size_t axis = view.axis(std::size_t{from.rank} + 1);
  Type wanted = from;
  ++wanted.rank;
  std::copy_backward(from.dims.begin() + static_cast<long>(axis), from.dims.end() - 1, wanted.dims.end());
  wanted.dims[axis] = 1;
  view.demand_result(0, wanted);
}

void verify_broadcast(const OpView& view) {
  view.demand_tile(0);
  const Type& from = view.operand(0);
  const Type& to = view.result();
  bool fits = to.is_tile() && to.rank == from.rank && to.dtype == from.dtype;
  for (std::size_t i = 0; fits && i < from.rank; ++i) fits = from.dims[i] == to.dims[i] || from.dims[i] == 1;
  demand(fits, "{} cannot be broadcast to {}: extents are equal or 1", print_type(from), print_type(to));
}

void verify_reshape(const OpView& view) {
  view.demand_tile(0);
  const Type& to = view.result();
  demand(to.is_tile() && to.dtype == view.operand(0).dtype && to.elements() == view.operand(0).elements(),
         "it makes {} of {}: elements differ in number or type", print_type(to), print_type(view.operand(0)));
}

void verify_trans(const OpView& view) {
  view.demand_tile(0);
  const Type& from = view.operand(0);
  const auto& perm = view.op.find("perm")->list;
  Type wanted = from;
  std::vector<bool> seen(from.rank, false);
  demand(perm.size() == from.rank, "perm has {} axes, operand 0 has {}", perm.size(), from.rank);
  for (std::size_t i = 0; i < perm.size(); ++i) {
    demand(perm[i] >= 0 && perm[i] < from.rank && !seen[static_cast<std::size_t>(perm[i])],
           "perm is no permutation of 0 to {}", from.rank - 1);
    seen[static_cast<std::size_t>(perm[i])] = true;
    wanted.dims[i] = from.dims[static_cast<std::size_t>(perm[i])];
  }
  view.demand_result(0, wanted);
}

void verify_join(const OpView& view) {
  view.demand_tile(0);
  const Type& half = view.operand(0);
  demand(half.rank < Limits::rank, "operand 0 has {} axes already", half.rank);
  demand(half.elements() * 2 <= Limits::tile_elements, "the result has more than {} elements", Limits::tile_elements);
  view.demand_operand(1, half);
  Type wanted = half;
  wanted.dims[wanted.rank++] = 2;
  view.demand_result(0, wanted);
}

void verify_split(const OpView& view) {
  view.demand_tile(0);
  const Type& from = view.operand(0);
  demand(from.rank > 1 && from.dims[from.rank - 1U] == 2, "operand 0 is {}; its last axis must have 2 elements",
         print_type(from));
  const Type half = without_axis(from, from.rank - 1U);
  view.demand_result(0, half);
  view.demand_result(1, half);
}

void verify_slice(const OpView& view) {
  view.demand_tile(0);
  const Type& from = view.operand(0);
  const Type& to = view.result();
  const auto& start = view.op.find("start")->list;
  demand(to.is_tile() && to.rank == from.rank && to.dtype == from.dtype && start.size() == from.rank,
         "operand 0 is {}, its result {}, and start has {} axes", print_type(from), print_type(to), start.size());
  for (std::size_t i = 0; i < from.rank; ++i)
    demand(start[i] >= 0 && start[i] <= from.dims[i] - to.dims[i], "axis {}: {} elements from {} end past {}", i,
           to.dims[i], start[i], from.dims[i]);
}

void verify_report(const OpView& view) {
  for (std::size_t i = 0; i < view.operands(); ++i)
    demand(view.operand(i).is_data(), "operand {} is {}", i, print_type(view.operand(i)));
  if (view.op.code == OpCode::assert_)
    demand(view.operand(0).dtype == DType::i1, "operand 0 is {}; it takes i1", print_type(view.operand(0)));
}

}  // namespace

void OpView::demand_result(std::size_t i, const Type& wanted) const {
  demand(result(i) == wanted, "result {} is {}; it must be {}", i, print_type(result(i)), print_type(wanted));
}

void OpView::demand_operand(std::size_t i, const Type& wanted) const {
  demand(operand(i) == wanted, "operand {} is {}; it must be {}", i, print_type(operand(i)), print_type(wanted));
}

void OpView::demand_tile(std::size_t i) const {
  demand(operand(i).is_tile(), "operand {} is {}; it takes a tile", i, print_type(operand(i)));
}

std::size_t OpView::axis(std::size_t rank) const {
  const std::int64_t axis = op.integer("axis");
  demand(axis >= 0 && axis < static_cast<std::int64_t>(rank), "axis is {}; it is 0 to {}", axis, rank - 1);
  return static_cast<std::size_t>(axis);
}

Type without_axis(const Type& type, std::size_t axis) {
  if (type.rank == 1) return Type::scalar(type.dtype);
  Type smaller = type;
  std::copy(type.dims.begin() + static_cast<long>(axis) + 1, type.dims.end(),
            smaller.dims.begin() + static_cast<long>(axis));
  smaller.dims[--smaller.rank] = 0;
  return smaller;
}

bool in_domain(DType dtype, Domain domain) {
  switch (domain) {
    case Domain::number:
      return dtype != DType::i1;
    case Domain::floating:
      return is_float(dtype);
    case Domain::integer:
      return is_int(dtype);
    case Domain::bits:
      return is_int(dtype) || dtype == DType::i1;
    default:
      return true;
  }
}

std::string_view describe(Domain domain) {
  switch (domain) {
    case Domain::number:
      return "numbers";
    case Domain::floating:
      return "floating-point numbers";
    case Domain::integer:
      return "integers";
    case Domain::bits:
      return "integers and i1";
    default:
      return "scalars and tiles";
  }
}

void verify_op(const OpView& view) {
  if (info(view.op.code).is_elementwise()) return verify_elementwise(view);
  switch (view.op.code) {
    case OpCode::program_id:
    case OpCode::num_programs:
      view.axis(3);
      return view.demand_result(0, Type::scalar(DType::i32));
    case OpCode::assert_:
    case OpCode::print:
      return verify_report(view);
    case OpCode::const_:
      return;  // that its result is data was checked with the counts
    case OpCode::range:
      return verify_range(view);
    case OpCode::full:
      return verify_full(view);
    case OpCode::cast:
    case OpCode::bitcast:
      return verify_cast(view);
    case OpCode::select:
      return verify_select(view);
    case OpCode::expand:
      return verify_expand(view);
    case OpCode::broadcast:
      return verify_broadcast(view);
    case OpCode::reshape:
      return verify_reshape(view);
    case OpCode::trans:
      return verify_trans(view);
    case OpCode::join:
      return verify_join(view);
    case OpCode::split:
      return verify_split(view);
    case OpCode::slice:
      return verify_slice(view);
    case OpCode::flip:
      view.demand_tile(0);
      view.axis(view.operand(0).rank);
      return view.demand_result(0, view.operand(0));
    case OpCode::for_:
    case OpCode::if_:
    case OpCode::while_:
    case OpCode::yield:
      return verify_control_op(view);
    case OpCode::view:
    case OpCode::load:
    case OpCode::store:
    case OpCode::gather:
    case OpCode::scatter:
    case OpCode::atomic_rmw:
    case OpCode::atomic_cas:
      return verify_memory_op(view);
    default:
      return verify_collective_op(view);
  }
}

}  // namespace flagos::compiler
