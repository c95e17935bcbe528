// The functions of lanes that OpenCL C has no templates for: each is made for the types and the number of lanes that its
// name ends with, such as fl_load_g_f32_8: eight f32 from global memory.
#pragma once

#include <string>

#include "compiler/module.hpp"

namespace flagos::compiler::opencl_lanes {

// "float8", or "float" for one lane; of i1 a mask, "int8" or "bool".
std::string type_of(DType lane, int lanes);

// The text of all functions that `text` calls, and of those that they call; `rows` are held in registers by a product.
std::string functions_of(const std::string& text, int rows);

}  // namespace flagos::compiler::opencl_lanes
