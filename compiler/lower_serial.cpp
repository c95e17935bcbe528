// The serial schedule: one thread runs a program, with vectors. serial_*.cpp write the kernels, a SerialDialect the
// language.
#include <algorithm>

#include "base/error.hpp"
#include "compiler/lower_schedule.hpp"
#include "compiler/serial_emit.hpp"
#include "compiler/simplify.hpp"

namespace flagos::compiler {
namespace {

std::unique_ptr<serial::SerialDialect> dialect_of(const Target& target) {
  switch (target.dialect) {
    case Dialect::gnu_cxx:
      return serial::make_gnu_cxx(target);
    case Dialect::opencl_c:
      return serial::make_opencl_lanes(target);
    default:
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "target '{}': the serial schedule is printed in gnu-c++ and opencl-c",
                  print_target(target));
  }
}

}  // namespace

Lowered lower_serial(const Module& given, const Target& target) {
  const std::unique_ptr<serial::SerialDialect> dialect = dialect_of(target);
  const Module module = simplify(given);
  Lowered lowered;
  std::vector<serial::SerialKernel> kernels;
  serial::SerialNeeds needs;
  for (std::size_t i = 0; i < module.kernels.size(); ++i) {
    const Kernel& kernel = module.kernels[i];
    serial::Emitter emitter(module, kernel, target, *dialect);
    std::string body = emitter.emit();
    const std::size_t scratch = emitter.scratch_bytes();
    if (scratch > target.scratch_bytes)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "kernel '{}' needs {} bytes of scratch for a program; target '{}' has {}",
                  kernel.name, scratch, print_target(target), target.scratch_bytes);
    kernels.push_back({&kernel, i, scratch, emitter.fails(), !module.files.empty(), emitter.bf16(), std::move(body)});
    lowered.kernels.push_back({dialect->symbol(kernel), 1, 0, dialect->launch_scratch(scratch), emitter.fails()});
    needs.fails |= emitter.fails();
    needs.dot |= emitter.has_dot();
    needs.bf16 = std::max(needs.bf16, emitter.bf16());
  }
  lowered.source = dialect->text(module, kernels, needs);
  lowered.options = dialect->options(needs);
  return lowered;
}

}  // namespace flagos::compiler
