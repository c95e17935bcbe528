#include "core/handle_table.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "core/epoch.hpp"

using namespace flagos::core;

namespace {

struct Thing : Object {
  explicit Thing(Tag tag = Tag::event) : Object(tag) {}
};

// Tables are large and never destroyed in the library; here each test has its own.
std::unique_ptr<HandleTable> make_table() { return std::make_unique<HandleTable>(); }

}  // namespace

TEST_CASE("a handle finds its object until it is removed, and never again") {
  const auto table = make_table();
  Thing first, second;
  const std::uint64_t handle = table->insert(&first);
  CHECK(table->find(handle) == &first);
  CHECK(table->remove(&first) == &first);
  CHECK(table->find(handle) == nullptr);
  const std::uint64_t reused = table->insert(&second);
  CHECK(static_cast<std::uint32_t>(reused) == static_cast<std::uint32_t>(handle));  // the same slot
  CHECK(reused != handle);
  CHECK(table->find(handle) == nullptr);
  CHECK(table->find(reused) == &second);
}

TEST_CASE("only one of two removals wins") {
  const auto table = make_table();
  Thing thing;
  table->insert(&thing);
  CHECK(table->remove(&thing) == &thing);
  CHECK(table->remove(&thing) == nullptr);
}

TEST_CASE("random values and flipped bits find nothing") {
  const auto table = make_table();
  constexpr std::uint32_t seed = 20261121;
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  std::vector<std::unique_ptr<Thing>> things;
  std::set<std::uint64_t> live;
  for (int i = 0; i < 5000; ++i) {
    things.push_back(std::make_unique<Thing>());
    live.insert(table->insert(things.back().get()));
  }
  // Some slots are in their second and third use.
  for (int i = 0; i < 2000; ++i) {
    Thing& thing = *things[random() % things.size()];
    live.erase(thing.handle());
    table->remove(&thing);
    live.insert(table->insert(&thing));
  }
  std::size_t found = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const std::uint64_t value = random();
    if (live.count(value) == 0 && table->find(value) != nullptr) ++found;
  }
  for (const std::uint64_t handle : live) {
    for (int bit = 0; bit < 64; ++bit) {
      if (table->find(handle ^ (std::uint64_t{1} << bit)) != nullptr) ++found;
    }
  }
  CHECK(found == 0);
  CHECK(table->find(0) == nullptr);
  CHECK(table->find(UINT64_MAX) == nullptr);
}

TEST_CASE("a removed object lives until the read sections of then have ended") {
  struct Flagged : Object {
    explicit Flagged(std::atomic<bool>& flag) : Object(Tag::event), gone(flag) {}
    ~Flagged() override { gone = true; }
    std::atomic<bool>& gone;
  };
  std::atomic<bool> gone{false}, entered{false}, leave{false};
  auto* object = new Flagged(gone);
  handles.insert(object);
  std::thread reader([&] {
    ReadSection section(this_thread());
    entered = true;
    while (!leave) std::this_thread::yield();
  });
  while (!entered) std::this_thread::yield();
  CHECK(remove_handle(object));
  epoch::reclaim();
  CHECK_FALSE(gone);
  leave = true;
  reader.join();
  epoch::reclaim();
  CHECK(gone);
}

TEST_CASE("threads that end give their records back") {
  std::set<const ThreadRecord*> records;
  for (int i = 0; i < 100; ++i) {
    const ThreadRecord* record = nullptr;
    std::thread([&] { record = &this_thread(); }).join();
    records.insert(record);
  }
  CHECK(records.size() == 1);
}
