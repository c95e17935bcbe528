// Reserved addresses and what is mapped there: checks, bookkeeping, and unmapping while work is pending.
#include "core/virtual_memory.hpp"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;

namespace {

constexpr std::uint64_t unit = 64 * 1024;
constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto busy = FLAGOS_STATUS_BUSY;
constexpr auto invalid = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto no_handle = FLAGOS_STATUS_INVALID_HANDLE;
constexpr auto read_write = FLAGOS_MEMORY_ACCESS_READ_WRITE;

// ---- the plugin's side: files in memory, mapped over reserved pages ------------------------------------------------

struct Counts {
  std::atomic<int> reserved{0}, created{0}, mapped{0}, accesses{0};
  flagos_status_t next_map = FLAGOS_STATUS_OK;
};
Counts counts;

// What was put off runs in the next call or in core's own thread, whichever is first.
void wait_for_none(const std::atomic<int>& count) {
  for (int i = 0; i < 10'000 && count != 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(count == 0);
}

void* pointer(flagos_address_t address) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address)); }
flagos_plugin_physical_memory_t* as_memory(int fd) {
  return reinterpret_cast<flagos_plugin_physical_memory_t*>(static_cast<std::intptr_t>(fd));
}
int fd_of(flagos_plugin_physical_memory_t* memory) { return static_cast<int>(reinterpret_cast<std::intptr_t>(memory)); }

flagos_status_t get_granularity(flagos_plugin_device_t*, const flagos_physical_memory_desc_t* desc,
                                std::uint64_t* out_minimum, std::uint64_t* out_recommended) {
  if (desc->kind != FLAGOS_MEMORY_KIND_DEVICE) return FLAGOS_STATUS_UNSUPPORTED;
  *out_minimum = unit;
  *out_recommended = 4 * unit;
  return ok;
}
flagos_status_t reserve(flagos_plugin_device_t*, std::uint64_t size, std::uint64_t, flagos_address_t,
                        flagos_address_t* out_address) {
  void* place = mmap(nullptr, size + unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *out_address = (reinterpret_cast<std::uintptr_t>(place) + unit - 1) / unit * unit;
  ++counts.reserved;
  return ok;
}
void release(flagos_plugin_device_t*, flagos_address_t address, std::uint64_t size) {
  munmap(pointer(address), size);
  --counts.reserved;
}
flagos_status_t create(flagos_plugin_device_t*, const flagos_physical_memory_desc_t* desc,
                       flagos_plugin_physical_memory_t** out_memory) {
  const int fd = memfd_create("memory", MFD_CLOEXEC);
  if (ftruncate(fd, static_cast<off_t>(desc->size_bytes)) != 0) return FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
  *out_memory = as_memory(fd);
  ++counts.created;
  return ok;
}
void destroy(flagos_plugin_physical_memory_t* memory) {
  close(fd_of(memory));
  --counts.created;
}
flagos_status_t map(flagos_plugin_device_t*, flagos_address_t address, std::uint64_t size,
                    flagos_plugin_physical_memory_t* memory, std::uint64_t offset) {
  if (counts.next_map != ok) return std::exchange(counts.next_map, ok);
  mmap(pointer(address), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd_of(memory),
       static_cast<off_t>(offset));
  ++counts.mapped;
  return ok;
}
void unmap(flagos_plugin_device_t*, flagos_address_t address, std::uint64_t size) {
  mmap(pointer(address), size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  --counts.mapped;
}
flagos_status_t set_access(flagos_plugin_device_t* device, flagos_address_t, std::uint64_t,
                           flagos_plugin_device_t* accessor, flagos_memory_access_t) {
  ++counts.accesses;
  return device == accessor ? ok : flagos_status_t{FLAGOS_STATUS_UNSUPPORTED};
}

constexpr flagos_virtual_memory_table_t table = {.struct_size = sizeof(flagos_virtual_memory_table_t),
                                                 .group_version = 1,
                                                 .get_granularity = get_granularity,
                                                 .reserve = reserve,
                                                 .release = release,
                                                 .create = create,
                                                 .destroy = destroy,
                                                 .map = map,
                                                 .unmap = unmap,
                                                 .set_access = set_access,
                                                 .export_memory = nullptr,
                                                 .import_memory = nullptr};

// ---- the program's side ------------------------------------------------------------------------------------------

struct World {
  World() {
    counts.reserved = counts.created = counts.mapped = counts.accesses = 0;
    counts.next_map = FLAGOS_STATUS_OK;
  }
  ~World() {
    for (flagos_physical_memory_t* memory : memories) flagos_physical_memory_destroy(memory);
  }
  static FakeOptions options() {
    FakeOptions options;
    options.virtual_memory = &table;
    return options;
  }
  flagos_address_t reserve(std::uint64_t units) {
    flagos_address_t address = 0;
    REQUIRE(flagos_virtual_memory_reserve(f.device(), units * unit, 0, 0, &address) == ok);
    return address;
  }
  flagos_physical_memory_t* create(std::uint64_t units, flagos_device_t* device = nullptr) {
    const flagos_physical_memory_desc_t desc{sizeof(desc), FLAGOS_MEMORY_KIND_DEVICE, nullptr, units * unit, 0};
    flagos_physical_memory_t* memory = nullptr;
    REQUIRE(flagos_physical_memory_create(device == nullptr ? f.device() : device, &desc, &memory) == ok);
    memories.push_back(memory);
    return memory;
  }
  flagos_status_t map(flagos_address_t address, std::uint64_t units, flagos_physical_memory_t* memory,
                      std::uint64_t offset_units = 0) {
    return flagos_virtual_memory_map(f.device(), address, units * unit, memory, offset_units * unit);
  }
  flagos_status_t access(flagos_address_t address, std::uint64_t units, flagos_memory_access_t access) {
    return flagos_virtual_memory_set_access(f.device(), address, units * unit, f.device(), access);
  }
  flagos_status_t fill(flagos_address_t address, std::uint64_t size, std::uint32_t value = 7) {
    return flagos_memory_fill(stream, address, &value, 4, size);
  }
  flagos_status_t read(flagos_address_t address, std::uint32_t* out) {
    const flagos_status_t status =
        flagos_memory_copy(stream, reinterpret_cast<std::uintptr_t>(out), address, sizeof(*out));
    if (status == ok) REQUIRE(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == ok);
    return status;
  }

  Fake f{options()};
  flagos_stream_t* stream = f.stream();
  std::vector<flagos_physical_memory_t*> memories;
};

bool last_error_has(const char* text) { return std::string(flagos_last_error()).find(text) != std::string::npos; }

}  // namespace

TEST_CASE("virtual memory: absent where the plugin has no such group") {
  Fake f;
  flagos_support_t support = FLAGOS_SUPPORT_NATIVE;
  CHECK(flagos_device_get_feature(f.device(), FLAGOS_FEATURE_VIRTUAL_MEMORY, &support) == ok);
  CHECK(support == FLAGOS_SUPPORT_ABSENT);
  flagos_address_t address = 1;
  CHECK(flagos_virtual_memory_reserve(f.device(), unit, 0, 0, &address) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(address == 0);
}

TEST_CASE("virtual memory: mappings side by side are one range, and the same memory twice is the same bytes") {
  World w;
  const flagos_address_t base = w.reserve(4);
  flagos_physical_memory_t* memory = w.create(2);
  CHECK(w.map(base, 2, memory) == ok);
  CHECK(w.map(base + 2 * unit, 1, memory, 1) == ok);
  CHECK(w.access(base, 3, read_write) == ok);
  CHECK(counts.accesses == 1);
  CHECK(w.fill(base + unit / 2, 2 * unit) == ok);
  CHECK(w.fill(base + unit, 4, 99) == ok);
  std::uint32_t seen = 0;
  CHECK(w.read(base + 2 * unit, &seen) == ok);
  CHECK(seen == 99);
  CHECK(w.fill(base + 2 * unit, unit + 4) == invalid);
  CHECK(last_error_has("nothing is mapped"));
  flagos_memory_info_t info{};
  info.struct_size = sizeof(info);
  CHECK(flagos_memory_get_info(w.f.device(), base + 2 * unit + 5, &info) == ok);
  CHECK(info.kind == FLAGOS_MEMORY_KIND_DEVICE);
  CHECK(info.base == base + 2 * unit);
  CHECK(info.size_bytes == unit);
  CHECK(flagos_memory_get_info(w.f.device(), base + 3 * unit, &info) == ok);
  CHECK(info.kind == FLAGOS_MEMORY_KIND_UNKNOWN);
  // The handle goes first: what is mapped stays.
  CHECK(flagos_physical_memory_destroy(memory) == ok);
  w.memories.clear();
  CHECK(counts.created == 1);
  CHECK(w.read(base, &seen) == ok);
  CHECK(flagos_virtual_memory_unmap(w.f.device(), base) == ok);
  CHECK(counts.created == 1);
  CHECK(flagos_virtual_memory_release(w.f.device(), base) == busy);
  CHECK(flagos_virtual_memory_unmap(w.f.device(), base + 2 * unit) == ok);
  wait_for_none(counts.created);
  wait_for_none(counts.mapped);
  CHECK(flagos_device_close(w.f.device()) == busy);
  CHECK(flagos_virtual_memory_release(w.f.device(), base) == ok);
  wait_for_none(counts.reserved);
  CHECK(flagos_virtual_memory_release(w.f.device(), base) == no_handle);
}

TEST_CASE("virtual memory: access is none at first, and is kept to") {
  World w;
  const flagos_address_t base = w.reserve(2);
  CHECK(w.map(base, 1, w.create(1)) == ok);
  CHECK(w.map(base + unit, 1, w.create(1)) == ok);
  std::uint32_t seen = 0;
  CHECK(w.read(base, &seen) == invalid);
  CHECK(last_error_has("may not read"));
  CHECK(w.access(base, 1, FLAGOS_MEMORY_ACCESS_READ) == ok);
  CHECK(w.read(base, &seen) == ok);
  CHECK(w.fill(base, 4) == invalid);
  CHECK(last_error_has("may not write"));
  CHECK(w.access(base, 2, read_write) == ok);
  CHECK(w.fill(base, 2 * unit) == ok);
  CHECK(w.access(base, 2, FLAGOS_MEMORY_ACCESS_NONE) == ok);
  CHECK(w.read(base, &seen) == invalid);
  const int before = counts.accesses;
  CHECK(flagos_virtual_memory_set_access(w.f.device(), base, unit / 2, w.f.device(), read_write) == invalid);
  CHECK(flagos_virtual_memory_set_access(w.f.device(), base + unit / 2, unit, w.f.device(), read_write) == invalid);
  CHECK(w.access(base, 3, read_write) == invalid);
  CHECK(w.access(base, 1, 2) == invalid);
  CHECK(w.access(base, 0, read_write) == invalid);
  CHECK(counts.accesses == before);
  CHECK(flagos_virtual_memory_set_access(w.f.device(), base, unit, w.f.open(1), read_write) ==
        FLAGOS_STATUS_UNSUPPORTED);
  for (const flagos_address_t at : {base, base + unit}) CHECK(flagos_virtual_memory_unmap(w.f.device(), at) == ok);
  CHECK(flagos_virtual_memory_release(w.f.device(), base) == ok);
}

TEST_CASE("virtual memory: a range that pending work uses is unmapped behind it, and mapped again after it") {
  World w;
  const flagos_address_t base = w.reserve(1);
  flagos_physical_memory_t* memory = w.create(1);
  CHECK(w.map(base, 1, memory) == ok);
  CHECK(w.access(base, 1, read_write) == ok);
  fake().hold = true;
  CHECK(w.fill(base, unit, 5) == ok);
  CHECK(flagos_virtual_memory_unmap(w.f.device(), base) == ok);
  CHECK(counts.mapped == 1);
  CHECK(flagos_virtual_memory_unmap(w.f.device(), base) == no_handle);
  CHECK(w.fill(base, 4) == invalid);
  CHECK(w.map(base, 1, memory) == busy);
  CHECK(w.access(base, 1, read_write) == invalid);
  fake().hold = false;
  CHECK(flagos_stream_synchronize(w.stream, FLAGOS_TIMEOUT_INFINITE) == ok);
  CHECK(w.map(base, 1, memory) == ok);
  CHECK(w.access(base, 1, FLAGOS_MEMORY_ACCESS_READ) == ok);
  std::uint32_t seen = 0;
  CHECK(w.read(base, &seen) == ok);
  CHECK(seen == 5);
}

TEST_CASE("virtual memory: a reservation is released while its last mapping is still used") {
  World w;
  const flagos_address_t base = w.reserve(2);
  CHECK(w.map(base, 1, w.create(1)) == ok);
  CHECK(w.access(base, 1, read_write) == ok);
  fake().hold = true;
  CHECK(w.fill(base, unit) == ok);
  CHECK(flagos_virtual_memory_unmap(w.f.device(), base) == ok);
  CHECK(flagos_virtual_memory_release(w.f.device(), base) == ok);
  CHECK(counts.reserved == 1);
  CHECK(w.map(base, 1, w.create(1)) == no_handle);
  fake().hold = false;
  CHECK(flagos_device_synchronize(w.f.device(), FLAGOS_TIMEOUT_INFINITE) == ok);
  CHECK(w.f.alloc(16) != 0);  // polls
  wait_for_none(counts.mapped);
  wait_for_none(counts.reserved);
}

TEST_CASE("virtual memory: what does not fit is refused, and nothing changes") {
  World w;
  flagos_device_t* device = w.f.device();
  flagos_address_t address = 1;
  CHECK(flagos_virtual_memory_reserve(device, 0, 0, 0, &address) == invalid);
  CHECK(address == 0);
  CHECK(flagos_virtual_memory_reserve(device, unit + 1, 0, 0, &address) == invalid);
  CHECK(last_error_has("granularity of 65536"));
  CHECK(flagos_virtual_memory_reserve(device, unit, 3, 0, &address) == invalid);
  flagos_physical_memory_desc_t desc{sizeof(desc), FLAGOS_MEMORY_KIND_DEVICE, nullptr, unit / 2, 0};
  flagos_physical_memory_t* none = nullptr;
  CHECK(flagos_physical_memory_create(device, &desc, &none) == invalid);
  desc.size_bytes = unit;
  desc.kind = FLAGOS_MEMORY_KIND_MANAGED;
  CHECK(flagos_physical_memory_create(device, &desc, &none) == invalid);
  desc.kind = FLAGOS_MEMORY_KIND_PINNED;
  CHECK(flagos_physical_memory_create(device, &desc, &none) == FLAGOS_STATUS_UNSUPPORTED);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
  CHECK(flagos_physical_memory_create(device, &desc, &none) == FLAGOS_STATUS_UNSUPPORTED);
  desc.flags = FLAGOS_MEMORY_FLAG_ZERO;
  CHECK(flagos_physical_memory_create(device, &desc, &none) == FLAGOS_STATUS_UNSUPPORTED);

  const flagos_address_t base = w.reserve(4);
  flagos_physical_memory_t* memory = w.create(2);
  CHECK(flagos_virtual_memory_map(device, base + 1, unit, memory, 0) == invalid);
  CHECK(flagos_virtual_memory_map(device, base, unit - 1, memory, 0) == invalid);
  CHECK(flagos_virtual_memory_map(device, base, unit, memory, 1) == invalid);
  CHECK(w.map(base, 0, memory) == invalid);
  CHECK(w.map(base, 2, memory, 1) == invalid);
  CHECK(w.map(base, 1, memory, UINT64_MAX / unit) == invalid);
  CHECK(w.map(base + 3 * unit, 2, memory) == invalid);
  CHECK(w.map(base + 4 * unit, 1, memory) == no_handle);
  CHECK(w.map(base, 1, w.create(1, w.f.open(1))) == invalid);
  counts.next_map = FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
  CHECK(w.map(base, 1, memory) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  CHECK(w.map(base + unit, 2, memory) == ok);
  for (const std::uint64_t at : {0, 1, 2}) CHECK(w.map(base + at * unit, 2, memory) == invalid);
  CHECK(w.map(base, 1, memory) == ok);
  CHECK(w.map(base + 3 * unit, 1, memory) == ok);
  CHECK(flagos_virtual_memory_unmap(device, base + 2 * unit) == no_handle);
  CHECK(flagos_memory_free(device, base) == no_handle);
  CHECK(flagos_virtual_memory_release(device, base + unit) == no_handle);
  const flagos_address_t ordinary = w.f.alloc(unit);
  CHECK(flagos_virtual_memory_release(device, ordinary) == no_handle);
  CHECK(flagos_virtual_memory_unmap(device, ordinary) == no_handle);
  CHECK(counts.mapped == 3);
}

TEST_CASE("virtual memory: the end of the runtime takes back what was left") {
  {
    World w;
    const flagos_address_t base = w.reserve(2);
    CHECK(w.map(base, 1, w.create(1)) == ok);
    w.create(1);
    w.memories.clear();
  }
  wait_for_none(counts.mapped);
  wait_for_none(counts.created);
  wait_for_none(counts.reserved);
}

TEST_CASE("virtual memory: what a plugin may not answer") {
  static flagos_virtual_memory_table_t odd = table;
  static std::uint64_t minimum = unit;
  odd.get_granularity = [](flagos_plugin_device_t*, const flagos_physical_memory_desc_t*, std::uint64_t* out_minimum,
                           std::uint64_t* out_recommended) {
    *out_minimum = minimum;
    *out_recommended = unit;
    return flagos_status_t{ok};
  };
  FakeOptions options;
  options.virtual_memory = &odd;
  Fake f(options);
  const flagos_physical_memory_desc_t desc{sizeof(desc), FLAGOS_MEMORY_KIND_DEVICE, nullptr, unit, 0};
  flagos_physical_memory_t* memory = nullptr;
  for (const std::uint64_t nonsense : {std::uint64_t{0}, std::uint64_t{3000}, 2 * unit}) {
    minimum = nonsense;
    CHECK(flagos_physical_memory_create(f.device(), &desc, &memory) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
    CHECK(last_error_has("the plugin told granularities of"));
    CHECK(memory == nullptr);
  }
  minimum = unit;
}
