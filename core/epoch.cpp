// Thread records and the reclamation of what was retired.
#include "core/epoch.hpp"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <iterator>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "base/never_destroyed.hpp"

namespace flagos::core {

constinit thread_local ThreadRecord* thread_record __attribute__((tls_model("initial-exec"))) = nullptr;

namespace {

std::atomic<ThreadRecord*> all_records{nullptr};

// A key, not a C++ thread_local: its destructor runs after those of the application's thread_local objects, and again
// when one of them called us once more.
pthread_key_t make_key() {
  pthread_key_t key{};
  pthread_key_create(&key, [](void* data) {
    auto* record = static_cast<ThreadRecord*>(data);
    thread_record = nullptr;
    record->error_text[0] = '\0';
    record->range_depth = 0;
    record->in_callback = false;
    record->calls = {};
    record->in_use.store(false, std::memory_order_release);
  });
  return key;
}

ThreadRecord* reuse_record() {
  for (ThreadRecord* record = all_records.load(std::memory_order_acquire); record != nullptr; record = record->next) {
    bool expected = false;
    if (record->in_use.compare_exchange_strong(expected, true, std::memory_order_acq_rel)) return record;
  }
  return nullptr;
}

// For threads that call first when there is no memory: an entry has to say so, which takes a record.
constinit ThreadRecord reserve[32];
constinit std::atomic<std::size_t> reserve_used{0};

ThreadRecord* new_record() {
  if (auto* const record = new (std::nothrow) ThreadRecord) return record;
  std::size_t used = reserve_used.load();
  while (used < std::size(reserve) && !reserve_used.compare_exchange_weak(used, used + 1)) {
  }
  return used < std::size(reserve) ? &reserve[used] : nullptr;
}

bool register_membarrier() {
#if defined(__SANITIZE_THREAD__)
  return false;  // the thread sanitizer sees fences in atomics only
#else
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
#endif
}

}  // namespace

void for_each_thread_record(void (*visit)(const ThreadRecord& record, void* data), void* data) {
  for (const ThreadRecord* record = all_records.load(std::memory_order_acquire); record != nullptr;
       record = record->next)
    visit(*record, data);
}

ThreadRecord& make_thread_record() {
  static const pthread_key_t key = make_key();
  static std::atomic<std::uint64_t> numbers{1};
  ThreadRecord* record = reuse_record();
  while (record == nullptr) {
    record = new_record();
    if (record == nullptr) {
      // Until memory is there, or another thread has ended.
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      record = reuse_record();
      continue;
    }
    record->number = numbers.fetch_add(1, std::memory_order_relaxed);
    record->next = all_records.load(std::memory_order_relaxed);
    while (!all_records.compare_exchange_weak(record->next, record, std::memory_order_release)) {
    }
  }
  pthread_setspecific(key, record);
  thread_record = record;
  return *record;
}

namespace epoch {

std::atomic<std::uint64_t> current{1};
bool asymmetric = register_membarrier();

// What has been retired, in the order of the epochs.
class Store {
 public:
  void add(Retired* item, void (*function)(Retired*)) {
    item->function_ = function;
    std::lock_guard lock(mutex_);
    item->epoch_ = current.fetch_add(1, std::memory_order_acq_rel);
    (last_ == nullptr ? first_ : last_->next_) = item;
    last_ = item;
  }
  bool has_from_before(std::uint64_t epoch) {
    std::lock_guard lock(mutex_);
    return first_ != nullptr && first_->epoch_ < epoch;
  }
  void reclaim();

 private:
  std::mutex mutex_;
  Retired* first_ = nullptr;
  Retired* last_ = nullptr;
};

namespace {

Store& store() {
  static NeverDestroyed<Store> the_store;
  return *the_store;
}

void heavy_barrier() {
  if (asymmetric) {
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
  } else {
    static std::atomic<std::uint64_t> fence{0};
    fence.fetch_add(1, std::memory_order_seq_cst);
  }
}

// The oldest epoch that an open read section began in.
std::uint64_t oldest_active() {
  std::uint64_t oldest = UINT64_MAX;
  for (ThreadRecord* record = all_records.load(std::memory_order_acquire); record != nullptr; record = record->next) {
    const std::uint64_t active = record->active.load(std::memory_order_seq_cst);
    if (active != 0 && active < oldest) oldest = active;
  }
  return oldest;
}

}  // namespace

void Store::reclaim() {
  Retired* ready = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (first_ == nullptr) return;
    heavy_barrier();
    const std::uint64_t oldest = oldest_active();
    Retired* last_ready = nullptr;
    for (Retired* item = first_; item != nullptr && item->epoch_ < oldest; item = item->next_) last_ready = item;
    if (last_ready == nullptr) return;
    ready = std::exchange(first_, last_ready->next_);
    last_ready->next_ = nullptr;
    if (first_ == nullptr) last_ = nullptr;
  }
  while (ready != nullptr) {
    Retired* const item = std::exchange(ready, ready->next_);
    item->function_(item);
  }
}

void retire(Retired* item, void (*function)(Retired*)) {
  store().add(item, function);
  ThreadRecord& record = this_thread();
  record.has_retired = true;
  if (record.depth == 0) reclaim();
}

void reclaim() {
  this_thread().has_retired = false;
  store().reclaim();
}

void synchronize() {
  const std::uint64_t until = current.load(std::memory_order_acquire);
  reclaim();
  while (store().has_from_before(until)) {
    std::this_thread::yield();
    reclaim();
  }
}

}  // namespace epoch
}  // namespace flagos::core
