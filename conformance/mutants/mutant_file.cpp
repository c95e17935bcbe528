#include "conformance/mutants/mutant_file.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace flagos::conformance::mutants {
namespace {

constexpr std::string_view mark = "flagos mutant settings, block 1";
static_assert(mark.size() + 1 == mark_size);

}  // namespace

void write_mutant_file(const std::string& interposer, const Settings& settings,
                       const std::string& path) {
  std::ifstream source(interposer, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(source), {}};
  if (bytes.empty()) throw std::runtime_error(fmt::format("cannot read '{}'", interposer));
  const auto at = bytes.find(std::string(mark) + '\0');
  if (at == std::string::npos || at + settings_size > bytes.size()) {
    throw std::runtime_error(fmt::format(
        "'{}' is not the plugin with the mutants: it has no place for settings", interposer));
  }
  std::string text = settings_text(settings);
  if (text.size() >= settings_size - mark_size) {
    throw std::runtime_error(fmt::format("the paths of a mutant take {} bytes, {} is the most",
                                         text.size(), settings_size - mark_size - 1));
  }
  text.resize(settings_size - mark_size, '\0');
  bytes.replace(at + mark_size, text.size(), text);
  std::ofstream target(path, std::ios::binary | std::ios::trunc);
  target << bytes;
  target.close();
  if (!target) throw std::runtime_error(fmt::format("cannot write '{}'", path));
  // Core loads nothing that others can write.
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
}

}  // namespace flagos::conformance::mutants
