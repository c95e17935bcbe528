#include "device_run.hpp"

#include <flagos.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace flagos::samples {
namespace {

void check(flagos_status_t status, const char* what) {
  if (status != FLAGOS_STATUS_OK)
    throw std::runtime_error(std::string(what) + ": " + flagos_last_error());
}

// One runtime for the whole program: devices and what was compiled for them stay.
flagos_runtime_t* runtime() {
  static flagos_runtime_t* const all = [] {
    flagos_runtime_t* made = nullptr;
    check(flagos_runtime_create(nullptr, &made), "flagos_runtime_create");
    return made;
  }();
  return all;
}

flagos_device_t* find_device(const std::string& name) {
  static flagos_device_t* open = nullptr;
  static std::string open_name;
  if (open != nullptr && open_name == name) return open;
  std::uint32_t count = 0;
  check(flagos_device_get_count(runtime(), &count), "flagos_device_get_count");
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_device_info_t info{};
    info.struct_size = sizeof info;
    check(flagos_device_describe(runtime(), i, &info), "flagos_device_describe");
    const std::string id = info.id;
    if (id != name && id.substr(0, id.find(':')) != name) continue;
    check(flagos_device_open(runtime(), i, &open), "flagos_device_open");
    open_name = name;
    return open;
  }
  return nullptr;
}

// Everything that one run needs, given back at its end.
class Run {
 public:
  Run(flagos_device_t* device, const std::string& text) : device_(device) {
    check(flagos_stream_create(device_, nullptr, &stream_), "flagos_stream_create");
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.format = "flagos.tile";
    desc.data = text.data();
    desc.size_bytes = text.size();
    check(flagos_module_load(device_, &desc, &module_), "flagos_module_load");
    flagos_kernel_desc_t kernel{};
    kernel.struct_size = sizeof kernel;
    check(flagos_module_get_kernel_name(module_, 0, &kernel.name), "flagos_module_get_kernel_name");
    check(flagos_module_get_kernel(module_, &kernel, &kernel_), "flagos_module_get_kernel");
  }
  ~Run() {
    flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE);
    for (const flagos_address_t address : memory_) flagos_memory_free(device_, address);
    flagos_module_unload(module_);
    flagos_stream_destroy(stream_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void run(const std::vector<DeviceArgument>& arguments, std::uint32_t grid_x,
           std::uint32_t grid_y) {
    std::vector<std::byte> block;
    for (std::uint32_t i = 0; i < arguments.size(); ++i) add(arguments[i], i, block);
    flagos_launch_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.grid[0] = grid_x;
    desc.grid[1] = grid_y;
    desc.grid[2] = desc.block[0] = desc.block[1] = desc.block[2] = 1;
    flagos_kernel_info_t info{};
    info.struct_size = sizeof info;
    check(flagos_kernel_get_info(kernel_, &info), "flagos_kernel_get_info");
    block.resize(info.argument_bytes);
    desc.argument_block = block.data();
    desc.argument_bytes = block.size();
    check(flagos_kernel_launch(stream_, kernel_, &desc), "flagos_kernel_launch");
    std::size_t at = 0;
    for (const DeviceArgument& argument : arguments) {
      if (argument.data != nullptr) copy(host(argument), memory_[at++], argument.size_bytes);
    }
    check(flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE), "flagos_stream_synchronize");
  }

 private:
  static flagos_address_t host(const DeviceArgument& argument) {
    return reinterpret_cast<std::uintptr_t>(argument.data);
  }
  void copy(flagos_address_t target, flagos_address_t source, std::uint64_t size_bytes) {
    check(flagos_memory_copy(stream_, target, source, size_bytes), "flagos_memory_copy");
  }
  // At the place that reflection tells.
  void add(const DeviceArgument& argument, std::uint32_t index, std::vector<std::byte>& block) {
    flagos_parameter_t parameter{};
    check(flagos_kernel_get_parameter(kernel_, index, &parameter), "flagos_kernel_get_parameter");
    std::uint64_t bits = argument.bits;
    if (argument.data != nullptr) {
      flagos_memory_desc_t desc{};
      desc.struct_size = sizeof desc;
      desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
      desc.size_bytes = argument.size_bytes;
      check(flagos_memory_alloc(device_, &desc, &bits), "flagos_memory_alloc");
      memory_.push_back(bits);
      copy(bits, host(argument), argument.size_bytes);
    }
    block.resize(parameter.offset_bytes + parameter.size_bytes);
    std::memcpy(block.data() + parameter.offset_bytes, &bits, parameter.size_bytes);
  }

  flagos_device_t* device_;
  flagos_stream_t* stream_ = nullptr;
  flagos_module_t* module_ = nullptr;
  flagos_kernel_t* kernel_ = nullptr;
  std::vector<flagos_address_t> memory_;
};

}  // namespace

std::string sample_device() {
  const char* name = std::getenv("FLAGOS_SAMPLE_DEVICE");
  return name == nullptr ? "" : name;
}

bool has_device(const std::string& device) { return find_device(device) != nullptr; }

void run_on_device(const std::string& device, const std::string& text,
                   const std::vector<DeviceArgument>& arguments, std::uint32_t grid_x,
                   std::uint32_t grid_y) {
  flagos_device_t* found = find_device(device);
  if (found == nullptr) throw std::runtime_error("there is no device " + device);
  Run(found, text).run(arguments, grid_x, grid_y);
}

}  // namespace flagos::samples
