// The opencl plugin through core, beside the same work written against OpenCL directly. Both take turns, so that what
// else the machine does hits both.
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/dynamic_library.hpp"
#include "bench_device.hpp"
#include "compare.hpp"

namespace flagos::bench {
namespace {

const char* empty_source = "__kernel void empty(void) {}";

BenchDevice& ours() {
  static BenchDevice device({FLAGOS_BENCH_OPENCL_PLUGIN}, "opencl-c", "", "empty", empty_source);
  return device;
}

void check(cl_int code, const char* what) {
  if (code == CL_SUCCESS) return;
  std::fprintf(stderr, "%s: %d\n", what, code);
  std::exit(1);
}

// An in-order queue of the first device, as anybody would write it.
struct Direct {
  DynamicLibrary library{"libOpenCL.so.1"};
#define FUNCTION(name) \
  decltype(&::name) name = reinterpret_cast<decltype(&::name)>(library.symbol(#name))
  FUNCTION(clGetPlatformIDs);
  FUNCTION(clGetDeviceIDs);
  FUNCTION(clCreateContext);
  FUNCTION(clCreateCommandQueue);
  FUNCTION(clCreateProgramWithSource);
  FUNCTION(clBuildProgram);
  FUNCTION(clCreateKernel);
  FUNCTION(clSetKernelArg);
  FUNCTION(clCreateBuffer);
  FUNCTION(clReleaseMemObject);
  FUNCTION(clEnqueueNDRangeKernel);
  FUNCTION(clEnqueueReadBuffer);
  FUNCTION(clEnqueueWriteBuffer);
  FUNCTION(clEnqueueCopyBuffer);
  FUNCTION(clFlush);
  FUNCTION(clFinish);
#undef FUNCTION
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;
  cl_kernel kernel = nullptr;

  Direct() {
    cl_platform_id platform = nullptr;
    cl_device_id device = nullptr;
    check(clGetPlatformIDs(1, &platform, nullptr), "clGetPlatformIDs");
    check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr), "clGetDeviceIDs");
    cl_int code = CL_SUCCESS;
    context = clCreateContext(nullptr, 1, &device, nullptr, nullptr, &code);
    check(code, "clCreateContext");
    queue = clCreateCommandQueue(context, device, 0, &code);
    check(code, "clCreateCommandQueue");
    cl_program program = clCreateProgramWithSource(context, 1, &empty_source, nullptr, &code);
    check(code, "clCreateProgramWithSource");
    check(clBuildProgram(program, 1, &device, "", nullptr, nullptr), "clBuildProgram");
    kernel = clCreateKernel(program, "empty", &code);
    check(code, "clCreateKernel");
  }
  void launch() {
    const std::size_t one = 1;
    check(clEnqueueNDRangeKernel(queue, kernel, 1, nullptr, &one, &one, 0, nullptr, nullptr),
          "clEnqueueNDRangeKernel");
    check(clFlush(queue), "clFlush");
  }
};

Direct& direct() {
  static Direct driver;
  return driver;
}

void synchronize() {
  must(flagos_stream_synchronize(ours().stream, FLAGOS_TIMEOUT_INFINITE), "synchronize");
}

void launch_back_to_back(benchmark::State& state) {
  constexpr int count = 200;
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  compare(
      state, count,
      [&] {
        for (int i = 0; i < count; ++i)
          must(flagos_kernel_launch(ours().stream, ours().kernel, &desc), "launch");
        synchronize();
      },
      [] {
        for (int i = 0; i < count; ++i) direct().launch();
        check(direct().clFinish(direct().queue), "clFinish");
      });
}

void launch_and_finish(benchmark::State& state) {
  const flagos_launch_desc_t desc = launch_desc(nullptr, 0);
  compare(
      state, 1,
      [&] {
        must(flagos_kernel_launch(ours().stream, ours().kernel, &desc), "launch");
        synchronize();
      },
      [] {
        direct().launch();
        check(direct().clFinish(direct().queue), "clFinish");
      });
}

enum Way { to_device, from_device, on_device };

void copy(benchmark::State& state, Way way) {
  const auto size = static_cast<std::uint64_t>(state.range(0)) << 20;
  BenchDevice& d = ours();
  Direct& peer = direct();
  std::vector<char> host(size, 1);
  cl_int code = CL_SUCCESS;
  cl_mem buffers[2];
  flagos_address_t memory[2];
  for (int i = 0; i < 2; ++i) {
    buffers[i] = peer.clCreateBuffer(peer.context, CL_MEM_READ_WRITE, size, nullptr, &code);
    check(code, "clCreateBuffer");
    check(peer.clEnqueueWriteBuffer(peer.queue, buffers[i], CL_TRUE, 0, size, host.data(), 0,
                                    nullptr, nullptr),
          "clEnqueueWriteBuffer");
    memory[i] = d.alloc(size);
    must(flagos_memory_copy(d.stream, memory[i], reinterpret_cast<flagos_address_t>(host.data()),
                            size),
         "flagos_memory_copy");
  }
  const auto host_address = reinterpret_cast<flagos_address_t>(host.data());
  const flagos_address_t target = way == from_device ? host_address : memory[0];
  const flagos_address_t source = way == to_device ? host_address : memory[1];
  compare(
      state, 1,
      [&] {
        must(flagos_memory_copy(d.stream, target, source, size), "flagos_memory_copy");
        synchronize();
      },
      [&] {
        if (way == to_device)
          code = peer.clEnqueueWriteBuffer(peer.queue, buffers[0], CL_FALSE, 0, size, host.data(),
                                           0, nullptr, nullptr);
        else if (way == from_device)
          code = peer.clEnqueueReadBuffer(peer.queue, buffers[1], CL_FALSE, 0, size, host.data(), 0,
                                          nullptr, nullptr);
        else
          code = peer.clEnqueueCopyBuffer(peer.queue, buffers[1], buffers[0], 0, 0, size, 0,
                                          nullptr, nullptr);
        check(code, "a copy");
        check(peer.clFinish(peer.queue), "clFinish");
      });
  for (int i = 0; i < 2; ++i) {
    peer.clReleaseMemObject(buffers[i]);
    must(flagos_memory_free(d.device, memory[i]), "flagos_memory_free");
  }
}

BENCHMARK(launch_back_to_back)->UseManualTime();
BENCHMARK(launch_and_finish)->UseManualTime();
BENCHMARK_CAPTURE(copy, to_device, to_device)->Arg(1)->Arg(16)->Arg(256)->UseManualTime();
BENCHMARK_CAPTURE(copy, from_device, from_device)->Arg(1)->Arg(16)->Arg(256)->UseManualTime();
BENCHMARK_CAPTURE(copy, on_device, on_device)->Arg(1)->Arg(16)->Arg(256)->UseManualTime();

}  // namespace
}  // namespace flagos::bench

BENCHMARK_MAIN();
