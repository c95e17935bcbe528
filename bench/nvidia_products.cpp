// Products of the nvidia plugin, which are cuBLASLt's, beside cuBLASLt called directly on the same stream, in turns.
// FLAGOS_NVIDIA_CUBLASLT names another library.
#include <benchmark/benchmark.h>
#include <flagos_ops.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <type_traits>

#include "base/dynamic_library.hpp"
#include "bench_device.hpp"
#include "compare.hpp"

namespace flagos::bench {
namespace {

constexpr std::uint64_t workspace_bytes = std::uint64_t{32} << 20;

void check(int code, const char* what) {
  if (code == 0) return;
  std::fprintf(stderr, "%s: %d\n", what, code);
  std::exit(1);
}

std::string find_library() {
  const char* given = std::getenv("FLAGOS_NVIDIA_CUBLASLT");
  if (given != nullptr && *given != '\0') return given;
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11"}) try {
      const DynamicLibrary library(name);
      return name;
    } catch (const std::exception&) {
    }
  return "libcublasLt.so";
}

struct Lt {
  DynamicLibrary library{find_library()};
#define FUNCTION(name, type) \
  std::add_pointer_t<type> name = reinterpret_cast<std::add_pointer_t<type>>(library.symbol(#name))
  FUNCTION(cublasLtCreate, int(void**));
  FUNCTION(cublasLtDestroy, int(void*));
  FUNCTION(cublasLtMatmulDescCreate, int(void**, int, int));
  FUNCTION(cublasLtMatrixLayoutCreate,
           int(void**, int, std::uint64_t, std::uint64_t, std::int64_t));
  FUNCTION(cublasLtMatmulPreferenceCreate, int(void**));
  FUNCTION(cublasLtMatmulPreferenceSetAttribute, int(void*, int, const void*, std::size_t));
  FUNCTION(cublasLtMatmulAlgoGetHeuristic,
           int(void*, void*, void*, void*, void*, void*, void*, int, void*, int*));
  FUNCTION(cublasLtMatmul,
           int(void*, void*, const void*, const void*, void*, const void*, void*, const void*,
               const void*, void*, void*, void*, const void*, void*, std::size_t, void*));
#undef FUNCTION
};
// cublasLtMatmulHeuristicResult_t, which begins with the algorithm.
struct Choice {
  std::uint64_t algorithm[8];
  std::size_t workspace_size;
  int state;
  float waves;
  int reserved[4];
};

struct World {
  flagos_runtime_t* runtime = nullptr;
  flagos_device_t* device = nullptr;
  flagos_stream_t* stream = nullptr;
  void* native_stream = nullptr;

  World() {
    must(flagos_runtime_create(nullptr, &runtime), "flagos_runtime_create");
    std::uint32_t index = 0;
    must(flagos_device_find(runtime, "nvidia", &index), "flagos_device_find");
    must(flagos_device_open(runtime, index, &device), "flagos_device_open");
    must(flagos_stream_create(device, nullptr, &stream), "flagos_stream_create");
    flagos_native_t object{};
    object.struct_size = sizeof(object);
    must(flagos_stream_get_native(stream, &object), "flagos_stream_get_native");
    native_stream = reinterpret_cast<void*>(object.handles[0]);
    must(flagos_device_get_native(device, &object), "flagos_device_get_native");
    const char* driver = std::getenv("FLAGOS_NVIDIA_DRIVER");
    static const DynamicLibrary library(driver != nullptr ? driver : "libcuda.so.1");
    // flagos leaves no context behind on the thread.
    const auto set_current = reinterpret_cast<int (*)(void*)>(library.symbol("cuCtxSetCurrent"));
    check(set_current(reinterpret_cast<void*>(object.handles[0])), "cuCtxSetCurrent");
  }
  flagos_address_t alloc(std::uint64_t size) const {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = size;
    flagos_address_t address = 0;
    must(flagos_memory_alloc(device, &desc, &address), "flagos_memory_alloc");
    must(flagos_memory_fill(stream, address, "\0\0\0\0", 4, size), "flagos_memory_fill");
    return address;
  }
};

// A square product, in rows: to cuBLASLt, which has columns, it is b times a.
class Direct {
 public:
  Direct(const World& world, int type, std::uint64_t n, const flagos_address_t (&memory)[3])
      : world_(world), workspace_(world.alloc(workspace_bytes)) {
    for (int i = 0; i < 3; ++i) at_[i] = reinterpret_cast<void*>(memory[i]);
    void* preference = nullptr;
    int found = 0;
    check(lt_.cublasLtCreate(&handle_), "cublasLtCreate");
    check(lt_.cublasLtMatmulDescCreate(&desc_, 68, 0), "cublasLtMatmulDescCreate");
    check(lt_.cublasLtMatrixLayoutCreate(&layout_, type, n, n, static_cast<std::int64_t>(n)),
          "cublasLtMatrixLayoutCreate");
    check(lt_.cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    check(lt_.cublasLtMatmulPreferenceSetAttribute(preference, 1, &workspace_bytes,
                                                   sizeof(workspace_bytes)),
          "cublasLtMatmulPreferenceSetAttribute");
    check(lt_.cublasLtMatmulAlgoGetHeuristic(handle_, desc_, layout_, layout_, layout_, layout_,
                                             preference, 1, &choice_, &found),
          "cublasLtMatmulAlgoGetHeuristic");
    check(found == 1 ? 0 : 1, "no algorithm");
  }
  ~Direct() {
    lt_.cublasLtDestroy(handle_);
    flagos_memory_free(world_.device, workspace_);
  }
  Direct(const Direct&) = delete;
  Direct& operator=(const Direct&) = delete;

  void run() {
    const float one = 1, zero = 0;
    check(lt_.cublasLtMatmul(handle_, desc_, &one, at_[1], layout_, at_[0], layout_, &zero, at_[2],
                             layout_, at_[2], layout_, choice_.algorithm,
                             reinterpret_cast<void*>(workspace_), workspace_bytes,
                             world_.native_stream),
          "cublasLtMatmul");
  }

 private:
  const World& world_;
  const Lt lt_;
  void* at_[3];
  const flagos_address_t workspace_;
  void *handle_ = nullptr, *desc_ = nullptr, *layout_ = nullptr;
  Choice choice_{};
};

void product(benchmark::State& state, flagos_dtype_t dtype, int type) {
  static const World world;
  const std::int64_t n = state.range(0), shape[2] = {n, n};
  const std::uint64_t bytes = static_cast<std::uint64_t>(n * n) * (FLAGOS_DTYPE_BITS(dtype) / 8);
  const flagos_address_t memory[3] = {world.alloc(bytes), world.alloc(bytes), world.alloc(bytes)};
  flagos_tensor_t tensors[3];
  for (int i = 0; i < 3; ++i)
    tensors[i] = {sizeof(flagos_tensor_t), dtype, memory[i], 0, 2, shape, nullptr};
  Direct peer(world, type, static_cast<std::uint64_t>(n), memory);
  const int count = n <= 1024 ? 20 : 3;
  const auto wait = [] {
    must(flagos_stream_synchronize(world.stream, FLAGOS_TIMEOUT_INFINITE), "synchronize");
  };
  compare(
      state, count,
      [&] {
        for (int i = 0; i < count; ++i)
          must(flagos_ops_mm(world.stream, &tensors[0], &tensors[1], &tensors[2]), "flagos_ops_mm");
        wait();
      },
      [&] {
        for (int i = 0; i < count; ++i) peer.run();
        wait();
      });
  for (const flagos_address_t address : memory) flagos_memory_free(world.device, address);
}

// By the numbers of CUDA's types: CUDA_R_32F and CUDA_R_16BF.
void product_float32(benchmark::State& state) { product(state, FLAGOS_DTYPE_FLOAT32, 0); }
void product_bfloat16(benchmark::State& state) { product(state, FLAGOS_DTYPE_BFLOAT16, 14); }

BENCHMARK(product_float32)->Arg(64)->Arg(1024)->Arg(4096)->UseManualTime();
BENCHMARK(product_bfloat16)->Arg(64)->Arg(1024)->Arg(4096)->UseManualTime();

}  // namespace
}  // namespace flagos::bench

BENCHMARK_MAIN();
