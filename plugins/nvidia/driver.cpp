#include "plugins/nvidia/driver.hpp"

#include <map>
#include <memory>
#include <mutex>

#include "base/guard.hpp"
#include "base/thread.hpp"

namespace flagos::nvidia {
namespace {

// The first with all functions that the plugin needs.
constexpr int oldest_version = 11040;

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// What to do about a driver that is there and does not work.
std::string advice(CUresult code) {
  switch (code) {
    case CUDA_ERROR_NO_DEVICE:
      return "no NVIDIA card is visible; check that it is plugged in, that /dev/nvidia0 is there "
             "and may be opened, and "
             "CUDA_VISIBLE_DEVICES";
    case CUDA_ERROR_STUB_LIBRARY:
      return "it is the toolkit's stub; install the driver of the card, or take the stub out of "
             "the search path";
    case CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
      return "the library and the kernel's module are of two versions; restart the machine after "
             "an update of the driver";
    case CUDA_ERROR_SYSTEM_NOT_READY:
      return "the system is not ready; is nvidia-fabricmanager running?";
    case CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
      return "the compatibility library does not support this card; use the driver's own "
             "libcuda.so.1";
    default:
      return "see the kernel's log (dmesg) and nvidia-smi";
  }
}

}  // namespace

flagos_status_t status_of(CUresult code) noexcept {
  if (is_sticky(code)) return FLAGOS_STATUS_DEVICE_LOST;
  switch (code) {
    case CUDA_ERROR_OUT_OF_MEMORY:
      return FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
    case CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES:
    case CUDA_ERROR_OPERATING_SYSTEM:
      return FLAGOS_STATUS_OUT_OF_RESOURCES;
    case CUDA_ERROR_INVALID_VALUE:
    case CUDA_ERROR_INVALID_DEVICE:
    case CUDA_ERROR_INVALID_HANDLE:
    case CUDA_ERROR_INVALID_CONTEXT:
    case CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED:
    case CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED:
    case CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE:
    case CUDA_ERROR_INVALID_CLUSTER_SIZE:
      return FLAGOS_STATUS_INVALID_ARGUMENT;
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_INVALID_SOURCE:
    case CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND:
      return FLAGOS_STATUS_INVALID_IMAGE;
    case CUDA_ERROR_NOT_FOUND:
      return FLAGOS_STATUS_NOT_FOUND;
    case CUDA_ERROR_NOT_SUPPORTED:
    case CUDA_ERROR_PEER_ACCESS_UNSUPPORTED:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_JIT_COMPILER_NOT_FOUND:
    case CUDA_ERROR_JIT_COMPILATION_DISABLED:
      return FLAGOS_STATUS_UNSUPPORTED;
    case CUDA_ERROR_NOT_PERMITTED:
      return FLAGOS_STATUS_NOT_PERMITTED;
    case CUDA_ERROR_NO_DEVICE:
    case CUDA_ERROR_DEVICE_UNAVAILABLE:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
      return FLAGOS_STATUS_DEVICE_LOST;
    default:
      return FLAGOS_STATUS_INTERNAL;
  }
}

bool is_sticky(CUresult code) noexcept {
  switch (code) {
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_CONTAINED:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_TENSOR_MEMORY_LEAK:
    case CUDA_ERROR_MPS_CLIENT_TERMINATED:
    case CUDA_ERROR_EXTERNAL_DEVICE:
      return true;
    default:
      return false;
  }
}

std::string Driver::code_text(CUresult code) const {
  const char* name = nullptr;
  if (cuGetErrorName(code, &name) == CUDA_SUCCESS && name != nullptr)
    return fmt::format("{} ({})", name, code);
  return fmt::format("code {}", code);
}

void Driver::fail(CUresult code, const char* call, const std::string& asked) const {
  throw_error(status_of(code), "{}: {}{}{}", call, code_text(code), asked.empty() ? "" : ": ",
              asked);
}

Driver::Driver(const std::string& library) : path(library), library_(library) {
  const auto ignore = [](flagos_status_t, const char*) {};
  guard(
      [&] {
        cuDriverGetVersion =
            reinterpret_cast<decltype(cuDriverGetVersion)>(library_.symbol("cuDriverGetVersion"));
        cuDriverGetVersion(&version);
      },
      ignore);
  if (version != 0 && version < oldest_version)
    throw_error(
        FLAGOS_STATUS_UNSUPPORTED,
        "{} is a driver for CUDA {}; CUDA {} or newer is needed: install driver 470 or newer",
        library, version_text(version), version_text(oldest_version));
#define SYMBOL(name, ...) name = reinterpret_cast<decltype(name)>(library_.symbol(#name));
#define OPTIONAL(name, ...) \
  if (library_.has(#name)) name = reinterpret_cast<decltype(name)>(library_.symbol(#name));
#include "plugins/nvidia/driver_symbols.inc"
#undef OPTIONAL
#undef SYMBOL
  is_fake = library_.has("flagos_nvidia_fake_control");
  has_nvrtc = library_.has("nvrtcVersion");
  has_nccl = library_.has("ncclGetVersion");
  has_cublaslt = library_.has("cublasLtCreate");
}

const Driver& Driver::open(const std::string& path) {
  static auto& mutex = *new std::mutex;
  static auto& drivers = *new std::map<std::string, std::unique_ptr<Driver>>;
  const std::lock_guard lock(mutex);
  std::unique_ptr<Driver>& driver = drivers[path];
  if (!driver) driver.reset(new Driver(path));
  // Each time: a card may have come since.
  const SignalsBlocked blocked;
  const CUresult code = driver->cuInit(0);
  driver->trouble = code == CUDA_SUCCESS ? ""
                                         : fmt::format("cuInit of {}: {}: {}", path,
                                                       driver->code_text(code), advice(code));
  return *driver;
}

}  // namespace flagos::nvidia
