#include "conformance/faults/faults.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLAGOS_FAULTS_AVAILABLE 0
#else
#define FLAGOS_FAULTS_AVAILABLE 1
#endif

namespace flagos::faults {
namespace {

struct Plan {
  bool active = false;
  Kind kind = Kind::allocation;
  Lasting lasting = Lasting::once;
  std::uint64_t left = 0, failed = 0;
};
thread_local constinit Plan plan;

// Of all threads but the one that armed it.
struct OthersPlan {
  std::atomic<bool> active{false};
  std::atomic<Kind> kind{Kind::allocation};
  std::atomic<Lasting> lasting{Lasting::once};
  std::atomic<std::int64_t> left{0};
  std::atomic<std::uint64_t> failed{0};
};
constinit OthersPlan others;
thread_local constinit bool armed_others = false;

constinit std::atomic<bool> counts{false};
constinit std::atomic<std::int64_t> live{0};
constinit std::atomic<std::int64_t> clock_offset_ns{0};

// Read by the allocator, so without one: a fixed array.
constexpr std::size_t most_code = 16;
Code judged_code[most_code];
constinit std::atomic<std::size_t> judged_count{0};

}  // namespace

bool available() { return FLAGOS_FAULTS_AVAILABLE != 0; }
void arm(Kind kind, Lasting lasting, std::uint64_t nth) { plan = {true, kind, lasting, nth, 0}; }
void pause() { plan.active = false; }
void resume() { plan.active = true; }
void disarm() { plan.active = false; }
std::uint64_t failed() { return plan.failed; }

void arm_others(Kind kind, Lasting lasting, std::uint64_t nth) {
  armed_others = true;
  others.kind = kind;
  others.lasting = lasting;
  others.left = static_cast<std::int64_t>(nth);
  others.failed = 0;
  others.active.store(true, std::memory_order_release);
}
void disarm_others() { others.active.store(false, std::memory_order_release); }
std::uint64_t failed_of_others() { return others.failed; }

std::vector<Code> code_of(const std::string& file_name) {
  struct Search {
    const std::string& name;
    std::vector<Code> found;
  } search{file_name, {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        Search& wanted = *static_cast<Search*>(data);
        if (std::strstr(info->dlpi_name, wanted.name.c_str()) == nullptr) return 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
          const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
          wanted.found.push_back({begin, begin + segment.p_memsz});
        }
        return 0;
      },
      &search);
  return search.found;
}

void only_of(std::vector<Code> code) {
  judged_count = 0;
  const std::size_t count = std::min(code.size(), most_code);
  std::copy_n(code.begin(), count, judged_code);
  judged_count.store(count, std::memory_order_release);
}

std::int64_t live_blocks() {
  counts = true;
  return live.load();
}

void move_clock(std::int64_t nanoseconds) { clock_offset_ns = nanoseconds; }

}  // namespace flagos::faults

#if FLAGOS_FAULTS_AVAILABLE

namespace flagos::faults {
namespace {

bool is_of(Kind plans, Kind kind) {
  return (static_cast<unsigned>(plans) & static_cast<unsigned>(kind)) != 0;
}

bool is_judged(const void* caller) {
  const std::size_t count = judged_count.load(std::memory_order_acquire);
  const auto at = reinterpret_cast<std::uintptr_t>(caller);
  for (std::size_t i = 0; i < count; ++i)
    if (at >= judged_code[i].begin && at < judged_code[i].end) return true;
  return count == 0;
}

bool fails_as_other(Kind kind, const void* caller) {
  if (!others.active.load(std::memory_order_acquire) || armed_others || !is_of(others.kind, kind) ||
      !is_judged(caller))
    return false;
  const std::int64_t left = others.left.fetch_sub(1);
  const bool hit = others.lasting == Lasting::once ? left == 1 : left <= 1;
  if (hit) ++others.failed;
  return hit;
}

bool fails(Kind kind, const void* caller) {
  if (fails_as_other(kind, caller)) return true;
  if (!plan.active || !is_of(plan.kind, kind) ||
      (plan.left == 0 && plan.lasting == Lasting::once) || !is_judged(caller))
    return false;
  if (plan.left > 1) {
    --plan.left;
    return false;
  }
  plan.left = 0;
  ++plan.failed;
  return true;
}

// `failure` where the plan says so, with errno, else what the real function of this name gives.
template <typename Result, typename... Arguments>
Result call(Kind kind, const void* caller, const char* name, Result failure, int error,
            Arguments... arguments) {
  if (fails(kind, caller)) {
    errno = error;
    return failure;
  }
  using Function = Result (*)(Arguments...);
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name))(arguments...);
}

void* counted(void* block) {
  if (block != nullptr && counts.load(std::memory_order_relaxed))
    live.fetch_add(1, std::memory_order_relaxed);
  return block;
}

void* no_memory() {
  errno = ENOMEM;
  return nullptr;
}

}  // namespace
}  // namespace flagos::faults

using flagos::faults::call;
using flagos::faults::counted;
using flagos::faults::fails;
using flagos::faults::Kind;
using flagos::faults::no_memory;

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* block);

void* malloc(std::size_t size) {
  if (fails(Kind::allocation, __builtin_return_address(0))) return no_memory();
  return counted(__libc_malloc(size));
}
void* calloc(std::size_t count, std::size_t size) {
  if (fails(Kind::allocation, __builtin_return_address(0))) return no_memory();
  return counted(__libc_calloc(count, size));
}
void* realloc(void* block, std::size_t size) {
  if (fails(Kind::allocation, __builtin_return_address(0))) return no_memory();
  void* const moved = __libc_realloc(block, size);
  return block == nullptr ? counted(moved) : moved;
}
void* memalign(std::size_t alignment, std::size_t size) {
  if (fails(Kind::allocation, __builtin_return_address(0))) return no_memory();
  return counted(__libc_memalign(alignment, size));
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  if (fails(Kind::allocation, __builtin_return_address(0))) return no_memory();
  return counted(__libc_memalign(alignment, size));
}
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  if (fails(Kind::allocation, __builtin_return_address(0))) return ENOMEM;
  void* const block = counted(__libc_memalign(alignment, size));
  if (block == nullptr) return ENOMEM;
  *out = block;
  return 0;
}
void free(void* block) {
  if (block != nullptr && flagos::faults::counts.load(std::memory_order_relaxed))
    flagos::faults::live.fetch_sub(1, std::memory_order_relaxed);
  __libc_free(block);
}

void* mmap(void* wanted, std::size_t size, int protection, int flags, int fd, off_t offset) {
  return call(Kind::mapping, __builtin_return_address(0), "mmap", MAP_FAILED, ENOMEM, wanted, size,
              protection, flags, fd, offset);
}
int ftruncate(int fd, off_t size) {
  return call(Kind::mapping, __builtin_return_address(0), "ftruncate", -1, ENOSPC, fd, size);
}
int memfd_create(const char* name, unsigned flags) {
  return call(Kind::opening, __builtin_return_address(0), "memfd_create", -1, EMFILE, name, flags);
}
int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return call(Kind::opening, __builtin_return_address(0), "open", -1, EMFILE, path, flags, mode);
}
int pipe2(int ends[2], int flags) {
  return call(Kind::opening, __builtin_return_address(0), "pipe2", -1, EMFILE, ends, flags);
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*),
                   void* argument) {
  if (fails(Kind::thread, __builtin_return_address(0))) return EAGAIN;
  using Function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_create"));
  return real(thread, attributes, function, argument);
}
int clock_gettime(clockid_t which, timespec* out) {
  using Function = int (*)(clockid_t, timespec*);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "clock_gettime"));
  const int status = real(which, out);
  const std::int64_t offset = flagos::faults::clock_offset_ns.load(std::memory_order_relaxed);
  if (offset == 0 || which != CLOCK_REALTIME || status != 0) return status;
  constexpr std::int64_t second = 1'000'000'000;
  const std::int64_t now = out->tv_sec * second + out->tv_nsec + offset;
  out->tv_sec = now / second;
  out->tv_nsec = now % second;
  return status;
}
}

// Where a library's `new` is judged by who says it, not by the standard library that asks malloc.
void* operator new(std::size_t size) {
  void* const block = fails(Kind::allocation, __builtin_return_address(0))
                          ? nullptr
                          : counted(__libc_malloc(size == 0 ? 1 : size));
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  void* const block = fails(Kind::allocation, __builtin_return_address(0))
                          ? nullptr
                          : counted(__libc_memalign(static_cast<std::size_t>(alignment), size));
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (fails(Kind::allocation, __builtin_return_address(0))) return nullptr;
  return counted(__libc_malloc(size == 0 ? 1 : size));
}
void operator delete(void* block) noexcept { free(block); }
void operator delete(void* block, std::size_t) noexcept { free(block); }
void operator delete(void* block, std::align_val_t) noexcept { free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { free(block); }

#endif
