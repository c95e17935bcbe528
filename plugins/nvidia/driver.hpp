// libcuda: opened at run time, its functions as members, its codes as Error.
#pragma once

#include <string>
#include <utility>

#include "base/dynamic_library.hpp"
#include "base/error.hpp"
#include "plugins/nvidia/cuda.hpp"

namespace flagos::nvidia {

// The status that a caller can act on.
flagos_status_t status_of(CUresult code) noexcept;
// Whether the context is of no use any more: every later call in it gives this code.
bool is_sticky(CUresult code) noexcept;

struct Driver {
  // The library at `path`, initialised. It stays open for the life of the process, since the driver keeps threads running
  // in it. Throws NOT_FOUND, and UNSUPPORTED for a driver that is too old, with a sentence that says what to do.
  static const Driver& open(const std::string& path);

  // Throws what `code` stands for; `call` is the function's name, `asked` what was asked of it.
  void check(CUresult code, const char* call) const {
    if (code != CUDA_SUCCESS) [[unlikely]]
      fail(code, call, {});
  }
  template <typename... Args>
  void check(CUresult code, const char* call, fmt::format_string<Args...> asked,
             Args&&... args) const {
    if (code != CUDA_SUCCESS) [[unlikely]]
      fail(code, call, fmt::format(asked, std::forward<Args>(args)...));
  }
  [[noreturn]] void fail(CUresult code, const char* call, const std::string& asked) const;
  // "CUDA_ERROR_OUT_OF_MEMORY (2)"; a code that the driver does not know is its number.
  std::string code_text(CUresult code) const;

  int attribute(CUdevice device, CUdevice_attribute attribute, int fallback = 0) const noexcept {
    int value = 0;
    return cuDeviceGetAttribute(&value, attribute, device) == CUDA_SUCCESS ? value : fallback;
  }

#define SYMBOL(name, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
#define OPTIONAL(name, ...) SYMBOL(name, __VA_ARGS__)
#include "plugins/nvidia/driver_symbols.inc"
#undef OPTIONAL
#undef SYMBOL

  std::string path;
  int version = 0;         // 1000 * major + 10 * minor, of the CUDA that it is for
  bool is_fake = false;    // no chip is behind it: the library says so by a symbol
  bool has_nvrtc = false;  // it is an NVRTC as well, as the fake is
  bool has_nccl = false;   // and an NCCL
  bool has_cublaslt = false;
  // Why it could not be initialised, or has no device; "" where it has.
  std::string trouble;

 private:
  explicit Driver(const std::string& path);
  DynamicLibrary library_;
};

// The calling thread's current context, which is put back at the end.
class Current {
 public:
  Current(const Driver& driver, CUcontext context) : driver_(driver) {
    driver.cuCtxGetCurrent(&before_);
    if (before_ == context) [[likely]]
      return;
    driver.check(driver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
    changed_ = true;
  }
  ~Current() {
    if (changed_) driver_.cuCtxSetCurrent(before_);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  const Driver& driver_;
  CUcontext before_ = nullptr;
  bool changed_ = false;
};

}  // namespace flagos::nvidia
