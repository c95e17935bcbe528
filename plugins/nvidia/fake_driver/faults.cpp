// The fault mode: the n-th call from now on fails. And the counts by which a test sees what was lost.
#include <cstdio>
#include <cstdlib>
#include <set>

#include "plugins/nvidia/fake_driver/fake.hpp"

namespace flagos::nvidia::fake {
namespace {

std::atomic<std::uint64_t> calls{0};
std::atomic<std::uint64_t> failing_call{setting("FLAGOS_FAKE_CUDA_FAIL_CALL", 0)};  // 0: none
std::atomic<int> failing_code{
    static_cast<int>(setting("FLAGOS_FAKE_CUDA_FAIL_CODE", CUDA_ERROR_OUT_OF_MEMORY))};
std::atomic<const char*> failed_function{""};
std::atomic<std::int64_t> live_objects{0};

struct Handles {
  std::mutex mutex;
  std::set<const void*> live;
};
Handles& handles() {
  static auto* const all = new Handles;
  return *all;
}

[[noreturn]] void refuse(const void* handle, const char* call) {
  std::fprintf(stderr, "fake libcuda: %s of %p, which is no object, or none any more\n", call,
               handle);
  std::abort();
}

}  // namespace

std::uint64_t setting(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : fallback;
}

CUresult begin(const char* function) {
  if (calls.fetch_add(1) + 1 != failing_call.load()) return CUDA_SUCCESS;
  failed_function = function;
  return failing_code.load();
}

CUresult begin(const char* function, CUcontext context) {
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  if (const CUresult error = context->error.load(); error != CUDA_SUCCESS) return error;
  return begin(function);
}

void enter(const void* handle) {
  const std::lock_guard lock(handles().mutex);
  handles().live.insert(handle);
}

void leave(const void* handle, const char* call) {
  const std::lock_guard lock(handles().mutex);
  if (handles().live.erase(handle) == 0) refuse(handle, call);
}

void check_live(const void* handle, const char* call) {
  if (handle == nullptr) return;
  const std::lock_guard lock(handles().mutex);
  if (handles().live.count(handle) == 0) refuse(handle, call);
}

void count_object(int change) { live_objects += change; }

}  // namespace flagos::nvidia::fake

using namespace flagos::nvidia;

// That this symbol is there tells the plugin that no chip is behind it.
FAKE_EXPORT void flagos_nvidia_fake_control(std::uint64_t failing, int code) {
  fake::calls = 0;
  fake::failing_code = code;
  fake::failed_function = "";
  fake::failing_call = failing;
}
FAKE_EXPORT std::int64_t flagos_nvidia_fake_live() { return fake::live_objects; }
FAKE_EXPORT const char* flagos_nvidia_fake_failed() { return fake::failed_function; }
