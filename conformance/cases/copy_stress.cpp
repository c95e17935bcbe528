// copy.large, copy.many, copy.stress: much data, many copies, and memory that is freed in between.
#include <algorithm>
#include <string>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

FLAGOS_CASE("copy.large_4g_plus", {.clause = "flagos_memory_copy: 64-bit sizes",
                                   .level = Level::full,
                                   .isolation = Isolation::own}) {
  // A device that is smaller copies two fifths of what it has.
  const std::uint64_t wanted = t.settings().quick ? 256 * kMib : 4 * kGib + 64;
  const std::uint64_t fits = std::min(t.info().memory_bytes / 5 * 2, t.info().max_allocation_bytes);
  const std::uint64_t size = std::min(wanted, fits / 64 * 64);
  if (free_bytes(t) < 2 * size + 256 * kMib) {
    t.resource("needs twice " + std::to_string(size) + " bytes of device memory");
  }
  Stream stream(t);
  Memory source(t, size);
  Memory target(t, size);
  const auto bytes = noise(t, 32);
  fill(t, stream, target.address(), std::uint8_t{0}, size);
  fill(t, stream, source.address(), std::uint8_t{0x6b}, size);
  std::vector<std::uint64_t> marks{0, size / 2, size - 32};
  for (const std::uint64_t mark : {kGib, 2 * kGib - 16, 4 * kGib - 16}) {
    if (mark < size - 64) marks.push_back(mark);
  }
  for (const std::uint64_t mark : marks)
    copy(t, stream, source.address(mark), host(bytes.data()), 32);
  t.subcase("one copy of " + std::to_string(size) + " bytes");
  copy(t, stream, target.address(), source.address(), size);
  synchronize(t, stream);
  for (const std::uint64_t mark : marks) {
    const auto expected = read(t, stream, source.address(mark), 32);
    same(t, read(t, stream, target.address(mark), 32), expected,
         "the bytes at " + std::to_string(mark));
  }
  same(t, read(t, stream, target.address(size - 32), 32), bytes, "the last bytes");
  t.subcase("offset by one");
  copy(t, stream, target.address(), source.address(1), size - 1);
  synchronize(t, stream);
  same(t, read(t, stream, target.address(size - 33), 32), bytes, "the last bytes");
}

FLAGOS_CASE("copy.many_small_1m",
            {.clause = "flagos_memory_copy: a long queue", .level = Level::full}) {
  const std::uint32_t count = t.settings().quick ? 20'000 : 1'000'000;
  constexpr std::uint32_t slots = 1000;
  Stream stream(t);
  Buffer source(t, slots * 4);
  Buffer target(t, slots * 4);
  const auto bytes = noise(t, slots * 4);
  source.write(bytes);
  for (std::uint32_t i = 0; i < count; ++i) {
    copy(t, stream, target.address(i % slots * 4), source.address(i * 7 % slots * 4), 4);
  }
  synchronize(t, stream);
  const auto from = words(bytes);
  std::vector<std::uint32_t> model(slots);
  for (std::uint32_t i = 0; i < count; ++i) model[i % slots] = from[i * 7 % slots];
  same(t, target.read(), bytes_of(model), "the target of all copies");
}

// Patterns that show stuck, swapped and aliased lines.
std::vector<std::uint8_t> test_pattern(int kind, std::uint64_t size) {
  std::vector<std::uint64_t> values(size / 8);
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    if (kind == 0) values[i] = std::uint64_t{1} << (i % 64);
    if (kind == 1) values[i] = i * 8;
    if (kind == 2) values[i] = i % 2 == 0 ? 0x5555555555555555u : 0xaaaaaaaaaaaaaaaau;
  }
  const auto bytes = bytes_of(values);
  return {bytes.begin(), bytes.end()};
}

FLAGOS_CASE("copy.stress_pattern", {.clause = "flagos_memory_copy over much memory",
                                    .level = Level::full,
                                    .isolation = Isolation::own}) {
  constexpr std::uint64_t piece = 16 * kMib;
  const std::uint64_t most = t.settings().quick ? 64 * kMib : kGib;
  const std::uint64_t size =
      std::min({free_bytes(t) / 4, most, t.info().max_allocation_bytes}) / piece * piece;
  if (size == 0) t.resource("less than 64 MiB of device memory are free");
  Stream stream(t);
  Memory memory(t, size);
  for (const int kind : {0, 1, 2}) {
    t.subcase("pattern=" + std::to_string(kind));
    const auto bytes = test_pattern(kind, piece);
    for (std::uint64_t at = 0; at < size; at += piece) {
      copy(t, stream, memory.address(at), host(bytes.data()), piece);
      t.ok(flagos_memory_update(stream, memory.address(at), &at, 8), "memory_update");
    }
    std::vector<std::uint8_t> found(piece);
    auto expected = bytes;
    for (std::uint64_t at = 0; at < size; at += piece) {
      copy(t, stream, host(found.data()), memory.address(at), piece);
      synchronize(t, stream);
      std::memcpy(expected.data(), &at, 8);
      same(t, found, expected, "the piece at " + std::to_string(at));
    }
  }
}

FLAGOS_CASE("copy.ecc_like_bitflip_detect",
            {.clause = "memory keeps its bytes", .level = Level::full}) {
  const std::uint64_t size = t.settings().quick ? 4 * kMib : 64 * kMib;
  Stream stream(t);
  Buffer memory(t, size);
  const auto bytes = noise(t, size);
  memory.write(bytes);
  for (int i = 0; i < 20; ++i)
    same(t, read(t, stream, memory.address(), size), bytes, "reading " + std::to_string(i));
}

FLAGOS_CASE("copy.interleave_free",
            {.clause = "flagos_memory_free: the release waits for work", .level = Level::full}) {
  constexpr std::uint64_t size = 4 * kKib;
  const std::uint32_t rounds = t.settings().quick ? 1'000 : 10'000;
  Stream stream(t);
  Buffer results(t, rounds * 4);
  // Every block is freed while its copy may still be pending; the next block may be in its place
  // only after that.
  for (std::uint32_t i = 0; i < rounds; ++i) {
    Memory block(t, size);
    fill(t, stream, block.address(), i + 1, size);
    copy(t, stream, results.address(i * 4), block.address(size - 4), 4);
    block.free();
  }
  synchronize(t, stream);
  const auto seen = words(results.read());
  for (std::uint32_t i = 0; i < rounds; ++i)
    t.equal(seen[i], i + 1, "what was copied from block " + std::to_string(i));
}

}  // namespace
}  // namespace flagos::conformance
