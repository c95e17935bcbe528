// Kernels of samples/kernels as printed C++, beside what does the same by hand: OpenBLAS where it is found (with
// OPENBLAS_CORETYPE set, or it may take slower code), oneDNN for rows, and AVX-512 loops.
#include <benchmark/benchmark.h>
#include <dlfcn.h>
#include <flagos_cpu_kernel.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench/by_hand.hpp"
#include "bench/onednn_rows.hpp"
#include "compiler/child_compiler.hpp"
#include "compiler/parser.hpp"
#include "compiler/verifier.hpp"
#include "samples/kernels/kernels.hpp"

namespace flagos::bench {
namespace {

using compiler::test::ChildLibrary;
using tile::DType;

std::string target() {
  const char* given = std::getenv("FLAGOS_BENCH_TARGET");
  return given != nullptr ? given : compiler::test::host_target();
}

// Memory aligned to pages, in huge ones where the system gives them.
template <typename T>
class Array {
 public:
  explicit Array(std::size_t count, bool random = true) : count_(count) {
    const std::size_t bytes = (count * sizeof(T) + 4095) / 4096 * 4096;
    data_.reset(static_cast<T*>(std::aligned_alloc(4096, bytes)));
    std::mt19937 generator(7);
    std::uniform_real_distribution<float> some(-1, 1);
    for (std::size_t i = 0; i < count; ++i) {
      const float number = random ? some(generator) : 0.0F;
      if constexpr (sizeof(T) == 2) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, &number, 4);
        data_[i] = static_cast<T>(bits >> 16);
      } else {
        data_[i] = static_cast<T>(number);
      }
    }
  }
  T* get() const { return data_.get(); }
  std::size_t size() const { return count_; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T[], Free> data_;
  std::size_t count_;
};

// Threads that are there already when there is work, as those of the cpu plugin and of OpenBLAS: one that comes back in
// time is still looking for it.
class Team {
 public:
  using Work = std::function<void(std::size_t)>;
  static Team& get() {
    static Team team;
    return team;
  }
  ~Team() {
    work_ = nullptr;
    announce();
    for (std::thread& member : members_) member.join();
  }
  // Calls `work` with 0 to `threads` - 1, the first from here.
  void run(std::size_t threads, const Work& work) {
    while (members_.size() + 1 < threads)
      members_.emplace_back(
          [this, which = members_.size() + 1, seen = round_.load()] { serve(which, seen); });
    if (threads > 1) {
      work_ = &work;
      threads_ = threads;
      busy_ = members_.size();
      announce();
    }
    work(0);
    while (busy_ != 0) std::this_thread::yield();
  }

 private:
  void announce() {
    ++round_;
    round_.notify_all();
  }
  void serve(std::size_t which, std::uint32_t seen) {
    while (true) {
      const auto asleep = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
      while (round_ == seen && std::chrono::steady_clock::now() < asleep) {
      }
      round_.wait(seen);
      seen = round_;
      if (work_ == nullptr) return;
      if (which < threads_) (*work_)(which);
      --busy_;
    }
  }
  std::vector<std::thread> members_;
  std::atomic<std::uint32_t> round_{0};
  std::atomic<std::size_t> busy_{0};
  const Work* work_ = nullptr;
  std::size_t threads_ = 0;
};

// One kernel, compiled; run by a few threads as the cpu plugin runs it.
class Kernel {
 public:
  explicit Kernel(const std::function<void(tile::Module&)>& build) {
    tile::Module made;
    build(made);
    module_ = compiler::parse(made.text());
    compiler::verify(module_);
    library_ =
        std::make_unique<ChildLibrary>(compiler::lower(module_, compiler::parse_target(target())));
    kernel_ = static_cast<const flagos_cpu_kernel_t*>(
        library_->find("flagos_cpu_kernel_" + module_.kernels[0].name));
  }
  template <typename... Values>
  void run(int threads, std::uint32_t x, std::uint32_t y, Values... values) {
    alignas(8) std::byte packed[256];
    std::size_t at = 0;
    const auto put = [&](auto value) {
      at = (at + sizeof value - 1) / sizeof value * sizeof value;
      std::memcpy(packed + at, &value, sizeof value);
      at += sizeof value;
    };
    (put(values), ...);
    std::atomic<std::uint32_t> next{0};
    const auto work = [&](std::size_t which) {
      flagos_cpu_block_t block{};
      block.struct_size = sizeof block;
      block.grid[0] = x;
      block.grid[1] = y;
      block.grid[2] = block.block[0] = block.block[1] = block.block[2] = 1;
      block.shared_bytes = kernel_->static_shared_bytes;
      block.shared = scratch(which);
      for (std::uint32_t i = next++; i < x * y; i = next++) {
        block.block_index[0] = i % x;
        block.block_index[1] = i / x;
        kernel_->function(&block, packed);
      }
    };
    Team::get().run(static_cast<std::size_t>(threads), work);
  }

 private:
  void* scratch(std::size_t which) {
    if (kernel_->static_shared_bytes == 0) return nullptr;
    if (!scratch_[which])
      scratch_[which] =
          std::make_unique<Array<float>>(kernel_->static_shared_bytes / 4 + 64, false);
    return scratch_[which]->get();
  }
  compiler::Module module_;
  std::unique_ptr<ChildLibrary> library_;
  const flagos_cpu_kernel_t* kernel_ = nullptr;
  std::array<std::unique_ptr<Array<float>>, 8> scratch_;
};

template <typename T>
std::uint64_t address(const Array<T>& array) {
  return reinterpret_cast<std::uintptr_t>(array.get());
}

struct Blas {
  using Gemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int,
                        float, float*, int);
  Gemm gemm = nullptr;
  void (*set_threads)(int) = nullptr;
  const char* (*core)() = nullptr;  // the processor that its kernels are for
  Blas() {
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
    void* handle = dlopen("libopenblas.so.0", RTLD_NOW);
    if (handle == nullptr) return;
    gemm = reinterpret_cast<Gemm>(dlsym(handle, "cblas_sgemm"));
    set_threads = reinterpret_cast<void (*)(int)>(dlsym(handle, "openblas_set_num_threads"));
    core = reinterpret_cast<const char* (*)()>(dlsym(handle, "openblas_get_corename"));
  }
  static Blas& get() {
    static Blas blas;
    return blas;
  }
  // c = a b, or a b^T.
  void multiply(int m, int n, int k, const float* a, const float* b, float* c,
                bool transposed = false) const {
    gemm(101, 111, transposed ? 112 : 111, m, n, k, 1.0F, a, k, b, transposed ? k : n, 0.0F, c, n);
  }
};

bool needs_blas(benchmark::State& state) {
  if (Blas::get().gemm != nullptr) return false;
  state.SkipWithError("libopenblas.so.0 is not found");
  return true;
}

void count_flops(benchmark::State& state, double each) {
  state.counters["GFLOPS"] = benchmark::Counter(
      each * static_cast<double>(state.iterations()) * 1e-9, benchmark::Counter::kIsRate);
}

// ---- products ----------------------------------------------------------------------------------

struct Blocks {
  int rows, columns, depth;
};
// f32: 19 times the 14 rows that are summed up in registers: each block of rows packs the other factor again, so they are many,
// and few of them are left over at 512, 1024 and 2048. bf16: its packed numbers take half the room.
constexpr Blocks kBlocksF32 = {266, 512, 128}, kBlocksBf16 = {512, 512, 256};

template <typename T>
void matmul(benchmark::State& state, DType dtype, Blocks blocks) {
  const int n = static_cast<int>(state.range(0)), threads = static_cast<int>(state.range(1));
  const auto size = static_cast<std::size_t>(n) * static_cast<std::size_t>(n);
  const Array<T> a(size), b(size), c(size, false);
  const Array<float> bias(static_cast<std::size_t>(n));
  // Enough programs for the threads, where the matrix is small.
  if (n <= 512 && threads > 1) blocks.columns = 256;
  static std::map<int, std::unique_ptr<Kernel>> kernels;
  auto& kernel = kernels[blocks.columns];
  if (!kernel)
    kernel = std::make_unique<Kernel>([&](tile::Module& m) {
      samples::matmul_bias_relu(m, dtype, blocks.rows, blocks.columns, blocks.depth);
    });
  const auto grid = [](int count, int block) {
    return static_cast<std::uint32_t>((count + block - 1) / block);
  };
  for (auto _ : state)
    kernel->run(threads, grid(n, blocks.rows), grid(n, blocks.columns), address(a), address(b),
                address(bias), address(c), n, n, n);
  count_flops(state, 2.0 * n * n * n);
}
void matmul_f32(benchmark::State& state) { matmul<float>(state, DType::f32, kBlocksF32); }
void matmul_bf16(benchmark::State& state) {
  matmul<std::uint16_t>(state, DType::bf16, kBlocksBf16);
}
void matmul_f32_blas(benchmark::State& state) {
  if (needs_blas(state)) return;
  const int n = static_cast<int>(state.range(0));
  const auto size = static_cast<std::size_t>(n) * static_cast<std::size_t>(n);
  const Array<float> a(size), b(size), c(size, false);
  Blas::get().set_threads(static_cast<int>(state.range(1)));
  state.SetLabel(Blas::get().core());
  for (auto _ : state) Blas::get().multiply(n, n, n, a.get(), b.get(), c.get());
  count_flops(state, 2.0 * n * n * n);
}
// ---- rows --------------------------------------------------------------------------------------

constexpr int kRowCount = 512;

void count_elements(benchmark::State& state, std::size_t count) {
  state.counters["ns/element"] = benchmark::Counter(
      static_cast<double>(count) * static_cast<double>(state.iterations()) * 1e-9,
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

template <int COLUMNS>
void softmax_rows(benchmark::State& state) {
  const Array<float> x(std::size_t{kRowCount} * COLUMNS),
      y(std::size_t{kRowCount} * COLUMNS, false);
  static Kernel kernel([](tile::Module& m) { samples::softmax(m, DType::f32, COLUMNS); });
  for (auto _ : state) kernel.run(1, kRowCount, 1, address(x), address(y), kRowCount, COLUMNS);
  count_elements(state, x.size());
}
template <int COLUMNS>
void softmax_by_hand(benchmark::State& state) {
  const Array<float> x(std::size_t{kRowCount} * COLUMNS),
      y(std::size_t{kRowCount} * COLUMNS, false);
  for (auto _ : state)
    for (std::size_t row = 0; row < kRowCount; ++row)
      softmax_row(x.get() + row * COLUMNS, y.get() + row * COLUMNS, COLUMNS);
  count_elements(state, x.size());
}
template <int COLUMNS>
void layernorm_rows(benchmark::State& state) {
  const Array<float> x(std::size_t{kRowCount} * COLUMNS),
      y(std::size_t{kRowCount} * COLUMNS, false), w(COLUMNS), b(COLUMNS);
  static Kernel kernel([](tile::Module& m) { samples::layernorm(m, DType::f32, COLUMNS); });
  for (auto _ : state)
    kernel.run(1, kRowCount, 1, address(x), address(w), address(b), address(y), kRowCount, COLUMNS,
               1e-5F);
  count_elements(state, x.size());
}
template <int COLUMNS>
void layernorm_by_hand(benchmark::State& state) {
  const Array<float> x(std::size_t{kRowCount} * COLUMNS),
      y(std::size_t{kRowCount} * COLUMNS, false), w(COLUMNS), b(COLUMNS);
  for (auto _ : state)
    for (std::size_t row = 0; row < kRowCount; ++row)
      layernorm_row(x.get() + row * COLUMNS, w.get(), b.get(), y.get() + row * COLUMNS, COLUMNS,
                    1e-5F);
  count_elements(state, x.size());
}

// What `make` gives, after it has been compared with a row by hand.
void run_onednn(benchmark::State& state, const Array<float>& y, const std::vector<float>& expected,
                const std::function<OnednnRows()>& make) {
  try {
    const OnednnRows rows = make();
    state.SetLabel("oneDNN " + OnednnRows::version());
    rows.run();
    for (std::size_t i = 0; i < expected.size(); ++i)
      if (!(std::fabs(y.get()[i] - expected[i]) < 1e-4F)) {
        state.SkipWithError("oneDNN computes something else");
        return;
      }
    for (auto _ : state) rows.run();
    count_elements(state, y.size());
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}
template <int COLUMNS>
void softmax_onednn(benchmark::State& state) {
  const Array<float> x(std::size_t{kRowCount} * COLUMNS),
      y(std::size_t{kRowCount} * COLUMNS, false);
  std::vector<float> expected(COLUMNS);
  softmax_row(x.get(), expected.data(), COLUMNS);
  run_onednn(state, y, expected,
             [&] { return OnednnRows::softmax(kRowCount, COLUMNS, x.get(), y.get()); });
}
template <int COLUMNS>
void layernorm_onednn(benchmark::State& state) {
  const Array<float> x(std::size_t{kRowCount} * COLUMNS),
      y(std::size_t{kRowCount} * COLUMNS, false), w(COLUMNS), b(COLUMNS);
  std::vector<float> expected(COLUMNS);
  layernorm_row(x.get(), w.get(), b.get(), expected.data(), COLUMNS, 1e-5F);
  run_onednn(state, y, expected, [&] {
    return OnednnRows::layernorm(kRowCount, COLUMNS, x.get(), w.get(), b.get(), y.get(), 1e-5F);
  });
}

// ---- attention ---------------------------------------------------------------------------------

constexpr int kHeads = 8, kHead = 64;

double attention_flops(int n) {
  return 2.0 * kHeads * n * n * kHead;
}  // causal: half of two products

void flash_attention(benchmark::State& state) {
  const int n = static_cast<int>(state.range(0));
  const std::size_t size = std::size_t{kHeads} * static_cast<std::size_t>(n) * kHead;
  const Array<float> q(size), k(size), v(size), o(size, false);
  static Kernel kernel(
      [](tile::Module& m) { samples::flash_attention(m, DType::f32, 126, 128, kHead); });
  for (auto _ : state)
    kernel.run(1, static_cast<std::uint32_t>((n + 125) / 126), kHeads, address(q), address(k),
               address(v), address(o), kHeads, n);
  count_flops(state, attention_flops(n));
}
// All scores of a head, then their softmax, then the sum.
void attention_blas(benchmark::State& state) {
  if (needs_blas(state)) return;
  const int n = static_cast<int>(state.range(0));
  const auto length = static_cast<std::size_t>(n);
  const std::size_t size = std::size_t{kHeads} * length * kHead;
  const Array<float> q(size), k(size), v(size), o(size, false), scores(length * length);
  Blas::get().set_threads(1);
  for (auto _ : state)
    for (std::size_t head = 0; head < kHeads; ++head) {
      const std::size_t at = head * length * kHead;
      Blas::get().multiply(n, n, kHead, q.get() + at, k.get() + at, scores.get(), true);
      for (std::size_t row = 0; row < length; ++row)
        causal_row(scores.get() + row * length, row + 1, length, 0.125F);
      Blas::get().multiply(n, kHead, n, scores.get(), v.get() + at, o.get() + at);
    }
  count_flops(state, attention_flops(n));
}

// ---- element-wise ------------------------------------------------------------------------------

constexpr std::size_t kLarge = (std::size_t{64} << 20) / sizeof(float);

// Long enough that a program's start, where no line is foreseen, is little of it.
constexpr int kChain = 65536;

void chain(tile::Module& module) {
  module.kernel("chain", {}, [](tile::Kernel& k) {
    const auto x = k.pointer("x", DType::f32, "readonly"),
               y = k.pointer("y", DType::f32, "readonly"), z = k.pointer("z", DType::f32);
    const auto n = k.scalar("n", DType::i32);
    const auto at = k.program_id(0) * kChain;
    const auto a = k.load(k.view(x, {n}, {1}), {at}, {kChain}),
               b = k.load(k.view(y, {n}, {1}), {at}, {kChain});
    k.store(k.view(z, {n}, {1}), {at}, max(a * 1.5 + b, 0.0) * (a - b));
  });
}
void count_bytes(benchmark::State& state, std::size_t bytes) {
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(bytes) * static_cast<double>(state.iterations()) * 1e-9,
      benchmark::Counter::kIsRate);
}
void elementwise_chain(benchmark::State& state) {
  const Array<float> x(kLarge), y(kLarge), z(kLarge, false);
  static Kernel kernel(chain);
  for (auto _ : state)
    kernel.run(static_cast<int>(state.range(0)), kLarge / kChain, 1, address(x), address(y),
               address(z), static_cast<int>(kLarge));
  count_bytes(state, 3 * kLarge * sizeof(float));
}
// The same traffic with the least work.
void elementwise_ceiling(benchmark::State& state) {
  const Array<float> x(kLarge), y(kLarge), z(kLarge, false);
  const auto threads = static_cast<std::size_t>(state.range(0));
  const std::size_t part = kLarge / threads;
  for (auto _ : state)
    Team::get().run(threads, [&](std::size_t i) {
      add_arrays(x.get() + i * part, y.get() + i * part, z.get() + i * part, part);
    });
  count_bytes(state, 3 * kLarge * sizeof(float));
}

// ---- the compiler ------------------------------------------------------------------------------

std::string softmax_text() {
  tile::Module module;
  samples::softmax(module, DType::f32, 1024);
  return module.text();
}
void text_to_source(benchmark::State& state) {
  const std::string text = softmax_text();
  for (auto _ : state) {
    compiler::Module module = compiler::parse(text);
    compiler::verify(module);
    benchmark::DoNotOptimize(compiler::lower(module, compiler::parse_target(target())));
  }
}
void compile_row_kernel(benchmark::State& state) {
  compiler::Module module = compiler::parse(softmax_text());
  compiler::verify(module);
  const compiler::Lowered lowered = compiler::lower(module, compiler::parse_target(target()));
  for (auto _ : state) ChildLibrary library(lowered);
}

void both_threads(benchmark::internal::Benchmark* b) {
  for (const int n : {512, 1024, 2048})
    for (const int threads : {1, 2}) b->Args({n, threads});
  b->Unit(benchmark::kMillisecond)->UseRealTime();
}

BENCHMARK(matmul_f32)->Apply(both_threads);
BENCHMARK(matmul_f32_blas)->Apply(both_threads);
BENCHMARK(matmul_bf16)->Apply(both_threads);
BENCHMARK(softmax_rows<1024>)->Unit(benchmark::kMicrosecond);
BENCHMARK(softmax_by_hand<1024>)->Unit(benchmark::kMicrosecond);
BENCHMARK(softmax_onednn<1024>)->Unit(benchmark::kMicrosecond);
BENCHMARK(softmax_rows<4096>)->Unit(benchmark::kMicrosecond);
BENCHMARK(softmax_by_hand<4096>)->Unit(benchmark::kMicrosecond);
BENCHMARK(softmax_onednn<4096>)->Unit(benchmark::kMicrosecond);
BENCHMARK(layernorm_rows<1024>)->Unit(benchmark::kMicrosecond);
BENCHMARK(layernorm_by_hand<1024>)->Unit(benchmark::kMicrosecond);
BENCHMARK(layernorm_onednn<1024>)->Unit(benchmark::kMicrosecond);
BENCHMARK(layernorm_rows<4096>)->Unit(benchmark::kMicrosecond);
BENCHMARK(layernorm_by_hand<4096>)->Unit(benchmark::kMicrosecond);
BENCHMARK(layernorm_onednn<4096>)->Unit(benchmark::kMicrosecond);
BENCHMARK(flash_attention)->Arg(1024)->Arg(2048)->Unit(benchmark::kMillisecond);
BENCHMARK(attention_blas)->Arg(1024)->Arg(2048)->Unit(benchmark::kMillisecond);
BENCHMARK(elementwise_chain)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(elementwise_ceiling)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(text_to_source)->Unit(benchmark::kMicrosecond);
BENCHMARK(compile_row_kernel)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace flagos::bench

BENCHMARK_MAIN();
