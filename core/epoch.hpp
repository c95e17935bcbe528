// Keeps objects alive while a call of another thread may still look at them, without a lock or an atomic
// read-modify-write on the calling path: every entry runs in a read section; what is retired is freed once no read
// section from before is open. Readers pay a store; whoever retires pays a membarrier(2).
// Source of the idea: epoch-based reclamation (Fraser 2004), asymmetric barriers as in userspace RCU.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace flagos::core {

// What the crash layer tells of a thread: its calls, as far as they were made while the layer was on.
struct CallRecord {
  static constexpr std::uint64_t kept = 64;
  const char* names[kept] = {};  // the latest, as a ring; static texts
  std::uint64_t count = 0;
  const char* running = nullptr;
  const void* handle = nullptr;  // that the running call was given
};

// What core knows about a thread that calls it. Made at its first call, reused after its end, never freed.
struct ThreadRecord {
  std::atomic<std::uint64_t> active{0};  // the epoch in which the open read section began, 0 outside
  std::uint32_t depth = 0;               // of nested read sections
  bool in_callback = false;              // a host function of the application is running on this thread
  bool has_retired = false;              // reclaim when the outermost section ends
  std::int32_t plugin_status = 0;        // what a plugin said last about a call that it failed, 0 when it was used
  char error_text[1024] = "";
  char plugin_text[1024] = "";
  std::uint32_t range_depth = 0;  // flagos_range_push
  std::uint64_t number = 0;       // small and unique, for the trace
  CallRecord calls;
  std::atomic<bool> in_use{true};
  ThreadRecord* next = nullptr;  // of all records
};

extern constinit thread_local ThreadRecord* thread_record __attribute__((tls_model("initial-exec")));
ThreadRecord& make_thread_record();
// Also those of threads that have ended.
void for_each_thread_record(void (*visit)(const ThreadRecord& record, void* data), void* data);
template <typename Visit>
void for_each_thread_record(const Visit& visit) {
  for_each_thread_record([](const ThreadRecord& record, void* data) { (*static_cast<const Visit*>(data))(record); },
                         const_cast<Visit*>(&visit));
}
inline ThreadRecord& this_thread() { return thread_record != nullptr ? *thread_record : make_thread_record(); }

namespace epoch {

extern std::atomic<std::uint64_t> current;
extern bool asymmetric;  // membarrier works: readers need no fence of their own

inline void enter(ThreadRecord& record) {
  const std::uint64_t now = current.load(std::memory_order_relaxed);
  if (asymmetric) [[likely]] {
    record.active.store(now, std::memory_order_relaxed);
    asm volatile("" ::: "memory");
  } else {
    record.active.exchange(now, std::memory_order_seq_cst);
  }
}
inline void leave(ThreadRecord& record) { record.active.store(0, std::memory_order_release); }

// What can be retired. It carries its own place in the list of what has been, so that retiring needs no memory: it is done
// when everything else is, and must not fail.
class Retired {
 public:
  Retired() = default;
  Retired(const Retired&) = delete;
  Retired& operator=(const Retired&) = delete;

 private:
  friend class Store;
  Retired* next_ = nullptr;
  std::uint64_t epoch_ = 0;
  void (*function_)(Retired*) = nullptr;
};

// Calls function(item) once no read section of now is open: at the end of this thread's own section, or later.
void retire(Retired* item, void (*function)(Retired*));
// Deletes it then.
template <typename T>
void retire(std::unique_ptr<T> item) {
  retire(item.release(), [](Retired* retired) { delete static_cast<T*>(retired); });
}
// Runs what is safe by now. Not inside a read section.
void reclaim();
// Waits until all that was retired before is gone. Not inside a read section.
void synchronize();

}  // namespace epoch

// The read section of one entry; nests.
class ReadSection {
 public:
  explicit ReadSection(ThreadRecord& record) : record_(record) {
    if (record_.depth++ == 0) epoch::enter(record_);
  }
  ~ReadSection() {
    if (--record_.depth == 0) {
      epoch::leave(record_);
      if (record_.has_retired) [[unlikely]]
        epoch::reclaim();
    }
  }
  ReadSection(const ReadSection&) = delete;
  ReadSection& operator=(const ReadSection&) = delete;

 private:
  ThreadRecord& record_;
};

// Leaves the read section while the entry blocks; what it goes on using is kept by a Ref.
class Pause {
 public:
  Pause() : record_(this_thread()) { epoch::leave(record_); }
  ~Pause() { epoch::enter(record_); }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

 private:
  ThreadRecord& record_;
};

}  // namespace flagos::core
