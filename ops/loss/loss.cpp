// Operators of the family "loss".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_losses(Table&) {}

}  // namespace flagos::ops
