// Operators of the family "attention".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_attention(Table&) {}

}  // namespace flagos::ops
