// Times of copies, fills, allocations, modules and the first steps, for the report.
#include <flagos.h>

#include <algorithm>
#include <array>
#include <memory>

#include "conformance/cases/data.hpp"
#include "conformance/cases/perf.hpp"
#include "conformance/cases/work.hpp"

namespace flagos::conformance {

std::string size_name(std::uint64_t size_bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB"};
  std::size_t unit = 0;
  for (; size_bytes >= 1024 && unit + 1 < units.size(); ++unit) size_bytes /= 1024;
  return std::to_string(size_bytes) + " " + units[unit];
}

namespace {

using data::kKib;
using data::kMib;

constexpr CaseOptions full(const char* clause) {
  return {.clause = clause, .level = Level::full, .oracle = Oracle::stat};
}

std::vector<std::uint64_t> sizes(Context& t) {
  if (t.settings().quick) return {4 * kKib, kMib};
  return {4 * kKib, 64 * kKib, kMib, 16 * kMib, 256 * kMib};
}

std::uint32_t samples_of(Context& t, std::uint64_t size) {
  return t.settings().quick ? 3 : size <= kMib ? 50 : 8;
}

// Copies, waits and looks at the bytes; GB/s of each time.
void time_copies(Context& t, flagos_memory_kind_t to, flagos_memory_kind_t from) {
  Stream stream(t);
  const std::string route = std::string(data::kind_name(from)) + " to " + data::kind_name(to);
  for (const std::uint64_t size : sizes(t)) {
    t.subcase(route + ", " + size_name(size));
    data::Side source(t, from, size), target(t, to, size);
    const auto bytes = data::noise(t, size);
    source.set(bytes);
    const auto figures = take_samples(samples_of(t, size), [&] {
      return static_cast<double>(size) / 1e9 / seconds_of([&] {
               data::copy(t, stream, target.address(), source.address(), size);
               data::synchronize(t, stream);
             });
    });
    data::same(t, target.get(), bytes, "the bytes of the last copy");
    measure(t, "copy", "GB/s", figures);
  }
}

bool has_pinned(Context& t) {
  for (const flagos_memory_kind_t kind : data::copy_kinds(t))
    if (kind == FLAGOS_MEMORY_KIND_PINNED) return true;
  return false;
}

constexpr auto device_kind = FLAGOS_MEMORY_KIND_DEVICE;
constexpr auto pinned_kind = FLAGOS_MEMORY_KIND_PINNED;
constexpr auto host_kind = FLAGOS_MEMORY_KIND_UNKNOWN;

// Allocates and frees; the memory is written once, so that it is known to be there.
void time_allocations(Context& t, flagos_memory_kind_t kind, std::uint64_t size) {
  t.subcase(std::string(data::kind_name(kind)) + ", " + size_name(size));
  std::vector<double> frees;
  const auto allocations = take_samples(repeats(t, 50, 5), [&] {
    const flagos_memory_desc_t desc = data::memory_desc(size, kind);
    flagos_address_t address = 0;
    const double seconds = seconds_of(
        [&] { t.ok(flagos_memory_alloc(t.device(), &desc, &address), "an allocation"); });
    t.check(address != 0, "it has an address");
    frees.push_back(seconds_of([&] { t.ok(flagos_memory_free(t.device(), address), "its end"); }) *
                    1e6);
    return seconds * 1e6;
  });
  measure(t, "alloc", "us", allocations);
  measure(t, "free", "us", frees);
  // The device reaches it.
  const std::uint64_t some = std::min<std::uint64_t>(size, kMib);
  Stream stream(t);
  Buffer buffer(t, size, kind), copied(t, some);
  const auto bytes = data::noise(t, some);
  buffer.write(bytes);
  data::copy(t, stream, copied.address(), buffer.address(), some);
  data::synchronize(t, stream);
  data::same(t, copied.read(), bytes, "what was written");
}

void time_pool(Context& t, std::uint64_t size) {
  t.subcase("pool, " + size_name(size));
  Stream stream(t);
  flagos_memory_pool_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = device_kind;
  flagos_memory_pool_t* pool = nullptr;
  t.ok(flagos_memory_pool_create(t.device(), &desc, &pool), "a pool");
  const std::unique_ptr<flagos_memory_pool_t, decltype(&flagos_memory_pool_destroy)> owner(
      pool, &flagos_memory_pool_destroy);
  std::uint32_t last = 0;
  measure(t, "alloc and free", "ns", take_samples(repeats(t, 200, 20), [&] {
            flagos_address_t address = 0;
            double seconds = seconds_of([&] {
              t.ok(flagos_memory_pool_alloc(pool, stream, size, &address), "an allocation");
            });
            data::fill(t, stream, address, ++last, size / 4 * 4);
            seconds += seconds_of(
                [&] { t.ok(flagos_memory_pool_free(pool, stream, address), "its end"); });
            return seconds * 1e9;
          }));
  flagos_address_t address = 0;
  t.ok(flagos_memory_pool_alloc(pool, stream, size, &address), "the last allocation");
  data::fill(t, stream, address, ++last, size / 4 * 4);
  const auto bytes = data::read(t, stream, address, 4);
  t.equal(data::words(bytes).front(), last, "what was filled in");
  t.ok(flagos_memory_pool_free(pool, stream, address), "its end");
}

}  // namespace

FLAGOS_CASE("perf.copy.h2d_bw", {full("flagos_memory_copy: bandwidth to the device")}) {
  time_copies(t, device_kind, host_kind);
  if (has_pinned(t)) time_copies(t, device_kind, pinned_kind);
}

FLAGOS_CASE("perf.copy.d2h_bw", {full("flagos_memory_copy: bandwidth to the host")}) {
  time_copies(t, host_kind, device_kind);
  if (has_pinned(t)) time_copies(t, pinned_kind, device_kind);
}

FLAGOS_CASE("perf.copy.d2d_bw", {full("flagos_memory_copy: bandwidth on the device")}) {
  time_copies(t, device_kind, device_kind);
}

FLAGOS_CASE("perf.copy.small_latency", {full("flagos_memory_copy: time of 8 bytes")}) {
  Stream stream(t);
  Buffer device(t, 8);
  std::uint64_t out = t.random()(), back = 0;
  const std::uint32_t count = repeats(t, 200, 20);
  const auto time_copy = [&](flagos_address_t target, flagos_address_t source) {
    return take_samples(count, [&] {
      return seconds_of([&] {
               data::copy(t, stream, target, source, 8);
               data::synchronize(t, stream);
             }) *
             1e6;
    });
  };
  measure(t, "to the device", "us", time_copy(device.address(), data::host(&out)));
  measure(t, "to the host", "us", time_copy(data::host(&back), device.address()));
  t.equal(back, out, "the word that came back");
}

FLAGOS_CASE("perf.fill.bw", {full("flagos_memory_fill: bandwidth")}) {
  Stream stream(t);
  const std::uint64_t size = t.settings().quick ? kMib : 64 * kMib;
  Buffer buffer(t, size);
  const auto time_fill = [&](const char* name, auto pattern) {
    t.subcase(std::string(name) + ", " + size_name(size));
    const auto figures = take_samples(samples_of(t, size), [&] {
      return static_cast<double>(size) / 1e9 / seconds_of([&] {
               data::fill(t, stream, buffer.address(), pattern, size);
               data::synchronize(t, stream);
             });
    });
    const auto last = buffer.read(size - sizeof pattern, sizeof pattern);
    data::same(t, last, data::bytes_of(pattern), "the last pattern");
    measure(t, "fill", "GB/s", figures);
  };
  time_fill("1 byte", std::uint8_t{0x5c});
  time_fill("4 bytes", std::uint32_t{0x12345678});
  time_fill("16 bytes", std::array<std::uint64_t, 2>{t.random()(), t.random()()});
}

FLAGOS_CASE("perf.alloc.latency", {full("flagos_memory_alloc, flagos_memory_pool_alloc: time")}) {
  const std::uint64_t large = t.settings().quick ? kMib : 256 * kMib;
  for (const std::uint64_t size : {std::uint64_t{64}, 64 * kKib, large})
    time_allocations(t, device_kind, size);
  if (!t.has(FLAGOS_FEATURE_MEMORY_POOL)) return;
  for (const std::uint64_t size : {std::uint64_t{64}, 64 * kKib, large}) time_pool(t, size);
}

FLAGOS_CASE("perf.pinned.latency", {full("flagos_memory_alloc: time of pinned memory")}) {
  if (!has_pinned(t)) t.not_supported("the device has no pinned memory");
  for (const std::uint64_t size : {4 * kKib, t.settings().quick ? kMib : 64 * kMib})
    time_allocations(t, pinned_kind, size);
}

FLAGOS_CASE("perf.module.load", {full("flagos_module_load: time")}) {
  std::string format;
  const auto image = t.module_image(&format);
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.format = format.c_str();
  desc.data = image.data();
  desc.size_bytes = image.size();
  std::vector<double> ends;
  const auto load = [&] {
    flagos_module_t* module = nullptr;
    const double seconds =
        seconds_of([&] { t.ok(flagos_module_load(t.device(), &desc, &module), "a load"); });
    std::uint32_t kernels = 0;
    t.ok(flagos_module_get_kernel_count(module, &kernels), "its kernels");
    t.check(kernels > 0, "it has kernels");
    ends.push_back(seconds_of([&] { t.ok(flagos_module_unload(module), "its end"); }) * 1e3);
    return seconds * 1e3;
  };
  measure(t, "the first", "ms", std::array{load()});
  measure(t, "later ones", "ms", take_samples(repeats(t, 10, 2), load));
  measure(t, "unload", "ms", ends);
  t.smoke();
}

FLAGOS_CASE("perf.init.time", {.clause = "flagos_runtime_create to the end of a first launch: time",
                               .level = Level::full,
                               .oracle = Oracle::stat,
                               .isolation = Isolation::own}) {
  const double start = now_seconds();
  t.runtime();
  const double created = now_seconds();
  t.device();
  const double opened = now_seconds();
  t.smoke();
  measure(t, "runtime and plugin", "ms", std::array{(created - start) * 1e3});
  measure(t, "open of the device", "ms", std::array{(opened - created) * 1e3});
  measure(t, "first module, launch and copies", "ms", std::array{(now_seconds() - opened) * 1e3});
}

}  // namespace flagos::conformance
