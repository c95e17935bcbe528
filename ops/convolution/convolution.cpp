// Operators of the family "convolution and pooling".
#include "ops/families.hpp"
#include "ops/table.hpp"

namespace flagos::ops {

void add_convolution(Table&) {}

}  // namespace flagos::ops
