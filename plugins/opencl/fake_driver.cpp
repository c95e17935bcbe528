// An OpenCL library that hands every call to the real loader, and lets the n-th one fail instead. It counts what is
// created and released, so that a test sees what was lost. Used only where FLAGOS_OPENCL_DRIVER names it.
#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <CL/cl_ext.h>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "base/dynamic_library.hpp"

namespace {

std::atomic<std::uint64_t> calls{0};
std::atomic<std::uint64_t> failing_call{0};  // 0: none
std::atomic<cl_int> failing_code{CL_OUT_OF_HOST_MEMORY};
std::atomic<std::int64_t> live_objects{0};
std::atomic<const char*> failed_function{""};

const flagos::DynamicLibrary& real_library() {
  static auto& library = *new flagos::DynamicLibrary("libOpenCL.so.1");
  return library;
}

// What undoes something does not fail: nobody could tell a leak of the driver's from one of the caller's.
constexpr bool can_fail(std::string_view name) {
  return !name.starts_with("clRelease") && name != "clSVMFree" && name != "clSetUserEventStatus";
}

template <typename Function, typename Name>
struct Forward;

template <typename Result, typename... Args, typename Name>
struct Forward<Result (*)(Args...), Name> {
  using Function = Result (*)(Args...);
  using All = std::tuple<Args...>;
  using Last = std::tuple_element_t<sizeof...(Args) - 1, All>;

  static Result call(Args... args) {
    static const auto real = reinterpret_cast<Function>(real_library().symbol(Name::text));
    [[maybe_unused]] auto& last = std::get<sizeof...(Args) - 1>(std::tie(args...));
    if constexpr (std::is_void_v<Result>) {
      --live_objects;  // clSVMFree
      real(args...);
    } else {
      if (is_due()) return fail(last);
      const Result result = real(args...);
      count(result, last);
      if constexpr (std::string_view(Name::text) == "clCreateSubDevices") {
        const All all(args...);
        if (result == CL_SUCCESS && std::get<3>(all) != nullptr) live_objects += std::get<2>(all);
      }
      return result;
    }
  }

 private:
  static bool is_due() {
    if (!can_fail(Name::text)) return false;
    if (++calls != failing_call) return false;
    failed_function = Name::text;
    return true;
  }
  static Result fail(Last last) {
    if constexpr (std::is_same_v<Result, cl_int>) {
      return failing_code;
    } else {
      if constexpr (std::is_same_v<Last, cl_int*>)
        if (last != nullptr) *last = failing_code;
      return nullptr;
    }
  }
  template <typename Value>  // Result, but where that is void
  static void count(Value result, Last last) {
    constexpr std::string_view name = Name::text;
    if constexpr (std::is_same_v<Result, cl_int>) {
      if (result != CL_SUCCESS) return;
      if (name.starts_with("clRelease")) --live_objects;
      if (name.starts_with("clRetain")) ++live_objects;
      if constexpr (std::is_same_v<Last, cl_event*>)
        if (last != nullptr) ++live_objects;
    } else if constexpr (name.starts_with("clCreate") || name == "clSVMAlloc") {
      if (result != nullptr) ++live_objects;
    }
  }
};

}  // namespace

// The loader's functions, each resolved to its forwarder when the library is opened.
#define SYMBOL(name)                                        \
  namespace {                                               \
  struct Name_##name {                                      \
    static constexpr const char* text = #name;              \
  };                                                        \
  }                                                         \
  extern "C" decltype(&::name) flagos_resolve_##name() {    \
    return &Forward<decltype(&::name), Name_##name>::call;  \
  }                                                         \
  extern "C" __attribute__((ifunc("flagos_resolve_" #name), \
                            visibility("default"))) decltype(::name) name;
#define OPTIONAL(name) SYMBOL(name)
#include "plugins/opencl/driver_symbols.inc"
#undef OPTIONAL
#undef SYMBOL

// Lets the n-th call from now fail with `code`; 0 lets none. Returns how many calls there were since the last time.
extern "C" __attribute__((visibility("default"))) std::uint64_t flagos_opencl_fake_control(
    std::uint64_t n, cl_int code) {
  failing_code = code;
  failing_call = n;
  failed_function = "";
  return calls.exchange(0);
}

// The function that was made to fail; "" when none was yet.
extern "C" __attribute__((visibility("default"))) const char* flagos_opencl_fake_failed() {
  return failed_function;
}

// Objects that were created or retained and not released.
extern "C" __attribute__((visibility("default"))) std::int64_t flagos_opencl_fake_live() {
  return live_objects;
}
