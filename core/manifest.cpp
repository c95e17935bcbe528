// Reads manifests: bounded in size and depth, strict about types.
#include "core/manifest.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

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

struct Member {
  bool is_string = false;
  std::string text;         // of a string
  std::int64_t number = 0;  // of a whole number
};

// The members of the outermost object. No tree of values: to destroy one takes memory, which may have run out.
class Members final : public nlohmann::json_sax<Json> {
 public:
  Members(const std::string& path, const std::string& text) : path_(path) {
    Json::sax_parse(text, this);
    if (!is_object_) broken(path_, "is not an object");
  }
  const Member* find(const char* key) const {
    const auto found = members_.find(key);
    return found == members_.end() ? nullptr : &found->second;
  }

  bool null() override { return add({}); }
  bool boolean(bool) override { return add({}); }
  bool number_integer(number_integer_t value) override { return add({false, {}, value}); }
  bool number_unsigned(number_unsigned_t value) override { return add({false, {}, static_cast<std::int64_t>(value)}); }
  bool number_float(number_float_t, const string_t&) override { return add({}); }
  bool string(string_t& value) override { return add({true, value, 0}); }
  bool binary(binary_t&) override { return add({}); }
  bool start_object(std::size_t) override {
    if (depth_ == 0) is_object_ = true;
    return open();
  }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& value) override {
    if (depth_ != 1) return true;
    key_ = value;
    if (members_.contains(key_)) broken(path_, fmt::format("has the key '{}' twice", escape(key_)));
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    broken(path_, fmt::format("is not JSON: {}", escape(error.what())));
  }

 private:
  bool add(Member member) {
    if (depth_ == 1) members_[key_] = std::move(member);
    return true;
  }
  bool open() {
    if (++depth_ > deepest_manifest) broken(path_, fmt::format("is nested deeper than {}", deepest_manifest));
    return true;
  }
  bool close() {
    if (--depth_ == 1) members_.try_emplace(key_);
    return true;
  }

  const std::string& path_;
  int depth_ = 0;
  bool is_object_ = false;
  std::string key_;
  std::map<std::string, Member> members_;
};

std::string text_of(const Members& members, const char* key, const std::string& path, bool required) {
  const Member* const found = members.find(key);
  if (found == nullptr) {
    if (required) broken(path, fmt::format("has no '{}'", key));
    return {};
  }
  if (!found->is_string) broken(path, fmt::format("has a '{}' that is no string", key));
  if (found->text.size() > 255) broken(path, fmt::format("has a '{}' of more than 255 bytes", key));
  return found->text;
}

std::uint32_t version_of(const Members& members, const char* key, const std::string& path) {
  const std::string text = text_of(members, key, path, true);
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
  const std::string text = read_file(path);
  const Members members(path, text);
  if (const Member* const version = members.find("manifest_version"); version == nullptr || version->number != 1)
    broken(path, "has no 'manifest_version' 1");

  Manifest manifest;
  manifest.name = text_of(members, "name", path, true);
  manifest.vendor = text_of(members, "vendor", path, false);
  manifest.version = text_of(members, "version", path, false);
  manifest.abi_version_min = version_of(members, "abi_version_min", path);
  manifest.abi_version_max = version_of(members, "abi_version_max", path);
  manifest.sha256 = text_of(members, "sha256", path, false);
  const std::string named = text_of(members, "file", path, true);
  if (named.find('/') != std::string::npos)
    broken(path, fmt::format("names the file '{}', which is not a plain file name", escape(named)));
  if (named != file.filename().string())
    broken(path, fmt::format("is about '{}', not about '{}'", escape(named), escape(file.filename().string())));
  return manifest;
}

}  // namespace flagos::core
