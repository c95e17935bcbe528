// Reads manifests: bounded in size and depth, strict about types.
#include "core/manifest.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "core/log.hpp"

#include <flagos.h>

namespace flagos::core {

namespace {

using Json = nlohmann::json;
constexpr std::size_t largest_manifest = 64 * 1024;
constexpr int deepest_manifest = 8;

[[noreturn]] void broken(const std::string& path, const std::string& why) {
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the manifest {} {}", escape(path), why);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) broken(path, "cannot be read");
  std::string text(largest_manifest + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > largest_manifest) broken(path, fmt::format("is larger than {} bytes", largest_manifest));
  return text;
}

Json parse(const std::string& path, const std::string& text) {
  std::set<std::string> keys;
  const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > deepest_manifest) broken(path, fmt::format("is nested deeper than {}", deepest_manifest));
    if (event == Json::parse_event_t::key && depth == 1 && !keys.insert(value.get<std::string>()).second)
      broken(path, fmt::format("has the key '{}' twice", escape(value.get<std::string>())));
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::exception& error) {
    broken(path, fmt::format("is not JSON: {}", escape(error.what())));
  }
}

std::string text_of(const Json& json, const char* key, const std::string& path, bool required) {
  const auto found = json.find(key);
  if (found == json.end()) {
    if (required) broken(path, fmt::format("has no '{}'", key));
    return {};
  }
  if (!found->is_string()) broken(path, fmt::format("has a '{}' that is no string", key));
  const std::string text = found->get<std::string>();
  if (text.size() > 255) broken(path, fmt::format("has a '{}' of more than 255 bytes", key));
  return text;
}

std::uint32_t version_of(const Json& json, const char* key, const std::string& path) {
  const std::string text = text_of(json, key, path, true);
  std::uint16_t major = 0, minor = 0;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, major);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.')
    broken(path, fmt::format("has a '{}' that is not of the form 1.0", key));
  const auto second = std::from_chars(first.ptr + 1, end, minor);
  if (second.ec != std::errc{} || second.ptr != end)
    broken(path, fmt::format("has a '{}' that is not of the form 1.0", key));
  return FLAGOS_MAKE_VERSION(major, minor);
}

}  // namespace

std::optional<Manifest> read_manifest(const std::string& library) {
  const std::filesystem::path file(library);
  const std::string path = std::filesystem::path(file).replace_extension(".json").string();
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  if (!std::filesystem::is_regular_file(path, ignored)) broken(path, "is not a regular file");
  const Json json = parse(path, read_file(path));
  if (!json.is_object()) broken(path, "is not an object");
  if (const auto version = json.find("manifest_version"); version == json.end() || *version != 1)
    broken(path, "has no 'manifest_version' 1");

  Manifest manifest;
  manifest.name = text_of(json, "name", path, true);
  manifest.vendor = text_of(json, "vendor", path, false);
  manifest.version = text_of(json, "version", path, false);
  manifest.abi_version_min = version_of(json, "abi_version_min", path);
  manifest.abi_version_max = version_of(json, "abi_version_max", path);
  manifest.sha256 = text_of(json, "sha256", path, false);
  const std::string named = text_of(json, "file", path, true);
  if (named.find('/') != std::string::npos)
    broken(path, fmt::format("names the file '{}', which is not a plain file name", escape(named)));
  if (named != file.filename().string())
    broken(path, fmt::format("is about '{}', not about '{}'", escape(named), escape(file.filename().string())));
  return manifest;
}

}  // namespace flagos::core
