#include "tests/lowering/device.hpp"

#include <cstring>
#include <string_view>

#include "base/error.hpp"

namespace flagos::compiler::test {
namespace {

void check(flagos_status_t status, std::string_view what) {
  if (status != FLAGOS_STATUS_OK) throw_error(status, "{}: {}", what, flagos_last_error());
}

}  // namespace

Device::Device(const std::string& plugin) {
  check(flagos_runtime_create(nullptr, &runtime_), "finding plugins");
  std::uint32_t index = 0;
  check(flagos_device_find(runtime_, (plugin + ":0").c_str(), &index), "finding the device");
  check(flagos_device_open(runtime_, index, &device_), "opening the device");
  info_.struct_size = sizeof info_;
  check(flagos_device_get_info(device_, &info_), "describing the device");
  check(flagos_stream_create(device_, nullptr, &stream_), "creating a stream");
}

Device::~Device() {
  for (flagos_module_t* module : modules_) flagos_module_unload(module);
  flagos_stream_destroy(stream_);
  flagos_device_close(device_);
  flagos_runtime_destroy(runtime_);
}

Device::Loaded Device::load(const std::string& format, const std::string& source) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.format = format.c_str();
  desc.data = source.data();
  desc.size_bytes = source.size();
  flagos_module_t* module = nullptr;
  check(flagos_module_load(device_, &desc, &module), "loading");
  modules_.push_back(module);
  return module;
}

std::vector<std::vector<std::byte>> Device::run(Loaded module, const LaunchRecord& record,
                                                const Case& made) {
  flagos_kernel_desc_t kernel_desc{};
  kernel_desc.struct_size = sizeof kernel_desc;
  kernel_desc.name = record.kernel.c_str();
  flagos_kernel_t* kernel = nullptr;
  check(flagos_module_get_kernel(static_cast<flagos_module_t*>(module), &kernel_desc, &kernel),
        "finding the kernel");
  std::vector<flagos_argument_t> arguments;
  struct Addresses : std::vector<flagos_address_t> {
    flagos_device_t* device = nullptr;
    ~Addresses() {
      for (const flagos_address_t address : *this) flagos_memory_free(device, address);
    }
  } addresses;
  addresses.device = device_;
  for (const Case::Argument& argument : made.arguments) {
    flagos_argument_t value{};
    if (argument.pointer) {
      flagos_memory_desc_t desc{};
      desc.struct_size = sizeof desc;
      desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
      desc.size_bytes = argument.memory.size();
      flagos_address_t address = 0;
      check(flagos_memory_alloc(device_, &desc, &address), "allocating");
      addresses.push_back(address);
      check(flagos_memory_copy(stream_, address,
                               reinterpret_cast<std::uintptr_t>(argument.memory.data()),
                               argument.memory.size()),
            "copying in");
      value.dtype = FLAGOS_DTYPE_ADDRESS;
      value.value = address;
    } else {
      value.dtype = compiler::info(argument.dtype).abi;
      std::memcpy(&value.value, argument.memory.data(), argument.memory.size());
    }
    arguments.push_back(value);
  }
  flagos_launch_desc_t launch{};
  launch.struct_size = sizeof launch;
  for (std::size_t i = 0; i < 3; ++i) launch.grid[i] = made.grid[i];
  launch.block[0] = record.threads;
  launch.block[1] = launch.block[2] = 1;
  launch.shared_bytes = static_cast<std::uint32_t>(record.shared_bytes);
  launch.argument_count = static_cast<std::uint32_t>(arguments.size());
  launch.arguments = arguments.data();
  check(flagos_kernel_launch(stream_, kernel, &launch), "launching " + made.name);
  std::vector<std::vector<std::byte>> results;
  std::size_t next = 0;
  for (const Case::Argument& argument : made.arguments) {
    results.emplace_back(argument.memory.size());
    if (!argument.pointer) continue;
    check(flagos_memory_copy(stream_, reinterpret_cast<std::uintptr_t>(results.back().data()),
                             addresses[next++], argument.memory.size()),
          "copying out");
  }
  const flagos_status_t status = flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE);
  const std::string reason = status == FLAGOS_STATUS_OK ? "" : flagos_last_error();
  if (status != FLAGOS_STATUS_OK) throw_error(status, "running {}: {}", made.name, reason);
  return results;
}

}  // namespace flagos::compiler::test
