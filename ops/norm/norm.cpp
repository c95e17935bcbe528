// Operators of the family "norm".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_norms(Table&) {}

}  // namespace flagos::ops
