// The two choices that cannot change later, measured: how a handle is decoded, and how a plugin's functions are laid
// out. docs/decisions/0001 and 0002 hold what we made of it.
#include <benchmark/benchmark.h>
#include <flagos_plugin.h>

#include <mutex>
#include <numeric>
#include <random>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "core/epoch.hpp"
#include "core/handle_table.hpp"

namespace flagos::core {
namespace {

struct Thing : Object {
  Thing() : Object(Tag::stream) {}
  std::uint64_t magic = 0x5354524541u;
  int value = 1;
};

// `count` live objects, visited in random order, so that the caches see what a program with that many sees.
struct Things {
  explicit Things(std::int64_t count)
      : objects(static_cast<std::size_t>(count)), order(objects.size()) {
    for (Thing& object : objects) {
      values.push_back(handles.insert(&object));
      map.emplace(values.back(), &object);
    }
    std::iota(order.begin(), order.end(), 0u);
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
  }
  ~Things() {
    for (Thing& object : objects) handles.remove(&object);
  }
  std::size_t next() { return order[position++ % order.size()]; }

  std::vector<Thing> objects;
  std::vector<std::uint64_t> values;
  std::unordered_map<std::uint64_t, Thing*> map;
  std::shared_mutex mutex;
  std::vector<std::uint32_t> order;
  std::size_t position = 0;
};

// A pointer that is believed: any stale or random value crashes.
void handle_plain_pointer(benchmark::State& state) {
  Things things(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(things.objects[things.next()].value);
}
// A pointer to an object that starts with a magic number: catches other types, crashes on stale and random values.
void handle_pointer_with_magic(benchmark::State& state) {
  Things things(state.range(0));
  for (auto _ : state) {
    Thing& thing = things.objects[things.next()];
    if (thing.magic != 0x5354524541u) state.SkipWithError("magic");
    benchmark::DoNotOptimize(thing.value);
  }
}
// Ours: index and generation, inside a read section.
void handle_index_and_generation(benchmark::State& state) {
  Things things(state.range(0));
  ThreadRecord& record = this_thread();
  for (auto _ : state) {
    ReadSection section(record);
    Object* object = handles.find(things.values[things.next()]);
    if (object == nullptr || object->tag() != Tag::stream) {
      state.SkipWithError("handle");
      break;
    }
    benchmark::DoNotOptimize(static_cast<Thing*>(object)->value);
  }
}
// Index and generation with a reference count instead of a read section.
void handle_with_reference_count(benchmark::State& state) {
  Things things(state.range(0));
  for (auto _ : state) {
    Object* object = handles.find(things.values[things.next()]);
    if (object == nullptr) {
      state.SkipWithError("handle");
      break;
    }
    object->retain();
    benchmark::DoNotOptimize(static_cast<Thing*>(object)->value);
    object->drop();
  }
}
// A map behind a lock.
void handle_locked_map(benchmark::State& state) {
  Things things(state.range(0));
  for (auto _ : state) {
    std::shared_lock lock(things.mutex);
    benchmark::DoNotOptimize(things.map.find(things.values[things.next()])->second->value);
  }
}
#define FLAGOS_BENCH(name) BENCHMARK(name)->ArgName("live")->Arg(16)->Arg(4096)
FLAGOS_BENCH(handle_plain_pointer);
FLAGOS_BENCH(handle_pointer_with_magic);
FLAGOS_BENCH(handle_index_and_generation);
FLAGOS_BENCH(handle_with_reference_count);
FLAGOS_BENCH(handle_locked_map);

// ---- layout of a plugin's functions --------------------------------------------------------------------------------

flagos_status_t copy(flagos_plugin_stream_t*, flagos_address_t, flagos_address_t, std::uint64_t) {
  return FLAGOS_STATUS_OK;
}

struct Flat {
  std::uint32_t struct_size, version;
  void (*others[40])();
  flagos_status_t (*memory_copy)(flagos_plugin_stream_t*, flagos_address_t, flagos_address_t,
                                 std::uint64_t);
};

struct Layouts {
  Layouts() {
    flat.memory_copy = copy;
    memory.copy = copy;
    root.memory = &memory;
    embedded.memory.copy = copy;
  }
  Flat flat{};
  flagos_memory_table_t memory{};
  flagos_plugin_t root{};
  struct {
    flagos_device_table_t device;
    flagos_memory_table_t memory;
  } embedded{};
};

Layouts& layouts() {
  static Layouts all;
  return all;
}

void table_flat(benchmark::State& state) {
  Flat* table = &layouts().flat;
  benchmark::DoNotOptimize(table);
  for (auto _ : state) {
    benchmark::DoNotOptimize(table->memory_copy(nullptr, 1, 2, 3));
    benchmark::ClobberMemory();
  }
}
// The direct path of a framework: root table, then group.
void table_groups(benchmark::State& state) {
  flagos_plugin_t* root = &layouts().root;
  benchmark::DoNotOptimize(root);
  for (auto _ : state) {
    benchmark::DoNotOptimize(root->memory->copy(nullptr, 1, 2, 3));
    benchmark::ClobberMemory();
  }
}
// Core's own completed copy: the groups stand in one struct, so a slot is one load away again.
void table_groups_embedded(benchmark::State& state) {
  auto* tables = &layouts().embedded;
  benchmark::DoNotOptimize(tables);
  for (auto _ : state) {
    benchmark::DoNotOptimize(tables->memory.copy(nullptr, 1, 2, 3));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(table_flat);
BENCHMARK(table_groups);
BENCHMARK(table_groups_embedded);

}  // namespace
}  // namespace flagos::core

BENCHMARK_MAIN();
