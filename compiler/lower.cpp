#include "compiler/lower.hpp"

#include "base/error.hpp"
#include "compiler/lower_schedule.hpp"

namespace flagos::compiler {

Lowered lower(const Module& module, const Target& target) {
  switch (target.schedule) {
    case Schedule::serial:
      return lower_serial(module, target);
    case Schedule::simt:
      return lower_simt(module, target);
    case Schedule::tile_calls:
      return lower_tile_calls(module, target);
  }
  throw_error(FLAGOS_STATUS_INTERNAL, "there is no schedule {}", static_cast<int>(target.schedule));
}

}  // namespace flagos::compiler
