// Operators of the family "product".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_products(Table&) {}

}  // namespace flagos::ops
