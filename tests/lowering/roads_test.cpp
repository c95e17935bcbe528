// A processor that speaks OpenCL has two roads for portable kernels: vectors, and behind it groups of one thread, for what
// vectors cannot say. Core takes the first that does not refuse.
#include <doctest/doctest.h>
#include <flagos.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace {

void check(flagos_status_t status) {
  INFO(std::string(flagos_last_error()));
  REQUIRE(status == FLAGOS_STATUS_OK);
}

struct Device {
  flagos_runtime_t* runtime = nullptr;
  flagos_device_t* device = nullptr;
  flagos_stream_t* stream = nullptr;
  flagos_device_info_t info{};
  Device() {
    check(flagos_runtime_create(nullptr, &runtime));
    std::uint32_t index = 0;
    if (flagos_device_find(runtime, "opencl:0", &index) != FLAGOS_STATUS_OK) return;
    check(flagos_device_open(runtime, index, &device));
    check(flagos_stream_create(device, nullptr, &stream));
    info.struct_size = sizeof info;
    check(flagos_device_get_info(device, &info));
  }
  ~Device() {
    flagos_stream_destroy(stream);
    flagos_device_close(device);
    flagos_runtime_destroy(runtime);
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  bool is_processor() const {
    if (device != nullptr && info.type == FLAGOS_DEVICE_TYPE_CPU) return true;
    MESSAGE("skipped: no processor that speaks OpenCL");
    return false;
  }
  std::vector<std::string> targets() const {
    std::vector<std::string> found;
    for (std::uint32_t i = 0;; ++i) {
      flagos_format_info_t format{};
      format.struct_size = sizeof format;
      if (flagos_module_get_format(device, i, &format) != FLAGOS_STATUS_OK) return found;
      if (std::string(format.name) == "opencl-c") found.emplace_back(format.target);
    }
  }
  flagos_status_t load(const std::string& text, const std::string& options,
                       flagos_module_t** module) const {
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.format = "flagos.tile";
    desc.data = text.data();
    desc.size_bytes = text.size();
    desc.options = options.c_str();
    return flagos_module_load(device, &desc, module);
  }
};

// x + 5 of `count` numbers in one program, one at a time around a loop: both turns of it are in scratch. It is called like a
// function of OpenCL C.
std::string counting(int count) {
  std::string text =
      "flagos.tile 1.0\nkernel @max(%x: ptr<f32>) {\n%z = const {value=0} : i32\n%o = const "
      "{value=1} : i32\n"
      "%n = const {value=5} : i32\n%v = view %x {shape=[COUNT], strides=[1]} : view<f32, 1>\n"
      "%a = load %v, %z : tile<COUNTxf32>\n%f = const {value=1.0} : tile<COUNTxf32>\n"
      "%r = for %z, %n, %o, %a : tile<COUNTxf32> do (%i: i32, %c: tile<COUNTxf32>) {\n"
      "%s = add %c, %f : tile<COUNTxf32>\nyield %s\n}\nstore %v, %z, %r\n}\n";
  const std::string number = std::to_string(count);
  for (std::size_t at = 0; (at = text.find("COUNT", at)) != std::string::npos;)
    text.replace(at, 5, number);
  return text;
}

void run_counting(const Device& d, flagos_module_t* module, int count) {
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 1000);
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.name = "max";
  flagos_kernel_t* kernel = nullptr;
  check(flagos_module_get_kernel(module, &desc, &kernel));
  flagos_kernel_info_t info{};
  info.struct_size = sizeof info;
  check(flagos_kernel_get_info(kernel, &info));
  CHECK(std::string(info.name) == "max");
  flagos_memory_desc_t memory{};
  memory.struct_size = sizeof memory;
  memory.kind = FLAGOS_MEMORY_KIND_DEVICE;
  memory.size_bytes = numbers.size() * sizeof(float);
  flagos_address_t address = 0;
  check(flagos_memory_alloc(d.device, &memory, &address));
  const auto host = reinterpret_cast<std::uintptr_t>(numbers.data());
  check(flagos_memory_copy(d.stream, address, host, memory.size_bytes));
  flagos_argument_t argument{};
  argument.dtype = FLAGOS_DTYPE_ADDRESS;
  argument.value = address;
  flagos_launch_desc_t launch{};
  launch.struct_size = sizeof launch;
  for (int i = 0; i < 3; ++i) launch.grid[i] = launch.block[i] = 1;
  launch.argument_count = 1;
  launch.arguments = &argument;
  check(flagos_kernel_launch(d.stream, kernel, &launch));
  check(flagos_memory_copy(d.stream, host, address, memory.size_bytes));
  check(flagos_stream_synchronize(d.stream, FLAGOS_TIMEOUT_INFINITE));
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    wrong += numbers[i] != static_cast<float>(i % 1000 + 5) ? 1 : 0;
  CHECK(wrong == 0);
  check(flagos_memory_free(d.device, address));
}

}  // namespace

TEST_CASE("a processor has vectors first, and then groups of one thread") {
  const Device d;
  if (!d.is_processor()) return;
  const std::vector<std::string> targets = d.targets();
  REQUIRE(targets.size() == 2);
  CHECK(targets[0].starts_with("opencl-c;schedule=serial;vector="));
  CHECK(targets[1].starts_with("opencl-c;threads=1;local="));
}

TEST_CASE("what needs more scratch than vectors have takes the other road") {
  const Device d;
  if (!d.is_processor()) return;
  const std::string first = "target=" + d.targets()[0], second = "target=" + d.targets()[1];
  flagos_module_t* module = nullptr;
  // Both roads, where both can.
  for (const std::string& options : {std::string(), first, second}) {
    CAPTURE(options);
    check(d.load(counting(1000), options, &module));
    run_counting(d, module, 1000);
    check(flagos_module_unload(module));
  }
  CHECK(d.load(counting(200000), first, &module) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(std::string(flagos_last_error()).find("bytes of scratch for a program") !=
        std::string::npos);
  check(d.load(counting(200000), "", &module));
  run_counting(d, module, 200000);
  check(flagos_module_unload(module));
}
