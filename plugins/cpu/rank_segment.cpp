#include "plugins/cpu/rank_segment.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

#include "base/error.hpp"

namespace flagos::cpu {
namespace {

constexpr std::uint64_t round_up(std::uint64_t bytes) {
  return (bytes + 4095) & ~std::uint64_t{4095};
}

[[noreturn]] void throw_system(const char* what) {
  throw_error(errno == ENOSPC || errno == ENOMEM ? FLAGOS_STATUS_OUT_OF_HOST_MEMORY
                                                 : FLAGOS_STATUS_OUT_OF_RESOURCES,
              "shared memory of a communicator: {}: {}", what, std::strerror(errno));
}

std::uint64_t random_number() {
  std::uint64_t number = 0;
  if (getrandom(&number, sizeof(number), 0) != sizeof(number)) throw_system("getrandom");
  return number;
}

// One for this process, which no other has but those that are forked from it.
std::uint64_t own_process() {
  static const std::uint64_t number = random_number();
  return number;
}

std::uint64_t process_namespace() {
  struct stat found {};
  return stat("/proc/self/ns/pid", &found) == 0 ? found.st_ino : 0;
}

std::string file_name(const SegmentId& id) {
  std::string name = "/flagos-cpu-";
  for (const std::uint8_t byte : id.bytes) name += fmt::format("{:02x}", byte);
  return name;
}

using Mapped = std::map<std::array<std::uint8_t, 16>, std::weak_ptr<SegmentMemory>>;

// The segments of this process, whose ranks share one mapping. Never destroyed: ranks may leave until the process is gone.
std::mutex& mapped_mutex() {
  static auto& mutex = *new std::mutex;
  return mutex;
}
Mapped& mapped() {
  static auto& all = *new Mapped;
  return all;
}

}  // namespace

class SegmentMemory {
 public:
  SegmentMemory(int fd, std::uint64_t bytes) : bytes_(bytes) {
    struct stat found {};
    if (fstat(fd, &found) != 0) throw_system("fstat");
    if (static_cast<std::uint64_t>(found.st_size) < bytes &&
        ftruncate(fd, static_cast<off_t>(bytes)) != 0)
      throw_system("ftruncate");
    // Pages are there when they are first written.
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) throw_system("mmap");
    memory_ = static_cast<std::byte*>(memory);
  }
  ~SegmentMemory() { munmap(memory_, bytes_); }
  SegmentMemory(const SegmentMemory&) = delete;
  SegmentMemory& operator=(const SegmentMemory&) = delete;

  std::byte* memory() const noexcept { return memory_; }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  const std::uint64_t bytes_;
  std::byte* memory_ = nullptr;
};

// The segment's file while ranks join, which they do one after the other.
class SegmentFile {
 public:
  explicit SegmentFile(const SegmentId& id)
      : id_(id),
        name_(file_name(id)),
        fd_(shm_open(name_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR)) {
    if (fd_ < 0) throw_system("shm_open");
  }
  ~SegmentFile() { close(fd_); }
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  void lock() {
    while (flock(fd_, LOCK_EX) != 0)
      if (errno != EINTR) throw_system("flock");
  }
  void unlock() { flock(fd_, LOCK_UN); }
  // Nobody joins any more.
  void remove() { shm_unlink(name_.c_str()); }

  // Of `bytes`, which ranks that do not agree on their number differ in.
  std::shared_ptr<SegmentMemory> map(std::uint64_t bytes) const {
    const std::lock_guard lock(mapped_mutex());
    std::erase_if(mapped(), [](const auto& entry) { return entry.second.expired(); });
    std::weak_ptr<SegmentMemory>& known = mapped()[id_.bytes];
    std::shared_ptr<SegmentMemory> memory = known.lock();
    if (memory == nullptr || memory->bytes() != bytes)
      known = memory = std::make_shared<SegmentMemory>(fd_, bytes);
    return memory;
  }

 private:
  const SegmentId id_;
  const std::string name_;
  const int fd_;
};

SegmentId make_segment_id() {
  SegmentId id;
  if (getrandom(id.bytes.data(), id.bytes.size(), 0) != static_cast<ssize_t>(id.bytes.size()))
    throw_system("getrandom");
  return id;
}

// ---- bells ------------------------------------------------------------------------------------

void RankBell::ring_always() noexcept {
  count.fetch_add(1, std::memory_order_seq_cst);
  syscall(SYS_futex, &count, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

void RankBell::sleep(std::uint32_t seen, std::uint64_t most_ns) noexcept {
  const timespec time{static_cast<time_t>(most_ns / 1'000'000'000u),
                      static_cast<long>(most_ns % 1'000'000'000u)};
  syscall(SYS_futex, &count, FUTEX_WAIT, seen, &time, nullptr, 0);
}

// ---- joining ----------------------------------------------------------------------------------

RankSegment::RankSegment(const SegmentId& id, std::uint32_t rank, std::uint32_t size,
                         const Deadline& deadline)
    : rank_(rank), size_(size), processes_(new int[size]) {
  for (std::uint32_t i = 0; i < size; ++i) processes_[i] = -1;
  if (size > most_ranks)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "a communicator of {} ranks; {} are the most", size,
                most_ranks);
  place();
  SegmentFile file(id);
  enter(file);
  wait_for_all(file, deadline);
  look_at_ranks();
}

RankSegment::~RankSegment() {
  state(rank_).closed.store(1, std::memory_order_release);
  wake_all();
  for (std::uint32_t i = 0; i < size_; ++i)
    if (processes_[i] >= 0) close(processes_[i]);
}

void RankSegment::place() {
  const std::uint64_t pairs = std::uint64_t{size_} * size_;
  states_ = round_up(sizeof(SegmentHead));
  channels_ = states_ + round_up(sizeof(RankState) * size_);
  slots_ = channels_ + round_up(sizeof(Channel) * pairs);
  pieces_ = slots_ + 2 * slot_bytes * size_;
  bytes_ = pieces_ + Channel::depth * piece_bytes * pairs;
}

// Memory of zeros is a segment that nobody has joined. The last one takes the name away.
void RankSegment::enter(SegmentFile& file) {
  const std::lock_guard lock(file);
  shared_ = file.map(bytes_);
  memory_ = shared_->memory();
  std::uint32_t expected = 0;
  if (!head().size.compare_exchange_strong(expected, size_) && expected != size_) {
    fail(FLAGOS_STATUS_INVALID_ARGUMENT,
         fmt::format("rank {} joins a communicator of {} ranks, others one of {}", rank_, size_,
                     expected));
    file.remove();
  } else if (state(rank_).joined.load() != 0) {
    fail(FLAGOS_STATUS_INVALID_ARGUMENT, fmt::format("there are two ranks of number {}", rank_));
    file.remove();
  } else {
    state(rank_).process = own_process();
    state(rank_).process_namespace = process_namespace();
    state(rank_).joined.store(static_cast<std::uint32_t>(getpid()));
    if (head().joined.fetch_add(1) + 1 == size_) file.remove();
  }
  wake_all();
}

void RankSegment::wait_for_all(SegmentFile& file, const Deadline& deadline) {
  RankBell& bell = state(rank_).bell;
  const auto is_over = [&] { return has_failed() || head().joined.load() == size_; };
  const RankBell::Sleeper sleeper(bell);
  while (!is_over()) {
    const std::uint32_t seen = bell.count.load();
    if (is_over()) break;
    bell.sleep(seen, 20'000'000);
    if (is_over() || !deadline.has_passed()) continue;
    const std::lock_guard lock(file);
    if (is_over()) break;
    fail(FLAGOS_STATUS_COMM_TIMEOUT, fmt::format("{} did not join in time", missing()));
    file.remove();
  }
  if (has_failed()) throw_error(head().status, "{}", head().text.data());
}

std::string RankSegment::missing() {
  std::string text;
  for (std::uint32_t i = 0; i < size_; ++i)
    if (state(i).joined.load() == 0) text += fmt::format("{}{}", text.empty() ? "rank " : ", ", i);
  return text;
}

void RankSegment::look_at_ranks() {
  for (std::uint32_t i = 0; i < size_; ++i) {
    if (is_own_process(i)) continue;
    is_one_process_ = false;
    if (state(i).process_namespace != state(rank_).process_namespace) continue;
    processes_[i] =
        static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(state(i).joined.load()), 0));
  }
}

// ---- failure ----------------------------------------------------------------------------------

void RankSegment::fail(flagos_status_t status, const std::string& text) noexcept {
  std::uint32_t expected = SegmentHead::healthy;
  bool is_first = head().failure.compare_exchange_strong(expected, SegmentHead::failing);
  if (!is_first) {
    // Another rank is just writing down its own, unless it died in the middle.
    constexpr int patience = 100'000;
    int looks = 0;
    while (head().failure.load(std::memory_order_acquire) == SegmentHead::failing &&
           looks < patience) {
      sched_yield();
      ++looks;
    }
    is_first = looks == patience;
  }
  if (is_first) {
    head().status = status;
    std::snprintf(head().text.data(), head().text.size(), "%s", text.c_str());
    head().failure.store(SegmentHead::failed, std::memory_order_release);
  }
  wake_all();
}

void RankSegment::wake_all() noexcept {
  for (std::uint32_t i = 0; i < size_; ++i) state(i).bell.ring_always();
}

bool RankSegment::is_dead(std::uint32_t rank) noexcept {
  if (processes_[rank] < 0) return false;
  pollfd descriptor{processes_[rank], POLLIN, 0};
  return poll(&descriptor, 1, 0) > 0;
}

}  // namespace flagos::cpu
