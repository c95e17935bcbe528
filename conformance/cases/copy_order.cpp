// copy.ordering, copy.concurrent, copy.event_between: when copies happen.
#include <algorithm>
#include <array>
#include <string>
#include <thread>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

FLAGOS_CASE("copy.ordering.same_stream", {.clause = "a stream is an ordered queue"}) {
  constexpr std::uint64_t size = 8 * kKib;
  const int rounds = t.settings().quick ? 200 : 1'000;
  Stream stream(t);
  Buffer a(t, size);
  Buffer b(t, size);
  auto model = noise(t, size);
  a.write(model);
  b.write(model);
  // Each copy reads what the one before wrote, shifted by one byte: any change of order shows at
  // the end.
  for (int i = 0; i < rounds; ++i) {
    Buffer& from = i % 2 == 0 ? a : b;
    Buffer& to = i % 2 == 0 ? b : a;
    copy(t, stream, to.address(1), from.address(), size - 1);
    copy(t, stream, to.address(), from.address(size - 1), 1);
    std::rotate(model.rbegin(), model.rbegin() + 1, model.rend());
  }
  synchronize(t, stream);
  same(t, (rounds % 2 == 0 ? a : b).read(), model, "the result of all copies in order");
}

// To the device, a kernel, on the device, and back, all queued before the first wait.
void mixed(Context& t, flagos_stream_t* stream, flagos_memory_kind_t host_kind,
           std::uint64_t rounds) {
  constexpr std::uint32_t count = 4096;
  constexpr std::uint64_t size = count * 4;
  Side input(t, host_kind, size);
  Side outputs(t, host_kind, rounds * size);
  Buffer first(t, size);
  Buffer second(t, size);
  const auto bytes = noise(t, size);
  input.set(bytes);
  copy(t, stream, first.address(), input.address(), size);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    add_words(t, stream, second.address(), first.address(), 7, count);
    copy(t, stream, outputs.address(i * size), second.address(), size);
    copy(t, stream, first.address(), second.address(), size);
  }
  synchronize(t, stream);
  const auto found = outputs.get();
  auto model = words(bytes);
  for (std::uint64_t i = 0; i < rounds; ++i) {
    for (std::uint32_t& word : model) word += 7;
    same(t, std::span(found).subspan(i * size, size), bytes_of(model),
         "what one round copied back");
  }
  outputs.verify();
}

FLAGOS_CASE("copy.ordering.mixed_engines",
            {.clause = "a stream is an ordered queue, whatever engine works"}) {
  Stream stream(t);
  for (const auto kind : copy_kinds(t)) {
    if (kind == FLAGOS_MEMORY_KIND_DEVICE) continue;
    for (const std::uint64_t rounds : {1, t.settings().quick ? 5 : 40}) {
      t.subcase(std::string(kind_name(kind)) + ", rounds=" + std::to_string(rounds));
      mixed(t, stream, kind, rounds);
    }
  }
}

FLAGOS_CASE("copy.ordering.cross_stream_event",
            {.clause = "flagos_stream_wait_event orders copies of two streams"}) {
  const int rounds = t.settings().quick ? 20 : 100;
  for (const std::uint64_t size : {std::uint64_t{64}, 4 * kKib, 64 * kKib, kMib}) {
    t.subcase("size=" + std::to_string(size));
    Stream producer(t);
    Stream consumer(t);
    Event full(t);
    Event empty(t);
    Buffer slot(t, size);
    Buffer results(t, 4 * static_cast<std::uint64_t>(rounds));
    for (int i = 0; i < rounds; ++i) {
      wait_event(t, producer, empty);
      fill(t, producer, slot.address(), static_cast<std::uint32_t>(i + 1), size);
      record(t, full, producer);
      wait_event(t, consumer, full);
      copy(t, consumer, results.address(static_cast<std::uint64_t>(i) * 4), slot.address(size - 4),
           4);
      record(t, empty, consumer);
    }
    synchronize(t, producer);
    synchronize(t, consumer);
    const auto seen = words(results.read());
    for (std::uint32_t i = 0; i < seen.size(); ++i)
      t.equal(seen[i], i + 1, "what the consumer saw in a round");
  }
}

FLAGOS_CASE("copy.event_between",
            {.clause = "an event between two copies completes between them"}) {
  require_async(t);
  constexpr std::uint64_t size = 64 * kKib;
  Buffer source(t, size);
  Buffer first(t, size);
  Buffer second(t, size);
  const auto bytes = noise(t, size);
  source.write(bytes);
  Stream stream(t);
  Event between(t);
  t.subcase("before the first copy has started");
  {
    Blocker blocker(t, stream);
    copy(t, stream, first.address(), source.address(), size);
    record(t, between, stream);
    copy(t, stream, second.address(), source.address(), size);
    t.check(!complete(t, between), "the event is pending behind a held stream");
    blocker.release();
    t.ok(flagos_event_synchronize(between, kPatienceNs), "event_synchronize");
    same(t, first.read(), bytes, "the first copy when the event is complete");
  }
  synchronize(t, stream);
  same(t, second.read(), bytes, "the second copy at the end");
  t.subcase("while the second copy is held");
  fill(t, stream, second.address(), std::uint8_t{0x31}, size);
  fill(t, stream, first.address(), std::uint8_t{0x32}, size);
  record(t, between, stream);
  Blocker blocker(t, stream);
  copy(t, stream, second.address(), source.address(), size);
  t.ok(flagos_event_synchronize(between, kPatienceNs), "event_synchronize");
  check_held(t, stream, "event_synchronize");
  blocker.release();
  synchronize(t, stream);
  all_are(t, first.read(), 0x32, "the fill before the event");
  same(t, second.read(), bytes, "the copy behind the event");
}

FLAGOS_CASE("copy.concurrent_bidirectional",
            {.clause = "copies of two streams", .level = Level::full, .feature = "pinned_memory"}) {
  const std::uint64_t size = t.settings().quick ? kMib : 16 * kMib;
  Stream up(t);
  Stream down(t);
  Side out(t, FLAGOS_MEMORY_KIND_PINNED, size);
  Side back(t, FLAGOS_MEMORY_KIND_PINNED, size);
  Buffer written(t, size);
  Buffer read(t, size);
  const auto out_bytes = noise(t, size);
  const auto back_bytes = noise(t, size);
  out.set(out_bytes);
  read.write(back_bytes);
  for (std::uint64_t at = 0; at < size; at += size / 16) {
    copy(t, up, written.address(at), out.address(at), size / 16);
    copy(t, down, back.address(at), read.address(at), size / 16);
  }
  synchronize(t, up);
  synchronize(t, down);
  same(t, written.read(), out_bytes, "what went to the device");
  same(t, back.get(), back_bytes, "what came back");
}

// What one thread does with buffers of its own; "" when all was right.
std::string copy_on_thread(flagos_device_t* device, flagos_address_t memory, std::uint32_t thread,
                           std::uint32_t rounds) {
  constexpr std::uint32_t count = 1024;
  flagos_stream_t* stream = nullptr;
  if (flagos_stream_create(device, nullptr, &stream) != FLAGOS_STATUS_OK) return "stream_create";
  std::vector<std::uint32_t> out(count);
  std::vector<std::uint32_t> back(count);
  std::string problem;
  for (std::uint32_t round = 0; round < rounds && problem.empty(); ++round) {
    for (std::uint32_t i = 0; i < count; ++i) out[i] = thread << 24 | round << 10 | i;
    const bool queued =
        flagos_memory_copy(stream, memory, host(out.data()), count * 4) == FLAGOS_STATUS_OK &&
        flagos_memory_copy(stream, host(back.data()), memory, count * 4) == FLAGOS_STATUS_OK;
    if (!queued || flagos_stream_synchronize(stream, kPatienceNs) != FLAGOS_STATUS_OK)
      problem = flagos_last_error();
    if (queued && back != out) problem = "wrong data in round " + std::to_string(round);
  }
  flagos_stream_destroy(stream);
  return problem;
}

FLAGOS_CASE("copy.concurrent_threads",
            {.clause = "flagos_memory_copy: any thread", .level = Level::full}) {
  const std::uint32_t rounds = t.settings().quick ? 100 : 1'000;
  constexpr std::uint64_t slot = 4 * kKib;
  Buffer memory(t, 8 * slot);
  flagos_device_t* const device = t.device();
  std::array<std::string, 8> problems;
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < problems.size(); ++i) {
    threads.emplace_back(
        [&, i] { problems[i] = copy_on_thread(device, memory.address(i * slot), i, rounds); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& problem : problems)
    t.check(problem.empty(), "copies on eight threads are exact: " + problem);
}

FLAGOS_CASE("copy.priority_inversion", {.clause = "streams of high priority are not starved",
                                        .level = Level::full,
                                        .oracle = Oracle::live}) {
  const std::uint64_t size = t.settings().quick ? 4 * kMib : 64 * kMib;
  Buffer large(t, size);
  Buffer target(t, size);
  Buffer small(t, 64);
  const auto bytes = noise(t, size);
  large.write(bytes);
  Stream low(t, t.info().priority_low);
  Stream high(t, t.info().priority_high);
  for (int i = 0; i < 64; ++i) copy(t, low, target.address(), large.address(), size);
  fill(t, high, small.address(), std::uint8_t{0x19}, 64);
  synchronize(t, high);
  all_are(t, small.read(), 0x19, "the small fill of the stream of high priority");
  synchronize(t, low);
  same(t, target.read(), bytes, "the large copies");
}

}  // namespace
}  // namespace flagos::conformance
