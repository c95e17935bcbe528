// The vulkan plugin through core, each beside the same work given to the driver directly.
#include <benchmark/benchmark.h>
#include <flagos.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "vulkan_direct.hpp"

namespace flagos::bench {
namespace {

constexpr std::uint64_t largest_copy = 256 << 20;

void must(flagos_status_t status, const char* what) {
  if (status == FLAGOS_STATUS_OK) return;
  std::fprintf(stderr, "%s: %s: %s\n", what, flagos_status_get_name(status), flagos_last_error());
  std::exit(1);
}

std::vector<std::uint32_t> kernel_code() {
  std::ifstream file(FLAGOS_BENCH_SPIRV, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::uint32_t> code(bytes.size() / 4);
  std::memcpy(code.data(), bytes.data(), code.size() * 4);
  return code;
}

struct Ours {
  Ours() {
    flagos_runtime_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.abi_version = FLAGOS_ABI_VERSION;
    desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
    must(flagos_runtime_create(&desc, &runtime), "flagos_runtime_create");
    must(flagos_runtime_add_plugin(runtime, FLAGOS_BENCH_VULKAN_PLUGIN), "the plugin");
    must(flagos_device_open(runtime, 0, &device), "flagos_device_open");
    must(flagos_stream_create(device, nullptr, &stream), "flagos_stream_create");
    const std::vector<std::uint32_t> code = kernel_code();
    flagos_module_desc_t module_desc{};
    module_desc.struct_size = sizeof(module_desc);
    module_desc.format = "spirv";
    module_desc.data = code.data();
    module_desc.size_bytes = code.size() * 4;
    must(flagos_module_load(device, &module_desc, &module), "flagos_module_load");
    flagos_kernel_desc_t kernel_desc{};
    kernel_desc.struct_size = sizeof(kernel_desc);
    kernel_desc.name = "bench_empty";
    must(flagos_module_get_kernel(module, &kernel_desc, &kernel), "flagos_module_get_kernel");
    for (flagos_address_t& buffer : buffers) {
      flagos_memory_desc_t memory{};
      memory.struct_size = sizeof(memory);
      memory.kind = FLAGOS_MEMORY_KIND_DEVICE;
      memory.size_bytes = largest_copy;
      must(flagos_memory_alloc(device, &memory, &buffer), "flagos_memory_alloc");
    }
  }
  void launch() {
    flagos_launch_desc_t desc{};
    desc.struct_size = sizeof(desc);
    for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
    must(flagos_kernel_launch(stream, kernel, &desc), "flagos_kernel_launch");
  }
  void copy(flagos_address_t target, flagos_address_t source, std::uint64_t bytes) {
    must(flagos_memory_copy(stream, target, source, bytes), "flagos_memory_copy");
    wait();
  }
  void wait() { must(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "synchronize"); }

  flagos_runtime_t* runtime = nullptr;
  flagos_device_t* device = nullptr;
  flagos_stream_t* stream = nullptr;
  flagos_module_t* module = nullptr;
  flagos_kernel_t* kernel = nullptr;
  flagos_address_t buffers[2] = {};
};

Ours& ours() {
  static Ours& device = *new Ours;
  return device;
}
DirectVulkan& direct() {
  static DirectVulkan& device = *new DirectVulkan(kernel_code(), largest_copy);
  return device;
}
std::vector<char>& ordinary_memory() {
  static std::vector<char> memory(largest_copy, 1);
  return memory;
}

// Recording is part of ours; the direct one submits what it recorded once.
void launches_ours(benchmark::State& state) {
  for (auto _ : state) {
    for (int i = 0; i < state.range(0); ++i) ours().launch();
    ours().wait();
  }
}
void launches_direct(benchmark::State& state) {
  const int count = static_cast<int>(state.range(0));
  const int batch = std::min(count, 50);
  const VkCommandBuffer commands = direct().record_dispatches(batch);
  for (auto _ : state) {
    for (int i = 0; i < count; i += batch) direct().submit(commands);
    direct().wait();
  }
}
BENCHMARK(launches_direct)->Arg(1)->Arg(1000)->UseRealTime();
BENCHMARK(launches_ours)->Arg(1)->Arg(1000)->UseRealTime();

void to_device_ours(benchmark::State& state) {
  const auto bytes = static_cast<std::uint64_t>(state.range(0));
  const auto host = reinterpret_cast<flagos_address_t>(ordinary_memory().data());
  for (auto _ : state) ours().copy(ours().buffers[0], host, bytes);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
void to_device_direct(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) std::memcpy(direct().host(0), ordinary_memory().data(), bytes);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
void to_host_ours(benchmark::State& state) {
  const auto bytes = static_cast<std::uint64_t>(state.range(0));
  const auto host = reinterpret_cast<flagos_address_t>(ordinary_memory().data());
  for (auto _ : state) ours().copy(host, ours().buffers[0], bytes);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
void to_host_direct(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) std::memcpy(ordinary_memory().data(), direct().host(0), bytes);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
void on_device_ours(benchmark::State& state) {
  const auto bytes = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) ours().copy(ours().buffers[1], ours().buffers[0], bytes);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
void on_device_direct(benchmark::State& state) {
  const VkCommandBuffer commands = direct().record_copy(static_cast<std::uint64_t>(state.range(0)));
  for (auto _ : state) {
    direct().submit(commands);
    direct().wait();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  for (const int mebibytes : {1, 16, 256}) benchmark->Arg(std::int64_t{mebibytes} << 20);
  benchmark->UseRealTime();
}
BENCHMARK(to_device_direct)->Apply(sizes);
BENCHMARK(to_device_ours)->Apply(sizes);
BENCHMARK(to_host_direct)->Apply(sizes);
BENCHMARK(to_host_ours)->Apply(sizes);
BENCHMARK(on_device_direct)->Apply(sizes);
BENCHMARK(on_device_ours)->Apply(sizes);

}  // namespace
}  // namespace flagos::bench

BENCHMARK_MAIN();
