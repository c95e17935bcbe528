// Operators of the family "optimizer".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_optimizers(Table&) {}

}  // namespace flagos::ops
