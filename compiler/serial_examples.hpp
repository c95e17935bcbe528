// Kernels on copies of their buffers, by the interpreter and as printed C++: every byte is compared.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "compiler/test_support.hpp"

namespace flagos::compiler::test {

struct Buffer {
  DType dtype;
  std::vector<double> numbers;
};

struct Example {
  std::string name;
  std::string arguments;
  std::string body;
  std::vector<Buffer> buffers;
  std::vector<std::uint64_t> scalars;
  std::array<std::uint32_t, 3> grid{1, 1, 1};
};

std::vector<double> count_up(std::size_t count, double start = 0, double step = 1);
std::vector<double> zeros(std::size_t count);
extern const Buffer kFloats;  // 24 of them

// For the widest target of this machine. Without a C++ compiler nothing is compared.
void check_examples(const std::vector<Example>& examples, const std::string& optimize = "-O1");
// And for lesser ones.
void check_on_all_targets(const std::vector<Example>& examples);

}  // namespace flagos::compiler::test
