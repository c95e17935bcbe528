// What kernels take, told by the compiler itself: to the source is added a table for every kernel, made by templates of the
// types that it has, and read back from the module. The driver knows sizes and places of arguments at most.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flagos::nvidia {

struct Signature {
  std::vector<flagos_parameter_t> parameters;  // without the one for failures
  bool fails = false;  // has a last parameter `int* flagos_failure`, see base/held_queue.hpp
};

// The kernels that a source declares, as its text tells: macros are not expanded, and comments are read.
std::vector<std::string> kernels_in_source(std::string_view source);
// The functions of a source that have a last parameter `int* flagos_failure`.
std::vector<std::string> failing_in_source(std::string_view source);
// What is added to the source.
std::string signature_text(const std::vector<std::string>& kernels,
                           const std::vector<std::string>& failing);
// The variable of the module that has the table of a kernel.
std::string signature_name(std::string_view kernel);
// The table; throws INVALID_IMAGE for one that says what cannot be.
Signature read_signature(std::string_view kernel, std::span<const std::uint32_t> words);
// Whether a caller's signature goes with the kernel's own. Narrow floats are integers to the compiler.
bool is_compatible(const flagos_parameter_t& own, const flagos_parameter_t& given) noexcept;

}  // namespace flagos::nvidia
