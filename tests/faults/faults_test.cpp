// Every entry of flagos.h, on the cpu plugin, where the 1st, 2nd, 3rd ... allocation or system call of the call fails,
// until it passes untouched: the right status, nothing lost, and the next valid call works.
#include <doctest/doctest.h>
#include <flagos.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "conformance/faults/faults.hpp"

namespace flagos::faults {
namespace {

constexpr flagos_status_t ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t patience_ns = 60'000'000'000;

template <typename Desc>
Desc desc_of() {
  Desc desc{};
  desc.struct_size = sizeof desc;
  return desc;
}

// Calls of one scenario under one plan. The first that fails ends it.
class Attempt {
 public:
  Attempt(Kind kind, Lasting lasting, std::uint64_t nth) {
    arm(kind, lasting, nth);
    pause();
  }
  ~Attempt() { disarm(); }

  // Throws Stopped when the call failed; its status must then be one of exhaustion.
  template <typename Call>
  void operator()(const char* what, const Call& call) {
    const std::uint64_t before = failed();
    resume();
    const flagos_status_t status = call();
    pause();
    if (status == ok) return;
    judge(what, status, failed() > before);
    throw Stopped{};
  }
  struct Stopped {};

 private:
  // Apart, since doctest keeps the messages of a scope that an exception leaves.
  static void judge(const char* what, flagos_status_t status, bool was_made_to_fail) {
    INFO((std::string(what) + ": " + flagos_status_get_name(status) + ": " + flagos_last_error()));
    CHECK(was_made_to_fail);
    const bool is_exhaustion =
        status == FLAGOS_STATUS_OUT_OF_HOST_MEMORY ||
        status == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY || status == FLAGOS_STATUS_OUT_OF_RESOURCES ||
        status == FLAGOS_STATUS_PLUGIN_REJECTED;  // whose file could not be read
    CHECK(is_exhaustion);
  }
};

template <typename T>
class Owner {
 public:
  using Destroy = flagos_status_t (*)(T*);
  explicit Owner(Destroy destroy) : destroy_(destroy) {}
  ~Owner() { destroy_(object_); }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  T** out() { return &object_; }
  operator T*() const { return object_; }
  T* const* in() const { return &object_; }

 private:
  Destroy destroy_;
  T* object_ = nullptr;
};

class Memory {
 public:
  explicit Memory(flagos_device_t* device) : device_(device) {}
  ~Memory() { flagos_memory_free(device_, address); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  flagos_address_t address = 0;

 private:
  flagos_device_t* device_;
};

// What all scenarios start from, made without faults.
struct World {
  World() {
    auto desc = desc_of<flagos_runtime_desc_t>();
    desc.abi_version = FLAGOS_ABI_VERSION;
    desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
    REQUIRE(flagos_runtime_create(&desc, runtime.out()) == ok);
    REQUIRE(flagos_runtime_add_plugin(runtime, FLAGOS_FAULTS_PLUGIN) == ok);
    REQUIRE(flagos_device_find(runtime, "cpu:0", &index) == ok);
    REQUIRE(flagos_device_open(runtime, index, device.out()) == ok);
    REQUIRE(flagos_stream_create(device, nullptr, stream.out()) == ok);
    auto module_desc = desc_of<flagos_module_desc_t>();
    module_desc.format = "elf-so";
    module_desc.path = FLAGOS_FAULTS_KERNELS;
    REQUIRE(flagos_module_load(device, &module_desc, module.out()) == ok);
    auto kernel_desc = desc_of<flagos_kernel_desc_t>();
    kernel_desc.name = "tl_affine";
    REQUIRE(flagos_module_get_kernel(module, &kernel_desc, &kernel) == ok);
    auto memory_desc = desc_of<flagos_memory_desc_t>();
    memory_desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    memory_desc.size_bytes = 4096;
    REQUIRE(flagos_memory_alloc(device, &memory_desc, &word) == ok);
    arguments[0] = {FLAGOS_DTYPE_ADDRESS, 0, word};
    arguments[1] = {FLAGOS_DTYPE_UINT32, 0, 1};
    arguments[2] = {FLAGOS_DTYPE_UINT32, 0, 1};
    arguments[3] = {FLAGOS_DTYPE_UINT32, 0, 1};
    launch = desc_of<flagos_launch_desc_t>();
    for (int i = 0; i < 3; ++i) launch.grid[i] = launch.block[i] = 1;
    launch.arguments = arguments.data();
    launch.argument_count = 4;
  }
  ~World() { flagos_memory_free(device, word); }

  // Fill, kernel, copy back: the next valid call works.
  void smoke() {
    const std::uint32_t start = 41;
    std::uint32_t end = 0;
    REQUIRE(flagos_memory_fill(stream, word, &start, 4, 4) == ok);
    REQUIRE(flagos_kernel_launch(stream, kernel, &launch) == ok);
    REQUIRE(flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(&end), word, 4) == ok);
    REQUIRE(flagos_stream_synchronize(stream, patience_ns) == ok);
    CHECK(end == 42);
  }

  Owner<flagos_runtime_t> runtime{&flagos_runtime_destroy};
  std::uint32_t index = 0;
  Owner<flagos_device_t> device{&flagos_device_close};
  Owner<flagos_stream_t> stream{&flagos_stream_destroy};
  Owner<flagos_module_t> module{&flagos_module_unload};
  flagos_kernel_t* kernel = nullptr;
  flagos_address_t word = 0;
  std::array<flagos_argument_t, 4> arguments{};
  flagos_launch_desc_t launch{};
};

using Scenario = void (*)(World&, Attempt&);

void fail_each(World& world, Scenario scenario, Kind kind, Lasting lasting) {
  for (std::uint64_t nth = 1;; ++nth) {
    INFO((std::string(kind == Kind::allocation ? "allocation " : "system call ") +
          std::to_string(nth) + (lasting == Lasting::once ? "" : " and all after it")));
    REQUIRE(nth < 5000);
    bool untouched = false;
    try {
      Attempt attempt(kind, lasting, nth);
      scenario(world, attempt);
      untouched = failed() == 0;
    } catch (const Attempt::Stopped&) {
    }
    world.smoke();
    if (untouched) return;
  }
}

// All plans until one does nothing. Several rounds: what the first leaves (text that is kept, say) is no leak, and a thread
// of the plugin may be late with a block; what each round adds to is one. Where memory stays exhausted a call may
// have to keep what it cannot remember to give back, and a plugin's library stays mapped in any case.
void sweep(Scenario scenario, bool keeps_libraries = false) {
  World world;
  world.smoke();
  for (const Kind kind : {Kind::allocation, Kind::system_call}) {
    for (const Lasting lasting : {Lasting::once, Lasting::from_then_on}) {
      std::vector<std::int64_t> held;
      for (int round = 0; round < 4; ++round) {
        fail_each(world, scenario, kind, lasting);
        held.push_back(live_blocks());
      }
      if (lasting == Lasting::from_then_on || keeps_libraries) continue;

      const bool leaks = held[1] > held[0] && held[2] > held[1] && held[3] > held[2];
      INFO((std::string("blocks after the rounds: ") + std::to_string(held[0]) + ", " +
            std::to_string(held[1]) + ", " + std::to_string(held[2]) + ", " +
            std::to_string(held[3])));
      CHECK_FALSE(leaks);
    }
  }
}

void memory(World& world, Attempt& attempt) {
  auto desc = desc_of<flagos_memory_desc_t>();
  desc.size_bytes = 1 << 20;
  for (const flagos_memory_kind_t kind : {FLAGOS_MEMORY_KIND_DEVICE, FLAGOS_MEMORY_KIND_PINNED}) {
    desc.kind = kind;
    Memory block(world.device);
    attempt("alloc", [&] { return flagos_memory_alloc(world.device, &desc, &block.address); });
    auto info = desc_of<flagos_memory_info_t>();
    attempt("get_info", [&] { return flagos_memory_get_info(world.device, block.address, &info); });
  }
  std::vector<std::uint8_t> host(1 << 16);
  const auto address = reinterpret_cast<flagos_address_t>(host.data());
  flagos_address_t seen = 0;
  attempt("host_register", [&] {
    return flagos_memory_host_register(world.device, host.data(), host.size(), 0, &seen);
  });
  CHECK(flagos_memory_host_unregister(world.device, host.data()) == ok);
  attempt("copy", [&] { return flagos_memory_copy(world.stream, world.word, address, 4096); });
  auto rows = desc_of<flagos_copy_2d_desc_t>();
  rows.target = world.word;
  rows.source = address;
  rows.target_pitch_bytes = rows.source_pitch_bytes = 64;
  rows.width_bytes = 16;
  rows.height = 4;
  attempt("copy_2d", [&] { return flagos_memory_copy_2d(world.stream, &rows); });
  const std::uint64_t pattern[2] = {1, 2};
  attempt("fill", [&] { return flagos_memory_fill(world.stream, world.word, pattern, 16, 4096); });
  CHECK(flagos_stream_synchronize(world.stream, patience_ns) == ok);
}

void streams(World& world, Attempt& attempt) {
  Owner<flagos_stream_t> stream(&flagos_stream_destroy);
  attempt("stream_create",
          [&] { return flagos_stream_create(world.device, nullptr, stream.out()); });
  Owner<flagos_event_t> event(&flagos_event_destroy);
  auto desc = desc_of<flagos_event_desc_t>();
  attempt("event_create", [&] { return flagos_event_create(world.device, &desc, event.out()); });
  attempt("record", [&] { return flagos_event_record(event, stream); });
  attempt("wait_event", [&] { return flagos_stream_wait_event(world.stream, event); });
  std::uint32_t complete = 0;
  attempt("event_query", [&] { return flagos_event_query(event, &complete); });
  attempt("event_synchronize", [&] { return flagos_event_synchronize(event, patience_ns); });
  attempt("stream_query", [&] { return flagos_stream_query(stream, &complete); });
  std::uint32_t calls = 0;
  attempt("launch_host", [&] {
    return flagos_stream_launch_host(
        stream, [](void* count, flagos_status_t) { ++*static_cast<std::uint32_t*>(count); },
        &calls);
  });
  attempt("write_value", [&] { return flagos_stream_write_value(stream, world.word, 7, 4); });
  attempt("wait_value", [&] {
    return flagos_stream_wait_value(stream, world.word, 7, 4, FLAGOS_COMPARE_GREATER_EQUAL);
  });
  attempt("synchronize", [&] { return flagos_stream_synchronize(stream, patience_ns); });
  CHECK(calls == 1);
  attempt("device_synchronize",
          [&] { return flagos_device_synchronize(world.device, patience_ns); });
}

void timelines(World& world, Attempt& attempt) {
  Owner<flagos_timeline_t> timeline(&flagos_timeline_destroy);
  attempt("timeline_create",
          [&] { return flagos_timeline_create(world.device, 0, timeline.out()); });
  attempt("wait_timeline", [&] { return flagos_stream_wait_timeline(world.stream, timeline, 1); });
  // Whatever comes, the stream is not left waiting.
  try {
    attempt("signal", [&] { return flagos_timeline_signal(timeline, 1); });
  } catch (const Attempt::Stopped&) {
    CHECK(flagos_timeline_signal(timeline, 1) == ok);
    throw;
  }
  attempt("signal_timeline",
          [&] { return flagos_stream_signal_timeline(world.stream, timeline, 2); });
  flagos_timeline_t* const one = timeline;
  const std::uint64_t value = 2;
  try {
    attempt("timeline_wait", [&] {
      return flagos_timeline_wait(1, &one, &value, FLAGOS_WAIT_MODE_ALL, patience_ns, nullptr);
    });
  } catch (const Attempt::Stopped&) {
    // The timeline goes next, and would cancel the stream's wait for it.
    CHECK(flagos_stream_synchronize(world.stream, patience_ns) == ok);
    throw;
  }
}

void pools(World& world, Attempt& attempt) {
  auto desc = desc_of<flagos_memory_pool_desc_t>();
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  Owner<flagos_memory_pool_t> pool(&flagos_memory_pool_destroy);
  attempt("pool_create",
          [&] { return flagos_memory_pool_create(world.device, &desc, pool.out()); });
  struct Blocks : std::array<flagos_address_t, 8> {
    ~Blocks() {
      for (const flagos_address_t block : *this)
        if (block != 0) CHECK(flagos_memory_pool_free(pool, stream, block) == ok);
    }
    flagos_memory_pool_t* pool = nullptr;
    flagos_stream_t* stream = nullptr;
  } blocks;
  blocks.fill(0);
  blocks.pool = pool;
  blocks.stream = world.stream;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    attempt("pool_alloc", [&] {
      return flagos_memory_pool_alloc(pool, world.stream, std::uint64_t{4096} << i, &blocks[i]);
    });
  }
  for (flagos_address_t& block : blocks) {
    attempt("pool_free", [&] { return flagos_memory_pool_free(pool, world.stream, block); });
    block = 0;
  }
  auto statistics = desc_of<flagos_memory_pool_statistics_t>();
  attempt("get_statistics", [&] { return flagos_memory_pool_get_statistics(pool, &statistics); });
  // What a trim cannot give back stays allocated until the device closes, so that one is not made to fail.
  CHECK(flagos_memory_pool_trim(pool, 0) == ok);
}

void kernels(World& world, Attempt& attempt) {
  Owner<flagos_module_t> module(&flagos_module_unload);
  auto desc = desc_of<flagos_module_desc_t>();
  desc.format = "elf-so";
  desc.path = FLAGOS_FAULTS_KERNELS;
  attempt("module_load", [&] { return flagos_module_load(world.device, &desc, module.out()); });
  auto kernel_desc = desc_of<flagos_kernel_desc_t>();
  kernel_desc.name = "tl_affine";
  flagos_kernel_t* kernel = nullptr;
  attempt("get_kernel", [&] { return flagos_module_get_kernel(module, &kernel_desc, &kernel); });
  auto info = desc_of<flagos_kernel_info_t>();
  attempt("kernel_get_info", [&] { return flagos_kernel_get_info(kernel, &info); });
  attempt("launch", [&] { return flagos_kernel_launch(world.stream, kernel, &world.launch); });
  Owner<flagos_prepared_t> prepared(&flagos_prepared_destroy);
  attempt("prepare", [&] { return flagos_kernel_prepare(kernel, &world.launch, prepared.out()); });
  attempt("launch_prepared", [&] { return flagos_kernel_launch_prepared(world.stream, prepared); });
  CHECK(flagos_stream_synchronize(world.stream, patience_ns) == ok);
}

void graphs(World& world, Attempt& attempt) {
  Owner<flagos_graph_t> graph(&flagos_graph_destroy);
  attempt("graph_create", [&] { return flagos_graph_create(world.device, graph.out()); });
  auto payload = desc_of<flagos_kernel_node_desc_t>();
  payload.kernel = world.kernel;
  payload.launch = &world.launch;
  auto node = desc_of<flagos_graph_node_desc_t>();
  node.type = FLAGOS_GRAPH_NODE_TYPE_KERNEL;
  node.payload = &payload;
  flagos_graph_node_t last = 0;
  for (int i = 0; i < 4; ++i) {
    flagos_graph_node_t next = 0;
    attempt("add_node", [&] { return flagos_graph_add_node(graph, &node, &next); });
    last = next;
    node.dependencies = &last;
    node.dependency_count = 1;
  }
  Owner<flagos_graph_t> clone(&flagos_graph_destroy);
  attempt("clone", [&] { return flagos_graph_clone(graph, clone.out()); });
  Owner<flagos_graph_exec_t> exec(&flagos_graph_exec_destroy);
  attempt("instantiate", [&] { return flagos_graph_instantiate(graph, exec.out()); });
  attempt("exec_launch", [&] { return flagos_graph_exec_launch(exec, world.stream); });
  attempt("exec_update", [&] { return flagos_graph_exec_update(exec, clone); });
  std::array<char, 4096> text{};
  std::uint64_t length = 0;
  attempt("dump", [&] { return flagos_graph_dump(graph, text.size(), text.data(), &length); });
  CHECK(flagos_stream_synchronize(world.stream, patience_ns) == ok);
}

void capture(World& world, Attempt& attempt) {
  Owner<flagos_stream_t> stream(&flagos_stream_destroy);
  Owner<flagos_graph_t> graph(&flagos_graph_destroy);
  REQUIRE(flagos_stream_create(world.device, nullptr, stream.out()) == ok);
  attempt("begin_capture", [&] { return flagos_stream_begin_capture(stream); });
  try {
    attempt("captured launch",
            [&] { return flagos_kernel_launch(stream, world.kernel, &world.launch); });
    const std::uint32_t pattern = 5;
    attempt("captured fill",
            [&] { return flagos_memory_fill(stream, world.word, &pattern, 4, 4096); });
    attempt("end_capture", [&] { return flagos_stream_end_capture(stream, graph.out()); });
  } catch (const Attempt::Stopped&) {
    flagos_capture_status_t status = 0;
    CHECK(flagos_stream_get_capture_status(stream, &status, nullptr) == ok);
    if (status != FLAGOS_CAPTURE_STATUS_NONE) flagos_stream_end_capture(stream, graph.out());
    CHECK(flagos_stream_synchronize(stream, patience_ns) == ok);
    throw;
  }
}

void interop(World& world, Attempt& attempt) {
  auto desc = desc_of<flagos_memory_desc_t>();
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 1 << 16;
  desc.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
  Memory block(world.device), imported(world.device);
  attempt("exportable alloc",
          [&] { return flagos_memory_alloc(world.device, &desc, &block.address); });
  struct External {
    ~External() {
      if (value.fd >= 0) ::close(value.fd);
    }
    flagos_external_t value{};
  } external;
  external.value.struct_size = sizeof external.value;
  external.value.fd = -1;
  attempt("export",
          [&] { return flagos_memory_export(world.device, block.address, &external.value); });
  attempt("import", [&] {
    return flagos_memory_import(world.device, &external.value, &imported.address, nullptr);
  });
}

void profiling(World& world, Attempt& attempt) {
  auto desc = desc_of<flagos_profiler_desc_t>();
  Owner<flagos_profiler_t> profiler(&flagos_profiler_destroy);
  attempt("profiler_create",
          [&] { return flagos_profiler_create(world.device, &desc, profiler.out()); });
  attempt("enable", [&] { return flagos_profiler_enable(profiler, 1); });
  attempt("launch",
          [&] { return flagos_kernel_launch(world.stream, world.kernel, &world.launch); });
  CHECK(flagos_stream_synchronize(world.stream, patience_ns) == ok);
  std::array<flagos_record_t, 16> records{};
  std::uint64_t moved = 0, dropped = 0;
  attempt("drain", [&] {
    return flagos_profiler_drain(profiler, records.size(), records.data(), &moved, &dropped);
  });
}

void opening(World& world, Attempt& attempt) {
  Owner<flagos_device_t> device(&flagos_device_close);
  attempt("device_open",
          [&] { return flagos_device_open(world.runtime, world.index, device.out()); });
  auto info = desc_of<flagos_device_info_t>();
  attempt("get_info", [&] { return flagos_device_get_info(device, &info); });
  std::uint64_t free_bytes = 0, total_bytes = 0;
  attempt("query_memory",
          [&] { return flagos_device_query_memory(device, &free_bytes, &total_bytes); });
}

void starting(World&, Attempt& attempt) {
  auto desc = desc_of<flagos_runtime_desc_t>();
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  Owner<flagos_runtime_t> runtime(&flagos_runtime_destroy);
  attempt("runtime_create", [&] { return flagos_runtime_create(&desc, runtime.out()); });
  attempt("add_plugin", [&] { return flagos_runtime_add_plugin(runtime, FLAGOS_FAULTS_PLUGIN); });
  std::uint32_t index = 0;
  attempt("device_find", [&] { return flagos_device_find(runtime, "cpu:0", &index); });
}

// Work of every kind, on a stream of its own. The threads of core and of the plugin may run out of memory at any of it: a
// call that fails says so, and no wait hangs.
void work_of_others(World& world) {
  Owner<flagos_stream_t> stream(&flagos_stream_destroy);
  Owner<flagos_event_t> event(&flagos_event_destroy);
  Owner<flagos_timeline_t> timeline(&flagos_timeline_destroy);
  Owner<flagos_graph_t> graph(&flagos_graph_destroy);
  Owner<flagos_graph_exec_t> exec(&flagos_graph_exec_destroy);
  Memory block(world.device);
  auto desc = desc_of<flagos_memory_desc_t>();
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 1 << 20;
  std::vector<std::uint8_t> host(1 << 20);
  const std::uint32_t word = 1;
  const std::uint64_t one = 1;
  const auto nothing = [](void*, flagos_status_t) {};
  const std::function<flagos_status_t()> calls[] = {
      [&] { return flagos_stream_create(world.device, nullptr, stream.out()); },
      [&] { return flagos_event_create(world.device, nullptr, event.out()); },
      [&] { return flagos_timeline_create(world.device, 0, timeline.out()); },
      [&] { return flagos_memory_alloc(world.device, &desc, &block.address); },
      [&] { return flagos_stream_begin_capture(stream); },
      [&] { return flagos_memory_fill(stream, block.address, &word, 4, 1 << 20); },
      [&] { return flagos_kernel_launch(stream, world.kernel, &world.launch); },
      [&] { return flagos_stream_end_capture(stream, graph.out()); },
      [&] { return flagos_graph_instantiate(graph, exec.out()); },
      [&] { return flagos_graph_exec_launch(exec, stream); },
      [&] { return flagos_stream_launch_host(stream, nothing, nullptr); },
      [&] { return flagos_event_record(event, stream); },
      [&] { return flagos_stream_wait_event(world.stream, event); },
      [&] { return flagos_stream_signal_timeline(stream, timeline, 1); },
      [&] {
        return flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(host.data()),
                                  block.address, host.size());
      },
      [&] { return flagos_stream_synchronize(stream, patience_ns); },
      [&] {
        return flagos_timeline_wait(1, timeline.in(), &one, FLAGOS_WAIT_MODE_ALL, patience_ns,
                                    nullptr);
      },
  };
  int number = 0;
  for (const auto& call : calls) {
    const flagos_status_t status = call();
    INFO("call " << number++ << ": " << flagos_status_get_name(status) << ": "
                 << flagos_last_error());
    const std::uint32_t status_class = FLAGOS_STATUS_CLASS(status);
    const bool is_known = status == ok || status_class == FLAGOS_STATUS_CLASS_RESOURCE ||
                          status_class == FLAGOS_STATUS_CLASS_DEVICE;
    CHECK(is_known);
    if (status != ok) break;
  }
}

// A kernel that fails: whoever runs it makes the failure, with its text, on its own thread.
void failure_of_others(World& world) {
  Owner<flagos_stream_t> stream(&flagos_stream_destroy);
  if (flagos_stream_create(world.device, nullptr, stream.out()) != ok) return;
  auto kernel_desc = desc_of<flagos_kernel_desc_t>();
  kernel_desc.name = "data_fail";
  flagos_kernel_t* kernel = nullptr;
  REQUIRE(flagos_module_get_kernel(world.module, &kernel_desc, &kernel) == ok);
  auto launch = desc_of<flagos_launch_desc_t>();
  for (int i = 0; i < 3; ++i) launch.grid[i] = launch.block[i] = 1;
  if (flagos_kernel_launch(stream, kernel, &launch) != ok) return;
  const flagos_status_t status = flagos_stream_synchronize(stream, patience_ns);
  INFO(flagos_status_get_name(status));
  CHECK(FLAGOS_STATUS_CLASS(status) >= FLAGOS_STATUS_CLASS_RESOURCE);
}

void sweep_others() {
  World world;
  work_of_others(world);
  failure_of_others(world);
  std::uint64_t hits = 0;
  for (const Kind kind : {Kind::allocation, Kind::system_call}) {
    for (const Lasting lasting : {Lasting::once, Lasting::from_then_on}) {
      std::vector<std::int64_t> held;
      const int rounds = lasting == Lasting::once ? 40 : 4;
      for (int round = 0; round < rounds; ++round) {
        // Which thread comes first differs from run to run: two that fail nothing in a row are the end.
        for (std::uint64_t nth = 1, untouched = 0; untouched < 2; ++nth) {
          INFO((std::string(kind == Kind::allocation ? "allocation " : "system call ") +
                std::to_string(nth) + " of the others"));
          REQUIRE(nth < 5000);
          arm_others(kind, lasting, nth);
          work_of_others(world);
          failure_of_others(world);
          disarm_others();
          untouched = failed_of_others() == 0 ? untouched + 1 : 0;
          hits += failed_of_others();
          // A wait for what failed may have poisoned it.
          CHECK(flagos_stream_reset(world.stream) == ok);
          world.smoke();
        }
        held.push_back(live_blocks());
      }
      if (lasting != Lasting::once) continue;
      // Which pools of objects have grown differs from round to round, by a few; a block for every second round would show.
      const auto from = held.begin();
      const bool leaks =
          *std::min_element(from + 34, from + 40) > *std::max_element(from + 10, from + 16) + 9;
      CHECK_FALSE(leaks);
    }
  }
  MESSAGE("faults in other threads: " << hits);
  CHECK(hits > 0);
}

}  // namespace

TEST_CASE("memory") { sweep(&memory); }
TEST_CASE("streams and events") { sweep(&streams); }
TEST_CASE("timelines") { sweep(&timelines); }
TEST_CASE("pools") { sweep(&pools); }
TEST_CASE("modules and kernels") { sweep(&kernels); }
TEST_CASE("graphs") { sweep(&graphs); }
TEST_CASE("capture") { sweep(&capture); }
TEST_CASE("exports") { sweep(&interop); }
TEST_CASE("profiling") { sweep(&profiling); }
TEST_CASE("opening a device") { sweep(&opening); }
TEST_CASE("in other threads than the caller's") { sweep_others(); }
TEST_CASE("starting a runtime") { sweep(&starting, true); }

}  // namespace flagos::faults
