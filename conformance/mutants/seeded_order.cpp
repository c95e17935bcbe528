// Seeded bugs of streams, events, host functions and timelines.
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "conformance/mutants/catalogue.hpp"

namespace flagos::conformance::mutants {
namespace {

using Stream = flagos_plugin_stream_t*;
using Event = flagos_plugin_event_t*;

constexpr auto ok = FLAGOS_STATUS_OK;

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

// ---- M23: behind more than 8 launches the last two change places ----

// A launch with what it points to.
struct Launch {
  Stream stream;
  flagos_plugin_kernel_t* kernel;
  flagos_launch_desc_t desc;
  std::vector<std::uint8_t> block;

  flagos_status_t submit() {
    if (desc.argument_block != nullptr) desc.argument_block = block.data();
    return next<slot::kernel_launch>(stream, kernel,
                                     static_cast<const flagos_launch_desc_t*>(&desc));
  }
};

struct Held {
  std::mutex mutex;
  std::map<Stream, unsigned> queued;
  std::map<Stream, Launch> launches;
};
Held& held() {
  static Held made;
  return made;
}

// What was held back is submitted now, because something comes that is not a launch.
bool release_launch(const Call& call) {
  if (call.slot == slot::kernel_launch::index) return true;
  Held& all = held();
  const std::lock_guard lock(all.mutex);
  for (auto& [stream, launch] : all.launches) launch.submit();
  all.launches.clear();
  if (call.kind != Kind::submit) all.queued.clear();
  return true;
}

flagos_status_t swapped_launch(Stream stream, flagos_plugin_kernel_t* kernel,
                               const flagos_launch_desc_t* desc) {
  Held& all = held();
  const std::lock_guard lock(all.mutex);
  if (++all.queued[stream] <= 8) return next<slot::kernel_launch>(stream, kernel, desc);
  const auto before = all.launches.find(stream);
  if (before == all.launches.end()) {
    Launch launch{stream, kernel, *desc, {}};
    const auto* const block = static_cast<const std::uint8_t*>(desc->argument_block);
    if (block != nullptr) launch.block.assign(block, block + desc->argument_bytes);
    all.launches[stream] = std::move(launch);
    return ok;
  }
  const flagos_status_t status = next<slot::kernel_launch>(stream, kernel, desc);
  before->second.submit();
  all.launches.erase(before);
  return status;
}

// ---- M25: of waits one behind the other the last one counts ----

struct Waits {
  std::mutex mutex;
  std::map<Stream, Event> waits;
};
Waits& waits() {
  static Waits made;
  return made;
}

bool release_wait(const Call& call) {
  if (call.slot == slot::stream_wait_event::index) return true;
  Waits& all = waits();
  const std::lock_guard lock(all.mutex);
  for (const auto& [stream, event] : all.waits) next<slot::stream_wait_event>(stream, event);
  all.waits.clear();
  return true;
}

flagos_status_t replacing_wait(Stream stream, Event event) {
  const std::lock_guard lock(waits().mutex);
  waits().waits[stream] = event;
  return ok;
}

// ---- M27: all streams of a device are one ----

struct OneStream {
  std::mutex mutex;
  std::map<flagos_plugin_device_t*, std::pair<Stream, int>> streams;
};
OneStream& one_stream() {
  static OneStream made;
  return made;
}

flagos_status_t same_stream(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                            Stream* out) {
  OneStream& all = one_stream();
  const std::lock_guard lock(all.mutex);
  auto& [stream, users] = all.streams[device];
  if (users == 0) {
    const flagos_status_t status = next<slot::stream_create>(device, desc, &stream);
    if (status != ok) return status;
  }
  ++users;
  *out = stream;
  return ok;
}
void destroy_same_stream(Stream stream) {
  OneStream& all = one_stream();
  {
    const std::lock_guard lock(all.mutex);
    for (auto& [device, entry] : all.streams)
      if (entry.first == stream && --entry.second > 0) return;
  }
  next<slot::stream_destroy>(stream);
}

// ---- waiting ----

flagos_status_t blocking_query(Stream stream, std::uint64_t timeout_ns) {
  return next<slot::stream_synchronize>(stream, timeout_ns == 0 ? for_ever : timeout_ns);
}

flagos_status_t healthy_stream(Stream stream, std::uint64_t timeout_ns) {
  const flagos_status_t status = next<slot::stream_synchronize>(stream, timeout_ns);
  return status == FLAGOS_STATUS_TIMEOUT ? status : ok;
}

flagos_status_t event_is_complete(Event event, std::uint64_t timeout_ns) {
  return timeout_ns == 0 ? ok : next<slot::event_synchronize>(event, timeout_ns);
}

// ---- M35 ----

struct Records {
  std::mutex mutex;
  std::map<Event, std::uint64_t> times;
};
Records& records() {
  static Records made;
  return made;
}

flagos_status_t timed_record(Event event, Stream stream) {
  {
    const std::lock_guard lock(records().mutex);
    records().times[event] = now_ns();
  }
  return next<slot::event_record>(event, stream);
}
flagos_status_t host_elapsed(Event start, Event end, std::int64_t* out) {
  const flagos_status_t status = next<slot::event_get_elapsed>(start, end, out);
  if (status != ok) return status;
  const std::lock_guard lock(records().mutex);
  *out = static_cast<std::int64_t>(records().times[end] - records().times[start]);
  return ok;
}

// ---- host functions ----

struct HostCall {
  flagos_host_function_t function;
  void* user_data;
};

flagos_status_t locked_host(Stream stream, flagos_host_function_t function, void* user_data) {
  return next<slot::stream_launch_host>(
      stream, static_cast<flagos_host_function_t>([](void* data, flagos_status_t status) {
        const HostCall call = *static_cast<HostCall*>(data);
        delete static_cast<HostCall*>(data);
        const std::lock_guard lock(everybody);
        call.function(call.user_data, status);
      }),
      static_cast<void*>(new HostCall{function, user_data}));
}

flagos_status_t early_host(Stream, flagos_host_function_t function, void* user_data) {
  std::thread([=] { function(user_data, ok); }).detach();
  return ok;
}

// ---- timelines ----

// M41: who waits for a timeline that fails is released as if it had come so far.
flagos_status_t reached_by_failure(flagos_plugin_timeline_t* timeline, flagos_status_t) {
  return next<slot::timeline_signal>(timeline, for_ever);
}

// ---- M43: what a copy writes is seen a little later ----

struct Copy {
  flagos_address_t target, source;
  std::uint64_t size;
};

flagos_status_t late_visible_copy(Stream stream, flagos_address_t target, flagos_address_t source,
                                  std::uint64_t size) {
  constexpr std::uint64_t largest = 1 << 20;
  if (size > largest) return next<slot::memory_copy>(stream, target, source, size);
  return next<slot::stream_launch_host>(
      stream, static_cast<flagos_host_function_t>([](void* data, flagos_status_t) {
        const Copy copy = *static_cast<Copy*>(data);
        delete static_cast<Copy*>(data);
        const auto at = [](flagos_address_t address) {
          return reinterpret_cast<char*>(static_cast<std::uintptr_t>(address));
        };
        std::vector<char> cache(at(copy.source), at(copy.source) + copy.size);
        std::thread([copy, at, kept = std::move(cache)] {
          std::this_thread::sleep_for(std::chrono::milliseconds(2));
          std::memcpy(at(copy.target), kept.data(), kept.size());
        }).detach();
      }),
      static_cast<void*>(new Copy{target, source, size}));
}

}  // namespace

void add_seeded_order(std::vector<Mutant>& list) {
  list.push_back(seeded<slot::kernel_launch>(
      "M23", "behind more than 8 launches in a stream, two change places", {"stream.order.fifo"},
      &swapped_launch));
  list.back().hooks.before = &release_launch;
  list.push_back(seeded<slot::stream_wait_event>("M25", "a second wait replaces the first",
                                                 {"stream.wait_event.multi"}, &replacing_wait));
  list.back().hooks.before = &release_wait;
  list.push_back(seeded<slot::stream_create>("M27",
                                             "all streams share one queue, and waits block it",
                                             {"stream.independent_progress"}, &same_stream));
  list.back().prepare = [](Tables& tables) { tables.stream.destroy = &destroy_same_stream; };
  list.push_back(seeded<slot::stream_synchronize>("M29", "a query waits", {"stream.query.states"},
                                                  &blocking_query));
  list.push_back(seeded<slot::stream_synchronize>("M31", "a poisoned stream says OK",
                                                  {"stream.error.poison"}, &healthy_stream));
  list.push_back(
      seeded<slot::event_synchronize>("M33", "a query of an event says at once that it is complete",
                                      {"event.query.pending"}, &event_is_complete));
  list.push_back(
      seeded<slot::event_get_elapsed>("M35", "the time between events is that of their submission",
                                      {"event.elapsed.device_not_host"}, &host_elapsed));
  list.back().prepare = [](Tables& tables) { tables.event.record = &timed_record; };
  list.push_back(seeded<slot::stream_launch_host>(
      "M37", "a lock that every call needs is held while a host function runs",
      {"cb.blocks_following_only"}, &locked_host));
  list.back().hooks.before = &let_pass;
  list.push_back(seeded<slot::stream_launch_host>(
      "M39", "a host function starts before the work in front of it ends", {"cb.basic", "cb.order"},
      &early_host));
  list.push_back(seeded<slot::timeline_fail>(
      "M41", "who waits for a timeline that fails goes on as if it had come so far",
      {"tl.sem.fail_propagates"}, &reached_by_failure));
  list.push_back(seeded<slot::memory_copy>("M43",
                                           "what a copy writes is seen 2 ms after it was done",
                                           {"tl.order.random_dag"}, &late_visible_copy));
}

}  // namespace flagos::conformance::mutants
