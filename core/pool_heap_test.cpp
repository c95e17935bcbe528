#include "core/pool_heap.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <random>

using namespace flagos::core;

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

}  // namespace

TEST_CASE("sizes are rounded to units, without wrapping") {
  const PoolHeap heap(256);
  CHECK(heap.round(0) == 256);
  CHECK(heap.round(1) == 256);
  CHECK(heap.round(257) == 512);
  CHECK(heap.round(UINT64_MAX) == 0);
  CHECK(PoolHeap::segment_size(256) == 2 * mib);
  CHECK(PoolHeap::segment_size(2 * mib + 256) == 4 * mib);
}

TEST_CASE("a block that was given back is taken again, and neighbours join") {
  PoolHeap heap(256);
  PoolCache stream;
  heap.add_segment(0x10000000, 2 * mib, false);
  PoolBlock* a = heap.take(heap.ready(), 1024);
  PoolBlock* b = heap.take(heap.ready(), 1024);
  PoolBlock* c = heap.take(heap.ready(), 1024);
  REQUIRE((a != nullptr && b != nullptr && c != nullptr));
  CHECK(heap.used_bytes() == 3072);
  CHECK(heap.take(stream, 1024) == nullptr);
  const flagos_address_t at = b->address;
  heap.give(*b, stream);
  CHECK(heap.find(at) == nullptr);
  PoolBlock* again = heap.take(stream, 1024);
  REQUIRE(again != nullptr);
  CHECK(again->address == at);
  heap.give(*a, stream);
  heap.give(*c, stream);
  heap.give(*again, stream);  // between both
  PoolBlock* joined = heap.take(stream, 3072);
  REQUIRE(joined != nullptr);
  CHECK(joined->address == 0x10000000);
  heap.give(*joined, stream);
  CHECK(heap.take(heap.ready(), 2 * mib) == nullptr);
  heap.move_to_ready(stream, heap.last_freed());
  CHECK(heap.trim(0) == std::vector<flagos_address_t>{0x10000000});
  CHECK(heap.reserved_bytes() == 0);
}

TEST_CASE("only what was freed before a point moves") {
  PoolHeap heap(256);
  PoolCache stream;
  heap.add_segment(0x10000000, 2 * mib, false);
  PoolBlock* a = heap.take(heap.ready(), 512 * 1024);
  PoolBlock* b = heap.take(heap.ready(), 512 * 1024);
  PoolBlock* rest = heap.take(heap.ready(), mib);
  REQUIRE(rest != nullptr);
  heap.give(*a, stream);
  const std::uint64_t point = heap.last_freed();
  heap.give(*b, stream);  // joins a, which counts as freed now
  heap.move_to_ready(stream, point);
  CHECK(heap.take(heap.ready(), 256) == nullptr);
  heap.move_to_ready(stream, heap.last_freed());
  CHECK(heap.take(heap.ready(), mib) != nullptr);
}

TEST_CASE("trim keeps segments with live blocks and what may stay") {
  PoolHeap heap(256);
  heap.add_segment(0x10000000, 2 * mib, false);
  heap.add_segment(0x20000000, 4 * mib, true);
  PoolBlock* small = heap.take(heap.ready(), 256);
  CHECK(heap.trim(6 * mib).empty());
  CHECK(heap.trim(0) == std::vector<flagos_address_t>{0x20000000});
  CHECK(heap.reserved_bytes() == 2 * mib);
  CHECK(heap.find(small->address) == small);
  CHECK(heap.clear().size() == 1);
  CHECK(heap.live_blocks() == 0);
  CHECK(heap.used_bytes() == 0);
}

TEST_CASE("random loads never overlap and lose nothing") {
  const char* given = std::getenv("FLAGOS_TEST_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 20261121u;
  INFO("seed ", seed);
  std::mt19937 random(seed);
  PoolHeap heap(256);
  PoolCache streams[3];
  std::map<flagos_address_t, PoolBlock*> live;
  std::uint64_t segments = 0;
  for (int step = 0; step < 50'000; ++step) {
    PoolCache& stream = streams[random() % 3];
    if (random() % 2 != 0 || live.empty()) {
      const std::uint64_t size = heap.round(random() % (random() % 8 == 0 ? 3 * mib : 8192));
      PoolBlock* block = heap.take(stream, size);
      if (block == nullptr) block = heap.take(heap.ready(), size);
      if (block == nullptr) {
        heap.add_segment(0x100000000 + ++segments * 16 * mib, PoolHeap::segment_size(size),
                         size > PoolHeap::small_bytes);
        block = heap.take(heap.ready(), size);
      }
      REQUIRE(block != nullptr);
      REQUIRE(block->size_bytes == size);
      const auto next = live.lower_bound(block->address);
      if (next != live.end()) REQUIRE(block->address + size <= next->first);
      if (next != live.begin()) {
        const PoolBlock* before = std::prev(next)->second;
        REQUIRE(before->address + before->size_bytes <= block->address);
      }
      live[block->address] = block;
    } else {
      auto victim = live.lower_bound(0x100000000 + random() % (segments * 16 * mib + 1));
      if (victim == live.end()) victim = live.begin();
      REQUIRE(heap.find(victim->first) == victim->second);
      heap.give(*victim->second, stream);
      live.erase(victim);
    }
    if (step % 100 == 0) heap.move_to_ready(stream, heap.last_freed() - random() % 50);
    REQUIRE(heap.live_blocks() == live.size());
  }
  while (!live.empty()) {
    heap.give(*live.begin()->second, streams[0]);
    live.erase(live.begin());
  }
  for (PoolCache& stream : streams) heap.move_to_ready(stream, heap.last_freed());
  CHECK(heap.used_bytes() == 0);
  CHECK(heap.trim(0).size() == segments);
  CHECK(heap.reserved_bytes() == 0);
}
