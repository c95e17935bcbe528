#include "plugins/nvidia/clock.hpp"

#include <cmath>

#include "base/guard.hpp"
#include "plugins/nvidia/device.hpp"

namespace flagos::nvidia {
namespace {

constexpr float longest_ms = 4000;  // distances above lose more than a quarter of a microsecond

std::uint64_t add_ms(std::uint64_t ns, float milliseconds) {
  return ns + static_cast<std::uint64_t>(std::llround(static_cast<double>(milliseconds) * 1e6));
}

}  // namespace

Clock::~Clock() {
  if (base_ != nullptr) device_.events().give_back(base_, true);
}

// A new base, now: at the host's time the first time, later where the old one says that it is.
void Clock::mark() {
  const Driver& driver = device_.driver();
  CUevent event = device_.events().take(true);
  CUresult code = driver.cuEventRecord(event, device_.service_stream());
  if (code == CUDA_SUCCESS) code = driver.cuEventSynchronize(event);
  std::uint64_t now_ns = device_.host().now_ns();
  float milliseconds = 0;
  if (code == CUDA_SUCCESS && base_ != nullptr) {
    code = driver.cuEventElapsedTime(&milliseconds, base_, event);
    now_ns = add_ms(base_ns_, milliseconds);
  }
  if (code != CUDA_SUCCESS) {
    device_.events().give_back(event, true);
    device_.fail(code, "cuEventRecord");
  }
  if (base_ != nullptr) device_.events().give_back(base_, true);
  base_ = event;
  base_ns_ = now_ns;
}

void Clock::start() {
  const std::lock_guard lock(mutex_);
  if (base_ == nullptr) mark();
}

void Clock::get(std::uint64_t* out_device_ns, std::uint64_t* out_host_ns) {
  const std::lock_guard lock(mutex_);
  mark();
  *out_device_ns = base_ns_;
  *out_host_ns = device_.host().now_ns();
}

std::uint64_t Clock::time_of(CUevent event) noexcept {
  const std::lock_guard lock(mutex_);
  float milliseconds = 0;
  if (base_ == nullptr ||
      device_.driver().cuEventElapsedTime(&milliseconds, base_, event) != CUDA_SUCCESS)
    return 0;
  const std::uint64_t ns = add_ms(base_ns_, milliseconds);
  if (milliseconds > longest_ms) guard([&] { mark(); }, [](flagos_status_t, const char*) {});
  return ns;
}

}  // namespace flagos::nvidia
