// Counts what a call of an operator on one element costs on the cpu plugin when everything it needs is there: no
// allocation, in any thread. Times are printed, never judged. Instructions are counted from outside; see run_ops.py.
#include <flagos_ops.h>
#include <time.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "bench/bench_device.hpp"

namespace {
std::atomic<bool> counting{false};
std::atomic<long> allocations{0};
}  // namespace

// The program's own malloc comes before that of libc for every library; operator new ends there.
extern "C" {
void* __libc_malloc(std::size_t size);
void* malloc(std::size_t size) {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1);
  return __libc_malloc(size);
}
}

namespace {

using flagos::bench::must;

double seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// One float32 on the device, seen with any number of axes.
class One {
 public:
  One(flagos_device_t* device, flagos_stream_t* stream) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = sizeof(float);
    must(flagos_memory_alloc(device, &desc, &address_), "flagos_memory_alloc");
    const float one = 1;
    must(flagos_memory_fill(stream, address_, &one, 4, 4), "flagos_memory_fill");
  }
  flagos_tensor_t of_rank(std::uint32_t rank) const {
    static const std::int64_t shape[2] = {1, 1};
    return {sizeof(flagos_tensor_t), FLAGOS_DTYPE_FLOAT32, address_, 0, rank, shape, nullptr};
  }

 private:
  flagos_address_t address_ = 0;
};

void print_times(const std::function<flagos_status_t()>& call, flagos_stream_t* stream,
                 long count) {
  const auto wait = [&] {
    must(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "flagos_stream_synchronize");
  };
  double queued = 1e9, waited = 1e9, waited_cpu = 1e9;
  for (int round = 0; round < 7; ++round) {
    double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (long i = 0; i < count; ++i) must(call(), "the call");
    queued = std::min(queued, seconds(CLOCK_THREAD_CPUTIME_ID) - start);
    wait();
    start = seconds(CLOCK_MONOTONIC);
    const double cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (long i = 0; i < count; ++i) must(call(), "the call"), wait();
    waited = std::min(waited, seconds(CLOCK_MONOTONIC) - start);
    waited_cpu = std::min(waited_cpu, seconds(CLOCK_THREAD_CPUTIME_ID) - cpu);
  }
  const double each = 1e9 / static_cast<double>(count);
  std::printf("call %.0f ns of processor time; call and wait %.0f ns, %.0f ns of processor time\n",
              queued * each, waited * each, waited_cpu * each);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s OPERATOR COUNT\n", argv[0]);
    return 2;
  }
  flagos_runtime_t* runtime = nullptr;
  flagos_device_t* device = nullptr;
  flagos_stream_t* stream = nullptr;
  std::uint32_t index = 0;
  must(flagos_runtime_create(nullptr, &runtime), "flagos_runtime_create");
  must(flagos_device_find(runtime, "cpu", &index), "flagos_device_find");
  must(flagos_device_open(runtime, index, &device), "flagos_device_open");
  must(flagos_stream_create(device, nullptr, &stream), "flagos_stream_create");
  const One first(device, stream), second(device, stream), third(device, stream);
  const flagos_tensor_t x = first.of_rank(1), y = second.of_rank(1), out = third.of_rank(1),
                        matrix = first.of_rank(2), weight = second.of_rank(2),
                        product = third.of_rank(2);
  const std::int64_t dim = 0;
  const std::map<std::string, std::function<flagos_status_t()>> calls = {
      {"add", [&] { return flagos_ops_add(stream, &x, &y, nullptr, &out); }},
      {"relu", [&] { return flagos_ops_relu(stream, &x, &out); }},
      {"sum", [&] { return flagos_ops_sum(stream, &x, &dim, 1, 1, &out); }},
      {"softmax", [&] { return flagos_ops_softmax(stream, &x, -1, &out); }},
      {"linear", [&] { return flagos_ops_linear(stream, &matrix, &weight, nullptr, &product); }},
  };
  const auto call = calls.find(argv[1]);
  if (call == calls.end()) {
    std::fprintf(stderr, "no operator '%s' here\n", argv[1]);
    return 2;
  }
  const long count = std::atol(argv[2]);
  const auto wait = [&] {
    must(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "flagos_stream_synchronize");
  };
  // What is made at first use, by threads that may come late to it, and queues as long as they get.
  for (int round = 0; round < 10 && (round == 0 || allocations != 0); ++round) {
    for (long i = 0; i < 2 * count; ++i) must(call->second(), argv[1]);
    wait();
    allocations = 0;
    counting = true;
    for (long i = 0; i < count; ++i) must(call->second(), argv[1]);
    wait();
    counting = false;
  }
  std::printf("allocations %ld in %ld calls; ", allocations.load(), count);
  print_times(call->second, stream, count);
  flagos_stream_destroy(stream);
  flagos_device_close(device);
  flagos_runtime_destroy(runtime);
  return allocations == 0 ? 0 : 1;
}
