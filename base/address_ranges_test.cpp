#include "base/address_ranges.hpp"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "base/error.hpp"

namespace flagos {
namespace {

int objects[64];

void* object(std::size_t i) { return &objects[i]; }

TEST_CASE("address ranges: every byte of a range leads to its object, the bytes around do not") {
  AddressRanges ranges;
  for (const std::uint64_t size : {1, 4095, 65535, 65536, 65537, 1 << 20}) {
    INFO(size);
    const std::uint64_t base = ranges.reserve(size, 256, object(1));
    for (const std::uint64_t offset : {std::uint64_t{0}, size / 2, size - 1}) {
      const AddressRanges::Found found = ranges.find(base + offset);
      CHECK(found.object == object(1));
      CHECK(found.base == base);
      CHECK(found.size_bytes == size);
      CHECK(found.offset == offset);
    }
    CHECK_FALSE(ranges.find(base - 1));
    CHECK_FALSE(ranges.find(base + size));
    CHECK(ranges.count() == 1);
    CHECK(ranges.release(base) == object(1));
    CHECK_FALSE(ranges.find(base));
    CHECK(ranges.count() == 0);
  }
}

TEST_CASE("address ranges: larger than a leaf of the table") {
  AddressRanges ranges;
  const std::uint64_t size = (std::uint64_t{5} << 30) + 3;
  const std::uint64_t base = ranges.reserve(size, 4096, object(2));
  for (std::uint64_t offset = 0; offset < size; offset += (1 << 28) + 12345)
    CHECK(ranges.find(base + offset).offset == offset);
  CHECK(ranges.find(base + size - 1).object == object(2));
  CHECK_FALSE(ranges.find(base + size));
  CHECK(ranges.release(base) == object(2));
}

TEST_CASE("address ranges: alignment") {
  AddressRanges ranges;
  for (std::uint64_t alignment = 1; alignment <= (1 << 24); alignment *= 2)
    CHECK(ranges.reserve(100, alignment, object(3)) % alignment == 0);
  CHECK(ranges.count() == 25);
}

TEST_CASE("address ranges: nothing else is placed in a range") {
  AddressRanges ranges;
  const std::uint64_t base = ranges.reserve(1 << 20, 256, object(4));
  void* other =
      mmap(reinterpret_cast<void*>(base), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  CHECK(other == MAP_FAILED);
}

TEST_CASE("address ranges: what cannot be reserved is refused, and nothing changes") {
  AddressRanges ranges;
  for (const std::uint64_t size : {UINT64_MAX, std::uint64_t{1} << 47, std::uint64_t{1} << 63}) {
    INFO(size);
    CHECK_THROWS_AS(ranges.reserve(size, 256, object(0)), Error);
  }
  CHECK_THROWS_AS(ranges.reserve(256, std::uint64_t{1} << 62, object(0)), Error);
  CHECK(ranges.count() == 0);
  CHECK(ranges.release(0) == nullptr);
  CHECK(ranges.release(UINT64_MAX) == nullptr);
  CHECK_FALSE(ranges.find(0));
  CHECK_FALSE(ranges.find(UINT64_MAX));
}

TEST_CASE("address ranges: only the first byte releases") {
  AddressRanges ranges;
  const std::uint64_t base = ranges.reserve(200'000, 256, object(5));
  CHECK(ranges.release(base + 1) == nullptr);
  CHECK(ranges.release(base + 65536) == nullptr);
  CHECK(ranges.find(base + 65536).object == object(5));
  CHECK(ranges.release(base) == object(5));
  CHECK(ranges.release(base) == nullptr);
}

TEST_CASE("address ranges: attached memory") {
  AddressRanges ranges;
  std::vector<char> memory(10'000);
  const auto base = reinterpret_cast<std::uint64_t>(memory.data());
  ranges.attach(base, 4000, object(6));
  ranges.attach(base + 4000, 1000, object(7));
  CHECK_THROWS_AS(ranges.attach(base + 3999, 1, object(8)), Error);
  CHECK_THROWS_AS(ranges.attach(base + 4999, 5000, object(8)), Error);
  CHECK(ranges.find(base + 3999).object == object(6));
  CHECK(ranges.find(base + 4000).object == object(7));
  CHECK(ranges.find(base + 4999).offset == 999);
  CHECK_FALSE(ranges.find(base + 5000));
  CHECK_FALSE(ranges.find(base - 1));
  CHECK(ranges.release(base + 1) == nullptr);
  CHECK(ranges.release(base) == object(6));
  CHECK_FALSE(ranges.find(base));
  CHECK(ranges.release(base + 4000) == object(7));
  CHECK(ranges.count() == 0);
}

TEST_CASE("address ranges: random changes against a list") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  struct Range {
    std::uint64_t base, size;
    void* object;
  };
  AddressRanges ranges;
  std::vector<Range> live;
  for (int i = 0; i < 5000; ++i) {
    if (live.empty() || random() % 5 < 3) {
      const std::uint64_t size = 1 + random() % (1u << (1 + random() % 24));
      void* owner = object(random() % 64);
      live.push_back({ranges.reserve(size, 1u << (random() % 20), owner), size, owner});
    } else {
      const std::size_t pick = random() % live.size();
      REQUIRE(ranges.release(live[pick].base) == live[pick].object);
      REQUIRE_FALSE(ranges.find(live[pick].base));
      live[pick] = live.back();
      live.pop_back();
    }
    if (live.empty()) continue;
    const Range& range = live[random() % live.size()];
    const std::uint64_t offset = random() % range.size;
    const AddressRanges::Found found = ranges.find(range.base + offset);
    REQUIRE(found.object == range.object);
    REQUIRE(found.offset == offset);
    REQUIRE(found.size_bytes == range.size);
  }
  REQUIRE(ranges.count() == live.size());
}

TEST_CASE("address ranges: lookups beside changes see a whole range or none") {
  AddressRanges ranges;
  // The object tells the size, so a mixture of two ranges would be seen.
  std::atomic<std::uint64_t> current{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  const std::uint64_t fixed = ranges.reserve(77, 256, object(63));
  std::vector<std::thread> readers;
  readers.reserve(3);
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      while (!stop.load()) {
        const std::uint64_t base = current.load();
        const AddressRanges::Found found = ranges.find(base);
        if (found) {
          const auto index = static_cast<std::uint64_t>(static_cast<int*>(found.object) - objects);
          if (found.size_bytes != (index + 1) * 1000 || found.offset != 0) ++wrong;
        }
        if (ranges.find(fixed + 76).object != object(63)) ++wrong;
      }
    });
  }
  for (int i = 0; i < 20'000; ++i) {
    const auto index = static_cast<std::size_t>(i % 40);
    const std::uint64_t base = ranges.reserve((index + 1) * 1000, 256, object(index));
    current.store(base);
    if (ranges.release(base) != object(index)) ++wrong;
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace flagos
