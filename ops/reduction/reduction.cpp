// Operators of the family "reduction".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_reductions(Table&) {}

}  // namespace flagos::ops
