// The cpu plugin through core: launches, copies, pools and graphs, each beside what a program would do by hand.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>

#include "axpy.h"
#include "bench_device.hpp"

namespace flagos::bench {
namespace {

BenchDevice& cpu() {
  static BenchDevice device({FLAGOS_BENCH_CPU_PLUGIN}, "elf-so", FLAGOS_BENCH_KERNELS, "empty");
  return device;
}

void synchronize() {
  must(flagos_stream_synchronize(cpu().stream, FLAGOS_TIMEOUT_INFINITE), "synchronize");
}

// What submitting alone costs; the stream is drained outside the clock.
void launch_submit(benchmark::State& state) {
  BenchDevice& d = cpu();
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  std::int64_t queued = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(flagos_kernel_launch(d.stream, d.kernel, &desc));
    if (++queued % 1000 == 0) {
      state.PauseTiming();
      synchronize();
      state.ResumeTiming();
    }
  }
  synchronize();
}
void launch_end_to_end(benchmark::State& state) {
  BenchDevice& d = cpu();
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  for (auto _ : state) {
    benchmark::DoNotOptimize(flagos_kernel_launch(d.stream, d.kernel, &desc));
    synchronize();
  }
}
void launch_rate(benchmark::State& state) {
  BenchDevice& d = cpu();
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  for (auto _ : state) {
    for (int i = 0; i < 1000; ++i)
      benchmark::DoNotOptimize(flagos_kernel_launch(d.stream, d.kernel, &desc));
    synchronize();
  }
  state.SetItemsProcessed(state.iterations() * 1000);
}

flagos_graph_exec_t* graph_of_1000() {
  BenchDevice& d = cpu();
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  must(flagos_stream_begin_capture(d.stream), "flagos_stream_begin_capture");
  for (int i = 0; i < 1000; ++i)
    must(flagos_kernel_launch(d.stream, d.kernel, &desc), "flagos_kernel_launch");
  flagos_graph_t* graph = nullptr;
  must(flagos_stream_end_capture(d.stream, &graph), "flagos_stream_end_capture");
  flagos_graph_exec_t* exec = nullptr;
  must(flagos_graph_instantiate(graph, &exec), "flagos_graph_instantiate");
  must(flagos_graph_destroy(graph), "flagos_graph_destroy");
  return exec;
}
void graph_rate(benchmark::State& state) {
  flagos_graph_exec_t* exec = graph_of_1000();
  for (auto _ : state) {
    must(flagos_graph_exec_launch(exec, cpu().stream), "flagos_graph_exec_launch");
    synchronize();
  }
  state.SetItemsProcessed(state.iterations() * 1000);
  must(flagos_graph_exec_destroy(exec), "flagos_graph_exec_destroy");
}

// ---- copies: against memcpy of the same bytes ----------------------------------------------------------------------

struct Bytes {
  explicit Bytes(std::int64_t bytes) : size(static_cast<std::uint64_t>(bytes)) {
    target = cpu().alloc(size);
    source = cpu().alloc(size);
    std::memset(pointer(target), 1, size);
    std::memset(pointer(source), 2, size);
  }
  ~Bytes() {
    must(flagos_memory_free(cpu().device, target), "flagos_memory_free");
    must(flagos_memory_free(cpu().device, source), "flagos_memory_free");
  }
  static void* pointer(flagos_address_t address) {
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address));
  }
  std::uint64_t size;
  flagos_address_t target = 0, source = 0;
};
void copy_memcpy(benchmark::State& state) {
  Bytes bytes(state.range(0));
  for (auto _ : state) {
    std::memcpy(Bytes::pointer(bytes.target), Bytes::pointer(bytes.source), bytes.size);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
void copy_flagos(benchmark::State& state) {
  Bytes bytes(state.range(0));
  for (auto _ : state) {
    must(flagos_memory_copy(cpu().stream, bytes.target, bytes.source, bytes.size),
         "flagos_memory_copy");
    synchronize();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// ---- a kernel that fills the machine, against a loop on the same number of threads -----------------------------------

struct Axpy {
  flagos_address_t x, y;
  std::uint64_t n;
  float a;
  std::uint32_t rounds;
};
constexpr std::uint64_t axpy_elements = 1 << 16;
constexpr std::uint32_t axpy_blocks = 64;

// The peer: threads that are there already and spin until there is work, each with its fixed share of the blocks. A
// program by hand can hardly do better, and could not run anything else beside it.
class HandLoop {
 public:
  explicit HandLoop(const Axpy& work) : work_(work) {
    for (unsigned t = 1; t < count_; ++t) threads_.emplace_back([this, t] { follow(t); });
  }
  ~HandLoop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  HandLoop(const HandLoop&) = delete;
  HandLoop& operator=(const HandLoop&) = delete;
  void run() {
    done_ = 0;
    generation_.fetch_add(1);
    run_share(0);
    while (done_.load() != count_ - 1) {
    }
  }

 private:
  void follow(unsigned thread) {
    for (std::uint64_t seen = 0; !stop_;) {
      if (generation_.load() == seen) continue;
      ++seen;
      run_share(thread);
      done_.fetch_add(1);
    }
  }
  void run_share(unsigned thread) const {
    constexpr std::uint64_t share = axpy_elements / axpy_blocks;
    auto* y = static_cast<float*>(Bytes::pointer(work_.y));
    const auto* x = static_cast<const float*>(Bytes::pointer(work_.x));
    for (std::uint64_t block = axpy_blocks * thread / count_;
         block < axpy_blocks * (thread + 1) / count_; ++block)
      flagos_bench_axpy(y, x, work_.a, block * share, (block + 1) * share, work_.rounds);
  }

  const Axpy work_;
  const unsigned count_ = std::thread::hardware_concurrency();
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<unsigned> done_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

void count_axpy(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(axpy_elements) *
                          state.range(0));
}
void axpy_by_hand(benchmark::State& state) {
  Bytes bytes(axpy_elements * sizeof(float));
  HandLoop loop({bytes.source, bytes.target, axpy_elements, 0.0f,
                 static_cast<std::uint32_t>(state.range(0))});
  for (auto _ : state) loop.run();
  count_axpy(state);
}
void axpy_flagos(benchmark::State& state) {
  Bytes bytes(axpy_elements * sizeof(float));
  const Axpy arguments{bytes.source, bytes.target, axpy_elements, 0.0f,
                       static_cast<std::uint32_t>(state.range(0))};
  flagos_launch_desc_t desc = launch_desc(&arguments, sizeof(arguments));
  desc.grid[0] = axpy_blocks;
  flagos_kernel_t* kernel = cpu().get_kernel("axpy");
  for (auto _ : state) {
    must(flagos_kernel_launch(cpu().stream, kernel, &desc), "flagos_kernel_launch");
    synchronize();
  }
  count_axpy(state);
}

// ---- pool: steady state ----------------------------------------------------------------------------------------------

void pool_alloc_free(benchmark::State& state) {
  flagos_memory_pool_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  flagos_memory_pool_t* pool = nullptr;
  must(flagos_memory_pool_create(cpu().device, &desc, &pool), "flagos_memory_pool_create");
  flagos_address_t address = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(flagos_memory_pool_alloc(pool, cpu().stream, 4096, &address));
    benchmark::DoNotOptimize(flagos_memory_pool_free(pool, cpu().stream, address));
  }
  must(flagos_memory_pool_destroy(pool), "flagos_memory_pool_destroy");
}
void malloc_free(benchmark::State& state) {
  for (auto _ : state) {
    void* pointer = std::malloc(4096);
    benchmark::DoNotOptimize(pointer);
    std::free(pointer);
  }
}

BENCHMARK(launch_submit)->Iterations(200000);
BENCHMARK(launch_end_to_end)->UseRealTime();
BENCHMARK(launch_rate)->UseRealTime();
BENCHMARK(graph_rate)->UseRealTime();
BENCHMARK(copy_memcpy)->Arg(4096)->Arg(1 << 20)->Arg(16 << 20)->Arg(256 << 20)->UseRealTime();
BENCHMARK(copy_flagos)->Arg(4096)->Arg(1 << 20)->Arg(16 << 20)->Arg(256 << 20)->UseRealTime();
BENCHMARK(axpy_by_hand)->Arg(20)->Arg(200)->Arg(2000)->UseRealTime();
BENCHMARK(axpy_flagos)->Arg(20)->Arg(200)->Arg(2000)->UseRealTime();
BENCHMARK(pool_alloc_free);
BENCHMARK(malloc_free);

}  // namespace
}  // namespace flagos::bench

BENCHMARK_MAIN();
