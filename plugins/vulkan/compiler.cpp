#include "plugins/vulkan/compiler.hpp"

#include <vulkan/vulkan_core.h>

#include <sstream>

#include "base/error.hpp"

namespace flagos::vulkan {
namespace {

std::vector<std::string> kernel_names(std::string_view source) {
  constexpr std::string_view mark = "#pragma flagos kernel(";
  std::vector<std::string> names;
  for (std::size_t at = source.find(mark); at != std::string_view::npos;
       at = source.find(mark, at)) {
    at += mark.size();
    const std::size_t end = source.find(')', at);
    if (end == std::string_view::npos) break;
    std::string list(source.substr(at, end - at));
    for (char& c : list)
      if (c == ',') c = ' ';
    std::istringstream stream(list);
    for (std::string name; stream >> name;) names.push_back(name);
  }
  return names;
}

Macro macro_of(const std::string& option) {
  if (!option.starts_with("-D") || option.size() == 2)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "option '{}' of glsl; there are -DNAME=VALUE and -O", option);
  const std::size_t equals = option.find('=');
  if (equals == std::string::npos) return {option.substr(2), "1"};
  return {option.substr(2, equals - 2), option.substr(equals + 1)};
}

std::vector<Macro> macros_of(std::string_view options) {
  std::vector<Macro> macros;
  std::istringstream stream{std::string(options)};
  for (std::string option; stream >> option;)
    if (option != "-O") macros.push_back(macro_of(option));
  return macros;
}

bool translate(const Translation& what, const std::string& name, CompiledKernels& result) {
  Words words;
  std::string log;
  const bool succeeded = has_shaderc() ? compile_with_shaderc(what, words, log)
                                       : compile_with_glslang(what, words, log);
  // Every kernel is one run over the same text, and says the same of it.
  if (result.log.find(log) == std::string::npos) result.log += log;
  if (!succeeded) return false;
  result.modules.push_back(name == "main" ? std::move(words) : rename_entry_point(words, name));
  return true;
}

}  // namespace

bool has_compiler() noexcept { return has_shaderc() || has_glslang(); }

CompiledKernels compile_glsl(std::string_view source, std::string_view options,
                             std::uint32_t api_version, bool has_addresses) {
  if (!has_compiler())
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "no compiler for glsl: neither libshaderc.so.1 nor libflagos_glslang.so is here");
  std::vector<std::string> names = kernel_names(source);
  const bool is_single = names.empty();
  if (is_single) names.push_back("main");
  Translation what{source, macros_of(options), api_version >= VK_API_VERSION_1_3 ? 3u : 2u};
  if (!has_addresses) what.macros.push_back({"FLAGOS_VULKAN_BUFFERS", "1"});
  CompiledKernels result;
  for (const std::string& name : names) {
    if (!is_single) what.macros.push_back({"FLAGOS_KERNEL_" + name, "1"});
    if (!translate(what, name, result)) return result;
    if (!is_single) what.macros.pop_back();
  }
  result.succeeded = true;
  return result;
}

}  // namespace flagos::vulkan
