#include "conformance/package/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <vector>

namespace flagos::conformance {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_name = 255;

struct FreeWriter {
  void operator()(archive* handle) const { archive_write_free(handle); }
};
struct FreeReader {
  void operator()(archive* handle) const { archive_read_free(handle); }
};
struct FreeEntry {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

std::string error_of(archive* handle) {
  const char* const text = archive_error_string(handle);
  return text == nullptr ? "unknown error" : text;
}

void demand_written(int result, archive* handle, const std::string& path) {
  if (result != ARCHIVE_OK) {
    throw std::runtime_error(fmt::format("cannot write '{}': {}", path, error_of(handle)));
  }
}

// Counts what comes in, and stops before it is too much.
class Collector {
 public:
  explicit Collector(const ArchiveLimits& limits) : limits_(limits) {}

  std::string& start(const std::string& name) {
    demand_plain_name(name);
    if (files_.size() >= limits_.files) {
      throw std::runtime_error(fmt::format("it holds more than {} files", limits_.files));
    }
    const auto [entry, added] = files_.emplace(name, "");
    if (!added) throw std::runtime_error(fmt::format("it holds '{}' twice", name));
    return entry->second;
  }
  void append(const std::string& name, std::string& bytes, const char* data, std::size_t size) {
    total_ += size;
    if (bytes.size() + size > limits_.file_bytes || total_ > limits_.total_bytes) {
      throw std::runtime_error(fmt::format("'{}' is larger than a package may be", name));
    }
    bytes.append(data, size);
  }
  Files take() { return std::move(files_); }

 private:
  ArchiveLimits limits_;
  Files files_;
  std::uint64_t total_ = 0;
};

// "top/report.json" -> "report.json"; all entries have the same top.
std::string below_top(const std::string& path, std::string& top) {
  const std::size_t slash = path.find('/');
  if (slash == std::string::npos || slash == 0) {
    throw std::runtime_error(fmt::format("'{}' lies in no folder", path));
  }
  const std::string first = path.substr(0, slash);
  if (top.empty()) top = first;
  if (first != top) {
    throw std::runtime_error(fmt::format("it holds two folders, '{}' and '{}'", top, first));
  }
  return path.substr(slash + 1);
}

void read_entry(archive* handle, archive_entry* entry, std::string& top, Collector& collector) {
  const char* const raw = archive_entry_pathname(entry);
  const std::string path = raw == nullptr ? "" : raw;
  if (archive_entry_filetype(entry) == AE_IFDIR) return;
  const bool plain = archive_entry_filetype(entry) == AE_IFREG &&
                     archive_entry_hardlink(entry) == nullptr &&
                     archive_entry_symlink(entry) == nullptr;
  if (!plain) throw std::runtime_error(fmt::format("'{}' is no plain file", path));
  const std::string name = below_top(path, top);
  std::string& bytes = collector.start(name);
  char block[1 << 16];
  while (true) {
    const la_ssize_t size = archive_read_data(handle, block, sizeof(block));
    if (size < 0) throw std::runtime_error(fmt::format("'{}': {}", name, error_of(handle)));
    if (size == 0) return;
    collector.append(name, bytes, block, static_cast<std::size_t>(size));
  }
}

Files read_entries(archive* handle, const ArchiveLimits& limits) {
  Collector collector(limits);
  std::string top;
  std::size_t entries = 0;
  archive_entry* entry = nullptr;
  int result = 0;
  while ((result = archive_read_next_header(handle, &entry)) == ARCHIVE_OK) {
    if (++entries > 2 * limits.files) throw std::runtime_error("it has too many entries");
    read_entry(handle, entry, top, collector);
  }
  if (result != ARCHIVE_EOF) throw std::runtime_error(error_of(handle));
  return collector.take();
}

}  // namespace

void demand_plain_name(const std::string& name) {
  bool plain = !name.empty() && name.size() <= longest_name && name.front() != '/' &&
               name.find('\\') == std::string::npos;
  for (const unsigned char c : name) plain &= c > 0x20 && c < 0x7f;
  for (const fs::path& part : fs::path(name)) plain &= part != ".." && part != "." && !part.empty();
  if (!plain) throw std::runtime_error("it holds a file whose name is no plain relative name");
}

void write_archive(const std::string& path, const std::string& top, const Files& files) {
  const std::string draft = path + ".part";
  const std::unique_ptr<archive, FreeWriter> writer(archive_write_new());
  if (!writer) throw std::bad_alloc();
  archive* const handle = writer.get();
  demand_written(archive_write_set_format_pax_restricted(handle), handle, draft);
  demand_written(archive_write_add_filter_zstd(handle), handle, draft);
  demand_written(archive_write_open_filename(handle, draft.c_str()), handle, draft);
  for (const auto& [name, bytes] : files) {
    demand_plain_name(name);
    const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
    if (!entry) throw std::bad_alloc();
    archive_entry_set_pathname(entry.get(), (top + "/" + name).c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    demand_written(archive_write_header(handle, entry.get()), handle, draft);
    const la_ssize_t written = archive_write_data(handle, bytes.data(), bytes.size());
    if (written != static_cast<la_ssize_t>(bytes.size()))
      demand_written(ARCHIVE_FATAL, handle, draft);
  }
  demand_written(archive_write_close(handle), handle, draft);
  if (std::rename(draft.c_str(), path.c_str()) != 0) {
    throw std::runtime_error(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
  }
}

Files read_archive(const std::string& path, const ArchiveLimits& limits) {
  const std::unique_ptr<archive, FreeReader> reader(archive_read_new());
  if (!reader) throw std::bad_alloc();
  archive_read_support_filter_zstd(reader.get());
  archive_read_support_format_tar(reader.get());
  try {
    if (archive_read_open_filename(reader.get(), path.c_str(), 1 << 16) != ARCHIVE_OK) {
      throw std::runtime_error(error_of(reader.get()));
    }
    return read_entries(reader.get(), limits);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("'{}' is no package: {}", path, error.what()));
  }
}

Files read_folder(const std::string& path, bool (*is_wanted)(const std::string& name),
                  const ArchiveLimits& limits) {
  Collector collector(limits);
  std::vector<char> block(1 << 16);
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_directory() && !entry.is_symlink()) continue;
    const std::string name = fs::relative(entry.path(), path).generic_string();
    if (!is_wanted(name)) continue;
    if (!entry.is_regular_file() || entry.is_symlink()) {
      throw std::runtime_error(fmt::format("'{}/{}' is no plain file", path, name));
    }
    std::ifstream file(entry.path(), std::ios::binary);
    if (!file) throw std::runtime_error(fmt::format("cannot read '{}/{}'", path, name));
    std::string& bytes = collector.start(name);
    while (file) {
      file.read(block.data(), static_cast<std::streamsize>(block.size()));
      collector.append(name, bytes, block.data(), static_cast<std::size_t>(file.gcount()));
    }
  }
  return collector.take();
}

}  // namespace flagos::conformance
