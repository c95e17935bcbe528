// The C functions of flagos_compiler.h: handles, struct sizes and error texts around the compiler's own functions.
#include <flagos_compiler.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "compiler/api.hpp"
#include "compiler/attributes.hpp"
#include "compiler/diagnostic.hpp"
#include "compiler/interpreter.hpp"
#include "compiler/parser.hpp"
#include "compiler/printer.hpp"
#include "compiler/verifier.hpp"

namespace flagos::compiler {

Handles<Loaded>& modules() {
  static auto* const all = new Handles<Loaded>("module");
  return *all;
}

namespace {

thread_local std::array<char, 1024> error_text{};

}  // namespace

void set_api_error(flagos_status_t, const char* text) noexcept {
  std::size_t length = std::min(std::strlen(text), error_text.size() - 1);
  // Cut between characters.
  while (length > 0 && text[length] != '\0' && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
  std::memcpy(error_text.data(), text, length);
  error_text[length] = '\0';
}

void demand(const void* pointer, std::string_view name) {
  if (!pointer) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is NULL", name);
}

const Kernel& kernel_of(const Loaded& loaded, std::uint32_t kernel) {
  if (kernel >= loaded.module.kernels.size())
    throw_error(FLAGOS_STATUS_NOT_FOUND, "kernel {} of {}", kernel, loaded.module.kernels.size());
  return loaded.module.kernels[kernel];
}

namespace {

LoadedPtr load(std::string_view text) {
  auto loaded = std::make_shared<Loaded>();
  loaded->module = parse(text);
  verify(loaded->module);
  loaded->text = print(loaded->module);
  loaded->text_with_locations = loaded->text + print_locations(loaded->module);
  loaded->digest = hash(loaded->module);
  for (const Kernel& kernel : loaded->module.kernels) {
    loaded->constants.push_back(print_attributes(kernel.constants, DType::i64));
    std::vector<std::string>& facts = loaded->facts.emplace_back();
    for (std::size_t i = 0; i < kernel.arguments.size(); ++i)
      facts.push_back(print_attributes(kernel.arguments[i].facts, kernel.values[i].dtype));
  }
  return loaded;
}

void hand_over(const Refused& refused, const flagos_tile_module_desc_t& desc) {
  if (!desc.on_diagnostic) return;
  for (const Diagnostic& diagnostic : refused.diagnostics()) {
    const flagos_tile_diagnostic_t out{sizeof(out),          diagnostic.line,         diagnostic.column,
                                       diagnostic.file_line, diagnostic.file.c_str(), diagnostic.reason.c_str()};
    desc.on_diagnostic(desc.context, &out);
  }
}

flagos_tile_argument_info_t describe(const Loaded& loaded, std::uint32_t kernel, std::uint32_t index) {
  const Kernel& of = kernel_of(loaded, kernel);
  if (index >= of.arguments.size())
    throw_error(FLAGOS_STATUS_NOT_FOUND, "argument {} of {} of kernel '{}'", index, of.arguments.size(), of.name);
  flagos_tile_argument_info_t out{};
  out.dtype = info(of.values[index].dtype).abi;
  out.name = of.arguments[index].name.c_str();
  out.facts = loaded.facts[kernel][index].c_str();
  if (of.values[index].kind == Type::Kind::pointer) out.flags |= FLAGOS_TILE_ARGUMENT_FLAG_POINTER;
  for (const Attribute& fact : of.arguments[index].facts) {
    if (fact.name == "readonly") out.flags |= FLAGOS_TILE_ARGUMENT_FLAG_READONLY;
    if (fact.name == "noalias") out.flags |= FLAGOS_TILE_ARGUMENT_FLAG_NOALIAS;
  }
  return out;
}

std::vector<ArgumentValue> read_arguments(const flagos_tile_interpret_desc_t& desc) {
  if (desc.argument_count != 0) demand(desc.arguments, "arguments");
  if (desc.argument_count != 0 && desc.argument_stride < sizeof(flagos_tile_argument_t))
    throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE, "argument_stride is {}, the 1.0 size is {}", desc.argument_stride,
                sizeof(flagos_tile_argument_t));
  std::vector<ArgumentValue> values;
  const auto* at = reinterpret_cast<const std::byte*>(desc.arguments);
  for (std::uint32_t i = 0; i < desc.argument_count; ++i, at += desc.argument_stride) {
    flagos_tile_argument_t argument;
    std::memcpy(&argument, at, sizeof(argument));
    values.push_back({argument.value, argument.size_bytes});
  }
  return values;
}

void run(const Loaded& loaded, const flagos_tile_interpret_desc_t& desc) {
  const Kernel& kernel = kernel_of(loaded, desc.kernel);
  if (desc.argument_count != kernel.arguments.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "kernel '{}' takes {} arguments, not {}", kernel.name,
                kernel.arguments.size(), desc.argument_count);
  const std::vector<ArgumentValue> arguments = read_arguments(desc);
  Launch launch;
  std::copy_n(desc.grid, 3, launch.grid.begin());
  launch.arguments = arguments;
  launch.step_limit = desc.step_limit;
  if (desc.on_report)
    launch.report = [&](const Report& report) {
      const auto file = static_cast<std::size_t>(report.op->file);
      const flagos_tile_report_t out{sizeof(out),
                                     report.failed_assert ? 1U : 0U,
                                     {report.program[0], report.program[1], report.program[2]},
                                     report.op->file_line,
                                     report.op->file < 0 ? "" : loaded.module.files[file].c_str(),
                                     report.text.c_str()};
      desc.on_report(desc.context, &out);
    };
  interpret(loaded.module, kernel, launch);
}

}  // namespace
}  // namespace flagos::compiler

using namespace flagos::compiler;

uint32_t flagos_tile_get_version(void) { return FLAGOS_MAKE_VERSION(kFormMajor, kFormMinor); }

const char* flagos_compiler_last_error(void) { return error_text.data(); }

flagos_status_t flagos_tile_module_create(const flagos_tile_module_desc_t* desc, flagos_tile_module_t** out_module) {
  if (out_module) *out_module = nullptr;
  return entry([&] {
    demand(out_module, "out_module");
    check_desc(desc, "flagos_tile_module_desc_t");
    demand(desc->text, "desc->text");
    try {
      *out_module = modules().add<flagos_tile_module_t>(load({desc->text, desc->size_bytes}));
    } catch (const Refused& refused) {
      hand_over(refused, *desc);
      throw;
    }
  });
}

flagos_status_t flagos_tile_module_destroy(flagos_tile_module_t* module) {
  return entry([&] {
    if (module) modules().remove(module);
  });
}

flagos_status_t flagos_tile_module_get_text(flagos_tile_module_t* module, uint64_t flags, const char** out_text,
                                            uint64_t* out_size_bytes) {
  if (out_text) *out_text = nullptr;
  if (out_size_bytes) *out_size_bytes = 0;
  return entry([&] {
    const LoadedPtr loaded = modules().find(module);
    demand(out_text, "out_text");
    if ((flags & ~uint64_t{FLAGOS_TILE_TEXT_FLAG_LOCATIONS}) != 0)
      flagos::throw_error(FLAGOS_STATUS_UNSUPPORTED, "flags are {:#x}; only LOCATIONS (1) is known", flags);
    const std::string& text = flags != 0 ? loaded->text_with_locations : loaded->text;
    *out_text = text.c_str();
    if (out_size_bytes) *out_size_bytes = text.size();
  });
}

flagos_status_t flagos_tile_module_get_hash(flagos_tile_module_t* module, uint8_t* out_hash) {
  if (out_hash) std::memset(out_hash, 0, 32);
  return entry([&] {
    const LoadedPtr loaded = modules().find(module);
    demand(out_hash, "out_hash");
    std::copy(loaded->digest.begin(), loaded->digest.end(), out_hash);
  });
}

flagos_status_t flagos_tile_module_get_kernel_count(flagos_tile_module_t* module, uint32_t* out_count) {
  if (out_count) *out_count = 0;
  return entry([&] {
    const LoadedPtr loaded = modules().find(module);
    demand(out_count, "out_count");
    *out_count = static_cast<uint32_t>(loaded->module.kernels.size());
  });
}

flagos_status_t flagos_tile_module_find_kernel(flagos_tile_module_t* module, const char* name, uint32_t* out_kernel) {
  if (out_kernel) *out_kernel = 0;
  return entry([&] {
    const LoadedPtr loaded = modules().find(module);
    demand(name, "name");
    demand(out_kernel, "out_kernel");
    const auto& kernels = loaded->module.kernels;
    const auto found = std::find_if(kernels.begin(), kernels.end(), [&](const Kernel& k) { return k.name == name; });
    if (found == kernels.end()) flagos::throw_error(FLAGOS_STATUS_NOT_FOUND, "the module has no kernel '{}'", name);
    *out_kernel = static_cast<uint32_t>(found - kernels.begin());
  });
}

flagos_status_t flagos_tile_module_get_kernel_info(flagos_tile_module_t* module, uint32_t kernel,
                                                   flagos_tile_kernel_info_t* out_info) {
  clear_out(out_info);
  return entry([&] {
    const LoadedPtr loaded = modules().find(module);
    demand(out_info, "out_info");
    check_size(*out_info, "flagos_tile_kernel_info_t");
    const Kernel& of = kernel_of(*loaded, kernel);
    write_out(out_info,
              {0, static_cast<uint32_t>(of.arguments.size()), of.name.c_str(), loaded->constants[kernel].c_str()});
  });
}

flagos_status_t flagos_tile_module_get_argument_info(flagos_tile_module_t* module, uint32_t kernel, uint32_t argument,
                                                     flagos_tile_argument_info_t* out_info) {
  clear_out(out_info);
  return entry([&] {
    const LoadedPtr loaded = modules().find(module);
    demand(out_info, "out_info");
    check_size(*out_info, "flagos_tile_argument_info_t");
    write_out(out_info, describe(*loaded, kernel, argument));
  });
}

flagos_status_t flagos_tile_module_interpret(flagos_tile_module_t* module, const flagos_tile_interpret_desc_t* desc) {
  return entry([&] {
    const LoadedPtr loaded = modules().find(module);
    check_desc(desc, "flagos_tile_interpret_desc_t");
    run(*loaded, *desc);
  });
}
