#include "tests/faults/faults.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>

namespace flagos::faults {
namespace {

struct Plan {
  bool active = false;
  Kind kind = Kind::allocation;
  Lasting lasting = Lasting::once;
  std::uint64_t left = 0, failed = 0;
};
thread_local constinit Plan plan;
constinit std::atomic<std::int64_t> live{0};

bool fails(Kind kind) {
  if (!plan.active || plan.kind != kind || (plan.left == 0 && plan.lasting == Lasting::once))
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
Result call(const char* name, Result failure, int error, Arguments... arguments) {
  if (fails(Kind::system_call)) {
    errno = error;
    return failure;
  }
  using Function = Result (*)(Arguments...);
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name))(arguments...);
}

void* counted(void* block) {
  if (block != nullptr) live.fetch_add(1, std::memory_order_relaxed);
  return block;
}

}  // namespace

void arm(Kind kind, Lasting lasting, std::uint64_t nth) { plan = {true, kind, lasting, nth, 0}; }
void pause() { plan.active = false; }
void resume() { plan.active = true; }
void disarm() { plan.active = false; }
std::uint64_t failed() { return plan.failed; }
std::int64_t live_blocks() { return live.load(); }

}  // namespace flagos::faults

using flagos::faults::call;
using flagos::faults::counted;
using flagos::faults::fails;
using flagos::faults::Kind;

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* block);

void* malloc(std::size_t size) {
  if (!fails(Kind::allocation)) return counted(__libc_malloc(size));
  errno = ENOMEM;
  return nullptr;
}
void* calloc(std::size_t count, std::size_t size) {
  if (!fails(Kind::allocation)) return counted(__libc_calloc(count, size));
  errno = ENOMEM;
  return nullptr;
}
void* realloc(void* block, std::size_t size) {
  if (fails(Kind::allocation)) {
    errno = ENOMEM;
    return nullptr;
  }
  void* const moved = __libc_realloc(block, size);
  return block == nullptr ? counted(moved) : moved;
}
void* memalign(std::size_t alignment, std::size_t size) {
  if (!fails(Kind::allocation)) return counted(__libc_memalign(alignment, size));
  errno = ENOMEM;
  return nullptr;
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  void* const block = memalign(alignment, size);
  if (block == nullptr) return ENOMEM;
  *out = block;
  return 0;
}
void free(void* block) {
  if (block != nullptr) flagos::faults::live.fetch_sub(1, std::memory_order_relaxed);
  __libc_free(block);
}

void* mmap(void* wanted, std::size_t size, int protection, int flags, int fd, off_t offset) {
  return call("mmap", MAP_FAILED, ENOMEM, wanted, size, protection, flags, fd, offset);
}
int memfd_create(const char* name, unsigned flags) {
  return call("memfd_create", -1, EMFILE, name, flags);
}
int ftruncate(int fd, off_t size) { return call("ftruncate", -1, ENOSPC, fd, size); }
int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return call("open", -1, EMFILE, path, flags, mode);
}
int pipe2(int ends[2], int flags) { return call("pipe2", -1, EMFILE, ends, flags); }
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*),
                   void* argument) {
  if (fails(Kind::system_call)) return EAGAIN;
  using Function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_create"));
  return real(thread, attributes, function, argument);
}
}
