// mem.addr, mem.guard, mem.managed: what lies at an address, that neighbours stay intact, and
// managed memory.
#include <algorithm>
#include <string>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

flagos_memory_info_t info_at(Context& t, flagos_address_t address) {
  flagos_memory_info_t info{};
  info.struct_size = sizeof info;
  t.ok(flagos_memory_get_info(t.device(), address, &info), "memory_get_info");
  return info;
}

void check_known(Context& t, flagos_address_t address, const Memory& memory,
                 flagos_memory_kind_t kind) {
  const flagos_memory_info_t info = info_at(t, address);
  t.equal(static_cast<std::uint64_t>(info.kind), static_cast<std::uint64_t>(kind),
          "the kind of memory");
  t.equal(info.base, memory.address(), "the base of the allocation");
  t.equal(info.size_bytes, memory.size(), "the size of the allocation");
  t.equal(info.device_index, t.info().index, "the device of the allocation");
}

void check_unknown(Context& t, flagos_address_t address) {
  const flagos_memory_info_t info = info_at(t, address);
  t.equal(static_cast<std::uint64_t>(info.kind), FLAGOS_MEMORY_KIND_UNKNOWN, "the kind of memory");
  t.equal(info.base, 0, "the base of no allocation");
  t.equal(info.device_index, UINT32_MAX, "the device of no allocation");
}

FLAGOS_CASE("mem.addr.range_query", {.clause = "flagos_memory_get_info", .level = Level::full}) {
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{1000}, 3 * kMib + 17}) {
    Memory memory(t, size);
    for (const std::uint64_t offset : {std::uint64_t{0}, size / 2, size - 1}) {
      t.subcase("size=" + std::to_string(size) + " offset=" + std::to_string(offset));
      check_known(t, memory.address(offset), memory, FLAGOS_MEMORY_KIND_DEVICE);
    }
    t.subcase("one past the end of " + std::to_string(size));
    t.check(info_at(t, memory.address(size)).base != memory.address(),
            "the byte past the end is of another allocation");
  }
  t.smoke();
}

FLAGOS_CASE("mem.addr.attr_query", {.clause = "flagos_memory_get_info"}) {
  for (const auto kind : copy_kinds(t)) {
    if (kind == FLAGOS_MEMORY_KIND_UNKNOWN) continue;
    t.subcase(kind_name(kind));
    Memory memory(t, 5000, kind);
    check_known(t, memory.address(4999), memory, kind);
    const flagos_address_t address = memory.address();
    memory.free();
    t.subcase(std::string("freed ") + kind_name(kind));
    check_unknown(t, address);
  }
  t.subcase("host");
  const std::vector<std::uint8_t> plain(4096);
  check_unknown(t, host(plain.data()));
  t.subcase("nobody");
  check_unknown(t, 0);
  check_unknown(t, UINT64_MAX);
  t.smoke();
}

FLAGOS_CASE("mem.guard.oob_write",
            {.clause = "copies, fills and kernels write their range and nothing else"}) {
  constexpr std::uint64_t size = 100'004;
  Stream stream(t);
  Buffer source(t, size);
  const auto bytes = noise(t, size);
  source.write(bytes);
  const auto check = [&](const char* what, auto&& work) {
    t.subcase(what);
    Memory around(t, size + 2 * 64 * kKib);
    const flagos_address_t inner = around.address(64 * kKib);
    fill(t, stream, around.address(), std::uint8_t{0xc7}, around.size());
    synchronize(t, stream);
    work(inner);
    synchronize(t, stream);
    const auto all = read(t, stream, around.address(), around.size());
    const std::span<const std::uint8_t> view(all);
    all_are(t, view.first(64 * kKib), 0xc7, "the bytes before the range");
    all_are(t, view.last(64 * kKib), 0xc7, "the bytes behind the range");
    t.check(std::any_of(view.begin() + 64 * kKib, view.end() - 64 * kKib,
                        [](auto b) { return b != 0xc7; }),
            "the range is written");
  };
  check("copy from the host", [&](auto to) { copy(t, stream, to, host(bytes.data()), size); });
  check("copy on the device", [&](auto to) { copy(t, stream, to, source.address(), size); });
  check("fill of bytes", [&](auto to) { fill(t, stream, to, std::uint8_t{1}, size); });
  check("fill of 16 bits", [&](auto to) { fill(t, stream, to, std::uint16_t{0x0102}, size); });
  check("fill of 32 bits", [&](auto to) { fill(t, stream, to, std::uint32_t{0x01020304}, size); });
  check("update", [&](auto to) {
    t.ok(flagos_memory_update(stream, to, bytes.data(), FLAGOS_MEMORY_UPDATE_MAX), "memory_update");
  });
  check("kernel", [&](auto to) { add_words(t, stream, to, source.address(), 1, size / 4); });
  check("two halves", [&](auto to) {
    copy(t, stream, to + 1, source.address(), size / 2 - 1);
    copy(t, stream, to + size / 2, source.address(3), size / 2);
  });
}

FLAGOS_CASE("mem.managed.coherence",
            {.clause = "FLAGOS_MEMORY_KIND_MANAGED: one address for host and device",
             .level = Level::optional,
             .feature = "managed_memory"}) {
  constexpr std::uint32_t count = 20'000;
  Stream stream(t);
  Buffer managed(t, count * 4, FLAGOS_MEMORY_KIND_MANAGED);
  auto* const on_host = static_cast<std::uint32_t*>(managed.pointer());
  for (const std::uint32_t round : {1u, 2u, 3u, 4u}) {
    t.subcase("round=" + std::to_string(round));
    for (std::uint32_t i = 0; i < count; ++i) on_host[i] = i * round;
    add_words(t, stream, managed.address(), managed.address(), round, count);
    if (round % 2 == 0 && t.has(FLAGOS_FEATURE_PREFETCH)) {
      t.ok(flagos_memory_prefetch(stream, managed.address(), managed.size()), "memory_prefetch");
    }
    synchronize(t, stream);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (on_host[i] != i * round + round)
        t.equal(on_host[i], i * round + round, "word " + std::to_string(i));
    }
    t.check(true, "the host sees what the kernel wrote");
  }
}

FLAGOS_CASE("mem.managed.oversubscribe",
            {.clause = "FLAGOS_MEMORY_KIND_MANAGED: correct, or OUT_OF_DEVICE_MEMORY",
             .level = Level::optional,
             .isolation = Isolation::own,
             .feature = "managed_memory"}) {
  Stream stream(t);
  const std::uint64_t size = std::min(t.info().memory_bytes / 16, t.info().max_allocation_bytes);
  std::vector<Block> blocks;
  while (blocks.size() < 24) {
    const flagos_memory_desc_t desc = memory_desc(size, FLAGOS_MEMORY_KIND_MANAGED);
    Block block{0, size, static_cast<std::uint32_t>(blocks.size() + 1)};
    const flagos_status_t status = flagos_memory_alloc(t.device(), &desc, &block.address);
    if (status != FLAGOS_STATUS_OK) {
      t.status(status, FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY,
               "memory_alloc beyond the device's memory");
      break;
    }
    stamp(t, stream, block);
    blocks.push_back(block);
  }
  t.check(!blocks.empty(), "a sixteenth of the memory fits");
  check_blocks(t, stream, blocks);
  free_blocks(t, blocks);
}

}  // namespace
}  // namespace flagos::conformance
