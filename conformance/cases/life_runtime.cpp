// Ends of a runtime: with objects alive, with work pending, twice, and beginning again.
#include <atomic>
#include <cstring>
#include <thread>

#include "conformance/cases/negatives.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_handle = FLAGOS_STATUS_INVALID_HANDLE;
constexpr std::uint64_t a_minute = 60'000'000'000u;

flagos_runtime_t* make_runtime(Context& t) {
  flagos_runtime_t* runtime = nullptr;
  const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                   FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
  t.ok(flagos_runtime_create(&desc, &runtime), "create a runtime");
  t.ok(flagos_runtime_add_plugin(runtime, t.settings().plugin_path.c_str()), "load the plugin");
  return runtime;
}

// A world that its runtime takes with it: nothing of it is destroyed one by one.
Handles abandon_world(Context& t, flagos_runtime_t* runtime) {
  const World* const world = new World(t, runtime, t.settings().device_ordinal);
  // Reachable to the very end, so that a leak checker does not report what the case is about.
  static auto& kept = *new std::vector<const World*>;
  kept.push_back(world);
  return world->handles();
}

void expect_all_stale(Context& t, World& world, const Handles& handles, const std::string& what) {
  for (const Type type : all_types()) {
    const std::uint64_t handle = handles[static_cast<std::size_t>(type)];
    if (handle == 0) continue;
    for (const Negative& negative : everywhere(type, handle, what))
      check_negative(t, world, negative);
  }
}

}  // namespace

FLAGOS_CASE("life.shutdown_with_live",
            {.clause = "flagos_runtime_destroy: destroys all that still lives in it",
             .oracle = Oracle::live,
             .isolation = Isolation::own}) {
  flagos_runtime_t* const runtime = make_runtime(t);
  const Handles handles = abandon_world(t, runtime);
  t.ok(flagos_runtime_destroy(runtime), "destroy the runtime with one live object of each type");
  World world(t);
  expect_all_stale(t, world, handles, "of a runtime that is gone");
  world.close();
  t.smoke();
}

FLAGOS_CASE("life.shutdown_twice", {.clause = "flagos_runtime_destroy: takes the runtime",
                                    .oracle = Oracle::code,
                                    .isolation = Isolation::own}) {
  for (int i = 0; i < 3; ++i) {
    flagos_runtime_t* const runtime = make_runtime(t);
    t.ok(flagos_runtime_destroy(runtime), "destroy");
    for (int k = 0; k < 3; ++k)
      t.status(flagos_runtime_destroy(runtime), invalid_handle, "destroy again");
  }
  t.smoke();
}

FLAGOS_CASE("life.reinit_after_shutdown",
            {.clause = "flagos_runtime_create after flagos_runtime_destroy",
             .isolation = Isolation::own}) {
  const int cycles = t.settings().quick ? 3 : 10;
  for (int i = 0; i < cycles; ++i) {
    t.subcase("cycle " + std::to_string(i));
    flagos_runtime_t* const runtime = make_runtime(t);
    {
      World world(t, runtime, t.settings().device_ordinal);
      const auto before = world.snapshot();
      const auto launch = world.valid<flagos_launch_desc_t>();
      t.ok(flagos_kernel_launch(world.stream(), world.kernel(), &launch), "launch");
      const auto after = world.snapshot();
      t.check(std::memcmp(after.data() + 256, before.data(), 64) == 0,
              "the kernel copied 16 words");
      t.status(world.close(), ok, "destroy all objects");
    }
    t.ok(flagos_runtime_destroy(runtime), "destroy the runtime");
  }
  t.smoke();
}

FLAGOS_CASE("life.shutdown_pending_work",
            {.clause = "flagos_runtime_destroy: waits up to 10 s for pending work",
             .oracle = Oracle::live,
             .isolation = Isolation::own}) {
  flagos_runtime_t* const runtime = make_runtime(t);
  World* const world = new World(t, runtime, t.settings().device_ordinal);
  flagos_kernel_t* sleep = nullptr;
  auto kernel_desc = world->valid<flagos_kernel_desc_t>();
  kernel_desc.name = "sleep_ns";
  t.ok(flagos_module_get_kernel(world->module(), &kernel_desc, &sleep), "get the kernel sleep_ns");
  const std::vector<flagos_argument_t> arguments{arg_u64(200'000'000)};
  const auto launch = launch_desc({1, 1, 1}, {1, 1, 1}, arguments);
  std::vector<std::uint8_t> received(64);
  for (int i = 0; i < 3; ++i)
    t.ok(flagos_kernel_launch(world->stream(), sleep, &launch),
         "queue work of a fifth of a second");
  const std::uint8_t pattern = 0x6b;
  t.ok(flagos_memory_fill(world->stream(), world->target(), &pattern, 1, received.size()),
       "queue a fill");
  t.ok(flagos_memory_copy(world->stream(), reinterpret_cast<flagos_address_t>(received.data()),
                          world->target(), received.size()),
       "queue a copy to the host");
  t.ok(flagos_runtime_destroy(runtime), "destroy the runtime while that is pending");
  t.equal_bytes(received, std::vector<std::uint8_t>(64, 0x6b), "the pending work ran to its end");
  delete world;  // its objects went with the runtime
  t.smoke();
}

FLAGOS_CASE("life.pointer_after_shutdown",
            {.clause = "flagos.h: Handles; those of a former runtime",
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  for (int i = 0; i < 3; ++i) {
    t.subcase("cycle " + std::to_string(i));
    flagos_runtime_t* const former = make_runtime(t);
    Handles handles{};
    {
      World world(t, former, t.settings().device_ordinal);
      handles = world.handles();
    }
    t.ok(flagos_runtime_destroy(former), "destroy the former runtime");
    flagos_runtime_t* const present = make_runtime(t);
    World world(t, present, t.settings().device_ordinal);
    expect_all_stale(t, world, handles, "of a former runtime");
    t.status(world.close(), ok, "destroy all objects");
    t.ok(flagos_runtime_destroy(present), "destroy the present runtime");
  }
  t.smoke();
}

FLAGOS_CASE("life.stream_of_dead_thread",
            {.clause = "flagos.h: Threads; objects belong to no thread", .oracle = Oracle::exact}) {
  World world(t);
  std::uint64_t stream = 0, event = 0;
  std::thread([&] {
    stream = world.make(Type::stream);
    event = world.make(Type::event);
    flagos_event_record(reinterpret_cast<flagos_event_t*>(event),
                        reinterpret_cast<flagos_stream_t*>(stream));
  }).join();
  auto* const orphan = reinterpret_cast<flagos_stream_t*>(stream);
  const auto launch = world.valid<flagos_launch_desc_t>();
  t.ok(flagos_event_synchronize(reinterpret_cast<flagos_event_t*>(event), a_minute),
       "wait for what the thread recorded");
  t.ok(flagos_kernel_launch(orphan, world.kernel(), &launch), "launch on its stream");
  t.ok(flagos_stream_synchronize(orphan, a_minute), "wait for it");
  const auto after = world.snapshot();
  t.check(std::memcmp(after.data() + 256, after.data(), 64) == 0, "the kernel copied 16 words");
  t.ok(destroy_object(Type::event, event), "destroy its event");
  t.ok(flagos_stream_destroy(orphan), "destroy its stream");
}

FLAGOS_CASE("life.thread_local_objects",
            {.clause = "flagos.h: Threads; calls at the end of a thread",
             .isolation = Isolation::own}) {
  struct Holder {
    std::uint64_t stream = 0;
    std::atomic<int>* failures = nullptr;
    ~Holder() {
      if (stream == 0) return;
      auto* const own = reinterpret_cast<flagos_stream_t*>(stream);
      if (flagos_stream_synchronize(own, a_minute) != ok || flagos_stream_destroy(own) != ok)
        ++*failures;
    }
  };
  World world(t);
  std::atomic<int> failures{0};
  const int rounds = t.settings().quick ? 10 : 50;
  for (int i = 0; i < rounds; ++i)
    std::thread([&] {
      static thread_local Holder holder;
      holder.failures = &failures;
      holder.stream = world.make(Type::stream);
      const auto launch = world.valid<flagos_launch_desc_t>();
      if (flagos_kernel_launch(reinterpret_cast<flagos_stream_t*>(holder.stream), world.kernel(),
                               &launch) != ok)
        ++failures;
    }).join();
  t.equal(static_cast<std::uint64_t>(failures), 0,
          "failures in destructors at the end of a thread");
  const auto after = world.snapshot();
  t.check(std::memcmp(after.data() + 256, after.data(), 64) == 0, "the kernels ran");
}

FLAGOS_CASE("life.capture_then_destroy",
            {.clause = "flagos_stream_begin_capture; objects destroyed meanwhile",
             .level = Level::optional,
             .oracle = Oracle::code,
             .feature = "capture"}) {
  t.require(FLAGOS_FEATURE_CAPTURE);
  World world(t);
  const std::uint8_t pattern = 0x29;
  const auto acceptable = [&](flagos_status_t status, const std::string& what) {
    t.check(status == ok || status == FLAGOS_STATUS_INVALID_GRAPH || status == invalid_handle ||
                status == FLAGOS_STATUS_NOT_PERMITTED || status == FLAGOS_STATUS_BUSY,
            what + " is accepted or refused, got " + flagos_status_get_name(status));
  };
  t.subcase("an event");
  auto* const event = reinterpret_cast<flagos_event_t*>(world.make(Type::event));
  t.ok(flagos_stream_begin_capture(world.stream()), "begin");
  t.ok(flagos_memory_fill(world.stream(), world.target(), &pattern, 1, 64), "record a fill");
  t.ok(flagos_event_record(event, world.stream()), "record the event");
  t.ok(flagos_event_destroy(event), "destroy the event");
  flagos_graph_t* graph = nullptr;
  acceptable(flagos_stream_end_capture(world.stream(), &graph), "the end of the capture");
  t.ok(flagos_graph_destroy(graph), "destroy the graph");
  t.subcase("the stream");
  auto* const stream = reinterpret_cast<flagos_stream_t*>(world.make(Type::stream));
  t.ok(flagos_stream_begin_capture(stream), "begin");
  t.ok(flagos_memory_fill(stream, world.target(), &pattern, 1, 64), "record a fill");
  const flagos_status_t destroyed = flagos_stream_destroy(stream);
  acceptable(destroyed, "destroying a stream that captures");
  graph = nullptr;
  const flagos_status_t ended = flagos_stream_end_capture(stream, &graph);
  acceptable(ended, "the end of the capture");
  if (destroyed == ok) t.status(ended, invalid_handle, "the stream is gone");
  if (ended == ok) t.ok(flagos_graph_destroy(graph), "destroy the graph");
  if (destroyed != ok) t.ok(flagos_stream_destroy(stream), "destroy the stream after the capture");
  const auto after = world.snapshot();
  t.check(reinterpret_cast<const std::uint8_t*>(after.data())[2048] != 0x29,
          "what was recorded has not run");
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

FLAGOS_CASE("life.graph_refs", {.clause = "flagos_graph_instantiate: what an executable refers to",
                                .level = Level::optional,
                                .oracle = Oracle::code,
                                .feature = "graph"}) {
  t.require(FLAGOS_FEATURE_GRAPH);
  World world(t);
  // The graph's nodes refer to a module, an event and a child graph, and all three go before the
  // launch.
  auto* const module = reinterpret_cast<flagos_module_t*>(world.make(Type::module));
  auto* const event = reinterpret_cast<flagos_event_t*>(world.make(Type::event));
  auto* const child = reinterpret_cast<flagos_graph_t*>(world.make(Type::graph));
  const auto kernel_desc = world.valid<flagos_kernel_desc_t>();
  auto kernel_node = world.valid<flagos_kernel_node_desc_t>();
  t.ok(flagos_module_get_kernel(module, &kernel_desc, &kernel_node.kernel), "get a kernel");
  const flagos_event_node_desc_t event_node{sizeof event_node, 0, event};
  const flagos_child_node_desc_t child_node{sizeof child_node, 0, child};
  flagos_graph_t* graph = nullptr;
  flagos_graph_exec_t* exec = nullptr;
  t.ok(flagos_graph_create(world.device(), &graph), "a graph");
  const std::pair<flagos_graph_node_type_t, const void*> nodes[] = {
      {FLAGOS_GRAPH_NODE_TYPE_KERNEL, &kernel_node},
      {FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD, &event_node},
      {FLAGOS_GRAPH_NODE_TYPE_CHILD, &child_node}};
  for (const auto& [type, payload] : nodes) {
    auto desc = world.valid<flagos_graph_node_desc_t>();
    flagos_graph_node_t node = 0;
    desc.type = type;
    desc.payload = payload;
    t.ok(flagos_graph_add_node(graph, &desc, &node), "add a node of type " + std::to_string(type));
  }
  t.ok(flagos_graph_instantiate(graph, &exec), "instantiate");
  t.ok(flagos_graph_destroy(child), "destroy the child: it was copied");
  t.ok(flagos_graph_exec_launch(exec, world.stream()), "launch");
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "wait");
  const auto after = world.snapshot();
  t.check(std::memcmp(after.data() + 256, after.data(), 64) == 0,
          "the kernel of the graph copied 16 words");
  t.ok(flagos_event_destroy(event), "destroy the event");
  t.ok(flagos_module_unload(module), "unload the module");
  // It runs with what it kept, or it is refused; it never runs into what is gone.
  const flagos_status_t status = flagos_graph_exec_launch(exec, world.stream());
  t.check(status == ok || FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_ARGUMENT,
          "launch again, got " + std::string(flagos_status_get_name(status)));
  const flagos_status_t waited = flagos_stream_synchronize(world.stream(), a_minute);
  t.check(waited == ok || FLAGOS_STATUS_CLASS(waited) == FLAGOS_STATUS_CLASS_DEVICE,
          "wait again, got " + std::string(flagos_status_get_name(waited)));
  t.ok(flagos_graph_exec_destroy(exec), "destroy the executable");
  t.ok(flagos_graph_destroy(graph), "destroy the graph");
}

}  // namespace flagos::conformance
