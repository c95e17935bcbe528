// host.alloc, host.free, host.pageable: pinned memory, and ordinary host memory in copies.
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

std::uint8_t* as_pointer(flagos_address_t address) {
  return reinterpret_cast<std::uint8_t*>(static_cast<std::uintptr_t>(address));
}

std::span<const std::uint8_t> view(const Memory& memory) {
  return {as_pointer(memory.address()), static_cast<std::size_t>(memory.size())};
}

FLAGOS_CASE("host.alloc.basic",
            {.clause = "FLAGOS_MEMORY_KIND_PINNED: the address is a host pointer",
             .feature = "pinned_memory"}) {
  Stream stream(t);
  const std::uint64_t largest = t.settings().quick ? 4 * kMib : 64 * kMib;
  for (const std::uint64_t size :
       {std::uint64_t{1}, std::uint64_t{7}, std::uint64_t{255}, std::uint64_t{4096},
        std::uint64_t{65537}, kMib - 1, 8 * kMib, largest}) {
    t.subcase("size=" + std::to_string(size));
    Memory out(t, size, FLAGOS_MEMORY_KIND_PINNED);
    Memory back(t, size, FLAGOS_MEMORY_KIND_PINNED);
    Memory device(t, size);
    const auto bytes = noise(t, size);
    std::copy(bytes.begin(), bytes.end(), as_pointer(out.address()));
    std::fill_n(as_pointer(back.address()), size, std::uint8_t{0x11});
    copy(t, stream, device.address(), out.address(), size);
    copy(t, stream, back.address(), device.address(), size);
    synchronize(t, stream);
    same(t, view(back), bytes, "what came back to pinned memory");
    same(t, view(out), bytes, "the pinned source");
  }
}

FLAGOS_CASE("host.alloc.alignment",
            {.clause = "flagos_memory_alloc: aligned to the larger alignment",
             .feature = "pinned_memory"}) {
  Stream stream(t);
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  for (const std::uint64_t alignment : {std::uint64_t{0}, std::uint64_t{64}, page, 64 * kKib}) {
    const std::uint64_t expected =
        std::max<std::uint64_t>(alignment, t.info().allocation_alignment);
    for (const std::uint64_t size :
         {std::uint64_t{1}, std::uint64_t{100}, std::uint64_t{4097}, kMib}) {
      t.subcase("alignment=" + std::to_string(alignment) + " size=" + std::to_string(size));
      Memory memory(t, size, FLAGOS_MEMORY_KIND_PINNED, alignment);
      t.equal(memory.address() % expected, 0, "address modulo the alignment");
      fill(t, stream, memory.address(), std::uint8_t{0x42}, size);
      synchronize(t, stream);
      all_are(t, view(memory), 0x42, "what the device wrote");
    }
  }
}

FLAGOS_CASE("host.alloc.exhaust",
            {.clause = "flagos_memory_alloc: OUT_OF_HOST_MEMORY for pinned memory",
             .level = Level::full,
             .oracle = Oracle::code,
             .feature = "pinned_memory"}) {
  for (const std::uint64_t size :
       {std::uint64_t{1} << 50, std::uint64_t{1} << 62, UINT64_MAX, UINT64_MAX - 4096}) {
    t.subcase("size=" + std::to_string(size));
    const flagos_memory_desc_t desc = memory_desc(size, FLAGOS_MEMORY_KIND_PINNED);
    flagos_address_t address = 1;
    t.status(flagos_memory_alloc(t.device(), &desc, &address), FLAGOS_STATUS_OUT_OF_HOST_MEMORY,
             "memory_alloc");
    t.equal(address, 0, "the address of a failed allocation");
  }
  t.smoke();
}

FLAGOS_CASE("host.free.double", {.clause = "flagos_memory_free: freed already, or of nobody",
                                 .oracle = Oracle::code,
                                 .feature = "pinned_memory"}) {
  Stream stream(t);
  Memory kept(t, 4096, FLAGOS_MEMORY_KIND_PINNED);
  fill(t, stream, kept.address(), std::uint8_t{0x23}, kept.size());
  t.subcase("double");
  Memory gone(t, 4096, FLAGOS_MEMORY_KIND_PINNED);
  const flagos_address_t address = gone.address();
  gone.free();
  t.status(flagos_memory_free(t.device(), address), FLAGOS_STATUS_INVALID_HANDLE,
           "memory_free of freed memory");
  t.subcase("foreign");
  std::vector<std::uint8_t> plain(4096);
  t.status(flagos_memory_free(t.device(), host(plain.data())), FLAGOS_STATUS_INVALID_HANDLE,
           "memory_free of ordinary host memory");
  t.status(flagos_memory_free(t.device(), kept.address(16)), FLAGOS_STATUS_INVALID_HANDLE,
           "memory_free of an interior address");
  synchronize(t, stream);
  all_are(t, view(kept), 0x23, "a live pinned block");
}

FLAGOS_CASE("host.free.pending_copy",
            {.clause = "flagos_memory_free: the release waits for work, the call does not",
             .feature = "pinned_memory"}) {
  require_async(t);
  constexpr std::uint64_t size = 128 * kKib;
  const auto bytes = noise(t, size);
  Buffer device(t, size);
  for (const bool to_device : {true, false}) {
    t.subcase(to_device ? "source of a copy" : "target of a copy");
    device.write(to_device ? std::vector<std::uint8_t>(size) : bytes);
    Memory pinned(t, size, FLAGOS_MEMORY_KIND_PINNED);
    std::copy(bytes.begin(), bytes.end(), as_pointer(pinned.address()));
    const flagos_address_t used = pinned.address();
    Stream stream(t);
    Blocker blocker(t, stream);
    copy(t, stream, to_device ? device.address() : used, to_device ? used : device.address(), size);
    pinned.free();
    check_held(t, stream, "memory_free");
    for (int i = 0; i < 16; ++i) {
      Memory fresh(t, size, FLAGOS_MEMORY_KIND_PINNED);
      t.check(!overlap(fresh.address(), size, used, size),
              "pinned memory in use is handed out to nobody");
      std::fill_n(as_pointer(fresh.address()), size, std::uint8_t{0xee});
    }
    blocker.release();
    synchronize(t, stream);
    same(t, device.read(), bytes, "the device's side of the copy");
  }
}

// Many versions of one pageable buffer go to the device, each is exact although the next one
// overwrites it.
FLAGOS_CASE("host.pageable.async_semantics",
            {.clause = "flagos_memory_copy from and to ordinary host memory"}) {
  constexpr std::uint64_t size = 32 * kKib;
  const int rounds = t.settings().quick ? 20 : 100;
  Stream stream(t);
  Buffer device(t, size * 2);
  std::vector<std::uint8_t> source(size);
  t.subcase("to the device");
  for (int i = 0; i < rounds; ++i) {
    std::fill(source.begin(), source.end(), static_cast<std::uint8_t>(i));
    copy(t, stream, device.address(), host(source.data()), size);
    copy(t, stream, device.address(size), device.address(), size);
    synchronize(t, stream);
    std::fill(source.begin(), source.end(), std::uint8_t{0xff});
    all_are(t, device.read(size, size), static_cast<std::uint8_t>(i),
            "version " + std::to_string(i));
  }
  t.subcase("from the device");
  for (int i = 0; i < rounds; ++i) {
    std::vector<std::uint8_t> target(size, 0xff);
    fill(t, stream, device.address(), static_cast<std::uint8_t>(i), size);
    copy(t, stream, host(target.data()), device.address(), size);
    synchronize(t, stream);
    all_are(t, target, static_cast<std::uint8_t>(i), "version " + std::to_string(i));
  }
}

FLAGOS_CASE("host.attr.query", {.clause = "flagos_memory_get_info", .feature = "pinned_memory"}) {
  const auto kind_of = [&](flagos_address_t address) {
    flagos_memory_info_t info{};
    info.struct_size = sizeof info;
    t.ok(flagos_memory_get_info(t.device(), address, &info), "memory_get_info");
    return static_cast<std::uint64_t>(info.kind);
  };
  t.subcase("pinned");
  Memory pinned(t, 10'000, FLAGOS_MEMORY_KIND_PINNED);
  t.equal(kind_of(pinned.address(9'999)), FLAGOS_MEMORY_KIND_PINNED, "the kind of pinned memory");
  t.subcase("plain");
  std::vector<std::uint8_t> plain(8192);
  t.equal(kind_of(host(plain.data())), FLAGOS_MEMORY_KIND_UNKNOWN, "the kind of ordinary memory");
  if (t.has(FLAGOS_FEATURE_HOST_REGISTER)) {
    t.subcase("registered");
    flagos_address_t address = 0;
    t.ok(flagos_memory_host_register(t.device(), plain.data(), plain.size(), 0, &address),
         "host_register");
    t.equal(kind_of(address), FLAGOS_MEMORY_KIND_REGISTERED, "the kind of registered memory");
    t.ok(flagos_memory_host_unregister(t.device(), plain.data()), "host_unregister");
    t.equal(kind_of(host(plain.data())), FLAGOS_MEMORY_KIND_UNKNOWN,
            "the kind after host_unregister");
  }
  t.smoke();
}

FLAGOS_CASE("host.cross_thread_free",
            {.clause = "flagos_memory_free: any thread", .feature = "pinned_memory"}) {
  Stream stream(t);
  flagos_device_t* const device = t.device();
  for (int round = 0; round < 50; ++round) {
    flagos_address_t address = 0;
    flagos_status_t allocated = FLAGOS_STATUS_INTERNAL;
    std::thread([&] {
      const flagos_memory_desc_t desc = memory_desc(10'000, FLAGOS_MEMORY_KIND_PINNED);
      allocated = flagos_memory_alloc(device, &desc, &address);
    }).join();
    t.ok(allocated, "memory_alloc on a thread that has ended");
    fill(t, stream, address, static_cast<std::uint8_t>(round + 1), 10'000);
    synchronize(t, stream);
    all_are(t, {as_pointer(address), 10'000}, static_cast<std::uint8_t>(round + 1),
            "the memory of an ended thread");
    flagos_status_t freed = FLAGOS_STATUS_INTERNAL;
    std::thread([&] { freed = flagos_memory_free(device, address); }).join();
    t.ok(freed, "memory_free on another thread");
  }
}

FLAGOS_CASE("host.cross_device",
            {.clause = "flagos_memory_copy: pinned memory of another device is host memory",
             .level = Level::full,
             .feature = "pinned_memory"}) {
  constexpr std::uint64_t size = 40'000;
  Memory pinned(t, size, FLAGOS_MEMORY_KIND_PINNED);
  std::uint32_t count = 0;
  t.ok(flagos_device_get_count(t.runtime(), &count), "device_get_count");
  for (std::uint32_t index = 0; index < count; ++index) {
    t.subcase("device=" + std::to_string(index));
    const auto bytes = noise(t, size);
    std::copy(bytes.begin(), bytes.end(), as_pointer(pinned.address()));
    flagos_device_t* device = nullptr;
    t.ok(flagos_device_open(t.runtime(), index, &device), "device_open");
    {
      DeviceStream stream(t, device);
      const flagos_memory_desc_t desc = memory_desc(size);
      flagos_address_t memory = 0;
      t.ok(flagos_memory_alloc(device, &desc, &memory), "memory_alloc");
      copy(t, stream, memory, pinned.address(), size);
      synchronize(t, stream);
      std::fill_n(as_pointer(pinned.address()), size, std::uint8_t{0});
      copy(t, stream, pinned.address(), memory, size);
      synchronize(t, stream);
      same(t, view(pinned), bytes, "what came back");
      t.ok(flagos_memory_free(device, memory), "memory_free");
    }
    t.ok(flagos_device_close(device), "device_close");
  }
}

FLAGOS_CASE("host.fork_visibility", {.clause = "fork: a copy in flight lands in the parent",
                                     .level = Level::full,
                                     .isolation = Isolation::own,
                                     .feature = "pinned_memory"}) {
  require_async(t);
  constexpr std::uint64_t size = 64 * kKib;
  const auto bytes = noise(t, size);
  Buffer device(t, size);
  device.write(bytes);
  Memory pinned(t, size, FLAGOS_MEMORY_KIND_PINNED);
  std::fill_n(as_pointer(pinned.address()), size, std::uint8_t{1});
  Stream stream(t);
  Blocker blocker(t, stream);
  copy(t, stream, pinned.address(), device.address(), size);
  t.equal(static_cast<std::uint64_t>(t.in_child([] { return 7; }, 30)), 7,
          "the exit code of the child");
  blocker.release();
  synchronize(t, stream);
  same(t, view(pinned), bytes, "what the copy wrote after the fork");
}

FLAGOS_CASE("host.limit.many",
            {.clause = "flagos_memory_alloc", .level = Level::full, .feature = "pinned_memory"}) {
  Stream stream(t);
  const std::uint32_t count = t.settings().quick ? 1'000 : 10'000;
  std::vector<Block> blocks;
  for (std::uint32_t i = 0; i < count; ++i) {
    blocks.push_back(alloc_block(t, 4 * kKib, i + 1, FLAGOS_MEMORY_KIND_PINNED));
    stamp(t, stream, blocks.back());
  }
  check_blocks(t, stream, blocks);
  check_disjoint(t, blocks);
  free_blocks(t, blocks);
}

}  // namespace
}  // namespace flagos::conformance
