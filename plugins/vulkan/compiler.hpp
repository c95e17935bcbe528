// GLSL to SPIR-V, by libshaderc or our libflagos_glslang, opened at run time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/vulkan/spirv.hpp"

namespace flagos::vulkan {

struct CompiledKernels {
  bool succeeded = false;
  std::vector<Words> modules;
  std::string log;
};

struct Macro {
  std::string name;
  std::string value;
};

// One run of a compiler, for the entry point main.
struct Translation {
  std::string_view source;
  std::vector<Macro> macros;
  std::uint32_t vulkan_minor = 2;
};

// False: the source has errors, which the log tells. Only where has_...() is true.
bool has_shaderc() noexcept;
bool compile_with_shaderc(const Translation& what, Words& words, std::string& log);
bool has_glslang() noexcept;
bool compile_with_glslang(const Translation& what, Words& words, std::string& log);

// Whether there is a compiler here.
bool has_compiler() noexcept;

// One module for each kernel that the source names in `#pragma flagos kernel(a, b)`, compiled with
// FLAGOS_KERNEL_<name> defined; without such a line the one kernel `main`. `options` are -DNAME=VALUE
// and -O, separated by spaces. Throws INVALID_ARGUMENT for another option.
CompiledKernels compile_glsl(std::string_view source, std::string_view options,
                             std::uint32_t api_version, bool has_addresses);

}  // namespace flagos::vulkan
