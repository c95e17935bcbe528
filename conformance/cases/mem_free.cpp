// mem.free, mem.stat: who may free what, and that everything comes back.
#include <algorithm>
#include <array>
#include <string>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

void refuse_free(Context& t, flagos_device_t* device, flagos_address_t address,
                 const std::string& what) {
  t.status(flagos_memory_free(device, address), FLAGOS_STATUS_INVALID_HANDLE,
           "memory_free of " + what);
}

FLAGOS_CASE("mem.free.null", {.clause = "flagos_memory_free: 0 does nothing"}) {
  Stream stream(t);
  const Block block = alloc_block(t, 4 * kKib, 0x1234);
  stamp(t, stream, block);
  for (int i = 0; i < 10; ++i) t.ok(flagos_memory_free(t.device(), 0), "memory_free of 0");
  check_blocks(t, stream, {&block, 1});
  free_blocks(t, {&block, 1});
}

// Random allocations and frees; every live block keeps its tag.
void churn(Context& t, flagos_stream_t* stream, std::uint32_t operations, std::size_t most_live) {
  std::vector<Block> live;
  for (std::uint32_t i = 0; i < operations; ++i) {
    const bool grow = live.empty() || (live.size() < most_live && t.random_below(2) == 0);
    if (grow) {
      live.push_back(alloc_block(t, 4 + t.random_below(32 * kKib), i + 1));
      stamp(t, stream, live.back());
      continue;
    }
    std::swap(live[t.random_below(live.size())], live.back());
    check_blocks(t, stream, {&live.back(), 1});
    free_blocks(t, {&live.back(), 1});
    live.pop_back();
  }
  check_blocks(t, stream, live);
  free_blocks(t, live);
}

FLAGOS_CASE("mem.free.double",
            {.clause = "flagos_memory_free: freed already", .oracle = Oracle::code}) {
  Stream stream(t);
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, 4 * kKib, 8 * kMib}) {
    t.subcase("size=" + std::to_string(size));
    Memory memory(t, size);
    const flagos_address_t address = memory.address();
    memory.free();
    for (int i = 0; i < 3; ++i) refuse_free(t, t.device(), address, "a freed block");
  }
  churn(t, stream, t.settings().quick ? 300 : 1'000, 64);
}

FLAGOS_CASE("mem.free.foreign",
            {.clause = "flagos_memory_free: not the start of a live allocation of this open device",
             .oracle = Oracle::code}) {
  Stream stream(t);
  OtherDevice other(t);
  const Block block = alloc_block(t, 64 * kKib, 0x5eed);
  stamp(t, stream, block);
  std::vector<std::uint8_t> plain(4096);
  t.subcase("host pointer");
  refuse_free(t, t.device(), host(plain.data()), "ordinary host memory");
  t.subcase("interior address");
  for (const std::uint64_t offset :
       {std::uint64_t{1}, std::uint64_t{256}, block.size - 1, block.size}) {
    refuse_free(t, t.device(), block.address + offset, "an interior address");
  }
  t.subcase("another open device");
  refuse_free(t, other, block.address, "memory of another open device");
  t.subcase("nobody's address");
  for (const flagos_address_t address :
       {flagos_address_t{1}, UINT64_MAX, flagos_address_t{1} << 63}) {
    refuse_free(t, t.device(), address, "an address of nobody");
  }
  check_blocks(t, stream, {&block, 1});
  free_blocks(t, {&block, 1});
  other.close();
}

enum class Work { kernel, copy, fill };

// Work on `used` is held; it is freed meanwhile. Nobody may get its bytes before that work has
// passed.
void free_while_used(Context& t, Work work) {
  constexpr std::uint64_t size = 256 * kKib;
  Buffer result(t, size);
  Memory used(t, size);
  Stream stream(t);
  const auto bytes = noise(t, size);
  write(t, stream, used.address(), bytes);
  std::vector<std::uint8_t> expected = bytes;
  Blocker blocker(t, stream);
  if (work == Work::fill) {
    fill(t, stream, used.address(), std::uint8_t{0x3c}, size);
    std::fill(expected.begin(), expected.end(), 0x3c);
  }
  if (work == Work::kernel) {
    add_words(t, stream, result.address(), used.address(), 0, size / 4);
  } else {
    copy(t, stream, result.address(), used.address(), size);
  }
  const flagos_address_t freed = used.address();
  used.free();
  check_held(t, stream, "memory_free");
  for (int i = 0; i < 32; ++i) {
    Memory fresh(t, size);
    t.check(!overlap(fresh.address(), size, freed, size),
            "a block that pending work uses is handed out to nobody");
  }
  blocker.release();
  synchronize(t, stream);
  same(t, result.read(), expected, "what the pending work read from the freed block");
}

FLAGOS_CASE("mem.free.pending_work",
            {.clause = "flagos_memory_free: the release waits for work, the call does not"}) {
  require_async(t);
  t.kernel("data_add");  // loaded before anything is held
  t.subcase("kernel");
  free_while_used(t, Work::kernel);
  t.subcase("copy");
  free_while_used(t, Work::copy);
  t.subcase("fill");
  free_while_used(t, Work::fill);
}

FLAGOS_CASE("mem.free.order_random", {.clause = "flagos_memory_free"}) {
  OtherDevice other(t);
  Stream stream(t);
  churn(t, stream, t.settings().quick ? 2'000 : 10'000, 500);
  // The same on an open device of its own: it closes only when all memory is back.
  std::vector<flagos_address_t> live;
  for (int i = 0; i < 2'000; ++i) {
    const flagos_memory_desc_t desc = memory_desc(t.random_below(64 * kKib));
    flagos_address_t address = 0;
    t.ok(flagos_memory_alloc(other, &desc, &address), "memory_alloc");
    live.push_back(address);
  }
  std::shuffle(live.begin(), live.end(), t.random());
  for (const flagos_address_t address : live)
    t.ok(flagos_memory_free(other, address), "memory_free");
  other.close();
}

// Allocates, uses and frees four times the memory of the device, in sixteenths: a leak of blocks
// runs into its end.
void cycle_all_memory(Context& t, flagos_stream_t* stream) {
  const std::uint64_t size = std::min(t.info().memory_bytes / 16, t.info().max_allocation_bytes);
  const int cycles = t.settings().quick ? 24 : 64;
  for (int i = 0; i < cycles; ++i) {
    const Block block = alloc_block(t, size, static_cast<std::uint32_t>(i + 1));
    stamp(t, stream, block);
    check_blocks(t, stream, {&block, 1});
    free_blocks(t, {&block, 1});
  }
}

// How much less is free after writing and freeing `cycles` blocks of 8 MiB.
std::uint64_t lost_bytes(Context& t, flagos_stream_t* stream, int cycles) {
  const std::uint64_t before = free_bytes(t);
  for (int i = 0; i < cycles; ++i) {
    Memory memory(t, 8 * kMib);
    fill(t, stream, memory.address(), static_cast<std::uint8_t>(i), memory.size());
    synchronize(t, stream);
    memory.free();
  }
  const std::uint64_t after = free_bytes(t);
  return before > after ? before - after : 0;
}

FLAGOS_CASE("mem.stat.leak_zero",
            {.clause = "flagos_device_query_memory; device_close is BUSY while memory lives",
             .oracle = Oracle::delta,
             .isolation = Isolation::own}) {
  Stream stream(t);
  cycle_all_memory(t, stream);
  const int cycles = t.settings().quick ? 32 : 128;
  const std::uint64_t churned = 8 * kMib * static_cast<std::uint64_t>(cycles);
  // Other processes use the memory of a host device too: a real leak shows every time.
  std::uint64_t least = UINT64_MAX;
  for (int attempt = 0; attempt < 5 && least > churned / 4; ++attempt) {
    least = std::min(least, lost_bytes(t, stream, cycles));
  }
  t.check(least <= churned / 4, "free memory returns; lost " + std::to_string(least) + " of " +
                                    std::to_string(churned) + " bytes that were freed");
  OtherDevice other(t);
  const flagos_memory_desc_t desc = memory_desc(kKib);
  flagos_address_t address = 0;
  t.ok(flagos_memory_alloc(other, &desc, &address), "memory_alloc");
  t.status(flagos_device_close(other), FLAGOS_STATUS_BUSY, "device_close with live memory");
  t.ok(flagos_memory_free(other, address), "memory_free");
  other.close();
}

}  // namespace
}  // namespace flagos::conformance
