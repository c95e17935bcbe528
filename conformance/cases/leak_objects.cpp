// Cycles that should leave nothing behind: memory, streams, events, modules, launches, copies,
// callbacks, graphs.
#include <atomic>

#include "conformance/cases/entry_world.hpp"
#include "conformance/cases/growth.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

// Waits now and then, so that queues stay short and deferred releases run.
// What a cycle leaves pending is released behind its work. Half of a case's cycles is a multiple of
// `every`, so that nothing is pending at either end of what is measured.
void drain(Context& t, const World& world, std::uint64_t cycle, std::uint64_t every) {
  if (cycle % every == every - 1)
    t.ok(flagos_stream_synchronize(world.stream(), a_minute), "wait for the stream");
}

void finish(Context& t, World& world) {
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "the stream is healthy");
  t.status(world.close(), ok, "destroy all objects");
  t.smoke();
}

}  // namespace

FLAGOS_CASE("leak.alloc_free", {.clause = "flagos_memory_free",
                                .oracle = Oracle::delta,
                                .isolation = Isolation::own}) {
  World world(t);
  expect_no_growth(t, {.cycles = 10'000, .quick_cycles = 1000}, [&](std::uint64_t) {
    auto desc = world.valid<flagos_memory_desc_t>();
    desc.size_bytes = 1 + t.random_below(std::uint64_t{1} << t.random_below(20));
    flagos_address_t memory = 0;
    t.ok(flagos_memory_alloc(world.device(), &desc, &memory), "allocate");
    t.ok(flagos_memory_free(world.device(), memory), "free");
  });
  finish(t, world);
}

FLAGOS_CASE("leak.timeline", {.clause = "flagos_timeline_destroy",
                              .level = Level::optional,
                              .oracle = Oracle::delta,
                              .isolation = Isolation::own,
                              .feature = "timeline"}) {
  World world(t);
  std::uint64_t value = 0;
  expect_no_growth(t, {.cycles = 60'000, .quick_cycles = 40'000}, [&](std::uint64_t i) {
    flagos_timeline_t* timeline = nullptr;
    t.ok(flagos_timeline_create(world.device(), i, &timeline), "create");
    t.ok(flagos_timeline_signal(timeline, i + 1), "signal");
    t.ok(flagos_timeline_query(timeline, &value), "query");
    t.equal(value, i + 1, "the value signalled");
    t.ok(flagos_timeline_destroy(timeline), "destroy");
  });
  finish(t, world);
}

FLAGOS_CASE("leak.prepared", {.clause = "flagos_prepared_destroy",
                              .level = Level::optional,
                              .oracle = Oracle::delta,
                              .isolation = Isolation::own,
                              .feature = "prepared_launch"}) {
  World world(t);
  const auto desc = world.valid<flagos_launch_desc_t>();
  expect_no_growth(t, {.cycles = 60'000, .quick_cycles = 40'000}, [&](std::uint64_t i) {
    flagos_prepared_t* prepared[4]{};  // small ones: several, so that one in many is seen
    for (flagos_prepared_t*& each : prepared)
      t.ok(flagos_kernel_prepare(world.kernel(), &desc, &each), "prepare");
    t.ok(flagos_kernel_launch_prepared(world.stream(), prepared[0]), "launch");
    for (flagos_prepared_t* const each : prepared) t.ok(flagos_prepared_destroy(each), "destroy");
    drain(t, world, i, 50);
  });
  finish(t, world);
}

FLAGOS_CASE("leak.pinned", {.clause = "flagos_memory_free of pinned memory",
                            .oracle = Oracle::delta,
                            .isolation = Isolation::own}) {
  t.require(FLAGOS_FEATURE_PINNED_MEMORY);
  World world(t);
  expect_no_growth(t, {.cycles = 1000, .quick_cycles = 100}, [&](std::uint64_t i) {
    auto desc = world.valid<flagos_memory_desc_t>();
    desc.kind = FLAGOS_MEMORY_KIND_PINNED;
    desc.size_bytes = 1 + t.random_below(1 << 16);
    flagos_address_t memory = 0;
    t.ok(flagos_memory_alloc(world.device(), &desc, &memory), "allocate");
    *reinterpret_cast<volatile std::uint8_t*>(memory) = static_cast<std::uint8_t>(i);
    t.ok(flagos_memory_free(world.device(), memory), "free");
  });
  finish(t, world);
}

FLAGOS_CASE("leak.stream", {.clause = "flagos_stream_destroy",
                            .oracle = Oracle::delta,
                            .isolation = Isolation::own,
                            .seconds = 300}) {
  World world(t);
  auto launch = world.valid<flagos_launch_desc_t>();
  std::vector<flagos_argument_t> arguments(launch.arguments,
                                           launch.arguments + launch.argument_count);
  launch.arguments = arguments.data();
  expect_no_growth(t, {.cycles = 10'000, .quick_cycles = 2048}, [&](std::uint64_t i) {
    flagos_stream_t* stream = nullptr;
    t.ok(flagos_stream_create(world.device(), nullptr, &stream), "create");
    // Streams run at once: each kernel writes memory of its own.
    arguments[0] = arg(world.target() + i % 16 * 64);
    t.ok(flagos_kernel_launch(stream, world.kernel(), &launch), "use");
    t.ok(flagos_stream_destroy(stream), "destroy");
    if (i % 16 == 15) t.ok(flagos_device_synchronize(world.device(), a_minute), "all work is done");
  });
  finish(t, world);
}

FLAGOS_CASE("leak.event", {.clause = "flagos_event_destroy",
                           .oracle = Oracle::delta,
                           .isolation = Isolation::own}) {
  World world(t);
  expect_no_growth(t, {.cycles = 40'960, .quick_cycles = 40'960}, [&](std::uint64_t i) {
    flagos_event_t* event = nullptr;
    t.ok(flagos_event_create(world.device(), nullptr, &event), "create");
    t.ok(flagos_event_record(event, world.stream()), "record");
    t.ok(flagos_event_destroy(event), "destroy");
    drain(t, world, i, 64);
  });
  finish(t, world);
}

FLAGOS_CASE("leak.module", {.clause = "flagos_module_unload",
                            .oracle = Oracle::delta,
                            .isolation = Isolation::own,
                            .seconds = 300}) {
  World world(t);
  const auto launch = world.valid<flagos_launch_desc_t>();
  const auto kernel_desc = world.valid<flagos_kernel_desc_t>();
  // A module of the suite is large and its loader slow in places: a tenth of the catalogue's 10,000
  // shows the same slope.
  expect_no_growth(t, {.cycles = 1008, .quick_cycles = 64}, [&](std::uint64_t i) {
    auto* const module = reinterpret_cast<flagos_module_t*>(world.make(Type::module));
    flagos_kernel_t* kernel = nullptr;
    t.ok(flagos_module_get_kernel(module, &kernel_desc, &kernel), "get a kernel");
    t.ok(flagos_kernel_launch(world.stream(), kernel, &launch), "launch");
    t.ok(flagos_module_unload(module), "unload");
    drain(t, world, i, 8);
  });
  finish(t, world);
}

FLAGOS_CASE("leak.launch", {.clause = "flagos_kernel_launch",
                            .oracle = Oracle::delta,
                            .isolation = Isolation::own,
                            .seconds = 300}) {
  World world(t);
  const auto launch = world.valid<flagos_launch_desc_t>();
  expect_no_growth(t, {.cycles = 102'400, .quick_cycles = 5120}, [&](std::uint64_t i) {
    t.ok(flagos_kernel_launch(world.stream(), world.kernel(), &launch), "launch");
    drain(t, world, i, 256);
  });
  finish(t, world);
}

FLAGOS_CASE("leak.copy_async", {.clause = "flagos_memory_copy",
                                .oracle = Oracle::delta,
                                .isolation = Isolation::own,
                                .seconds = 300}) {
  World world(t);
  expect_no_growth(t, {.cycles = 102'400, .quick_cycles = 5120}, [&](std::uint64_t i) {
    t.ok(flagos_memory_copy(world.stream(), world.target(), world.source(), 1 + i % 512), "copy");
    drain(t, world, i, 256);
  });
  finish(t, world);
}

FLAGOS_CASE("leak.callback", {.clause = "flagos_stream_launch_host",
                              .level = Level::optional,
                              .oracle = Oracle::delta,
                              .isolation = Isolation::own,
                              .feature = "host_callback",
                              .seconds = 300}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  World world(t);
  std::atomic<std::uint64_t> calls{0};
  std::uint64_t launched = 0;
  const auto function = [](void* user_data, flagos_status_t) {
    ++*static_cast<std::atomic<std::uint64_t>*>(user_data);
  };
  expect_no_growth(t, {.cycles = 10'240, .quick_cycles = 1024}, [&](std::uint64_t i) {
    t.ok(flagos_stream_launch_host(world.stream(), function, &calls), "launch a host function");
    ++launched;
    drain(t, world, i, 64);
  });
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "wait for the stream");
  t.equal(calls, launched, "calls of the function");
  finish(t, world);
}

FLAGOS_CASE("leak.graph_exec", {.clause = "flagos_graph_exec_destroy",
                                .level = Level::optional,
                                .oracle = Oracle::delta,
                                .isolation = Isolation::own,
                                .feature = "graph",
                                .seconds = 300}) {
  t.require(FLAGOS_FEATURE_GRAPH);
  World world(t);
  auto desc = world.valid<flagos_graph_node_desc_t>();
  const auto kernel = world.valid<flagos_kernel_node_desc_t>();
  desc.type = FLAGOS_GRAPH_NODE_TYPE_KERNEL;
  desc.payload = &kernel;
  expect_no_growth(t, {.cycles = 8192, .quick_cycles = 8192}, [&](std::uint64_t i) {
    flagos_graph_t* graph = nullptr;
    flagos_graph_exec_t* exec = nullptr;
    flagos_graph_node_t node = 0;
    t.ok(flagos_graph_create(world.device(), &graph), "create");
    for (int k = 0; k < 5; ++k) t.ok(flagos_graph_add_node(graph, &desc, &node), "add a node");
    t.ok(flagos_graph_instantiate(graph, &exec), "instantiate");
    t.ok(flagos_graph_exec_launch(exec, world.stream()), "launch");
    t.ok(flagos_graph_exec_destroy(exec), "destroy the executable");
    t.ok(flagos_graph_destroy(graph), "destroy the graph");
    drain(t, world, i, 16);
  });
  finish(t, world);
}

FLAGOS_CASE("leak.graph_update", {.clause = "flagos_graph_exec_set_node",
                                  .level = Level::optional,
                                  .oracle = Oracle::delta,
                                  .isolation = Isolation::own,
                                  .feature = "graph",
                                  .seconds = 300}) {
  t.require(FLAGOS_FEATURE_GRAPH);
  World world(t);
  flagos_graph_t* graph = nullptr;
  flagos_graph_exec_t* exec = nullptr;
  flagos_graph_node_t node = 0;
  auto desc = world.valid<flagos_graph_node_desc_t>();
  auto fill = world.valid<flagos_fill_node_desc_t>();
  desc.type = FLAGOS_GRAPH_NODE_TYPE_FILL;
  desc.payload = &fill;
  t.ok(flagos_graph_create(world.device(), &graph), "create a graph");
  t.ok(flagos_graph_add_node(graph, &desc, &node), "add a fill");
  t.ok(flagos_graph_instantiate(graph, &exec), "instantiate");
  expect_no_growth(t, {.cycles = 102'400, .quick_cycles = 6144}, [&](std::uint64_t i) {
    fill.pattern[0] = static_cast<std::uint8_t>(i);
    t.ok(flagos_graph_exec_set_node(exec, node, &desc), "change the fill");
    if (i % 64 == 0) t.ok(flagos_graph_exec_launch(exec, world.stream()), "launch");
    drain(t, world, i, 1024);
  });
  t.ok(flagos_graph_exec_destroy(exec), "destroy the executable");
  t.ok(flagos_graph_destroy(graph), "destroy the graph");
  finish(t, world);
}

FLAGOS_CASE("leak.capture_abort", {.clause = "flagos_stream_end_capture of an invalidated capture",
                                   .level = Level::optional,
                                   .oracle = Oracle::delta,
                                   .isolation = Isolation::own,
                                   .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  World world(t);
  expect_no_growth(t, {.cycles = 1000, .quick_cycles = 100}, [&](std::uint64_t) {
    flagos_graph_t* graph = nullptr;
    t.ok(flagos_stream_begin_capture(world.stream()), "begin");
    t.ok(flagos_memory_copy(world.stream(), world.target(), world.source(), 64), "record a copy");
    t.status(flagos_stream_synchronize(world.stream(), 0), FLAGOS_STATUS_NOT_PERMITTED,
             "a wait invalidates the capture");
    t.status(flagos_stream_end_capture(world.stream(), &graph), FLAGOS_STATUS_INVALID_GRAPH, "end");
    t.check(graph == nullptr, "there is no graph");
  });
  finish(t, world);
}

}  // namespace flagos::conformance
