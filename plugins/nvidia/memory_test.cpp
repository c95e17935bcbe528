#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "plugins/nvidia/test_plugin.hpp"

namespace flagos::nvidia::test {
namespace {

constexpr flagos_memory_kind_t all_kinds[] = {FLAGOS_MEMORY_KIND_DEVICE, FLAGOS_MEMORY_KIND_PINNED,
                                              FLAGOS_MEMORY_KIND_MANAGED};

TEST_CASE("memory: bytes go to all kinds of memory, through them and back") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  // Above what the driver takes from ordinary memory at once.
  std::vector<std::uint32_t> sent(100'000);
  std::iota(sent.begin(), sent.end(), 7u);
  const std::uint64_t bytes = 4 * sent.size();
  for (const flagos_memory_kind_t from : all_kinds) {
    for (const flagos_memory_kind_t to : all_kinds) {
      CAPTURE(from);
      CAPTURE(to);
      const std::uint64_t a = device.alloc(bytes, from), b = device.alloc(bytes + 64, to);
      CHECK(device.copy(stream, a, address_of(sent.data()), bytes) == FLAGOS_STATUS_OK);
      CHECK(device.copy(stream, b + 12, a, bytes) == FLAGOS_STATUS_OK);
      // Overlap, as memmove, both ways.
      CHECK(device.copy(stream, b + 16, b + 12, bytes) == FLAGOS_STATUS_OK);
      CHECK(device.copy(stream, b + 4, b + 16, bytes) == FLAGOS_STATUS_OK);
      CHECK(device.read(stream, b + 4, sent.size()) == sent);
    }
  }
}

TEST_CASE(
    "memory: ordinary memory is copied in the stream's turn, without a wait for what is before") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  auto* const flag =
      reinterpret_cast<volatile std::uint32_t*>(device.alloc(4, FLAGOS_MEMORY_KIND_PINNED));
  const std::uint64_t memory = device.alloc(1 << 22);
  std::vector<std::uint32_t> sent(1 << 20, 5), got(1 << 20, 0);
  REQUIRE(device.launch(stream, "test_wait", address_of(const_cast<const std::uint32_t*>(flag))) ==
          FLAGOS_STATUS_OK);
  CHECK(device.copy(stream, memory, address_of(sent.data()), 1 << 22) == FLAGOS_STATUS_OK);
  CHECK(device.copy(stream, address_of(got.data()), memory, 1 << 22) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, 0) == FLAGOS_STATUS_TIMEOUT);
  CHECK(got[0] == 0);
  sent.assign(sent.size(), 6);  // it is read when its turn comes
  *flag = 1;
  CHECK(device.wait(stream) == FLAGOS_STATUS_OK);
  CHECK(got == sent);
}

TEST_CASE("memory: patterns of all widths fill all kinds of memory, ordinary memory too") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  std::vector<std::byte> own(4096);
  std::byte pattern[16];
  for (int i = 0; i < 16; ++i) pattern[i] = static_cast<std::byte>(0x11 * (i % 15 + 1) + i);
  for (const std::uint32_t width : {1u, 2u, 4u, 8u, 16u}) {
    for (int kind = -1; kind < 3; ++kind) {
      CAPTURE(width);
      CAPTURE(kind);
      const std::uint64_t target =
          kind < 0 ? address_of(own.data()) : device.alloc(4096, all_kinds[kind]);
      CHECK(device.api.memory->fill(stream, target + 64, pattern, width, 1600) == FLAGOS_STATUS_OK);
      const std::vector<std::uint32_t> words = device.read(stream, target, 1024);
      const auto* bytes = reinterpret_cast<const std::byte*>(words.data());
      bool right = true;
      for (std::uint32_t i = 0; i < 1600; ++i) right = right && bytes[64 + i] == pattern[i % width];
      CHECK(right);
      if (kind >= 0) CHECK(words[(64 + 1600) / 4] == 0);
    }
  }
}

TEST_CASE(
    "memory: what is asked for beyond all memory is refused, with the sizes, and nothing is lost") {
  TestDevice device;
  std::uint64_t before = 0, after = 0, total = 0;
  REQUIRE(device.api.device->query_memory(device.get(), &before, &total) == FLAGOS_STATUS_OK);
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = total + 4096;
  desc.alignment_bytes = 256;
  flagos_address_t address = 0;
  for (const std::uint64_t flags :
       {std::uint64_t{0}, std::uint64_t{FLAGOS_MEMORY_FLAG_EXPORTABLE}}) {
    desc.flags = flags;
    CHECK(device.api.memory->alloc(device.get(), &desc, &address) ==
          FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
    CHECK(device.host.last_error().find("CUDA_ERROR_OUT_OF_MEMORY") != std::string::npos);
    CHECK(device.host.last_error().find("bytes on '") != std::string::npos);
  }
  desc.kind = FLAGOS_MEMORY_KIND_PINNED;
  desc.flags = 0;
  desc.size_bytes = std::uint64_t{1} << 50;
  CHECK(device.api.memory->alloc(device.get(), &desc, &address) ==
        FLAGOS_STATUS_OUT_OF_HOST_MEMORY);
  REQUIRE(device.api.device->query_memory(device.get(), &after, &total) == FLAGOS_STATUS_OK);
  CHECK(after == before);
}

TEST_CASE("memory: an alignment that the driver does not promise is kept") {
  TestDevice device;
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.size_bytes = 100;
  desc.alignment_bytes = 65536;
  for (const flagos_memory_kind_t kind : all_kinds) {
    desc.kind = kind;
    flagos_address_t address = 0;
    REQUIRE(device.api.memory->alloc(device.get(), &desc, &address) == FLAGOS_STATUS_OK);
    CHECK(address % 65536 == 0);
    device.api.memory->free(device.get(), address);
  }
}

TEST_CASE(
    "memory: exported memory is the same memory where it is imported; other descriptors are "
    "refused") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 4096;
  desc.alignment_bytes = 256;
  desc.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE | FLAGOS_MEMORY_FLAG_ZERO;
  flagos_address_t own = 0, other = 0;
  REQUIRE(device.api.memory->alloc(device.get(), &desc, &own) == FLAGOS_STATUS_OK);
  flagos_plugin_external_t external{};
  REQUIRE(device.api.interop->export_memory(device.get(), own, &external) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.interop->import_memory(device.get(), &external, &other) == FLAGOS_STATUS_OK);
  CHECK(other != own);
  const std::uint32_t pattern = 77;
  CHECK(device.api.memory->fill(stream, own, &pattern, 4, 4096) == FLAGOS_STATUS_OK);
  CHECK(device.read(stream, other, 1024) == std::vector<std::uint32_t>(1024, 77));
  flagos_plugin_external_t wrong = external;
  wrong.type = 99;
  CHECK(device.api.interop->import_memory(device.get(), &wrong, &other) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  wrong = external;
  wrong.data[0] ^= 1;
  CHECK(device.api.interop->import_memory(device.get(), &wrong, &other) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  wrong = external;
  wrong.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK(device.api.interop->import_memory(device.get(), &wrong, &other) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(device.host.last_error().find("no memory of this driver's") != std::string::npos);
  close(wrong.fd);
  close(external.fd);
}

TEST_CASE("memory: values are written and waited for in the stream's turn") {
  TestDevice device;
  flagos_plugin_stream_t *first = device.stream(), *second = device.stream();
  const std::uint64_t words = device.alloc(64, FLAGOS_MEMORY_KIND_PINNED);
  auto* const seen = reinterpret_cast<volatile std::uint64_t*>(words + 32);
  for (const std::uint32_t width : {4u, 8u}) {
    const std::uint64_t value = width == 4 ? 41 : std::uint64_t{1} << 40;
    CHECK(device.api.stream->wait_value(second, words, value, width,
                                        FLAGOS_COMPARE_GREATER_EQUAL) == FLAGOS_STATUS_OK);
    CHECK(device.api.stream->write_value(second, words + 32, width, 8) == FLAGOS_STATUS_OK);
    CHECK(device.api.stream->synchronize(second, 1'000'000) == FLAGOS_STATUS_TIMEOUT);
    CHECK(*seen != width);
    CHECK(device.api.stream->write_value(first, words, value + 1, width) == FLAGOS_STATUS_OK);
    CHECK(device.wait(second) == FLAGOS_STATUS_OK);
    CHECK(*seen == width);
  }
  std::uint64_t own = 0;
  CHECK(device.api.stream->write_value(first, address_of(&own), 9, 8) == FLAGOS_STATUS_OK);
  CHECK(device.wait(first) == FLAGOS_STATUS_OK);
  CHECK(own == 9);
  CHECK(device.api.stream->wait_value(first, address_of(&own), 9, 8, FLAGOS_COMPARE_EQUAL) ==
        FLAGOS_STATUS_UNSUPPORTED);
}

}  // namespace
}  // namespace flagos::nvidia::test
