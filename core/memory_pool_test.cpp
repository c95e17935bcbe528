#include "core/memory_pool.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "core/test_plugin.hpp"

using flagos::core::test::begin_table;
using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;
using flagos::core::test::FakeTables;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;
constexpr std::uint64_t mib = std::uint64_t{1} << 20;

class Pool {
 public:
  explicit Pool(Fake& f, std::uint64_t limit = 0) {
    flagos_memory_pool_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.limit_bytes = limit;
    REQUIRE(flagos_memory_pool_create(f.device(), &desc, &pool_) == FLAGOS_STATUS_OK);
  }
  operator flagos_memory_pool_t*() const { return pool_; }
  flagos_address_t alloc(flagos_stream_t* stream, std::uint64_t size) {
    flagos_address_t address = 0;
    REQUIRE(flagos_memory_pool_alloc(pool_, stream, size, &address) == FLAGOS_STATUS_OK);
    return address;
  }
  void free(flagos_stream_t* stream, flagos_address_t address) {
    REQUIRE(flagos_memory_pool_free(pool_, stream, address) == FLAGOS_STATUS_OK);
  }
  flagos_memory_pool_statistics_t statistics() {
    flagos_memory_pool_statistics_t statistics{};
    statistics.struct_size = sizeof(statistics);
    REQUIRE(flagos_memory_pool_get_statistics(pool_, &statistics) == FLAGOS_STATUS_OK);
    return statistics;
  }

 private:
  flagos_memory_pool_t* pool_ = nullptr;
};

// ---- a plugin with pools of its own: blocks of one range, never reused ---------------------------------------------

struct OwnPool {
  std::uint64_t allocs = 0, frees = 0, limit = 0, kept = 0;
  bool gives_none = false, repeats = false;
};
OwnPool own;
std::atomic<std::int64_t> live_pools{0};  // core may destroy one on another thread
alignas(256) char own_range[1 << 16];

FakeOptions with_pools() {
  own = OwnPool{};
  live_pools = 0;
  FakeOptions options;
  options.change = [](FakeTables& tables) {
    auto& pool = begin_table(tables.memory_pool);
    pool.create = [](flagos_plugin_device_t*, const flagos_memory_pool_desc_t*, flagos_plugin_memory_pool_t** out) {
      if (own.gives_none) return flagos_status_t{FLAGOS_STATUS_OK};
      ++live_pools;
      *out = reinterpret_cast<flagos_plugin_memory_pool_t*>(own_range);
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    pool.destroy = [](flagos_plugin_memory_pool_t*) { --live_pools; };
    pool.alloc = [](flagos_plugin_memory_pool_t*, flagos_plugin_stream_t*, std::uint64_t, flagos_address_t* out) {
      if (!own.repeats) ++own.allocs;
      *out = reinterpret_cast<std::uintptr_t>(own_range) + 256 * own.allocs;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    pool.free = [](flagos_plugin_memory_pool_t*, flagos_plugin_stream_t*, flagos_address_t) {
      ++own.frees;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    pool.trim = [](flagos_plugin_memory_pool_t*, std::uint64_t keep_bytes) {
      own.kept = keep_bytes;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    pool.set_limit = [](flagos_plugin_memory_pool_t*, std::uint64_t limit_bytes) {
      own.limit = limit_bytes;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    pool.get_statistics = [](flagos_plugin_memory_pool_t*, flagos_memory_pool_statistics_t* out) {
      out->used_bytes = 77;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
  };
  return options;
}

}  // namespace

TEST_CASE("a plugin's own pool is asked for everything") {
  Fake f(with_pools());
  {
    Pool pool(f);
    flagos_stream_t* stream = f.stream();
    const flagos_address_t address = pool.alloc(stream, 100);
    CHECK(own.allocs == 1);
    flagos_memory_info_t info{};
    info.struct_size = sizeof(info);
    REQUIRE(flagos_memory_get_info(f.device(), address + 99, &info) == FLAGOS_STATUS_OK);
    CHECK(info.base == address);
    CHECK(info.size_bytes == 100);
    CHECK(flagos_memory_free(f.device(), address) == FLAGOS_STATUS_INVALID_HANDLE);
    CHECK(flagos_memory_pool_set_limit(pool, 4096) == FLAGOS_STATUS_OK);
    CHECK(own.limit == 4096);
    CHECK(flagos_memory_pool_trim(pool, 12) == FLAGOS_STATUS_OK);
    CHECK(own.kept == 12);
    CHECK(pool.statistics().used_bytes == 77);
    pool.free(stream, address);
    CHECK(own.frees == 1);
    CHECK(flagos_memory_pool_free(pool, stream, address) != FLAGOS_STATUS_OK);
    CHECK(own.frees == 1);
    // Behind work that core holds back the block is still in use.
    flagos_timeline_t* timeline = f.timeline();
    const flagos_address_t second = pool.alloc(stream, 100);
    REQUIRE(flagos_stream_wait_timeline(stream, timeline, 1) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_memory_fill(stream, second, "x", 1, 100) == FLAGOS_STATUS_OK);
    pool.free(stream, second);
    CHECK(own.frees == 1);
    REQUIRE(flagos_timeline_signal(timeline, 1) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
    CHECK(own.frees == 2);
    // What it gives out twice is told, and a pool with blocks is not destroyed.
    const flagos_address_t left = pool.alloc(stream, 100);
    own.repeats = true;
    flagos_address_t again = 0;
    CHECK(flagos_memory_pool_alloc(pool, stream, 100, &again) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
    CHECK(again == 0);
    CHECK(flagos_memory_pool_destroy(pool) == FLAGOS_STATUS_BUSY);
    pool.free(stream, left);
    REQUIRE(flagos_memory_pool_destroy(pool) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_device_synchronize(f.device(), forever) == FLAGOS_STATUS_OK);
  }
  // Another thread may just be about to destroy it.
  for (int i = 0; i < 5000 && live_pools != 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(live_pools == 0);
  own.gives_none = true;
  flagos_memory_pool_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  flagos_memory_pool_t* none = nullptr;
  CHECK(flagos_memory_pool_create(f.device(), &desc, &none) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
  CHECK(none == nullptr);
}

TEST_CASE("a pool of a kind that the device has or has not") {
  Fake f;
  flagos_memory_pool_desc_t desc{};
  desc.struct_size = sizeof(desc);
  flagos_memory_pool_t* pool = nullptr;
  desc.kind = FLAGOS_MEMORY_KIND_MANAGED;
  CHECK(flagos_memory_pool_create(f.device(), &desc, &pool) == FLAGOS_STATUS_UNSUPPORTED);
  desc.kind = 99;
  CHECK(flagos_memory_pool_create(f.device(), &desc, &pool) != FLAGOS_STATUS_OK);
  desc.kind = FLAGOS_MEMORY_KIND_PINNED;
  REQUIRE(flagos_memory_pool_create(f.device(), &desc, &pool) == FLAGOS_STATUS_OK);
  flagos_stream_t* stream = f.stream();
  flagos_address_t address = 0;
  REQUIRE(flagos_memory_pool_alloc(pool, stream, 100, &address) == FLAGOS_STATUS_OK);
  flagos_memory_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_memory_get_info(f.device(), address, &info) == FLAGOS_STATUS_OK);
  CHECK(info.kind == FLAGOS_MEMORY_KIND_PINNED);
  CHECK(flagos_memory_pool_free(pool, stream, address) == FLAGOS_STATUS_OK);
}

TEST_CASE("one stream reuses at once, without asking the plugin") {
  Fake f;
  Pool pool(f);
  flagos_stream_t* stream = f.stream();
  const flagos_address_t first = pool.alloc(stream, 1000);
  CHECK(first % 256 == 0);
  fake().hold = true;
  REQUIRE(flagos_memory_fill(stream, first, "x", 1, 1000) == FLAGOS_STATUS_OK);
  pool.free(stream, first);
  const std::uint64_t allocs = fake().allocs, events = fake().events, records = fake().records;
  for (int i = 0; i < 1000; ++i) {
    const flagos_address_t again = pool.alloc(stream, 1000);
    CHECK(again == first);
    pool.free(stream, again);
  }
  CHECK(fake().allocs == allocs);
  CHECK(fake().events == events);
  CHECK(fake().records == records);
  fake().hold = false;
  const auto statistics = pool.statistics();
  CHECK(statistics.allocations == 1001);
  CHECK(statistics.device_allocations == 1);
  CHECK(statistics.used_bytes == 0);
  CHECK(statistics.used_high_bytes == 1024);
  CHECK(statistics.reserved_bytes == 2 * mib);
}

TEST_CASE("another stream waits until the work before the free has passed") {
  for (const bool destroy : {false, true}) {
    CAPTURE(destroy);
    Fake f;
    Pool pool(f);
    flagos_stream_t* a = f.stream();
    flagos_stream_t* b = f.stream();
    const flagos_address_t block = pool.alloc(a, 2 * mib);
    fake().hold = true;
    REQUIRE(flagos_memory_fill(a, block, "x", 1, mib) == FLAGOS_STATUS_OK);
    pool.free(a, block);
    if (destroy) REQUIRE(flagos_stream_destroy(a) == FLAGOS_STATUS_OK);
    const flagos_address_t other = pool.alloc(b, 2 * mib);
    CHECK(other != block);
    fake().hold = false;
    REQUIRE(flagos_device_synchronize(f.device(), forever) == FLAGOS_STATUS_OK);
    CHECK(pool.alloc(b, 2 * mib) == block);
  }
}

TEST_CASE("a stream whose work core holds back frees behind it, too") {
  Fake f;
  Pool pool(f);
  flagos_stream_t* a = f.stream();
  flagos_stream_t* b = f.stream();
  flagos_timeline_t* gate = f.timeline();
  const flagos_address_t block = pool.alloc(a, 2 * mib);
  REQUIRE(flagos_stream_wait_timeline(a, gate, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_memory_fill(a, block, "x", 1, mib) == FLAGOS_STATUS_OK);
  pool.free(a, block);
  CHECK(pool.alloc(b, 2 * mib) != block);
  REQUIRE(flagos_timeline_signal(gate, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(a, forever) == FLAGOS_STATUS_OK);
  CHECK(pool.alloc(b, 2 * mib) == block);
}

TEST_CASE("what is no live block is refused") {
  Fake f;
  Pool pool(f), other(f);
  flagos_stream_t* stream = f.stream();
  const flagos_address_t block = pool.alloc(stream, 512);
  CHECK(flagos_memory_pool_free(other, stream, block) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(flagos_memory_pool_free(pool, stream, block + 256) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(flagos_memory_pool_free(pool, stream, 0) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(f.device(), block) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(flagos_memory_pool_destroy(pool) == FLAGOS_STATUS_BUSY);
  pool.free(stream, block);
  CHECK(flagos_memory_pool_free(pool, stream, block) == FLAGOS_STATUS_INVALID_HANDLE);
  const flagos_address_t nothing = pool.alloc(stream, 0);
  CHECK(nothing != 0);
  pool.free(stream, nothing);
  CHECK(flagos_memory_pool_destroy(pool) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_pool_destroy(pool) == FLAGOS_STATUS_INVALID_HANDLE);
}

TEST_CASE("blocks of a pool are checked like memory") {
  Fake f;
  Pool pool(f);
  flagos_stream_t* stream = f.stream();
  const flagos_address_t block = pool.alloc(stream, 2 * mib);
  CHECK(flagos_memory_fill(stream, block, "x", 1, 2 * mib) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_fill(stream, block, "x", 1, 2 * mib + 1) == FLAGOS_STATUS_INVALID_ARGUMENT);
  pool.free(stream, block);
}

TEST_CASE("the limit, trimming, and a full device") {
  FakeOptions options;
  options.memory_bytes = 16 * mib;
  Fake f(options);
  Pool pool(f, 4 * mib), other(f);
  flagos_stream_t* stream = f.stream();
  flagos_address_t address = 1;
  CHECK(flagos_memory_pool_alloc(pool, stream, 5 * mib, &address) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  CHECK(address == 0);
  pool.free(stream, pool.alloc(stream, 3 * mib));
  CHECK(pool.statistics().reserved_bytes == 4 * mib);
  // The limit leaves no room beside what is cached: that goes back.
  flagos_address_t small = pool.alloc(stream, 100);
  CHECK(pool.statistics().reserved_bytes <= 4 * mib);
  pool.free(stream, small);
  REQUIRE(flagos_memory_pool_trim(pool, 0) == FLAGOS_STATUS_OK);
  CHECK(pool.statistics().reserved_bytes == 0);
  CHECK(fake().live_allocations == 0);
  REQUIRE(flagos_memory_pool_set_limit(pool, 0) == FLAGOS_STATUS_OK);
  // What another pool of the device caches makes room.
  other.free(stream, other.alloc(stream, 12 * mib));
  address = pool.alloc(stream, 12 * mib);
  pool.free(stream, address);
  // And so it does for an allocation without a pool.
  const flagos_address_t plain = f.alloc(12 * mib);
  CHECK(flagos_memory_free(f.device(), plain) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_pool_alloc(pool, stream, UINT64_MAX, &address) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  CHECK(flagos_memory_pool_alloc(pool, stream, 17 * mib, &address) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
}

TEST_CASE("a limit below a shared segment still serves small blocks") {
  Fake f;
  Pool pool(f, 1024);
  flagos_stream_t* stream = f.stream();
  const flagos_address_t a = pool.alloc(stream, 256);
  const flagos_address_t b = pool.alloc(stream, 768);
  flagos_address_t address = 0;
  CHECK(flagos_memory_pool_alloc(pool, stream, 1, &address) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  pool.free(stream, a);
  pool.free(stream, b);
}
