#include "plugins/nvidia/fake_driver/nccl_segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>

namespace flagos::nvidia::fake {
namespace {

constexpr std::uint64_t channel_bytes = 16 << 10;

// Bytes from one rank to another, in order.
struct Channel {
  alignas(64) std::atomic<std::uint64_t> written;
  alignas(64) std::atomic<std::uint64_t> read;
  std::byte data[channel_bytes];
};

struct flock lock_of(int rank) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = rank;
  lock.l_len = 1;
  return lock;
}

// Ids that nobody joined with must not stay behind.
void forget_at_exit(const char* path) {
  static auto& mutex = *new std::mutex;
  static auto& paths = *new std::vector<std::string>;
  const std::lock_guard lock(mutex);
  if (paths.empty())
    std::atexit([] {
      for (const std::string& one : paths) unlink(one.c_str());
    });
  paths.emplace_back(path);
}

void pause(int round) {
  if (round < 100) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

}  // namespace

struct NcclSegment::Layout {
  std::atomic<std::uint32_t> size;    // which the first one says
  std::atomic<std::uint32_t> joined;  // a bit for each rank
  std::atomic<std::uint32_t> is_refused;
  std::int32_t devices[most_ranks];
  Channel channels[most_ranks][most_ranks];  // from, to
};

std::string NcclSegment::create() {
  std::random_device random;
  char path[64];
  std::snprintf(path, sizeof(path), "/dev/shm/flagos-fake-nccl-%d-%08x%08x", getpid(), random(),
                random());
  const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return {};
  const bool is_made = ftruncate(fd, sizeof(Layout)) == 0;
  close(fd);
  if (!is_made) unlink(path);
  if (is_made) forget_at_exit(path);
  return is_made ? path : "";
}

NcclSegment::~NcclSegment() {
  if (layout_ != nullptr) munmap(layout_, sizeof(Layout));
  if (fd_ >= 0) close(fd_);
}

NcclSegment::Joined NcclSegment::join(const std::string& path, int rank, int size, int device,
                                      const std::atomic<bool>& gives_up) {
  path_ = path;
  rank_ = rank;
  size_ = size;
  fd_ = path.rfind("/dev/shm/flagos-fake-nccl-", 0) == 0 ? open(path.c_str(), O_RDWR | O_CLOEXEC)
                                                         : -1;
  if (fd_ < 0) return Joined::no_such_id;
  void* const mapped = mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (mapped == MAP_FAILED) return Joined::no_such_id;
  layout_ = static_cast<Layout*>(mapped);
  std::uint32_t said = 0;
  const bool agrees =
      layout_->size.compare_exchange_strong(said, static_cast<std::uint32_t>(size)) ||
      said == static_cast<std::uint32_t>(size);
  struct flock lock = lock_of(rank);
  const std::uint32_t bit = 1u << rank;
  const bool is_first = agrees && fcntl(fd_, F_OFD_SETLK, &lock) == 0;
  if (is_first) layout_->devices[rank] = device;
  if (!is_first || (layout_->joined.fetch_or(bit) & bit) != 0) layout_->is_refused = 1;
  const std::uint32_t all = static_cast<std::uint32_t>((std::uint64_t{1} << size) - 1);
  for (int round = 0; !layout_->is_refused && layout_->joined != all; ++round) {
    if (gives_up) {
      unlink(path.c_str());
      return Joined::given_up;
    }
    pause(round);
  }
  unlink(path.c_str());
  return layout_->is_refused ? Joined::refused : Joined::yes;
}

void NcclSegment::leave() noexcept {
  if (fd_ < 0) return;
  struct flock lock = lock_of(rank_);
  lock.l_type = F_UNLCK;
  fcntl(fd_, F_OFD_SETLK, &lock);
}

bool NcclSegment::shares_devices() const noexcept {
  for (int i = 0; i < size_; ++i)
    for (int k = 0; k < i; ++k)
      if (layout_->devices[i] == layout_->devices[k]) return true;
  return false;
}

bool NcclSegment::lives(int rank) const noexcept {
  struct flock lock = lock_of(rank);
  return rank == rank_ || fcntl(fd_, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

// What the channel has room or bytes for; false where that is nothing.
bool NcclSegment::step(Part& part) noexcept {
  Channel& channel =
      part.is_send ? layout_->channels[rank_][part.peer] : layout_->channels[part.peer][rank_];
  const std::uint64_t written = channel.written, read = channel.read;
  const std::uint64_t at = (part.is_send ? written : read) % channel_bytes;
  const std::uint64_t there = part.is_send ? channel_bytes - (written - read) : written - read;
  const std::uint64_t now = std::min({part.left, there, channel_bytes - at});
  if (now == 0) return false;
  if (part.is_send) {
    std::memcpy(channel.data + at, part.data, now);
    channel.written = written + now;
  } else {
    std::memcpy(part.data, channel.data + at, now);
    channel.read = read + now;
  }
  part.data += now;
  part.left -= now;
  return true;
}

bool NcclSegment::exchange(std::vector<Part> parts, const std::atomic<bool>& gives_up,
                           std::atomic<int>& gone) noexcept {
  for (int round = 0;; ++round) {
    bool is_over = true, has_moved = false;
    std::uint32_t busy[2] = {};  // peers whose earlier message is not through, by direction
    int waits_for = -1;
    for (Part& part : parts) {
      const std::uint32_t bit = 1u << part.peer;
      if (part.left == 0 || (busy[part.is_send] & bit) != 0) continue;
      while (part.left != 0 && step(part)) has_moved = true;
      if (part.left == 0) continue;
      is_over = false;
      busy[part.is_send] |= bit;
      if (!lives(part.peer)) waits_for = part.peer;
    }
    if (is_over) return true;
    if (gives_up) return false;
    if (has_moved) round = 0;
    if (!has_moved && waits_for >= 0 && gone < 0) gone = waits_for;
    pause(round);
  }
}

}  // namespace flagos::nvidia::fake
