// Blobs and files in memory that cross processes.
#include "core/external.hpp"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "core/digest.hpp"

namespace flagos::core {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  FileDescriptor old(std::exchange(fd_, other.release()));
  return *this;
}

int FileDescriptor::release() { return std::exchange(fd_, -1); }

FileDescriptor duplicate(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "a file descriptor cannot be duplicated: {}", std::strerror(errno));
  return FileDescriptor(copy);
}

namespace {

constexpr char blob_magic[8] = {'f', 'l', 'a', 'g', 'o', 's', '0', '1'};
constexpr char trailer_magic[8] = {'f', 'l', 'a', 'g', 'o', 's', 't', '1'};
constexpr std::uint64_t page_bytes = 4096;
constexpr int file_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Digest digest_of(const void* data, std::size_t size) {
  return sha256(std::span(static_cast<const std::byte*>(data), size));
}

// Equal in all processes of one boot of the host: a blob that was kept longer, or carried to another host, is refused.
std::array<std::uint8_t, 16> boot_digest() {
  std::array<char, 64> text{};
  const FileDescriptor file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 && errno != ENOENT && errno != EACCES)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "the host's boot identifier cannot be read: {}", std::strerror(errno));
  const ssize_t length = file.get() < 0 ? 0 : ::read(file.get(), text.data(), text.size());
  const Digest digest = digest_of(text.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  std::array<std::uint8_t, 16> half;
  std::memcpy(half.data(), digest.data(), half.size());
  return half;
}

std::uint64_t inode_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0)
    throw_error(FLAGOS_STATUS_INVALID_HANDLE, "descriptor {} is not open: {}", fd, std::strerror(errno));
  return status.st_ino * 31 + status.st_dev;
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

[[noreturn]] void refuse(const char* why) {
  throw_error(FLAGOS_STATUS_INVALID_HANDLE, "the external object cannot be imported: {}", why);
}

}  // namespace

void seal_blob(ExternalBlob& blob, int fd, flagos_external_t& external) {
  std::memcpy(blob.magic, blob_magic, sizeof(blob.magic));
  blob.boot = boot_digest();
  blob.inode = inode_of(fd);
  blob.digest = digest_of(&blob, offsetof(ExternalBlob, digest));
  std::memset(external.blob, 0, sizeof(external.blob));
  std::memcpy(external.blob, &blob, sizeof(blob));
}

ExternalBlob open_blob(const flagos_external_t& external) {
  ExternalBlob blob;
  std::memcpy(&blob, external.blob, sizeof(blob));
  if (std::memcmp(blob.magic, blob_magic, sizeof(blob.magic)) != 0) refuse("its blob is not one of flagos");
  if (blob.digest != digest_of(&blob, offsetof(ExternalBlob, digest))) refuse("its blob was changed");
  for (std::size_t i = sizeof(blob); i < sizeof(external.blob); ++i) {
    if (external.blob[i] != 0) refuse("its blob was changed");
  }
  if (blob.boot != boot_digest()) refuse("it comes from another host, or from before this one was started");
  if (blob.inode != inode_of(external.fd)) refuse("its blob belongs to another descriptor");
  return blob;
}

std::array<std::uint8_t, 16> random_nonce() {
  std::array<std::uint8_t, 16> nonce;
  if (RAND_bytes(nonce.data(), static_cast<int>(nonce.size())) != 1)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES,
                "OpenSSL gives no random bytes: no memory is left, or no source of them");
  return nonce;
}

std::uint64_t name_digest(const char* name) {
  const std::string_view text(name);
  std::uint64_t first = 0;
  std::memcpy(&first, digest_of(text.data(), text.size()).data(), sizeof(first));
  return first;
}

struct HostFile::Trailer {
  char magic[8];
  std::array<std::uint8_t, 16> nonce;
  std::atomic<std::uint32_t> withdrawn;
};

HostFile::HostFile(std::uint64_t size_bytes, std::uint64_t alignment_bytes)
    : size_bytes_(size_bytes), data_bytes_(round_up(size_bytes, page_bytes)) {
  fd_ = FileDescriptor(::memfd_create("flagos", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd_.get() < 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "a file in memory cannot be made: {}", std::strerror(errno));
  // Reserved now: a page that is missing later would be a SIGBUS.
  if (const int error = ::posix_fallocate(fd_.get(), 0, static_cast<off_t>(data_bytes_ + page_bytes)))
    throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "{} bytes of shared host memory: {}", size_bytes,
                std::strerror(error));
  if (::fcntl(fd_.get(), F_ADD_SEALS, file_seals) != 0)
    throw_error(FLAGOS_STATUS_INTERNAL, "a file in memory cannot be sealed: {}", std::strerror(errno));
  const std::array<std::uint8_t, 16> nonce = random_nonce();
  map(alignment_bytes);  // last of what may throw: no destructor runs here
  std::memcpy(trailer_->magic, trailer_magic, sizeof(trailer_->magic));
  trailer_->nonce = nonce;
}

HostFile::HostFile(int fd, std::uint64_t size_bytes, const std::array<std::uint8_t, 16>& nonce,
                   std::uint64_t alignment_bytes)
    : fd_(duplicate(fd)), size_bytes_(size_bytes), data_bytes_(round_up(size_bytes, page_bytes)) {
  const int seals = ::fcntl(fd_.get(), F_GET_SEALS);
  if (seals < 0 || (seals & file_seals) != file_seals) refuse("its descriptor is not a sealed file in memory");
  struct stat status {};
  if (size_bytes == 0 || data_bytes_ < size_bytes || ::fstat(fd_.get(), &status) != 0 ||
      static_cast<std::uint64_t>(status.st_size) != data_bytes_ + page_bytes)
    refuse("its descriptor is of another size");
  map(alignment_bytes);
  const bool fits =
      std::memcmp(trailer_->magic, trailer_magic, sizeof(trailer_->magic)) == 0 && trailer_->nonce == nonce;
  if (!fits || withdrawn()) {
    ::munmap(reserved_, reserved_bytes_);  // no destructor runs for what was not constructed
    refuse(fits ? "its owner has freed it" : "its blob belongs to another descriptor");
  }
}

HostFile::~HostFile() {
  if (reserved_ != nullptr) ::munmap(reserved_, reserved_bytes_);
}

// Alignments above a page: more is reserved, and the file is laid into the middle of it.
void HostFile::map(std::uint64_t alignment_bytes) {
  const std::uint64_t slack = alignment_bytes > page_bytes ? alignment_bytes : 0;
  reserved_bytes_ = data_bytes_ + page_bytes + slack;
  void* reserved = ::mmap(nullptr, reserved_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (reserved == MAP_FAILED)
    throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "{} bytes of address space: {}", reserved_bytes_,
                std::strerror(errno));
  reserved_ = reserved;
  const auto base = reinterpret_cast<std::uintptr_t>(reserved);
  void* place = reinterpret_cast<void*>(slack == 0 ? base : round_up(base, alignment_bytes));
  data_ = ::mmap(place, data_bytes_ + page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd_.get(), 0);
  if (data_ == MAP_FAILED) {
    const int error = errno;
    ::munmap(reserved_, reserved_bytes_);
    throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "{} bytes of shared host memory cannot be mapped: {}", size_bytes_,
                std::strerror(error));
  }
  trailer_ = reinterpret_cast<Trailer*>(static_cast<std::byte*>(data_) + data_bytes_);
}

const std::array<std::uint8_t, 16>& HostFile::nonce() const { return trailer_->nonce; }
bool HostFile::withdrawn() const { return trailer_->withdrawn.load(std::memory_order_acquire) != 0; }
void HostFile::withdraw() { trailer_->withdrawn.store(1, std::memory_order_release); }

}  // namespace flagos::core
