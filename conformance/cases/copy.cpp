// copy: the bytes that arrive, for all sizes, offsets and kinds of memory.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

constexpr flagos_memory_kind_t kHost = FLAGOS_MEMORY_KIND_UNKNOWN;
constexpr flagos_memory_kind_t kDevice = FLAGOS_MEMORY_KIND_DEVICE;
constexpr flagos_memory_kind_t kPinned = FLAGOS_MEMORY_KIND_PINNED;

std::vector<std::uint64_t> sizes(Context& t) {
  std::vector<std::uint64_t> all{0,
                                 1,
                                 2,
                                 3,
                                 15,
                                 16,
                                 17,
                                 63,
                                 64,
                                 65,
                                 255,
                                 256,
                                 257,
                                 4095,
                                 4096,
                                 4097,
                                 64 * kKib - 1,
                                 64 * kKib + 1,
                                 kMib - 1,
                                 kMib,
                                 kMib + 1};
  all.push_back(t.settings().quick ? 4 * kMib : 64 * kMib);
  return all;
}

// Copies `size` bytes from one kind of memory to another, in `pieces` copies that are queued behind
// each other.
void copy_exact(Context& t, flagos_stream_t* stream, flagos_memory_kind_t to,
                flagos_memory_kind_t from, std::uint64_t size, std::uint64_t pieces) {
  t.subcase(std::string(kind_name(from)) + " to " + kind_name(to) +
            ", size=" + std::to_string(size));
  const std::uint64_t room = std::max<std::uint64_t>(size, 1);
  Side source(t, from, room);
  Side target(t, to, room);
  const auto before = noise(t, room);
  auto expected = noise(t, room);
  target.set(before);
  source.set(expected);
  std::uint64_t done = 0;
  for (std::uint64_t piece = 1; piece <= pieces; ++piece) {
    const std::uint64_t end = piece == pieces ? size : size / pieces * piece;
    copy(t, stream, target.address(done), source.address(done), end - done);
    done = end;
  }
  synchronize(t, stream);
  same(t, source.get(), expected, "the source");
  std::copy(before.begin() + static_cast<std::ptrdiff_t>(size), before.end(),
            expected.begin() + static_cast<std::ptrdiff_t>(size));
  same(t, target.get(), expected, "the target");
  source.verify();
  target.verify();
}

void copy_all_sizes(Context& t, flagos_memory_kind_t to, flagos_memory_kind_t from,
                    std::uint64_t pieces) {
  Stream stream(t);
  for (const std::uint64_t size : sizes(t)) copy_exact(t, stream, to, from, size, pieces);
}

FLAGOS_CASE("copy.h2d.sync", {.clause = "flagos_memory_copy"}) {
  copy_all_sizes(t, kDevice, kHost, 1);
}
FLAGOS_CASE("copy.d2h.sync", {.clause = "flagos_memory_copy"}) {
  copy_all_sizes(t, kHost, kDevice, 1);
}
FLAGOS_CASE("copy.d2d.sync", {.clause = "flagos_memory_copy"}) {
  copy_all_sizes(t, kDevice, kDevice, 1);
}
FLAGOS_CASE("copy.d2d.async", {.clause = "flagos_memory_copy"}) {
  copy_all_sizes(t, kDevice, kDevice, 4);
}
FLAGOS_CASE("copy.h2d.async_pinned", {.clause = "flagos_memory_copy", .feature = "pinned_memory"}) {
  copy_all_sizes(t, kDevice, kPinned, 4);
}
FLAGOS_CASE("copy.d2h.async_pinned", {.clause = "flagos_memory_copy", .feature = "pinned_memory"}) {
  copy_all_sizes(t, kPinned, kDevice, 4);
}

FLAGOS_CASE("copy.h2h.sync", {.clause = "flagos_memory_copy between host memory"}) {
  Stream stream(t);
  std::vector<flagos_memory_kind_t> kinds{kHost};
  if (t.has(FLAGOS_FEATURE_PINNED_MEMORY)) kinds.push_back(kPinned);
  for (const auto from : kinds) {
    for (const auto to : kinds) {
      for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{4097}, 3 * kMib + 5}) {
        copy_exact(t, stream, to, from, size, 2);
      }
    }
  }
}

FLAGOS_CASE("copy.async_pageable",
            {.clause = "flagos_memory_copy from and to ordinary host memory"}) {
  Stream stream(t);
  for (const std::uint64_t size : {std::uint64_t{13}, 64 * kKib + 3, 5 * kMib + 1}) {
    copy_exact(t, stream, kDevice, kHost, size, 7);
    copy_exact(t, stream, kHost, kDevice, size, 7);
  }
}

// There is no kind in the call: every pair of addresses is told apart by the addresses.
FLAGOS_CASE("copy.wrong_kind", {.clause = "flagos_memory_copy: any two kinds of memory"}) {
  Stream stream(t);
  for (const auto from : copy_kinds(t)) {
    for (const auto to : copy_kinds(t)) copy_exact(t, stream, to, from, 10'007, 1);
  }
}

FLAGOS_CASE("copy.managed", {.clause = "flagos_memory_copy with managed memory",
                             .level = Level::optional,
                             .feature = "managed_memory"}) {
  Stream stream(t);
  for (const auto other : copy_kinds(t)) {
    copy_exact(t, stream, other, FLAGOS_MEMORY_KIND_MANAGED, 70'001, 3);
    copy_exact(t, stream, FLAGOS_MEMORY_KIND_MANAGED, other, 70'001, 3);
  }
}

FLAGOS_CASE("copy.mapped_host", {.clause = "flagos_memory_copy with registered memory",
                                 .level = Level::optional,
                                 .feature = "host_register"}) {
  constexpr std::uint64_t size = 64 * kKib;
  Stream stream(t);
  Buffer device(t, size);
  std::vector<std::uint8_t> memory(2 * size);
  flagos_address_t registered = 0;
  t.ok(flagos_memory_host_register(t.device(), memory.data(), memory.size(), 0, &registered),
       "memory_host_register");
  const auto bytes = noise(t, size);
  const std::span<const std::uint8_t> first(memory.data(), size);
  const std::span<const std::uint8_t> second(memory.data() + size, size);
  t.subcase("to the device");
  std::copy(bytes.begin(), bytes.end(), memory.begin());
  copy(t, stream, device.address(), registered, size);
  synchronize(t, stream);
  same(t, device.read(), bytes, "the copy of registered memory");
  t.subcase("from the device");
  copy(t, stream, registered + size, device.address(), size);
  synchronize(t, stream);
  same(t, second, bytes, "registered memory");
  t.subcase("within, with an overlap");
  copy(t, stream, registered + 7, registered, size - 7);
  synchronize(t, stream);
  same(t, first.subspan(7), std::span(bytes).first(size - 7), "registered memory");
  t.subcase("past its end");
  t.status(flagos_memory_copy(stream, registered + size + 1, device.address(), size),
           FLAGOS_STATUS_INVALID_ARGUMENT, "memory_copy past the registered range");
  t.ok(flagos_memory_host_unregister(t.device(), memory.data()), "memory_host_unregister");
}

FLAGOS_CASE("copy.offsets_matrix", {.clause = "flagos_memory_copy: any alignment"}) {
  constexpr std::uint64_t room = 512;
  Stream stream(t);
  Buffer source(t, room);
  Buffer target(t, room);
  const auto bytes = noise(t, room);
  const auto before = noise(t, room);
  source.write(bytes);
  for (std::uint64_t from = 0; from < 16; ++from) {
    for (std::uint64_t to = 0; to < 16; ++to) {
      const std::uint64_t size = 1 + t.random_below(257);
      t.subcase("source +" + std::to_string(from) + ", target +" + std::to_string(to) +
                ", size=" + std::to_string(size));
      target.write(before);
      copy(t, stream, target.address(to), source.address(from), size);
      synchronize(t, stream);
      auto expected = before;
      std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), size,
                  expected.begin() + static_cast<std::ptrdiff_t>(to));
      t.equal_bytes(target.read(), expected, "the target and the bytes around it");
    }
  }
  source.verify();
  target.verify();
}

FLAGOS_CASE("copy.unaligned_dma_tail", {.clause = "flagos_memory_copy: any size"}) {
  constexpr std::uint64_t room = 80 * kKib;
  Stream stream(t);
  Buffer target(t, room);
  const auto before = noise(t, room);
  for (const auto from : {kHost, kDevice}) {
    Side source(t, from, room);
    const auto bytes = noise(t, room);
    source.set(bytes);
    for (const std::uint64_t size : {5, 31, 33, 127, 129, 511, 513, 1021, 4091, 4099, 16381, 16385,
                                     32769, 65521, 65537, 81919}) {
      t.subcase(std::string("from ") + kind_name(from) + ", size=" + std::to_string(size));
      target.write(before);
      copy(t, stream, target.address(), source.address(), size);
      synchronize(t, stream);
      auto expected = before;
      std::copy_n(bytes.begin(), size, expected.begin());
      t.equal_bytes(target.read(), expected, "the target with its tail");
    }
  }
  target.verify();
}

// Host memory that ends, or starts, at a page that nobody may touch.
class Guarded {
 public:
  Guarded(Context& t, std::uint64_t pages)
      : page_(static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE))) {
    size_ = page_ * pages;
    void* const all =
        mmap(nullptr, size_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) t.resource("mmap failed");
    all_ = static_cast<std::uint8_t*>(all);
    t.equal(static_cast<std::uint64_t>(mprotect(begin(), size_, PROT_READ | PROT_WRITE)), 0,
            "mprotect");
  }
  ~Guarded() { munmap(all_, size_ + 2 * page_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  std::uint8_t* begin() const { return all_ + page_; }
  std::uint8_t* end() const { return begin() + size_; }
  std::uint64_t size() const { return size_; }

 private:
  std::uint64_t page_;
  std::uint64_t size_ = 0;
  std::uint8_t* all_ = nullptr;
};

FLAGOS_CASE("copy.partial_page",
            {.clause = "flagos_memory_copy touches its range and nothing else"}) {
  const Guarded memory(t, 5);
  Stream stream(t);
  Buffer device(t, memory.size());
  const auto first = noise(t, memory.size());
  for (const std::uint64_t size :
       {std::uint64_t{1}, std::uint64_t{17}, std::uint64_t{4097}, memory.size() - 1}) {
    const auto used = std::span(first).first(size);
    for (std::uint8_t* const place : {memory.begin(), memory.end() - size}) {
      t.subcase(std::string(place == memory.begin() ? "first " : "last ") + std::to_string(size) +
                " bytes");
      std::copy(used.begin(), used.end(), place);
      copy(t, stream, device.address(), host(place), size);
      synchronize(t, stream);
      std::fill(memory.begin(), memory.end(), std::uint8_t{0});
      copy(t, stream, host(place), device.address(), size);
      synchronize(t, stream);
      t.equal_bytes({place, size}, used, "what came back between the guard pages");
    }
  }
}

FLAGOS_CASE("copy.digest_all_kinds",
            {.clause = "flagos_memory_copy: digests for others to compute again"}) {
  Stream stream(t);
  for (const auto from : {kHost, kDevice}) {
    for (const auto to : {kHost, kDevice}) {
      t.subcase(std::string(kind_name(from)) + " to " + kind_name(to));
      // The bytes do not depend on the seed, so that their digest can be published.
      std::vector<std::uint8_t> bytes(100'000);
      for (std::uint32_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::uint8_t>((i * 2654435761u) >> 24);
      Side source(t, from, bytes.size());
      Side target(t, to, bytes.size());
      source.set(bytes);
      copy(t, stream, target.address(), source.address(), bytes.size());
      synchronize(t, stream);
      t.equal_bytes(target.get(), bytes, "the target");
    }
  }
}

}  // namespace
}  // namespace flagos::conformance
