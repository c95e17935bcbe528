// The fixture of core's unit tests: a runtime on fake plugins.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "core/entry.hpp"
#include "core/runtime.hpp"
#include "core/test_plugin.hpp"

namespace flagos::core::test {

Fake::Fake(const FakeOptions& options, int plugins) {
  flagos_runtime_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  if (!options.environment) desc.flags |= FLAGOS_RUNTIME_FLAG_NO_ENVIRONMENT;
  REQUIRE(flagos_runtime_create(&desc, &runtime_) == FLAGOS_STATUS_OK);
  for (int i = 0; i < plugins; ++i) {
    FakeOptions used = options;
    if (i > 0) used.name = "other";
    set_fake_options(used);
    ReadSection section(this_thread());
    resolve<Runtime>(runtime_, "runtime").add_opened(used.name, open_fake);
  }
  device_ = open(0);
}

Fake::~Fake() {
  fake().hold = false;
  CHECK(flagos_runtime_destroy(runtime_) == FLAGOS_STATUS_OK);
  CHECK(fake().live_allocations == 0);
  CHECK(fake().live_events == 0);
  CHECK(fake().live_streams == 0);
  CHECK(fake().registered == 0);
  CHECK(fake().live_modules == 0);
  fake().reset();
}

flagos_device_t* Fake::open(std::uint32_t index) {
  flagos_device_t* device = nullptr;
  REQUIRE(flagos_device_open(runtime_, index, &device) == FLAGOS_STATUS_OK);
  return device;
}

flagos_stream_t* Fake::stream(flagos_device_t* device) {
  flagos_stream_t* stream = nullptr;
  REQUIRE(flagos_stream_create(device != nullptr ? device : device_, nullptr, &stream) == FLAGOS_STATUS_OK);
  return stream;
}

flagos_event_t* Fake::event(flagos_device_t* device) {
  flagos_event_t* event = nullptr;
  REQUIRE(flagos_event_create(device != nullptr ? device : device_, nullptr, &event) == FLAGOS_STATUS_OK);
  return event;
}

flagos_timeline_t* Fake::timeline(std::uint64_t value, flagos_device_t* device) {
  flagos_timeline_t* timeline = nullptr;
  REQUIRE(flagos_timeline_create(device != nullptr ? device : device_, value, &timeline) == FLAGOS_STATUS_OK);
  return timeline;
}

flagos_address_t Fake::alloc(std::uint64_t size_bytes, flagos_memory_kind_t kind, flagos_device_t* device,
                             std::uint64_t flags) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = kind;
  desc.size_bytes = size_bytes;
  desc.flags = flags;
  flagos_address_t address = 0;
  REQUIRE(flagos_memory_alloc(device != nullptr ? device : device_, &desc, &address) == FLAGOS_STATUS_OK);
  return address;
}

flagos_kernel_t* Fake::kernel(const char* name) {
  if (module_ == nullptr) {
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.format = "fake";
    desc.data = "fake";
    desc.size_bytes = 4;
    REQUIRE(flagos_module_load(device_, &desc, &module_) == FLAGOS_STATUS_OK);
  }
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.name = name;
  flagos_kernel_t* kernel = nullptr;
  REQUIRE(flagos_module_get_kernel(module_, &desc, &kernel) == FLAGOS_STATUS_OK);
  return kernel;
}

flagos_status_t Fake::launch(flagos_stream_t* stream, const char* name) {
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  return flagos_kernel_launch(stream, kernel(name), &desc);
}

flagos_status_t Fake::append(flagos_stream_t* stream, std::uint32_t value) {
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  desc.argument_block = &value;
  desc.argument_bytes = sizeof(value);
  return flagos_kernel_launch(stream, kernel("append"), &desc);
}

bool comes_true(const std::function<bool()>& condition) {
  for (int i = 0; i < 30'000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return condition();
}

}  // namespace flagos::core::test
