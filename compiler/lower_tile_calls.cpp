// The schedule of chips with memory of their own and a call for each operation on it.
#include "base/error.hpp"
#include "compiler/lower_schedule.hpp"
#include "compiler/print_tile_c.hpp"
#include "compiler/simplify.hpp"
#include "compiler/simt_helpers.hpp"
#include "compiler/tile_call_emitter.hpp"

namespace flagos::compiler {

Lowered lower_tile_calls(const Module& given, const Target& target) {
  if (target.dialect != Dialect::tile_c)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "target '{}': tile calls are printed in tile-c alone", print_target(target));
  const Module module = simplify(given);
  const auto dialect = make_tile_c();
  Lowered lowered;
  std::set<std::string> helpers;
  SimtNeeds needs;
  std::string kernels;
  for (const Kernel& kernel : module.kernels) {
    TileCallEmitter emitter(module, kernel, target, *dialect, helpers, needs);
    const std::string body = emitter.run();
    kernels += "\n" + print_tile_kernel(kernel, emitter.bytes(), body);
    LaunchRecord record;
    record.kernel = kernel.name;
    record.scratch_bytes = emitter.bytes();
    record.fails = emitter.fails();
    lowered.kernels.push_back(std::move(record));
  }
  lowered.source = dialect->prelude(module, needs) + print_simt_helpers(helpers) + kernels;
  return lowered;
}

}  // namespace flagos::compiler
