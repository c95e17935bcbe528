// GLSL by libflagos_glslang.so, which lies in a folder beside that of the plugin.
#include <dlfcn.h>

#include <filesystem>
#include <memory>

#include "base/dynamic_library.hpp"
#include "base/error.hpp"
#include "plugins/vulkan/compiler.hpp"
#include "plugins/vulkan/glslang/flagos_glslang.h"

namespace flagos::vulkan {
namespace {

struct Glslang {
  flagos_glslang_compile_t compile = nullptr;
  flagos_glslang_free_t free = nullptr;
};

// lib/flagos/compilers/ beside lib/flagos/plugins/, from where this code was loaded.
std::filesystem::path library_path() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&library_path), &info) == 0 || info.dli_fname == nullptr)
    return {};
  std::error_code error;
  const std::filesystem::path self = std::filesystem::canonical(info.dli_fname, error);
  return error ? std::filesystem::path()
               : self.parent_path().parent_path() / "compilers" / "libflagos_glslang.so";
}

// NULL where the library is not there. It stays mapped.
const Glslang* glslang() noexcept {
  static const Glslang* const loaded = []() -> const Glslang* {
    try {
      const std::filesystem::path path = library_path();
      std::error_code error;
      if (path.empty() || !std::filesystem::is_regular_file(path, error)) return nullptr;
      static auto& library = *new DynamicLibrary(path.string());
      static Glslang functions;
      functions.compile =
          reinterpret_cast<flagos_glslang_compile_t>(library.symbol("flagos_glslang_compile"));
      functions.free =
          reinterpret_cast<flagos_glslang_free_t>(library.symbol("flagos_glslang_free"));
      return &functions;
    } catch (const Error&) {
      return nullptr;
    } catch (const std::exception&) {
      return nullptr;
    }
  }();
  return loaded;
}

}  // namespace

bool has_glslang() noexcept { return glslang() != nullptr; }

bool compile_with_glslang(const Translation& what, Words& words, std::string& log) {
  std::string preamble;
  for (const auto& [name, value] : what.macros) preamble += "#define " + name + " " + value + "\n";
  const Glslang& api = *glslang();
  const std::unique_ptr<flagos_glslang_result_t, flagos_glslang_free_t> result(
      api.compile(std::string(what.source).c_str(), preamble.c_str(), what.vulkan_minor), api.free);
  if (!result) throw std::bad_alloc();
  log = result->log;
  if (result->words == nullptr) return false;
  words.assign(result->words, result->words + result->word_count);
  return true;
}

}  // namespace flagos::vulkan
