// Pages that are reserved, backed by files in memory, protected, and shared.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

constexpr std::uint64_t page = 4096;

unsigned char* bytes_at(flagos_address_t address) {
  return reinterpret_cast<unsigned char*>(address);
}

struct Fixture {
  TestDevice device;
  const flagos_virtual_memory_table_t& table = *device.api.virtual_memory;

  flagos_address_t reserve(std::uint64_t size, std::uint64_t alignment = page,
                           flagos_address_t wanted = 0) {
    flagos_address_t address = 0;
    REQUIRE(table.reserve(device.get(), size, alignment, wanted, &address) == FLAGOS_STATUS_OK);
    return address;
  }
  flagos_status_t create(std::uint64_t size, flagos_plugin_physical_memory_t** out_memory) {
    flagos_physical_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = size;
    return table.create(device.get(), &desc, out_memory);
  }
  flagos_plugin_physical_memory_t* create(std::uint64_t size) {
    flagos_plugin_physical_memory_t* memory = nullptr;
    REQUIRE(create(size, &memory) == FLAGOS_STATUS_OK);
    return memory;
  }
  void map(flagos_address_t address, std::uint64_t size, flagos_plugin_physical_memory_t* memory,
           std::uint64_t offset = 0,
           flagos_memory_access_t access = FLAGOS_MEMORY_ACCESS_READ_WRITE) {
    REQUIRE(table.map(device.get(), address, size, memory, offset) == FLAGOS_STATUS_OK);
    REQUIRE(table.set_access(device.get(), address, size, device.get(), access) ==
            FLAGOS_STATUS_OK);
  }
  std::uint64_t free_bytes() {
    std::uint64_t free = 0;
    std::uint64_t total = 0;
    CHECK(device.api.device->query_memory(device.get(), &free, &total) == FLAGOS_STATUS_OK);
    return free;
  }
};

// The signal that ends a process which does this; 0 for none.
template <typename Action>
int signal_of(Action&& action) {
  const pid_t child = fork();
  if (child == 0) {
    for (const int signal : {SIGSEGV, SIGBUS}) std::signal(signal, SIG_DFL);
    action();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_CASE("virtual memory: one buffer that grows in place, and a second look at its first page") {
  Fixture f;
  const std::uint64_t before = f.free_bytes();
  const flagos_address_t base = f.reserve(8 * page);
  auto* const first = f.create(2 * page);
  auto* const second = f.create(page);
  CHECK(before - f.free_bytes() == 3 * page);
  f.map(base, 2 * page, first);
  f.map(base + 2 * page, page, second);
  f.map(base + 4 * page, page, first, page);
  std::memset(bytes_at(base), 7, 3 * page);
  CHECK(bytes_at(base + 4 * page)[page - 1] == 7);
  bytes_at(base + 4 * page)[3] = 9;
  CHECK(bytes_at(base + page)[3] == 9);
  // What is unmapped keeps its bytes, for the next place that it is mapped at.
  f.table.unmap(f.device.get(), base, 2 * page);
  f.map(base + 5 * page, 2 * page, first);
  CHECK(bytes_at(base + 6 * page)[3] == 9);
  f.table.unmap(f.device.get(), base + 2 * page, page);
  f.table.unmap(f.device.get(), base + 4 * page, page);
  f.table.unmap(f.device.get(), base + 5 * page, 2 * page);
  f.table.destroy(first);
  f.table.destroy(second);
  f.table.release(f.device.get(), base, 8 * page);
  CHECK(f.free_bytes() == before);
}

TEST_CASE(
    "virtual memory: reserved addresses are aligned, and where they were wanted if that is free") {
  Fixture f;
  for (const std::uint64_t alignment :
       {page, 16 * page, std::uint64_t{2} << 20, std::uint64_t{1} << 30}) {
    const flagos_address_t base = f.reserve(3 * page, alignment);
    CHECK(base % alignment == 0);
    f.table.release(f.device.get(), base, 3 * page);
    CHECK(f.reserve(3 * page, alignment, base) == base);
    const flagos_address_t other = f.reserve(3 * page, alignment, base);
    CHECK(other != base);
    f.table.release(f.device.get(), base, 3 * page);
    f.table.release(f.device.get(), other, 3 * page);
  }
  flagos_address_t none = 0;
  for (const std::uint64_t size : {std::uint64_t{1} << 60, UINT64_MAX - page + 1})
    CHECK(f.table.reserve(f.device.get(), size, std::uint64_t{1} << 40, 0, &none) ==
          FLAGOS_STATUS_OUT_OF_RESOURCES);
}

TEST_CASE("virtual memory: what has no access, or is unmapped, faults") {
  Fixture f;
  const flagos_address_t base = f.reserve(2 * page);
  auto* const memory = f.create(page);
  volatile unsigned char* const byte = bytes_at(base);
  const auto reads = [&] { static_cast<void>(*byte); };
  const auto writes = [&] { *byte = 1; };
  CHECK(signal_of(reads) == SIGSEGV);
  f.map(base, page, memory, 0, FLAGOS_MEMORY_ACCESS_READ);
  CHECK(signal_of(reads) == 0);
  CHECK(signal_of(writes) == SIGSEGV);
  f.table.set_access(f.device.get(), base, page, f.device.get(), FLAGOS_MEMORY_ACCESS_READ_WRITE);
  CHECK(signal_of(writes) == 0);
  f.table.set_access(f.device.get(), base, page, f.device.get(), FLAGOS_MEMORY_ACCESS_NONE);
  CHECK(signal_of(reads) == SIGSEGV);
  f.table.unmap(f.device.get(), base, page);
  CHECK(signal_of(reads) == SIGSEGV);
  f.table.destroy(memory);
  f.table.release(f.device.get(), base, 2 * page);
}

TEST_CASE("virtual memory: exported memory is the same memory, and foreign files are refused") {
  Fixture f;
  auto* const memory = f.create(2 * page);
  flagos_plugin_external_t external{};
  REQUIRE(f.table.export_memory(memory, &external) == FLAGOS_STATUS_OK);
  CHECK((fcntl(external.fd, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(external.size_bytes == 2 * page);
  // Nobody can pull the pages away.
  CHECK(ftruncate(external.fd, 0) != 0);
  const std::uint64_t before = f.free_bytes();
  flagos_plugin_physical_memory_t* imported = nullptr;
  REQUIRE(f.table.import_memory(f.device.get(), &external, &imported) == FLAGOS_STATUS_OK);
  CHECK(f.free_bytes() == before);
  const flagos_address_t base = f.reserve(4 * page);
  f.map(base, 2 * page, memory);
  f.map(base + 2 * page, 2 * page, imported);
  bytes_at(base)[page] = 42;
  CHECK(bytes_at(base + 2 * page)[page] == 42);
  for (const std::uint64_t at : {0 * page, 2 * page})
    f.table.unmap(f.device.get(), base + at, 2 * page);
  f.table.release(f.device.get(), base, 4 * page);
  f.table.destroy(imported);

  const auto refused = [&](flagos_plugin_external_t changed) {
    return f.table.import_memory(f.device.get(), &changed, &imported) ==
           FLAGOS_STATUS_INVALID_HANDLE;
  };
  flagos_plugin_external_t other = external;
  other.type = 77;
  CHECK(refused(other));
  other = external;
  other.size_bytes = page;
  CHECK(refused(other));
  other = external;
  other.fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  REQUIRE(ftruncate(other.fd, 2 * page) == 0);
  CHECK(refused(other));
  close(other.fd);
  other.fd = -1;
  CHECK(refused(other));
  close(external.fd);
  f.table.destroy(memory);
}

TEST_CASE("virtual memory: more than the device has is refused, and nothing is kept of it") {
  Fixture f;
  const std::uint64_t before = f.free_bytes();
  flagos_plugin_physical_memory_t* memory = nullptr;
  for (const std::uint64_t size : {std::uint64_t{1} << 46, UINT64_MAX - page + 1})
    CHECK(f.create(size, &memory) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  CHECK(f.free_bytes() == before);
  CHECK(f.table.set_access(f.device.get(), 0, page, nullptr, FLAGOS_MEMORY_ACCESS_READ) ==
        FLAGOS_STATUS_UNSUPPORTED);
}

}  // namespace
}  // namespace flagos::cpu::test
