#include "base/error.hpp"
#include "compiler/lower_schedule.hpp"

namespace flagos::compiler {

Lowered lower_tile_calls(const Module&, const Target& target) {
  throw_error(FLAGOS_STATUS_UNSUPPORTED, "target '{}': the tile-calls schedule is not there yet", print_target(target));
}

}  // namespace flagos::compiler
