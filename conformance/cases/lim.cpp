// How much of everything there may be: many objects, deep queues, many threads, and processes that may have little.
#include <pthread.h>
#include <sys/resource.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <unordered_set>

#include "conformance/cases/coll_support.hpp"
#include "conformance/cases/entries.hpp"
#include "conformance/cases/graph_support.hpp"
#include "conformance/cases/module_support.hpp"
#include "conformance/cases/negatives.hpp"
#include "conformance/cases/process.hpp"
#include "conformance/faults/faults.hpp"

namespace flagos::conformance {
namespace {

// Makes objects until `most` or the first refusal, which must say that something has run out; destroys half of them,
// after which there is room again, and then all.
void find_limit(Context& t, Type type, std::uint32_t most) {
  World world(t);
  std::vector<std::uint64_t> objects;
  world.expect_nothing();
  flagos_status_t refusal = FLAGOS_STATUS_OK;
  while (objects.size() < most) {
    const std::uint64_t object = world.make(type);
    if (object == 0) {
      t.check(std::strlen(flagos_last_error()) != 0, "a refusal has a text");
      refusal = FLAGOS_STATUS_OUT_OF_RESOURCES;
      break;
    }
    objects.push_back(object);
  }
  t.check(objects.size() >= 16,
          "there may be 16 of " + name_of(type) + ", there were " + std::to_string(objects.size()));
  std::unordered_set<std::uint64_t> different(objects.begin(), objects.end());
  t.equal(different.size(), objects.size(), "handles differ");
  for (std::size_t i = 0; i < objects.size(); i += 2)
    t.ok(destroy_object(type, objects[i]), "destroy every other one");
  if (refusal != FLAGOS_STATUS_OK) {
    const std::uint64_t again = world.make(type);
    t.check(again != 0, "there is room again");
    t.ok(destroy_object(type, again), "destroy it");
  }
  for (std::size_t i = 1; i < objects.size(); i += 2)
    t.ok(destroy_object(type, objects[i]), "destroy the others");
  t.ok(world.close(), "destroy all objects");
  t.smoke();
}

// Whatever cannot be had is refused with a status; afterwards all is well.
void use_with_less(Context& t, int resource, rlim_t less) {
  t.smoke();
  rlimit before{};
  t.check(getrlimit(resource, &before) == 0, "getrlimit");
  const rlimit tight{less, before.rlim_max};
  t.check(setrlimit(resource, &tight) == 0, "setrlimit");
  std::vector<flagos_stream_t*> streams;
  std::vector<flagos_event_t*> events;
  flagos_status_t wrong = FLAGOS_STATUS_OK;
  const auto note = [&](flagos_status_t status) {
    if (status != FLAGOS_STATUS_OK && FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_RESOURCE)
      wrong = status;
    return status == FLAGOS_STATUS_OK;
  };
  for (int i = 0; i < 32; ++i) {
    flagos_stream_t* stream = nullptr;
    flagos_event_t* event = nullptr;
    if (note(flagos_stream_create(t.device(), nullptr, &stream))) streams.push_back(stream);
    if (note(flagos_event_create(t.device(), nullptr, &event))) events.push_back(event);
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = 1 << 20;
    flagos_address_t memory = 0;
    if (note(flagos_memory_alloc(t.device(), &desc, &memory)))
      note(flagos_memory_free(t.device(), memory));
  }
  const bool restored = setrlimit(resource, &before) == 0;
  for (flagos_stream_t* const stream : streams) flagos_stream_destroy(stream);
  for (flagos_event_t* const event : events) flagos_event_destroy(event);
  t.check(restored, "setrlimit back");
  t.ok(wrong, "what cannot be had is a matter of resources");
  t.smoke();
}

// No thread can be made for this one's calls: they say so, or need none.
void no_threads(Context& t) {
  if (!faults::available()) t.resource("a sanitizer makes threads in its own way");
  t.smoke();
  flagos_status_t wrong = FLAGOS_STATUS_OK;
  const auto note = [&](flagos_status_t status) {
    if (status != FLAGOS_STATUS_OK && FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_RESOURCE)
      wrong = status;
    return status == FLAGOS_STATUS_OK;
  };
  std::vector<flagos_stream_t*> streams;
  std::atomic<int> calls{0};
  int queued = 0;
  const auto count = [](void* data, flagos_status_t) { ++*static_cast<std::atomic<int>*>(data); };
  faults::arm(faults::Kind::thread, faults::Lasting::from_then_on, 1);
  for (int i = 0; i < 16; ++i) {
    flagos_stream_t* stream = nullptr;
    if (!note(flagos_stream_create(t.device(), nullptr, &stream))) continue;
    streams.push_back(stream);
    queued += note(flagos_stream_launch_host(stream, count, &calls));
  }
  faults::disarm();
  for (flagos_stream_t* const stream : streams) {
    note(flagos_stream_synchronize(stream, patience_ns));
    flagos_stream_destroy(stream);
  }
  t.ok(wrong, "a thread that cannot be had is a matter of resources");
  t.equal(static_cast<std::uint64_t>(calls), static_cast<std::uint64_t>(queued),
          "functions that were taken are called");
  t.smoke();
}

void few_descriptors(Context& t) {
  use_with_less(t, RLIMIT_NOFILE, static_cast<rlim_t>(*open_descriptors().rbegin() + 1));
}

void little_address_space(Context& t) {
  t.smoke();
  std::uint64_t pages = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  const bool found = file != nullptr && std::fscanf(file, "%lu", &pages) == 1;
  if (file != nullptr) std::fclose(file);
  t.check(found, "the size of this process");
  use_with_less(t, RLIMIT_AS, pages * 4096 + (4u << 20));
}

// As pthread_create wants it.
void* call_every_entry(void* given) {
  World& world = *static_cast<World*>(given);
  std::uint64_t calls = 0;
  for (const Entry& entry : entries()) {
    // Starts processes and libraries of its own: not a matter of the caller's stack.
    if (entry.name == "flagos_runtime_create" || entry.name == "flagos_module_compile") continue;
    Call call(world, entry);
    if (!applies(call)) continue;
    call.run();
    ++calls;
  }
  return reinterpret_cast<void*>(calls);
}

}  // namespace

FLAGOS_CASE("lim.alloc.max_plus",
            {.clause = "flagos_device_info_t.max_allocation_bytes", .oracle = Oracle::code}) {
  for (const std::uint64_t more : {std::uint64_t{1}, std::uint64_t{4096}}) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = t.info().max_allocation_bytes + more;
    flagos_address_t memory = 1;
    t.status(flagos_memory_alloc(t.device(), &desc, &memory), FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY,
             "more than the largest allocation");
    t.equal(memory, 0, "the out parameter is cleared");
  }
  t.smoke();
}

FLAGOS_CASE("lim.stream.count", {.clause = "flagos_stream_create: OUT_OF_RESOURCES",
                                 .oracle = Oracle::code,
                                 .isolation = Isolation::own}) {
  find_limit(t, Type::stream, repeats(t, 2048, 128));
}

FLAGOS_CASE("lim.event.count", {.clause = "flagos_event_create: OUT_OF_RESOURCES",
                                .oracle = Oracle::code,
                                .isolation = Isolation::own}) {
  find_limit(t, Type::event, repeats(t, 50'000, 2000));
}

FLAGOS_CASE("lim.module.count", {.clause = "flagos_module_load: many modules",
                                 .level = Level::full,
                                 .oracle = Oracle::code,
                                 .isolation = Isolation::own,
                                 .seconds = 300}) {
  find_limit(t, Type::module, repeats(t, 1000, 32));
}

FLAGOS_CASE("lim.graph.nodes", {.clause = "flagos_graph_add_node: many nodes",
                                .level = Level::optional,
                                .oracle = Oracle::model,
                                .isolation = Isolation::own,
                                .feature = "graph"}) {
  const std::uint32_t nodes = repeats(t, 100'000, 3000);
  Words words(t, 1, 1);
  Graph graph(t);
  Nodes last;
  std::uint32_t wanted = 1;
  for (std::uint32_t i = 0; i < nodes; ++i) {
    // Kernels between nodes that do nothing: order counts, and time does not grow with the kernels alone.
    if (i % 100 == 0) {
      last = {graph.affine(words, 3, i, last)};
      wanted = wanted * 3 + i;
    } else {
      last = {graph.empty(last)};
    }
  }
  t.equal(graph.info().node_count, nodes, "nodes");
  run_once(t, graph);
  t.equal(words.first(), wanted, "all kernels, in their order");
}

FLAGOS_CASE("lim.comm.count", {.clause = "flagos_communicator_create: many communicators",
                               .level = Level::optional,
                               .isolation = Isolation::own,
                               .feature = "collective"}) {
  using namespace coll;
  require_operation(t, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_INT32);
  std::vector<std::unique_ptr<Ranks>> all;
  for (int i = 0; i < 64; ++i) all.push_back(std::make_unique<Ranks>(t, 2, 64));
  for (auto& ranks : all) {
    for (std::uint32_t i = 0; i < 2; ++i)
      ranks->source(i).write(values_of(i, 16, FLAGOS_DTYPE_INT32));
    ranks->run(flagos_collective_all_reduce, ranks->descs(FLAGOS_DTYPE_INT32, 16));
    for (std::uint32_t i = 0; i < 2; ++i)
      t.equal_bytes(ranks->target(i).read(0, 64), reduced_values(2, 0, 16, FLAGOS_DTYPE_INT32, 0),
                    "a sum");
  }
}

FLAGOS_CASE("lim.queue.depth", {.clause = "flagos_kernel_launch: a stream that is far behind",
                                .oracle = Oracle::model,
                                .isolation = Isolation::own}) {
  const std::uint32_t most = repeats(t, 20'000, 1500);
  Stream stream(t);
  Words words(t, 1);
  KernelPayload payload(t.kernel("tl_affine"), shape_for(t, 1), affine_arguments(words, 1, 1));
  std::uint32_t queued = 0;
  std::atomic<bool> all_queued{false};
  flagos_status_t refusal = FLAGOS_STATUS_OK;
  {
    Blocker blocker(t, stream);
    // A queue that is full may make its caller wait: then the work before must move.
    Team team;
    team.start([&] {
      while (queued < most && refusal == FLAGOS_STATUS_OK) {
        refusal = flagos_kernel_launch(stream, payload.node.kernel, &payload.launch);
        queued += refusal == FLAGOS_STATUS_OK;
      }
      all_queued = true;
    });
    eventually([&] { return all_queued.load(); }, 5);
    blocker.release();
    team.join();
  }
  t.check(refusal == FLAGOS_STATUS_OK || refusal == FLAGOS_STATUS_OUT_OF_RESOURCES,
          "a full queue makes its caller wait, or refuses: " + std::to_string(refusal));
  stream.synchronize();
  t.equal(words.first(), queued, "every launch that was taken ran");
}

FLAGOS_CASE("lim.threads.1000",
            {.clause = "flagos.h: Threads", .level = Level::full, .isolation = Isolation::own}) {
  const std::uint32_t threads = repeats(t, 1000, 200);
  Words words(t, threads, 5);
  Stream stream(t);
  FirstFailure failure;
  Team team;
  flagos_device_t* const device = t.device();
  for (std::uint32_t i = 0; i < threads; ++i) {
    team.start([&, i] {
      flagos_device_info_t info{};
      info.struct_size = sizeof info;
      failure.note(flagos_device_get_info(device, &info));
      const std::uint32_t value = i;
      failure.note(flagos_memory_fill(stream, words.at(i), &value, 4, 4));
    });
  }
  team.join();
  t.ok(failure.status(), "calls from many threads");
  stream.synchronize();
  const auto found = words.read();
  for (std::uint32_t i = 0; i < threads; ++i) t.equal(found[i], i, "the word of a thread");
}

FLAGOS_HELPER("lim_descriptors") { return run_checks(h, few_descriptors); }
FLAGOS_HELPER("lim_address_space") { return run_checks(h, little_address_space); }

FLAGOS_CASE("lim.fd.exhausted", {.clause = "flagos.h: resource failures; no descriptor is left",
                                 .oracle = Oracle::code,
                                 .isolation = Isolation::multi}) {
  if (sanitized()) t.resource("a sanitizer needs descriptors to look at memory");
  expect_helper(t, "lim_descriptors");
}

FLAGOS_HELPER("lim_no_threads") { return run_checks(h, no_threads); }

FLAGOS_CASE("lim.nproc.exhausted", {.clause = "flagos.h: resource failures; no thread can be made",
                                    .level = Level::full,
                                    .oracle = Oracle::code,
                                    .isolation = Isolation::multi}) {
  if (!faults::available()) t.resource("a sanitizer makes threads in its own way");
  expect_helper(t, "lim_no_threads");
}

FLAGOS_CASE("lim.offset.u32_boundary", {.clause = "flagos.h: addresses and sizes have 64 bits",
                                        .level = Level::full,
                                        .isolation = Isolation::own}) {
  // A quick run, and a device that is smaller, stops at the boundary before.
  constexpr std::uint64_t half = std::uint64_t{1} << 31, whole = std::uint64_t{1} << 32;
  std::uint64_t free_bytes = 0, total_bytes = 0;
  t.ok(flagos_device_query_memory(t.device(), &free_bytes, &total_bytes), "query the memory");
  const std::uint64_t most = std::min(free_bytes / 2, t.info().max_allocation_bytes);
  const std::uint64_t last = !t.settings().quick && most > whole + 4096 ? whole : half;
  if (t.info().max_allocation_bytes < last + 4096)
    t.not_supported("the device allocates at most 2 GiB at once");
  if (most < last + 4096) t.resource("needs an allocation of more than 2 GiB");
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = last + 4096;
  struct Block {
    Context& t;
    flagos_address_t address = 0;
    ~Block() { flagos_memory_free(t.device(), address); }
  } block{t};
  t.ok(flagos_memory_alloc(t.device(), &desc, &block.address), "allocate");
  Stream stream(t);
  std::uint32_t tag = 0x1000;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> written;
  const auto write_at = [&](std::uint64_t offset) {
    ++tag;
    t.ok(flagos_memory_fill(stream, block.address + offset, &tag, 4, 4), "write a word");
    written.emplace_back(offset, tag);
  };
  // Words whose addresses agree in their lower 31 or 32 bits: each must keep what it got.
  for (const std::uint64_t boundary : {std::uint64_t{0}, half, whole}) {
    if (boundary > last) continue;
    if (boundary != 0) write_at(boundary - 4);
    write_at(boundary);
    write_at(boundary + 4);
  }
  for (const auto& [offset, expected] : written) {
    std::uint32_t found = 0;
    t.ok(flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(&found),
                            block.address + offset, 4),
         "read a word");
    stream.synchronize();
    t.equal(found, expected, "the word at " + std::to_string(offset));
  }
}

FLAGOS_CASE("lim.as.exhausted", {.clause = "flagos.h: resource failures; no address space is left",
                                 .level = Level::full,
                                 .oracle = Oracle::code,
                                 .isolation = Isolation::multi}) {
  if (sanitized()) t.resource("a sanitizer needs all of the address space");
  expect_helper(t, "lim_address_space");
}

FLAGOS_CASE("lim.stack_small", {.clause = "flagos.h: Threads; one with a stack of 128 KiB",
                                .level = Level::full,
                                .oracle = Oracle::live,
                                .isolation = Isolation::own}) {
  if (sanitized()) t.resource("a sanitizer needs more stack");
  t.smoke();
  World world(t);
  world.expect_nothing();
  pthread_attr_t attributes;
  pthread_t thread{};
  void* calls = nullptr;
  pthread_attr_init(&attributes);
  const bool ran = pthread_attr_setstacksize(&attributes, 128 << 10) == 0 &&
                   pthread_create(&thread, &attributes, call_every_entry, &world) == 0 &&
                   pthread_join(thread, &calls) == 0;
  pthread_attr_destroy(&attributes);
  t.check(ran, "a thread with a stack of 128 KiB");
  t.check(reinterpret_cast<std::uintptr_t>(calls) > 40, "it made the calls");
  t.ok(flagos_stream_reset(world.stream()), "reset the stream");
  t.smoke();
}

FLAGOS_CASE("lim.name_collision_handles",
            {.clause = "design 2: handles carry a generation", .level = Level::full}) {
  const std::uint32_t cycles = repeats(t, 200'000, 10'000);
  std::unordered_set<const void*> seen;
  seen.reserve(cycles);
  for (std::uint32_t i = 0; i < cycles; ++i) {
    flagos_event_t* event = nullptr;
    t.ok(flagos_event_create(t.device(), nullptr, &event), "create");
    t.check(seen.insert(event).second, "a handle that was never there before");
    t.ok(flagos_event_destroy(event), "destroy");
  }
  t.smoke();
}

}  // namespace flagos::conformance
