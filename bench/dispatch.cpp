// What a call costs through core and through the direct table, with 1 and with 6 plugins loaded. The plugins do
// nothing, so that the time of "direct" is the plugin's own function and the difference is core's.
#include <benchmark/benchmark.h>

#include "bench_device.hpp"

namespace flagos::bench {
namespace {

BenchDevice& device_with(std::int64_t plugin_count) {
  static BenchDevice one({FLAGOS_BENCH_NULL_PLUGINS "/libflagos_plugin_null0.so"}, "nothing", "",
                         "nothing");
  static BenchDevice six(
      [] {
        std::vector<std::string> files;
        for (int i = 0; i < 6; ++i)
          files.push_back(std::string(FLAGOS_BENCH_NULL_PLUGINS "/libflagos_plugin_null") +
                          std::to_string(i) + ".so");
        return files;
      }(),
      "nothing", "", "nothing");
  return plugin_count == 1 ? one : six;
}

const std::uint64_t block[4] = {1, 2, 3, 4};

void launch_direct(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  const flagos_launch_desc_t desc = launch_desc(block, sizeof(block));
  for (auto _ : state)
    benchmark::DoNotOptimize(d.table->kernel->launch(d.native_stream, d.native_kernel, &desc));
}
void launch_core(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  const flagos_launch_desc_t desc = launch_desc(block, sizeof(block));
  for (auto _ : state) benchmark::DoNotOptimize(flagos_kernel_launch(d.stream, d.kernel, &desc));
}
void launch_core_arguments(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  flagos_argument_t arguments[4] = {};
  for (auto& argument : arguments) argument.dtype = FLAGOS_DTYPE_ADDRESS;
  flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  desc.arguments = arguments;
  desc.argument_count = 4;
  for (auto _ : state) benchmark::DoNotOptimize(flagos_kernel_launch(d.stream, d.kernel, &desc));
}
void launch_core_prepared(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  const flagos_launch_desc_t desc = launch_desc(block, sizeof(block));
  flagos_prepared_t* prepared = nullptr;
  must(flagos_kernel_prepare(d.kernel, &desc, &prepared), "flagos_kernel_prepare");
  for (auto _ : state) benchmark::DoNotOptimize(flagos_kernel_launch_prepared(d.stream, prepared));
  must(flagos_prepared_destroy(prepared), "flagos_prepared_destroy");
}
void copy_direct(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  for (auto _ : state)
    benchmark::DoNotOptimize(d.table->memory->copy(d.native_stream, d.target, d.source, 64));
}
void copy_core(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  for (auto _ : state)
    benchmark::DoNotOptimize(flagos_memory_copy(d.stream, d.target, d.source, 64));
}
void fill_core(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  const std::uint32_t pattern = 7;
  for (auto _ : state)
    benchmark::DoNotOptimize(flagos_memory_fill(d.stream, d.target, &pattern, 4, 64));
}
void record_direct(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  for (auto _ : state)
    benchmark::DoNotOptimize(d.table->event->record(d.native_event, d.native_stream));
}
void record_core(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(flagos_event_record(d.event, d.stream));
}
void wait_event_direct(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  for (auto _ : state)
    benchmark::DoNotOptimize(d.table->stream->wait_event(d.native_stream, d.native_event));
}
void wait_event_core(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(flagos_stream_wait_event(d.stream, d.event));
}
void event_query_core(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  std::uint32_t complete = 0;
  for (auto _ : state) benchmark::DoNotOptimize(flagos_event_query(d.event, &complete));
}
void stream_query_core(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  std::uint32_t complete = 0;
  for (auto _ : state) benchmark::DoNotOptimize(flagos_stream_query(d.stream, &complete));
}
void pool_alloc_free_core(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  flagos_memory_pool_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  flagos_memory_pool_t* pool = nullptr;
  must(flagos_memory_pool_create(d.device, &desc, &pool), "flagos_memory_pool_create");
  flagos_address_t address = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(flagos_memory_pool_alloc(pool, d.stream, 4096, &address));
    benchmark::DoNotOptimize(flagos_memory_pool_free(pool, d.stream, address));
  }
  must(flagos_memory_pool_destroy(pool), "flagos_memory_pool_destroy");
}

// 1,000 launches, and the same as a graph that core replays, since the plugin has none of its own.
void launches_1000(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  const flagos_launch_desc_t desc = launch_desc(block, sizeof(block));
  for (auto _ : state) {
    for (int i = 0; i < 1000; ++i)
      benchmark::DoNotOptimize(flagos_kernel_launch(d.stream, d.kernel, &desc));
  }
}
void graph_of_1000_emulated(benchmark::State& state) {
  BenchDevice& d = device_with(state.range(0));
  const flagos_launch_desc_t desc = launch_desc(block, sizeof(block));
  must(flagos_stream_begin_capture(d.stream), "flagos_stream_begin_capture");
  for (int i = 0; i < 1000; ++i)
    must(flagos_kernel_launch(d.stream, d.kernel, &desc), "flagos_kernel_launch");
  flagos_graph_t* graph = nullptr;
  must(flagos_stream_end_capture(d.stream, &graph), "flagos_stream_end_capture");
  flagos_graph_exec_t* exec = nullptr;
  must(flagos_graph_instantiate(graph, &exec), "flagos_graph_instantiate");
  must(flagos_graph_destroy(graph), "flagos_graph_destroy");
  for (auto _ : state) benchmark::DoNotOptimize(flagos_graph_exec_launch(exec, d.stream));
  must(flagos_graph_exec_destroy(exec), "flagos_graph_exec_destroy");
}

#define FLAGOS_BENCH(name) BENCHMARK(name)->ArgName("plugins")->Arg(1)->Arg(6)
FLAGOS_BENCH(launch_direct);
FLAGOS_BENCH(launch_core);
FLAGOS_BENCH(launch_core_arguments);
FLAGOS_BENCH(launch_core_prepared);
FLAGOS_BENCH(copy_direct);
FLAGOS_BENCH(copy_core);
FLAGOS_BENCH(fill_core);
FLAGOS_BENCH(record_direct);
FLAGOS_BENCH(record_core);
FLAGOS_BENCH(wait_event_direct);
FLAGOS_BENCH(wait_event_core);
FLAGOS_BENCH(event_query_core);
FLAGOS_BENCH(stream_query_core);
FLAGOS_BENCH(pool_alloc_free_core);
FLAGOS_BENCH(launches_1000);
FLAGOS_BENCH(graph_of_1000_emulated);

}  // namespace
}  // namespace flagos::bench

BENCHMARK_MAIN();
