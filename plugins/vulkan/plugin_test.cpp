#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>

#include "plugins/vulkan/test_plugin.hpp"

namespace flagos::vulkan::test {
namespace {

struct AddArguments {
  std::uint64_t target;
  std::uint32_t count;
  std::uint32_t more;
};

std::vector<std::uint32_t> random_words(std::size_t count) {
  const auto seed = std::random_device{}();
  MESSAGE("seed ", seed);
  std::mt19937 random(seed);
  std::vector<std::uint32_t> words(count);
  std::generate(words.begin(), words.end(), std::ref(random));
  return words;
}

// To the device, through a kernel that adds 7, and back.
void there_and_back(TestDevice& device, std::size_t count) {
  flagos_plugin_stream_t* const stream = device.stream();
  const std::vector<std::uint32_t> words = random_words(count);
  std::vector<std::uint32_t> back(count);
  const std::uint64_t memory = device.alloc(count * 4);
  REQUIRE(device.copy(stream, memory, address_of(words.data()), count * 4) == FLAGOS_STATUS_OK);
  const AddArguments arguments{memory, static_cast<std::uint32_t>(count), 7};
  const auto grid = static_cast<std::uint32_t>((count + 63) / 64);
  REQUIRE(device.launch(stream, "test_add", arguments, grid, 64) == FLAGOS_STATUS_OK);
  REQUIRE(device.copy(stream, address_of(back.data()), memory, count * 4) == FLAGOS_STATUS_OK);
  REQUIRE(device.wait(stream) == FLAGOS_STATUS_OK);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) wrong += back[i] != words[i] + 7;
  CHECK(wrong == 0);
}

TEST_CASE("plugin: a machine without the loader has no devices, and the log says why") {
  TestInstance plugin(Config{{"FLAGOS_VULKAN_DRIVER", "/nowhere/libvulkan.so.1"}});
  CHECK(plugin.count() == 0);
  CHECK(plugin.host.log().find("/nowhere/libvulkan.so.1") != std::string::npos);
  CHECK(plugin.host.log().find("libvulkan1") != std::string::npos);
}

TEST_CASE("plugin: the filter chooses devices, and names an entry that matches none") {
  TestDevice all;
  TestInstance one(Config{{"FLAGOS_VULKAN_DEVICES", "0,0,no such device"}});
  CHECK(one.count() == 1);
  CHECK(one.host.log().find("no such device") != std::string::npos);
  TestInstance none(Config{{"FLAGOS_VULKAN_DEVICES", "no such device"}});
  CHECK(none.count() == 0);
}

TEST_CASE("plugin: memory, a kernel, and back") {
  TestDevice device;
  for (const std::size_t count : {1, 1000, 300'000, 3'000'000}) there_and_back(device, count);
}

TEST_CASE("plugin: the same where the host cannot reach the device's memory") {
  TestDevice device(Config{{"FLAGOS_VULKAN_STAGING", "1"}});
  for (const std::size_t count : {1, 1000, 300'000, 3'000'000}) there_and_back(device, count);
}

TEST_CASE("plugin: fills of every start and length near a word's ends") {
  TestDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  const std::uint64_t memory = device.alloc(64);
  for (std::uint32_t start = 0; start < 8; ++start) {
    for (std::uint32_t size = 1; size < 20; ++size) {
      const std::uint8_t nothing = 0;
      const std::uint8_t pattern = 0xa5;
      std::vector<std::uint8_t> back(64);
      std::vector<std::uint8_t> expected(64);
      std::fill_n(expected.begin() + start, size, pattern);
      REQUIRE(device.api.memory->fill(stream, memory, &nothing, 1, 64) == FLAGOS_STATUS_OK);
      REQUIRE(device.api.memory->fill(stream, memory + start, &pattern, 1, size) ==
              FLAGOS_STATUS_OK);
      REQUIRE(device.copy(stream, address_of(back.data()), memory, 64) == FLAGOS_STATUS_OK);
      REQUIRE(device.wait(stream) == FLAGOS_STATUS_OK);
      CHECK(back == expected);
    }
  }
}

TEST_CASE("plugin: arguments that push constants do not hold") {
  TestDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  struct {
    std::uint64_t target;
    std::uint64_t words[80];
  } arguments{};
  std::vector<std::uint32_t> back(80);
  arguments.target = device.alloc(80 * 4);
  for (std::uint64_t i = 0; i < 80; ++i) arguments.words[i] = i * i;
  REQUIRE(device.launch(stream, "test_large", arguments, 2, 64) == FLAGOS_STATUS_OK);
  REQUIRE(device.copy(stream, address_of(back.data()), arguments.target, 320) == FLAGOS_STATUS_OK);
  REQUIRE(device.wait(stream) == FLAGOS_STATUS_OK);
  for (std::uint32_t i = 0; i < 80; ++i) CHECK(back[i] == i * i);
}

TEST_CASE("plugin: a kernel that has its buffers bound to it") {
  TestDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  flagos_parameter_t target{};
  REQUIRE(device.api.kernel->get_parameter(device.kernel("test_bound"), 0, &target) ==
          FLAGOS_STATUS_OK);
  CHECK(target.dtype == FLAGOS_DTYPE_ADDRESS);
  for (const auto kind : {FLAGOS_MEMORY_KIND_DEVICE, FLAGOS_MEMORY_KIND_PINNED}) {
    const std::vector<std::uint32_t> words = random_words(200);
    std::vector<std::uint32_t> back(200);
    const std::uint64_t memory = device.alloc(800, kind);
    REQUIRE(device.copy(stream, memory, address_of(words.data()), 800) == FLAGOS_STATUS_OK);
    // More launches than one batch has sets for.
    for (int i = 0; i < 100; ++i) {
      const AddArguments arguments{memory + 40, 100, 3};
      REQUIRE(device.launch(stream, "test_bound", arguments, 2, 64) == FLAGOS_STATUS_OK);
    }
    REQUIRE(device.copy(stream, address_of(back.data()), memory, 800) == FLAGOS_STATUS_OK);
    REQUIRE(device.wait(stream) == FLAGOS_STATUS_OK);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < 200; ++i)
      wrong += back[i] != words[i] + (i >= 10 && i < 110 ? 300 : 0);
    CHECK(wrong == 0);
  }
  std::uint32_t ordinary = 0;
  const AddArguments nowhere{address_of(&ordinary), 1, 1};
  CHECK(device.launch(stream, "test_bound", nowhere, 1, 1) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.host.last_error().find("argument 0 of kernel 'test_bound'") != std::string::npos);
  CHECK(device.wait(stream) == FLAGOS_STATUS_OK);
}

TEST_CASE("plugin: a kernel that fails poisons its stream until the reset") {
  TestDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  const std::int32_t code = FLAGOS_STATUS_EXECUTION_FAILED;
  REQUIRE(device.launch(stream, "test_fail", code, 1, 1) == FLAGOS_STATUS_OK);
  CHECK(device.wait(stream) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(device.host.last_error().find("test_fail") != std::string::npos);
  const AddArguments arguments{device.alloc(4), 1, 1};
  CHECK(device.launch(stream, "test_add", arguments, 1, 1) == FLAGOS_STATUS_EXECUTION_FAILED);
  REQUIRE(device.api.stream->reset(stream) == FLAGOS_STATUS_OK);
  CHECK(device.launch(stream, "test_add", arguments, 1, 1) == FLAGOS_STATUS_OK);
  CHECK(device.wait(stream) == FLAGOS_STATUS_OK);
}

TEST_CASE("plugin: a host function runs in its turn, and events tell the time") {
  TestDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  flagos_plugin_event_t* const start = device.event();
  flagos_plugin_event_t* const end = device.event();
  const AddArguments arguments{device.alloc(4, FLAGOS_MEMORY_KIND_PINNED), 1, 5};
  auto* const word = reinterpret_cast<std::uint32_t*>(arguments.target);
  *word = 1;
  std::uint32_t seen = 0;
  struct Look {
    std::uint32_t* word;
    std::uint32_t* seen;
  } look{word, &seen};
  REQUIRE(device.api.event->record(start, stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch(stream, "test_add", arguments, 1, 1) == FLAGOS_STATUS_OK);
  const flagos_host_function_t function = [](void* data, flagos_status_t) {
    const Look& self = *static_cast<Look*>(data);
    *self.seen = *self.word;
  };
  REQUIRE(device.api.stream->launch_host(stream, function, &look) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->record(end, stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.event->synchronize(end, forever) == FLAGOS_STATUS_OK);
  CHECK(seen == 6);
  std::int64_t elapsed = -1;
  CHECK(device.api.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_OK);
  CHECK(elapsed >= 0);
}

TEST_CASE("plugin: the device has limits, and a kernel that is not there is named") {
  TestDevice device;
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(device.api.device->get_info(device.api.instance, 0, &info) == FLAGOS_STATUS_OK);
  CHECK(info.max_block_threads > 0);
  CHECK(info.memory_bytes > 0);
  CHECK_THROWS(device.kernel("no_such_kernel"));
  CHECK(device.host.last_error().find("no_such_kernel") != std::string::npos);
  CHECK(device.host.last_error().find("test_add") != std::string::npos);
}

TEST_CASE("plugin: modules of glsl, where there is a compiler") {
  TestDevice device;
  flagos_format_info_t format{};
  format.struct_size = sizeof(format);
  if (device.api.module->get_format(device.get(), 1, &format) == FLAGOS_STATUS_NOT_FOUND) {
    MESSAGE("no compiler for glsl here");
    return;
  }
  CHECK(std::string(format.name) == "glsl");
  const std::vector<std::byte> source = test_glsl();
  const flagos_module_desc_t desc = module_desc("glsl", source);
  flagos_compiled_t compiled{};
  compiled.struct_size = sizeof(compiled);
  REQUIRE(device.api.module->compile(device.get(), &desc, &compiled) == FLAGOS_STATUS_OK);
  flagos_module_desc_t binary = desc;
  binary.format = compiled.format;
  binary.data = compiled.data;
  binary.size_bytes = compiled.size_bytes;
  flagos_plugin_module_t* module = nullptr;
  REQUIRE(device.api.module->load(device.get(), &binary, &module) == FLAGOS_STATUS_OK);
  const char* name = nullptr;
  std::uint32_t count = 0;
  while (device.api.module->get_kernel_name(module, count, &name) == FLAGOS_STATUS_OK) ++count;
  CHECK(count == 4);
  device.api.module->unload(module);
  device.api.module->free_compiled(device.get(), &compiled);

  std::vector<std::byte> wrong(source.begin(), source.end() - 20);
  const flagos_module_desc_t cut = module_desc("glsl", wrong);
  CHECK(device.api.module->compile(device.get(), &cut, &compiled) == FLAGOS_STATUS_COMPILE_FAILED);
  CHECK(std::strlen(compiled.log) > 0);
  device.api.module->free_compiled(device.get(), &compiled);
}

}  // namespace
}  // namespace flagos::vulkan::test
