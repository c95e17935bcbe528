// The layer is turned on for good, so this runs in a process of its own: see CMakeLists.txt.
#include "core/validation.hpp"

#include <doctest/doctest.h>
#include <flagos.h>

#include <functional>
#include <string>
#include <vector>

#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/test_graph.hpp"
#include "core/trace.hpp"

using namespace flagos::core::test;

namespace {

flagos_status_t add(Fake& f, flagos_stream_t* stream, flagos_address_t address) {
  struct {
    flagos_address_t address;
    std::uint32_t count, value;
  } block{address, 1, 1};
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  desc.argument_block = &block;
  desc.argument_bytes = sizeof(block);
  return flagos_kernel_launch(stream, f.kernel("add"), &desc);
}

std::string last_error() { return flagos_last_error(); }

std::vector<std::string>& lines() {
  static std::vector<std::string> the_lines;
  return the_lines;
}

bool was_logged(const std::string& part) {
  for (const std::string& line : lines()) {
    if (line.find(part) != std::string::npos) return true;
  }
  return false;
}

// ---- operators and collectives that do nothing: what they are given is looked at before they run -------------------

constexpr flagos_status_t ok = FLAGOS_STATUS_OK;

const flagos_operators_table_t operators = {
    sizeof(operators), 1,
    [](flagos_plugin_device_t*, std::uint32_t index, flagos_operator_info_t* out) {
      out->name = "join";
      out->schema = "join(Tensor[] inputs, Tensor! out)";
      return index == 0 ? ok : flagos_status_t{FLAGOS_STATUS_NOT_FOUND};
    },
    [](flagos_plugin_device_t*, const flagos_operator_desc_t*, flagos_operator_support_t* out) {
      out->flags = FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS | FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE;
      return ok;
    },
    [](flagos_plugin_stream_t*, const flagos_operator_desc_t*) { return ok; }};

flagos_collective_table_t make_collectives() {
  flagos_collective_table_t table{};
  begin_table(table);
  table.query = [](flagos_plugin_device_t*, flagos_collective_operation_t, flagos_dtype_t,
                   flagos_collective_reduction_t, flagos_collective_support_t* out) {
    out->flags = FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS | FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE;
    return ok;
  };
  table.unique_id_create = [](flagos_plugin_device_t*, flagos_collective_id_t* out) {
    out->size_bytes = 1;
    return ok;
  };
  table.communicator_create = [](flagos_plugin_device_t*, const flagos_communicator_desc_t*,
                                 flagos_plugin_communicator_t** out) {
    *out = reinterpret_cast<flagos_plugin_communicator_t*>(new int(0));
    return ok;
  };
  table.communicator_destroy = [](flagos_plugin_communicator_t* communicator) {
    delete reinterpret_cast<int*>(communicator);
  };
  table.communicator_query_error = [](flagos_plugin_communicator_t*, flagos_status_t* out) {
    *out = ok;
    return ok;
  };
  table.all_gather = [](flagos_plugin_communicator_t*, flagos_plugin_stream_t*, const flagos_collective_desc_t*) {
    return ok;
  };
  return table;
}
const flagos_collective_table_t collectives = make_collectives();

flagos_communicator_t* join(Fake& f) {
  flagos_collective_id_t id{};
  REQUIRE(flagos_collective_id_create(f.device(), &id) == ok);
  flagos_communicator_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.size = 1;
  desc.id = &id;
  flagos_communicator_t* communicator = nullptr;
  REQUIRE(flagos_communicator_create(f.device(), &desc, &communicator) == ok);
  return communicator;
}

// One call of "join" with a list of tensors and one tensor, all of which lie at `address`.
flagos_status_t run_join(flagos_stream_t* stream, flagos_address_t listed, flagos_address_t out) {
  std::int64_t shape = 4, stride = 1;
  flagos_tensor_t tensors[2]{};
  for (int i = 0; i < 2; ++i) {
    tensors[i].struct_size = sizeof(tensors[i]);
    tensors[i].dtype = FLAGOS_DTYPE_INT32;
    tensors[i].rank = 1;
    tensors[i].shape = &shape;
    tensors[i].strides = &stride;
    tensors[i].address = i == 0 ? listed : out;
  }
  const flagos_tensor_t* list[] = {&tensors[0]};
  const auto value = [](const void* pointer) {
    return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer));
  };
  const flagos_operator_argument_t arguments[] = {{FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSORS, 1, value(list)},
                                                  {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR, 0, value(&tensors[1])}};
  flagos_operator_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.arguments = arguments;
  desc.argument_count = 2;
  return flagos_operator_run(stream, &desc);
}

flagos_status_t gather(flagos_communicator_t* communicator, flagos_stream_t* stream, flagos_address_t source,
                       flagos_address_t target) {
  flagos_collective_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.dtype = FLAGOS_DTYPE_INT32;
  desc.count = 4;
  desc.source = source;
  desc.target = target;
  return flagos_collective_all_gather(communicator, stream, &desc);
}

flagos_status_t copy_rows(flagos_stream_t* stream, flagos_address_t target, flagos_address_t source) {
  flagos_copy_2d_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.target = target;
  desc.source = source;
  desc.target_pitch_bytes = desc.source_pitch_bytes = 32;
  desc.width_bytes = 16;
  desc.height = 2;
  return flagos_memory_copy_2d(stream, &desc);
}

FakeOptions with_groups() {
  FakeOptions options;
  options.operators = &operators;
  options.collective = &collectives;
  return options;
}

}  // namespace

TEST_CASE("freed and foreign memory is found before a kernel, a copy or a graph uses it") {
  REQUIRE(flagos_set_log_callback([](void*, flagos_log_level_t, const char* text) { lines().push_back(text); }, nullptr,
                                  FLAGOS_LOG_LEVEL_WARNING) == FLAGOS_STATUS_OK);
  flagos::core::enable_layers("validation", nullptr);
  {
    Fake f;
    flagos_stream_t* stream = f.stream();
    flagos_device_t* other = f.open(1);
    const flagos_address_t memory = f.alloc(4096);
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = 256;
    flagos_address_t foreign = 0;
    REQUIRE(flagos_memory_alloc(other, &desc, &foreign) == FLAGOS_STATUS_OK);
    CHECK(add(f, stream, memory) == FLAGOS_STATUS_OK);
    CHECK(add(f, stream, foreign) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(last_error().find("kernel 'add', parameter 0") != std::string::npos);
    CHECK(flagos_memory_copy(stream, memory, memory + 100, 200) == FLAGOS_STATUS_OK);
    CHECK(was_logged("overlaps itself"));

    GraphMaker g(f);
    flagos_fill_node_desc_t fill{};
    fill.struct_size = sizeof(fill);
    fill.pattern_size_bytes = 1;
    fill.target = memory;
    fill.size_bytes = 256;
    g.add(FLAGOS_GRAPH_NODE_TYPE_FILL, &fill, {});
    flagos_graph_exec_t* exec = g.instantiate();
    CHECK(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_memory_free(f.device(), memory) == FLAGOS_STATUS_OK);
    CHECK(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(last_error().find("freed") != std::string::npos);
    CHECK(add(f, stream, memory) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(flagos_memory_copy(stream, foreign, memory, 16) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(flagos_memory_free(other, foreign) == FLAGOS_STATUS_OK);
  }
  CHECK(was_logged("when its runtime was destroyed"));
  REQUIRE(flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_WARNING) == FLAGOS_STATUS_OK);
}

TEST_CASE("freed memory is found in operators and collectives, and in every kind of node") {
  flagos::core::enable_layers("validation", nullptr);
  Fake f(with_groups());
  flagos_stream_t* const stream = f.stream();
  flagos_communicator_t* const communicator = join(f);
  const flagos_address_t kept = f.alloc(4096);
  struct Kind {
    const char* text;
    std::function<flagos_status_t(flagos_address_t)> queue;
    bool direct;  // also refused where it is queued by itself
  };
  const Kind kinds[] = {
      {"target", [&](flagos_address_t memory) { return flagos_memory_copy(stream, memory, kept, 16); }, true},
      {"source", [&](flagos_address_t memory) { return copy_rows(stream, kept, memory); }, false},
      {"kernel 'add', parameter 0", [&](flagos_address_t memory) { return add(f, stream, memory); }, true},
      {"operator 'join', argument 0", [&](flagos_address_t memory) { return run_join(stream, memory, kept); }, true},
      {"operator 'join', argument 1", [&](flagos_address_t memory) { return run_join(stream, kept, memory); }, true},
      {"a buffer of a collective", [&](flagos_address_t memory) { return gather(communicator, stream, memory, kept); },
       true},
  };
  for (const Kind& kind : kinds) {
    INFO(kind.text);
    const flagos_address_t memory = f.alloc(4096);
    REQUIRE(flagos_stream_begin_capture(stream) == ok);
    REQUIRE(kind.queue(memory) == ok);
    flagos_graph_t* graph = nullptr;
    REQUIRE(flagos_stream_end_capture(stream, &graph) == ok);
    flagos_graph_exec_t* exec = nullptr;
    REQUIRE(flagos_graph_instantiate(graph, &exec) == ok);
    CHECK(flagos_graph_exec_launch(exec, stream) == ok);
    CHECK(kind.queue(memory) == ok);
    REQUIRE(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == ok);
    REQUIRE(flagos_memory_free(f.device(), memory) == ok);
    CHECK(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(last_error().find("graph node") != std::string::npos);
    CHECK_MESSAGE(last_error().find(kind.text) != std::string::npos, last_error());
    if (kind.direct) {
      CHECK(kind.queue(memory) == FLAGOS_STATUS_INVALID_ARGUMENT);
      CHECK_MESSAGE(last_error().find("freed") != std::string::npos, last_error());
    }
    CHECK(flagos_graph_exec_destroy(exec) == ok);
    CHECK(flagos_graph_destroy(graph) == ok);
  }
  CHECK(flagos_memory_free(f.device(), kept) == ok);
}

TEST_CASE("ordinary host memory is refused for kernels that cannot reach it") {
  flagos::core::enable_layers("validation", nullptr);
  FakeOptions options;
  options.foreign_memory = 1;
  Fake f(options);
  std::uint32_t word = 0;
  CHECK(add(f, f.stream(), reinterpret_cast<std::uintptr_t>(&word)) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK_MESSAGE(last_error().find("kernel 'add', parameter 0") != std::string::npos, last_error());
  CHECK_MESSAGE(last_error().find("whose kernels cannot reach ordinary host memory") != std::string::npos,
                last_error());
}

TEST_CASE("an event that is destroyed under a waiting thread is told") {
  flagos::core::enable_layers("validation", nullptr);
  lines().clear();
  REQUIRE(flagos_set_log_callback([](void*, flagos_log_level_t, const char* text) { lines().push_back(text); }, nullptr,
                                  FLAGOS_LOG_LEVEL_WARNING) == ok);
  {
    Fake f;
    flagos_event_t* const event = f.event();
    flagos::core::Ref<flagos::core::Event> waited_for;
    {
      flagos::core::ReadSection section(flagos::core::this_thread());
      waited_for = flagos::core::Ref<flagos::core::Event>(&flagos::core::resolve<flagos::core::Event>(event, "event"));
    }
    const flagos::core::EventWait waiting(*waited_for);
    const flagos::core::EventWait also_waiting(*waited_for);
    CHECK(flagos_event_destroy(event) == ok);
    CHECK(was_logged("an event is destroyed while 2 threads wait for it"));
  }
  REQUIRE(flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_WARNING) == ok);
}

// ---- objects that a plugin gives twice, and that a program uses after their end -----------------------------------------

namespace {

template <typename T>
T* number_one() {
  return reinterpret_cast<T*>(std::uintptr_t{8});
}

// The optional groups, whose objects are all number one; and one module, kernel and prepared launch for every question.
void give_twice(FakeTables& tables) {
  static flagos_status_t (*own_load)(flagos_plugin_device_t*, const flagos_module_desc_t*, flagos_plugin_module_t**);
  static flagos_status_t (*own_kernel)(flagos_plugin_module_t*, const flagos_kernel_desc_t*, flagos_plugin_kernel_t**);
  static flagos_plugin_module_t* module = nullptr;
  static void (*own_unload)(flagos_plugin_module_t*);
  own_load = tables.module.load;
  own_kernel = tables.module.get_kernel;
  own_unload = tables.module.unload;
  tables.module.load = [](flagos_plugin_device_t* device, const flagos_module_desc_t* desc,
                          flagos_plugin_module_t** out) {
    const flagos_status_t status = module == nullptr ? own_load(device, desc, &module) : ok;
    *out = module;
    return status;
  };
  tables.module.unload = [](flagos_plugin_module_t* gone) {
    own_unload(gone);
    module = nullptr;
  };
  tables.module.get_kernel = [](flagos_plugin_module_t* of, const flagos_kernel_desc_t* desc,
                                flagos_plugin_kernel_t** out) {
    flagos_kernel_desc_t same = *desc;
    same.name = "append";
    static flagos_plugin_kernel_t* kernel = nullptr;
    static flagos_plugin_module_t* kernel_of = nullptr;
    const flagos_status_t status = kernel_of == of ? ok : own_kernel(of, &same, &kernel);
    kernel_of = of;
    *out = kernel;
    return status;
  };
  tables.kernel.prepare = [](flagos_plugin_kernel_t*, const flagos_launch_desc_t*, flagos_plugin_prepared_t** out) {
    *out = number_one<flagos_plugin_prepared_t>();
    return ok;
  };
  tables.kernel.destroy_prepared = [](flagos_plugin_prepared_t*) {};
  tables.kernel.launch_prepared = [](flagos_plugin_stream_t*, flagos_plugin_prepared_t*) { return ok; };
}

void give_pools_twice(FakeTables& tables) {
  auto& pool = begin_table(tables.memory_pool);
  pool.create = [](flagos_plugin_device_t*, const flagos_memory_pool_desc_t*, flagos_plugin_memory_pool_t** out) {
    *out = number_one<flagos_plugin_memory_pool_t>();
    return ok;
  };
  pool.destroy = [](flagos_plugin_memory_pool_t*) {};
  pool.alloc = [](flagos_plugin_memory_pool_t*, flagos_plugin_stream_t*, std::uint64_t, flagos_address_t*) {
    return flagos_status_t{FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY};
  };
  pool.free = [](flagos_plugin_memory_pool_t*, flagos_plugin_stream_t*, flagos_address_t) { return ok; };
  pool.trim = [](flagos_plugin_memory_pool_t*, std::uint64_t) { return ok; };
  pool.set_limit = pool.trim;
  pool.get_statistics = [](flagos_plugin_memory_pool_t*, flagos_memory_pool_statistics_t*) { return ok; };
}

void give_timelines_twice(FakeTables& tables) {
  auto& timeline = begin_table(tables.timeline);
  timeline.create = [](flagos_plugin_device_t*, std::uint64_t, flagos_plugin_timeline_t** out) {
    *out = number_one<flagos_plugin_timeline_t>();
    return ok;
  };
  timeline.destroy = [](flagos_plugin_timeline_t*) {};
  timeline.query = [](flagos_plugin_timeline_t*, std::uint64_t* out) {
    *out = 0;
    return ok;
  };
  timeline.signal = [](flagos_plugin_timeline_t*, std::uint64_t) { return ok; };
  timeline.wait = [](std::uint32_t, flagos_plugin_timeline_t* const*, const std::uint64_t*, flagos_wait_mode_t,
                     std::uint64_t, std::uint32_t*) { return ok; };
  timeline.fail = [](flagos_plugin_timeline_t*, flagos_status_t) { return ok; };
  timeline.stream_wait = [](flagos_plugin_stream_t*, flagos_plugin_timeline_t*, std::uint64_t) { return ok; };
  timeline.stream_signal = timeline.stream_wait;
}

void give_graphs_twice(FakeTables& tables) {
  auto& graph = begin_table(tables.graph);
  graph.instantiate = [](flagos_plugin_device_t*, const flagos_plugin_graph_node_t*, std::uint32_t,
                         flagos_plugin_graph_t** out) {
    *out = number_one<flagos_plugin_graph_t>();
    return ok;
  };
  graph.launch = [](flagos_plugin_graph_t*, flagos_plugin_stream_t*) { return ok; };
  graph.update = [](flagos_plugin_graph_t*, const flagos_plugin_graph_node_t*, std::uint32_t) { return ok; };
  graph.destroy = [](flagos_plugin_graph_t*) {};
}

FakeOptions with(void (*change)(FakeTables&)) {
  FakeOptions options;
  options.change = change;
  return options;
}

flagos_status_t load_module(Fake& f, flagos_module_t** out) {
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = "fake";
  desc.data = "fake";
  desc.size_bytes = 4;
  return flagos_module_load(f.device(), &desc, out);
}

flagos_status_t find_kernel(flagos_module_t* module, const char* name, flagos_kernel_t** out) {
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.name = name;
  return flagos_module_get_kernel(module, &desc, out);
}

flagos_status_t prepare(flagos_kernel_t* kernel, flagos_prepared_t** out) {
  static std::uint32_t value = 1;
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  desc.argument_block = &value;
  desc.argument_bytes = sizeof(value);
  return flagos_kernel_prepare(kernel, &desc, out);
}

flagos_status_t create_pool(Fake& f, flagos_memory_pool_t** out) {
  flagos_memory_pool_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  return flagos_memory_pool_create(f.device(), &desc, out);
}

// The second one is refused by its slot's name; once the first is gone, the same object is another.
template <typename T>
void expect_once(const char* slot, const std::function<flagos_status_t(T**)>& create, flagos_status_t (*destroy)(T*)) {
  T *first = nullptr, *second = nullptr;
  REQUIRE_MESSAGE(create(&first) == ok, last_error());
  CHECK(create(&second) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
  CHECK_MESSAGE(last_error().find(std::string("twice from ") + slot) != std::string::npos, last_error());
  CHECK(second == nullptr);
  CHECK(destroy(first) == ok);
  REQUIRE_MESSAGE(create(&second) == ok, last_error());
  CHECK(destroy(second) == ok);
}

}  // namespace

TEST_CASE("an object that the plugin gives twice is refused, and named with its slot") {
  flagos::core::enable_layers("validation", nullptr);
  SUBCASE("a module") {
    Fake f(with(&give_twice));
    expect_once<flagos_module_t>(
        "module.load", [&](auto** out) { return load_module(f, out); }, &flagos_module_unload);
  }
  SUBCASE("a kernel") {
    Fake f(with(&give_twice));
    for (int i = 0; i < 2; ++i) {  // its kernels go with a module
      flagos_module_t* module = nullptr;
      flagos_kernel_t *kernel = nullptr, *same = nullptr, *other = nullptr;
      REQUIRE(load_module(f, &module) == ok);
      REQUIRE_MESSAGE(find_kernel(module, i == 0 ? "append" : "noop", &kernel) == ok, last_error());
      CHECK(find_kernel(module, i == 0 ? "append" : "noop", &same) == ok);
      CHECK(same == kernel);
      CHECK(find_kernel(module, "add", &other) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
      CHECK_MESSAGE(last_error().find("twice from module.get_kernel: for '") != std::string::npos, last_error());
      CHECK_MESSAGE(last_error().find("and for 'add'") != std::string::npos, last_error());
      CHECK(other == nullptr);
      CHECK(flagos_module_unload(module) == ok);
    }
  }
  SUBCASE("a prepared launch") {
    Fake f(with(&give_twice));
    flagos_kernel_t* const kernel = f.kernel("append");
    expect_once<flagos_prepared_t>(
        "kernel.prepare", [&](auto** out) { return prepare(kernel, out); }, &flagos_prepared_destroy);
  }
  SUBCASE("a memory pool") {
    Fake f(with(&give_pools_twice));
    expect_once<flagos_memory_pool_t>(
        "memory_pool.create", [&](auto** out) { return create_pool(f, out); }, &flagos_memory_pool_destroy);
  }
  SUBCASE("a timeline") {
    Fake f(with(&give_timelines_twice));
    expect_once<flagos_timeline_t>(
        "timeline.create", [&](auto** out) { return flagos_timeline_create(f.device(), 0, out); },
        &flagos_timeline_destroy);
  }
  SUBCASE("a graph") {
    Fake f(with(&give_graphs_twice));
    GraphMaker g(f);
    g.append(1);
    expect_once<flagos_graph_exec_t>(
        "graph.instantiate", [&](auto** out) { return flagos_graph_instantiate(g.graph(), out); },
        &flagos_graph_exec_destroy);
  }
}

TEST_CASE("an object that the program uses after its end, or ends twice, is named") {
  flagos::core::enable_layers("validation", nullptr);
  Fake f;
  flagos_stream_t* const stream = f.stream();
  const auto gone = [](flagos_status_t status, const std::string& word) {
    CHECK(status == FLAGOS_STATUS_INVALID_HANDLE);
    CHECK_MESSAGE(last_error().find("is not a live " + word + ": destroyed already") != std::string::npos,
                  last_error());
  };
  SUBCASE("a module and its kernels") {
    flagos_module_t* module = nullptr;
    flagos_kernel_t *kernel = nullptr, *other = nullptr;
    flagos_prepared_t* prepared = nullptr;
    REQUIRE(load_module(f, &module) == ok);
    REQUIRE(find_kernel(module, "append", &kernel) == ok);
    REQUIRE(prepare(kernel, &prepared) == ok);
    REQUIRE(flagos_module_unload(module) == ok);
    gone(find_kernel(module, "append", &other), "module");
    gone(flagos_module_unload(module), "module");
    gone(prepare(kernel, &prepared), "kernel");
  }
  SUBCASE("a prepared launch") {
    flagos_prepared_t* prepared = nullptr;
    REQUIRE(prepare(f.kernel("append"), &prepared) == ok);
    REQUIRE(flagos_prepared_destroy(prepared) == ok);
    gone(flagos_kernel_launch_prepared(stream, prepared), "prepared launch");
    gone(flagos_prepared_destroy(prepared), "prepared launch");
  }
  SUBCASE("a memory pool") {
    flagos_memory_pool_t* pool = nullptr;
    flagos_address_t block = 0, other = 0;
    REQUIRE(create_pool(f, &pool) == ok);
    REQUIRE(flagos_memory_pool_alloc(pool, stream, 256, &block) == ok);
    CHECK(flagos_memory_pool_destroy(pool) == FLAGOS_STATUS_BUSY);
    CHECK_MESSAGE(last_error().find("1 blocks of the pool are live") != std::string::npos, last_error());
    REQUIRE(flagos_memory_pool_free(pool, stream, block) == ok);
    REQUIRE(flagos_memory_pool_destroy(pool) == ok);
    gone(flagos_memory_pool_alloc(pool, stream, 256, &other), "memory pool");
    gone(flagos_memory_pool_destroy(pool), "memory pool");
  }
  SUBCASE("a timeline") {
    flagos_timeline_t* const timeline = f.timeline();
    REQUIRE(flagos_timeline_destroy(timeline) == ok);
    gone(flagos_timeline_signal(timeline, 1), "timeline");
    gone(flagos_timeline_destroy(timeline), "timeline");
  }
  SUBCASE("a graph and its executable") {
    flagos_graph_t* graph = nullptr;
    flagos_graph_exec_t *exec = nullptr, *other = nullptr;
    REQUIRE(flagos_graph_create(f.device(), &graph) == ok);
    REQUIRE(flagos_graph_instantiate(graph, &exec) == ok);
    REQUIRE(flagos_graph_destroy(graph) == ok);
    CHECK(flagos_graph_exec_launch(exec, stream) == ok);  // it outlives the graph
    gone(flagos_graph_instantiate(graph, &other), "graph");
    gone(flagos_graph_destroy(graph), "graph");
    REQUIRE(flagos_graph_exec_destroy(exec) == ok);
    gone(flagos_graph_exec_launch(exec, stream), "graph executable");
    gone(flagos_graph_exec_destroy(exec), "graph executable");
  }
}
