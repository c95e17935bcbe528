// The OpenCL library: opened at run time, its functions as members, its codes as Error.
#pragma once

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS  // clCreateCommandQueue: our baseline is 1.2
#include <CL/cl.h>
#include <CL/cl_ext.h>

#include <string>
#include <utility>

#include "base/dynamic_library.hpp"
#include "base/error.hpp"

namespace flagos::opencl {

// "CL_INVALID_VALUE (-30)"; a code that we do not know is its number.
std::string code_text(cl_int code);
// The status that a caller can act on.
flagos_status_t status_of(cl_int code) noexcept;

struct Driver {
  // The library at `path`. It stays open for the life of the process, since drivers keep threads
  // running in it. Throws NOT_FOUND.
  static const Driver& open(const std::string& path);

  // Throws what `code` stands for; `call` is the function's name, `asked` what was asked of it.
  static void check(cl_int code, const char* call) {
    if (code != CL_SUCCESS) [[unlikely]]
      fail(code, call, {});
  }
  template <typename... Args>
  static void check(cl_int code, const char* call, fmt::format_string<Args...> asked,
                    Args&&... args) {
    if (code != CL_SUCCESS) [[unlikely]]
      fail(code, call, fmt::format(asked, std::forward<Args>(args)...));
  }
  [[noreturn]] static void fail(cl_int code, const char* call, const std::string& asked);

  // A text or a value that a clGet...Info function gives.
  std::string platform_text(cl_platform_id platform, cl_platform_info what) const;
  std::string device_text(cl_device_id device, cl_device_info what) const;
  template <typename Value>
  Value device_value(cl_device_id device, cl_device_info what, Value fallback) const noexcept {
    Value value{};
    const bool known = clGetDeviceInfo(device, what, sizeof(value), &value, nullptr) == CL_SUCCESS;
    return known ? value : fallback;
  }
  // CL_COMPLETE, a failure below it, or a state above it. Where the driver does not tell, the event counts as not ended,
  // and `out_error` says why: a command that may still run must not lose its memory.
  cl_int event_status(cl_event event, cl_int* out_error = nullptr) const noexcept {
    cl_int status = CL_QUEUED;
    const cl_int code =
        clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof(status), &status, nullptr);
    if (code == CL_SUCCESS) [[likely]]
      return status;
    if (out_error != nullptr) *out_error = code;
    return CL_QUEUED;
  }

#define SYMBOL(name) decltype(&::name) name = nullptr;
#define OPTIONAL(name) SYMBOL(name)
#include "plugins/opencl/driver_symbols.inc"
#undef OPTIONAL
#undef SYMBOL

  // Stands in for a chip that is absent: the library says so by a symbol.
  bool is_fake = false;

 private:
  explicit Driver(const std::string& path);
  DynamicLibrary library_;
};

}  // namespace flagos::opencl
