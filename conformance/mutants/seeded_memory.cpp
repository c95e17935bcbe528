// Seeded bugs of memory, copies and fills, each after one that plugins have had.
#include <atomic>
#include <cfenv>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "conformance/mutants/catalogue.hpp"

namespace flagos::conformance::mutants {
namespace {

using Stream = flagos_plugin_stream_t*;
using Device = flagos_plugin_device_t*;

constexpr auto ok = FLAGOS_STATUS_OK;

std::uint8_t* bytes_at(flagos_address_t address) {
  return reinterpret_cast<std::uint8_t*>(static_cast<std::uintptr_t>(address));
}

// Does `work` when the stream comes to it, whether or not the stream failed. For plugins whose memory the host reaches.
template <typename Work>
flagos_status_t queue(Stream stream, Work work) {
  auto* const kept = new Work(std::move(work));
  return next<slot::stream_launch_host>(
      stream, static_cast<flagos_host_function_t>([](void* data, flagos_status_t) {
        (*static_cast<Work*>(data))();
        delete static_cast<Work*>(data);
      }),
      static_cast<void*>(kept));
}

// ---- allocation ----

// M01: beyond 1024 live blocks the last one is given out again.
struct Blocks {
  std::mutex mutex;
  std::map<flagos_address_t, int> users;
  flagos_address_t last = 0;
  std::uint64_t last_size = 0;
};
Blocks& blocks() {
  static Blocks made;
  return made;
}

flagos_status_t overlapping_alloc(Device device, const flagos_memory_desc_t* desc,
                                  flagos_address_t* out) {
  Blocks& all = blocks();
  const std::lock_guard lock(all.mutex);
  if (all.users.size() > 1024 && desc->size_bytes <= all.last_size &&
      all.users.contains(all.last)) {
    *out = all.last;
    ++all.users[all.last];
    return ok;
  }
  const flagos_status_t status = next<slot::memory_alloc>(device, desc, out);
  if (status != ok) return status;
  all.users[*out] = 1;
  all.last = *out;
  all.last_size = desc->size_bytes;
  return ok;
}
void overlapping_free(Device device, flagos_address_t address) {
  Blocks& all = blocks();
  {
    const std::lock_guard lock(all.mutex);
    const auto found = all.users.find(address);
    if (found != all.users.end() && --found->second > 0) return;
    all.users.erase(address);
  }
  next<slot::memory_free>(device, address);
}

// M05: blocks begin 16 bytes behind where they should.
constexpr std::uint64_t shift = 16;
flagos_status_t shifted_alloc(Device device, const flagos_memory_desc_t* desc,
                              flagos_address_t* out) {
  flagos_memory_desc_t more = *desc;
  more.size_bytes += shift;
  const flagos_status_t status =
      next<slot::memory_alloc>(device, static_cast<const flagos_memory_desc_t*>(&more), out);
  if (status == ok) *out += shift;
  return status;
}
void shifted_free(Device device, flagos_address_t address) {
  next<slot::memory_free>(device, address - shift);
}

// M07
flagos_status_t sticky_oom(Device device, const flagos_memory_desc_t* desc, flagos_address_t* out) {
  static std::atomic<bool> ran_out{false};
  if (ran_out) return FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
  const flagos_status_t status = next<slot::memory_alloc>(device, desc, out);
  if (status == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY || status == FLAGOS_STATUS_OUT_OF_HOST_MEMORY)
    ran_out = true;
  return status;
}

// ---- copies ----

flagos_status_t short_copy(Stream stream, flagos_address_t target, flagos_address_t source,
                           std::uint64_t size) {
  return next<slot::memory_copy>(stream, target, source,
                                 size % 16 == 1 && size > 1 ? size - 1 : size);
}

flagos_status_t narrow_copy(Stream stream, flagos_address_t target, flagos_address_t source,
                            std::uint64_t size) {
  const std::uint64_t cut = size & 0xffffffffu;
  return cut == 0 ? ok : next<slot::memory_copy>(stream, target, source, cut);
}

flagos_status_t forward_copy(Stream stream, flagos_address_t target, flagos_address_t source,
                             std::uint64_t size) {
  const bool overlaps = target > source && target < source + size;
  if (!overlaps) return next<slot::memory_copy>(stream, target, source, size);
  return queue(stream, [=] {
    for (std::uint64_t i = 0; i < size; ++i) bytes_at(target)[i] = bytes_at(source)[i];
  });
}

flagos_status_t late_update(Stream stream, flagos_address_t target, const void* data,
                            std::uint64_t size) {
  return queue(stream, [=] { std::memcpy(bytes_at(target), data, size); });
}

// ---- fills ----

flagos_status_t fill_from_start(Stream stream, flagos_address_t target, const void* pattern,
                                std::uint32_t pattern_size, std::uint64_t size) {
  return next<slot::memory_fill>(stream, target & ~flagos_address_t{63}, pattern, pattern_size,
                                 size);
}

flagos_status_t late_pattern(Stream stream, flagos_address_t target, const void* pattern,
                             std::uint32_t pattern_size, std::uint64_t size) {
  return queue(stream, [=] {
    for (std::uint64_t i = 0; i < size; ++i)
      bytes_at(target)[i] = static_cast<const std::uint8_t*>(pattern)[i % pattern_size];
  });
}

// M85: what a copy does to its process stays so.
flagos_status_t other_rounding(flagos_plugin_stream_t* stream, flagos_address_t target,
                               flagos_address_t source, std::uint64_t size) {
  std::fesetround(FE_UPWARD);
  return next<slot::memory_copy>(stream, target, source, size);
}

}  // namespace

void add_seeded_memory(std::vector<Mutant>& list) {
  list.push_back(seeded<slot::memory_alloc>(
      "M01", "beyond 1024 live blocks the last one is given out again",
      {"mem.alloc.disjoint", "mem.alloc.many_small"}, &overlapping_alloc));
  list.back().prepare = [](Tables& tables) { tables.memory.free = &overlapping_free; };
  list.push_back(seeded<slot::memory_free>("M03", "free keeps the memory",
                                           {"leak.alloc_free", "mem.stat.leak_zero"},
                                           &Entry<slot::memory_free>::skip));
  list.push_back(seeded<slot::memory_alloc>("M05",
                                            "memory is aligned to 16 although 256 is advertised",
                                            {"mem.alloc.alignment_default"}, &shifted_alloc));
  list.back().prepare = [](Tables& tables) { tables.memory.free = &shifted_free; };
  list.push_back(
      seeded<slot::memory_alloc>("M07", "after the memory has run out once, every allocation fails",
                                 {"mem.alloc.oom_then_recover"}, &sticky_oom));
  list.push_back(seeded<slot::memory_copy>(
      "M11", "a copy drops its last byte when its size is 1 more than a multiple of 16",
      {"copy.offsets_matrix"}, &short_copy));
  list.push_back(seeded<slot::memory_copy>("M13", "the size of a copy has 32 bits",
                                           {"copy.large_4g_plus"}, &narrow_copy));
  list.back().full_size = true;
  list.push_back(
      seeded<slot::memory_update>("M15", "an update reads its source when the stream comes to it",
                                  {"copy.capture_at_call"}, &late_update));
  list.push_back(seeded<slot::memory_copy>("M17", "ranges that overlap are copied forward",
                                           {"copy.overlap_reject_or_memmove"}, &forward_copy));
  list.push_back(seeded<slot::memory_fill>("M19", "a fill begins at a multiple of 64", {"fill.u32"},
                                           &fill_from_start));
  list.push_back(seeded<slot::memory_fill>("M21",
                                           "a fill reads its value when the stream comes to it",
                                           {"fill.value_captured"}, &late_pattern));
  list.push_back(seeded<slot::memory_copy>("M85", "a copy leaves its thread another rounding mode",
                                           {"abi.load.sigpipe_fpe_state"}, &other_rounding));
}

}  // namespace flagos::conformance::mutants
