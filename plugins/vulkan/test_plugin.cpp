#include "plugins/vulkan/test_plugin.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "plugins/vulkan/host.hpp"

namespace flagos::vulkan::test {
namespace {

void must(flagos_status_t status, const char* what) {
  if (status != FLAGOS_STATUS_OK)
    throw std::runtime_error(std::string("in the set-up of a test: ") + what);
}

TestHost& host_of(flagos_host_context_t* context) { return *reinterpret_cast<TestHost*>(context); }

std::vector<std::byte> read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto* first = reinterpret_cast<const std::byte*>(bytes.data());
  return {first, first + bytes.size()};
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
    const auto& values = host_of(context).config;
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  };
  table_.report_device_error = [](flagos_host_context_t* context, flagos_plugin_device_t*,
                                  flagos_status_t, const char*) {
    TestHost& host = host_of(context);
    const std::lock_guard lock(host.mutex_);
    ++host.device_errors_;
  };
  table_.emit_record = [](flagos_host_context_t* context, flagos_plugin_device_t*,
                          const flagos_record_t* record) {
    TestHost& host = host_of(context);
    const std::lock_guard lock(host.mutex_);
    host.records_.push_back(*record);
  };
  table_.now_ns = [](flagos_host_context_t*) { return host_now_ns(); };
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

int TestHost::device_errors() {
  const std::lock_guard lock(mutex_);
  return device_errors_;
}

TestPlugin::TestPlugin(const Config& config) {
  host.config = config;
  api.struct_size = sizeof(api);
  must(flagos_plugin_open(&host.table(), &api), "flagos_plugin_open");
}

TestPlugin::~TestPlugin() { api.close(api.instance); }

std::uint32_t TestPlugin::device_count() {
  std::uint32_t count = 0;
  must(api.device->get_count(api.instance, &count), "get_count");
  return count;
}

TestDevice::TestDevice(const Config& config) : TestPlugin(config) {
  if (device_count() == 0) {
    std::printf("skipped: %s", host.log().c_str());
    std::fflush(stdout);
    std::_Exit(77);
  }
  must(api.device->open(api.instance, 0, &device_), "open");
  const std::vector<std::byte> image = test_spirv();
  const flagos_module_desc_t desc = module_desc("spirv", image);
  must(api.module->load(device_, &desc, &module_), "load");
}

TestDevice::~TestDevice() {
  for (flagos_plugin_stream_t* stream : streams_) api.stream->destroy(stream);
  for (flagos_plugin_event_t* event : events_) api.event->destroy(event);
  for (const std::uint64_t address : memory_) api.memory->free(device_, address);
  api.module->unload(module_);
  api.device->close(device_);
}

flagos_plugin_stream_t* TestDevice::stream() {
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof(desc);
  must(api.stream->create(device_, &desc, &streams_.emplace_back()), "stream create");
  return streams_.back();
}

flagos_plugin_event_t* TestDevice::event(std::uint32_t flags) {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = flags;
  must(api.event->create(device_, &desc, &events_.emplace_back()), "event create");
  return events_.back();
}

flagos_plugin_kernel_t* TestDevice::kernel(const char* name) {
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.name = name;
  flagos_plugin_kernel_t* kernel = nullptr;
  must(api.module->get_kernel(module_, &desc, &kernel), name);
  return kernel;
}

std::uint64_t TestDevice::alloc(std::uint64_t size_bytes, flagos_memory_kind_t kind) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = kind;
  desc.size_bytes = size_bytes;
  desc.alignment_bytes = 256;
  must(api.memory->alloc(device_, &desc, &memory_.emplace_back()), "alloc");
  return memory_.back();
}

flagos_status_t TestDevice::launch_bytes(flagos_plugin_stream_t* stream, const char* name,
                                         const void* arguments, std::size_t size_bytes,
                                         std::uint32_t grid, std::uint32_t block) {
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.grid[0] = grid;
  desc.block[0] = block;
  desc.grid[1] = desc.grid[2] = desc.block[1] = desc.block[2] = 1;
  desc.argument_block = arguments;
  desc.argument_bytes = size_bytes;
  return api.kernel->launch(stream, kernel(name), &desc);
}

flagos_module_desc_t module_desc(const char* format, const std::vector<std::byte>& image) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = format;
  desc.data = image.data();
  desc.size_bytes = image.size();
  return desc;
}

std::vector<std::byte> test_spirv() { return read_file(FLAGOS_VULKAN_TEST_SPIRV); }
std::vector<std::byte> test_glsl() { return read_file(FLAGOS_VULKAN_TEST_GLSL); }

}  // namespace flagos::vulkan::test
