// Drives the skeleton plugin through flagos_plugin_open: versions, device, memory, copies, closing.
#include <signal.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "samples/tests/skeleton_fixture.hpp"

using namespace flagos::samples;

TEST_CASE("versions are negotiated, and a refusal tells the range") {
  const std::uint32_t v10 = FLAGOS_MAKE_VERSION(1, 0);
  struct Row {
    std::uint32_t min, max;
    bool accepted;
  };
  const Row rows[] = {{v10, v10, true},
                      {v10, v10 + 7, true},
                      {0, v10, true},
                      {FLAGOS_MAKE_VERSION(2, 0), FLAGOS_MAKE_VERSION(2, 3), false},
                      {0, FLAGOS_MAKE_VERSION(0, 9), false},
                      {0, 0, false},
                      {UINT32_MAX, UINT32_MAX, false}};
  for (const Row& row : rows) {
    CAPTURE(row.min);
    CAPTURE(row.max);
    Host host;
    host.table.abi_version_min = row.min;
    host.table.abi_version_max = row.max;
    flagos_plugin_t root{};
    root.struct_size = sizeof(root);
    const flagos_status_t status = open_symbol()(&host.table, &root);
    CHECK(root.abi_version_min == v10);
    CHECK(root.abi_version_max == FLAGOS_ABI_VERSION);
    if (row.accepted) {
      REQUIRE(status == FLAGOS_STATUS_OK);
      CHECK(root.abi_version == v10);
      root.close(root.instance);
    } else {
      CHECK(status == FLAGOS_STATUS_UNSUPPORTED_VERSION);
      CHECK(root.abi_version == 0);
      CHECK(root.instance == nullptr);
      CHECK(Host::text.find("1.0") != std::string::npos);
    }
  }
}

TEST_CASE("a host with the frozen part only is enough; a root table is never overrun") {
  Host host;
  host.table.struct_size = 32;
  std::memset(&host.table.log, 0, sizeof(host.table) - offsetof(flagos_host_t, log));
  std::vector<std::uint8_t> room(sizeof(flagos_plugin_t) + 64, 0xa5);
  auto* root = reinterpret_cast<flagos_plugin_t*>(room.data());
  for (std::uint32_t size = 32; size <= sizeof(flagos_plugin_t) + 64; size += 8) {
    CAPTURE(size);
    std::fill(room.begin(), room.end(), 0xa5);
    root->struct_size = size;
    const flagos_status_t status = open_symbol()(&host.table, root);
    const std::uint32_t written = std::min<std::uint32_t>(size, sizeof(flagos_plugin_t));
    CHECK(root->struct_size == written);
    CHECK(std::all_of(room.begin() + written, room.end(), [](auto b) { return b == 0xa5; }));
    const bool enough = size >= offsetof(flagos_plugin_t, kernel) + sizeof(void*);
    CHECK(status == (enough ? FLAGOS_STATUS_OK : FLAGOS_STATUS_INVALID_STRUCT_SIZE));
    if (status == FLAGOS_STATUS_OK) root->close(root->instance);
  }
}

TEST_CASE("required slots are filled and nothing else") {
  Fixture f;
  const auto& r = f.root;
  CHECK(std::string(r.name) == "skeleton");
  CHECK((r.device->get_count && r.device->get_info && r.device->open && r.device->close));
  CHECK((r.device->query_memory && r.memory->alloc && r.memory->free && r.memory->copy));
  CHECK((r.memory->fill && r.stream->create && r.stream->destroy && r.stream->synchronize));
  CHECK((r.stream->wait_event && r.event->create && r.event->destroy && r.event->record));
  CHECK((r.event->synchronize && r.event->get_elapsed && r.module->get_format));
  CHECK((r.module->load && r.module->unload && r.module->get_kernel && r.kernel->get_info));
  CHECK((r.kernel->get_parameter && r.kernel->launch && r.close));
  CHECK((!r.memory_pool && !r.timeline && !r.graph && !r.profiling));
  CHECK((!r.memory->copy_2d && !r.stream->launch_host && !r.stream->reset));
  CHECK((!r.module->compile && !r.kernel->prepare && !r.device->recover));
}

TEST_CASE("the device tells the truth about itself") {
  Fixture f;
  std::uint32_t count = 0;
  REQUIRE(f.root.device->get_count(f.root.instance, &count) == FLAGOS_STATUS_OK);
  CHECK(count == 1);
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(f.root.device->get_info(f.root.instance, 0, &info) == FLAGOS_STATUS_OK);
  CHECK(info.struct_size == sizeof(info));
  CHECK(info.max_allocation_bytes <= info.memory_bytes);
  CHECK(info.allocation_alignment >= 256);
  CHECK((info.allocation_alignment & (info.allocation_alignment - 1)) == 0);
  CHECK(info.max_argument_bytes >= 4096);
  CHECK(std::accumulate(info.uuid, info.uuid + 16, 0) != 0);
  CHECK(f.free_bytes() == info.memory_bytes);
}

TEST_CASE("memory is aligned, counted and bounded") {
  Fixture f;
  const std::uint64_t before = f.free_bytes();
  for (std::uint64_t alignment = 1; alignment <= 65536; alignment *= 2) {
    CAPTURE(alignment);
    flagos_address_t a = 0;
    REQUIRE(f.alloc(100, &a, FLAGOS_MEMORY_KIND_DEVICE, alignment) == FLAGOS_STATUS_OK);
    CHECK(a % std::max<std::uint64_t>(alignment, 256) == 0);
    CHECK(f.free_bytes() <= before - 100);
    f.root.memory->free(f.device, a);
    CHECK(f.free_bytes() == before);
  }
  for (std::uint64_t size : {before + 1, std::uint64_t{1} << 48, UINT64_MAX, UINT64_MAX - 255}) {
    CAPTURE(size);
    flagos_address_t a = 0;
    CHECK(f.alloc(size, &a) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
    CHECK(Host::text.find(std::to_string(size)) != std::string::npos);
    CHECK(f.alloc(size, &a, FLAGOS_MEMORY_KIND_PINNED) == FLAGOS_STATUS_OUT_OF_HOST_MEMORY);
    CHECK(a == 0);
  }
  flagos_address_t all = 0, one = 0;
  REQUIRE(f.alloc(before, &all) == FLAGOS_STATUS_OK);
  CHECK(f.alloc(1, &one) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  CHECK(f.alloc(1, &one, FLAGOS_MEMORY_KIND_MANAGED) == FLAGOS_STATUS_UNSUPPORTED);
  REQUIRE(f.alloc(1, &one, FLAGOS_MEMORY_KIND_PINNED) == FLAGOS_STATUS_OK);
  f.root.memory->free(f.device, one);
  f.root.memory->free(f.device, all);
  CHECK(f.free_bytes() == before);
  REQUIRE(f.alloc(5000, &one, FLAGOS_MEMORY_KIND_DEVICE, 256, FLAGOS_MEMORY_FLAG_ZERO) ==
          FLAGOS_STATUS_OK);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(one);
  CHECK(std::all_of(bytes, bytes + 5000, [](auto b) { return b == 0; }));
  f.root.memory->free(f.device, one);
}

TEST_CASE("copies overlap as memmove, fills repeat their pattern and leave the rest alone") {
  Fixture f;
  auto* stream = f.stream();
  Bytes data(1000);
  std::iota(data.begin(), data.end(), std::uint8_t{0});
  Bytes expected = data;
  std::memmove(expected.data() + 3, expected.data(), 900);
  CHECK(f.root.memory->copy(stream, address(data.data() + 3), address(data.data()), 900) ==
        FLAGOS_STATUS_OK);
  CHECK(f.root.stream->synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
  CHECK(data == expected);
  for (std::uint32_t pattern_size : {1u, 2u, 4u}) {
    for (std::uint64_t count : {1, 2, 3, 7, 61}) {
      std::uint8_t pattern[4] = {0x11, 0x22, 0x33, 0x44};
      Bytes target(512, 0xee);
      const std::uint64_t size = count * pattern_size;
      CHECK(f.root.memory->fill(stream, address(target.data() + 64), pattern, pattern_size, size) ==
            FLAGOS_STATUS_OK);
      std::memset(pattern, 0, sizeof(pattern));  // was captured
      CHECK(f.root.stream->synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
      for (std::size_t i = 0; i < target.size(); ++i) {
        const bool inside = i >= 64 && i < 64 + size;
        const int want = inside ? 0x11 * (1 + static_cast<int>((i - 64) % pattern_size)) : 0xee;
        REQUIRE(target[i] == want);
      }
    }
  }
  const std::uint8_t wide[16] = {};
  for (std::uint32_t size : {8u, 16u}) {
    CHECK(f.root.memory->fill(stream, address(data.data()), wide, size, size) ==
          FLAGOS_STATUS_UNSUPPORTED);
  }
  f.root.stream->destroy(stream);
}

TEST_CASE("closing leaves no thread and no file behind, and signals are not ours") {
  { Kernels warm_up; }
  const std::size_t threads = entries("/proc/self/task");
  const std::size_t files = entries("/proc/self/fd");
  {
    Kernels f;
    std::vector<flagos_plugin_stream_t*> streams;
    for (int i = 0; i < 32; ++i) streams.push_back(f.stream());
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    CHECK(sigismember(&mask, SIGUSR1) == 0);
    CHECK(entries("/proc/self/task") == threads + 32);
    for (auto* stream : streams) {
      CHECK(f.launch(stream, "noop", nullptr) == FLAGOS_STATUS_OK);
      f.root.stream->destroy(stream);
    }
  }
  CHECK(entries("/proc/self/task") == threads);
  CHECK(entries("/proc/self/fd") == files);
}
