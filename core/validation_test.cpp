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
