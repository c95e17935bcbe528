// Compiles printed C++ with the machine's compiler and opens it, for tests.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/interpreter.hpp"
#include "compiler/lower.hpp"

namespace flagos::compiler::test {

class ChildLibrary {
 public:
  // `extra` options come last. Throws with the compiler's text.
  ChildLibrary(const Lowered& lowered, const std::vector<std::string>& extra = {});
  ~ChildLibrary();
  ChildLibrary(const ChildLibrary&) = delete;
  ChildLibrary& operator=(const ChildLibrary&) = delete;

  // Runs a kernel as the cpu plugin does, one program after the other; the text of a failure, "" when all went well. What it
  // prints is appended to `printed`.
  std::string run(std::string_view kernel, std::array<std::uint32_t, 3> grid, const Module& module,
                  const std::vector<ArgumentValue>& arguments, std::string* printed = nullptr) const;
  void* find(const std::string& symbol) const;

 private:
  void* handle_ = nullptr;
};

// The widest target that this machine runs, "" where no compiler is found.
std::string host_target();
bool has_child_compiler();

}  // namespace flagos::compiler::test
