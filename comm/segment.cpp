#include "comm/segment.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <new>

#include "base/error.hpp"
#include "comm/bootstrap/secret.hpp"

namespace flagos::comm {
namespace {

// Segments of this process, so that its own ranks share the mapping.
struct Registry {
  std::mutex mutex;
  std::map<std::uint64_t, std::weak_ptr<Segment>> segments;
  static Registry& get() {
    static Registry* const registry = new Registry;  // outlives threads that run at exit
    return *registry;
  }
};

std::uint64_t pid_namespace() {
  struct stat status {};
  return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

// The kernel's name for this boot of this host, 16 bytes of its 36 characters.
std::array<std::uint8_t, 16> boot() {
  std::array<std::uint8_t, 16> id{};
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  file >> text;
  std::size_t used = 0;
  for (const char c : text) {
    if (c == '-' || used == 32) continue;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    id[used / 2] = static_cast<std::uint8_t>(id[used / 2] * 16 + (digit & 15));
    ++used;
  }
  return id;
}

constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t to) {
  return (value + to - 1) / to * to;
}

}  // namespace

void Bell::ring_always() {
  count.fetch_add(1, std::memory_order_release);
  syscall(SYS_futex, &count, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void Bell::wait(std::uint32_t seen, std::uint64_t timeout_ns) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(timeout_ns / 1'000'000'000);
  time.tv_nsec = static_cast<long>(timeout_ns % 1'000'000'000);
  syscall(SYS_futex, &count, FUTEX_WAIT, seen, &time, nullptr, 0);
}

std::uint64_t Segment::rings_offset() { return align_up(sizeof(SegmentHead), 4096); }

std::uint64_t Segment::slots_offset(std::uint32_t size) {
  return align_up(rings_offset() + std::uint64_t{lanes} * size * sizeof(Ring), 4096);
}

void Segment::map(int fd, std::uint32_t size) {
  size_ = size;
  slots_offset_ = slots_offset(size);
  name_.bytes = slots_offset_ + slot_count * slot_bytes;
  void* const memory = mmap(nullptr, name_.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED)
    throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "{} bytes that ranks share cannot be mapped: {}",
                name_.bytes, std::strerror(errno));
  memory_ = static_cast<std::byte*>(memory);
}

std::shared_ptr<Segment> Segment::create(std::uint32_t rank, std::uint32_t size) {
  std::shared_ptr<Segment> segment(new Segment);
  segment->fd_ = memfd_create("flagos-comm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (segment->fd_ < 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "memory that ranks share cannot be made: {}",
                std::strerror(errno));
  const std::uint64_t bytes = slots_offset(size) + slot_count * slot_bytes;
  if (ftruncate(segment->fd_, static_cast<off_t>(bytes)) != 0)
    throw_error(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "{} bytes that ranks share: {}", bytes,
                std::strerror(errno));
  // Nobody may cut it: an access past its end would end the process.
  fcntl(segment->fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  segment->map(segment->fd_, size);
  SegmentHead* const head = new (segment->memory_) SegmentHead;
  head->rank = rank;
  head->size = size;
  for (std::uint32_t lane = 0; lane < lanes; ++lane)
    for (std::uint32_t peer = 0; peer < size; ++peer) new (&segment->ring(peer, lane)) Ring;

  SegmentName& name = segment->name_;
  random_bytes(&name.id, sizeof(name.id));
  name.pid = getpid();
  name.fd = segment->fd_;
  name.pid_namespace = pid_namespace();
  name.boot = boot();
  Registry& registry = Registry::get();
  std::lock_guard lock(registry.mutex);
  registry.segments[name.id] = segment;
  return segment;
}

std::shared_ptr<Segment> Segment::open(const SegmentName& name, std::uint32_t rank,
                                       std::uint32_t size) {
  if (same_process(name)) {
    Registry& registry = Registry::get();
    std::lock_guard lock(registry.mutex);
    const auto found = registry.segments.find(name.id);
    if (found != registry.segments.end()) {
      if (std::shared_ptr<Segment> segment = found->second.lock()) return segment;
    }
    throw_error(FLAGOS_STATUS_RANK_FAILED, "rank {} has left before all had joined", rank);
  }
  std::shared_ptr<Segment> segment(new Segment);
  const std::string path = fmt::format("/proc/{}/fd/{}", name.pid, name.fd);
  segment->fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  struct stat status {};
  if (segment->fd_ < 0 || fstat(segment->fd_, &status) != 0)
    throw_error(FLAGOS_STATUS_RANK_FAILED, "memory of rank {} (process {}) cannot be opened: {}",
                rank, name.pid, std::strerror(errno));
  const int seals = fcntl(segment->fd_, F_GET_SEALS);
  const std::uint64_t bytes = slots_offset(size) + slot_count * slot_bytes;
  if (static_cast<std::uint64_t>(status.st_size) != bytes || seals < 0 ||
      (seals & F_SEAL_SHRINK) == 0)
    throw_error(FLAGOS_STATUS_RANK_FAILED,
                "memory of rank {} (process {}) is not what its rank said", rank, name.pid);
  segment->map(segment->fd_, size);
  const SegmentHead& head = segment->head();
  if (head.magic != SegmentHead::magic_value || head.rank != rank || head.size != size)
    throw_error(FLAGOS_STATUS_RANK_FAILED,
                "memory of rank {} (process {}) is not of this communicator", rank, name.pid);
  const std::uint64_t mapped = segment->name_.bytes;
  segment->name_ = name;
  segment->name_.bytes = mapped;
  close(segment->fd_);
  segment->fd_ = -1;
  return segment;
}

Segment::~Segment() {
  if (fd_ >= 0) {
    Registry& registry = Registry::get();
    std::lock_guard lock(registry.mutex);
    registry.segments.erase(name_.id);
    close(fd_);
  }
  if (memory_ != nullptr) munmap(memory_, name_.bytes);
}

const std::byte* Segment::at(std::uint64_t offset, std::uint64_t bytes) const {
  const std::uint64_t end = slots_offset_ + slot_count * slot_bytes;
  if (offset < slots_offset_ || offset > end || bytes > end - offset) return nullptr;
  return memory_ + offset;
}

bool Segment::same_host(const SegmentName& name) {
  return name.boot == boot() && name.pid_namespace == pid_namespace();
}

bool Segment::same_process(const SegmentName& name) {
  return same_host(name) && name.pid == getpid();
}

}  // namespace flagos::comm
