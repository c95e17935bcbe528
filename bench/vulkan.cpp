// The vulkan plugin through core, in turns with the same work given to the driver directly. `ratio` is the median of
// ours over the driver's.
#include <benchmark/benchmark.h>
#include <flagos.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "compare.hpp"
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
  const auto make = [] {
    flagos_native_t device{}, queue{};
    device.struct_size = queue.struct_size = sizeof(flagos_native_t);
    must(flagos_device_get_native(ours().device, &device), "flagos_device_get_native");
    must(flagos_stream_get_native(ours().stream, &queue), "flagos_stream_get_native");
    return new DirectVulkan(device, queue, kernel_code(), largest_copy);
  };
  static DirectVulkan& device = *make();
  return device;
}
std::vector<char>& ordinary_memory() {
  static std::vector<char> memory(largest_copy, 1);
  return memory;
}

// Recording is part of ours; the direct one submits what it recorded once.
void launch(benchmark::State& state) {
  const int count = static_cast<int>(state.range(0));
  const int batch = std::min(count, 50);
  const VkCommandBuffer commands = direct().record_dispatches(batch);
  compare(
      state, count,
      [&] {
        for (int i = 0; i < count; ++i) ours().launch();
        ours().wait();
      },
      [&] {
        for (int i = 0; i < count; i += batch) direct().submit(commands);
        direct().wait();
      });
}
BENCHMARK(launch)->Arg(1)->Arg(1000)->UseManualTime();

// The driver's way from and to ordinary memory is a memcpy to memory that is mapped.
void to_device(benchmark::State& state) {
  const auto bytes = static_cast<std::uint64_t>(state.range(0)) << 20;
  char* const host = ordinary_memory().data();
  compare(
      state, 1,
      [&] { ours().copy(ours().buffers[0], reinterpret_cast<flagos_address_t>(host), bytes); },
      [&] { std::memcpy(direct().host(0), host, bytes); });
}
void to_host(benchmark::State& state) {
  const auto bytes = static_cast<std::uint64_t>(state.range(0)) << 20;
  char* const host = ordinary_memory().data();
  compare(
      state, 1,
      [&] { ours().copy(reinterpret_cast<flagos_address_t>(host), ours().buffers[0], bytes); },
      [&] { std::memcpy(host, direct().host(0), bytes); });
}
void on_device(benchmark::State& state) {
  const auto bytes = static_cast<std::uint64_t>(state.range(0)) << 20;
  const VkCommandBuffer commands = direct().record_copy(bytes);
  compare(
      state, 1, [&] { ours().copy(ours().buffers[1], ours().buffers[0], bytes); },
      [&] {
        direct().submit(commands);
        direct().wait();
      });
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  for (const int mebibytes : {1, 16, 256}) benchmark->Arg(mebibytes);
  benchmark->UseManualTime();
}
BENCHMARK(to_device)->Apply(sizes);
BENCHMARK(to_host)->Apply(sizes);
BENCHMARK(on_device)->Apply(sizes);

}  // namespace
}  // namespace flagos::bench

BENCHMARK_MAIN();
