// GLSL by libshaderc, where it can be loaded.
#include <vulkan/vulkan_core.h>

#include <cstring>
#include <memory>

#include "base/dynamic_library.hpp"
#include "base/error.hpp"
#include "plugins/vulkan/compiler.hpp"

namespace flagos::vulkan {
namespace {

// The part of shaderc's C interface that we use; its header is not needed.
struct Shaderc {
  using Compiler = struct shaderc_compiler*;
  using Options = struct shaderc_compile_options*;
  using Result = struct shaderc_compilation_result*;
  static constexpr int compute_shader = 2;
  static constexpr int target_vulkan = 0;
  static constexpr int status_success = 0;
  static constexpr int optimize_performance = 2;

  Compiler (*shaderc_compiler_initialize)();
  void (*shaderc_compiler_release)(Compiler);
  Options (*shaderc_compile_options_initialize)();
  void (*shaderc_compile_options_release)(Options);
  void (*shaderc_compile_options_add_macro_definition)(Options, const char*, std::size_t,
                                                       const char*, std::size_t);
  void (*shaderc_compile_options_set_target_env)(Options, int, std::uint32_t);
  void (*shaderc_compile_options_set_optimization_level)(Options, int);
  Result (*shaderc_compile_into_spv)(Compiler, const char*, std::size_t, int, const char*,
                                     const char*, Options);
  int (*shaderc_result_get_compilation_status)(Result);
  const char* (*shaderc_result_get_error_message)(Result);
  std::size_t (*shaderc_result_get_length)(Result);
  const char* (*shaderc_result_get_bytes)(Result);
  void (*shaderc_result_release)(Result);
};

// NULL where the library is not there. It stays mapped.
const Shaderc* shaderc() noexcept {
  static const Shaderc* const loaded = []() -> const Shaderc* {
    try {
      static auto& library = *new DynamicLibrary("libshaderc.so.1");
      static Shaderc functions;
#define FLAGOS_SHADERC(name) \
  functions.name = reinterpret_cast<decltype(functions.name)>(library.symbol(#name))
      FLAGOS_SHADERC(shaderc_compiler_initialize);
      FLAGOS_SHADERC(shaderc_compiler_release);
      FLAGOS_SHADERC(shaderc_compile_options_initialize);
      FLAGOS_SHADERC(shaderc_compile_options_release);
      FLAGOS_SHADERC(shaderc_compile_options_add_macro_definition);
      FLAGOS_SHADERC(shaderc_compile_options_set_target_env);
      FLAGOS_SHADERC(shaderc_compile_options_set_optimization_level);
      FLAGOS_SHADERC(shaderc_compile_into_spv);
      FLAGOS_SHADERC(shaderc_result_get_compilation_status);
      FLAGOS_SHADERC(shaderc_result_get_error_message);
      FLAGOS_SHADERC(shaderc_result_get_length);
      FLAGOS_SHADERC(shaderc_result_get_bytes);
      FLAGOS_SHADERC(shaderc_result_release);
#undef FLAGOS_SHADERC
      return &functions;
    } catch (const Error&) {
      return nullptr;
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }();
  return loaded;
}

}  // namespace

bool has_shaderc() noexcept { return shaderc() != nullptr; }

bool compile_with_shaderc(const Translation& what, Words& words, std::string& log) {
  const Shaderc& api = *shaderc();
  const std::unique_ptr<shaderc_compile_options, void (*)(Shaderc::Options)> options(
      api.shaderc_compile_options_initialize(), api.shaderc_compile_options_release);
  const std::unique_ptr<shaderc_compiler, void (*)(Shaderc::Compiler)> compiler(
      api.shaderc_compiler_initialize(), api.shaderc_compiler_release);
  if (!options || !compiler) throw std::bad_alloc();
  // The environment's version is that of Vulkan, without the patch.
  api.shaderc_compile_options_set_target_env(
      options.get(), Shaderc::target_vulkan,
      what.vulkan_minor >= 3 ? VK_API_VERSION_1_3 : VK_API_VERSION_1_2);
  api.shaderc_compile_options_set_optimization_level(options.get(), Shaderc::optimize_performance);
  for (const auto& [name, value] : what.macros)
    api.shaderc_compile_options_add_macro_definition(options.get(), name.data(), name.size(),
                                                     value.data(), value.size());
  const std::unique_ptr<shaderc_compilation_result, void (*)(Shaderc::Result)> compiled(
      api.shaderc_compile_into_spv(compiler.get(), what.source.data(), what.source.size(),
                                   Shaderc::compute_shader, "kernel.comp", "main", options.get()),
      api.shaderc_result_release);
  if (!compiled) throw std::bad_alloc();
  if (const char* messages = api.shaderc_result_get_error_message(compiled.get())) log = messages;
  if (api.shaderc_result_get_compilation_status(compiled.get()) != Shaderc::status_success)
    return false;
  words.resize(api.shaderc_result_get_length(compiled.get()) / 4);
  std::memcpy(words.data(), api.shaderc_result_get_bytes(compiled.get()), words.size() * 4);
  return true;
}

}  // namespace flagos::vulkan
