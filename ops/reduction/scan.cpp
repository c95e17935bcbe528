// Operators of the family "scan".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_scans(Table&) {}

}  // namespace flagos::ops
