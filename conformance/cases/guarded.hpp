// Memory that ends at a page nobody may touch: a read or write past the end is a crash, attributed
// to the case.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>

namespace flagos::conformance {

class Guarded {
 public:
  explicit Guarded(std::size_t size)
      : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
        mapped_((size + 2 * page_ - 1) / page_ * page_),
        size_(size) {
    void* const memory =
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::uint8_t*>(memory);
    mprotect(memory_ + mapped_ - page_, page_, PROT_NONE);
  }
  explicit Guarded(std::span<const std::uint8_t> bytes) : Guarded(bytes.size()) {
    std::memcpy(data(), bytes.data(), bytes.size());
  }
  ~Guarded() { munmap(memory_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  // The last `size` bytes before the forbidden page.
  std::uint8_t* data() const { return memory_ + mapped_ - page_ - size_; }
  std::size_t size() const { return size_; }

 private:
  std::size_t page_;
  std::size_t mapped_;
  std::size_t size_;
  std::uint8_t* memory_ = nullptr;
};

}  // namespace flagos::conformance
