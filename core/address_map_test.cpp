#include "core/address_map.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "core/epoch.hpp"

using namespace flagos::core;

namespace {

Allocation range(flagos_address_t base, std::uint64_t size) {
  Allocation allocation;
  allocation.base = base;
  allocation.size_bytes = size;
  allocation.kind = FLAGOS_MEMORY_KIND_DEVICE;
  return allocation;
}

bool any(const Allocation&) { return true; }

}  // namespace

TEST_CASE("an address belongs to the range that contains it") {
  AddressMap map;
  ReadSection section(this_thread());
  CHECK(map.insert(range(1000, 100)));
  CHECK(map.insert(range(2000, 0)));
  CHECK(map.find(999) == nullptr);
  CHECK(map.find(1000)->base == 1000);
  CHECK(map.find(1099)->base == 1000);
  CHECK(map.find(1100) == nullptr);
  CHECK(map.find(2000)->size_bytes == 0);
  CHECK(map.find(2001) == nullptr);
}

TEST_CASE("overlaps are refused, neighbours are not") {
  AddressMap map;
  CHECK(map.insert(range(1000, 100)));
  CHECK_FALSE(map.insert(range(1000, 100)));
  CHECK_FALSE(map.insert(range(1099, 1)));
  CHECK_FALSE(map.insert(range(900, 101)));
  CHECK_FALSE(map.insert(range(1050, 0)));
  CHECK(map.insert(range(900, 100)));
  CHECK(map.insert(range(1100, 1)));
  CHECK(map.count() == 3);
}

TEST_CASE("erase takes the exact start, and only what is wanted") {
  AddressMap map;
  map.insert(range(1000, 100));
  CHECK_FALSE(map.erase(1001, any));
  CHECK_FALSE(map.erase(1000, [](const Allocation&) { return false; }));
  CHECK(map.erase(1000, any)->size_bytes == 100);
  CHECK_FALSE(map.erase(1000, any));
  CHECK(map.count() == 0);
}

TEST_CASE("random changes agree with a model") {
  constexpr std::uint32_t seed = 7;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  AddressMap map;
  std::map<flagos_address_t, std::uint64_t> model;
  for (int i = 0; i < 20000; ++i) {
    const flagos_address_t base = 16 * (random() % 4096 + 1);
    if (random() % 3 != 0) {
      const std::uint64_t size = 1 + random() % 64;
      auto next = model.lower_bound(base);
      bool free = next == model.end() || next->first >= base + size;
      if (next != model.begin()) {
        const auto before = std::prev(next);
        free = free && before->first + before->second <= base;
      }
      REQUIRE(map.insert(range(base, size)) == free);
      if (free) model[base] = size;
    } else {
      REQUIRE(map.erase(base, any).has_value() == (model.erase(base) != 0));
    }
    ReadSection section(this_thread());
    const flagos_address_t probe = random() % (16 * 4100);
    auto owner = model.upper_bound(probe);
    const bool inside = owner != model.begin() && probe < std::prev(owner)->first + std::prev(owner)->second;
    const Allocation* found = map.find(probe);
    REQUIRE((found != nullptr) == inside);
    if (inside) REQUIRE(found->base == std::prev(owner)->first);
  }
  CHECK(map.count() == model.size());
}

TEST_CASE("lookups run while others change the map") {
  AddressMap map;
  map.insert(range(1'000'000, 100));
  std::atomic<bool> stop{false};
  std::atomic<long> wrong{0};
  std::thread reader([&] {
    while (!stop) {
      ReadSection section(this_thread());
      const Allocation* found = map.find(1'000'050);
      if (found == nullptr || found->base != 1'000'000) ++wrong;
    }
  });
  for (int round = 0; round < 200; ++round) {
    for (flagos_address_t base = 1000; base < 2000; base += 100) map.insert(range(base, 50));
    for (flagos_address_t base = 1000; base < 2000; base += 100) map.erase(base, any);
  }
  stop = true;
  reader.join();
  CHECK(wrong == 0);
}
