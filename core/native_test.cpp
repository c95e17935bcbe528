// Objects of the vendor's own API, on a plugin that shows all kinds and wraps all but devices.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "core/test_plugin.hpp"

using flagos::core::test::comes_true;
using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;

FakeOptions with_native() {
  FakeOptions options;
  options.native = true;
  return options;
}

flagos_native_t native_of(const char* type, const void* object) {
  flagos_native_t native{};
  native.struct_size = sizeof(native);
  std::strcpy(native.type, type);
  native.handle_count = 1;
  native.handles[0] = reinterpret_cast<std::uintptr_t>(object);
  return native;
}

flagos_address_t address_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

}  // namespace

TEST_CASE("native objects: a plugin shows those behind its own") {
  Fake f(with_native());
  flagos_native_t native{};
  native.struct_size = sizeof(native);
  const auto shown = [&](const char* type) {
    CHECK(std::string(native.type) == type);
    CHECK(native.handle_count == 1);
    CHECK(native.handles[0] != 0);
  };
  REQUIRE(flagos_device_get_native(f.device(), &native) == FLAGOS_STATUS_OK);
  shown("fake_device");
  REQUIRE(flagos_stream_get_native(f.stream(), &native) == FLAGOS_STATUS_OK);
  shown("fake_stream");
  REQUIRE(flagos_event_get_native(f.event(), &native) == FLAGOS_STATUS_OK);
  shown("fake_event");
  const flagos_address_t address = f.alloc(64);
  REQUIRE(flagos_memory_get_native(f.device(), address + 5, &native) == FLAGOS_STATUS_OK);
  shown("fake_memory");
  CHECK(native.handles[0] == address + 5);
  CHECK(flagos_memory_get_native(f.device(), address + 65, &native) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(native.handle_count == 0);
}

TEST_CASE("native objects: a wrapped stream takes work and ends with its handle") {
  Fake f(with_native());
  flagos_native_t native{};
  native.struct_size = sizeof(native);
  REQUIRE(flagos_stream_get_native(f.stream(), &native) == FLAGOS_STATUS_OK);
  flagos_stream_t* stream = nullptr;
  REQUIRE(flagos_stream_wrap_native(f.device(), &native, 0, &stream) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail().size() == 1);
  // Poisoned for good: nobody can make the caller's queue anew.
  REQUIRE(f.launch(stream, "fail") == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(flagos_stream_reset(stream) == FLAGOS_STATUS_UNSUPPORTED);
  const std::int64_t live = fake().live_streams;
  CHECK(flagos_stream_destroy(stream) == FLAGOS_STATUS_OK);
  CHECK(flagos_device_synchronize(f.device(), forever) == FLAGOS_STATUS_OK);
  CHECK(fake().live_streams == live - 1);
}

TEST_CASE("native objects: a wrapped event completes with the caller's own") {
  Fake f(with_native());
  flagos_stream_t* const stream = f.stream();
  flagos_event_t* const event = f.event();
  fake().hold = true;
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_event_record(event, stream) == FLAGOS_STATUS_OK);
  flagos_native_t native{};
  native.struct_size = sizeof(native);
  REQUIRE(flagos_event_get_native(event, &native) == FLAGOS_STATUS_OK);
  flagos_event_t* wrapped = nullptr;
  REQUIRE(flagos_event_wrap_native(f.device(), &native, 0, &wrapped) == FLAGOS_STATUS_OK);
  std::uint32_t complete = 1;
  REQUIRE(flagos_event_query(wrapped, &complete) == FLAGOS_STATUS_OK);
  CHECK(complete == 0);
  flagos_stream_t* const other = f.stream();
  REQUIRE(flagos_stream_wait_event(other, wrapped) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(other, 2) == FLAGOS_STATUS_OK);
  fake().hold = false;
  CHECK(flagos_event_synchronize(wrapped, forever) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(other, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == std::vector<std::uint32_t>{1, 2});
  std::int64_t elapsed = 0;
  CHECK(flagos_event_get_elapsed(wrapped, wrapped, &elapsed) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_event_destroy(wrapped) == FLAGOS_STATUS_OK);
}

TEST_CASE("native objects: wrapped memory is used like any other, and stays the caller's") {
  Fake f(with_native());
  flagos_stream_t* const stream = f.stream();
  std::vector<std::uint32_t> words(64, 1);
  const flagos_native_t native = native_of("fake_memory", words.data());
  flagos_address_t address = 0;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(flagos_memory_wrap_native(f.device(), &native, 256, 0, &address) == FLAGOS_STATUS_OK);
    CHECK(address == address_of(words.data()));
    flagos_memory_info_t info{};
    info.struct_size = sizeof(info);
    REQUIRE(flagos_memory_get_info(f.device(), address + 255, &info) == FLAGOS_STATUS_OK);
    CHECK(info.base == address);
    CHECK(info.size_bytes == 256);
    const std::uint8_t zero = 0;
    REQUIRE(flagos_memory_fill(stream, address, &zero, 1, 256) == FLAGOS_STATUS_OK);
    CHECK(flagos_memory_fill(stream, address, &zero, 1, 257) == FLAGOS_STATUS_INVALID_ARGUMENT);
    REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_memory_free(f.device(), address) == FLAGOS_STATUS_OK);
  }
  CHECK(words[63] == 0);
  void* const given = std::malloc(256);
  const flagos_native_t own = native_of("fake_memory", given);
  REQUIRE(flagos_memory_wrap_native(f.device(), &own, 256, FLAGOS_WRAP_FLAG_OWN, &address) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(f.device(), address) == FLAGOS_STATUS_OK);  // the leak checker sees whether it is gone
}

TEST_CASE("native objects: memory is wrapped again while another thread still gives it back") {
  Fake f(with_native());
  flagos_stream_t* const stream = f.stream();
  std::vector<std::uint32_t> words(64, 1);
  const flagos_native_t native = native_of("fake_memory", words.data());
  flagos_address_t address = 0;
  REQUIRE(flagos_memory_wrap_native(f.device(), &native, 256, 0, &address) == FLAGOS_STATUS_OK);
  fake().slow_free = true;
  fake().hold = true;
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_memory_free(f.device(), address) == FLAGOS_STATUS_OK);
  const std::uint64_t before = fake().frees_begun;
  fake().hold = false;
  REQUIRE(comes_true([&] { return fake().frees_begun != before; }));  // by the thread that looks after releases
  CHECK(flagos_memory_wrap_native(f.device(), &native, 256, 0, &address) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(f.device(), address) == FLAGOS_STATUS_OK);
}

TEST_CASE("native objects: memory that is already a live allocation is refused, and that one stays whole") {
  Fake f(with_native());
  const flagos_address_t live = f.alloc(256);
  const flagos_native_t native = native_of("fake_memory", reinterpret_cast<void*>(static_cast<std::uintptr_t>(live)));
  flagos_address_t address = 1;
  CHECK(flagos_memory_wrap_native(f.device(), &native, 64, 0, &address) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(address == 0);
  const std::int64_t before = fake().live_allocations;
  CHECK(flagos_memory_free(f.device(), live) == FLAGOS_STATUS_OK);
  CHECK(fake().live_allocations == before - 1);
}

TEST_CASE("native objects: what is refused, and by plugins without them") {
  Fake f(with_native());
  flagos_stream_t* stream = nullptr;
  flagos_address_t address = 0;
  int object = 0;
  flagos_native_t native = native_of("fake_stream", &object);
  const auto wrap = [&](std::uint64_t flags) { return flagos_stream_wrap_native(f.device(), &native, flags, &stream); };
  CHECK(wrap(2) == FLAGOS_STATUS_UNSUPPORTED);
  for (const std::uint32_t count : {0u, 2u, 7u, UINT32_MAX}) {
    native.handle_count = count;
    CHECK(wrap(0) == FLAGOS_STATUS_INVALID_ARGUMENT);
  }
  native.handle_count = 1;
  std::memset(native.type, 'x', sizeof(native.type));
  CHECK(wrap(0) == FLAGOS_STATUS_INVALID_ARGUMENT);
  std::strcpy(native.type, "fake_event");
  CHECK(wrap(0) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(stream == nullptr);
  native = native_of("fake_memory", &object);
  CHECK(flagos_memory_wrap_native(f.device(), &native, 0, 0, &address) == FLAGOS_STATUS_INVALID_ARGUMENT);
  native.handles[0] = 0;
  CHECK(flagos_memory_wrap_native(f.device(), &native, 64, 0, &address) == FLAGOS_STATUS_INVALID_ARGUMENT);
  flagos_device_t* device = nullptr;
  native = native_of("fake_device", &object);
  CHECK(flagos_device_wrap_native(f.runtime(), 0, &native, 0, &device) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(flagos_device_wrap_native(f.runtime(), 2, &native, 0, &device) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(device == nullptr);
}

TEST_CASE("native objects: a plugin without them says so") {
  Fake f;
  flagos_native_t native{};
  native.struct_size = sizeof(native);
  CHECK(flagos_device_get_native(f.device(), &native) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(flagos_stream_get_native(f.stream(), &native) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(flagos_event_get_native(f.event(), &native) == FLAGOS_STATUS_UNSUPPORTED);
  int object = 0;
  native = native_of("fake_memory", &object);
  flagos_address_t address = 0;
  CHECK(flagos_memory_wrap_native(f.device(), &native, 64, 0, &address) == FLAGOS_STATUS_UNSUPPORTED);
  flagos_support_t support = FLAGOS_SUPPORT_NATIVE;
  REQUIRE(flagos_device_get_feature(f.device(), FLAGOS_FEATURE_NATIVE_OBJECTS, &support) == FLAGOS_STATUS_OK);
  CHECK(support == FLAGOS_SUPPORT_ABSENT);
}
