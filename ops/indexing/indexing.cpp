// Operators of the family "indexing".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_indexing(Table&) {}

}  // namespace flagos::ops
