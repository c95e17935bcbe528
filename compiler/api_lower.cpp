// The C functions of flagos_compiler.h that lower a module.
#include "compiler/api.hpp"
#include "compiler/lower.hpp"

#include "flagos_lowering_digest.inc"

namespace flagos::compiler {
namespace {

struct Source {
  Lowered lowered;
  std::string target;
  std::string options;
};

Handles<Source>& sources() {
  static auto* const all = new Handles<Source>("source");
  return *all;
}

// In the order in which they are offered.
constexpr const char* dialects[] = {"gnu-c++", "opencl-c", "glsl", "cuda-c", "tile-c"};

bool has_op(const Block& block, OpCode code) {
  return std::any_of(block.ops.begin(), block.ops.end(), [code](const Op& op) {
    return op.code == code || std::any_of(op.regions.begin(), op.regions.end(),
                                          [code](const Block& region) { return has_op(region, code); });
  });
}

// Explicit vectors need little of an optimiser, but for the loops of a dot. The compiler may have more instructions than
// the target.
std::string options_for(const Module& module, const Target& target) {
  if (target.dialect != Dialect::gnu_cxx) return {};
  const bool dot = std::any_of(module.kernels.begin(), module.kernels.end(), [](const Kernel& kernel) {
    return has_op(kernel.body, OpCode::dot) || has_op(kernel.body, OpCode::dot_scaled);
  });
  return fmt::format("optimize={}{}{}", dot ? 2 : 1, target.isa.empty() ? "" : " isa=", target.isa);
}

std::shared_ptr<const Source> lower_to(const Loaded& loaded, std::string_view target_text) {
  const Target target = parse_target(target_text);
  auto source = std::make_shared<Source>();
  source->lowered = lower(loaded.module, target);
  source->target = print_target(target);
  source->options = options_for(loaded.module, target);
  return source;
}

}  // namespace
}  // namespace flagos::compiler

using namespace flagos::compiler;

uint64_t flagos_tile_get_lowering_version(void) { return FLAGOS_LOWERING_DIGEST; }

flagos_status_t flagos_tile_get_dialect(uint32_t index, const char** out_name) {
  if (out_name) *out_name = nullptr;
  return entry([&] {
    demand(out_name, "out_name");
    if (index >= std::size(dialects))
      flagos::throw_error(FLAGOS_STATUS_NOT_FOUND, "dialect {} of {}", index, std::size(dialects));
    *out_name = dialects[index];
  });
}

flagos_status_t flagos_tile_module_lower(flagos_tile_module_t* module, const char* target,
                                         flagos_tile_source_t** out_source) {
  if (out_source) *out_source = nullptr;
  return entry([&] {
    const LoadedPtr loaded = modules().find(module);
    demand(target, "target");
    demand(out_source, "out_source");
    *out_source = sources().add<flagos_tile_source_t>(lower_to(*loaded, target));
  });
}

flagos_status_t flagos_tile_source_destroy(flagos_tile_source_t* source) {
  return entry([&] {
    if (source) sources().remove(source);
  });
}

flagos_status_t flagos_tile_source_get_info(flagos_tile_source_t* source, flagos_tile_source_info_t* out_info) {
  clear_out(out_info);
  return entry([&] {
    const auto found = sources().find(source);
    demand(out_info, "out_info");
    check_size(*out_info, "flagos_tile_source_info_t");
    write_out(out_info, {0, static_cast<uint32_t>(found->lowered.kernels.size()), found->lowered.source.c_str(),
                         found->lowered.source.size(), found->target.c_str(), found->options.c_str()});
  });
}

flagos_status_t flagos_tile_source_get_launch_info(flagos_tile_source_t* source, uint32_t kernel,
                                                   flagos_tile_launch_info_t* out_info) {
  clear_out(out_info);
  return entry([&] {
    const auto found = sources().find(source);
    demand(out_info, "out_info");
    check_size(*out_info, "flagos_tile_launch_info_t");
    const auto& kernels = found->lowered.kernels;
    if (kernel >= kernels.size())
      flagos::throw_error(FLAGOS_STATUS_NOT_FOUND, "kernel {} of {}", kernel, kernels.size());
    const LaunchRecord& record = kernels[kernel];
    write_out(out_info, {0, record.threads, record.shared_bytes, record.scratch_bytes,
                         record.fails ? uint64_t{FLAGOS_TILE_LAUNCH_FLAG_FAILS} : 0, record.kernel.c_str()});
  });
}

flagos_status_t flagos_tile_source_get_assertion(flagos_tile_source_t* source, uint32_t kernel, uint32_t index,
                                                 uint32_t* out_number, const char** out_message) {
  if (out_number) *out_number = 0;
  if (out_message) *out_message = nullptr;
  return entry([&] {
    const auto found = sources().find(source);
    demand(out_number, "out_number");
    demand(out_message, "out_message");
    const auto& kernels = found->lowered.kernels;
    if (kernel >= kernels.size())
      flagos::throw_error(FLAGOS_STATUS_NOT_FOUND, "kernel {} of {}", kernel, kernels.size());
    const auto& assertions = kernels[kernel].assertions;
    if (index >= assertions.size())
      flagos::throw_error(FLAGOS_STATUS_NOT_FOUND, "assertion {} of {}", index, assertions.size());
    *out_number = assertions[index].number;
    *out_message = assertions[index].message.c_str();
  });
}
