// Operators of the family "sort".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_sort(Table&) {}

}  // namespace flagos::ops
