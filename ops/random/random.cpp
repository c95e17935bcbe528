// Operators of the family "random".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_random(Table&) {}

}  // namespace flagos::ops
