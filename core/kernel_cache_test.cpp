// What is kept on disk: found again, never when damaged or of others, bounded.
#include "core/kernel_cache.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace flagos::core::test {
namespace {

namespace fs = std::filesystem;

struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "flagos-cache-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    fs::permissions(path, fs::perms::owner_all);
    fs::remove_all(path);
  }
  KernelCache cache(std::uint64_t limit_bytes = std::uint64_t{1} << 30, bool writes = true) const {
    return KernelCache({path.string() + "/kernels", writes, limit_bytes, {}});
  }
  fs::path file(const Digest& key) const { return path / "kernels" / KernelCache::file_name(key); }
  std::size_t count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path / "kernels"), fs::directory_iterator()));
  }
  fs::path path;
};

Digest key_of(const std::string& text) { return sha256(std::as_bytes(std::span(text))); }

std::vector<std::byte> bytes_of(std::size_t size) { return std::vector<std::byte>(size, std::byte{7}); }

void put(const fs::path& file, const std::vector<std::byte>& bytes) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

TEST_CASE("kernel cache: what was stored is found, by its key alone") {
  const Folder folder;
  const KernelCache cache = folder.cache();
  CHECK_FALSE(cache.find(key_of("a")));
  cache.store(key_of("a"), bytes_of(100));
  cache.store(key_of("b"), bytes_of(0));
  CHECK(cache.find(key_of("a")) == bytes_of(100));
  CHECK(cache.find(key_of("b")) == bytes_of(0));
  CHECK_FALSE(cache.find(key_of("c")));
  cache.store(key_of("a"), bytes_of(7));  // a later one takes its place
  CHECK(cache.find(key_of("a")) == bytes_of(7));
  CHECK(folder.count() == 2);  // no part is left
}

TEST_CASE("kernel cache: a damaged file is not used") {
  const Folder folder;
  const KernelCache cache = folder.cache();
  const Digest key = key_of("a");
  cache.store(key, bytes_of(40));
  const std::vector<std::byte> good = KernelCache::wrap(key, bytes_of(40));
  // One byte of each part: magic, key, size.
  for (const std::size_t at : {0, 7, 8, 39, 40, 47}) {
    std::vector<std::byte> wrong = good;
    wrong[at] ^= std::byte{1};
    put(folder.file(key), wrong);
    CAPTURE(at);
    CHECK_FALSE(cache.find(key));
  }
  for (std::size_t size = 0; size < good.size(); size += 5) {
    put(folder.file(key), {good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
    CHECK_FALSE(cache.find(key));
  }
  std::vector<std::byte> longer = good;
  longer.push_back(std::byte{0});
  put(folder.file(key), longer);
  CHECK_FALSE(cache.find(key));
  put(folder.file(key), good);
  CHECK(cache.find(key) == bytes_of(40));
  // Under another key's name it is another kernel.
  fs::copy_file(folder.file(key), folder.file(key_of("b")));
  CHECK_FALSE(cache.find(key_of("b")));
}

TEST_CASE("kernel cache: what others may have written is not used") {
  const Folder folder;
  const KernelCache cache = folder.cache();
  const Digest key = key_of("a");
  cache.store(key, bytes_of(40));
  REQUIRE(cache.find(key));
  REQUIRE(::chmod(folder.file(key).c_str(), 0666) == 0);
  CHECK_FALSE(cache.find(key));
  REQUIRE(::chmod(folder.file(key).c_str(), 0600) == 0);
  REQUIRE(::chmod((folder.path / "kernels").c_str(), 0777) == 0);
  CHECK_FALSE(cache.find(key));
  cache.store(key_of("b"), bytes_of(40));
  CHECK(folder.count() == 1);
  REQUIRE(::chmod((folder.path / "kernels").c_str(), 0700) == 0);
  CHECK(cache.find(key));
  if (::geteuid() == 0) {
    REQUIRE(::chown(folder.file(key).c_str(), 12345, 12345) == 0);
    CHECK_FALSE(cache.find(key));
  }
  // A link leads elsewhere.
  fs::remove(folder.file(key));
  put(folder.path / "elsewhere", KernelCache::wrap(key, bytes_of(40)));
  fs::create_symlink(folder.path / "elsewhere", folder.file(key));
  CHECK_FALSE(cache.find(key));
}

TEST_CASE("kernel cache: a folder that cannot be written is no error") {
  const Folder folder;
  put(folder.path / "kernels", bytes_of(1));  // a file stands where the folder would be
  const KernelCache cache = folder.cache();
  cache.store(key_of("a"), bytes_of(40));
  CHECK_FALSE(cache.find(key_of("a")));
  const KernelCache device({"/dev/null/kernels", true, 1 << 20, {}});
  device.store(key_of("a"), bytes_of(40));
  CHECK_FALSE(device.find(key_of("a")));
  // More than the cache may have.
  const Folder small;
  small.cache(10).store(key_of("a"), bytes_of(40));
  CHECK_FALSE(small.cache().find(key_of("a")));
  // A disk that is full in the middle of a file: nothing of it is left.
  const Folder full;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100, 100};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    full.cache().store(key_of("a"), bytes_of(4000));
    ::_exit(full.count() == 0 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("kernel cache: off and read-only") {
  const Folder folder;
  folder.cache().store(key_of("a"), bytes_of(40));
  const KernelCache reads = folder.cache(std::uint64_t{1} << 30, false);
  CHECK(reads.find(key_of("a")));
  reads.store(key_of("b"), bytes_of(40));
  CHECK(folder.count() == 1);
  const KernelCache off({"", true, 1 << 20, {}});
  off.store(key_of("a"), bytes_of(40));
  CHECK_FALSE(off.find(key_of("a")));

  ::setenv("FLAGOS_KERNEL_CACHE", "off", 1);
  CHECK(KernelCache::read_settings(true).folder.empty());
  ::setenv("FLAGOS_KERNEL_CACHE", "relative", 1);
  CHECK(KernelCache::read_settings(true).folder.empty());
  ::setenv("FLAGOS_KERNEL_CACHE", "/a/b", 1);
  ::setenv("FLAGOS_KERNEL_CACHE_MIB", "12", 1);
  ::setenv("FLAGOS_KERNEL_CACHE_READ_ONLY", "1", 1);
  ::setenv("FLAGOS_KERNEL_PACKS", "/p:relative::/q", 1);
  const KernelCache::Settings settings = KernelCache::read_settings(true);
  CHECK(settings.folder == "/a/b");
  CHECK(settings.limit_bytes == std::uint64_t{12} << 20);
  const std::uint64_t usual = KernelCache::Settings{}.limit_bytes;
  for (const char* no_number : {"much", "12 MiB", "0", "-1", "99999999999999999999"}) {
    INFO(no_number);
    ::setenv("FLAGOS_KERNEL_CACHE_MIB", no_number, 1);
    CHECK(KernelCache::read_settings(true).limit_bytes == usual);
  }
  CHECK_FALSE(settings.writes);
  CHECK(settings.packs == std::vector<std::string>{"/p", "/q"});
  CHECK(KernelCache::read_settings(false).folder.empty());
  CHECK(KernelCache::read_settings(false).packs.empty());
  for (const char* name :
       {"FLAGOS_KERNEL_CACHE", "FLAGOS_KERNEL_CACHE_MIB", "FLAGOS_KERNEL_CACHE_READ_ONLY", "FLAGOS_KERNEL_PACKS"})
    ::unsetenv(name);
}

TEST_CASE("kernel cache: the size is bounded, what was used last stays") {
  const Folder folder;
  const KernelCache cache = folder.cache(100'000);
  for (int i = 0; i < 20; ++i) {
    const Digest key = key_of(std::to_string(i));
    cache.store(key, bytes_of(10'000));
    const timespec long_ago[2] = {{1000 + i, 0}, {1000 + i, 0}};
    ::utimensat(AT_FDCWD, folder.file(key).c_str(), long_ago, 0);
    CHECK(cache.find(key_of("0")));  // being used keeps it
  }
  CHECK(folder.count() < 12);
  CHECK(folder.count() > 5);
  CHECK_FALSE(cache.find(key_of("1")));
}

TEST_CASE("kernel cache: many processes and threads at once") {
  const Folder folder;
  const KernelCache cache = folder.cache(200'000);
  std::vector<pid_t> children;
  for (int p = 0; p < 4; ++p) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      bool good = true;
      for (int i = 0; i < 200; ++i) {
        const Digest key = key_of(std::to_string(i % 30));
        if (const auto found = cache.find(key))
          good = good && *found == bytes_of(static_cast<std::size_t>(i % 30) * 500);
        cache.store(key, bytes_of(static_cast<std::size_t>(i % 30) * 500));
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
}

TEST_CASE("kernel cache: packs") {
  const Folder folder;
  put(folder.path / "kernel.ftb", bytes_of(3));
  const KernelCache cache({"", true, 1 << 20, {"/none-such", folder.path.string()}});
  CHECK(cache.find_in_packs("kernel.ftb") == bytes_of(3));
  CHECK_FALSE(cache.find_in_packs("other.ftb"));
  REQUIRE(::chmod((folder.path / "kernel.ftb").c_str(), 0666) == 0);
  CHECK_FALSE(cache.find_in_packs("kernel.ftb"));
}

}  // namespace
}  // namespace flagos::core::test
