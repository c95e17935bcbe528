// mem.pool: stream-ordered allocation, native or emulated.
#include <algorithm>
#include <string>
#include <utility>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

// A pool of its own for each case.
class Pool {
 public:
  explicit Pool(Context& t, std::uint64_t limit = 0,
                flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE)
      : t_(t) {
    flagos_memory_pool_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.kind = kind;
    desc.limit_bytes = limit;
    t.ok(flagos_memory_pool_create(t.device(), &desc, &pool_), "memory_pool_create");
  }
  ~Pool() { flagos_memory_pool_destroy(pool_); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  operator flagos_memory_pool_t*() const { return pool_; }

  flagos_address_t alloc(flagos_stream_t* stream, std::uint64_t size) {
    flagos_address_t address = 0;
    t_.ok(flagos_memory_pool_alloc(pool_, stream, size, &address),
          "memory_pool_alloc of " + std::to_string(size));
    t_.equal(address % t_.info().allocation_alignment, 0, "address modulo allocation_alignment");
    return address;
  }
  void free(flagos_stream_t* stream, flagos_address_t address) {
    t_.ok(flagos_memory_pool_free(pool_, stream, address), "memory_pool_free");
  }
  flagos_memory_pool_statistics_t statistics() {
    flagos_memory_pool_statistics_t statistics{};
    statistics.struct_size = sizeof statistics;
    t_.ok(flagos_memory_pool_get_statistics(pool_, &statistics), "memory_pool_get_statistics");
    t_.check(statistics.used_bytes <= statistics.reserved_bytes,
             "used_bytes is at most reserved_bytes");
    t_.check(statistics.used_bytes <= statistics.used_high_bytes,
             "used_bytes is at most its high mark");
    t_.check(statistics.reserved_bytes <= statistics.reserved_high_bytes,
             "reserved_bytes is at most its high mark");
    t_.check(statistics.device_allocations <= statistics.allocations,
             "not every allocation asks the device");
    return statistics;
  }
  void destroy() {
    t_.ok(flagos_memory_pool_destroy(std::exchange(pool_, nullptr)), "memory_pool_destroy");
  }

 private:
  Context& t_;
  flagos_memory_pool_t* pool_ = nullptr;
};

// Use after alloc in stream order; nothing is cleared behind the user's back, also not in recycled
// blocks.
FLAGOS_CASE("mem.pool.alloc_async", {.clause = "flagos_memory_pool_alloc",
                                     .level = Level::optional,
                                     .feature = "memory_pool"}) {
  Stream stream(t);
  Pool pool(t);
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{255}, std::uint64_t{256},
                                   std::uint64_t{4097}, 64 * kKib, kMib - 1, kMib, 16 * kMib}) {
    t.subcase("size=" + std::to_string(size));
    const auto first = noise(t, size);
    const auto second = noise(t, size);
    std::vector<std::uint8_t> first_back(size);
    std::vector<std::uint8_t> second_back(size);
    for (int round = 0; round < 3; ++round) {
      const flagos_address_t a = pool.alloc(stream, size);
      copy(t, stream, a, host(first.data()), size);
      const flagos_address_t b = pool.alloc(stream, size);
      t.check(!overlap(a, size, b, size), "two live blocks do not overlap");
      copy(t, stream, b, host(second.data()), size);
      copy(t, stream, host(first_back.data()), a, size);
      pool.free(stream, a);
      copy(t, stream, host(second_back.data()), b, size);
      pool.free(stream, b);
      synchronize(t, stream);
      same(t, first_back, first, "the first block");
      same(t, second_back, second, "the second block");
    }
  }
  t.subcase("size=0");
  pool.free(stream, pool.alloc(stream, 0));
  pool.free(stream, 0);
  synchronize(t, stream);
  t.equal(pool.statistics().live_blocks, 0, "live blocks at the end");
  pool.destroy();
}

// A's pending copy reads the block; it is freed on A; B allocates behind an event of A and writes.
void hand_over(Context& t, std::uint64_t size) {
  Buffer from_first(t, size);
  Buffer from_second(t, size);
  Stream a(t);
  Stream b(t);
  Event passed(t);
  Pool pool(t);
  const auto bytes = noise(t, size);
  const flagos_address_t first = pool.alloc(a, size);
  write(t, a, first, bytes);
  {
    Blocker blocker(t, a);
    copy(t, a, from_first.address(), first, size);
    pool.free(a, first);
    record(t, passed, a);
    wait_event(t, b, passed);
    const flagos_address_t second = pool.alloc(b, size);
    fill(t, b, second, std::uint8_t{0x77}, size);
    copy(t, b, from_second.address(), second, size);
    pool.free(b, second);
    check_held(t, a, "the pool");
    blocker.release();
    synchronize(t, a);
    synchronize(t, b);
  }
  same(t, from_first.read(), bytes, "what A read before it freed the block");
  all_are(t, from_second.read(), 0x77, "what B wrote to its block");
}

FLAGOS_CASE("mem.pool.cross_stream_event",
            {.clause = "flagos_memory_pool_free: others not before the stream has passed",
             .level = Level::optional,
             .feature = "memory_pool"}) {
  require_async(t);
  for (const std::uint64_t size : {std::uint64_t{256}, 64 * kKib, 4 * kMib}) {
    t.subcase("size=" + std::to_string(size));
    hand_over(t, size);
  }
}

// A is held with a copy from the block behind it. Whatever another stream gets and writes, that
// copy must not see it.
void no_reuse_while_held(Context& t, std::uint64_t size) {
  Buffer result(t, size);
  Stream a(t);
  Stream b(t);
  Pool pool(t);
  const auto bytes = noise(t, size);
  const flagos_address_t first = pool.alloc(a, size);
  write(t, a, first, bytes);
  Blocker blocker(t, a);
  copy(t, a, result.address(), first, size);
  pool.free(a, first);
  for (int i = 0; i < 16; ++i) {
    const flagos_address_t other = pool.alloc(b, size);
    fill(t, b, other, std::uint8_t{0x99}, size);
    pool.free(b, other);
  }
  check_held(t, a, "memory_pool_alloc");
  // B may have been made to wait for A, or run ahead: both are right, and early writes need a
  // moment to do harm.
  const flagos_status_t status = flagos_stream_synchronize(b, 500'000'000);
  t.check(status == FLAGOS_STATUS_OK || status == FLAGOS_STATUS_TIMEOUT,
          "the other stream is OK or waits");
  blocker.release();
  synchronize(t, a);
  synchronize(t, b);
  same(t, result.read(), bytes, "what A read from the block that it had freed");
}

// Two streams take and give back blocks without any order between them; all data must stay their
// own.
void race(Context& t, int rounds) {
  constexpr std::uint64_t size = 4 * kKib;
  Stream a(t);
  Stream b(t);
  Pool pool(t);
  std::vector<std::uint32_t> seen(static_cast<std::size_t>(rounds) * 2);
  Buffer results(t, seen.size() * 4);
  for (std::uint32_t i = 0; i < seen.size(); ++i) {
    const bool first = i % 2 == 0;
    flagos_stream_t* const stream =
        first ? static_cast<flagos_stream_t*>(a) : static_cast<flagos_stream_t*>(b);
    const flagos_address_t block = pool.alloc(stream, size);
    fill(t, stream, block, 0x1000u + i, size);
    copy(t, stream, results.address(4 * i), block + size - 4, 4);
    pool.free(stream, block);
  }
  synchronize(t, a);
  synchronize(t, b);
  const auto found = words(results.read());
  for (std::uint32_t i = 0; i < found.size(); ++i)
    t.equal(found[i], 0x1000u + i, "the tag in block " + std::to_string(i));
}

FLAGOS_CASE("mem.pool.no_early_reuse",
            {.clause = "flagos_memory_pool_free: others not before the stream has passed",
             .level = Level::optional,
             .feature = "memory_pool"}) {
  t.subcase("race");
  race(t, t.settings().quick ? 200 : 1'000);
  require_async(t);
  for (const std::uint64_t size : {std::uint64_t{64}, 64 * kKib, 2 * kMib}) {
    t.subcase("held, size=" + std::to_string(size));
    no_reuse_while_held(t, size);
  }
}

FLAGOS_CASE("mem.pool.free_after_stream_destroy",
            {.clause = "flagos_memory_pool_free: not a live stream",
             .level = Level::optional,
             .oracle = Oracle::code,
             .feature = "memory_pool"}) {
  Stream live(t);
  Pool pool(t);
  const auto bytes = noise(t, 4 * kKib);
  flagos_stream_t* gone = Stream(t).release();
  const flagos_address_t block = pool.alloc(gone, bytes.size());
  write(t, gone, block, bytes);
  t.ok(flagos_stream_destroy(gone), "stream_destroy");
  t.status(flagos_memory_pool_free(pool, gone, block), FLAGOS_STATUS_INVALID_HANDLE,
           "memory_pool_free on a destroyed stream");
  flagos_address_t none = 1;
  t.status(flagos_memory_pool_alloc(pool, gone, 64, &none), FLAGOS_STATUS_INVALID_HANDLE,
           "memory_pool_alloc on a destroyed stream");
  t.equal(none, 0, "the address of a failed allocation");
  same(t, read(t, live, block, bytes.size()), bytes, "the block that could not be freed");
  pool.free(live, block);
  t.status(flagos_memory_pool_free(pool, live, block), FLAGOS_STATUS_INVALID_HANDLE,
           "memory_pool_free of a freed block");
  t.status(flagos_memory_free(t.device(), block), FLAGOS_STATUS_INVALID_HANDLE,
           "memory_free of a block of a pool");
  pool.destroy();
}

FLAGOS_CASE("mem.pool.trim", {.clause = "flagos_memory_pool_trim, flagos_memory_pool_set_limit",
                              .level = Level::optional,
                              .feature = "memory_pool"}) {
  Stream stream(t);
  Pool pool(t);
  std::vector<flagos_address_t> blocks;
  for (int i = 0; i < 16; ++i) {
    blocks.push_back(pool.alloc(stream, 2 * kMib));
    fill(t, stream, blocks.back(), static_cast<std::uint8_t>(i + 1), 2 * kMib);
  }
  const flagos_address_t kept = blocks.back();
  blocks.pop_back();
  for (const flagos_address_t block : blocks) pool.free(stream, block);
  synchronize(t, stream);
  t.subcase("with a live block");
  const std::uint64_t held = pool.statistics().reserved_bytes;
  t.ok(flagos_memory_pool_trim(pool, 0), "memory_pool_trim");
  t.check(pool.statistics().reserved_bytes <= held, "trim takes nothing from the device");
  all_are(t, read(t, stream, kept, 2 * kMib), 16, "the live block after the trim");
  pool.free(stream, kept);
  pool.free(stream, pool.alloc(stream, 16 * kMib));
  synchronize(t, stream);
  for (const std::uint64_t keep : {8 * kMib, std::uint64_t{0}}) {
    t.subcase("keep " + std::to_string(keep));
    t.ok(flagos_memory_pool_trim(pool, keep), "memory_pool_trim");
    t.check(pool.statistics().reserved_bytes <= keep, "at most keep_bytes are held");
  }
  t.subcase("limit");
  t.ok(flagos_memory_pool_set_limit(pool, 64 * kMib), "memory_pool_set_limit");
  flagos_address_t none = 1;
  t.status(flagos_memory_pool_alloc(pool, stream, 128 * kMib, &none),
           FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY, "memory_pool_alloc above the limit");
  t.equal(none, 0, "the address of a failed allocation");
  pool.free(stream, pool.alloc(stream, 2 * kMib));
  t.ok(flagos_memory_pool_set_limit(pool, 0), "memory_pool_set_limit");
  pool.free(stream, pool.alloc(stream, 128 * kMib));
  pool.destroy();
}

FLAGOS_CASE("mem.pool.stats", {.clause = "flagos_memory_pool_statistics_t",
                               .level = Level::optional,
                               .feature = "memory_pool"}) {
  constexpr std::uint32_t count = 64;
  Stream stream(t);
  Pool pool(t);
  t.subcase("new");
  t.equal(pool.statistics().allocations, 0, "allocations of a new pool");
  t.equal(pool.statistics().used_bytes, 0, "used_bytes of a new pool");
  t.subcase("growing");
  std::vector<flagos_address_t> blocks;
  std::vector<std::uint64_t> sizes;
  std::uint64_t asked = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    sizes.push_back(1 + t.random_below(128 * kKib));
    asked += sizes.back();
    blocks.push_back(pool.alloc(stream, sizes.back()));
    fill(t, stream, blocks.back(), static_cast<std::uint8_t>(i), sizes.back());
    const auto now = pool.statistics();
    t.equal(now.live_blocks, i + 1, "live blocks");
    t.equal(now.allocations, i + 1, "allocations");
    t.check(now.used_bytes >= asked, "used_bytes covers what was asked for");
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    all_are(t, read(t, stream, blocks[i], sizes[i]), static_cast<std::uint8_t>(i),
            "block " + std::to_string(i));
  }
  t.subcase("shrinking");
  const auto full = pool.statistics();
  for (const flagos_address_t block : blocks) pool.free(stream, block);
  synchronize(t, stream);
  const auto empty = pool.statistics();
  t.equal(empty.live_blocks, 0, "live blocks");
  t.equal(empty.used_bytes, 0, "used_bytes of an empty pool");
  t.equal(empty.allocations, count, "allocations");
  t.check(empty.used_high_bytes >= full.used_bytes, "the high mark stays");
  t.subcase("recycling");
  for (int i = 0; i < 200; ++i)
    pool.free(stream, pool.alloc(stream, sizes[static_cast<std::size_t>(i) % count]));
  synchronize(t, stream);
  const auto recycled = pool.statistics();
  t.equal(recycled.allocations, count + 200, "allocations");
  t.check(recycled.used_high_bytes == empty.used_high_bytes, "reuse does not move the high mark");
  t.check(recycled.device_allocations - empty.device_allocations < 200,
          "a caching pool does not ask the device each time");
}

FLAGOS_CASE("mem.pool.destroy_with_live", {.clause = "flagos_memory_pool_destroy: BUSY",
                                           .level = Level::optional,
                                           .oracle = Oracle::code,
                                           .feature = "memory_pool"}) {
  Stream stream(t);
  Pool pool(t);
  const auto bytes = noise(t, 64 * kKib);
  const flagos_address_t block = pool.alloc(stream, bytes.size());
  write(t, stream, block, bytes);
  t.status(flagos_memory_pool_destroy(pool), FLAGOS_STATUS_BUSY,
           "memory_pool_destroy with a live block");
  same(t, read(t, stream, block, bytes.size()), bytes, "the live block");
  pool.free(stream, block);
  pool.destroy();
}

}  // namespace
}  // namespace flagos::conformance
