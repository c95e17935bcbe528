#include "compiler/assertion.hpp"

#include <flagos.h>

#include <algorithm>

#include "compiler/op_table.hpp"

namespace flagos::compiler {

namespace {

// FNV-1a in 16 bits, never 0.
std::uint32_t number_of(std::string_view message) {
  std::uint32_t hash = 2166136261u;
  for (const char c : message) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  hash = (hash >> 16) ^ (hash & 0xffffu);
  return hash == 0 ? 1 : hash;
}

void add_assertions(const Block& block, std::vector<Assertion>& out) {
  for (const Op& op : block.ops) {
    if (op.code == OpCode::assert_) {
      const std::string& message = op.find("message")->text;
      const bool is_there =
          std::any_of(out.begin(), out.end(), [&](const Assertion& known) { return known.message == message; });
      if (!is_there) out.push_back({number_of(message), message});
    }
    for (const Block& region : op.regions) add_assertions(region, out);
  }
}

}  // namespace

std::uint32_t failure_word(const Op& op) {
  return static_cast<std::uint32_t>(FLAGOS_STATUS_EXECUTION_FAILED) | number_of(op.find("message")->text) << 8;
}

std::vector<Assertion> assertions_in(const Block& block) {
  std::vector<Assertion> out;
  add_assertions(block, out);
  return out;
}

}  // namespace flagos::compiler
