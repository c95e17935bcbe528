// copy: zero sizes, overlap, ranges that are refused, and when the bytes are read.
#include <algorithm>
#include <string>
#include <utility>

#include "conformance/cases/data.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

void refuse(Context& t, flagos_stream_t* stream, const std::string& what, flagos_address_t target,
            flagos_address_t source, std::uint64_t size) {
  t.subcase(what);
  t.status(flagos_memory_copy(stream, target, source, size), FLAGOS_STATUS_INVALID_ARGUMENT,
           "memory_copy");
}

// Two buffers with different random bytes; nothing that is refused may change them.
class Pair {
 public:
  Pair(Context& t, std::uint64_t size)
      : t_(t), a(t, size), b(t, size), a_bytes_(noise(t, size)), b_bytes_(noise(t, size)) {
    a.write(a_bytes_);
    b.write(b_bytes_);
  }
  void check_unchanged(flagos_stream_t* stream) {
    synchronize(t_, stream);
    same(t_, a.read(), a_bytes_, "the first buffer");
    same(t_, b.read(), b_bytes_, "the second buffer");
    a.verify();
    b.verify();
  }

 private:
  Context& t_;

 public:
  Buffer a;
  Buffer b;

 private:
  std::vector<std::uint8_t> a_bytes_;
  std::vector<std::uint8_t> b_bytes_;
};

FLAGOS_CASE("copy.len_zero",
            {.clause = "general rules: a copy with a zero size is OK and does nothing"}) {
  Stream stream(t);
  Pair pair(t, 4096);
  const flagos_address_t a = pair.a.address();
  const flagos_address_t b = pair.b.address();
  const std::vector<std::uint8_t> plain(16);
  const flagos_address_t nowhere = 8;  // would crash whoever reads it
  int number = 0;
  for (const auto& [target, source] : {std::pair{a, b},
                                       {a, host(plain.data())},
                                       {host(plain.data()), a},
                                       {a, a},
                                       {nowhere, b},
                                       {a, nowhere},
                                       {nowhere, nowhere},
                                       {flagos_address_t{0}, b},
                                       {a, flagos_address_t{0}},
                                       {a + 4096, b + 4096}}) {
    t.subcase("pair of addresses " + std::to_string(number++));
    copy(t, stream, target, source, 0);
    synchronize(t, stream);
  }
  pair.check_unchanged(stream);
}

FLAGOS_CASE("copy.overlap_reject_or_memmove",
            {.clause = "flagos_memory_copy: overlap as if through a buffer"}) {
  constexpr std::uint64_t room = 3 * kMib;
  Stream stream(t);
  Buffer buffer(t, room);
  for (const std::uint64_t size : {std::uint64_t{1000}, 2 * kMib}) {
    for (const std::int64_t shift : {-4097, -64, -1, 1, 64, 4097}) {
      t.subcase("size=" + std::to_string(size) + " shift=" + std::to_string(shift));
      const auto bytes = noise(t, room);
      buffer.write(bytes);
      const std::int64_t from = 8192;
      const std::int64_t to = from + shift;
      copy(t, stream, buffer.address(static_cast<std::uint64_t>(to)), buffer.address(from), size);
      synchronize(t, stream);
      auto expected = bytes;
      std::copy_n(bytes.begin() + from, size, expected.begin() + to);
      same(t, buffer.read(), expected, "the buffer");
    }
  }
}

FLAGOS_CASE("copy.self", {.clause = "flagos_memory_copy: target and source are equal"}) {
  Stream stream(t);
  Pair pair(t, 100'003);
  copy(t, stream, pair.a.address(), pair.a.address(), 100'003);
  copy(t, stream, pair.b.address(1), pair.b.address(1), 100'001);
  pair.check_unchanged(stream);
}

FLAGOS_CASE("copy.cross_allocation_end",
            {.clause = "flagos_memory_copy: a range past its allocation", .oracle = Oracle::code}) {
  constexpr std::uint64_t size = 4096;
  Stream stream(t);
  Pair pair(t, size);
  Memory memory(t, size);
  std::vector<std::uint8_t> plain(2 * size);
  const flagos_address_t here = memory.address();
  refuse(t, stream, "target one past the end", here + 1, pair.a.address(), size);
  refuse(t, stream, "source one past the end", pair.a.address(), here, size + 1);
  refuse(t, stream, "from the host", here, host(plain.data()), size + 1);
  refuse(t, stream, "to the host", host(plain.data()), here + size - 1, 2);
  refuse(t, stream, "far past the end", here + 1, pair.b.address(), 1 << 20);
  t.subcase("up to the end");
  const auto bytes = noise(t, size);
  write(t, stream, here, bytes);
  same(t, read(t, stream, here + size - 1, 1), std::span(bytes).last(1), "the last byte");
  pair.check_unchanged(stream);
}

FLAGOS_CASE("copy.size_overflow",
            {.clause = "flagos_memory_copy: a range that wraps around", .oracle = Oracle::code}) {
  Stream stream(t);
  Pair pair(t, 4096);
  const flagos_address_t a = pair.a.address();
  const flagos_address_t b = pair.b.address();
  for (const std::uint64_t size :
       {UINT64_MAX, UINT64_MAX - b + 1, UINT64_MAX - a + 2, std::uint64_t{1} << 63}) {
    refuse(t, stream, "size=" + std::to_string(size), a, b, size);
  }
  refuse(t, stream, "target at the end of all addresses", UINT64_MAX - 3, b, 8);
  refuse(t, stream, "source at the end of all addresses", a, UINT64_MAX - 3, 8);
  pair.check_unchanged(stream);
}

FLAGOS_CASE("copy.null_ptrs", {.clause = "flagos_memory_copy: address 0", .oracle = Oracle::code}) {
  Stream stream(t);
  Pair pair(t, 4096);
  std::vector<std::uint8_t> plain(16);
  refuse(t, stream, "no target", 0, pair.a.address(), 16);
  refuse(t, stream, "no source", pair.a.address(), 0, 16);
  refuse(t, stream, "neither", 0, 0, 16);
  refuse(t, stream, "no source, host target", host(plain.data()), 0, 1);
  pair.check_unchanged(stream);
}

FLAGOS_CASE("copy.src_modified_after_return",
            {.clause = "flagos_memory_copy: the source is free when the stream has passed"}) {
  constexpr std::uint64_t size = kMib;
  Stream stream(t);
  Buffer target(t, size);
  for (const auto kind : copy_kinds(t)) {
    if (kind == FLAGOS_MEMORY_KIND_DEVICE) continue;
    t.subcase(kind_name(kind));
    Side source(t, kind, size);
    Event done(t);
    const auto bytes = noise(t, size);
    source.set(bytes);
    copy(t, stream, target.address(), source.address(), size);
    record(t, done, stream);
    t.ok(flagos_event_synchronize(done, kPatienceNs), "event_synchronize");
    source.set(std::vector<std::uint8_t>(size, 0xee));
    same(t, target.read(), bytes, "the bytes from before the change");
  }
}

FLAGOS_CASE("copy.capture_at_call",
            {.clause = "flagos_memory_update captures its bytes before it returns"}) {
  require_async(t);
  for (const std::uint64_t size :
       {std::uint64_t{1}, std::uint64_t{37}, 4 * kKib, std::uint64_t{FLAGOS_MEMORY_UPDATE_MAX}}) {
    t.subcase("size=" + std::to_string(size));
    Buffer target(t, size);
    const auto bytes = noise(t, size);
    Stream stream(t);
    Blocker blocker(t, stream);
    {
      auto data = std::make_unique<std::vector<std::uint8_t>>(bytes);
      t.ok(flagos_memory_update(stream, target.address(), data->data(), size), "memory_update");
      std::fill(data->begin(), data->end(), std::uint8_t{0});
    }
    check_held(t, stream, "memory_update");
    blocker.release();
    synchronize(t, stream);
    same(t, target.read(), bytes, "the bytes at the time of the call");
    target.verify();
  }
  t.subcase("too large");
  Buffer target(t, FLAGOS_MEMORY_UPDATE_MAX + 1);
  Stream stream(t);
  const std::vector<std::uint8_t> data(FLAGOS_MEMORY_UPDATE_MAX + 1);
  t.status(flagos_memory_update(stream, target.address(), data.data(), data.size()),
           FLAGOS_STATUS_INVALID_ARGUMENT, "memory_update of more than the most");
}

// Writing to freed memory is not defined; it is done by a process of its own, and nobody else may
// suffer.
FLAGOS_HELPER("copy_to_freed") {
  HelperDevice plugin(h);
  if (!plugin.ready()) return 10;
  const flagos_memory_desc_t desc = memory_desc(4096);
  flagos_address_t address = 0;
  if (flagos_memory_alloc(plugin.device(), &desc, &address) != FLAGOS_STATUS_OK) return 11;
  flagos_memory_free(plugin.device(), address);
  const std::vector<std::uint8_t> bytes(4096, 0xbb);
  flagos_memory_copy(plugin.stream(), address, host(bytes.data()), bytes.size());
  flagos_stream_synchronize(plugin.stream(), kPatienceNs);
  return 0;
}

FLAGOS_CASE("copy.to_freed",
            {.clause = "flagos_memory_copy: ranges stay allocated; the rest is isolated",
             .isolation = Isolation::multi}) {
  Stream stream(t);
  Pair pair(t, 64 * kKib);
  const int code = t.run_helper("copy_to_freed", {}, 60);
  // A sanitizer ends a process that touches freed memory in order.
  t.check(code == 0 || code > 1000 || sanitized(),
          "the other process ends or crashes, code " + std::to_string(code));
  t.check(code != 2000, "the other process does not hang");
  pair.check_unchanged(stream);
  t.subcase("the address is known no more");
  Memory memory(t, 4096);
  const flagos_address_t address = memory.address();
  memory.free();
  flagos_memory_info_t info{};
  info.struct_size = sizeof info;
  t.ok(flagos_memory_get_info(t.device(), address, &info), "memory_get_info");
  t.equal(static_cast<std::uint64_t>(info.kind), FLAGOS_MEMORY_KIND_UNKNOWN,
          "the kind of freed memory");
}

}  // namespace
}  // namespace flagos::conformance
