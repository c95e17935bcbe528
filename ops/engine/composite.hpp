// Operators that are made of others: calls of the table from inside of a call.
#pragma once

#include <initializer_list>
#include <string_view>

#include "ops/tensor.hpp"

namespace flagos::ops {

// Calls an operator whose parameters are tensors, then others that have defaults, then one output: the last tensor.
void call_operator(flagos_stream_t* stream, std::string_view name,
                   std::initializer_list<Tensor> tensors);

}  // namespace flagos::ops
