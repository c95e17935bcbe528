#include "plugins/nvidia/test_plugin.hpp"

#include <cstdlib>
#include <string_view>

namespace flagos::nvidia::test {
namespace {

constexpr std::string_view source = R"(
struct pair { float a; unsigned char b; };
extern "C" __device__ unsigned test_global[4] = {1, 2, 3, 4};
extern "C" __global__ void test_empty() {}
extern "C" __global__ void test_add(unsigned* data, unsigned value) {
  data[blockIdx.x * blockDim.x + threadIdx.x] += value;
}
extern "C" __global__ void test_step(unsigned* data, unsigned factor, unsigned value) {
  data[0] = data[0] * factor + value;
}
extern "C" __global__ void test_wait(volatile unsigned* flag) {
  while (*flag == 0) __threadfence_system();
}
extern "C" __global__ void test_fail(int status, int* flagos_failure) { *flagos_failure = status; }
extern "C" __global__ void test_wait_and_fail(volatile unsigned* flag, int* flagos_failure) {
  while (*flag == 0) __threadfence_system();
  *flagos_failure = 0;
}
// All of so many blocks meet, again and again.
extern "C" __global__ void test_meet(unsigned* counters, unsigned together, unsigned rounds) {
  unsigned* counter = counters + blockIdx.x / together;
  for (unsigned round = 1; round <= rounds; ++round) {
    if (threadIdx.x == 0) {
      atomicAdd(counter, 1u);
      while (atomicAdd(counter, 0u) < together * round) __threadfence();
    }
    __syncthreads();
  }
}
extern "C" __global__ void test_fault() { __trap(); }
extern "C" __global__ void __launch_bounds__(64) test_pair(float* out, pair value) {
  extern __shared__ unsigned scratch[];
  scratch[threadIdx.x] = value.b;
  __syncthreads();
  out[blockIdx.x * blockDim.x + threadIdx.x] = value.a + scratch[blockDim.x - 1 - threadIdx.x];
}
extern "C" __global__ void test_warp(unsigned* out) {
  unsigned sum = threadIdx.x;
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  out[threadIdx.x] = sum + __popc(__ballot_sync(0xffffffffu, threadIdx.x % 2 == 0));
}
extern "C" __global__ void test_read_global(unsigned* out) {
  for (int i = 0; i < 4; ++i) out[i] = test_global[i];
}
)";

}  // namespace

Config with_driver(Config config) {
  const char* driver = std::getenv("FLAGOS_NVIDIA_DRIVER");
  config.emplace("FLAGOS_NVIDIA_DRIVER", driver != nullptr ? driver : FLAGOS_NVIDIA_TEST_FAKE);
  return config;
}

TestModule test_kernels() {
  const auto* first = reinterpret_cast<const std::byte*>(source.data());
  return {"cuda-c", {first, first + source.size()}};
}

Fake::Fake() : library(FLAGOS_NVIDIA_TEST_FAKE) {
  control = reinterpret_cast<decltype(control)>(library.symbol("flagos_nvidia_fake_control"));
  live = reinterpret_cast<decltype(live)>(library.symbol("flagos_nvidia_fake_live"));
  failed = reinterpret_cast<decltype(failed)>(library.symbol("flagos_nvidia_fake_failed"));
}

}  // namespace flagos::nvidia::test
