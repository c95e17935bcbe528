// The same portable kernels on the cpu plugin and on an OpenCL device, in turns, each through core with its plugin's
// threads. `ratio` is the time of OpenCL over that of the cpu plugin.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench_device.hpp"
#include "compare.hpp"
#include "samples/kernels/kernels.hpp"

namespace flagos::bench {
namespace {

using tile::DType;

struct Side {
  flagos_device_t* device = nullptr;
  flagos_stream_t* stream = nullptr;
  explicit Side(flagos_runtime_t* runtime, const char* name) {
    std::uint32_t index = 0;
    must(flagos_device_find(runtime, name, &index), name);
    must(flagos_device_open(runtime, index, &device), "flagos_device_open");
    must(flagos_stream_create(device, nullptr, &stream), "flagos_stream_create");
  }
  void wait() const {
    must(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "flagos_stream_synchronize");
  }
};

flagos_runtime_t* runtime_of(std::initializer_list<const char*> plugins) {
  flagos_runtime_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  flagos_runtime_t* runtime = nullptr;
  must(flagos_runtime_create(&desc, &runtime), "flagos_runtime_create");
  for (const char* plugin : plugins) must(flagos_runtime_add_plugin(runtime, plugin), plugin);
  return runtime;
}

// Both devices of one runtime; they live until the end.
const std::array<Side, 2>& sides() {
  static const std::array<Side, 2> both = [] {
    flagos_runtime_t* const runtime =
        runtime_of({FLAGOS_BENCH_OPENCL_PLUGIN, FLAGOS_BENCH_CPU_PLUGIN});
    return std::array<Side, 2>{Side(runtime, "opencl:0"), Side(runtime, "cpu:0")};
  }();
  return both;
}

struct Launched {
  const Side& side;
  flagos_module_t* module = nullptr;
  flagos_kernel_t* kernel = nullptr;
  std::vector<flagos_address_t> memory;
  std::vector<flagos_argument_t> arguments;
  std::array<std::uint32_t, 3> grid{1, 1, 1};

  Launched(const Side& of, const std::string& text, std::array<std::uint32_t, 3> programs)
      : side(of), grid(programs) {
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.format = "flagos.tile";
    desc.data = text.data();
    desc.size_bytes = text.size();
    must(flagos_module_load(side.device, &desc, &module), "flagos_module_load");
    const char* name = nullptr;
    must(flagos_module_get_kernel_name(module, 0, &name), "flagos_module_get_kernel_name");
    flagos_kernel_desc_t kernel_desc{};
    kernel_desc.struct_size = sizeof(kernel_desc);
    kernel_desc.name = name;
    must(flagos_module_get_kernel(module, &kernel_desc, &kernel), "flagos_module_get_kernel");
  }
  ~Launched() {
    for (const flagos_address_t address : memory)
      must(flagos_memory_free(side.device, address), "flagos_memory_free");
    must(flagos_module_unload(module), "flagos_module_unload");
  }
  Launched(const Launched&) = delete;
  Launched& operator=(const Launched&) = delete;

  void add(std::size_t floats) {
    std::vector<float> values(floats);
    std::mt19937 generator(7);
    std::uniform_real_distribution<float> some(-1, 1);
    for (float& value : values) value = some(generator);
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = floats * sizeof(float);
    flagos_address_t address = 0;
    must(flagos_memory_alloc(side.device, &desc, &address), "flagos_memory_alloc");
    must(flagos_memory_copy(side.stream, address, reinterpret_cast<std::uintptr_t>(values.data()),
                            desc.size_bytes),
         "flagos_memory_copy");
    side.wait();
    memory.push_back(address);
    flagos_argument_t& argument = arguments.emplace_back();
    argument.dtype = FLAGOS_DTYPE_ADDRESS;
    argument.value = address;
  }
  template <typename T>
  void add_scalar(flagos_dtype_t dtype, T value) {
    flagos_argument_t& argument = arguments.emplace_back();
    argument.dtype = dtype;
    argument.value = 0;
    std::memcpy(&argument.value, &value, sizeof(value));
  }
  void run() const {
    flagos_launch_desc_t launch = launch_desc(nullptr, 0);
    for (std::size_t i = 0; i < 3; ++i) launch.grid[i] = grid[i];
    launch.argument_count = static_cast<std::uint32_t>(arguments.size());
    launch.arguments = arguments.data();
    must(flagos_kernel_launch(side.stream, kernel, &launch), "flagos_kernel_launch");
    side.wait();
  }
};

void both(benchmark::State& state, const std::function<void(tile::Module&)>& build,
          std::array<std::uint32_t, 3> grid, const std::function<void(Launched&)>& arguments,
          double flops = 0) {
  tile::Module made;
  build(made);
  std::array<std::unique_ptr<Launched>, 2> launched;
  for (std::size_t i = 0; i < 2; ++i) {
    launched[i] = std::make_unique<Launched>(sides()[i], made.text(), grid);
    arguments(*launched[i]);
  }
  compare(
      state, 1, [&] { launched[0]->run(); }, [&] { launched[1]->run(); });
  if (flops == 0) return;
  state.counters["GFLOPS"] = flops / state.counters["ours_us"] * 1e-3;
  state.counters["cpu_GFLOPS"] = flops / state.counters["direct_us"] * 1e-3;
}

std::uint32_t grid_of(int count, int block) {
  return static_cast<std::uint32_t>((count + block - 1) / block);
}

constexpr int kRows = 512;

void softmax(benchmark::State& state) {
  const int columns = static_cast<int>(state.range(0));
  const auto size = std::size_t{kRows} * static_cast<std::size_t>(columns);
  both(
      state, [&](tile::Module& m) { samples::softmax(m, DType::f32, columns); }, {kRows, 1, 1},
      [&](Launched& l) {
        l.add(size);
        l.add(size);
        l.add_scalar(FLAGOS_DTYPE_INT32, kRows);
        l.add_scalar(FLAGOS_DTYPE_INT32, columns);
      });
}

void layernorm(benchmark::State& state) {
  const int columns = static_cast<int>(state.range(0));
  const auto width = static_cast<std::size_t>(columns);
  both(
      state, [&](tile::Module& m) { samples::layernorm(m, DType::f32, columns); }, {kRows, 1, 1},
      [&](Launched& l) {
        l.add(kRows * width);
        l.add(width);
        l.add(width);
        l.add(kRows * width);
        l.add_scalar(FLAGOS_DTYPE_INT32, kRows);
        l.add_scalar(FLAGOS_DTYPE_INT32, columns);
        l.add_scalar(FLAGOS_DTYPE_FLOAT32, 1e-5F);
      });
}

void matmul(benchmark::State& state) {
  const int n = static_cast<int>(state.range(0));
  const int rows = n <= 512 ? 126 : 252, columns = n <= 512 ? 256 : 512;
  const auto side = static_cast<std::size_t>(n);
  both(
      state, [&](tile::Module& m) { samples::matmul_bias_relu(m, DType::f32, rows, columns, 192); },
      {grid_of(n, rows), grid_of(n, columns), 1},
      [&](Launched& l) {
        l.add(side * side);
        l.add(side * side);
        l.add(side);
        l.add(side * side);
        for (int i = 0; i < 3; ++i) l.add_scalar(FLAGOS_DTYPE_INT32, n);
      },
      2.0 * n * n * n);
}

void flash_attention(benchmark::State& state) {
  constexpr int heads = 8, head = 64;
  const int n = static_cast<int>(state.range(0));
  const auto size = std::size_t{heads} * static_cast<std::size_t>(n) * head;
  both(
      state, [&](tile::Module& m) { samples::flash_attention(m, DType::f32, 126, 128, head); },
      {grid_of(n, 126), heads, 1},
      [&](Launched& l) {
        for (int i = 0; i < 4; ++i) l.add(size);
        l.add_scalar(FLAGOS_DTYPE_INT32, heads);
        l.add_scalar(FLAGOS_DTYPE_INT32, n);
      },
      2.0 * heads * n * n * head);
}

// 64 MiB of each.
void elementwise_chain(benchmark::State& state) {
  constexpr int block = 8192, count = (64 << 20) / 4;
  both(
      state,
      [](tile::Module& m) {
        m.kernel("chain", {}, [](tile::Kernel& k) {
          const auto x = k.pointer("x", DType::f32, "readonly"),
                     y = k.pointer("y", DType::f32, "readonly"), z = k.pointer("z", DType::f32);
          const auto n = k.scalar("n", DType::i32);
          const auto at = k.program_id(0) * block;
          const auto a = k.load(k.view(x, {n}, {1}), {at}, {block}),
                     b = k.load(k.view(y, {n}, {1}), {at}, {block});
          k.store(k.view(z, {n}, {1}), {at}, max(a * 1.5 + b, 0.0) * (a - b));
        });
      },
      {count / block, 1, 1},
      [](Launched& l) {
        for (int i = 0; i < 3; ++i) l.add(count);
        l.add_scalar(FLAGOS_DTYPE_INT32, count);
      });
}

// What a module takes that lies in the cache on disk, in a runtime that has none in memory: the mean of 20, behind one
// that pays for what a process does once.
void load_from_disk(benchmark::State& state) {
  std::vector<std::string> texts;
  for (int i = 1; i <= 21; ++i) {
    tile::Module module;
    samples::softmax(module, DType::f32, 64 * i);
    texts.push_back(module.text());
  }
  const auto load_all = [&] {
    flagos_runtime_t* const runtime = runtime_of({FLAGOS_BENCH_CPU_PLUGIN});
    std::chrono::steady_clock::time_point start;
    {
      const Side side(runtime, "cpu:0");
      for (const std::string& text : texts) {
        const Launched loaded(side, text, {1, 1, 1});
        if (&text == &texts.front()) start = std::chrono::steady_clock::now();
      }
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    must(flagos_runtime_destroy(runtime), "flagos_runtime_destroy");
    return taken.count() / static_cast<double>(texts.size() - 1);
  };
  load_all();  // they are compiled
  for (auto _ : state) state.SetIterationTime(load_all());
}

BENCHMARK(load_from_disk)->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(20);
BENCHMARK(softmax)->Arg(1024)->Arg(4096)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(layernorm)->Arg(1024)->Arg(4096)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(elementwise_chain)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(matmul)->Arg(512)->Arg(1024)->Arg(2048)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(flash_attention)->Arg(1024)->Arg(2048)->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace flagos::bench

BENCHMARK_MAIN();
