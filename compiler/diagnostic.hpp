// What is wrong with a module, and where: in the text, and in the author's own file.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace flagos::compiler {

struct Diagnostic {
  std::uint32_t line = 0;  // in the text, from 1; 0: the module as a whole
  std::uint32_t column = 0;
  std::string file;  // of the author, "" when the text does not say
  std::uint32_t file_line = 0;
  std::string reason;
};

// "line 7, column 3 (softmax.cpp:31): add: operand 1 is f32, operand 0 is tile<8xf32>"
std::string print(const Diagnostic& diagnostic);

// A module that is refused. The text is that of its first diagnostic.
class Refused : public Error {
 public:
  Refused(flagos_status_t status, std::vector<Diagnostic> diagnostics)
      : Error(status, print(diagnostics.front())), diagnostics_(std::move(diagnostics)) {}
  const std::vector<Diagnostic>& diagnostics() const noexcept { return diagnostics_; }

 private:
  std::vector<Diagnostic> diagnostics_;
};

}  // namespace flagos::compiler
