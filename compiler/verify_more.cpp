// Rules of operations with regions, on memory, and across a tile.
#include <algorithm>

#include "compiler/verify_op.hpp"

namespace flagos::compiler {
namespace {

using Types = std::vector<Type>;

Types types_of(const OpView& view, const std::vector<ValueId>& values, std::size_t first = 0) {
  Types types;
  for (std::size_t i = first; i < values.size(); ++i) types.push_back(view.type(values[i]));
  return types;
}

std::string print_types(const Types& types) {
  std::string text;
  for (const Type& type : types) text += (text.empty() ? "" : ", ") + print_type(type);
  return text.empty() ? "nothing" : text;
}

void demand_types(std::string_view what, const Types& found, const Types& wanted) {
  demand(found == wanted, "{} {}; it must be {}", what, print_types(found), print_types(wanted));
}

// A region's arguments, and what it yields.
void demand_region(const OpView& view, std::size_t i, const Types& arguments, const Types& yields) {
  const Block& region = view.op.regions[i];
  const std::string_view name = info(view.op.code).keywords[i];
  demand_types(fmt::format("the arguments of region '{}' are", name), types_of(view, region.arguments), arguments);
  demand_types(fmt::format("region '{}' yields", name), types_of(view, region.ops.back().operands), yields);
}

void demand_data(const Types& types) {
  for (const Type& type : types) demand(type.is_data(), "it cannot carry {}", print_type(type));
}

void verify_for(const OpView& view) {
  const Type& index = view.operand(0);
  demand(index.is_scalar() && is_index(index.dtype), "operand 0 is {}; it must be i32 or i64", print_type(index));
  view.demand_operand(1, index);
  view.demand_operand(2, index);
  const Types carried = types_of(view, view.op.operands, 3);
  demand_data(carried);
  demand_types("its results are", types_of(view, view.op.results), carried);
  Types arguments{index};
  arguments.insert(arguments.end(), carried.begin(), carried.end());
  demand_region(view, 0, arguments, carried);
}

void verify_if(const OpView& view) {
  view.demand_operand(0, Type::scalar(DType::i1));
  const Types results = types_of(view, view.op.results);
  demand(results.empty() || view.op.regions.size() == 2, "it has results, and so needs the region 'else'");
  for (std::size_t i = 0; i < view.op.regions.size(); ++i) demand_region(view, i, {}, results);
}

void verify_while(const OpView& view) {
  const Types carried = types_of(view, view.op.operands);
  demand_data(carried);
  demand_types("its results are", types_of(view, view.op.results), carried);
  demand_region(view, 0, carried, {Type::scalar(DType::i1)});
  demand_region(view, 1, carried, carried);
}

// view and indices; operand 1 + rank is the next.
const Type& demand_indices(const OpView& view, bool scalars) {
  const Type& memory = view.operand(0);
  demand(memory.kind == Type::Kind::view, "operand 0 is {}; it takes a view", print_type(memory));
  demand(view.operands() > memory.rank, "it has {} operands; the view has {} axes, and each has an index",
         view.operands(), memory.rank);
  for (std::size_t i = 1; i <= memory.rank; ++i) {
    const Type& index = view.operand(i);
    demand(index.is_data() && is_index(index.dtype) && (!scalars || index.is_scalar()),
           "operand {} is {}; an index is {} of i32 or i64", i, print_type(index),
           scalars ? "a scalar" : "a scalar or tile");
    demand(scalars || index == view.operand(1), "operand {} is {}, operand 1 is {}", i, print_type(index),
           print_type(view.operand(1)));
  }
  return memory;
}

// The mask may follow the other operands.
void demand_mask(const OpView& view, std::size_t others, const Type& shape) {
  demand(view.operands() == others || view.operands() == others + 1, "it has {} operands, and takes {}, and a mask",
         view.operands(), others);
  if (view.operands() > others) view.demand_operand(others, shape.with(DType::i1));
}

void verify_view(const OpView& view) {
  const Type& pointer = view.operand(0);
  const Type& type = view.result();
  demand(pointer.kind == Type::Kind::pointer, "operand 0 is {}; it takes a ptr", print_type(pointer));
  demand(pointer.dtype == type.dtype, "it makes {} of {}", print_type(type), print_type(pointer));
  std::size_t dynamic = 0;
  for (const std::string_view name : {"shape", "strides"}) {
    const auto& list = view.op.find(name)->list;
    demand(list.size() == type.rank, "{} has {} values; its result is {}", name, list.size(), print_type(type));
    for (const std::int64_t value : list) {
      if (value == kDynamic) ++dynamic;
      demand(name == "strides" || value == kDynamic || value >= 0, "extent {} is below 0", value);
    }
  }
  demand(view.operands() == dynamic + 1, "it has {} operands; shape and strides have {} of '?'", view.operands(),
         dynamic);
  for (std::size_t i = 1; i < view.operands(); ++i)
    demand(view.operand(i).is_scalar() && is_index(view.operand(i).dtype), "operand {} is {}; it must be i32 or i64", i,
           print_type(view.operand(i)));
}

void demand_block(const Type& memory, const Type& data) {
  demand(data.is_data() && data.dtype == memory.dtype && (data.is_scalar() || data.rank == memory.rank),
         "{} does not fit {}: element types and numbers of axes are equal", print_type(data), print_type(memory));
}

void verify_load(const OpView& view) {
  const Type& memory = demand_indices(view, true);
  demand(view.operands() == 1U + memory.rank, "it has {} operands, and takes {}", view.operands(), 1 + memory.rank);
  demand_block(memory, view.result());
}

void verify_store(const OpView& view) {
  const Type& memory = demand_indices(view, true);
  demand(view.operands() == 2U + memory.rank, "it has {} operands, and takes {}", view.operands(), 2 + memory.rank);
  demand_block(memory, view.operand(1U + memory.rank));
}

void verify_gather(const OpView& view) {
  const Type& memory = demand_indices(view, false);
  demand_mask(view, 1U + memory.rank, view.operand(1));
  view.demand_result(0, view.operand(1).with(memory.dtype));
}

void verify_scatter(const OpView& view) {
  const Type& memory = demand_indices(view, false);
  demand_mask(view, 2U + memory.rank, view.operand(1));
  view.demand_operand(1U + memory.rank, view.operand(1).with(memory.dtype));
}

bool has_atomic(DType dtype, std::string_view op) {
  const int bits = info(dtype).bits;
  if (op == "and" || op == "or" || op == "xor" || op == "cas") return is_int(dtype) && bits >= 32;
  if (op == "exchange") return dtype != DType::i1 && bits >= 32;
  return (is_int(dtype) && bits >= 32) || (is_float(dtype) && bits >= 16);
}

void verify_atomic(const OpView& view) {
  const Type& memory = demand_indices(view, false);
  const bool cas = view.op.code == OpCode::atomic_cas;
  const std::string_view op = cas ? "cas" : view.op.word("op");
  const Type value = view.operand(1).with(memory.dtype);
  const std::size_t others = (cas ? 3U : 2U) + memory.rank;
  demand_mask(view, others, view.operand(1));
  for (std::size_t i = 1U + memory.rank; i < others; ++i) view.demand_operand(i, value);
  demand(has_atomic(memory.dtype, op), "there is no atomic {} of {}", op, info(memory.dtype).name);
  view.demand_result(0, value);
}

Domain domain_of(std::string_view op) {
  return op == "and" || op == "or" || op == "xor" ? Domain::bits : Domain::number;
}

void verify_fold(const OpView& view) {  // reduce and scan
  view.demand_tile(0);
  const std::size_t axis = view.axis(view.operand(0).rank);
  const std::size_t count = view.operands();
  demand(view.op.results.size() == count, "it has {} operands and {} results", count, view.op.results.size());
  Types scalars;
  for (std::size_t i = 0; i < count; ++i) {
    const Type& type = view.operand(i);
    demand(type.same_shape(view.operand(0)), "operand {} is {}, operand 0 is {}", i, print_type(type),
           print_type(view.operand(0)));
    view.demand_result(i, view.op.code == OpCode::reduce ? without_axis(type, axis) : type);
    scalars.push_back(Type::scalar(type.dtype));
  }
  const std::string_view op = view.op.word("op");
  demand((op == "region") == !view.op.regions.empty(), "op={} {} a region", op,
         op == "region" ? "needs" : "cannot have");
  demand(!view.op.has("nan") || op == "min" || op == "max", "attribute 'nan' is for min and max, not {}", op);
  if (op == "region") {
    Types arguments = scalars;
    arguments.insert(arguments.end(), scalars.begin(), scalars.end());
    return demand_region(view, 0, arguments, scalars);
  }
  demand(count == 1, "op={} takes one operand, not {}", op, count);
  demand(in_domain(scalars[0].dtype, domain_of(op)), "op={} is for {}, not {}", op, describe(domain_of(op)),
         print_type(view.operand(0)));
}

void verify_argreduce(const OpView& view) {
  view.demand_tile(0);
  const Type& type = view.operand(0);
  demand(in_domain(type.dtype, Domain::number), "operand 0 is {}; it takes numbers", print_type(type));
  const Type smaller = without_axis(type, view.axis(type.rank));
  view.demand_result(0, smaller);
  view.demand_result(1, smaller.with(DType::i32));
}

void verify_sort(const OpView& view) {
  view.demand_tile(0);
  view.axis(view.operand(0).rank);
  demand(in_domain(view.operand(0).dtype, Domain::number), "operand 0 is {}; keys are numbers",
         print_type(view.operand(0)));
  demand(view.op.results.size() == view.operands(), "it has {} operands and {} results", view.operands(),
         view.op.results.size());
  for (std::size_t i = 0; i < view.operands(); ++i) {
    demand(view.operand(i).same_shape(view.operand(0)), "operand {} is {}, operand 0 is {}", i,
           print_type(view.operand(i)), print_type(view.operand(0)));
    view.demand_result(i, view.operand(i));
  }
}

void verify_histogram(const OpView& view) {
  view.demand_tile(0);
  demand(is_int(view.operand(0).dtype), "operand 0 is {}; it takes integers", print_type(view.operand(0)));
  if (view.operands() > 1) view.demand_operand(1, view.operand(0).with(DType::i1));
  const Type& type = view.result();
  demand(type.is_tile() && type.rank == 1 && type.dtype == DType::i32, "its result is {}; it must be tile<nxi32>",
         print_type(type));
}

Type matrix(const Type& like, DType dtype, std::int32_t rows, std::int32_t columns) {
  Type type = like.with(dtype);
  type.dims[like.rank - 2U] = rows;
  type.dims[like.rank - 1U] = columns;
  return type;
}

DType accumulator_of(DType dtype) {
  if (dtype == DType::i8 || dtype == DType::u8) return DType::i32;
  return dtype == DType::f64 ? DType::f64 : DType::f32;
}

void verify_dot(const OpView& view) {
  const Type& a = view.operand(0);
  const Type& b = view.operand(1);
  demand(a.is_tile() && (a.rank == 2 || a.rank == 3), "operand 0 is {}; it takes a tile of 2 or 3 axes", print_type(a));
  demand(is_float(a.dtype) || info(a.dtype).bits == 8, "operand 0 is {}; it takes floating-point numbers, i8 or u8",
         print_type(a));
  demand(b.is_tile() && b.rank == a.rank, "operand 1 is {}, operand 0 is {}", print_type(b), print_type(a));
  view.demand_operand(1, matrix(a, a.dtype, a.dims[a.rank - 1U], b.dims[b.rank - 1U]));
  const Type wanted = matrix(a, accumulator_of(a.dtype), a.dims[a.rank - 2U], b.dims[b.rank - 1U]);
  view.demand_operand(2, wanted);
  view.demand_result(0, wanted);
}

void verify_dot_scaled(const OpView& view) {
  const Type& a = view.operand(0);
  const Type& b = view.operand(2);
  const std::int64_t block = view.op.integer("block");
  for (const Type* type : {&a, &b})
    demand(type->is_tile() && type->rank == 2 && is_float(type->dtype) && info(type->dtype).bits <= 16,
           "an operand is {}; it takes a tile of 2 axes of f8, f16 or bf16", print_type(*type));
  demand(b.dims[0] == a.dims[1], "operand 0 is {}, operand 2 is {}", print_type(a), print_type(b));
  demand(block >= 1 && a.dims[1] % block == 0, "block is {}; it divides {}", block, a.dims[1]);
  const auto blocks = static_cast<std::int32_t>(a.dims[1] / block);
  view.demand_operand(1, matrix(a, DType::u8, a.dims[0], blocks));
  view.demand_operand(3, matrix(b, DType::u8, blocks, b.dims[1]));
  const Type wanted = matrix(a, DType::f32, a.dims[0], b.dims[1]);
  view.demand_operand(4, wanted);
  view.demand_result(0, wanted);
}

void verify_philox(const OpView& view) {
  const Type& seed = view.operand(0);
  const Type& offset = view.operand(1);
  demand(seed.is_scalar() && is_int(seed.dtype), "operand 0 is {}; a seed is an integer", print_type(seed));
  demand(offset.is_data() && is_int(offset.dtype), "operand 1 is {}; offsets are integers", print_type(offset));
  if (view.operands() > 2) {
    const Type& stream = view.operand(2);
    demand(stream.is_data() && is_int(stream.dtype) && (stream.is_scalar() || stream.same_shape(offset)),
           "operand 2 is {}; it is an integer, or a tile like operand 1", print_type(stream));
  }
  for (std::size_t i = 0; i < 4; ++i) view.demand_result(i, offset.with(DType::u32));
}

void verify_extern(const OpView& view) {
  const Types operands = types_of(view, view.op.operands);
  demand_data(operands);
  demand_region(view, 0, operands, types_of(view, view.op.results));
}

}  // namespace

void verify_control_op(const OpView& view) {
  switch (view.op.code) {
    case OpCode::for_:
      return verify_for(view);
    case OpCode::if_:
      return verify_if(view);
    case OpCode::while_:
      return verify_while(view);
    default:
      return demand_data(types_of(view, view.op.operands));
  }
}

void verify_memory_op(const OpView& view) {
  switch (view.op.code) {
    case OpCode::view:
      return verify_view(view);
    case OpCode::load:
      return verify_load(view);
    case OpCode::store:
      return verify_store(view);
    case OpCode::gather:
      return verify_gather(view);
    case OpCode::scatter:
      return verify_scatter(view);
    default:
      return verify_atomic(view);
  }
}

void verify_collective_op(const OpView& view) {
  switch (view.op.code) {
    case OpCode::reduce:
    case OpCode::scan:
      return verify_fold(view);
    case OpCode::argreduce:
      return verify_argreduce(view);
    case OpCode::sort:
      return verify_sort(view);
    case OpCode::histogram:
      return verify_histogram(view);
    case OpCode::dot:
      return verify_dot(view);
    case OpCode::dot_scaled:
      return verify_dot_scaled(view);
    case OpCode::philox:
      return verify_philox(view);
    case OpCode::extern_:
      return verify_extern(view);
    default:
      throw Problem{"the verifier has no rule for it"};
  }
}

}  // namespace flagos::compiler
