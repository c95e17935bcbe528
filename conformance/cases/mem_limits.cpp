// mem.alloc under pressure: large blocks, exhausted memory, fragmentation, and what a fresh block
// may show.
#include <algorithm>
#include <array>
#include <string>
#include <thread>

#include "conformance/cases/data.hpp"
#include "conformance/results.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

// Stamps both ends and every 64 MiB between them.
void touch(Context& t, flagos_stream_t* stream, flagos_address_t address, std::uint64_t size) {
  std::vector<Block> marks;
  for (std::uint64_t at = 0; at + 64 <= size; at += 64 * kMib) {
    marks.push_back({address + at, 8, static_cast<std::uint32_t>(at / kMib + 1)});
  }
  marks.push_back({address + (size - 8) / 4 * 4, 8, 0xffffu});
  for (const Block& mark : marks) stamp(t, stream, mark);
  check_blocks(t, stream, marks);
}

FLAGOS_CASE("mem.alloc.large", {.clause = "flagos_memory_alloc up to max_allocation_bytes",
                                .isolation = Isolation::own}) {
  Stream stream(t);
  const std::uint64_t limit = t.info().max_allocation_bytes;
  for (const std::uint64_t percent : {50, 75, 100}) {
    const std::uint64_t size = std::min(free_bytes(t) / 100 * percent, limit);
    t.subcase(std::to_string(percent) + " % of free memory: " + std::to_string(size));
    if (size < 64 * kMib) t.resource("less than 64 MiB of device memory are free");
    const flagos_memory_desc_t desc = memory_desc(size);
    flagos_address_t address = 0;
    const flagos_status_t status = flagos_memory_alloc(t.device(), &desc, &address);
    // Free memory is no promise that it is in one piece, half of it is.
    if (percent > 50 && status == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY) continue;
    t.ok(status, "memory_alloc");
    touch(t, stream, address, size);
    t.ok(flagos_memory_free(t.device(), address), "memory_free");
  }
}

// Allocates blocks of `size` until the device says that there are no more.
std::vector<Block> exhaust(Context& t, flagos_stream_t* stream, std::uint64_t size) {
  std::vector<Block> blocks;
  for (;;) {
    const flagos_memory_desc_t desc = memory_desc(size);
    Block block{0, size, static_cast<std::uint32_t>(blocks.size() + 1)};
    const flagos_status_t status = flagos_memory_alloc(t.device(), &desc, &block.address);
    if (status != FLAGOS_STATUS_OK) {
      t.status(status, FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY, "memory_alloc when the device is full");
      return blocks;
    }
    stamp(t, stream, block);
    blocks.push_back(block);
    t.check(size * blocks.size() <= t.info().memory_bytes,
            "live allocations are at most memory_bytes in all");
  }
}

FLAGOS_CASE("mem.alloc.oom_then_recover",
            {.clause = "flagos_memory_alloc: OUT_OF_DEVICE_MEMORY is not sticky",
             .isolation = Isolation::own}) {
  keep_digests_private(t);  // sizes are those of the device
  Stream stream(t);
  for (const std::uint64_t parts : {8, 32, 100}) {
    const std::uint64_t size =
        std::min(t.info().memory_bytes / parts, t.info().max_allocation_bytes);
    t.subcase("blocks of " + std::to_string(size));
    std::vector<Block> blocks = exhaust(t, stream, size);
    t.check(!blocks.empty(), "one block of 1/" + std::to_string(parts) + " of the memory fits");
    std::shuffle(blocks.begin(), blocks.end(), t.random());
    const std::size_t part = std::max<std::size_t>(1, blocks.size() / 10);
    free_blocks(t, std::span(blocks).last(part));
    blocks.resize(blocks.size() - part);
    check_blocks(t, stream, blocks);
    const Block again = alloc_block(t, size, 0xabcdef);
    stamp(t, stream, again);
    blocks.push_back(again);
    check_blocks(t, stream, blocks);
    free_blocks(t, blocks);
  }
  t.smoke();
}

// What one thread of the race got until there was no more.
struct Share {
  std::vector<flagos_address_t> blocks;
  flagos_status_t last = FLAGOS_STATUS_OK;
};

void take_all(flagos_device_t* device, std::uint64_t size, std::size_t most, Share& share) {
  while (share.blocks.size() <= most) {
    const flagos_memory_desc_t desc = memory_desc(size);
    flagos_address_t address = 0;
    share.last = flagos_memory_alloc(device, &desc, &address);
    if (share.last != FLAGOS_STATUS_OK) return;
    share.blocks.push_back(address);
  }
}

FLAGOS_CASE("mem.alloc.oom_parallel", {.clause = "flagos_memory_alloc: any thread",
                                       .level = Level::full,
                                       .isolation = Isolation::own}) {
  const std::uint64_t size = std::min(t.info().memory_bytes / 200, t.info().max_allocation_bytes);
  const std::size_t most = t.info().memory_bytes / size;
  std::array<Share, 8> shares;
  std::vector<std::thread> threads;
  flagos_device_t* const device = t.device();
  for (Share& share : shares) threads.emplace_back([&] { take_all(device, size, most, share); });
  for (std::thread& thread : threads) thread.join();
  std::vector<Block> blocks;
  for (const Share& share : shares) {
    for (const flagos_address_t address : share.blocks) blocks.push_back({address, size, 0});
    t.status(share.last, FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY, "the last allocation of a thread");
  }
  t.check(!blocks.empty() && blocks.size() <= most, "what was granted is at most memory_bytes");
  check_disjoint(t, blocks);
  free_blocks(t, blocks);
  Stream stream(t);
  const Block again = alloc_block(t, size, 7);
  stamp(t, stream, again);
  check_blocks(t, stream, {&again, 1});
  free_blocks(t, {&again, 1});
}

FLAGOS_CASE("mem.alloc.fragmentation",
            {.clause = "flagos_memory_alloc: OK or OUT_OF_DEVICE_MEMORY", .level = Level::full}) {
  Stream stream(t);
  const std::uint32_t count = t.settings().quick ? 200 : 1'000;
  std::vector<Block> kept;
  std::vector<Block> gone;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t size = 4 * kKib + t.random_below(1020 * kKib);
    (i % 2 == 0 ? kept : gone).push_back(alloc_block(t, size, i + 1));
    stamp(t, stream, i % 2 == 0 ? kept.back() : gone.back());
  }
  check_blocks(t, stream, gone);
  std::uint64_t freed = 0;
  for (const Block& block : gone) freed += block.size;
  free_blocks(t, gone);
  const flagos_memory_desc_t desc = memory_desc(freed / 5 * 4);
  Block large{0, desc.size_bytes, 0x77};
  const flagos_status_t status = flagos_memory_alloc(t.device(), &desc, &large.address);
  if (status != FLAGOS_STATUS_OK) {
    t.status(status, FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY, "memory_alloc of 80 % of what was freed");
  } else {
    stamp(t, stream, large);
    kept.push_back(large);
  }
  check_blocks(t, stream, kept);
  check_disjoint(t, kept);
  free_blocks(t, kept);
}

constexpr std::uint64_t kTagged = 16 * kMib;

// Leaves memory full of the tag behind: argument 0 is the tag in decimal.
FLAGOS_HELPER("mem_leave_tag") {
  const std::uint64_t tag = std::stoull(h.arguments.at(0));
  HelperDevice plugin(h);
  if (!plugin.ready()) return 10;
  const flagos_memory_desc_t desc = memory_desc(kTagged);
  flagos_address_t address = 0;
  if (flagos_memory_alloc(plugin.device(), &desc, &address) != FLAGOS_STATUS_OK) return 11;
  const std::vector<std::uint64_t> tags(kTagged / 8, tag);
  std::vector<std::uint64_t> back(kTagged / 8, 0);
  flagos_memory_copy(plugin.stream(), address, host(tags.data()), kTagged);
  flagos_memory_copy(plugin.stream(), host(back.data()), address, kTagged);
  const flagos_status_t status = flagos_stream_synchronize(plugin.stream(), kPatienceNs);
  flagos_memory_free(plugin.device(), address);
  return status == FLAGOS_STATUS_OK && back == tags ? 0 : 12;
}

FLAGOS_CASE("mem.alloc.no_cross_process_leak", {.clause = "design 3: no data of another process",
                                                .level = Level::full,
                                                .isolation = Isolation::multi}) {
  const std::uint64_t tag = t.random()() | 1;
  t.equal(t.run_helper("mem_leave_tag", {std::to_string(tag)}, 60), 0,
          "the exit code of the process with the secret");
  Stream stream(t);
  for (int i = 0; i < 4; ++i) {
    Memory memory(t, kTagged);
    const auto bytes = read(t, stream, memory.address(), kTagged);
    std::vector<std::uint64_t> found(kTagged / 8);
    std::memcpy(found.data(), bytes.data(), bytes.size());
    t.equal(std::count(found.begin(), found.end(), tag), 0,
            "words of another process in a fresh allocation");
  }
}

}  // namespace
}  // namespace flagos::conformance
