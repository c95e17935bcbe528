#include "conformance/cases/growth.hpp"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

// Caches, arenas and lazily mapped pages may move this much without any leak.
constexpr std::uint64_t heap_noise = 256 << 10;
constexpr std::uint64_t resident_noise = 8 << 20;
constexpr std::uint64_t device_noise = 4 << 20;
constexpr std::uint64_t leaked_object = 32;
// A pool that starts its threads when it needs them may start its last ones late.
constexpr std::uint64_t started_late = 2;
// A leak grows in every span; a pool or a driver that needs more for the first time does so once.
constexpr std::uint64_t spans = 3;

void run_cycles(const std::function<void(std::uint64_t)>& cycle, std::uint64_t first,
                std::uint64_t last) {
  for (std::uint64_t i = first; i < last; ++i) cycle(i);
}

// What grew, in words with both numbers.
using Growth = std::vector<std::string>;

void judge(Growth& growth, const char* what, std::uint64_t before, std::uint64_t after,
           std::uint64_t allowance) {
  if (after > before + allowance)
    growth.push_back(std::string(what) + " must not grow: " + std::to_string(before) + ", then " +
                     std::to_string(after));
}

bool grown(const Held& before, const Held& after, std::uint64_t heap_allowance) {
  return after.process.threads > before.process.threads ||
         after.process.file_descriptors > before.process.file_descriptors ||
         after.heap_bytes > before.heap_bytes + heap_allowance;
}

// Threads end, and deferred releases run, a moment after what waits for them returns.
Held settled(Context& t, const Held& before, std::uint64_t heap_allowance) {
  Held now = held_now(t);
  const double end = now_seconds() + 5;
  while (grown(before, now, heap_allowance) && now_seconds() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    now = held_now(t);
  }
  return now;
}

Growth growth_between(Context& t, const GrowthOptions& options, const Held& before,
                      const Held& after, std::uint64_t cycles) {
  Growth growth;
  judge(growth, "open files", before.process.file_descriptors, after.process.file_descriptors, 0);
  judge(growth, "threads", before.process.threads, after.process.threads, started_late);
  judge(growth, "mappings", before.process.maps, after.process.maps, 16);
  judge(growth, "heap bytes", before.heap_bytes, after.heap_bytes,
        std::max(heap_noise, cycles * leaked_object / 2));
  judge(growth, "resident bytes", before.process.rss_bytes, after.process.rss_bytes,
        std::max(resident_noise, cycles * leaked_object));
  // Where device memory is host memory, what others use moves the number as well: then the heap and
  // the resident bytes have told already.
  const bool own_memory = (t.info().capabilities & FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES) == 0;
  if (options.device_memory && own_memory)
    judge(growth, "bytes in use on the device", before.device_bytes, after.device_bytes,
          device_noise);
  return growth;
}

}  // namespace

Held held_now(Context& t) {
  Held held{resources_now(), 0, 0};
  if (!sanitized()) held.heap_bytes = mallinfo2().uordblks + mallinfo2().hblkhd;
  std::uint64_t free = 0, total = 0;
  t.ok(flagos_device_query_memory(t.device(), &free, &total), "query the memory");
  held.device_bytes = total - free;
  return held;
}

void expect_no_growth(Context& t, const GrowthOptions& options,
                      const std::function<void(std::uint64_t)>& cycle) {
  const std::uint64_t cycles = t.settings().quick ? options.quick_cycles : options.cycles;
  const std::uint64_t half = cycles / 2;
  const std::uint64_t allowance = std::max(heap_noise, half * leaked_object / 2);
  run_cycles(cycle, 0, half);
  Growth growth;
  for (std::uint64_t span = 1; span <= spans; ++span) {
    const Held before = held_now(t);
    run_cycles(cycle, span * half, (span + 1) * half);
    growth = growth_between(t, options, before, settled(t, before, allowance), half);
    if (growth.empty()) break;
  }
  t.subcase(std::to_string(half) + " cycles, " + std::to_string(spans) + " times");
  for (const std::string& what : growth) t.check(false, what);
  t.check(growth.empty(), "what is held must stop to grow");
}

}  // namespace flagos::conformance
