// Products of float32 on the cpu plugin: its native version, the portable kernel, and OpenBLAS called by hand with the same
// number of threads, in turns, so that what else the machine does hits all three. GFLOP/s, medians of the turns. Each begins
// when the threads of the one before sleep: those of OpenBLAS keep a processor busy for some 26 ms after their work.
#include <dlfcn.h>
#include <flagos_ops.h>

#include <fmt/format.h>
#include <cxxopts.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "bench/bench_device.hpp"
#include "bench/compare.hpp"

namespace flagos::bench {
namespace {

struct Shape {
  std::int64_t m, n, k;
  bool linear;  // b lies as the weight of a linear layer, [n, k]
};
constexpr std::chrono::milliseconds settle_time(50);
constexpr Shape shapes[] = {
    {64, 64, 64, false},     {128, 128, 128, false},    {256, 256, 256, false},
    {512, 512, 512, false},  {1024, 1024, 1024, false}, {2048, 2048, 2048, false},
    {1, 4096, 4096, true},   {8, 4096, 4096, true},     {64, 4096, 4096, true},
    {256, 4096, 4096, true}, {64, 11008, 4096, true},   {64, 4096, 11008, true}};

// The library that the plugin has opened, and set to one thread a call.
struct OpenBlas {
  using Gemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int,
                        float, float*, int);
  Gemm gemm = nullptr;
  void (*set_threads)(int) = nullptr;

  OpenBlas() {
    void* const library = dlopen("libopenblas.so.0", RTLD_NOW);
    if (library == nullptr) return;
    gemm = reinterpret_cast<Gemm>(dlsym(library, "cblas_sgemm"));
    set_threads = reinterpret_cast<void (*)(int)>(dlsym(library, "openblas_set_num_threads"));
  }
  bool is_there() const { return gemm != nullptr && set_threads != nullptr; }
};

// One product on a device with so many threads.
class Case {
 public:
  Case(const Shape& shape, int threads) : shape_(shape), threads_(threads) {
    setenv("FLAGOS_CPU_THREADS", std::to_string(threads).c_str(), 1);
    must(flagos_runtime_create(nullptr, &runtime_), "flagos_runtime_create");
    std::uint32_t index = 0;
    must(flagos_device_find(runtime_, "cpu", &index), "flagos_device_find");
    must(flagos_device_open(runtime_, index, &device_), "flagos_device_open");
    must(flagos_stream_create(device_, nullptr, &stream_), "flagos_stream_create");
    const std::int64_t b_shape[2] = {shape.linear ? shape.n : shape.k,
                                     shape.linear ? shape.k : shape.n};
    make(a_, shape.m, shape.k);
    make(b_, b_shape[0], b_shape[1]);
    make(out_, shape.m, shape.n);
  }
  ~Case() {
    for (const Matrix* matrix : {&a_, &b_, &out_})
      flagos_memory_free(device_, matrix->tensor.address);
    flagos_stream_destroy(stream_);
    flagos_device_close(device_);
    flagos_runtime_destroy(runtime_);
  }
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  // Queues it so often, and waits.
  void run(flagos_ops_preference_t preference, int repeats) {
    must(flagos_ops_set_preference(nullptr, preference), "flagos_ops_set_preference");
    for (int i = 0; i < repeats; ++i)
      must(shape_.linear ? flagos_ops_linear(stream_, &a_.tensor, &b_.tensor, nullptr, &out_.tensor)
                         : flagos_ops_mm(stream_, &a_.tensor, &b_.tensor, &out_.tensor),
           "a product");
    must(flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE), "flagos_stream_synchronize");
  }
  void run(const OpenBlas& blas, int repeats) {
    blas.set_threads(threads_);
    const int m = static_cast<int>(shape_.m), n = static_cast<int>(shape_.n),
              k = static_cast<int>(shape_.k);
    for (int i = 0; i < repeats; ++i)
      blas.gemm(101, 111, shape_.linear ? 112 : 111, m, n, k, 1, data(a_), k, data(b_),
                shape_.linear ? k : n, 0, data(out_), n);
    blas.set_threads(1);
  }
  double operations() const { return 2.0 * static_cast<double>(shape_.m * shape_.n * shape_.k); }

 private:
  struct Matrix {
    flagos_tensor_t tensor{};
    std::array<std::int64_t, 2> shape{};
  };
  static float* data(const Matrix& matrix) {
    return reinterpret_cast<float*>(static_cast<std::uintptr_t>(matrix.tensor.address));
  }
  void make(Matrix& matrix, std::int64_t rows, std::int64_t columns) {
    matrix.shape = {rows, columns};
    matrix.tensor.struct_size = sizeof(matrix.tensor);
    matrix.tensor.dtype = FLAGOS_DTYPE_FLOAT32;
    matrix.tensor.rank = 2;
    matrix.tensor.shape = matrix.shape.data();
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = static_cast<std::uint64_t>(rows * columns) * sizeof(float);
    must(flagos_memory_alloc(device_, &desc, &matrix.tensor.address), "flagos_memory_alloc");
    const float one = 1;
    must(flagos_memory_fill(stream_, matrix.tensor.address, &one, sizeof(one), desc.size_bytes),
         "flagos_memory_fill");
  }

  const Shape shape_;
  const int threads_;
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
  Matrix a_, b_, out_;
};

void measure(const Shape& shape, int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  Case made(shape, threads);
  made.run(FLAGOS_OPS_PREFERENCE_NATIVE, 1);  // opens the library
  made.run(FLAGOS_OPS_PREFERENCE_PORTABLE, 1);
  static const OpenBlas blas;
  std::array<std::vector<double>, 3> times;
  const auto run = [&](std::size_t which, int repeats) {
    if (which == 2)
      made.run(blas, repeats);
    else
      made.run(which == 0 ? FLAGOS_OPS_PREFERENCE_NATIVE : FLAGOS_OPS_PREFERENCE_PORTABLE, repeats);
  };
  const auto timed = [&](std::size_t which, int repeats) {
    if (threads != 1) std::this_thread::sleep_for(settle_time);
    run(which, 1);
    const auto start = Clock::now();
    run(which, repeats);
    return std::chrono::duration<double>(Clock::now() - start).count() / repeats;
  };
  const std::size_t kinds = blas.is_there() ? 3 : 2;
  const int repeats = static_cast<int>(std::clamp(2e-2 / timed(1, 1), 1.0, 10'000.0));
  const auto start = Clock::now();
  for (std::size_t turn = 0;
       turn < 5 || std::chrono::duration<double>(Clock::now() - start).count() < seconds; ++turn)
    for (std::size_t i = 0; i < kinds; ++i) {
      const std::size_t which = (turn + i) % kinds;
      times[which].push_back(timed(which, repeats));
    }
  const auto speed = [&](std::size_t which) {
    return made.operations() / median(times[which]) * 1e-9;
  };
  fmt::print("{:<18} {:>7} {:>9.1f} {:>9.1f}", fmt::format("{}x{}x{}", shape.m, shape.n, shape.k),
             threads, speed(0), speed(1));
  if (kinds == 3)
    fmt::print(" {:>9.1f} {:>8.2f} {:>8.2f}", speed(2), speed(0) / speed(2), speed(1) / speed(2));
  fmt::print("\n");
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  cxxopts::Options options("flagos_bench_products",
                           "Products: native, portable and OpenBLAS by hand, in turns.");
  options.add_options()("seconds", "time for each case",
                        cxxopts::value<double>()->default_value("1"))(
      "largest", "leaves out shapes with more operations, in millions",
      cxxopts::value<double>()->default_value("1e9"))(
      "threads", "such as 1,2", cxxopts::value<std::vector<int>>()->default_value("1,2"))(
      "h,help", "print this and end");
  const auto parsed = options.parse(argc, argv);
  if (parsed.count("help") != 0) {
    std::cout << options.help();
    return 0;
  }
  fmt::print("{:<18} {:>7} {:>9} {:>9} {:>9} {:>8} {:>8}\n", "m x n x k", "threads", "native",
             "portable", "OpenBLAS", "native/", "portable/");
  for (const Shape& shape : shapes) {
    if (2e-6 * static_cast<double>(shape.m * shape.n * shape.k) > parsed["largest"].as<double>())
      continue;
    for (const int threads : parsed["threads"].as<std::vector<int>>())
      measure(shape, threads, parsed["seconds"].as<double>());
  }
  return 0;
}

}  // namespace
}  // namespace flagos::bench

int main(int argc, char** argv) try {
  return flagos::bench::run(argc, argv);
} catch (const std::exception& error) {
  std::cerr << "flagos_bench_products: " << error.what() << "\n";
  return 1;
}
