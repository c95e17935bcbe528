// What crosses processes: the blob that describes a descriptor, and files in memory that both sides map.
#pragma once

#include <flagos_plugin.h>

#include <array>
#include <atomic>
#include <cstdint>

namespace flagos::core {

// A file descriptor of ours: closed when it goes.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return fd_; }
  int release();

 private:
  int fd_ = -1;
};

// A descriptor of our own for the same file, close-on-exec; throws OUT_OF_RESOURCES.
FileDescriptor duplicate(int fd);

enum class ExternalKind : std::uint32_t { host_memory = 1, plugin_memory = 2, event = 3, physical_memory = 4 };

// The contents of flagos_external_t.blob. Only processes of one host and one boot read it.
struct ExternalBlob {
  char magic[8];
  ExternalKind kind;
  flagos_memory_kind_t memory_kind;
  std::uint64_t size_bytes;
  std::array<std::uint8_t, 16> nonce;  // also in the file itself, so that blob and descriptor belong together
  std::array<std::uint8_t, 16> boot;
  std::uint64_t inode;   // of the descriptor
  std::uint64_t plugin;  // a digest of the plugin's name, where only that plugin can import
  std::uint32_t plugin_type;
  std::uint32_t padding;
  std::uint8_t plugin_data[64];
  std::array<std::uint8_t, 32> digest;  // of all before: a damaged blob is noticed
};
static_assert(sizeof(ExternalBlob) <= sizeof(flagos_external_t::blob));

// Fills in magic, boot, inode and digest.
void seal_blob(ExternalBlob& blob, int fd, flagos_external_t& external);
// Throws INVALID_HANDLE unless it is a whole blob of this boot and belongs to external.fd.
ExternalBlob open_blob(const flagos_external_t& external);

std::array<std::uint8_t, 16> random_nonce();
std::uint64_t name_digest(const char* name);

// A file in memory, mapped: `size_bytes` for its user at an aligned address, and one page of ours behind them. It can
// neither shrink nor grow, so that nobody can make the other side's mapping fault.
class HostFile {
 public:
  HostFile(std::uint64_t size_bytes, std::uint64_t alignment_bytes);  // makes one; throws OUT_OF_HOST_MEMORY
  // Maps one that another process may have made. Throws INVALID_HANDLE unless descriptor and nonce fit.
  HostFile(int fd, std::uint64_t size_bytes, const std::array<std::uint8_t, 16>& nonce, std::uint64_t alignment_bytes);
  ~HostFile();
  HostFile(const HostFile&) = delete;
  HostFile& operator=(const HostFile&) = delete;

  void* data() const { return data_; }
  std::uint64_t size_bytes() const { return size_bytes_; }
  const FileDescriptor& fd() const { return fd_; }
  const std::array<std::uint8_t, 16>& nonce() const;
  bool withdrawn() const;
  // Whoever made it has let go: it cannot be imported any more. Mappings that exist stay.
  void withdraw();

 private:
  struct Trailer;
  void map(std::uint64_t alignment_bytes);

  FileDescriptor fd_;
  std::uint64_t size_bytes_;
  std::uint64_t data_bytes_;  // rounded up to pages
  void* data_ = nullptr;
  void* reserved_ = nullptr;
  std::uint64_t reserved_bytes_ = 0;
  Trailer* trailer_ = nullptr;
};

}  // namespace flagos::core
