// mem.alloc: what flagos_memory_alloc gives, and what it refuses.
#include <algorithm>
#include <string>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

// Writes random bytes over a whole allocation and reads them back.
void round_trip(Context& t, flagos_stream_t* stream, const Memory& memory) {
  const auto bytes = noise(t, memory.size());
  write(t, stream, memory.address(), bytes);
  same(t, read(t, stream, memory.address(), memory.size()), bytes,
       "what was written to the allocation");
}

FLAGOS_CASE("mem.alloc.basic", {.clause = "flagos_memory_alloc"}) {
  Stream stream(t);
  const std::uint64_t largest = t.settings().quick ? 4 * kMib : 64 * kMib;
  for (const std::uint64_t size :
       {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3}, std::uint64_t{4}, std::uint64_t{7},
        std::uint64_t{8}, std::uint64_t{255}, std::uint64_t{256}, std::uint64_t{4095}, 4 * kKib,
        kMib, largest}) {
    t.subcase("size=" + std::to_string(size));
    Memory memory(t, size);
    round_trip(t, stream, memory);
    memory.free();
  }
}

FLAGOS_CASE("mem.alloc.size_sweep", {.clause = "flagos_memory_alloc"}) {
  Stream stream(t);
  std::vector<std::unique_ptr<Memory>> live;
  std::vector<std::vector<std::uint8_t>> contents;
  for (std::uint64_t power = 1; power <= kMib; power *= 2) {
    for (const std::uint64_t size : {power - 1, power, power + 1}) {
      t.subcase("size=" + std::to_string(size));
      live.push_back(std::make_unique<Memory>(t, size));
      contents.push_back(noise(t, size));
      write(t, stream, live.back()->address(), contents.back());
    }
  }
  for (std::size_t i = 0; i < live.size(); ++i) {
    same(t, read(t, stream, live[i]->address(), live[i]->size()), contents[i],
         "what a live allocation holds");
    live[i]->free();
  }
}

FLAGOS_CASE("mem.alloc.many_small", {.clause = "flagos_memory_alloc"}) {
  Stream stream(t);
  const std::uint32_t count = t.settings().quick ? 4'000 : 100'000;
  std::vector<Block> blocks;
  for (std::uint32_t i = 0; i < count; ++i) {
    blocks.push_back(alloc_block(t, 64, 0x10000000u + i));
    stamp(t, stream, blocks.back());
  }
  check_blocks(t, stream, blocks);
  check_disjoint(t, blocks);
  free_blocks(t, blocks);
}

FLAGOS_CASE("mem.alloc.disjoint", {.clause = "flagos_memory_alloc"}) {
  Stream stream(t);
  const std::uint32_t count = t.settings().quick ? 2'000 : 10'000;
  std::vector<Block> blocks;
  for (std::uint32_t i = 0; i < count; ++i) {
    blocks.push_back(alloc_block(t, 4 + t.random_below(16 * kKib), i));
    stamp(t, stream, blocks.back());
  }
  check_disjoint(t, blocks);
  check_blocks(t, stream, blocks);
  free_blocks(t, blocks);
}

FLAGOS_CASE("mem.alloc.alignment_default",
            {.clause = "flagos_memory_alloc: aligned to allocation_alignment"}) {
  Stream stream(t);
  const std::uint64_t alignment = t.info().allocation_alignment;
  t.check(alignment >= 256 && (alignment & (alignment - 1)) == 0,
          "allocation_alignment is a power of two, at least 256");
  std::vector<Block> blocks;
  for (std::uint32_t i = 0; i < 200; ++i) {
    blocks.push_back(alloc_block(t, i < 100 ? 4 + i : 4 + t.random_below(256 * kKib), i));
    t.equal(blocks.back().address % alignment, 0, "address modulo allocation_alignment");
    stamp(t, stream, blocks.back());
  }
  check_blocks(t, stream, blocks);
  free_blocks(t, blocks);
}

void refuse_alignment(Context& t, std::uint64_t alignment) {
  const flagos_memory_desc_t desc = memory_desc(4 * kKib, FLAGOS_MEMORY_KIND_DEVICE, alignment);
  flagos_address_t address = 1;
  t.subcase("refused alignment=" + std::to_string(alignment));
  t.status(flagos_memory_alloc(t.device(), &desc, &address), FLAGOS_STATUS_INVALID_ARGUMENT,
           "memory_alloc");
  t.equal(address, 0, "the address of a failed allocation");
}

FLAGOS_CASE("mem.alloc.alignment_request", {.clause = "flagos_memory_desc_t.alignment_bytes"}) {
  Stream stream(t);
  for (std::uint64_t alignment = 1; alignment <= 64 * kKib; alignment *= 2) {
    t.subcase("alignment=" + std::to_string(alignment));
    const std::uint64_t expected =
        std::max<std::uint64_t>(alignment, t.info().allocation_alignment);
    for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{4097}, 256 * kKib}) {
      Memory memory(t, size, FLAGOS_MEMORY_KIND_DEVICE, alignment);
      t.equal(memory.address() % expected, 0, "address modulo the alignment");
      round_trip(t, stream, memory);
    }
  }
  for (const std::uint64_t alignment :
       {std::uint64_t{3}, std::uint64_t{48}, std::uint64_t{4095}, 64 * kKib - 1, 128 * kKib,
        std::uint64_t{1} << 63, UINT64_MAX}) {
    refuse_alignment(t, alignment);
  }
}

FLAGOS_CASE("mem.alloc.zero_size",
            {.clause = "flagos_memory_desc_t: size 0 gives an address that can be freed"}) {
  for (const auto kind : copy_kinds(t)) {
    if (kind == FLAGOS_MEMORY_KIND_UNKNOWN) continue;
    t.subcase(kind_name(kind));
    Memory first(t, 0, kind);
    Memory second(t, 0, kind);
    t.check(first.address() != second.address(),
            "two live allocations of size 0 have two addresses");
    first.free();
    second.free();
  }
  t.smoke();
}

FLAGOS_CASE("mem.alloc.huge_reject",
            {.clause = "flagos_memory_alloc: OUT_OF_DEVICE_MEMORY, no crash"}) {
  const std::uint64_t total = t.info().memory_bytes;
  const std::uint64_t alignment = t.info().allocation_alignment;
  for (const std::uint64_t size :
       {total + 1, 2 * total, UINT64_MAX, UINT64_MAX - alignment + 1, UINT64_MAX - 64 * kKib,
        std::uint64_t{1} << 63, std::uint64_t{1} << 48}) {
    t.subcase("size=" + std::to_string(size));
    const flagos_memory_desc_t desc = memory_desc(size);
    flagos_address_t address = 1;
    t.status(flagos_memory_alloc(t.device(), &desc, &address), FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY,
             "memory_alloc");
    t.equal(address, 0, "the address of a failed allocation");
  }
  t.smoke();
}

FLAGOS_CASE("mem.alloc.out_null",
            {.clause = "general rules: a required pointer that is NULL", .oracle = Oracle::code}) {
  OtherDevice other(t);
  const flagos_memory_desc_t desc = memory_desc(kMib);
  for (int i = 0; i < 100; ++i) {
    t.status(flagos_memory_alloc(other, &desc, nullptr), FLAGOS_STATUS_INVALID_ARGUMENT,
             "memory_alloc to NULL");
  }
  other.close();  // BUSY if one of them had allocated
  t.smoke();
}

struct Refusal {
  const char* name;
  flagos_memory_desc_t desc;
  flagos_status_t status;
};

std::vector<Refusal> refusals() {
  flagos_memory_desc_t short_desc = memory_desc(kKib);
  short_desc.struct_size -= 1;
  return {{"alignment 3", memory_desc(kKib, FLAGOS_MEMORY_KIND_DEVICE, 3),
           FLAGOS_STATUS_INVALID_ARGUMENT},
          {"kind unknown", memory_desc(kKib, FLAGOS_MEMORY_KIND_UNKNOWN),
           FLAGOS_STATUS_INVALID_ARGUMENT},
          {"kind registered", memory_desc(kKib, FLAGOS_MEMORY_KIND_REGISTERED),
           FLAGOS_STATUS_INVALID_ARGUMENT},
          {"size 2^62", memory_desc(std::uint64_t{1} << 62), FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY},
          {"unknown flag", memory_desc(kKib, FLAGOS_MEMORY_KIND_DEVICE, 0, std::uint64_t{1} << 40),
           FLAGOS_STATUS_UNSUPPORTED},
          {"short struct", short_desc, FLAGOS_STATUS_INVALID_STRUCT_SIZE}};
}

FLAGOS_CASE("mem.alloc.out_untouched_on_fail",
            {.clause = "general rules: out parameters of a failing call are zero",
             .oracle = Oracle::code}) {
  for (const Refusal& refusal : refusals()) {
    t.subcase(refusal.name);
    flagos_address_t address = 0xdeadbeefu;
    t.status(flagos_memory_alloc(t.device(), &refusal.desc, &address), refusal.status,
             "memory_alloc");
    t.equal(address, 0, "the address of a failed allocation");
  }
  t.subcase("no device");
  const flagos_memory_desc_t desc = memory_desc(kKib);
  flagos_address_t address = 0xdeadbeefu;
  t.status(flagos_memory_alloc(nullptr, &desc, &address), FLAGOS_STATUS_INVALID_HANDLE,
           "memory_alloc");
  t.equal(address, 0, "the address of a failed allocation");
  t.smoke();
}

FLAGOS_CASE("mem.alloc.zeroed_or_undefined",
            {.clause = "FLAGOS_MEMORY_FLAG_ZERO: the bytes are zero"}) {
  Stream stream(t);
  for (const std::uint64_t size :
       {std::uint64_t{1}, std::uint64_t{63}, std::uint64_t{4096}, kMib + 1, 8 * kMib}) {
    t.subcase("size=" + std::to_string(size));
    for (int round = 0; round < 4; ++round) {
      Memory dirty(t, size);
      fill(t, stream, dirty.address(), std::uint8_t{0xa5}, size);
      all_are(t, read(t, stream, dirty.address(), size), 0xa5, "a filled block");
      dirty.free();
      Memory clean(t, size, FLAGOS_MEMORY_KIND_DEVICE, 0, FLAGOS_MEMORY_FLAG_ZERO);
      all_are(t, read(t, stream, clean.address(), size), 0, "a zeroed block");
      fill(t, stream, clean.address(), std::uint8_t{0xa5}, size);
      synchronize(t, stream);
    }
  }
}

FLAGOS_CASE("mem.alloc.kinds", {.clause = "flagos_memory_kind_t"}) {
  Stream stream(t);
  const auto available = copy_kinds(t);
  for (const auto kind :
       {FLAGOS_MEMORY_KIND_DEVICE, FLAGOS_MEMORY_KIND_PINNED, FLAGOS_MEMORY_KIND_MANAGED}) {
    t.subcase(kind_name(kind));
    if (std::find(available.begin(), available.end(), kind) != available.end()) {
      Memory memory(t, 100'003, kind);
      round_trip(t, stream, memory);
      memory.free();
      continue;
    }
    const flagos_memory_desc_t desc = memory_desc(kKib, kind);
    flagos_address_t address = 1;
    t.status(flagos_memory_alloc(t.device(), &desc, &address), FLAGOS_STATUS_UNSUPPORTED,
             "an absent kind");
    t.equal(address, 0, "the address of a failed allocation");
  }
  for (const flagos_memory_kind_t kind :
       {0, 4, 5, -1}) {  // unknown, registered, and no kinds at all
    t.subcase("kind=" + std::to_string(kind));
    const flagos_memory_desc_t desc = memory_desc(kKib, kind);
    flagos_address_t address = 1;
    t.status(flagos_memory_alloc(t.device(), &desc, &address), FLAGOS_STATUS_INVALID_ARGUMENT,
             "memory_alloc");
  }
}

}  // namespace
}  // namespace flagos::conformance
