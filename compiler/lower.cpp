#include "compiler/lower.hpp"

#include "base/error.hpp"
#include "compiler/lower_schedule.hpp"

namespace flagos::compiler {

namespace {

Lowered lower_by_schedule(const Module& module, const Target& target) {
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

}  // namespace

std::string entry_of(const Kernel& kernel) { return "tile_" + kernel.name; }

Lowered lower(const Module& module, const Target& target) {
  Lowered lowered = lower_by_schedule(module, target);
  if (target.dialect == Dialect::gnu_cxx) return lowered;  // whose kernels give the whole sentence
  for (std::size_t i = 0; i < lowered.kernels.size(); ++i)
    if (lowered.kernels[i].fails) lowered.kernels[i].assertions = assertions_in(module.kernels[i].body);
  return lowered;
}

}  // namespace flagos::compiler
