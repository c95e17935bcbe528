// CUDA C++ that went through the preprocessor behind twin.hpp, made into what the host's compiler takes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flagos::nvidia::fake {

struct KernelText {
  std::string text;  // with a table of the kernels at its end
  std::vector<std::string> kernels;
};

KernelText translate(std::string_view source);

// The same program with a space for each comment; as it is where that cannot be told without a compiler (raw strings).
std::string without_comments(std::string_view source);

}  // namespace flagos::nvidia::fake
