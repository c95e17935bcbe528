// A shared library opened at run time: all symbols bound at once, none given to others. The only user of Boost.DLL.
#pragma once

#include <memory>
#include <string>

namespace flagos {

class DynamicLibrary {
 public:
  // A path, or a bare name such as "libvulkan.so.1", which is looked for where the dynamic linker looks.
  // Throws Error (NOT_FOUND) with the dynamic linker's own words.
  explicit DynamicLibrary(const std::string& path);
  ~DynamicLibrary();
  DynamicLibrary(const DynamicLibrary&) = delete;
  DynamicLibrary& operator=(const DynamicLibrary&) = delete;

  using Symbol = void (*)();
  bool has(const char* name) const;
  // Throws Error (NOT_FOUND).
  Symbol symbol(const char* name) const;
  template <typename Function>
  void take(const char* name, Function*& out) const {
    out = reinterpret_cast<Function*>(symbol(name));
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flagos
