#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/native_object.hpp"
#include "plugins/nvidia/signature.hpp"
#include "plugins/nvidia/test_plugin.hpp"

namespace flagos::nvidia::test {
namespace {

struct StepArguments {
  std::uint64_t data;
  std::uint32_t factor;
  std::uint32_t value;
};
struct PairArguments {
  std::uint64_t out;
  float a;
  std::uint8_t b;
};

flagos_status_t load_text(TestDevice& device, const std::string& format, const std::string& text) {
  flagos_plugin_module_t* module = nullptr;
  const flagos_status_t status = device.load(format, text.data(), text.size(), &module);
  if (module != nullptr) device.api.module->unload(module);
  return status;
}

TEST_CASE("kernel: launches of a stream run in order") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t data = device.alloc(4);
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i < 500; ++i) {
    REQUIRE(device.launch(stream, "test_step", StepArguments{data, 3, i}) == FLAGOS_STATUS_OK);
    expected = expected * 3 + i;
  }
  CHECK(device.read(stream, data, 1)[0] == expected);
}

TEST_CASE("kernel: the compiler tells what a kernel takes; limits of its own hold") {
  TestDevice device;
  flagos_kernel_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(device.api.kernel->get_info(device.kernel("test_pair"), &info) == FLAGOS_STATUS_OK);
  CHECK(info.flags == FLAGOS_KERNEL_FLAG_SIGNATURE);
  CHECK(info.parameter_count == 2);
  CHECK(info.argument_bytes == sizeof(PairArguments));
  CHECK(info.max_block_threads == 64);
  flagos_parameter_t parameter{};
  CHECK(device.api.kernel->get_parameter(device.kernel("test_pair"), 0, &parameter) ==
        FLAGOS_STATUS_OK);
  CHECK(parameter.dtype == FLAGOS_DTYPE_ADDRESS);
  CHECK(device.api.kernel->get_parameter(device.kernel("test_pair"), 1, &parameter) ==
        FLAGOS_STATUS_OK);
  CHECK(parameter.dtype == FLAGOS_DTYPE_BYTES);
  CHECK(parameter.size_bytes == 8);
  CHECK(parameter.offset_bytes == 8);
  REQUIRE(device.api.kernel->get_info(device.kernel("test_fail"), &info) == FLAGOS_STATUS_OK);
  CHECK(info.parameter_count == 1);  // that for the failure is no argument
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t out = device.alloc(4 * sizeof(float));
  CHECK(device.launch(stream, "test_pair", PairArguments{out, 0.5f, 3}, 1, 4, 16) ==
        FLAGOS_STATUS_OK);
  for (const std::uint32_t word : device.read(stream, out, 4)) {
    float value = 0;
    std::memcpy(&value, &word, sizeof(value));
    CHECK(value == 3.5f);
  }
}

TEST_CASE("kernel: threads of a warp exchange values and vote") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t out = device.alloc(4 * 64);
  CHECK(device.launch(stream, "test_warp", out, 1, 64) == FLAGOS_STATUS_OK);
  const std::vector<std::uint32_t> sums = device.read(stream, out, 64);
  for (std::uint32_t i = 0; i < 64; ++i) CHECK(sums[i] == (i < 32 ? 496u : 1520u) + 16);
}

TEST_CASE("kernel: a reported failure poisons its stream alone, and work behind it is skipped") {
  TestDevice device;
  flagos_plugin_stream_t *stream = device.stream(), *other = device.stream();
  const std::uint64_t data = device.alloc(4);
  const std::int32_t status = FLAGOS_STATUS_EXECUTION_FAILED;
  REQUIRE(device.launch(stream, "test_fail", status) == FLAGOS_STATUS_OK);
  device.launch(stream, "test_step", StepArguments{data, 1, 1});
  CHECK(device.wait(stream) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.host.last_error().find("'test_fail' reported failure") != std::string::npos);
  CHECK(device.launch(stream, "test_step", StepArguments{data, 1, 1}) ==
        FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.read(other, data, 1)[0] == 0);
  CHECK(device.host.losses() == 0);
}

TEST_CASE(
    "kernel: work behind a launch that may fail is held back, and runs in order when it did not") {
  TestDevice device;
  flagos_plugin_stream_t *stream = device.stream(), *other = device.stream();
  auto* const flag =
      reinterpret_cast<volatile std::uint32_t*>(device.alloc(4, FLAGOS_MEMORY_KIND_PINNED));
  const std::uint64_t data = device.alloc(4);
  flagos_plugin_event_t* event = device.event();
  REQUIRE(device.launch(stream, "test_wait_and_fail",
                        address_of(const_cast<const std::uint32_t*>(flag))) == FLAGOS_STATUS_OK);
  for (std::uint32_t i = 1; i < 10; ++i)
    REQUIRE(device.launch(stream, "test_step", StepArguments{data, 10, i}) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->record(event, stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->wait_event(other, event) == FLAGOS_STATUS_OK);
  CHECK(device.launch(other, "test_step", StepArguments{data, 2, 0}) == FLAGOS_STATUS_OK);
  CHECK(device.api.event->synchronize(event, 0) == FLAGOS_STATUS_TIMEOUT);
  *flag = 1;
  CHECK(device.wait(other) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, data, 1)[0] == 2u * 123456789u);
}

TEST_CASE(
    "kernel: one that faults loses the device, once; others go on, and opening it again works") {
  const Config config;
  TestInstance after;
  {
    TestDevice device;
    flagos_plugin_stream_t* stream = device.stream();
    const std::uint64_t nothing = 0;
    REQUIRE(device.launch_bytes(stream, "test_fault", &nothing, 0) == FLAGOS_STATUS_OK);
    CHECK(device.wait(stream) == FLAGOS_STATUS_DEVICE_LOST);
    CHECK(device.host.last_error().find("CUDA_ERROR_LAUNCH_FAILED (719)") != std::string::npos);
    CHECK(device.api.device->query_status(device.get()) == FLAGOS_STATUS_DEVICE_LOST);
    CHECK(device.wait(stream) == FLAGOS_STATUS_DEVICE_LOST);
    CHECK(device.host.losses() == 1);
  }
  TestDevice again;
  flagos_plugin_stream_t* stream = again.stream();
  const std::uint64_t data = again.alloc(4);
  CHECK(again.launch(stream, "test_step", StepArguments{data, 1, 5}) == FLAGOS_STATUS_OK);
  CHECK(again.read(stream, data, 1)[0] == 5);
}

TEST_CASE("module: what is wrong with an image is said, and nothing reaches the driver's loader") {
  TestDevice device;
  CHECK(load_text(device, "ptx", "no code at all") == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(load_text(device, "cubin", "no code at all") == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(load_text(device, "fatbin", std::string(100, 'x')) == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(load_text(device, "ptx", ".version 99.0\n.target sm_80\n.address_size 64\n") ==
        FLAGOS_STATUS_UNSUPPORTED);
  CHECK(device.host.last_error().find("PTX 99.0") != std::string::npos);
  CHECK(device.host.last_error().find("install a newer driver") != std::string::npos);
  CHECK(load_text(device, "cuda-c", "extern \"C\" __global__ void broken( {") ==
        FLAGOS_STATUS_COMPILE_FAILED);
  CHECK(device.host.last_error().find("kernels.cu") != std::string::npos);
}

TEST_CASE("module: a compiled image loads again, and a cut one does not") {
  TestDevice device;
  const TestModule source = test_kernels();
  const flagos_module_desc_t desc = module_desc("cuda-c", source.image.data(), source.image.size());
  flagos_compiled_t compiled{};
  compiled.struct_size = sizeof(compiled);
  REQUIRE(device.api.module->compile(device.get(), &desc, &compiled) == FLAGOS_STATUS_OK);
  const std::string image(static_cast<const char*>(compiled.data), compiled.size_bytes);
  const std::string format = compiled.format;
  device.api.module->free_compiled(device.get(), &compiled);
  CHECK(format == "cubin");
  CHECK(load_text(device, format, image) == FLAGOS_STATUS_OK);
  CHECK(load_text(device, format, image.substr(0, image.size() - 1)) ==
        FLAGOS_STATUS_INVALID_IMAGE);
  // In a fatbin: a header of 16 bytes around it.
  std::string fatbin(16, '\0');
  const std::uint32_t magic = 0xba55ed50;
  const std::uint16_t header_bytes = 16;
  const std::uint64_t size = image.size();
  std::memcpy(fatbin.data(), &magic, 4);
  std::memcpy(fatbin.data() + 6, &header_bytes, 2);
  std::memcpy(fatbin.data() + 8, &size, 8);
  CHECK(load_text(device, "fatbin", fatbin + image) == FLAGOS_STATUS_OK);
  CHECK(load_text(device, "fatbin", (fatbin + image).substr(0, 100)) ==
        FLAGOS_STATUS_INVALID_IMAGE);
}

TEST_CASE("module: kernels are found in a source, by what stands there") {
  constexpr std::string_view source = R"(
extern "C" __global__ void __launch_bounds__(128) one(float* a) {}
extern "C" __global__ void two(int n, int* flagos_failure) {}
template <typename T> __global__ void three(T* a) {}
#define KERNEL extern "C" __global__ void
KERNEL four(int* flagos_failure) {}
)";
  CHECK(kernels_in_source(source) == std::vector<std::string>{"one", "two", "three", "four"});
  CHECK(failing_in_source(source) == std::vector<std::string>{"two", "four"});
}

TEST_CASE("interop: a stream and memory of the program's own are used as they are") {
  TestDevice device;
  flagos_native_t native{};
  native.struct_size = sizeof(native);
  flagos_plugin_stream_t *stream = device.stream(), *lent = nullptr;
  REQUIRE(device.api.interop->get_native_stream(stream, &native) == FLAGOS_STATUS_OK);
  CHECK(std::string(native.type) == "CUstream");
  REQUIRE(device.api.interop->wrap_native_stream(device.get(), &native, 0, &lent) ==
          FLAGOS_STATUS_OK);
  const std::uint64_t data = device.alloc(4096);
  CHECK(device.launch(lent, "test_step", StepArguments{data, 1, 6}) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, data, 1)[0] == 6);
  device.api.stream->destroy(lent);
  native = {};
  native.struct_size = sizeof(native);
  REQUIRE(device.api.interop->get_native_memory(device.get(), data + 16, &native) ==
          FLAGOS_STATUS_OK);
  CHECK(native.handles[0] + native.handles[2] == data + 16);
  flagos_native_t wrong = native;
  wrong.handles[0] = 64;
  flagos_address_t address = 0;
  CHECK(device.api.interop->wrap_native_memory(device.get(), &wrong, 64, 0, &address) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  wrong = native;
  wrong.handles[1] ^= 8;
  CHECK(device.api.interop->wrap_native_memory(device.get(), &wrong, 64, 0, &address) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
}

struct MeetArguments {
  std::uint64_t counters;
  std::uint32_t together, rounds;
};

flagos_status_t meet(TestDevice& device, flagos_plugin_stream_t* stream, std::uint64_t counters,
                     std::uint32_t grid, std::uint32_t together, std::uint32_t flags) {
  const MeetArguments arguments{counters, together, 5};
  flagos_launch_desc_t desc = launch_desc(&arguments, sizeof(arguments), grid, 32);
  desc.flags = flags;
  return device.api.kernel->launch(stream, device.kernel("test_meet"), &desc);
}

TEST_CASE("kernel: blocks of a cooperative launch meet; more than there is room for are refused") {
  TestDevice device;
  CHECK((device.info(0).capabilities & FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH) != 0);
  CHECK((device.info(0).capabilities & FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH) == 0);
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t counters = device.alloc(4);
  // More than run at once where nobody asked for it.
  REQUIRE(meet(device, stream, counters, 12, 12, FLAGOS_LAUNCH_FLAG_COOPERATIVE) ==
          FLAGOS_STATUS_OK);
  CHECK(device.read(stream, counters, 1)[0] == 12 * 5);
  // Core does not let it come so far.
  CHECK(meet(device, stream, counters, 129, 129, FLAGOS_LAUNCH_FLAG_COOPERATIVE) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.host.last_error().find("CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE") !=
        std::string::npos);
}

TEST_CASE("kernel: blocks of a cluster run at once, clusters one after the other") {
  const Setting hopper("FLAGOS_FAKE_CUDA_CAPABILITY", "90");
  TestDevice device;
  CHECK((device.info(0).capabilities & FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH) != 0);
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t counters = device.alloc(4 * 16);
  REQUIRE(meet(device, stream, counters, 128, 8, FLAGOS_LAUNCH_CLUSTER(8, 1, 1)) ==
          FLAGOS_STATUS_OK);
  CHECK(device.read(stream, counters, 16) == std::vector<std::uint32_t>(16, 8 * 5));
  CHECK(meet(device, stream, counters, 128, 16, FLAGOS_LAUNCH_CLUSTER(16, 1, 1)) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.host.last_error() == "clusters of 16 blocks of 'test_meet'; they may have 8");
}

}  // namespace
}  // namespace flagos::nvidia::test
