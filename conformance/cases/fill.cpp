// fill: patterns of 1 to 16 bytes, what they cover and what they leave alone.
#include <algorithm>
#include <array>
#include <string>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

std::vector<std::uint8_t> repeated(std::span<const std::uint8_t> pattern, std::uint64_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::uint64_t i = 0; i < size; ++i) bytes[i] = pattern[i % pattern.size()];
  return bytes;
}

// Fills [offset, offset + size) of a buffer of random bytes and compares all of it.
void fill_exact(Context& t, flagos_stream_t* stream, flagos_memory_kind_t kind,
                std::span<const std::uint8_t> pattern, std::uint64_t offset, std::uint64_t size) {
  t.subcase(std::string(kind_name(kind)) + ", pattern of " + std::to_string(pattern.size()) +
            ", offset=" + std::to_string(offset) + " size=" + std::to_string(size));
  Side target(t, kind, offset + size + 64);
  auto expected = noise(t, offset + size + 64);
  target.set(expected);
  t.ok(flagos_memory_fill(stream, target.address(offset), pattern.data(),
                          static_cast<std::uint32_t>(pattern.size()), size),
       "memory_fill");
  synchronize(t, stream);
  const auto bytes = repeated(pattern, size);
  std::copy(bytes.begin(), bytes.end(), expected.begin() + static_cast<std::ptrdiff_t>(offset));
  same(t, target.get(), expected, "the filled range and the bytes around it");
  target.verify();
}

// All of `units` patterns long, at offsets of whole patterns.
void fill_widths(Context& t, std::uint32_t width) {
  Stream stream(t);
  const auto pattern = noise(t, width);
  for (const std::uint64_t units : {1, 3, 15, 16, 1025, 40'003}) {
    for (const std::uint64_t offset : {0, 1, 2, 3}) {
      fill_exact(t, stream, FLAGOS_MEMORY_KIND_DEVICE, pattern, offset * width, units * width);
    }
  }
}

// A target that is not aligned to the pattern is refused and not written.
void refuse_misaligned(Context& t, std::uint32_t width) {
  Stream stream(t);
  Buffer target(t, 256);
  const auto before = noise(t, 256);
  const auto pattern = noise(t, width);
  target.write(before);
  for (std::uint32_t offset = 1; offset < width; ++offset) {
    t.subcase("misaligned by " + std::to_string(offset));
    t.status(flagos_memory_fill(stream, target.address(offset), pattern.data(), width, 4 * width),
             FLAGOS_STATUS_INVALID_ARGUMENT, "memory_fill");
  }
  synchronize(t, stream);
  t.equal_bytes(target.read(), before, "the target of refused fills");
}

FLAGOS_CASE("fill.u8", {.clause = "flagos_memory_fill"}) { fill_widths(t, 1); }

FLAGOS_CASE("fill.u16", {.clause = "flagos_memory_fill"}) {
  fill_widths(t, 2);
  refuse_misaligned(t, 2);
}

FLAGOS_CASE("fill.u32", {.clause = "flagos_memory_fill"}) {
  fill_widths(t, 4);
  refuse_misaligned(t, 4);
}

FLAGOS_CASE("fill.u64", {.clause = "flagos_memory_fill with 8 bytes",
                         .level = Level::full,
                         .feature = "wide_fill"}) {
  fill_widths(t, 8);
  refuse_misaligned(t, 8);
}

FLAGOS_CASE("fill.pattern_n",
            {.clause = "flagos_memory_fill with 16 bytes; other sizes are refused",
             .level = Level::optional,
             .feature = "wide_fill"}) {
  fill_widths(t, 16);
  refuse_misaligned(t, 16);
  Stream stream(t);
  Buffer target(t, 960);
  const auto before = noise(t, 960);
  const auto pattern = noise(t, 128);
  target.write(before);
  for (const std::uint32_t width : {0u, 3u, 5u, 12u, 24u, 32u, 64u, UINT32_MAX}) {
    t.subcase("pattern of " + std::to_string(width));
    t.status(flagos_memory_fill(stream, target.address(), pattern.data(), width, 960),
             FLAGOS_STATUS_INVALID_ARGUMENT, "memory_fill");
  }
  synchronize(t, stream);
  t.equal_bytes(target.read(), before, "the target of refused fills");
}

FLAGOS_CASE("fill.size_not_multiple",
            {.clause = "flagos_memory_fill: a size that is no multiple", .oracle = Oracle::code}) {
  Stream stream(t);
  Buffer target(t, 256);
  const auto before = noise(t, 256);
  const std::array<std::uint8_t, 16> pattern{1, 2, 3, 4};
  target.write(before);
  struct Wrong {
    std::uint32_t width;
    std::uint64_t size;
  };
  for (const Wrong wrong :
       {Wrong{2, 1}, Wrong{2, 255}, Wrong{4, 1}, Wrong{4, 6}, Wrong{4, 255}, Wrong{4, 2}}) {
    t.subcase("pattern of " + std::to_string(wrong.width) + ", size=" + std::to_string(wrong.size));
    t.status(flagos_memory_fill(stream, target.address(), pattern.data(), wrong.width, wrong.size),
             FLAGOS_STATUS_INVALID_ARGUMENT, "memory_fill");
  }
  synchronize(t, stream);
  t.equal_bytes(target.read(), before, "the target of refused fills");
}

FLAGOS_CASE("fill.zero_len",
            {.clause = "general rules: a fill with a zero size is OK and does nothing"}) {
  Stream stream(t);
  Buffer target(t, 64);
  const auto before = noise(t, 64);
  target.write(before);
  const std::uint32_t pattern = 0xffffffffu;
  for (const std::uint32_t width : {1u, 2u, 4u}) {
    t.subcase("pattern of " + std::to_string(width));
    for (const flagos_address_t address :
         {target.address(), target.address(64), flagos_address_t{0}}) {
      t.ok(flagos_memory_fill(stream, address, &pattern, width, 0), "memory_fill");
    }
  }
  synchronize(t, stream);
  t.equal_bytes(target.read(), before, "the target");
}

FLAGOS_CASE("fill.async_order", {.clause = "a stream is an ordered queue"}) {
  const int rounds = t.settings().quick ? 50 : 500;
  for (const std::uint64_t size : {std::uint64_t{4}, std::uint64_t{4096}, 256 * kKib}) {
    t.subcase("size=" + std::to_string(size));
    Stream stream(t);
    Buffer block(t, size);
    Buffer results(t, static_cast<std::uint64_t>(rounds) * 4);
    for (int i = 0; i < rounds; ++i) {
      fill(t, stream, block.address(), static_cast<std::uint32_t>(i + 1), size);
      copy(t, stream, results.address(static_cast<std::uint64_t>(i) * 4), block.address(size - 4),
           4);
      fill(t, stream, block.address(), 0xffffffffu, size);
    }
    synchronize(t, stream);
    const auto seen = words(results.read());
    for (std::uint32_t i = 0; i < seen.size(); ++i)
      t.equal(seen[i], i + 1, "what lay between two fills");
    all_are(t, block.read(), 0xff, "the last fill");
  }
}

// Fills much memory and looks at its ends and at random places. A device that is smaller fills
// three quarters of what it has.
void fill_large(Context& t, std::uint64_t wanted) {
  const std::uint64_t fits = std::min(t.info().memory_bytes / 4 * 3, t.info().max_allocation_bytes);
  const std::uint64_t size = std::min(wanted, fits / 4096 * 4096 - 4096);
  t.subcase("size=" + std::to_string(size));
  if (free_bytes(t) < size + 64) {
    t.resource(std::to_string(size) + " bytes of device memory are not free");
  }
  Stream stream(t);
  Memory memory(t, size + 64);
  fill(t, stream, memory.address(size), std::uint8_t{0x77}, 64);
  fill(t, stream, memory.address(), std::uint32_t{0x01020304}, size);
  synchronize(t, stream);
  const std::uint32_t pattern = 0x01020304;
  std::vector<std::uint64_t> places{0, size - 4096};
  for (std::uint64_t mark = kGib; mark < size; mark += kGib) places.push_back(mark - 2048);
  for (int i = 0; i < 16; ++i) places.push_back(t.random_below(size / 4096) * 4096);
  for (const std::uint64_t place : places) {
    const auto expected = repeated(bytes_of(pattern), std::min<std::uint64_t>(4096, size - place));
    same(t, read(t, stream, memory.address(place), expected.size()), expected,
         "the bytes at " + std::to_string(place));
  }
  all_are(t, read(t, stream, memory.address(size), 64), 0x77, "the bytes behind the fill");
}

FLAGOS_CASE("fill.large",
            {.clause = "flagos_memory_fill: 64-bit sizes", .isolation = Isolation::own}) {
  if (t.settings().quick) {
    fill_large(t, 256 * kMib);
    return;
  }
  fill_large(t, kGib);
  fill_large(t, 4 * kGib + 4 * kKib);
}

FLAGOS_CASE("fill.value_captured",
            {.clause = "flagos_memory_fill: the pattern is read before the call returns"}) {
  require_async(t);
  for (const std::uint32_t width : {1u, 2u, 4u, 8u, 16u}) {
    if (width > 4 && !t.has(FLAGOS_FEATURE_WIDE_FILL)) continue;
    t.subcase("pattern of " + std::to_string(width));
    Buffer target(t, 4096);
    const auto bytes = noise(t, width);
    Stream stream(t);
    Blocker blocker(t, stream);
    {
      auto pattern = std::make_unique<std::vector<std::uint8_t>>(bytes);
      t.ok(flagos_memory_fill(stream, target.address(), pattern->data(), width, 4096),
           "memory_fill");
      std::fill(pattern->begin(), pattern->end(), std::uint8_t{0});
    }
    check_held(t, stream, "memory_fill");
    blocker.release();
    synchronize(t, stream);
    t.equal_bytes(target.read(), repeated(bytes, 4096), "the pattern at the time of the call");
  }
}

FLAGOS_CASE("fill.oob",
            {.clause = "flagos_memory_fill: a range past its allocation", .oracle = Oracle::code}) {
  Stream stream(t);
  Memory memory(t, 4096);
  const auto before = noise(t, 4096);
  write(t, stream, memory.address(), before);
  const std::uint32_t pattern = 0;
  const auto refuse = [&](const char* what, std::uint64_t offset, std::uint32_t width,
                          std::uint64_t size) {
    t.subcase(what);
    t.status(flagos_memory_fill(stream, memory.address(offset), &pattern, width, size),
             FLAGOS_STATUS_INVALID_ARGUMENT, "memory_fill");
  };
  refuse("one byte too long", 0, 1, 4097);
  refuse("one byte too late", 1, 1, 4096);
  refuse("one word too long", 0, 4, 4100);
  refuse("wraps around", 0, 1, UINT64_MAX);
  refuse("size 2^63", 0, 4, std::uint64_t{1} << 63);
  synchronize(t, stream);
  same(t, read(t, stream, memory.address(), 4096), before, "the target of refused fills");
}

FLAGOS_CASE("fill.canary", {.clause = "flagos_memory_fill writes its range and nothing else"}) {
  Stream stream(t);
  for (const std::uint32_t width : {1u, 2u, 4u}) {
    const auto pattern = noise(t, width);
    for (const std::uint64_t units : {1, 2, 31, 33, 255, 4097, 65'537, 262'145}) {
      t.subcase("pattern of " + std::to_string(width) + ", " + std::to_string(units) + " times");
      Buffer target(t, units * width);
      t.ok(flagos_memory_fill(stream, target.address(), pattern.data(), width, units * width),
           "memory_fill");
      synchronize(t, stream);
      same(t, target.read(), repeated(pattern, units * width), "the filled range");
      target.verify();
    }
  }
}

FLAGOS_CASE("fill.null",
            {.clause = "flagos_memory_fill: address 0, no pattern", .oracle = Oracle::code}) {
  Stream stream(t);
  Buffer target(t, 64);
  const std::uint32_t pattern = 0x0a0b0c0d;
  t.subcase("address 0");
  t.status(flagos_memory_fill(stream, 0, &pattern, 4, 64), FLAGOS_STATUS_INVALID_ARGUMENT,
           "memory_fill");
  t.subcase("no pattern");
  t.status(flagos_memory_fill(stream, target.address(), nullptr, 4, 64),
           FLAGOS_STATUS_INVALID_ARGUMENT, "memory_fill");
  synchronize(t, stream);
  all_are(t, target.read(), Buffer::poison, "the target of a refused fill");
  t.subcase("afterwards");
  fill(t, stream, target.address(), pattern, 64);
  synchronize(t, stream);
  t.equal_bytes(target.read(), repeated(bytes_of(pattern), 64), "the target of the next fill");
}

FLAGOS_CASE("fill.managed_hostreg", {.clause = "flagos_memory_fill of memory that the host sees",
                                     .level = Level::optional,
                                     .feature = "host_register"}) {
  Stream stream(t);
  const auto pattern = noise(t, 4);
  for (const auto kind : copy_kinds(t)) {
    if (kind != FLAGOS_MEMORY_KIND_UNKNOWN) fill_exact(t, stream, kind, pattern, 16, 8 * kKib);
  }
  t.subcase("registered");
  std::vector<std::uint8_t> memory(64 * kKib, 1);
  flagos_address_t address = 0;
  t.ok(flagos_memory_host_register(t.device(), memory.data(), memory.size(), 0, &address),
       "memory_host_register");
  fill(t, stream, address + 4096, std::uint8_t{2}, 4096);
  synchronize(t, stream);
  t.ok(flagos_memory_host_unregister(t.device(), memory.data()), "memory_host_unregister");
  const std::span<const std::uint8_t> view(memory);
  all_are(t, view.first(4096), 1, "the bytes before the fill");
  all_are(t, view.subspan(4096, 4096), 2, "the filled bytes");
  all_are(t, view.subspan(8192), 1, "the bytes behind the fill");
}

FLAGOS_CASE("fill.concurrent_disjoint", {.clause = "fills of two streams", .level = Level::full}) {
  const int rounds = t.settings().quick ? 10 : 100;
  constexpr std::uint64_t half = 100'003;
  Stream a(t);
  Stream b(t);
  Buffer target(t, 2 * half);
  for (int i = 0; i < rounds; ++i) {
    fill(t, a, target.address(), static_cast<std::uint8_t>(i), half);
    fill(t, b, target.address(half), static_cast<std::uint8_t>(~i), half);
    synchronize(t, a);
    synchronize(t, b);
    const auto bytes = target.read();
    all_are(t, std::span(bytes).first(half), static_cast<std::uint8_t>(i), "the first half");
    all_are(t, std::span(bytes).last(half), static_cast<std::uint8_t>(~i), "the second half");
  }
  target.verify();
}

FLAGOS_CASE("fill.all_values_u8", {.clause = "flagos_memory_fill"}) {
  constexpr std::uint64_t size = 37;
  Stream stream(t);
  Buffer target(t, 256 * size);
  for (std::uint32_t value = 0; value < 256; ++value) {
    fill(t, stream, target.address(value * size), static_cast<std::uint8_t>(value), size);
  }
  synchronize(t, stream);
  const auto bytes = target.read();
  for (std::uint32_t value = 0; value < 256; ++value) {
    all_are(t, std::span(bytes).subspan(value * size, size), static_cast<std::uint8_t>(value),
            "the fill with " + std::to_string(value));
  }
}

FLAGOS_CASE("fill.float_nan_bits", {.clause = "flagos_memory_fill: a pattern is bits"}) {
  Stream stream(t);
  Buffer target(t, 4096);
  for (const std::uint32_t bits :
       {0x7f800001u, 0xffc12345u, 0x7fffffffu, 0x80000000u, 0x00000001u}) {
    t.subcase("32 bits, " + std::to_string(bits));
    fill(t, stream, target.address(), bits, 4096);
    synchronize(t, stream);
    t.equal_bytes(target.read(), repeated(bytes_of(bits), 4096), "the bits of a float");
  }
  for (const std::uint16_t bits : {std::uint16_t{0x7c01}, std::uint16_t{0xfe55}}) {
    t.subcase("16 bits, " + std::to_string(bits));
    fill(t, stream, target.address(), bits, 4096);
    synchronize(t, stream);
    t.equal_bytes(target.read(), repeated(bytes_of(bits), 4096), "the bits of a half float");
  }
}

}  // namespace
}  // namespace flagos::conformance
