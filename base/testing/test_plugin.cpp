#include "base/testing/test_plugin.hpp"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace flagos::testing {
namespace {

TestHost& host_of(flagos_host_context_t* context) { return *reinterpret_cast<TestHost*>(context); }

void must(TestHost& host, flagos_status_t status) {
  if (status != FLAGOS_STATUS_OK)
    throw std::runtime_error("the plugin failed in the set-up of a test: " + host.last_error());
}

}  // namespace

TestHost::TestHost() {
  table_.struct_size = sizeof(table_);
  table_.abi_version_min = table_.abi_version_max = FLAGOS_ABI_VERSION;
  table_.context = reinterpret_cast<flagos_host_context_t*>(this);
  table_.set_error = [](flagos_host_context_t* context, flagos_status_t, const char* text) {
    TestHost& host = host_of(context);
    const std::lock_guard lock(host.mutex_);
    host.error_ = text;
  };
  table_.log = [](flagos_host_context_t* context, flagos_log_level_t, const char* text) {
    TestHost& host = host_of(context);
    const std::lock_guard lock(host.mutex_);
    host.log_ += std::string(text) + "\n";
  };
  table_.allocate = [](flagos_host_context_t*, std::uint64_t size, std::uint64_t alignment) {
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  };
  table_.deallocate = [](flagos_host_context_t*, void* pointer) { std::free(pointer); };
  table_.get_config = [](flagos_host_context_t* context, const char* name) -> const char* {
    const Config& values = host_of(context).config;
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  };
  table_.report_device_error = [](flagos_host_context_t* context, flagos_plugin_device_t*, flagos_status_t,
                                  const char*) {
    TestHost& host = host_of(context);
    const std::lock_guard lock(host.mutex_);
    ++host.losses_;
  };
  table_.emit_record = [](flagos_host_context_t* context, flagos_plugin_device_t*, const flagos_record_t* record) {
    TestHost& host = host_of(context);
    const std::lock_guard lock(host.mutex_);
    host.records_.push_back(*record);
  };
  table_.now_ns = [](flagos_host_context_t*) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  };
}

std::string TestHost::last_error() {
  const std::lock_guard lock(mutex_);
  return error_;
}

std::string TestHost::log() {
  const std::lock_guard lock(mutex_);
  return log_;
}

std::vector<flagos_record_t> TestHost::take_records() {
  const std::lock_guard lock(mutex_);
  return std::exchange(records_, {});
}

int TestHost::losses() {
  const std::lock_guard lock(mutex_);
  return losses_;
}

TestInstance::TestInstance(Config config) {
  host.config = std::move(config);
  api.struct_size = sizeof(api);
  opened = flagos_plugin_open(&host.table(), &api);
}

TestInstance::~TestInstance() {
  if (opened == FLAGOS_STATUS_OK) api.close(api.instance);
}

std::uint32_t TestInstance::count() const {
  std::uint32_t count = 0;
  if (opened == FLAGOS_STATUS_OK) api.device->get_count(api.instance, &count);
  return count;
}

flagos_device_info_t TestInstance::info(std::uint32_t index) const {
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  api.device->get_info(api.instance, index, &info);
  return info;
}

TestDevice::TestDevice(Config config, const TestModule& module) : TestInstance(std::move(config)) {
  must(host, opened);
  must(host, api.device->open(api.instance, 0, &device_));
  must(host, load(module.format, module.image.data(), module.image.size(), &module_));
}

TestDevice::~TestDevice() {
  for (flagos_plugin_stream_t* stream : streams_) {
    api.stream->synchronize(stream, forever);
    api.stream->destroy(stream);
  }
  for (flagos_plugin_event_t* event : events_) api.event->destroy(event);
  for (const std::uint64_t address : memory_) api.memory->free(device_, address);
  if (module_ != nullptr) api.module->unload(module_);
  if (device_ != nullptr) api.device->close(device_);
}

flagos_plugin_stream_t* TestDevice::stream(std::int32_t priority) {
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.priority = priority;
  flagos_plugin_stream_t* stream = nullptr;
  must(host, api.stream->create(device_, &desc, &stream));
  streams_.push_back(stream);
  return stream;
}

flagos_plugin_event_t* TestDevice::event(std::uint32_t flags) {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = flags;
  flagos_plugin_event_t* event = nullptr;
  must(host, api.event->create(device_, &desc, &event));
  events_.push_back(event);
  return event;
}

flagos_plugin_kernel_t* TestDevice::kernel(const char* name) {
  flagos_plugin_kernel_t*& kernel = kernels_[name];
  if (kernel == nullptr) {
    flagos_kernel_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.name = name;
    must(host, api.module->get_kernel(module_, &desc, &kernel));
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
  std::uint64_t address = 0;
  must(host, api.memory->alloc(device_, &desc, &address));
  memory_.push_back(address);
  return address;
}

flagos_status_t TestDevice::launch_bytes(flagos_plugin_stream_t* stream, const char* name, const void* arguments,
                                         std::size_t size_bytes, std::uint32_t grid, std::uint32_t block,
                                         std::uint32_t shared_bytes) {
  const flagos_launch_desc_t desc = launch_desc(arguments, size_bytes, grid, block, shared_bytes);
  return api.kernel->launch(stream, kernel(name), &desc);
}

flagos_status_t TestDevice::load(const std::string& format, const void* data, std::size_t size_bytes,
                                 flagos_plugin_module_t** out_module) {
  const flagos_module_desc_t desc = module_desc(format.c_str(), data, size_bytes);
  return api.module->load(device_, &desc, out_module);
}

std::vector<std::uint32_t> TestDevice::read(flagos_plugin_stream_t* stream, std::uint64_t address, std::size_t count) {
  std::vector<std::uint32_t> values(count);
  must(host, copy(stream, address_of(values.data()), address, count * 4));
  must(host, wait(stream));
  return values;
}

flagos_launch_desc_t launch_desc(const void* arguments, std::size_t size_bytes, std::uint32_t grid, std::uint32_t block,
                                 std::uint32_t shared_bytes) {
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

flagos_module_desc_t module_desc(const char* format, const void* data, std::size_t size_bytes) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = format;
  desc.data = data;
  desc.size_bytes = size_bytes;
  return desc;
}

std::vector<std::byte> read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto* first = reinterpret_cast<const std::byte*>(bytes.data());
  return {first, first + bytes.size()};
}

}  // namespace flagos::testing
