#include "plugins/cpu/interpreter.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace flagos::cpu {
namespace {

struct Reports {
  const Host& host;
  const std::string& kernel;
  std::string failure;
};

// What a kernel prints goes to the log; an assertion that does not hold is why the launch fails.
void report(void* context, const flagos_tile_report_t* said) {
  auto& reports = *static_cast<Reports*>(context);
  guard(
      [&] {
        std::string text = fmt::format("program {},{},{}: {}", said->program[0], said->program[1],
                                       said->program[2], said->text);
        if (*said->author_file != '\0')
          text = fmt::format("{}:{}: {}", said->author_file, said->author_line, text);
        if (said->failed_assert != 0)
          reports.failure = text;
        else
          reports.host.log(FLAGOS_LOG_LEVEL_INFO,
                           fmt::format("kernel '{}': {}", reports.kernel, text));
      },
      [](flagos_status_t, const char*) {});
}

}  // namespace

const CompilerLibrary* find_interpreter() {
  try {
    return &open_compiler(reinterpret_cast<const void*>(&find_interpreter));
  } catch (const Error&) {
    return nullptr;
  }
}

void Interpreter::interpret(std::uint32_t kernel, const LaunchShape& shape,
                            const void* arguments) const {
  const TileKernel& described = module_.kernels()[kernel];
  std::vector<flagos_tile_argument_t> values;
  for (const flagos_parameter_t& parameter : described.parameters) {
    flagos_tile_argument_t value{};
    std::memcpy(&value.value, static_cast<const std::byte*>(arguments) + parameter.offset_bytes,
                std::min<std::size_t>(parameter.size_bytes, sizeof(value.value)));
    values.push_back(value);
  }
  Reports reports{host_, described.name, {}};
  flagos_tile_interpret_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kernel = kernel;
  std::copy_n(shape.grid, 3, desc.grid);
  desc.argument_count = static_cast<std::uint32_t>(values.size());
  desc.arguments = values.data();
  desc.argument_stride = sizeof(flagos_tile_argument_t);
  desc.on_report = report;
  desc.context = &reports;
  const CompilerLibrary& library = module_.library();
  const flagos_status_t status = library.module_interpret(module_.get(), &desc);
  if (status == FLAGOS_STATUS_OK) return;
  throw_error(status, "kernel '{}': {}", described.name,
              reports.failure.empty() ? library.last_error() : reports.failure);
}

Failure Interpreter::run(std::uint32_t kernel, const LaunchShape& shape,
                         const void* arguments) const noexcept {
  Failure failure;
  guard([&] { interpret(kernel, shape, arguments); },
        [&](flagos_status_t status, const char* text) { failure = make_failure(status, text); });
  return failure;
}

}  // namespace flagos::cpu
