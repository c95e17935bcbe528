// What callers are refused for, where no case of the suite and no other test comes along.
#include <doctest/doctest.h>

#include <string>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;
using flagos::core::test::FakeTables;

namespace {

constexpr flagos_status_t ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t patience = 30'000'000'000;

void expect_text(const std::string& part) {
  const std::string text = flagos_last_error();
  CHECK_MESSAGE(text.find(part) != std::string::npos, text);
}

}  // namespace

TEST_CASE("refusals: a struct_size that no version has, and a chained struct that is too short") {
  Fake f;
  flagos_stream_desc_t desc{};
  desc.struct_size = (1u << 16) + 8;
  flagos_stream_t* stream = nullptr;
  CHECK(flagos_stream_create(f.device(), &desc, &stream) == FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  expect_text("struct_size is 65544, more than any version has");
  desc.struct_size = sizeof(desc);
  flagos_extension_t first{}, second{};
  first.struct_size = sizeof(first);
  first.type = FLAGOS_EXTENSION_IGNORABLE | 77;
  first.next = &second;
  second.struct_size = 4;
  desc.next = &first;
  CHECK(flagos_stream_create(f.device(), &desc, &stream) == FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  expect_text("chained struct 2 has struct_size 4");
  CHECK(stream == nullptr);
}

TEST_CASE("refusals: too much memory is told with its kind") {
  FakeOptions options;
  options.change = [](FakeTables& tables) {
    static flagos_status_t (*const alloc)(flagos_plugin_device_t*, const flagos_memory_desc_t*, flagos_address_t*) =
        tables.memory.alloc;
    // It takes managed memory, too.
    tables.memory.alloc = [](flagos_plugin_device_t* device, const flagos_memory_desc_t* desc, flagos_address_t* out) {
      flagos_memory_desc_t used = *desc;
      if (used.kind == FLAGOS_MEMORY_KIND_MANAGED) used.kind = FLAGOS_MEMORY_KIND_DEVICE;
      return alloc(device, &used, out);
    };
  };
  Fake f(options);
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.size_bytes = std::uint64_t{1} << 40;
  flagos_address_t address = 0;
  desc.kind = FLAGOS_MEMORY_KIND_PINNED;
  CHECK(flagos_memory_alloc(f.device(), &desc, &address) == FLAGOS_STATUS_OUT_OF_HOST_MEMORY);
  expect_text("bytes of pinned memory");
  desc.kind = FLAGOS_MEMORY_KIND_MANAGED;
  CHECK(flagos_memory_alloc(f.device(), &desc, &address) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  expect_text("bytes of managed memory");
  CHECK(address == 0);
}

TEST_CASE("refusals: a copy between devices of two runtimes") {
  Fake f;
  Fake other;
  CHECK(flagos_memory_copy_peer(other.stream(), 0x10000, other.device(), 0x20000, f.device(), 256) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  expect_text("belong to two runtimes");
}

TEST_CASE("refusals: the time between records that are held back") {
  Fake f;
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  flagos_event_t* start = nullptr;
  flagos_event_t* end = nullptr;
  REQUIRE(flagos_event_create(f.device(), &desc, &start) == ok);
  REQUIRE(flagos_event_create(f.device(), &desc, &end) == ok);
  flagos_stream_t* const stream = f.stream();
  flagos_timeline_t* const timeline = f.timeline();
  // Core's own timelines: behind the wait all of the stream's work is held back.
  REQUIRE(flagos_stream_wait_timeline(stream, timeline, 1) == ok);
  REQUIRE(flagos_event_record(start, stream) == ok);
  REQUIRE(flagos_event_record(end, stream) == ok);
  std::int64_t elapsed = 5;
  CHECK(flagos_event_get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_NOT_READY);
  CHECK(elapsed == 0);
  REQUIRE(flagos_timeline_signal(timeline, 1) == ok);
  CHECK(flagos_stream_synchronize(stream, patience) == ok);
  CHECK(flagos_event_get_elapsed(start, end, &elapsed) == ok);
  CHECK(flagos_event_destroy(start) == ok);
  CHECK(flagos_event_destroy(end) == ok);
}

TEST_CASE("refusals: the image of a module that the plugin does not keep") {
  FakeOptions options;
  options.change = [](FakeTables& tables) { tables.module.get_binary = nullptr; };
  Fake f(options);
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = "fake";
  desc.data = "fake";
  desc.size_bytes = 4;
  flagos_module_t* module = nullptr;
  REQUIRE(flagos_module_load(f.device(), &desc, &module) == ok);
  std::uint64_t size = 0;
  CHECK(flagos_module_get_binary(module, 0, nullptr, &size) == FLAGOS_STATUS_UNSUPPORTED);
  expect_text("does not keep the images of modules");
  CHECK(flagos_module_unload(module) == ok);
}
