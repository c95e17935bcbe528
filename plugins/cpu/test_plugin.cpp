#include "plugins/cpu/test_plugin.hpp"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "plugins/cpu/wait.hpp"

// The core's own object, to the plugin; here it is the test's.
struct flagos_host_context_t {
  flagos::cpu::test::TestHost* host;
};

namespace flagos::cpu::test {
namespace {

void must(flagos_status_t status) {
  if (status != FLAGOS_STATUS_OK)
    throw std::runtime_error("the plugin failed in the set-up of a test");
}

}  // namespace

TestHost::TestHost() {
  table_.struct_size = sizeof(table_);
  table_.abi_version_min = table_.abi_version_max = FLAGOS_ABI_VERSION;
  table_.context = reinterpret_cast<flagos_host_context_t*>(this);
  const auto self = [](flagos_host_context_t* context) -> TestHost& {
    return *reinterpret_cast<TestHost*>(context);
  };
  static const auto to_self = self;
  table_.set_error = [](flagos_host_context_t* context, flagos_status_t, const char* text) {
    TestHost& host = to_self(context);
    const std::lock_guard lock(host.mutex_);
    host.error_ = text;
  };
  table_.log = [](flagos_host_context_t*, flagos_log_level_t, const char*) {};
  table_.allocate = [](flagos_host_context_t*, std::uint64_t size, std::uint64_t alignment) {
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  };
  table_.deallocate = [](flagos_host_context_t*, void* pointer) { std::free(pointer); };
  table_.get_config = [](flagos_host_context_t* context, const char* name) -> const char* {
    const auto& values = to_self(context).config;
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  };
  table_.report_device_error = [](flagos_host_context_t*, flagos_plugin_device_t*, flagos_status_t,
                                  const char*) {};
  table_.emit_record = [](flagos_host_context_t* context, flagos_plugin_device_t*,
                          const flagos_record_t* record) {
    TestHost& host = to_self(context);
    const std::lock_guard lock(host.mutex_);
    host.records_.push_back(*record);
  };
  table_.now_ns = [](flagos_host_context_t*) { return now_ns(); };
}

std::string TestHost::last_error() {
  const std::lock_guard lock(mutex_);
  return error_;
}

std::vector<flagos_record_t> TestHost::take_records() {
  const std::lock_guard lock(mutex_);
  return std::exchange(records_, {});
}

TestDevice::TestDevice() {
  api.struct_size = sizeof(api);
  must(flagos_plugin_open(&host.table(), &api));
  must(api.device->open(api.instance, 0, &device_));
  const std::vector<std::byte> image = read_test_kernels();
  const flagos_module_desc_t desc = module_desc(image.data(), image.size());
  must(api.module->load(device_, &desc, &module_));
}

TestDevice::~TestDevice() {
  for (flagos_plugin_stream_t* stream : streams_) api.stream->destroy(stream);
  for (flagos_plugin_event_t* event : events_) api.event->destroy(event);
  for (const std::uint64_t address : memory_) api.memory->free(device_, address);
  api.module->unload(module_);
  api.device->close(device_);
  api.close(api.instance);
}

flagos_plugin_stream_t* TestDevice::stream(std::int32_t priority) {
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.priority = priority;
  must(api.stream->create(device_, &desc, &streams_.emplace_back()));
  return streams_.back();
}

flagos_plugin_event_t* TestDevice::event(std::uint32_t flags) {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = flags;
  must(api.event->create(device_, &desc, &events_.emplace_back()));
  return events_.back();
}

flagos_plugin_kernel_t* TestDevice::kernel(const char* name) {
  flagos_plugin_kernel_t*& kernel = kernels_[name];
  if (kernel == nullptr) {
    flagos_kernel_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.name = name;
    must(api.module->get_kernel(module_, &desc, &kernel));
  }
  return kernel;
}

std::uint64_t TestDevice::alloc(std::uint64_t size_bytes, flagos_memory_kind_t kind) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = kind;
  desc.size_bytes = size_bytes;
  desc.alignment_bytes = 256;
  desc.flags = FLAGOS_MEMORY_FLAG_ZERO;
  must(api.memory->alloc(device_, &desc, &memory_.emplace_back()));
  return memory_.back();
}

flagos_status_t TestDevice::launch_bytes(flagos_plugin_stream_t* stream, const char* name,
                                         const void* arguments, std::size_t size_bytes,
                                         std::uint32_t grid, std::uint32_t block,
                                         std::uint32_t shared_bytes) {
  const flagos_launch_desc_t desc = launch_desc(arguments, size_bytes, grid, block, shared_bytes);
  return api.kernel->launch(stream, kernel(name), &desc);
}

flagos_launch_desc_t launch_desc(const void* arguments, std::size_t size_bytes, std::uint32_t grid,
                                 std::uint32_t block, std::uint32_t shared_bytes) {
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.grid[0] = grid;
  desc.grid[1] = desc.grid[2] = 1;
  desc.block[0] = block;
  desc.block[1] = desc.block[2] = 1;
  desc.shared_bytes = shared_bytes;
  desc.argument_block = arguments;
  desc.argument_bytes = size_bytes;
  return desc;
}

flagos_module_desc_t module_desc(const void* data, std::size_t size_bytes) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = "elf-so";
  desc.data = data;
  desc.size_bytes = size_bytes;
  return desc;
}

std::vector<std::byte> read_test_kernels() {
  std::ifstream file(FLAGOS_CPU_TEST_KERNELS, std::ios::binary);
  const std::vector<char> text((std::istreambuf_iterator<char>(file)),
                               std::istreambuf_iterator<char>());
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

}  // namespace flagos::cpu::test
