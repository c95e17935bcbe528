// A device that was lost: what calls say, who wakes, what can still be given back.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <set>

#include "conformance/cases/entries.hpp"
#include "conformance/cases/module_support.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto lost = FLAGOS_STATUS_DEVICE_LOST;

// Memory without canaries, which cannot be read any more.
class Raw {
 public:
  explicit Raw(Context& t, flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE) : t_(t) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.kind = kind;
    desc.size_bytes = size;
    t.ok(flagos_memory_alloc(t.device(), &desc, &address_), "allocate");
  }
  ~Raw() { flagos_memory_free(t_.device(), address_); }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;
  flagos_address_t at(std::uint64_t offset = 0) const { return address_ + offset; }
  static constexpr std::uint64_t size = 1 << 16;

 private:
  Context& t_;
  flagos_address_t address_ = 0;
};

// On the world's own device.
void queue_loss(Context& t, const World& world) {
  const flagos_kernel_desc_t desc = kernel_desc("tl_lose");
  flagos_kernel_t* kernel = nullptr;
  t.ok(flagos_module_get_kernel(world.module(), &desc, &kernel), "tl_lose in the world's module");
  launch(t, world.stream(), kernel, {1, 1, 1}, {1, 1, 1});
}

// Entries that a lost device has nothing to say to: they give back, end, or tell and change what is on the host. All
// others say that it is lost.
bool needs_no_device(const Entry& entry) {
  static const char* const parts[] = {
      // giving back, and ending
      "_destroy", "_free", "_close", "_unload", "_unmap", "_release", "_unregister", "_deregister",
      "_abort", "timeline_fail", "pool_trim", "profiler_drain", "end_capture",
      // about no device, or about another one
      "flagos_set_", "flagos_status_", "flagos_dlpack_", "flagos_blob_", "flagos_range_",
      "collective_id_", "collective_group_", "device_find", "device_describe", "device_open",
      // what is known on the host
      "_get_", "_suggest_", "_attach", "pool_set_limit", "graph_create", "graph_add_",
      "graph_clone", "graph_dump", "collective_query", "communicator_query_error"};
  return std::any_of(std::begin(parts), std::end(parts),
                     [&](const char* part) { return entry.name.find(part) != std::string::npos; });
}

// Those of the runtime are about no device; recover ends the loss; a profiler would be made on the second open of the
// device, which holds the one of another call already.
bool is_left_out(const Entry& entry) {
  return entry.name.starts_with("flagos_runtime_") || entry.name == "flagos_device_recover" ||
         entry.name == "flagos_profiler_create";
}

std::string wrong_after_loss(World& world, Call& call) {
  const Entry& entry = call.entry;
  const flagos_status_t status = call.run();
  std::set<flagos_status_t> allowed{lost};
  // What the world's call is refused for anyway may be said first.
  for (const flagos_status_t usual : expected_when_valid(world, entry))
    if (usual != ok || needs_no_device(entry)) allowed.insert(usual);
  if (!allowed.contains(status))
    return entry.name + ": expected " + names_of(allowed) + ", got " +
           flagos_status_get_name(status);
  if (status != lost) return "";
  if (std::strlen(flagos_last_error()) == 0) return entry.name + ": there is no text";
  const std::string uncleared = call.uncleared();
  return uncleared.empty() ? "" : entry.name + ": it did not clear " + uncleared;
}

}  // namespace

FLAGOS_CASE(
    "fault.lost.every_entry",
    {.clause = "flagos.h: General statuses; after the loss of a device every call on it says so",
     .level = Level::optional,
     .oracle = Oracle::code,
     .isolation = Isolation::own}) {
  require_loss(t);
  World world(t);
  // Made while the device is there, with whatever objects each of them needs.
  std::deque<Call> calls;
  for (const Entry& entry : entries()) {
    if (is_left_out(entry)) continue;
    if (entry.needs != FLAGOS_FEATURE_COUNT && !world.has(entry.needs)) continue;
    calls.emplace_back(world, entry);
  }
  t.check(calls.size() > 80, "there are calls to make");
  queue_loss(t, world);
  t.status(flagos_stream_synchronize(world.stream(), patience_ns), lost, "wait for the kernel");
  std::string wrong;
  for (Call& call : calls) {
    t.subcase(call.entry.name);
    const std::string found = wrong_after_loss(world, call);
    if (!found.empty()) wrong += "\n" + found;
  }
  t.subcase("all of them");
  t.check(wrong.empty(), "a lost device answers as the contract says:" + wrong);
  t.subcase("end");
  world.expect_nothing();
  calls.clear();
  t.status(world.close(), ok, "everything can be destroyed");
}

FLAGOS_CASE("fault.lost.waiters_wake",
            {.clause = "flagos.h: Failures; a lost device wakes whoever waits for it",
             .level = Level::optional,
             .oracle = Oracle::live,
             .isolation = Isolation::own}) {
  require_loss(t);
  Stream stream(t);
  Stream behind(t);
  Event event(t);
  flagos_timeline_t* timeline = nullptr;
  t.ok(flagos_timeline_create(t.device(), 0, &timeline), "create a timeline");
  Blocker blocker(t, stream);
  queue_loss(t, stream);
  t.ok(flagos_event_record(event, stream), "record behind the loss");
  t.ok(flagos_stream_wait_timeline(behind, timeline, 5), "a wait that nothing will end");
  std::atomic<int> begun{0};
  std::atomic<int> woken{0};
  {
    Team team;
    const auto waits = [&](auto call) {
      team.start([&, call] {
        ++begun;
        if (call() == lost) ++woken;
      });
    };
    waits([&] { return flagos_stream_synchronize(stream, patience_ns); });
    waits([&] { return flagos_stream_synchronize(behind, patience_ns); });
    waits([&] { return flagos_event_synchronize(event, patience_ns); });
    waits([&] { return flagos_device_synchronize(t.device(), patience_ns); });
    waits([&] {
      const std::uint64_t value = 5;
      return flagos_timeline_wait(1, &timeline, &value, FLAGOS_WAIT_MODE_ALL, patience_ns, nullptr);
    });
    eventually([&] { return begun == 5; });
    nap(0.02);
    blocker.release();
    team.join();
  }
  t.equal(static_cast<std::uint64_t>(woken), 5,
          "all that waited were told that the device is lost");
  t.ok(flagos_timeline_destroy(timeline), "destroy the timeline");
}

FLAGOS_CASE("fault.lost.destroy_all",
            {.clause = "flagos.h: General statuses; frees and destroys succeed after the loss",
             .level = Level::optional,
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  require_loss(t);
  World world(t);
  queue_loss(t, world);
  t.status(flagos_stream_synchronize(world.stream(), patience_ns), lost, "wait for the kernel");
  t.status(world.close(), ok, "objects of every type can be destroyed");
}

FLAGOS_CASE("fault.lost.host_pinned_ok",
            {.clause = "flagos.h: Failures; memory of the host outlives the device",
             .level = Level::optional,
             .oracle = Oracle::exact,
             .isolation = Isolation::own,
             .feature = "pinned_memory"}) {
  require_loss(t);
  const std::vector<std::uint8_t> bytes = t.random_bytes(Raw::size);
  const Raw pinned(t, FLAGOS_MEMORY_KIND_PINNED);
  const Raw device(t);
  auto* const host = reinterpret_cast<std::uint8_t*>(pinned.at());
  std::copy(bytes.begin(), bytes.end(), host);
  {
    Stream stream(t);
    t.ok(flagos_memory_copy(stream, device.at(), pinned.at(), Raw::size), "copy to the device");
    stream.synchronize();
  }
  lose_device(t);
  t.equal_bytes({host, Raw::size}, bytes, "pinned memory after the loss");
  std::fill_n(host, Raw::size, std::uint8_t{7});
  t.check(std::count(host, host + Raw::size, 7) == Raw::size, "it can be written, too");
}

FLAGOS_CASE(
    "fault.lost.report",
    {.clause = "flagos_device_query_status: the loss is sticky, and told with the device's name",
     .level = Level::optional,
     .oracle = Oracle::code,
     .isolation = Isolation::own}) {
  require_loss(t);
  t.status(flagos_device_query_status(t.device()), ok, "a device that works");
  lose_device(t);
  for (int i = 0; i < 100; ++i) {
    t.status(flagos_device_query_status(t.device()), lost, "the loss is sticky");
    const std::string text = flagos_last_error();
    t.check(text.find(t.info().id) != std::string::npos, "the text names the device: " + text);
  }
  flagos_stream_t* stream = nullptr;
  t.status(flagos_stream_create(t.device(), nullptr, &stream), lost, "a new stream on it");
  t.check(stream == nullptr, "the out parameter is cleared");
}

}  // namespace flagos::conformance
