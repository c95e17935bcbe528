// C++ with GNU vectors: how it spells constants and elementwise operations, and the text that stands before kernels. The
// functions that it names are in gnu_cxx/, and take lanes: a scalar, or a vector.
#pragma once

#include <string>
#include <vector>

#include "compiler/module.hpp"

namespace flagos::compiler::gnu_cxx {

std::string literal(DType dtype, std::uint64_t bits);
std::string memory_literal(DType dtype, std::uint64_t bits);
std::string elementwise(const Op& op, DType from, DType to, const std::vector<std::string>& operands);

// What abi/flagos_cpu_kernel.h declares, and the functions and types that kernels use.
std::string_view declarations();
std::string_view prelude();
// What kernels with a product use beside: the blocks that are multiplied in registers, and their packing.
int rows_at_once(std::uint32_t vector_bits);
std::string micro_kernel(std::uint32_t vector_bits);
std::string_view products();
std::string_view products_in_pairs();  // of bf16, by AVX-512
std::string_view products_in_tiles();  // of bf16, by AMX; behind those in pairs
// What kernels with an assert use beside.
std::string_view fail();

}  // namespace flagos::compiler::gnu_cxx
