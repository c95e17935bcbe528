// Who may go before whom: parents and children, objects in use, handles of the dead.
#include <atomic>
#include <cstring>
#include <set>
#include <thread>

#include "conformance/cases/guarded.hpp"
#include "conformance/cases/negatives.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_handle = FLAGOS_STATUS_INVALID_HANDLE;
constexpr std::uint64_t a_minute = 60'000'000'000u;

// The types whose objects are made and destroyed on their own, as far as this device has them.
std::vector<Type> destroyable(const World& world) {
  std::vector<Type> types = all_types();
  std::erase_if(types, [&](Type type) { return type == Type::kernel || world.handle(type) == 0; });
  return types;
}

// A child of `device`, as the types that a close counts.
std::uint64_t child_of(Context& t, World& world, flagos_device_t* device, Type type) {
  void* made = nullptr;
  const auto pool = world.valid<flagos_memory_pool_desc_t>();
  const auto module = world.valid<flagos_module_desc_t>();
  const auto node = world.valid<flagos_graph_node_desc_t>();
  const auto rank = world.valid<flagos_communicator_desc_t>();
  const auto physical = world.valid<flagos_physical_memory_desc_t>();
  flagos_graph_node_t added = 0;
  flagos_graph_t* graph = nullptr;
  switch (type) {
    case Type::stream:
      t.ok(flagos_stream_create(device, nullptr, reinterpret_cast<flagos_stream_t**>(&made)),
           "a stream");
      break;
    case Type::event:
      t.ok(flagos_event_create(device, nullptr, reinterpret_cast<flagos_event_t**>(&made)),
           "an event");
      break;
    case Type::module:
      t.ok(flagos_module_load(device, &module, reinterpret_cast<flagos_module_t**>(&made)),
           "a module");
      break;
    case Type::memory_pool:
      t.ok(
          flagos_memory_pool_create(device, &pool, reinterpret_cast<flagos_memory_pool_t**>(&made)),
          "a pool");
      break;
    case Type::timeline:
      t.ok(flagos_timeline_create(device, 0, reinterpret_cast<flagos_timeline_t**>(&made)),
           "a timeline");
      break;
    case Type::profiler:
      t.ok(flagos_profiler_create(device, nullptr, reinterpret_cast<flagos_profiler_t**>(&made)),
           "a profiler");
      break;
    case Type::communicator:
      t.ok(flagos_communicator_create(device, &rank,
                                      reinterpret_cast<flagos_communicator_t**>(&made)),
           "a communicator");
      break;
    case Type::graph_exec:
      t.ok(flagos_graph_create(device, &graph), "a graph");
      t.ok(flagos_graph_add_node(graph, &node, &added), "a node");
      t.ok(flagos_graph_instantiate(graph, reinterpret_cast<flagos_graph_exec_t**>(&made)),
           "an executable");
      t.ok(flagos_graph_destroy(graph), "destroy the graph");
      break;
    case Type::physical_memory:
      t.ok(flagos_physical_memory_create(device, &physical,
                                         reinterpret_cast<flagos_physical_memory_t**>(&made)),
           "physical memory");
      break;
    default:
      break;
  }
  return reinterpret_cast<std::uint64_t>(made);
}

// Makes and destroys objects of a type; none gets a handle that was another's before.
void check_no_reuse(Context& t, World& world, Type type, int count) {
  t.subcase(name_of(type));
  std::set<std::uint64_t> seen;
  std::vector<std::uint64_t> former;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t made = world.make(type);
    t.check(seen.insert(made).second, "a new " + name_of(type) + " has a handle of its own");
    for (const std::uint64_t old : former)
      t.status(destroy_object(type, old), invalid_handle,
               "destroy a former one while a new one lives");
    t.ok(destroy_object(type, made), "destroy it");
    former.assign(1, made);
  }
}

}  // namespace

FLAGOS_CASE("life.parent_before_child",
            {.clause = "flagos_device_close: BUSY", .oracle = Oracle::code}) {
  World world(t);
  for (const Type type :
       {Type::stream, Type::event, Type::module, Type::memory_pool, Type::timeline,
        Type::graph_exec, Type::profiler, Type::communicator, Type::physical_memory}) {
    if (world.handle(type) == 0) continue;
    t.subcase("a device with a live " + name_of(type));
    auto* const device = reinterpret_cast<flagos_device_t*>(world.make(Type::device));
    const std::uint64_t child = child_of(t, world, device, type);
    t.status(flagos_device_close(device), FLAGOS_STATUS_BUSY, "close it");
    t.ok(flagos_device_query_status(device), "it is still open");
    t.ok(destroy_object(type, child), "destroy the child");
    t.ok(flagos_device_close(device), "close it now");
  }
  t.subcase("a device with live memory");
  auto* const device = reinterpret_cast<flagos_device_t*>(world.make(Type::device));
  const auto desc = world.valid<flagos_memory_desc_t>();
  flagos_address_t memory = 0, block = 0;
  t.ok(flagos_memory_alloc(device, &desc, &memory), "allocate");
  t.status(flagos_device_close(device), FLAGOS_STATUS_BUSY, "close it");
  t.ok(flagos_memory_free(device, memory), "free");
  t.ok(flagos_device_close(device), "close it now");
  t.subcase("a pool with a live block");
  auto* const pool = reinterpret_cast<flagos_memory_pool_t*>(world.make(Type::memory_pool));
  t.ok(flagos_memory_pool_alloc(pool, world.stream(), 256, &block), "take a block");
  t.status(flagos_memory_pool_destroy(pool), FLAGOS_STATUS_BUSY, "destroy it");
  t.ok(flagos_memory_pool_free(pool, world.stream(), block), "give the block back");
  t.ok(flagos_memory_pool_destroy(pool), "destroy it now");
  t.smoke();
}

FLAGOS_CASE("life.child_after_parent",
            {.clause = "flagos_module_unload: its kernels go with it", .oracle = Oracle::code}) {
  World world(t);
  t.subcase("a kernel after its module");
  auto* const module = reinterpret_cast<flagos_module_t*>(world.make(Type::module));
  const auto desc = world.valid<flagos_kernel_desc_t>();
  const auto launch = world.valid<flagos_launch_desc_t>();
  flagos_kernel_t* kernel = nullptr;
  t.ok(flagos_module_get_kernel(module, &desc, &kernel), "get a kernel");
  t.ok(flagos_kernel_launch(world.stream(), kernel, &launch), "launch it");
  t.ok(flagos_module_unload(module), "unload its module");
  t.status(flagos_kernel_launch(world.stream(), kernel, &launch), invalid_handle,
           "launch it again");
  for (const Negative& negative : everywhere(Type::kernel, reinterpret_cast<std::uint64_t>(kernel),
                                             "a kernel of an unloaded module"))
    check_negative(t, world, negative);
  if (world.graph() != nullptr) {
    t.subcase("an executable after its graph");
    const std::uint64_t graph = world.make(Type::graph);
    flagos_graph_exec_t* exec = nullptr;
    t.ok(flagos_graph_instantiate(reinterpret_cast<flagos_graph_t*>(graph), &exec), "instantiate");
    t.ok(destroy_object(Type::graph, graph), "destroy the graph");
    t.ok(flagos_graph_exec_launch(exec, world.stream()), "launch the executable");
    t.ok(flagos_graph_exec_destroy(exec), "destroy it");
  }
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "the stream is healthy");
  t.smoke();
}

FLAGOS_CASE("life.destroy_null",
            {.clause = "flagos.h: Ownership; destroy(NULL) does nothing", .oracle = Oracle::code}) {
  for (const Type type : all_types()) {
    t.subcase(name_of(type));
    for (int i = 0; i < 3; ++i) t.ok(destroy_object(type, 0), "destroy NULL");
  }
  t.subcase("memory");
  t.ok(flagos_memory_free(t.device(), 0), "free 0");
  t.smoke();
}

FLAGOS_CASE("life.double_destroy", {.clause = "flagos.h: Handles", .oracle = Oracle::code}) {
  World world(t);
  for (const Type type : destroyable(world)) {
    t.subcase(name_of(type));
    const std::uint64_t made = world.make(type);
    t.ok(destroy_object(type, made), "destroy");
    for (int i = 0; i < 3; ++i)
      t.status(destroy_object(type, made), invalid_handle, "destroy once more");
    const std::uint64_t next = world.make(type);
    t.status(destroy_object(type, made), invalid_handle, "destroy once more, with a new one alive");
    t.ok(destroy_object(type, next), "the new one is unharmed");
  }
  t.subcase("memory");
  const auto desc = world.valid<flagos_memory_desc_t>();
  flagos_address_t memory = 0, block = 0;
  t.ok(flagos_memory_alloc(world.device(), &desc, &memory), "allocate");
  t.ok(flagos_memory_free(world.device(), memory), "free");
  t.status(flagos_memory_free(world.device(), memory), invalid_handle, "free once more");
  t.ok(flagos_memory_pool_alloc(world.pool(), world.stream(), 256, &block), "take a block");
  t.ok(flagos_memory_pool_free(world.pool(), world.stream(), block), "give it back");
  t.status(flagos_memory_pool_free(world.pool(), world.stream(), block), invalid_handle,
           "give it back once more");
  t.smoke();
}

FLAGOS_CASE("life.release_in_use",
            {.clause = "flagos.h: Ownership; the release is deferred", .oracle = Oracle::exact}) {
  t.require(FLAGOS_FEATURE_PINNED_MEMORY);
  World world(t);
  const auto bytes = t.random_bytes(World::memory_size);
  const auto launch = world.valid<flagos_launch_desc_t>();
  Buffer target(t, 4096);
  // Pinned memory: a copy from or to ordinary memory may run inside its call, and would wait there.
  flagos_address_t sent = 0, received = 0;
  auto pinned = world.valid<flagos_memory_desc_t>();
  pinned.kind = FLAGOS_MEMORY_KIND_PINNED;
  pinned.size_bytes = 4096;
  t.ok(flagos_memory_alloc(world.device(), &pinned, &sent), "pinned memory to send from");
  t.ok(flagos_memory_alloc(world.device(), &pinned, &received), "pinned memory to receive in");
  std::memcpy(reinterpret_cast<void*>(sent), bytes.data(), 4096);

  t.subcase("memory, stream, event, module, executable behind a stream that is held up");
  Stream held(t);
  Stream waiting(t);
  flagos_stream_t* const stream = reinterpret_cast<flagos_stream_t*>(world.make(Type::stream));
  flagos_event_t* gate = nullptr;
  t.ok(flagos_event_create(t.device(), nullptr, &gate), "an event");
  Blocker blocker(t, held);
  t.ok(flagos_event_record(gate, held), "record it behind the blocker");
  t.ok(flagos_stream_wait_event(stream, gate), "a stream of another open device waits for it");
  t.ok(flagos_stream_wait_event(waiting, gate), "a stream of this one waits for it");
  t.ok(flagos_event_destroy(gate), "destroy the event");

  const auto desc = [&] {
    auto made = world.valid<flagos_memory_desc_t>();
    made.size_bytes = 4096;
    return made;
  }();
  flagos_address_t memory = 0;
  t.ok(flagos_memory_alloc(world.device(), &desc, &memory), "allocate");
  t.ok(flagos_memory_copy(stream, memory, sent, 4096), "queue a write to it");
  t.ok(flagos_memory_copy(stream, received, memory, 4096), "queue a read of it");
  t.ok(flagos_memory_free(world.device(), memory), "free it");

  auto* const module = reinterpret_cast<flagos_module_t*>(world.make(Type::module));
  const auto kernel_desc = world.valid<flagos_kernel_desc_t>();
  flagos_kernel_t* kernel = nullptr;
  t.ok(flagos_module_get_kernel(module, &kernel_desc, &kernel), "get a kernel");
  t.ok(flagos_kernel_launch(stream, kernel, &launch), "queue a launch");
  t.ok(flagos_module_unload(module), "unload its module");
  const std::uint64_t exec = world.make(Type::graph_exec);
  if (exec != 0) {
    t.ok(flagos_graph_exec_launch(reinterpret_cast<flagos_graph_exec_t*>(exec), stream),
         "queue a graph");
    t.ok(destroy_object(Type::graph_exec, exec), "destroy the executable");
  }
  flagos_event_t* done = reinterpret_cast<flagos_event_t*>(world.make(Type::event));
  t.ok(flagos_event_record(done, stream), "mark the end");
  t.ok(flagos_stream_destroy(stream), "destroy the stream");
  const std::uint32_t pattern = 0x12345678;
  t.ok(flagos_memory_fill(waiting, target.address(), &pattern, 4, 4096),
       "queue a fill behind the wait");
  t.status(flagos_event_synchronize(done, 0), FLAGOS_STATUS_TIMEOUT, "nothing has run yet");

  blocker.release();
  t.ok(flagos_event_synchronize(done, a_minute), "everything runs");
  waiting.synchronize();
  const std::vector<std::uint8_t> expected(bytes.begin(), bytes.begin() + 4096);
  t.equal_bytes({reinterpret_cast<const std::uint8_t*>(received), 4096}, expected,
                "what went through the freed memory");
  const auto filled = target.read();
  t.check(std::memcmp(filled.data(), &pattern, 4) == 0 &&
              std::memcmp(filled.data() + 4092, &pattern, 4) == 0,
          "what waited for the destroyed event");
  t.ok(flagos_memory_free(world.device(), sent), "free");
  t.ok(flagos_memory_free(world.device(), received), "free");
  t.ok(flagos_event_destroy(done), "destroy the last event");
  const auto after = world.snapshot();
  t.check(std::memcmp(after.data(), reinterpret_cast<const std::uint8_t*>(after.data()) + 2048,
                      64) == 0,
          "the kernel of the unloaded module ran");
  t.status(world.close(), ok, "the objects can be destroyed");
}

FLAGOS_CASE("life.handle_reuse_aba",
            {.clause = "flagos.h: Handles; index and generation", .oracle = Oracle::code}) {
  World world(t);
  const bool quick = t.settings().quick;
  for (const Type type : destroyable(world)) {
    const bool heavy = type == Type::runtime || type == Type::device || type == Type::module;
    check_no_reuse(t, world, type, heavy ? 20 : quick ? 200 : 1000);
  }
  t.smoke();
}

FLAGOS_CASE("life.cross_instance",
            {.clause = "flagos_runtime_create: each runtime has instances of its own",
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  flagos_runtime_t* second = nullptr;
  const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                   FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
  t.ok(flagos_runtime_create(&desc, &second), "create a second runtime");
  t.ok(flagos_runtime_add_plugin(second, t.settings().plugin_path.c_str()),
       "load the plugin there too");
  {
    World here(t), there(t, second, t.settings().device_ordinal);
    const auto launch = here.valid<flagos_launch_desc_t>();
    t.status(flagos_event_record(here.event(), there.stream()), FLAGOS_STATUS_INVALID_ARGUMENT,
             "record an event on a stream of the other runtime");
    t.status(flagos_kernel_launch(here.stream(), there.kernel(), &launch),
             FLAGOS_STATUS_INVALID_ARGUMENT, "launch a kernel of the other runtime");
    t.status(flagos_memory_free(here.device(), there.memory()), invalid_handle,
             "free memory of the other runtime");
    if (here.graph_exec() != nullptr)
      t.status(flagos_graph_exec_launch(here.graph_exec(), there.stream()),
               FLAGOS_STATUS_INVALID_ARGUMENT, "launch a graph on a stream of the other runtime");
    here.snapshot();
    there.snapshot();
    t.status(there.close(), ok, "destroy the objects of the second runtime");
  }
  t.ok(flagos_runtime_destroy(second), "destroy the second runtime");
  t.smoke();
}

FLAGOS_CASE("life.string_ownership",
            {.clause = "flagos.h: returned texts", .oracle = Oracle::exact}) {
  World world(t);
  const char* const status_name = flagos_status_get_name(FLAGOS_STATUS_BUSY);
  auto* const module = reinterpret_cast<flagos_module_t*>(world.make(Type::module));
  const char* name = nullptr;
  const flagos_status_t named = flagos_module_get_kernel_name(module, 0, &name);
  t.check(named == ok || named == FLAGOS_STATUS_UNSUPPORTED || named == FLAGOS_STATUS_NOT_FOUND,
          "a kernel's name, or none is kept");
  const std::string name_then = named == ok ? name : "";
  flagos_proc_t found = nullptr;
  t.status(flagos_get_proc("no-such-function-of-this-thread", FLAGOS_ABI_VERSION, &found),
           FLAGOS_STATUS_NOT_FOUND, "a failing call");
  const char* const text = flagos_last_error();
  const std::string text_then = text;
  // Other work, other threads' failures and other modules leave all three alone.
  t.smoke();
  std::thread([] {
    flagos_proc_t none = nullptr;
    flagos_get_proc("other", FLAGOS_ABI_VERSION, &none);
  }).join();
  t.ok(destroy_object(Type::module, world.make(Type::module)), "load and unload another module");
  t.check(std::string(text) == text_then && flagos_last_error() == text,
          "the error text lasts until this thread's next failure");
  t.check(named != ok || name_then == name, "the kernel's name lasts until its module is unloaded");
  t.check(std::strcmp(status_name, "FLAGOS_STATUS_BUSY") == 0, "the status's name is static");
  t.ok(flagos_module_unload(module), "unload the module");
}

// Everything that goes in by pointer may be gone when the call returns, although the work has not
// run yet.
FLAGOS_CASE("life.array_ownership", {.clause = "flagos_kernel_launch, flagos_memory_fill, "
                                               "flagos_module_load: copied before the call returns",
                                     .oracle = Oracle::exact}) {
  World world(t);
  Stream held(t);
  flagos_event_t* gate = nullptr;
  t.ok(flagos_event_create(t.device(), nullptr, &gate), "an event");
  Blocker blocker(t, held);
  t.ok(flagos_event_record(gate, held), "record it behind the blocker");
  t.ok(flagos_stream_wait_event(world.stream(), gate), "the stream waits for it");
  {
    const auto launch = world.valid<flagos_launch_desc_t>();
    const Guarded arguments(
        {reinterpret_cast<const std::uint8_t*>(launch.arguments), 3 * sizeof(flagos_argument_t)});
    Guarded desc({reinterpret_cast<const std::uint8_t*>(&launch), sizeof launch});
    reinterpret_cast<flagos_launch_desc_t*>(desc.data())->arguments =
        reinterpret_cast<const flagos_argument_t*>(arguments.data());
    t.ok(flagos_kernel_launch(world.stream(), world.kernel(),
                              reinterpret_cast<flagos_launch_desc_t*>(desc.data())),
         "launch");
    const std::vector<std::uint8_t> pattern{1, 2, 3, 4};
    const Guarded bytes(pattern);
    t.ok(flagos_memory_fill(world.stream(), world.target() + 256, bytes.data(), 4, 64), "fill");
    if (t.has(FLAGOS_FEATURE_MEMORY_UPDATE))
      t.ok(flagos_memory_update(world.stream(), world.target() + 512, bytes.data(), 4), "update");
  }
  flagos_module_t* module = nullptr;
  {
    auto desc = world.valid<flagos_module_desc_t>();
    const Guarded image(world.image());
    desc.data = image.data();
    t.ok(flagos_module_load(world.device(), &desc, &module), "load from memory that goes away");
  }
  blocker.release();
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "everything runs");
  const auto after = world.snapshot();
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(after.data());
  t.check(std::memcmp(bytes, bytes + 2048, 64) == 0, "the launch had its arguments");
  const std::uint8_t pattern[8] = {1, 2, 3, 4, 1, 2, 3, 4};
  t.check(std::memcmp(bytes + 2048 + 256, pattern, 8) == 0, "the fill had its pattern");
  if (t.has(FLAGOS_FEATURE_MEMORY_UPDATE))
    t.check(std::memcmp(bytes + 2048 + 512, pattern, 4) == 0, "the update had its bytes");
  const auto kernel_desc = world.valid<flagos_kernel_desc_t>();
  flagos_kernel_t* kernel = nullptr;
  t.ok(flagos_module_get_kernel(module, &kernel_desc, &kernel), "the module is whole");
  t.ok(flagos_module_unload(module), "unload it");
  t.ok(flagos_event_destroy(gate), "destroy the event");
}

FLAGOS_CASE("life.userdata_ownership",
            {.clause = "flagos_stream_launch_host: once; user_data stays the caller's",
             .oracle = Oracle::order}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  Stream stream(t);
  constexpr int count = 50;
  std::vector<std::atomic<int>> calls(count);
  const auto function = [](void* user_data, flagos_status_t) {
    ++*static_cast<std::atomic<int>*>(user_data);
  };
  for (auto& one : calls) t.ok(flagos_stream_launch_host(stream, function, &one), "launch");
  stream.synchronize();
  for (auto& one : calls) t.equal(static_cast<std::uint64_t>(one), 1, "calls with one user_data");
  if (!t.has(FLAGOS_FEATURE_GRAPH)) return;
  World world(t);
  const flagos_host_node_desc_t node{sizeof node, 0, function, &calls[0]};
  auto desc = world.valid<flagos_graph_node_desc_t>();
  desc.type = FLAGOS_GRAPH_NODE_TYPE_HOST;
  desc.payload = &node;
  flagos_graph_t* graph = nullptr;
  flagos_graph_exec_t* exec = nullptr;
  flagos_graph_node_t added = 0;
  t.ok(flagos_graph_create(world.device(), &graph), "a graph");
  t.ok(flagos_graph_add_node(graph, &desc, &added), "a host node");
  t.ok(flagos_graph_instantiate(graph, &exec), "instantiate");
  for (int i = 0; i < 3; ++i) t.ok(flagos_graph_exec_launch(exec, world.stream()), "launch");
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "wait");
  t.equal(static_cast<std::uint64_t>(calls[0]), 4, "one call more for each launch of the graph");
  t.ok(flagos_graph_exec_destroy(exec), "destroy the executable");
  t.ok(flagos_graph_destroy(graph), "destroy the graph");
}

}  // namespace flagos::conformance
