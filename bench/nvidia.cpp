// The nvidia plugin through core, beside the same work written against libcuda directly. Both take turns, so that what else
// the machine does hits both. FLAGOS_PLUGIN_FILES names another file of the plugin, FLAGOS_NVIDIA_DRIVER another driver.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/dynamic_library.hpp"
#include "bench_device.hpp"
#include "compare.hpp"

namespace flagos::bench {
namespace {

const char* empty_source = "extern \"C\" __global__ void empty() {}";
constexpr int graph_nodes = 100;

std::string setting(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

BenchDevice& ours() {
  static BenchDevice device({setting("FLAGOS_PLUGIN_FILES", FLAGOS_BENCH_NVIDIA_PLUGIN)}, "cuda-c",
                            "", "empty", empty_source);
  return device;
}

void check(int code, const char* what) {
  if (code == 0) return;
  std::fprintf(stderr, "%s: %d\n", what, code);
  std::exit(1);
}

// CUDA_KERNEL_NODE_PARAMS of CUDA 12.
struct KernelNode {
  void* function;
  unsigned grid[3], block[3];
  unsigned shared_bytes;
  void** parameters;
  void** extra;
  void* kernel;
  void* context;
};

// A stream on the primary context, as anybody would write it.
struct Direct {
  DynamicLibrary library{setting("FLAGOS_NVIDIA_DRIVER", "libcuda.so.1")};
#define FUNCTION(name, type) \
  std::add_pointer_t<type> name = reinterpret_cast<std::add_pointer_t<type>>(library.symbol(#name))
  FUNCTION(cuInit, int(unsigned));
  FUNCTION(cuDevicePrimaryCtxRetain, int(void**, int));
  FUNCTION(cuCtxSetCurrent, int(void*));
  FUNCTION(cuStreamCreateWithPriority, int(void**, unsigned, int));
  FUNCTION(cuStreamSynchronize, int(void*));
  FUNCTION(cuModuleLoadDataEx, int(void**, const void*, unsigned, int*, void**));
  FUNCTION(cuModuleGetFunction, int(void**, void*, const char*));
  FUNCTION(cuLaunchKernel, int(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                               unsigned, void*, void**, void**));
  FUNCTION(cuMemAlloc_v2, int(unsigned long long*, std::size_t));
  FUNCTION(cuMemHostAlloc, int(void**, std::size_t, unsigned));
  FUNCTION(cuMemcpyAsync, int(unsigned long long, unsigned long long, std::size_t, void*));
  FUNCTION(cuGraphCreate, int(void**, unsigned));
  FUNCTION(cuGraphAddKernelNode_v2,
           int(void**, void*, void* const*, std::size_t, const KernelNode*));
  FUNCTION(cuGraphInstantiateWithFlags, int(void**, void*, unsigned long long));
  FUNCTION(cuGraphLaunch, int(void*, void*));
  FUNCTION(cuStreamWriteValue64_v2, int(void*, unsigned long long, std::uint64_t, unsigned));
  FUNCTION(cuStreamWaitValue64_v2, int(void*, unsigned long long, std::uint64_t, unsigned));
#undef FUNCTION
  void* stream = nullptr;
  void* function = nullptr;

  Direct() {
    void *context = nullptr, *module = nullptr;
    check(cuInit(0), "cuInit");
    check(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
    check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    check(cuStreamCreateWithPriority(&stream, 1, 0), "cuStreamCreateWithPriority");
    // The binary that the plugin made.
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.format = "cuda-c";
    desc.data = empty_source;
    desc.size_bytes = std::char_traits<char>::length(empty_source);
    flagos_blob_t* blob = nullptr;
    must(flagos_module_compile(ours().device, &desc, &blob), "flagos_module_compile");
    const void* image = nullptr;
    std::uint64_t size = 0;
    must(flagos_blob_get_data(blob, &image, &size, nullptr), "flagos_blob_get_data");
    std::vector<char> bytes(static_cast<const char*>(image),
                            static_cast<const char*>(image) + size);
    bytes.push_back('\0');
    check(cuModuleLoadDataEx(&module, bytes.data(), 0, nullptr, nullptr), "cuModuleLoadDataEx");
    check(cuModuleGetFunction(&function, module, "empty"), "cuModuleGetFunction");
    flagos_blob_destroy(blob);
  }
  void launch() {
    check(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, nullptr, nullptr),
          "cuLaunchKernel");
  }
  void synchronize() { check(cuStreamSynchronize(stream), "cuStreamSynchronize"); }
};

Direct& direct() {
  static Direct driver;
  return driver;
}

void synchronize() {
  must(flagos_stream_synchronize(ours().stream, FLAGOS_TIMEOUT_INFINITE), "synchronize");
}

// `launch` many times, then a wait; beside cuLaunchKernel.
template <typename Launch>
void back_to_back(benchmark::State& state, const Launch& launch) {
  constexpr int count = 200;
  compare(
      state, count,
      [&] {
        for (int i = 0; i < count; ++i) launch();
        synchronize();
      },
      [] {
        for (int i = 0; i < count; ++i) direct().launch();
        direct().synchronize();
      });
}

void launch(benchmark::State& state) {
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  back_to_back(state,
               [&] { must(flagos_kernel_launch(ours().stream, ours().kernel, &desc), "launch"); });
}

void launch_prepared(benchmark::State& state) {
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  flagos_prepared_t* prepared = nullptr;
  must(flagos_kernel_prepare(ours().kernel, &desc, &prepared), "prepare");
  back_to_back(state, [&] {
    must(flagos_kernel_launch_prepared(ours().stream, prepared), "launch_prepared");
  });
  flagos_prepared_destroy(prepared);
}

// The driver's graph of empty kernels, one behind the other.
void* direct_graph() {
  void *made = nullptr, *exec = nullptr, *before = nullptr;
  check(direct().cuGraphCreate(&made, 0), "cuGraphCreate");
  const KernelNode node{direct().function, {1, 1, 1}, {1, 1, 1}, 0,
                        nullptr,           nullptr,   nullptr,   nullptr};
  for (int i = 0; i < graph_nodes; ++i) {
    void* next = nullptr;
    check(direct().cuGraphAddKernelNode_v2(&next, made, &before, i == 0 ? 0 : 1, &node),
          "cuGraphAddKernelNode");
    before = next;
  }
  check(direct().cuGraphInstantiateWithFlags(&exec, made, 0), "cuGraphInstantiateWithFlags");
  return exec;
}

// A graph of many launches beside the driver's.
void graph(benchmark::State& state) {
  BenchDevice& d = ours();
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  flagos_graph_t* made = nullptr;
  flagos_graph_exec_t* exec = nullptr;
  must(flagos_stream_begin_capture(d.stream), "begin_capture");
  for (int i = 0; i < graph_nodes; ++i)
    must(flagos_kernel_launch(d.stream, d.kernel, &desc), "launch");
  must(flagos_stream_end_capture(d.stream, &made), "end_capture");
  must(flagos_graph_instantiate(made, &exec), "instantiate");
  void* const peer = direct_graph();
  compare(
      state, graph_nodes,
      [&] {
        must(flagos_graph_exec_launch(exec, d.stream), "graph_exec_launch");
        synchronize();
      },
      [&] {
        check(direct().cuGraphLaunch(peer, direct().stream), "cuGraphLaunch");
        direct().synchronize();
      });
  flagos_graph_exec_destroy(exec);
  flagos_graph_destroy(made);
}

// Pinned memory to the device.
void copy(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0)) << 20;
  BenchDevice& d = ours();
  const flagos_address_t target = d.alloc(size), source = d.alloc(size, FLAGOS_MEMORY_KIND_PINNED);
  unsigned long long peer_target = 0;
  void* peer_source = nullptr;
  check(direct().cuMemAlloc_v2(&peer_target, size), "cuMemAlloc");
  check(direct().cuMemHostAlloc(&peer_source, size, 1), "cuMemHostAlloc");
  compare(
      state, 1,
      [&] {
        must(flagos_memory_copy(d.stream, target, source, size), "flagos_memory_copy");
        synchronize();
      },
      [&] {
        check(direct().cuMemcpyAsync(peer_target, reinterpret_cast<unsigned long long>(peer_source),
                                     size, direct().stream),
              "cuMemcpyAsync");
        direct().synchronize();
      });
}

// A kernel on one stream, a kernel behind it on another, to and fro: with a timeline, which is core's, beside the driver's own
// writes and waits of values. It says whether timelines by those would be worth what core's do about failed streams.
void timeline(benchmark::State& state) {
  constexpr int hops = 20;
  BenchDevice& d = ours();
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  flagos_stream_t* streams[2] = {d.stream, nullptr};
  flagos_timeline_t* made = nullptr;
  must(flagos_stream_create(d.device, nullptr, &streams[1]), "stream_create");
  must(flagos_timeline_create(d.device, 0, &made), "timeline_create");
  void* peers[2] = {direct().stream, nullptr};
  unsigned long long word = 0;
  check(direct().cuStreamCreateWithPriority(&peers[1], 1, 0), "cuStreamCreateWithPriority");
  check(direct().cuMemAlloc_v2(&word, 8), "cuMemAlloc");
  check(direct().cuStreamWriteValue64_v2(peers[0], word, 0, 0), "cuStreamWriteValue64");
  direct().synchronize();
  std::uint64_t value = 0, peer_value = 0;
  compare(
      state, hops,
      [&] {
        for (int i = 0; i < hops; ++i) {
          flagos_stream_t* const stream = streams[i % 2];
          if (value != 0) must(flagos_stream_wait_timeline(stream, made, value), "wait_timeline");
          must(flagos_kernel_launch(stream, d.kernel, &desc), "launch");
          must(flagos_stream_signal_timeline(stream, made, ++value), "signal_timeline");
        }
        must(flagos_stream_synchronize(streams[1], FLAGOS_TIMEOUT_INFINITE), "synchronize");
      },
      [&] {
        for (int i = 0; i < hops; ++i) {
          void* const stream = peers[i % 2];
          check(direct().cuStreamWaitValue64_v2(stream, word, peer_value, 0),
                "cuStreamWaitValue64");
          check(direct().cuLaunchKernel(direct().function, 1, 1, 1, 1, 1, 1, 0, stream, nullptr,
                                        nullptr),
                "cuLaunchKernel");
          check(direct().cuStreamWriteValue64_v2(stream, word, ++peer_value, 0),
                "cuStreamWriteValue64");
        }
        check(direct().cuStreamSynchronize(peers[1]), "cuStreamSynchronize");
      });
  flagos_timeline_destroy(made);
  flagos_stream_destroy(streams[1]);
}

BENCHMARK(launch)->UseManualTime();
BENCHMARK(launch_prepared)->UseManualTime();
BENCHMARK(graph)->UseManualTime();
BENCHMARK(timeline)->UseManualTime();
BENCHMARK(copy)->ArgName("MiB")->Arg(1)->Arg(64)->UseManualTime();

}  // namespace
}  // namespace flagos::bench

BENCHMARK_MAIN();
