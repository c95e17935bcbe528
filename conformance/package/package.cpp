#include "conformance/package/package.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view name_start = "flagos-conformance-";
constexpr std::string_view name_end = ".tar.zst";

// A part of a file name, in which '-' parts the parts.
std::string name_part(const nlohmann::json& report, const char* pointer, std::size_t most = 40) {
  const auto value = report.value(nlohmann::json::json_pointer(pointer), nlohmann::json());
  std::string text;
  for (const unsigned char c : value.is_string() ? value.get<std::string>() : std::string()) {
    const bool plain = std::isalnum(c) != 0 || c == '.' || c == '+';
    text += plain ? static_cast<char>(std::tolower(c)) : '_';
  }
  return text.empty() ? "unknown" : text.substr(0, most);
}

// A package may lie in the folder that it was made from.
bool is_part(const std::string& name) { return !is_package_name(name) && !name.ends_with(".part"); }

}  // namespace

bool is_package_name(const std::string& file_name) {
  return file_name.starts_with(name_start) && file_name.ends_with(name_end);
}

Files read_package(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw std::runtime_error(fmt::format("there is no package '{}'", path));
  }
  return fs::is_directory(path, error) ? read_folder(path, &is_part) : read_archive(path);
}

std::string package_name(const nlohmann::json& report) {
  std::string date = name_part(report, "/run/started_utc").substr(0, 10);
  std::erase(date, '_');
  return fmt::format("{}{}-{}-{}-{}-{}-{}", name_start, name_part(report, "/suite/version"),
                     name_part(report, "/run/level"), name_part(report, "/plugin/vendor"),
                     name_part(report, "/plugin/name"), date, name_part(report, "/events_root", 8));
}

std::string make_sums(const Files& files) {
  std::string sums;
  for (const auto& [name, bytes] : files) sums += fmt::format("{}  {}\n", sha256_hex(bytes), name);
  return sums;
}

std::string read_whole_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(fmt::format("cannot read '{}'", path));
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace flagos::conformance
