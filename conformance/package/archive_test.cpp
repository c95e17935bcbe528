#include "conformance/package/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>

#include <fstream>
#include <random>

#include "conformance/package/package.hpp"
#include "conformance/package/test_keys.hpp"
#include "conformance/package/test_run.hpp"

namespace flagos::conformance {
namespace {

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// An archive that we would not write.
void write_entry(const std::string& path, const std::string& name, unsigned type,
                 const char* link = nullptr) {
  archive* const writer = archive_write_new();
  archive_write_set_format_pax_restricted(writer);
  archive_write_add_filter_zstd(writer);
  REQUIRE(archive_write_open_filename(writer, path.c_str()) == ARCHIVE_OK);
  archive_entry* const entry = archive_entry_new();
  archive_entry_set_pathname(entry, name.c_str());
  archive_entry_set_filetype(entry, type);
  archive_entry_set_perm(entry, 0644);
  if (link != nullptr) archive_entry_set_symlink(entry, link);
  REQUIRE(archive_write_header(writer, entry) == ARCHIVE_OK);
  archive_entry_free(entry);
  archive_write_close(writer);
  archive_write_free(writer);
}

}  // namespace

TEST_CASE("what goes into an archive comes out of it, and equal files give equal archives") {
  const TestFolder folder;
  const Files files = {{"a.txt", "one"}, {"logs/b.txt", std::string(100000, 'x')}, {"empty", ""}};
  write_archive(folder / "1.tar.zst", "top", files);
  write_archive(folder / "2.tar.zst", "top", files);
  CHECK(read_archive(folder / "1.tar.zst") == files);
  CHECK(read_whole_file(folder / "1.tar.zst") == read_whole_file(folder / "2.tar.zst"));
  CHECK_THROWS_WITH(write_archive("/proc/nowhere/x", "top", files),
                    doctest::Contains("/proc/nowhere/x"));
}

TEST_CASE("archives that lead elsewhere, or are too large, are refused") {
  const TestFolder folder;
  const std::string path = folder / "x.tar.zst";
  for (const char* const name :
       {"top/../../etc/passwd", "/etc/passwd", "top/a/../b", "top/a\nb", "lonely"}) {
    write_entry(path, name, AE_IFREG);
    CHECK_THROWS_WITH(read_archive(path), doctest::Contains("is no package"));
  }
  write_entry(path, "top/link", AE_IFLNK, "/etc/passwd");
  CHECK_THROWS_WITH(read_archive(path), doctest::Contains("is no plain file"));

  write_archive(path, "top", {{"zeros", std::string(5 << 20, '\0')}});  // some hundred bytes
  CHECK(std::filesystem::file_size(path) < 10000);
  ArchiveLimits limits;
  limits.file_bytes = 1 << 20;
  CHECK_THROWS_WITH(read_archive(path, limits), doctest::Contains("larger than a package may be"));
  limits = {};
  limits.total_bytes = 1 << 20;
  CHECK_THROWS_WITH(read_archive(path, limits), doctest::Contains("larger than a package may be"));
  write_archive(path, "top", {{"one", ""}, {"two", ""}});
  limits = {};
  limits.files = 1;
  CHECK_THROWS_WITH(read_archive(path, limits), doctest::Contains("more than 1 files"));
}

TEST_CASE("garbage is no package, and says so") {
  const TestFolder folder;
  const std::string path = folder / "x.tar.zst";
  write_archive(path, "top", {{"report.json", std::string(2000, 'r')}, {"b", "c"}});
  const std::string good = read_whole_file(path);
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = good;
    if (round % 3 == 0) {
      bytes.resize(random() % bytes.size());
    } else if (round % 3 == 1) {
      bytes[random() % bytes.size()] ^= static_cast<char>(1 + random() % 255);
    } else {
      bytes.assign(random() % 4096, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
    }
    write_bytes(path, bytes);
    try {
      read_archive(path);
    } catch (const std::runtime_error& error) {
      CHECK(std::string(error.what()).find("is no package") != std::string::npos);
    }
  }
  CHECK_THROWS_WITH(read_package(folder / "none"), doctest::Contains("there is no package"));
}

TEST_CASE("a package is named after what it is about") {
  const nlohmann::json report = {
      {"suite", {{"version", "0.1.0"}}},
      {"run", {{"level", "core"}, {"started_utc", "2026-03-01T10:00:00Z"}}},
      {"plugin", {{"vendor", "A/B Chips"}, {"name", "x-1"}}},
      {"events_root", std::string(64, 'e')}};
  CHECK(package_name(report) == "flagos-conformance-0.1.0-core-a_b_chips-x_1-20260301-eeeeeeee");
  CHECK(is_package_name(package_name(report) + ".tar.zst"));
  CHECK(package_name(nlohmann::json::object()).find("unknown") != std::string::npos);
}

TEST_CASE("keys and base64") {
  const TestFolder folder;
  write_test_keys(folder.path());
  const Key secret = Key::read_private(folder / "a.key");
  const Key open = Key::read_public(folder / "a.pub");
  CHECK(secret.id() == open.id());
  const std::string signature = secret.sign("text");
  CHECK(open.verifies("text", signature));
  CHECK_FALSE(open.verifies("texT", signature));
  CHECK_FALSE(open.verifies("text", signature.substr(1)));
  CHECK_FALSE(Key::read_public(folder / "b.pub").verifies("text", signature));
  CHECK_THROWS_WITH(Key::read_private(folder / "a.pub"), doctest::Contains("holds no private key"));
  CHECK_THROWS_WITH(Key::read_public(folder / "none"), doctest::Contains("cannot read the key"));
  for (const char* const text : {"", "f", "fo", "foo", "foob"})
    CHECK(from_base64(to_base64(text)) == text);
  CHECK(to_base64("foob") == "Zm9vYg==");
  for (const char* const text : {"Zg=", "Zg", "Z===", "Zh==", " Zg==", "Zg==\n", "!!!!", "=Zg="}) {
    CHECK_THROWS(from_base64(text));
  }
}

}  // namespace flagos::conformance
