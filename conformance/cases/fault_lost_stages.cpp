// A device that is lost at every stage of its work, what else goes on, and how it comes back. Where it is opened again,
// everything of it was closed before, as chips ask for: so these losses have a process of their own.
#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <iterator>

#include "conformance/cases/graph_support.hpp"
#include "conformance/cases/module_support.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto lost = FLAGOS_STATUS_DEVICE_LOST;
constexpr std::uint64_t size_bytes = 4096;

flagos_address_t allocate(Context& t, flagos_memory_kind_t kind = FLAGOS_MEMORY_KIND_DEVICE) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = kind;
  desc.size_bytes = size_bytes;
  flagos_address_t address = 0;
  t.ok(flagos_memory_alloc(t.device(), &desc, &address), "allocate");
  return address;
}

// What a stage has to do with: the loss is queued on `stream` already, and begins when the host lets it.
struct Place {
  Context& t;
  Stream& stream;
  Stream& other;
  Event& event;
  flagos_address_t source, target;
};

struct Stage {
  const char* name;
  void (*queue)(Place& place);
};

void queue_graph(Place& place) {
  Graph graph(place.t);
  graph.fill(place.source, 7, size_bytes, {graph.copy(place.target, place.source, size_bytes)});
  flagos_graph_exec_t* exec = nullptr;
  place.t.ok(flagos_graph_instantiate(graph, &exec), "instantiate");
  place.t.ok(flagos_graph_exec_launch(exec, place.stream), "launch the graph");
  place.t.ok(flagos_graph_exec_destroy(exec), "destroy the executable");
}

void queue_pool(Place& place) {
  flagos_memory_pool_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  flagos_memory_pool_t* pool = nullptr;
  place.t.ok(flagos_memory_pool_create(place.t.device(), &desc, &pool), "create a pool");
  flagos_address_t block = 0;
  place.t.ok(flagos_memory_pool_alloc(pool, place.stream, size_bytes, &block), "allocate from it");
  place.t.ok(flagos_memory_pool_free(pool, place.stream, block), "free");
  place.t.ok(flagos_memory_pool_destroy(pool), "destroy the pool");
}

const std::array<Stage, 9> stages = {
    {{"idle", [](Place&) {}},
     {"copy",
      [](Place& p) {
        p.t.ok(flagos_memory_copy(p.stream, p.target, p.source, size_bytes), "copy");
      }},
     {"fill",
      [](Place& p) {
        const std::uint32_t pattern = 7;
        p.t.ok(flagos_memory_fill(p.stream, p.target, &pattern, 4, size_bytes), "fill");
      }},
     {"launch",
      [](Place& p) {
        launch(p.t, p.stream, p.t.kernel("tl_labour"), {1, 1, 1}, {1, 1, 1},
               {arg(p.target), arg_u32(10), arg_u32(3)});
      }},
     {"event",
      [](Place& p) {
        p.t.ok(flagos_event_record(p.event, p.stream), "record");
        p.t.ok(flagos_stream_wait_event(p.other, p.event), "let another stream wait for it");
        p.t.ok(flagos_memory_copy(p.other, p.target, p.source, size_bytes), "copy there");
      }},
     {"graph", queue_graph},
     {"pool", queue_pool},
     {"destroyed stream",
      [](Place& p) {
        Stream gone(p.t);
        p.t.ok(flagos_event_record(p.event, p.stream), "record");
        p.t.ok(flagos_stream_wait_event(gone, p.event),
               "let a stream wait for it, which is destroyed");
      }},
     {"host function", [](Place& p) {
        p.t.ok(flagos_stream_launch_host(
                   p.stream, [](void*, flagos_status_t) {}, nullptr),
               "host function");
      }}}};
std::size_t current_stage = 0;

// The device works, is lost while it has work of this stage, and can be closed.
void lose_at_stage(Context& t) {
  const Stage& stage = stages[current_stage];
  t.subcase(stage.name);
  t.smoke();
  require_loss(t);
  const flagos_address_t source = allocate(t);
  const flagos_address_t target = allocate(t);
  {
    Stream stream(t);
    Stream other(t);
    Event event(t);
    Blocker blocker(t, stream);
    queue_loss(t, stream);
    Place place{t, stream, other, event, source, target};
    stage.queue(place);
    blocker.release();
    t.status(flagos_stream_synchronize(stream, patience_ns), lost, "wait for the stream");
    t.status(flagos_stream_synchronize(other, patience_ns), lost, "wait for the other stream");
    t.status(flagos_stream_reset(stream), lost, "a reset does not bring the device back");
  }
  t.ok(flagos_memory_free(t.device(), source), "free");
  t.ok(flagos_memory_free(t.device(), target), "free");
}

// Threads in the middle of calls: each ends with OK, until all say that the device is lost.
void lose_under_calls(Context& t) {
  t.subcase("in calls");
  t.smoke();
  require_loss(t);
  t.kernel("tl_labour");
  const flagos_address_t source = allocate(t);
  const flagos_address_t target = allocate(t);
  {
    Stream stream(t);
    Stream busy(t);
    std::array<std::atomic<int>, 3> calls{};
    std::atomic<int> told{0};
    Team team;
    const auto until_lost = [&](std::size_t which, auto call) {
      team.start([&, which, call] {
        flagos_status_t status = ok;
        while (status == ok) {
          status = call();
          ++calls[which];
        }
        if (status == lost) ++told;
      });
    };
    until_lost(0, [&] {
      flagos_memory_desc_t desc{};
      desc.struct_size = sizeof desc;
      desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
      desc.size_bytes = size_bytes;
      flagos_address_t address = 0;
      const flagos_status_t status = flagos_memory_alloc(t.device(), &desc, &address);
      flagos_memory_free(t.device(), address);
      return status;
    });
    until_lost(1, [&] {
      const flagos_status_t status = flagos_memory_copy(busy, target, source, size_bytes);
      return status == ok ? flagos_stream_synchronize(busy, patience_ns) : status;
    });
    until_lost(2, [&] {
      flagos_event_t* event = nullptr;
      const flagos_status_t status = flagos_event_create(t.device(), nullptr, &event);
      flagos_event_destroy(event);
      return status;
    });
    for (const auto& count : calls) eventually([&] { return count > 20; });
    queue_loss(t, stream);
    t.status(flagos_stream_synchronize(stream, patience_ns), lost, "wait for the stream");
    team.join();
    t.equal(static_cast<std::uint64_t>(told), calls.size(), "threads that were told so in the end");
  }
  t.ok(flagos_memory_free(t.device(), source), "free");
  t.ok(flagos_memory_free(t.device(), target), "free");
}

FLAGOS_HELPER("fault_lost_stages") {
  for (current_stage = 0; current_stage < stages.size(); ++current_stage) {
    if (const int code = run_checks(h, lose_at_stage); code != 0) return code;
  }
  if (const int code = run_checks(h, lose_under_calls); code != 0) return code;
  return run_checks(h, [](Context& t) { t.smoke(); });
}

// ---- how it comes back ----

struct Opened {
  Opened(Context& t, flagos_runtime_t* runtime, const std::string& format,
         const std::string& path) {
    t.ok(flagos_device_open(runtime, t.settings().device_ordinal, &device), "open the device");
    std::ifstream file(path, std::ios::binary);
    const std::vector<std::uint8_t> image{std::istreambuf_iterator<char>(file), {}};
    const flagos_module_desc_t desc = module_desc(format, image);
    t.ok(flagos_module_load(device, &desc, &module), "load the suite's kernels");
    t.ok(flagos_stream_create(device, nullptr, &stream), "create a stream");
    const flagos_kernel_desc_t kernel = kernel_desc("tl_lose");
    t.ok(flagos_module_get_kernel(module, &kernel, &lose), "the kernel that loses the device");
  }
  void close(Context& t) {
    t.ok(flagos_stream_destroy(stream), "destroy the stream");
    t.ok(flagos_module_unload(module), "unload the module");
    t.ok(flagos_device_close(device), "close the device");
  }
  void lose_it(Context& t) {
    launch(t, stream, lose, {1, 1, 1}, {1, 1, 1});
    t.status(flagos_stream_synchronize(stream, patience_ns), lost, "wait for the kernel");
  }
  flagos_device_t* device = nullptr;
  flagos_module_t* module = nullptr;
  flagos_stream_t* stream = nullptr;
  flagos_kernel_t* lose = nullptr;
};

Helper* the_helper = nullptr;

void reopen(Context& t) {
  const std::string format = the_helper->arguments.at(0);
  const std::string path = the_helper->arguments.at(1);
  for (int round = 0; round < 3; ++round) {
    t.subcase("close and open " + std::to_string(round));
    Opened opened(t, t.runtime(), format, path);
    t.ok(flagos_device_query_status(opened.device), "it works");
    opened.lose_it(t);
    opened.close(t);
  }
  t.subcase("recover");
  Opened opened(t, t.runtime(), format, path);
  flagos_support_t recover = FLAGOS_SUPPORT_ABSENT;
  t.ok(flagos_device_get_feature(opened.device, FLAGOS_FEATURE_RECOVER, &recover),
       "feature recover");
  opened.lose_it(t);
  if (recover == FLAGOS_SUPPORT_ABSENT) {
    t.status(flagos_device_recover(opened.device), FLAGOS_STATUS_UNSUPPORTED, "recover");
  } else {
    t.ok(flagos_device_recover(opened.device), "recover");
    t.ok(flagos_device_query_status(opened.device), "it works again");
    t.status(flagos_stream_synchronize(opened.stream, patience_ns), lost, "an object from before");
    flagos_stream_t* stream = nullptr;
    t.ok(flagos_stream_create(opened.device, nullptr, &stream), "a new stream");
    t.ok(flagos_stream_synchronize(stream, patience_ns), "which works");
    t.ok(flagos_stream_destroy(stream), "destroy it");
  }
  opened.close(t);
  t.subcase("end");
  t.smoke();
}

FLAGOS_HELPER("fault_lost_reopen") {
  the_helper = &h;
  return run_checks(h, reopen);
}

FLAGOS_HELPER("fault_lost_bystander") {
  return run_checks(h, [](Context& t) { t.smoke(); });
}

// ---- callbacks ----

constexpr int callbacks_each = 8;
struct Told {
  std::atomic<int> calls{0};
  std::atomic<int> failures{0};
};

void tell(void* data, flagos_status_t status) {
  Told& told = *static_cast<Told*>(data);
  ++told.calls;
  if (status != ok) ++told.failures;
}

void queue_callbacks(Context& t, flagos_stream_t* stream, Told& told) {
  for (int i = 0; i < callbacks_each; ++i)
    t.ok(flagos_stream_launch_host(stream, tell, &told), "host function");
}

}  // namespace

FLAGOS_CASE(
    "fault.lost.every_stage",
    {.clause =
         "flagos.h: Failures; a device that is lost at any stage can be closed and opened again",
     .level = Level::optional,
     .oracle = Oracle::code,
     .isolation = Isolation::own,
     .seconds = 300}) {
  require_loss(t);
  expect_helper(t, "fault_lost_stages", {}, 240);
}

FLAGOS_CASE("fault.lost.reopen",
            {.clause = "flagos_device_recover, device_open: a fresh device after the loss",
             .level = Level::optional,
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  require_loss(t);
  std::string format;
  t.module_image(&format);
  expect_helper(t, "fault_lost_reopen", {format, t.module_path()});
}

FLAGOS_CASE("fault.lost.callback_once",
            {.clause = "flagos_stream_launch_host: called once, also where the device is lost",
             .level = Level::optional,
             .oracle = Oracle::order,
             .isolation = Isolation::own,
             .feature = "host_callback"}) {
  require_loss(t);
  std::array<Told, 3> told;
  Stream first(t);
  Stream second(t);
  Stream third(t);
  Event event(t);
  flagos_timeline_t* timeline = nullptr;
  t.ok(flagos_timeline_create(t.device(), 0, &timeline), "create a timeline");
  {
    const Drain drain(first);
    Blocker blocker(t, first);
    queue_loss(t, first);
    queue_callbacks(t, first, told[0]);
    t.ok(flagos_event_record(event, first), "record behind the loss");
    t.ok(flagos_stream_wait_event(second, event), "a stream that waits for it");
    queue_callbacks(t, second, told[1]);
    t.ok(flagos_stream_wait_timeline(third, timeline, 1), "a stream that nothing would end");
    queue_callbacks(t, third, told[2]);
    blocker.release();
    t.status(flagos_device_synchronize(t.device(), patience_ns), lost, "wait for the device");
  }
  for (std::size_t i = 0; i < told.size(); ++i) {
    t.subcase("stream " + std::to_string(i));
    eventually([&] { return told[i].calls >= callbacks_each; });
    nap(0.05);
    t.equal(static_cast<std::uint64_t>(told[i].calls), callbacks_each, "calls");
    t.equal(static_cast<std::uint64_t>(told[i].failures), callbacks_each,
            "calls that were told of it");
  }
  t.ok(flagos_timeline_destroy(timeline), "destroy the timeline");
}

FLAGOS_CASE("fault.sticky_scope",
            {.clause = "flagos.h: Failures; other devices and other processes go on",
             .level = Level::optional,
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  require_loss(t);
  std::string format;
  const std::vector<std::uint8_t> image = t.module_image(&format);
  std::uint32_t count = 0;
  t.ok(flagos_device_get_count(t.runtime(), &count), "count the devices");
  flagos_device_t* other = nullptr;
  if (count > 1) {
    const std::uint32_t index = (t.info().index + 1) % count;
    t.ok(flagos_device_open(t.runtime(), index, &other), "open another device");
  }
  Stream stream(t);
  lose_device(t);
  t.subcase("reset");
  t.status(flagos_stream_reset(stream), lost, "a stream of the device");
  t.status(flagos_device_query_status(t.device()), lost, "the device");
  t.subcase("other process");
  expect_helper(t, "fault_lost_bystander");
  t.subcase("other device");
  if (other == nullptr) return;
  t.ok(flagos_device_query_status(other), "it works");
  t.ok(run_marker_on(other, format, image), "a kernel on it");
  t.ok(flagos_device_close(other), "close it");
}

}  // namespace flagos::conformance
