// Operators of the family "language model".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_language(Table&) {}

}  // namespace flagos::ops
