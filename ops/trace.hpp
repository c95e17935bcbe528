// FLAGOS_OPS_TRACE: a line for each call of an operator, which says whether its native or its portable version ran.
#pragma once

#include <string_view>

#include "ops/operator.hpp"

namespace flagos::ops {

bool is_tracing();
void run_traced(const Operator& op, Call& call);
// What the operator that this thread is in chose, and why; for the line.
void trace_route(bool native, std::string_view reason);

// Every call of an operator, by a program or by another operator.
inline void run_operator(const Operator& op, Call& call) {
  if (is_tracing()) [[unlikely]]
    return run_traced(op, call);
  op.run(call);
}

}  // namespace flagos::ops
