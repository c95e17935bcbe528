// The table of wrong calls that have exactly one right answer.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "conformance/cases/negatives.hpp"

namespace flagos::conformance {

struct CodeRow {
  std::string entry;
  std::string what;
  std::function<void(Call&)> spoil;
  flagos_status_t status;
};

// What the rows need to know of the device under test.
struct CodeFacts {
  flagos_device_info_t device;
  flagos_format_info_t format;  // of the suite's kernels
  flagos_kernel_info_t kernel;  // copy_u32
  bool has_binary_image;        // the suite's kernels are no text
};

std::vector<CodeRow> memory_code_rows(const CodeFacts& facts);
std::vector<CodeRow> object_code_rows(const CodeFacts& facts);
std::vector<CodeRow> module_code_rows(const CodeFacts& facts);
std::vector<CodeRow> launch_code_rows(const CodeFacts& facts);
std::vector<CodeRow> graph_code_rows(const CodeFacts& facts);
std::vector<CodeRow> interop_code_rows(const CodeFacts& facts);

// Changes the valid desc of an argument.
template <class Desc, class Change>
std::function<void(Call&)> change(const char* argument, Change change_desc) {
  return [=](Call& call) { change_desc(*call.desc<Desc>(argument)); };
}

inline std::function<void(Call&)> set(const char* argument, std::uint64_t value) {
  return [=](Call& call) { call[argument] = value; };
}

// A chained struct that nobody knows and nobody may skip.
inline const flagos_extension_t* required_extension() {
  static const flagos_extension_t unknown{sizeof unknown, 0x7abcdef0u, nullptr};
  return &unknown;
}

}  // namespace flagos::conformance
