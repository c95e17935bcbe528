// Many threads at once: making, using and destroying objects of every kind, each checked by what the work leaves.
#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <cstring>
#include <mutex>

#include "conformance/cases/entry_world.hpp"
#include "conformance/cases/graph_support.hpp"
#include "conformance/cases/module_support.hpp"

namespace flagos::conformance {
namespace {

constexpr std::uint32_t threads = 16;

constexpr CaseOptions own(const char* clause, Level level = Level::core,
                          Oracle oracle = Oracle::model, const char* feature = "") {
  return {.clause = clause,
          .level = level,
          .oracle = oracle,
          .isolation = Isolation::own,
          .feature = feature};
}

void in_team(std::uint32_t count, const std::function<void(std::uint32_t)>& body) {
  Team team;
  for (std::uint32_t i = 0; i < count; ++i) team.start([&body, i] { body(i); });
  team.join();
}

// Launches that multiply a word of their own by 3 and add 1.
class Steps {
 public:
  Steps(Context& t, std::uint32_t value)
      : words_(t, 1, value),
        payload_(t.kernel("tl_affine"), shape_for(t, 1), affine_arguments(words_, 3, 1)),
        wanted_(value) {}
  flagos_status_t launch(flagos_stream_t* stream) {
    wanted_ = wanted_ * 3 + 1;
    return flagos_kernel_launch(stream, payload_.node.kernel, &payload_.launch);
  }
  void check(Context& t) { t.equal(words_.first(), wanted_, "the launches of a thread, in order"); }

 private:
  Words words_;
  KernelPayload payload_;
  std::uint32_t wanted_;
};

std::vector<std::unique_ptr<Steps>> steps_of(Context& t, std::uint32_t count) {
  std::vector<std::unique_ptr<Steps>> all;
  for (std::uint32_t i = 0; i < count; ++i) all.push_back(std::make_unique<Steps>(t, i));
  return all;
}

void check_all(Context& t, const std::vector<std::unique_ptr<Steps>>& all) {
  for (const auto& steps : all) steps->check(t);
}

flagos_status_t wait(flagos_stream_t* stream) {
  return flagos_stream_synchronize(stream, patience_ns);
}

// Signals of an interval timer while it lives, caught by a handler that does nothing.
class Alarms {
 public:
  explicit Alarms(long microseconds) {
    struct sigaction action {};
    action.sa_handler = [](int) { caught().fetch_add(1); };
    sigaction(SIGALRM, &action, &before_);
    const itimerval interval{{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &interval, nullptr);
  }
  ~Alarms() {
    const itimerval none{};
    setitimer(ITIMER_REAL, &none, nullptr);
    sigaction(SIGALRM, &before_, nullptr);
  }
  Alarms(const Alarms&) = delete;
  Alarms& operator=(const Alarms&) = delete;
  static std::atomic<std::uint32_t>& caught() {
    static std::atomic<std::uint32_t> count{0};
    return count;
  }

 private:
  struct sigaction before_ {};
};

}  // namespace

FLAGOS_CASE("thr.init_race", (own("flagos_runtime_create: any thread"))) {
  const std::string file = t.settings().plugin_path;
  std::vector<flagos_status_t> statuses(threads);
  std::vector<std::uint32_t> words(threads);
  in_team(threads, [&](std::uint32_t i) {
    FirstFailure failure;
    flagos_runtime_t* runtime = nullptr;
    flagos_device_t* device = nullptr;
    flagos_stream_t* stream = nullptr;
    flagos_address_t memory = 0;
    flagos_runtime_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.abi_version = FLAGOS_ABI_VERSION;
    desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
    failure.note(flagos_runtime_create(&desc, &runtime));
    failure.note(flagos_runtime_add_plugin(runtime, file.c_str()));
    std::uint32_t count = 0;
    failure.note(flagos_device_get_count(runtime, &count));
    failure.note(flagos_device_open(runtime, 0, &device));
    failure.note(flagos_stream_create(device, nullptr, &stream));
    flagos_memory_desc_t memory_desc{};
    memory_desc.struct_size = sizeof memory_desc;
    memory_desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    memory_desc.size_bytes = 64;
    failure.note(flagos_memory_alloc(device, &memory_desc, &memory));
    const std::uint32_t value = 0x1000 + i;
    failure.note(flagos_memory_fill(stream, memory, &value, 4, 64));
    failure.note(
        flagos_memory_copy(stream, reinterpret_cast<std::uintptr_t>(&words[i]), memory + 60, 4));
    failure.note(wait(stream));
    failure.note(flagos_memory_free(device, memory));
    failure.note(flagos_stream_destroy(stream));
    failure.note(flagos_device_close(device));
    failure.note(flagos_runtime_destroy(runtime));
    statuses[i] = failure.status();
  });
  for (std::uint32_t i = 0; i < threads; ++i) {
    t.ok(statuses[i], "a runtime of a thread");
    t.equal(words[i], 0x1000 + i, "what it filled");
  }
}

FLAGOS_CASE("thr.create_destroy.each_type", (own("flagos.h: Threads; all objects"))) {
  World world(t);
  const std::uint32_t cycles = repeats(t, 500, 30);
  world.expect_nothing();
  for (const Type type : {Type::stream, Type::event, Type::module, Type::prepared,
                          Type::memory_pool, Type::timeline, Type::graph, Type::graph_exec}) {
    if (world.handle(type) == 0) continue;
    t.subcase(name_of(type));
    std::atomic<std::uint32_t> made{0};
    FirstFailure failure;
    const std::uint32_t times = type == Type::module ? cycles / 10 + 1 : cycles;
    in_team(threads, [&](std::uint32_t) {
      for (std::uint32_t n = 0; n < times; ++n) {
        const std::uint64_t object = world.make(type);
        made += object != 0;
        failure.note(destroy_object(type, object));
      }
    });
    t.equal(made, threads * times, "objects made");
    t.ok(failure.status(), "and destroyed");
  }
  t.ok(world.close(), "destroy all objects");
  t.smoke();
}

FLAGOS_CASE("thr.per_thread_device",
            (own("flagos_device_open: a device of each thread", Level::full))) {
  constexpr std::uint32_t count = 8;
  flagos_runtime_t* const runtime = t.runtime();
  const std::uint32_t index = t.info().index;
  std::vector<flagos_status_t> statuses(count);
  std::vector<std::vector<std::uint32_t>> found(count, std::vector<std::uint32_t>(16));
  in_team(count, [&](std::uint32_t i) {
    FirstFailure failure;
    for (int n = 0; n < 10; ++n) {
      flagos_device_t* device = nullptr;
      flagos_stream_t* stream = nullptr;
      flagos_address_t memory = 0;
      failure.note(flagos_device_open(runtime, index, &device));
      failure.note(flagos_stream_create(device, nullptr, &stream));
      flagos_memory_desc_t desc{};
      desc.struct_size = sizeof desc;
      desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
      desc.size_bytes = 64;
      failure.note(flagos_memory_alloc(device, &desc, &memory));
      const std::uint32_t value = 100 * i + static_cast<std::uint32_t>(n);
      failure.note(flagos_memory_fill(stream, memory, &value, 4, 64));
      failure.note(flagos_memory_copy(stream, reinterpret_cast<std::uintptr_t>(found[i].data()),
                                      memory, 64));
      failure.note(wait(stream));
      failure.note(flagos_memory_free(device, memory));
      failure.note(flagos_stream_destroy(stream));
      failure.note(flagos_device_close(device));
    }
    statuses[i] = failure.status();
  });
  for (std::uint32_t i = 0; i < count; ++i) {
    t.ok(statuses[i], "the calls of a thread");
    equal_words(t, found[i], std::vector<std::uint32_t>(16, 100 * i + 9), "what it filled last");
  }
}

FLAGOS_CASE("thr.alloc_free_cross", (own("flagos_memory_free: any thread"))) {
  const std::uint32_t cycles = repeats(t, 2000, 200);
  flagos_device_t* const device = t.device();
  std::mutex mutex;
  std::vector<flagos_address_t> blocks;
  std::atomic<std::uint32_t> allocated{0}, freed{0};
  std::atomic<std::uint32_t> producers{4};
  FirstFailure failure;
  in_team(8, [&](std::uint32_t i) {
    if (i < 4) {
      for (std::uint32_t n = 0; n < cycles; ++n) {
        flagos_memory_desc_t desc{};
        desc.struct_size = sizeof desc;
        desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
        desc.size_bytes = 64 + n % 5000;
        flagos_address_t memory = 0;
        failure.note(flagos_memory_alloc(device, &desc, &memory));
        ++allocated;
        const std::lock_guard lock(mutex);
        blocks.push_back(memory);
      }
      --producers;
      return;
    }
    while (true) {
      const bool last = producers == 0;
      flagos_address_t memory = 0;
      {
        const std::lock_guard lock(mutex);
        if (!blocks.empty()) {
          memory = blocks.back();
          blocks.pop_back();
        }
      }
      if (memory == 0) {
        if (last) return;
        nap(1e-4);
        continue;
      }
      failure.note(flagos_memory_free(device, memory));
      ++freed;
    }
  });
  t.ok(failure.status(), "every call");
  t.equal(freed, allocated, "all blocks were freed");
  t.smoke();
}

FLAGOS_CASE("thr.submit_shared_stream",
            (own("flagos.h: Threads; submission to one stream is ordered"))) {
  Stream stream(t);
  auto all = steps_of(t, threads);
  FirstFailure failure;
  in_team(threads, [&](std::uint32_t i) {
    for (std::uint32_t n = 0; n < repeats(t, 1000, 100); ++n) failure.note(all[i]->launch(stream));
  });
  t.ok(failure.status(), "every launch");
  stream.synchronize();
  check_all(t, all);
}

FLAGOS_CASE("thr.event_storm", (own("flagos_event_*: any thread"))) {
  constexpr std::uint32_t count = 8;
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::unique_ptr<Event>> shared;
  auto all = steps_of(t, count);
  for (std::uint32_t i = 0; i < count; ++i) {
    streams.push_back(std::make_unique<Stream>(t));
    shared.push_back(std::make_unique<Event>(t));
  }
  flagos_device_t* const device = t.device();
  FirstFailure failure;
  in_team(count, [&](std::uint32_t i) {
    std::mt19937 random(i + 1);
    for (std::uint32_t n = 0; n < repeats(t, 2000, 200); ++n) {
      flagos_event_t* const event = *shared[random() % count];
      switch (random() % 5) {
        case 0:
          failure.note(flagos_event_record(event, *streams[i]));
          break;
        case 1:
          failure.note(flagos_stream_wait_event(*streams[i], event));
          break;
        case 2: {
          std::uint32_t done = 0;
          failure.note(flagos_event_query(event, &done));
          break;
        }
        case 3: {
          flagos_event_t* mine = nullptr;
          failure.note(flagos_event_create(device, nullptr, &mine));
          failure.note(flagos_event_record(mine, *streams[i]));
          failure.note(flagos_event_destroy(mine));
          break;
        }
        default:
          failure.note(all[i]->launch(*streams[i]));
      }
    }
    failure.note(wait(*streams[i]));
  });
  t.ok(failure.status(), "every call");
  check_all(t, all);
}

FLAGOS_CASE("thr.module_race", (own("flagos_module_load, get_kernel, unload: any thread"))) {
  constexpr std::uint32_t count = 8;
  const std::uint32_t cycles = repeats(t, 20, 3);
  std::string format;
  const auto image = t.module_image(&format);
  const auto desc = module_desc(format, image);
  const auto lookup = kernel_desc("tl_affine");
  std::vector<std::unique_ptr<Words>> words;
  std::vector<std::unique_ptr<Stream>> streams;
  for (std::uint32_t i = 0; i < count; ++i) {
    words.push_back(std::make_unique<Words>(t, 1));
    streams.push_back(std::make_unique<Stream>(t));
  }
  flagos_device_t* const device = t.device();
  const Shape shape = shape_for(t, 1);
  FirstFailure failure;
  in_team(count, [&](std::uint32_t i) {
    for (std::uint32_t n = 0; n < cycles; ++n) {
      flagos_module_t* module = nullptr;
      flagos_kernel_t* kernel = nullptr;
      failure.note(flagos_module_load(device, &desc, &module));
      failure.note(flagos_module_get_kernel(module, &lookup, &kernel));
      const auto arguments = affine_arguments(*words[i], 1, 1);
      const auto launched = launch_desc(shape.grid, shape.block, arguments);
      failure.note(flagos_kernel_launch(*streams[i], kernel, &launched));
      // In use: the release waits.
      failure.note(flagos_module_unload(module));
    }
    failure.note(wait(*streams[i]));
  });
  t.ok(failure.status(), "every call");
  for (const auto& mine : words) t.equal(mine->first(), cycles, "every launch ran");
}

FLAGOS_CASE("thr.graph_race",
            (own("flagos_graph_*: any thread", Level::optional, Oracle::model, "graph"))) {
  constexpr std::uint32_t count = 8;
  const std::uint32_t cycles = repeats(t, 100, 10);
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<std::unique_ptr<Words>> mine;
  std::vector<std::unique_ptr<Graph>> graphs;
  for (std::uint32_t i = 0; i < count; ++i) {
    streams.push_back(std::make_unique<Stream>(t));
    mine.push_back(std::make_unique<Words>(t, 1, i));
    graphs.push_back(std::make_unique<Graph>(t));
    Nodes last;
    for (int n = 0; n < 5; ++n) last = {graphs[i]->affine(*mine[i], 3, 1, last)};
  }
  FirstFailure failure;
  in_team(count, [&](std::uint32_t i) {
    for (std::uint32_t n = 0; n < cycles; ++n) {
      flagos_graph_exec_t* exec = nullptr;
      failure.note(flagos_graph_instantiate(*graphs[i], &exec));
      failure.note(flagos_graph_exec_launch(exec, *streams[i]));
      failure.note(flagos_graph_exec_destroy(exec));
    }
    failure.note(wait(*streams[i]));
  });
  t.ok(failure.status(), "every call");
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint32_t wanted = i;
    for (std::uint32_t n = 0; n < 5 * cycles; ++n) wanted = wanted * 3 + 1;
    t.equal(mine[i]->first(), wanted, "the launches of a thread's graph");
  }
}

FLAGOS_CASE("thr.error_tls",
            (own("flagos_last_error: of this thread", Level::core, Oracle::exact))) {
  Stream stream(t);
  flagos_device_t* const device = t.device();
  std::atomic<std::uint32_t> wrong{0};
  in_team(threads, [&](std::uint32_t i) {
    for (std::uint32_t n = 0; n < repeats(t, 2000, 200); ++n) {
      flagos_memory_desc_t desc{};
      desc.struct_size = sizeof desc;
      desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
      desc.size_bytes = 64;
      desc.alignment_bytes = 3 + 2 * i;  // not a power of two, another one for each thread
      flagos_address_t memory = 0;
      wrong += flagos_memory_alloc(device, &desc, &memory) == FLAGOS_STATUS_OK;
      wrong +=
          std::string(flagos_last_error()).find(std::to_string(3 + 2 * i)) == std::string::npos;
    }
  });
  t.equal(wrong, 0, "every failure has the text of its own thread, with its number");
  t.smoke();
}

FLAGOS_CASE("thr.callbacks_race", (own("flagos_stream_launch_host: streams that are destroyed",
                                       Level::optional, Oracle::exact, "host_callback"))) {
  constexpr std::uint32_t count = 8;
  const std::uint32_t cycles = repeats(t, 200, 20);
  std::atomic<std::uint32_t> calls{0};
  FirstFailure failure;
  flagos_device_t* const device = t.device();
  in_team(count, [&](std::uint32_t) {
    for (std::uint32_t n = 0; n < cycles; ++n) {
      flagos_stream_t* stream = nullptr;
      failure.note(flagos_stream_create(device, nullptr, &stream));
      for (int k = 0; k < 3; ++k)
        failure.note(flagos_stream_launch_host(
            stream,
            [](void* data, flagos_status_t) {
              static_cast<std::atomic<std::uint32_t>*>(data)->fetch_add(1);
            },
            &calls));
      failure.note(flagos_stream_destroy(stream));
    }
  });
  const bool complete = eventually([&] { return calls == count * cycles * 3; });
  t.ok(failure.status(), "every call");
  t.check(complete,
          "each function ran once, though its stream was destroyed; ran " + std::to_string(calls));
}

FLAGOS_CASE("thr.signal_interrupt", (own("flagos_stream_synchronize: signals do not end a wait",
                                         Level::core, Oracle::live))) {
  Stream stream(t);
  Event event(t);
  auto all = steps_of(t, 1);
  {
    const std::uint32_t before = Alarms::caught();
    Blocker blocker(t, stream);
    t.ok(flagos_event_record(event, stream), "a record behind the blocker");
    const Alarms alarms(1000);
    const double since = now_seconds();
    t.status(flagos_stream_synchronize(stream, 200'000'000), FLAGOS_STATUS_TIMEOUT,
             "a wait among signals");
    t.status(flagos_event_synchronize(event, 100'000'000), FLAGOS_STATUS_TIMEOUT,
             "a wait for an event among signals");
    t.check(now_seconds() - since >= 0.29, "neither ended before its time");
    t.check(Alarms::caught() > before + 10, "there were signals");
    blocker.release();
    t.ok(wait(stream), "a wait to the end among signals");
    for (std::uint32_t n = 0; n < 200; ++n) t.ok(all[0]->launch(stream), "a launch among signals");
    t.ok(wait(stream), "another wait");
  }
  check_all(t, all);
}

FLAGOS_CASE("thr.destroy_while_waiting",
            (own("design 3: destroying an object in use is safe and deferred", Level::core,
                 Oracle::live))) {
  auto all = steps_of(t, 1);
  for (const bool by_event : {false, true}) {
    t.subcase(by_event ? "an event" : "a stream");
    Stream stream(t);
    Event event(t);
    flagos_stream_t* const raw_stream = stream;
    flagos_event_t* const raw_event = event;
    std::atomic<flagos_status_t> found{FLAGOS_STATUS_INTERNAL};
    std::atomic<bool> waiting{false};
    Team team;
    {
      Blocker blocker(t, stream);
      t.ok(all[0]->launch(stream), "a launch behind the blocker");
      t.ok(flagos_event_record(event, stream), "a record behind it");
      team.start([&] {
        waiting = true;
        found = by_event ? flagos_event_synchronize(raw_event, patience_ns) : wait(raw_stream);
      });
      t.check(eventually([&] { return waiting.load(); }), "a thread waits");
      nap(0.05);
      if (by_event) {
        t.ok(flagos_event_destroy(event.release()), "destroy what is waited for");
      } else {
        t.ok(flagos_stream_destroy(stream.release()), "destroy what is waited for");
      }
      blocker.release();
    }
    team.join();
    t.check(found == FLAGOS_STATUS_OK || found == FLAGOS_STATUS_INVALID_HANDLE ||
                found == FLAGOS_STATUS_CANCELLED,
            "the wait ends, and says how: " + std::to_string(found));
  }
  t.ok(flagos_device_synchronize(t.device(), patience_ns), "wait for the device");
  check_all(t, all);
}

FLAGOS_CASE("thr.oversubscribed",
            (own("flagos.h: Threads; more of them than processors", Level::full, Oracle::live))) {
  constexpr std::uint32_t count = 64;
  std::vector<std::unique_ptr<Stream>> streams;
  auto all = steps_of(t, count);
  for (std::uint32_t i = 0; i < count; ++i) streams.push_back(std::make_unique<Stream>(t));
  FirstFailure failure;
  in_team(count, [&](std::uint32_t i) {
    for (std::uint32_t n = 0; n < repeats(t, 100, 20); ++n) {
      failure.note(all[i]->launch(*streams[i]));
      failure.note(wait(*streams[i]));
    }
  });
  t.ok(failure.status(), "every launch and every wait");
  check_all(t, all);
}

FLAGOS_CASE("thr.cancel_thread", (own("flagos_stream_create: its thread may end", Level::full))) {
  auto all = steps_of(t, threads);
  flagos_device_t* const device = t.device();
  std::vector<flagos_stream_t*> streams(threads);
  FirstFailure failure;
  in_team(threads, [&](std::uint32_t i) {
    failure.note(flagos_stream_create(device, nullptr, &streams[i]));
    for (int n = 0; n < 20; ++n) failure.note(all[i]->launch(streams[i]));
  });
  // The threads are gone, their work may be pending still.
  for (std::uint32_t i = 0; i < threads; ++i) {
    failure.note(all[i]->launch(streams[i]));
    failure.note(wait(streams[i]));
    failure.note(flagos_stream_destroy(streams[i]));
  }
  t.ok(failure.status(), "every call");
  check_all(t, all);
}

}  // namespace flagos::conformance
