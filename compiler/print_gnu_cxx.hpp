// How C++ with GNU vectors spells types, constants and elementwise operations. The functions that it names stand in
// gnu_cxx/, and take lanes: a scalar, or a vector.
#pragma once

#include <string>
#include <vector>

#include "compiler/module.hpp"

namespace flagos::compiler::gnu_cxx {

// Of an element in memory, and of a lane: f16, bf16 and f8 are computed as f32, i1 as a mask.
std::string memory_type(DType dtype);
std::string lane_type(DType dtype);
DType lane_dtype(DType dtype);
// A scalar constant, as a lane.
std::string literal(DType dtype, std::uint64_t bits);
// The same, as an element in memory.
std::string memory_literal(DType dtype, std::uint64_t bits);
std::string integer(std::int64_t value);
std::string quote(std::string_view text);

// An elementwise operation, cast, bitcast or select of lanes that have names. `from` is the type of operand 0.
std::string elementwise(const Op& op, DType from, DType to, const std::vector<std::string>& operands);
// `a` combined with `b` as reduce, scan and atomics name it: "add", "min", ...; lanes of `dtype`.
std::string combine(std::string_view name, std::string_view nan, DType dtype, std::string_view a, std::string_view b);
// What leaves the other operand of `combine` as it is.
std::string identity(std::string_view name, std::string_view nan, DType dtype);

// What abi/flagos_cpu_kernel.h declares, and the functions and types that kernels use.
std::string_view declarations();
std::string_view prelude();
// What kernels with a product use beside: the blocks that are multiplied in registers, and their packing.
int rows_at_once(std::uint32_t vector_bits);
std::string micro_kernel(std::uint32_t vector_bits);
std::string_view products();
std::string_view products_by_amx();
// What kernels with an assert use beside.
std::string_view fail();

}  // namespace flagos::compiler::gnu_cxx
