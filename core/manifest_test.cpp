#include "core/manifest.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.hpp"

using namespace flagos;
using namespace flagos::core;

namespace {

// A folder with a library's manifest in it, gone at the end.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / fmt::format("flagos-manifest-{}", ::getpid());
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string library() const { return (path / "libx.so").string(); }
  void write(const std::string& text) const { std::ofstream(path / "libx.json") << text; }
};

std::string fault(const std::string& text) {
  Folder folder;
  folder.write(text);
  try {
    read_manifest(folder.library());
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string manifest(const std::string& more = "") {
  return R"({"manifest_version": 1, "name": "x", "file": "libx.so", "abi_version_min": "1.0",
             "abi_version_max": "1.3")" +
         more + "}";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a good manifest is read") {
  Folder folder;
  CHECK_FALSE(read_manifest(folder.library()).has_value());
  folder.write(manifest(R"(, "vendor": "v", "version": "2", "sha256": "ab")"));
  const auto read = read_manifest(folder.library());
  REQUIRE(read.has_value());
  CHECK(read->name == "x");
  CHECK(read->vendor == "v");
  CHECK(read->version == "2");
  CHECK(read->sha256 == "ab");
  CHECK(read->abi_version_min == FLAGOS_MAKE_VERSION(1, 0));
  CHECK(read->abi_version_max == FLAGOS_MAKE_VERSION(1, 3));
}

TEST_CASE("a broken manifest says what is wrong with it") {
  CHECK(has(fault(""), "is not JSON"));
  CHECK(has(fault(manifest() + "x"), "is not JSON"));
  CHECK(has(fault("[]"), "is not an object"));
  CHECK(has(fault("{}"), "has no 'manifest_version' 1"));
  CHECK(has(fault(manifest(R"(, "name": "y")")), "has the key 'name' twice"));
  CHECK(has(fault(manifest(R"(, "vendor": 3)")), "has a 'vendor' that is no string"));
  CHECK(has(fault(R"({"manifest_version": 1, "name": "x", "file": "../libx.so", "abi_version_min": "1.0",
                      "abi_version_max": "1.0"})"),
            "not a plain file name"));
  CHECK(has(fault(R"({"manifest_version": 1, "name": "x", "file": "liby.so", "abi_version_min": "1.0",
                      "abi_version_max": "1.0"})"),
            "is about 'liby.so'"));
  CHECK(has(fault(R"({"manifest_version": 1, "name": "x", "file": "libx.so", "abi_version_min": "one",
                      "abi_version_max": "1.0"})"),
            "'abi_version_min'"));
  CHECK(has(fault(manifest(R"(, "more": )" + std::string(10000, '['))), "nested deeper"));
  CHECK(has(fault(std::string(1 << 20, ' ')), "is larger than"));
}
