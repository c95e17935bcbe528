// Several devices in one process: copies between them, and what must not leak from one to another. Where the plugin
// shows one device, a second opening of it stands in.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>
#include <thread>

#include "conformance/cases/sites.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr std::uint64_t a_minute = 60'000'000'000u;
constexpr std::uint64_t slot = std::uint64_t{4} << 20;  // the piece that core stages at a time

// From source to target on a stream of `at`; what lies behind stays.
void check_copy(Context& t, Site& at, Site& target, Site& source, std::uint64_t size,
                std::uint64_t room) {
  const auto data = t.random_bytes(room);
  auto expected = t.random_bytes(room);
  source.write(data);
  target.write(expected);
  t.ok(copy_peer(at, target, source, size), "flagos_memory_copy_peer");
  at.synchronize();
  std::copy_n(data.begin(), size, expected.begin());
  t.equal_bytes(target.read(), expected, "the target holds the bytes, and its own behind them");
  t.equal_bytes(source.read(), data, "the source is as before");
}

}  // namespace

#define PEER(text, the_oracle) \
  .clause = "flagos_memory_copy_peer: " text, .oracle = the_oracle, .feature = "peer_copy"

FLAGOS_CASE("peer.copy.no_access_staged", {PEER("any two open devices", Oracle::exact)}) {
  std::vector<std::uint64_t> sizes{1, 4095, 65'539, slot - 1, slot + 1};
  if (!t.settings().quick) sizes.insert(sizes.end(), {slot, 2 * slot, 2 * slot + 1, 3 * slot + 5});
  const std::uint64_t room = *std::max_element(sizes.begin(), sizes.end()) + 64;
  Site here(t, t.info().index, room), there(t, other_index(t), room);
  for (const std::uint64_t size : sizes) {
    t.subcase("size " + std::to_string(size));
    check_copy(t, here, there, here, size, room);
    check_copy(t, here, here, there, size, room);
    check_copy(t, there, here, there, size, room);
  }
  t.subcase("size 0");
  t.ok(copy_peer(here, there, here, 0), "a copy of nothing");
}

FLAGOS_CASE("peer.copy.all_pairs", {PEER("every pair, both ways", Oracle::exact)}) {
  constexpr std::uint64_t room = 70'000;
  std::vector<std::unique_ptr<Site>> sites;
  const std::uint32_t count = std::min(device_count(t), 4u);
  for (std::uint32_t i = 0; i < count + 1; ++i)
    sites.push_back(std::make_unique<Site>(t, i % count, room));
  for (std::size_t from = 0; from < sites.size(); ++from)
    for (std::size_t to = 0; to < sites.size(); ++to) {
      if (from == to) continue;
      t.subcase("from " + std::to_string(from) + " to " + std::to_string(to));
      check_copy(t, *sites[from], *sites[to], *sites[from], 65'000, room);
      check_copy(t, *sites[to], *sites[to], *sites[from], 65'000, room);
    }
}

FLAGOS_CASE("peer.order_events", {PEER("ordered by its stream and by events", Oracle::order)}) {
  constexpr std::uint64_t room = 65'536;
  Site here(t, t.info().index, room), there(t, other_index(t), room);
  const auto data = t.random_bytes(room);
  there.write(t.random_bytes(room));
  flagos_event_t* event = nullptr;
  t.ok(flagos_event_create(here.device(), nullptr, &event), "create an event");
  // A copy in three steps on two devices; nothing but order makes the bytes arrive.
  const bool queued =
      flagos_memory_copy(here.stream(), here.memory(), address_of(data.data()), room) == ok &&
      copy_peer(here, there, here, room) == ok && flagos_event_record(event, here.stream()) == ok &&
      flagos_stream_wait_event(there.stream(), event) == ok;
  std::vector<std::uint8_t> seen(room);
  const flagos_status_t read =
      flagos_memory_copy(there.stream(), address_of(seen.data()), there.memory(), room);
  const flagos_status_t finished = flagos_stream_synchronize(there.stream(), a_minute);
  flagos_stream_synchronize(here.stream(), a_minute);
  flagos_event_destroy(event);
  t.check(queued, "copy, copy between devices, record and wait are queued");
  t.ok(read, "read on the other device's stream");
  t.ok(finished, "finish it");
  t.equal_bytes(seen, data, "what was written on the first device before the event");
}

FLAGOS_CASE("peer.context_isolation", {.clause = "flagos.h: Failures; other streams go on",
                                       .oracle = Oracle::code,
                                       .feature = "timeline"}) {
  constexpr std::uint64_t room = 4096;
  Site here(t, t.info().index, room), there(t, other_index(t), room);
  flagos_timeline_t* timeline = nullptr;
  t.ok(flagos_timeline_create(here.device(), 0, &timeline), "create a timeline");
  const flagos_status_t waits = flagos_stream_wait_timeline(here.stream(), timeline, 1);
  flagos_timeline_fail(timeline, FLAGOS_STATUS_CANCELLED);
  const flagos_status_t failed = flagos_stream_synchronize(here.stream(), a_minute);
  flagos_timeline_destroy(timeline);
  t.ok(waits, "a stream waits for a timeline");
  t.status(failed, FLAGOS_STATUS_CANCELLED, "the timeline failed");
  t.status(copy_peer(here, there, here, 64), FLAGOS_STATUS_CANCELLED, "a copy on that stream");
  const auto data = t.random_bytes(room);
  there.write(data);
  t.ok(copy_peer(there, here, there, room), "a copy on the other device's stream");
  there.synchronize();
  t.equal_bytes(there.read(), data, "the other device goes on");
  t.ok(flagos_stream_reset(here.stream()), "reset the stream");
  t.equal_bytes(here.read(), data, "its copy arrived");
  check_copy(t, here, there, here, 64, room);
}

FLAGOS_CASE("peer.thread_per_device", {PEER("threads", Oracle::exact)}) {
  constexpr std::uint64_t room = 30'000;
  constexpr std::uint32_t threads = 4;
  const std::uint32_t count = device_count(t);
  std::vector<std::unique_ptr<Site>> sites;
  for (std::uint32_t i = 0; i < 2 * threads; ++i)
    sites.push_back(std::make_unique<Site>(t, i % count, room));
  std::atomic<std::uint32_t> wrong{0};
  const int rounds = t.settings().quick ? 20 : 200;
  const auto work = [&](std::uint32_t number) {
    const Site& source = *sites[2 * number];
    const Site& target = *sites[2 * number + 1];
    std::vector<std::uint8_t> seen(room);
    for (int round = 0; round < rounds; ++round) {
      const auto value = static_cast<std::uint8_t>(number * 60 + static_cast<unsigned>(round) + 1);
      const bool done =
          flagos_memory_fill(source.stream(), source.memory(), &value, 1, room) == ok &&
          copy_peer(source, target, source, room) == ok &&
          flagos_stream_synchronize(source.stream(), a_minute) == ok &&
          flagos_memory_copy(target.stream(), address_of(seen.data()), target.memory(), room) ==
              ok &&
          flagos_stream_synchronize(target.stream(), a_minute) == ok;
      if (!done || seen != std::vector<std::uint8_t>(room, value)) ++wrong;
    }
  };
  std::vector<std::thread> running;
  for (std::uint32_t i = 0; i < threads; ++i) running.emplace_back(work, i);
  for (std::thread& thread : running) thread.join();
  t.equal(wrong, 0, "rounds in which a thread saw other bytes than its own");
}

FLAGOS_CASE("peer.alloc_wrong_device_free",
            {.clause = "flagos_memory_free: INVALID_HANDLE", .oracle = Oracle::exact}) {
  constexpr std::uint64_t room = 4096;
  Site here(t, t.info().index, room), there(t, other_index(t), room);
  const auto data = t.random_bytes(room);
  here.write(data);
  t.status(flagos_memory_free(there.device(), here.memory()), FLAGOS_STATUS_INVALID_HANDLE,
           "memory of another device is not freed");
  t.equal_bytes(here.read(), data, "it is as before");
}

FLAGOS_CASE("peer.stream_wrong_device", {PEER("a stream of neither device", Oracle::exact)}) {
  constexpr std::uint64_t room = 4096;
  Site here(t, t.info().index, room), there(t, other_index(t), room), third(t, t.info().index, 64);
  const auto data = t.random_bytes(room);
  there.write(data);
  t.status(copy_peer(third, there, here, 64), invalid_argument, "a stream of neither device");
  t.status(flagos_memory_copy_peer(here.stream(), there.memory(), there.device(), here.memory(),
                                   here.device(), room + 1),
           invalid_argument, "past the end of both");
  const flagos_launch_desc_t launch = launch_desc({}, {});
  t.status(flagos_kernel_launch(there.stream(), t.kernel("copy_u32"), &launch), invalid_argument,
           "a kernel of another open device");
  t.equal_bytes(there.read(), data, "nothing was written");
}

FLAGOS_CASE("peer.heterogeneous_plugins",
            {.clause = "flagos_memory_copy_peer: devices of two plugins",
             .level = Level::optional,
             .isolation = Isolation::own}) {
  const std::string path = other_plugin(t.settings());
  if (path.empty()) t.not_supported("no other plugin is installed here");
  const std::uint32_t first = device_count(t);
  t.ok(flagos_runtime_add_plugin(t.runtime(), path.c_str()), "load another plugin");
  t.check(device_count(t) > first, "it has a device");
  const std::uint64_t room = t.settings().quick ? slot + 64 : 3 * slot;
  Site here(t, t.info().index, room), there(t, first, room);
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{65'539}, room - 64}) {
    t.subcase("size " + std::to_string(size));
    check_copy(t, here, there, here, size, room);
    check_copy(t, here, here, there, size, room);
    check_copy(t, there, there, here, size, room);
    check_copy(t, there, here, there, size, room);
  }
}

FLAGOS_CASE("peer.timeline_cross", {.clause = "flagos_stream_wait_timeline: streams of two devices",
                                    .oracle = Oracle::order,
                                    .feature = "timeline"}) {
  constexpr std::uint64_t room = 65'536;
  Site here(t, t.info().index, room), there(t, other_index(t), room);
  const auto data = t.random_bytes(room);
  there.write(t.random_bytes(room));
  flagos_timeline_t* timeline = nullptr;
  t.ok(flagos_timeline_create(here.device(), 0, &timeline), "create a timeline");
  std::vector<std::uint8_t> seen(room);
  // The wait comes first, so that only the signal can let it pass.
  const bool queued =
      flagos_stream_wait_timeline(there.stream(), timeline, 1) == ok &&
      flagos_memory_copy(there.stream(), address_of(seen.data()), there.memory(), room) == ok &&
      flagos_memory_copy(here.stream(), here.memory(), address_of(data.data()), room) == ok &&
      copy_peer(here, there, here, room) == ok &&
      flagos_stream_signal_timeline(here.stream(), timeline, 1) == ok;
  if (!queued) flagos_timeline_fail(timeline, FLAGOS_STATUS_CANCELLED);
  const flagos_status_t finished = flagos_stream_synchronize(there.stream(), a_minute);
  flagos_stream_synchronize(here.stream(), a_minute);
  flagos_timeline_destroy(timeline);
  t.check(queued, "wait, copies and signal are queued");
  t.ok(finished, "the stream that waited");
  t.equal_bytes(seen, data, "what was written before the signal");
}

FLAGOS_CASE("peer.props_distinct",
            {.clause = "flagos_device_describe", .oracle = Oracle::code, .query = true}) {
  std::set<std::string> ids;
  for (std::uint32_t i = 0; i < device_count(t); ++i) {
    t.subcase("device " + std::to_string(i));
    Site site(t, i, 64);
    flagos_device_info_t described{}, opened{};
    described.struct_size = opened.struct_size = sizeof described;
    t.ok(flagos_device_describe(t.runtime(), i, &described), "describe");
    t.ok(flagos_device_get_info(site.device(), &opened), "describe the open device");
    t.check(std::memcmp(&described, &opened, sizeof described) == 0, "both say the same");
    t.equal(described.index, i, "its own index");
    t.check(ids.insert(described.id).second, "an id of its own");
  }
}

}  // namespace flagos::conformance
