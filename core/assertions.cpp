#include "core/assertions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

namespace flagos::core {

namespace {

struct Table {
  std::mutex mutex;
  std::map<std::uint32_t, std::vector<std::string>> messages;
};

// Never destroyed: threads may fail while the process ends.
Table& table() {
  static auto* const all = new Table;
  return *all;
}

// The number in a status; 0 where it is no failure of a kernel.
std::uint32_t number_in(flagos_status_t status) {
  constexpr std::uint32_t middle = 0x00ffff00u;
  const auto word = static_cast<std::uint32_t>(status);
  return (word & ~middle) == static_cast<std::uint32_t>(FLAGOS_STATUS_EXECUTION_FAILED) ? (word & middle) >> 8 : 0;
}

}  // namespace

void remember_assertions(const std::vector<TileAssertion>& assertions) {
  if (assertions.empty()) return;
  Table& all = table();
  const std::lock_guard lock(all.mutex);
  for (const TileAssertion& assertion : assertions) {
    std::vector<std::string>& known = all.messages[assertion.number];
    if (std::find(known.begin(), known.end(), assertion.message) == known.end()) known.push_back(assertion.message);
  }
}

bool is_assertion(flagos_status_t status) noexcept { return number_in(status) != 0; }

std::string assertion_text(flagos_status_t status) {
  Table& all = table();
  const std::lock_guard lock(all.mutex);
  const auto found = all.messages.find(number_in(status));
  if (found == all.messages.end()) return "";
  return fmt::format("assert: {}", fmt::join(found->second, "; or "));
}

}  // namespace flagos::core
