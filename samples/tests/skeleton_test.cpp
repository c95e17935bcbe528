// Drives the skeleton plugin through flagos_plugin_open with a host of its own, the way core does.
#include <dlfcn.h>
#include <flagos_plugin.h>
#include <signal.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Host {
  Host() {
    table.struct_size = sizeof(table);
    table.abi_version_min = FLAGOS_MAKE_VERSION(1, 0);
    table.abi_version_max = FLAGOS_ABI_VERSION;
    table.context = reinterpret_cast<flagos_host_context_t*>(this);
    table.set_error = [](flagos_host_context_t*, flagos_status_t status, const char* message) {
      last_status = status;
      text = message;
    };
  }
  flagos_host_t table{};
  static thread_local flagos_status_t last_status;
  static thread_local std::string text;
};
thread_local flagos_status_t Host::last_status = FLAGOS_STATUS_OK;
thread_local std::string Host::text;

flagos_plugin_open_t open_symbol() {
  static void* library = dlopen(FLAGOS_TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL);
  REQUIRE_MESSAGE(library != nullptr, dlerror());
  return reinterpret_cast<flagos_plugin_open_t>(dlsym(library, FLAGOS_PLUGIN_OPEN_SYMBOL));
}

Bytes read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

std::size_t entries(const char* folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

// One instance with its device open; closes both.
struct Fixture {
  Fixture() {
    root.struct_size = sizeof(root);
    REQUIRE(open_symbol()(&host.table, &root) == FLAGOS_STATUS_OK);
    REQUIRE(root.device->open(root.instance, 0, &device) == FLAGOS_STATUS_OK);
  }
  ~Fixture() {
    root.device->close(device);
    root.close(root.instance);
  }
  flagos_plugin_stream_t* stream() {
    flagos_stream_desc_t desc{};
    desc.struct_size = sizeof(desc);
    flagos_plugin_stream_t* out = nullptr;
    REQUIRE(root.stream->create(device, &desc, &out) == FLAGOS_STATUS_OK);
    return out;
  }
  flagos_plugin_event_t* event(std::uint32_t flags = 0) {
    flagos_event_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.flags = flags;
    flagos_plugin_event_t* out = nullptr;
    REQUIRE(root.event->create(device, &desc, &out) == FLAGOS_STATUS_OK);
    return out;
  }
  flagos_status_t alloc(std::uint64_t size, flagos_address_t* out,
                        flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE,
                        std::uint64_t alignment = 256, std::uint64_t flags = 0) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = kind;
    desc.size_bytes = size;
    desc.alignment_bytes = alignment;
    desc.flags = flags;
    return root.memory->alloc(device, &desc, out);
  }
  flagos_status_t load(const void* data, std::size_t size, flagos_plugin_module_t** out) {
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.format = "elf-so";
    desc.data = data;
    desc.size_bytes = size;
    return root.module->load(device, &desc, out);
  }
  flagos_plugin_kernel_t* kernel(flagos_plugin_module_t* module, const char* name,
                                 flagos_status_t expected = FLAGOS_STATUS_OK) {
    flagos_kernel_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.name = name;
    flagos_plugin_kernel_t* out = nullptr;
    CHECK(root.module->get_kernel(module, &desc, &out) == expected);
    return out;
  }
  std::uint64_t free_bytes() {
    std::uint64_t free = 0, total = 0;
    REQUIRE(root.device->query_memory(device, &free, &total) == FLAGOS_STATUS_OK);
    CHECK(free <= total);
    return free;
  }

  Host host;
  flagos_plugin_t root{};
  flagos_plugin_device_t* device = nullptr;
};

struct Mark {
  flagos_address_t out;
  std::uint32_t value;
};

template <typename T>
flagos_address_t address(T* pointer) {
  return reinterpret_cast<flagos_address_t>(pointer);
}

// The kernels of skeleton_kernels.c, and launches of them.
struct Kernels : Fixture {
  Kernels() : image(read_file(FLAGOS_TEST_KERNELS)) {
    REQUIRE(load(image.data(), image.size(), &module) == FLAGOS_STATUS_OK);
  }
  ~Kernels() { root.module->unload(module); }
  flagos_status_t launch(flagos_plugin_stream_t* on, const char* name, const Mark* arguments,
                         std::uint32_t gx = 1, std::uint32_t gy = 1, std::uint32_t gz = 1,
                         std::uint32_t bx = 1, std::uint32_t shared = 0) {
    flagos_launch_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.grid[0] = gx, desc.grid[1] = gy, desc.grid[2] = gz;
    desc.block[0] = bx, desc.block[1] = 1, desc.block[2] = 1;
    desc.shared_bytes = shared;
    desc.argument_block = arguments;
    desc.argument_bytes = arguments ? sizeof(*arguments) : 0;
    return root.kernel->launch(on, kernel(module, name), &desc);
  }
  flagos_status_t wait(flagos_plugin_stream_t* on) {
    return root.stream->synchronize(on, FLAGOS_TIMEOUT_INFINITE);
  }
  Bytes image;
  flagos_plugin_module_t* module = nullptr;
};

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

TEST_CASE_FIXTURE(Kernels,
                  "every thread of every block runs once, with the arguments of the call") {
  auto* s = stream();
  std::vector<std::uint32_t> out(3 * 5 * 2 * 7, 0);
  Mark arguments{address(out.data()), 41};
  CHECK(launch(s, "mark", &arguments, 3, 5, 2, 7) == FLAGOS_STATUS_OK);
  arguments = {0, 0};  // was copied
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(std::all_of(out.begin(), out.end(), [](auto v) { return v == 41; }));
  Mark shared{address(out.data()), 0};
  CHECK(launch(s, "shared", &shared, 1, 1, 1, 1, 1000) == FLAGOS_STATUS_OK);
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(out[0] == 1064);
  root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "kernels describe themselves") {
  flagos_kernel_info_t info{};
  info.struct_size = sizeof(info);
  auto* mark = kernel(module, "mark");
  REQUIRE(root.kernel->get_info(mark, &info) == FLAGOS_STATUS_OK);
  CHECK(std::string(info.name) == "mark");
  CHECK(info.flags == FLAGOS_KERNEL_FLAG_SIGNATURE);
  CHECK(info.parameter_count == 2);
  CHECK(info.argument_bytes == sizeof(Mark));
  flagos_parameter_t parameter{};
  REQUIRE(root.kernel->get_parameter(mark, 1, &parameter) == FLAGOS_STATUS_OK);
  CHECK(parameter.dtype == FLAGOS_DTYPE_UINT32);
  CHECK(parameter.offset_bytes == 8);
  CHECK(kernel(module, "mark") == mark);
  CHECK(kernel(module, "absent", FLAGOS_STATUS_NOT_FOUND) == nullptr);
  CHECK(Host::text.find("absent") != std::string::npos);
  CHECK(kernel(module, "future", FLAGOS_STATUS_INVALID_IMAGE) == nullptr);
  flagos_format_info_t format{};
  format.struct_size = sizeof(format);
  REQUIRE(root.module->get_format(device, 0, &format) == FLAGOS_STATUS_OK);
  CHECK(std::string(format.name) == "elf-so");
  CHECK(root.module->get_format(device, 1, &format) == FLAGOS_STATUS_NOT_FOUND);
}

TEST_CASE_FIXTURE(Kernels, "100,000 queued operations run in order") {
  auto* s = stream();
  std::uint64_t counter = 0;
  std::vector<std::uint64_t> log(100);
  for (std::uint32_t i = 0; i < 100000; ++i) {
    const Mark one{address(&counter), 1};
    REQUIRE(launch(s, "count", &one) == FLAGOS_STATUS_OK);
    if (i % 1000 == 999) {
      REQUIRE(root.memory->copy(s, address(&log[i / 1000]), address(&counter), sizeof(counter)) ==
              FLAGOS_STATUS_OK);
    }
  }
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(counter == 100000);
  for (std::size_t i = 0; i < log.size(); ++i) CHECK(log[i] == (i + 1) * 1000);
  root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "submission does not wait, and waits end with TIMEOUT") {
  auto* s = stream();
  auto* done = event();
  std::uint32_t flag = 0;
  const Mark blocker{address(&flag), 1};
  CHECK(wait(s) == FLAGOS_STATUS_OK);  // empty
  CHECK(launch(s, "spin", &blocker) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(done, s) == FLAGOS_STATUS_OK);
  for (std::uint64_t timeout : {0ull, 1'000'000ull, 30'000'000ull}) {
    CHECK(root.stream->synchronize(s, timeout) == FLAGOS_STATUS_TIMEOUT);
    CHECK(root.event->synchronize(done, timeout) == FLAGOS_STATUS_TIMEOUT);
  }
  std::int64_t elapsed = 0;
  CHECK(root.event->get_elapsed(done, done, &elapsed) == FLAGOS_STATUS_NOT_READY);
  __atomic_store_n(&flag, 1u, __ATOMIC_RELEASE);
  CHECK(root.stream->synchronize(s, UINT64_MAX - 1) == FLAGOS_STATUS_OK);
  CHECK(root.event->synchronize(done, 0) == FLAGOS_STATUS_OK);
  CHECK(root.event->get_elapsed(done, done, &elapsed) == FLAGOS_STATUS_OK);
  CHECK(elapsed == 0);
  root.event->destroy(done);
  root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "a wait binds to the record before it, also when the event goes on") {
  auto* a = stream();
  auto* b = stream();
  auto* e = event();
  std::uint32_t first = 0, second = 0, seen = 0;
  CHECK(root.stream->wait_event(b, e) == FLAGOS_STATUS_OK);  // never recorded: no wait
  CHECK(root.event->synchronize(e, 0) == FLAGOS_STATUS_OK);
  const Mark block_first{address(&first), 1}, block_second{address(&second), 1};
  const Mark mark_seen{address(&seen), 1};
  CHECK(launch(a, "spin", &block_first) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(e, a) == FLAGOS_STATUS_OK);
  CHECK(root.stream->wait_event(b, e) == FLAGOS_STATUS_OK);
  CHECK(launch(b, "mark", &mark_seen) == FLAGOS_STATUS_OK);
  CHECK(launch(a, "spin", &block_second) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(e, a) == FLAGOS_STATUS_OK);
  CHECK(root.stream->synchronize(b, 20'000'000) == FLAGOS_STATUS_TIMEOUT);
  __atomic_store_n(&first, 1u, __ATOMIC_RELEASE);
  CHECK(wait(b) == FLAGOS_STATUS_OK);  // the second record is still pending
  CHECK(seen == 1);
  CHECK(root.event->synchronize(e, 0) == FLAGOS_STATUS_TIMEOUT);
  __atomic_store_n(&second, 1u, __ATOMIC_RELEASE);
  CHECK(wait(a) == FLAGOS_STATUS_OK);
  root.event->destroy(e);
  root.stream->destroy(a);
  root.stream->destroy(b);
}

TEST_CASE_FIXTURE(Kernels, "elapsed time needs records and timing") {
  auto* s = stream();
  auto* start = event();
  auto* end = event();
  auto* untimed = event(FLAGOS_EVENT_FLAG_NO_TIMING);
  std::int64_t elapsed = 0;
  CHECK(root.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(root.event->record(start, s) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(untimed, s) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(end, s) == FLAGOS_STATUS_OK);
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(root.event->get_elapsed(start, end, &elapsed) == FLAGOS_STATUS_OK);
  CHECK(elapsed >= 0);
  CHECK(root.event->get_elapsed(start, untimed, &elapsed) == FLAGOS_STATUS_INVALID_ARGUMENT);
  for (auto* e : {start, end, untimed}) root.event->destroy(e);
  root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "a failing kernel poisons its stream and no other") {
  auto* bad = stream();
  auto* good = stream();
  auto* before = event();
  auto* after = event();
  std::uint32_t flag = 0, touched = 0;
  const Mark blocker{address(&flag), 1}, mark{address(&touched), 1};
  CHECK(launch(bad, "spin", &blocker) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(before, bad) == FLAGOS_STATUS_OK);
  CHECK(launch(bad, "fail_third", nullptr, 5) == FLAGOS_STATUS_OK);
  CHECK(launch(bad, "mark", &mark) == FLAGOS_STATUS_OK);
  CHECK(root.event->record(after, bad) == FLAGOS_STATUS_OK);
  CHECK(root.stream->wait_event(good, after) == FLAGOS_STATUS_OK);
  __atomic_store_n(&flag, 1u, __ATOMIC_RELEASE);
  CHECK(wait(bad) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(Host::text == "block 2 says no");
  CHECK(touched == 0);
  CHECK(root.event->synchronize(before, 0) == FLAGOS_STATUS_OK);
  CHECK(root.event->synchronize(after, 0) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(launch(bad, "mark", &mark) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(root.event->record(before, bad) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(root.event->synchronize(before, 0) == FLAGOS_STATUS_OK);  // keeps its record
  CHECK(launch(good, "mark", &mark) == FLAGOS_STATUS_OK);
  CHECK(wait(good) == FLAGOS_STATUS_OK);
  CHECK(touched == 1);
  for (auto* e : {before, after}) root.event->destroy(e);
  for (auto* s : {bad, good}) root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "many threads may use one stream and one event") {
  auto* s = stream();
  auto* e = event();
  std::uint64_t counter = 0;
  std::atomic<int> failures = 0;
  auto* count = kernel(module, "count");
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const Mark one{address(&counter), 1};
        flagos_launch_desc_t desc{};
        desc.struct_size = sizeof(desc);
        std::fill_n(desc.grid, 3, 1u);
        std::fill_n(desc.block, 3, 1u);
        desc.argument_block = &one;
        desc.argument_bytes = sizeof(one);
        failures += root.kernel->launch(s, count, &desc) != FLAGOS_STATUS_OK;
        failures += root.event->record(e, s) != FLAGOS_STATUS_OK;
        failures += root.event->synchronize(e, FLAGOS_TIMEOUT_INFINITE) != FLAGOS_STATUS_OK;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(failures == 0);
  CHECK(counter == 4000);
  root.event->destroy(e);
  root.stream->destroy(s);
}

TEST_CASE_FIXTURE(Kernels, "broken images are refused before the dynamic linker sees them") {
  flagos_plugin_module_t* out = nullptr;
  CHECK(load(nullptr, 0, &out) == FLAGOS_STATUS_INVALID_IMAGE);
  for (std::size_t cut = 0; cut < image.size(); cut += 1 + image.size() / 97) {
    CAPTURE(cut);
    const Bytes part(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(cut));
    CHECK(load(part.data(), part.size(), &out) == FLAGOS_STATUS_INVALID_IMAGE);
  }
  CHECK(load(image.data(), image.size() - 1, &out) == FLAGOS_STATUS_INVALID_IMAGE);
  Bytes foreign = image;
  foreign[18] ^= 0xff;  // e_machine
  CHECK(load(foreign.data(), foreign.size(), &out) == FLAGOS_STATUS_UNSUPPORTED);
  foreign = image;
  foreign[4] = 1;  // 32 bits
  CHECK(load(foreign.data(), foreign.size(), &out) == FLAGOS_STATUS_UNSUPPORTED);
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    Bytes garbage(random() % 5000);
    for (auto& byte : garbage) byte = static_cast<std::uint8_t>(random());
    if (round % 2 == 0 && garbage.size() > 64) std::copy_n(image.begin(), 20, garbage.begin());
    CHECK(load(garbage.data(), garbage.size(), &out) == FLAGOS_STATUS_INVALID_IMAGE);
  }
  CHECK(out == nullptr);
}

TEST_CASE_FIXTURE(Kernels,
                  "two modules of one image are apart; unaligned and overwritten is fine") {
  Bytes shifted(image.size() + 1);
  std::copy(image.begin(), image.end(), shifted.begin() + 1);
  flagos_plugin_module_t* second = nullptr;
  REQUIRE(load(shifted.data() + 1, image.size(), &second) == FLAGOS_STATUS_OK);
  std::fill(shifted.begin(), shifted.end(), std::uint8_t{0});
  CHECK(kernel(second, "mark") != kernel(module, "mark"));
  root.module->unload(second);
  auto* s = stream();
  std::uint32_t value = 0;
  const Mark mark{address(&value), 7};
  CHECK(launch(s, "mark", &mark) == FLAGOS_STATUS_OK);
  CHECK(wait(s) == FLAGOS_STATUS_OK);
  CHECK(value == 7);
  root.stream->destroy(s);
}

TEST_CASE("a path of the linker that a resident library holds is passed over") {
  Fixture f;
  const Bytes image = read_file(FLAGOS_TEST_KERNELS);
  flagos_plugin_module_t* module = nullptr;
  REQUIRE(f.load(image.data(), image.size(), &module) == FLAGOS_STATUS_OK);
  // Another user of this trick left a library resident under the number that comes free now.
  f.root.module->unload(module);
  const int number = dup(0);
  REQUIRE(number >= 0);
  close(number);
  const std::string path = "/proc/self/fd/" + std::to_string(number);
  std::FILE* other = std::fopen(FLAGOS_TEST_PLUGIN, "rb");
  REQUIRE(other != nullptr);
  REQUIRE(fileno(other) == number);
  void* resident = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  REQUIRE(resident != nullptr);
  std::fclose(other);
  REQUIRE(f.load(image.data(), image.size(), &module) == FLAGOS_STATUS_OK);
  CHECK(f.kernel(module, "mark") != nullptr);
  f.root.module->unload(module);
  dlclose(resident);
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

}  // namespace
