#include "compiler/serial_examples.hpp"

#include <doctest/doctest.h>

#include "compiler/child_compiler.hpp"

namespace flagos::compiler::test {
namespace {

struct Made {
  std::vector<std::vector<std::byte>> memory;
  std::vector<ArgumentValue> arguments;
};

Made make(const Example& example) {
  Made made;
  for (const Buffer& buffer : example.buffers)
    made.memory.push_back(pack({fmt::format("tile<{}x{}>", buffer.numbers.size(), info(buffer.dtype).name),
                                bits_of(buffer.dtype, buffer.numbers)}));
  for (std::vector<std::byte>& bytes : made.memory)
    made.arguments.push_back({reinterpret_cast<std::uintptr_t>(bytes.data()), bytes.size()});
  for (const std::uint64_t scalar : example.scalars) made.arguments.push_back({scalar, 0});
  return made;
}

void check(const std::vector<Example>& examples, const std::string& target, const std::string& optimize) {
  CAPTURE(target);
  std::string text = "flagos.tile 1.0\n";
  for (const Example& example : examples)
    text += fmt::format("kernel @{}({}) {{\n{}\n}}\n", example.name, example.arguments, example.body);
  const Module module = load(text);
  const Lowered lowered = lower(module, parse_target(target));
  REQUIRE(lowered.kernels.size() == examples.size());
  const ChildLibrary library(lowered, {optimize});
  for (std::size_t i = 0; i < examples.size(); ++i) {
    CAPTURE(examples[i].name);
    Made wanted = make(examples[i]), got = make(examples[i]);
    Launch launch;
    launch.grid = examples[i].grid;
    launch.arguments = wanted.arguments;
    interpret(module, module.kernels[i], launch);
    CHECK(lowered.kernels[i].kernel == examples[i].name);
    CHECK(library.run(examples[i].name, examples[i].grid, module, got.arguments) == "");
    for (std::size_t b = 0; b < wanted.memory.size(); ++b) {
      CAPTURE(b);
      const Words w = unpack(wanted.memory[b], examples[i].buffers[b].dtype),
                  g = unpack(got.memory[b], examples[i].buffers[b].dtype);
      CHECK(g == w);
    }
  }
}

}  // namespace

std::vector<double> count_up(std::size_t count, double start, double step) {
  std::vector<double> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = start + step * static_cast<double>(i);
  return numbers;
}

std::vector<double> zeros(std::size_t count) { return std::vector<double>(count, 0.0); }

const Buffer kFloats{DType::f32, {3, -1, 4, 1, -5, 9, 2, -6, 5, 3, 5, -8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4}};

void check_examples(const std::vector<Example>& examples, const std::string& optimize) {
  if (has_child_compiler()) {
    check(examples, host_target(), optimize);
  } else {
    MESSAGE("no C++ compiler is found: nothing is compared");
  }
}

void check_on_all_targets(const std::vector<Example>& examples) {
  check_examples(examples);
  const std::string host = host_target();
  if (host.empty()) return;
  if (host != "gnu-c++") check(examples, "gnu-c++", "-O1");
  if (host.find("v4") != std::string::npos) check(examples, "gnu-c++;isa=x86-64-v3", "-O1");
}

}  // namespace flagos::compiler::test
