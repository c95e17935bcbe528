// libFuzzer target: any bytes are refused or read; what is read comes back as it was, and runs for a while.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "compiler/diagnostic.hpp"
#include "compiler/interpreter.hpp"
#include "compiler/parser.hpp"
#include "compiler/printer.hpp"
#include "compiler/verifier.hpp"

namespace {

using namespace flagos::compiler;

// Kernels that touch no memory: their arguments are zero, and views on address 0 are an error of their own.
void run(const Module& module, const Kernel& kernel) {
  std::int64_t elements = 0;
  for (const Type& type : kernel.values) elements += type.elements();
  if (elements > 1 << 16) return;
  const std::vector<ArgumentValue> arguments(kernel.arguments.size());
  Launch launch;
  launch.arguments = arguments;
  launch.step_limit = 200;
  try {
    interpret(module, kernel, launch);
  } catch (const flagos::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Module module = parse({reinterpret_cast<const char*>(data), size});
    verify(module);
    const std::string text = print(module) + print_locations(module);
    const Module again = parse(text);
    verify(again);
    if (print(again) + print_locations(again) != text) std::abort();
    for (const Kernel& kernel : module.kernels) run(module, kernel);
  } catch (const Refused&) {
  }
  return 0;
}
