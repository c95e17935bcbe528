// Operators of the family "shape".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_shape(Table&) {}

}  // namespace flagos::ops
