#include "ops/language/language.hpp"

#include "ops/families.hpp"

namespace flagos::ops {

void add_language(Table& table) {
  add_embedding(table);
  add_rope(table);
  add_sampling(table);
  add_router(table);
  add_experts(table);
  add_grouped(table);
  add_quantized(table);
  add_recurrent(table);
}

}  // namespace flagos::ops
