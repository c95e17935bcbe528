#include "core/kernel_cache.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "core/loader.hpp"
#include "core/log.hpp"

namespace flagos::core {

namespace {

namespace fs = std::filesystem;

// A file: magic, key, size of what follows, and that with a check sum of its own behind it.
constexpr char magic[8] = {'F', 'L', 'K', 'C', 'A', 'C', 'H', '1'};
constexpr std::size_t header_bytes = sizeof(magic) + sizeof(Digest) + sizeof(std::uint64_t);
constexpr std::uint64_t largest_entry = std::uint64_t{1} << 30;
constexpr const char* suffix = ".flk";
constexpr const char* part_suffix = ".part";
constexpr std::time_t part_age_s = 3600;  // a writer that old has died
constexpr std::time_t touch_age_s = 600;  // used again so soon after: not worth a write
constexpr std::uint32_t stores_per_trim = 32;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return number_; }

 private:
  const int number_;
};

// Whether only this user, and root, could have written it.
bool is_own(const struct stat& status) {
  const bool group = (status.st_mode & S_IWGRP) != 0 && status.st_gid != 0 && status.st_gid != ::getegid();
  return (status.st_uid == ::geteuid() || status.st_uid == 0) && !group && (status.st_mode & S_IWOTH) == 0;
}

bool is_own_folder(int folder) {
  struct stat status {};
  return ::fstat(folder, &status) == 0 && S_ISDIR(status.st_mode) && is_own(status);
}

int open_folder(const std::string& path) { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

bool read_exactly(int file, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::read(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

bool write_exactly(int file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

// What stands behind a header that fits the key and the size of the file; nothing when one does not.
std::optional<std::vector<std::byte>> unwrap(int file, std::uint64_t file_bytes, const Digest& key) {
  if (file_bytes < header_bytes || file_bytes > largest_entry) return std::nullopt;
  std::vector<std::byte> header(header_bytes);
  if (!read_exactly(file, header)) return std::nullopt;
  std::uint64_t size = 0;
  std::memcpy(&size, header.data() + header_bytes - sizeof(size), sizeof(size));
  if (std::memcmp(header.data(), magic, sizeof(magic)) != 0 ||
      std::memcmp(header.data() + sizeof(magic), key.data(), key.size()) != 0 || size != file_bytes - header_bytes)
    return std::nullopt;
  std::vector<std::byte> bytes(size);
  if (!read_exactly(file, bytes)) return std::nullopt;
  return bytes;
}

// A file that only this user, or root, could have written; else -1, and a line in the log where that is not so.
int open_own(const std::string& path, const std::string& name, struct stat& status) {
  const Descriptor folder(open_folder(path));
  if (folder.get() < 0) return -1;
  if (!is_own_folder(folder.get())) {
    log(FLAGOS_LOG_LEVEL_WARNING, "kernels in {} are not used: others can write there", path);
    return -1;
  }
  const int file = ::openat(folder.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return -1;
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && is_own(status)) return file;
  ::close(file);
  log(FLAGOS_LOG_LEVEL_WARNING, "{}/{} is not used: others could have written it", path, name);
  return -1;
}

// One line for a reason, however many kernels it meets.
void complain(const std::string& folder, const char* what, int error) {
  static std::atomic<int> told{0};
  if (told.exchange(error) == error) return;
  log(FLAGOS_LOG_LEVEL_WARNING, "compiled kernels are not kept: {} in {}: {}", what, folder, std::strerror(error));
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(':', at), text.size());
    if (end != at) parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

std::string usual_folder() {
  if (const char* cache = ::secure_getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/')
    return std::string(cache) + "/flagos/kernels";
  if (const char* home = ::secure_getenv("HOME"); home != nullptr && home[0] == '/')
    return std::string(home) + "/.cache/flagos/kernels";
  return {};
}

std::uint64_t limit_of(const char* text, std::uint64_t fallback) {
  if (text == nullptr || *text == '\0') return fallback;
  const std::string_view view = text;
  std::uint64_t mib = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), mib);
  if (error == std::errc() && end == view.data() + view.size() && mib != 0 && mib < (std::uint64_t{1} << 30))
    return mib << 20;
  log(FLAGOS_LOG_LEVEL_WARNING, "FLAGOS_KERNEL_CACHE_MIB is '{}', not a number of MiB", view);
  return fallback;
}

// A folder that must be absolute: else it would depend on where the process stands.
std::string checked_folder(const char* variable, std::string folder) {
  if (folder.empty() || folder.front() == '/') return folder;
  log(FLAGOS_LOG_LEVEL_WARNING, "{}: '{}' is not an absolute path and is not used", variable, folder);
  return {};
}

struct Entry {
  std::string name;
  std::uint64_t bytes;
  std::timespec used;
};

}  // namespace

KernelCache::Settings KernelCache::read_settings(bool environment) {
  Settings settings;
  const auto read = [&](const char* name) { return environment ? ::secure_getenv(name) : nullptr; };
  const char* folder = read("FLAGOS_KERNEL_CACHE");
  if (folder == nullptr || *folder == '\0')
    settings.folder = environment ? usual_folder() : std::string();
  else if (std::strcmp(folder, "off") != 0)
    settings.folder = checked_folder("FLAGOS_KERNEL_CACHE", folder);
  const char* read_only = read("FLAGOS_KERNEL_CACHE_READ_ONLY");
  settings.writes = read_only == nullptr || std::strcmp(read_only, "1") != 0;
  settings.limit_bytes = limit_of(read("FLAGOS_KERNEL_CACHE_MIB"), settings.limit_bytes);
  if (const char* packs = read("FLAGOS_KERNEL_PACKS")) {
    for (std::string& pack : split_list(packs)) {
      pack = checked_folder("FLAGOS_KERNEL_PACKS", std::move(pack));
      if (!pack.empty()) settings.packs.push_back(std::move(pack));
    }
  }
  // What was compiled when flagos was built.
  std::error_code ignored;
  if (std::string own = folder_beside_library("kernels"); std::filesystem::is_directory(own, ignored))
    settings.packs.push_back(std::move(own));
  return settings;
}

std::string KernelCache::file_name(const Digest& key) { return hex(key) + suffix; }

std::vector<std::byte> KernelCache::wrap(const Digest& key, const std::vector<std::byte>& bytes) {
  const std::uint64_t size = bytes.size();
  std::vector<std::byte> file(header_bytes + bytes.size());
  std::memcpy(file.data(), magic, sizeof(magic));
  std::memcpy(file.data() + sizeof(magic), key.data(), key.size());
  std::memcpy(file.data() + header_bytes - sizeof(size), &size, sizeof(size));
  std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(header_bytes));
  return file;
}

std::optional<std::vector<std::byte>> KernelCache::find(const Digest& key) const {
  if (settings_.folder.empty()) return std::nullopt;
  struct stat status {};
  const std::string name = file_name(key);
  const Descriptor file(open_own(settings_.folder, name, status));
  if (file.get() < 0) return std::nullopt;
  auto bytes = unwrap(file.get(), static_cast<std::uint64_t>(status.st_size), key);
  if (!bytes) log(FLAGOS_LOG_LEVEL_WARNING, "{}/{} is damaged and is not used", settings_.folder, name);
  // The time of the last change is that of the last use.
  const bool old = std::time(nullptr) - status.st_mtime > touch_age_s;
  if (bytes && settings_.writes && old) ::futimens(file.get(), nullptr);
  return bytes;
}

std::optional<std::vector<std::byte>> KernelCache::find_in_packs(const std::string& name) const {
  for (const std::string& pack : settings_.packs) {
    struct stat status {};
    const Descriptor file(open_own(pack, name, status));
    if (file.get() < 0 || static_cast<std::uint64_t>(status.st_size) > largest_entry) continue;
    std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
    if (read_exactly(file.get(), bytes)) return bytes;
  }
  return std::nullopt;
}

void KernelCache::store(const Digest& key, const std::vector<std::byte>& bytes) const {
  const std::string& path = settings_.folder;
  if (path.empty() || !settings_.writes || bytes.size() > settings_.limit_bytes) return;
  std::error_code error;
  fs::create_directories(path, error);
  const Descriptor folder(open_folder(path));
  if (folder.get() < 0) return complain(path, "no folder", errno);
  if (!is_own_folder(folder.get())) return complain(path, "others can write", EPERM);
  static std::atomic<std::uint64_t> parts{0};
  const std::string part = fmt::format("{}.{}.{}{}", hex(key), ::getpid(), parts.fetch_add(1), part_suffix);
  {
    const Descriptor file(
        ::openat(folder.get(), part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (file.get() < 0) return complain(path, "no file can be made", errno);
    if (!write_exactly(file.get(), wrap(key, bytes))) {
      complain(path, "no file can be written", errno);
      ::unlinkat(folder.get(), part.c_str(), 0);
      return;
    }
  }
  if (::renameat(folder.get(), part.c_str(), folder.get(), file_name(key).c_str()) != 0) {
    complain(path, "no file can be renamed", errno);
    ::unlinkat(folder.get(), part.c_str(), 0);
    return;
  }
  static std::atomic<std::uint32_t> stores{0};
  if (stores.fetch_add(1) % stores_per_trim == 0 || bytes.size() > settings_.limit_bytes / stores_per_trim) trim();
}

// Takes out what was not used for longest, until a tenth is free. Other processes may do the same at the same time.
void KernelCache::trim() const {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(settings_.folder.c_str()), ::closedir);
  if (!folder) return;
  const int number = ::dirfd(folder.get());
  std::vector<Entry> entries;
  std::uint64_t total = 0;
  while (const dirent* found = ::readdir(folder.get())) {
    const std::string_view name = found->d_name;
    struct stat status {};
    const bool is_part = name.ends_with(part_suffix);
    if ((!is_part && !name.ends_with(suffix)) || ::fstatat(number, found->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode))
      continue;
    if (is_part && std::time(nullptr) - status.st_mtime > part_age_s) ::unlinkat(number, found->d_name, 0);
    if (is_part) continue;
    entries.push_back({std::string(name), static_cast<std::uint64_t>(status.st_size), status.st_mtim});
    total += entries.back().bytes;
  }
  if (total <= settings_.limit_bytes) return;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  const std::uint64_t wanted = settings_.limit_bytes - settings_.limit_bytes / 10;
  for (const Entry& entry : entries) {
    if (total <= wanted) break;
    if (::unlinkat(number, entry.name.c_str(), 0) == 0) total -= entry.bytes;
  }
}

}  // namespace flagos::core
