// Rows of the description: graphs, capture, profiling.
#include "conformance/cases/entries.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_graph = FLAGOS_STATUS_INVALID_GRAPH;
constexpr auto too_small = FLAGOS_STATUS_BUFFER_TOO_SMALL;

Argument graph() { return handle("graph", Type::graph); }
Argument exec() { return handle("exec", Type::graph_exec); }
Argument node() {
  return value("node", Kind::number, [](Call& call) { return call.world.node(); })
      .point(0, {invalid_graph})
      .point(UINT64_MAX, {invalid_graph});
}
Argument node_capacity() { return value("capacity", Kind::number, 16); }
Argument node_buffer() { return out_buffer("out_nodes", 16 * sizeof(flagos_graph_node_t)); }

flagos_graph_t* as_graph(std::uint64_t value) { return reinterpret_cast<flagos_graph_t*>(value); }
flagos_stream_t* as_stream(std::uint64_t value) {
  return reinterpret_cast<flagos_stream_t*>(value);
}

// A graph of two nodes without an edge; notes hold the nodes.
std::uint64_t graph_of_two(Call& call) {
  const std::uint64_t made = call.world.make(Type::graph);
  call.notes.assign(2, 1);
  if (!call.world.live()) return made;
  const auto desc = call.world.valid<flagos_graph_node_desc_t>();
  std::uint64_t count = 0;
  flagos_graph_node_t added = 0;
  flagos_graph_add_node(as_graph(made), &desc, &added);
  flagos_graph_get_nodes(as_graph(made), 2, call.notes.data(), &count);
  call.undo([=] { flagos_graph_destroy(as_graph(made)); });
  return made;
}

Argument noted_node(const char* name, std::size_t which) {
  return value(name, Kind::number, [which](Call& call) { return call.notes[which]; })
      .point(0, {invalid_graph})
      .point(UINT64_MAX, {invalid_graph});
}

void end_capture(flagos_stream_t* stream) {
  flagos_graph_t* captured = nullptr;
  flagos_stream_end_capture(stream, &captured);
  flagos_graph_destroy(captured);
}

// A stream of its own, so that a capture that fails disturbs nobody.
std::uint64_t stream_to_capture(Call& call) {
  const std::uint64_t made = call.world.make(Type::stream);
  if (call.world.live())
    call.undo([=] {
      end_capture(as_stream(made));
      flagos_stream_destroy(as_stream(made));
    });
  return made;
}

std::uint64_t capturing_stream(Call& call) {
  const std::uint64_t made = stream_to_capture(call);
  if (call.world.live()) flagos_stream_begin_capture(as_stream(made));
  return made;
}

Argument stream_argument(std::uint64_t (*valid)(Call&)) {
  return {.name = "stream", .kind = Kind::handle, .type = Type::stream, .valid = valid};
}

void describe_capture(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_stream_begin_capture, stream_argument(stream_to_capture))
                        .feature(FLAGOS_FEATURE_CAPTURE));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_end_capture, stream_argument(capturing_stream),
                                 out_handle("out_graph", Type::graph))
                        .feature(FLAGOS_FEATURE_CAPTURE));
  entries.push_back(FLAGOS_ENTRY(flagos_stream_get_capture_status, handle("stream", Type::stream),
                                 out_value("out_status", 4), out_value("out_id", 8).may_be_null())
                        .feature(FLAGOS_FEATURE_CAPTURE));
}

void describe_executables(std::vector<Entry>& entries) {
  entries.push_back(
      FLAGOS_ENTRY(flagos_graph_instantiate, graph(), out_handle("out_exec", Type::graph_exec)));
  entries.push_back(FLAGOS_ENTRY(flagos_graph_exec_destroy, taken("exec", Type::graph_exec)));
  entries.push_back(FLAGOS_ENTRY(flagos_graph_exec_launch, exec(), handle("stream", Type::stream)));
  entries.push_back(FLAGOS_ENTRY(flagos_graph_exec_update, exec(), graph()));
  entries.push_back(FLAGOS_ENTRY(flagos_graph_exec_set_node, exec(), node(),
                                 in_struct<flagos_graph_node_desc_t>("desc")));
}

std::uint64_t device_without_profiler(Call& call) {
  return reinterpret_cast<std::uint64_t>(call.world.spare_device());
}

void describe_profiling(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_profiler_create,
                                 Argument{.name = "device",
                                          .kind = Kind::handle,
                                          .type = Type::device,
                                          .valid = device_without_profiler},
                                 in_struct<flagos_profiler_desc_t>("desc").may_be_null(),
                                 out_handle("out_profiler", Type::profiler))
                        .feature(FLAGOS_FEATURE_PROFILING));
  entries.push_back(FLAGOS_ENTRY(flagos_profiler_destroy, taken("profiler", Type::profiler)));
  entries.push_back(FLAGOS_ENTRY(flagos_profiler_enable, handle("profiler", Type::profiler),
                                 value("enabled", Kind::number, 1)));
  entries.push_back(FLAGOS_ENTRY(flagos_profiler_drain, handle("profiler", Type::profiler),
                                 value("capacity", Kind::number, 4).point(0, {ok}),
                                 out_buffer("out_records", 4 * sizeof(flagos_record_t)),
                                 out_value("out_count", 8),
                                 out_value("out_dropped", 8).may_be_null()));
  entries.push_back(FLAGOS_ENTRY(flagos_profiler_get_clock, handle("device", Type::device),
                                 out_value("out_device_ns", 8), out_value("out_host_ns", 8))
                        .feature(FLAGOS_FEATURE_PROFILING));
  entries.push_back(FLAGOS_ENTRY(flagos_range_push,
                                 in_string("name", [](Call&) { return std::string("a range"); }))
                        .then([](Call&, flagos_status_t status) {
                          if (status == ok) flagos_range_pop();
                        }));
  entries.push_back(FLAGOS_ENTRY(flagos_range_pop).statuses({FLAGOS_STATUS_NOT_FOUND}));
}

}  // namespace

void describe_graphs(std::vector<Entry>& entries) {
  entries.push_back(FLAGOS_ENTRY(flagos_graph_create, handle("device", Type::device),
                                 out_handle("out_graph", Type::graph)));
  entries.push_back(FLAGOS_ENTRY(flagos_graph_destroy, taken("graph", Type::graph)));
  entries.push_back(
      FLAGOS_ENTRY(flagos_graph_clone, graph(), out_handle("out_graph", Type::graph)));
  entries.push_back(FLAGOS_ENTRY(flagos_graph_add_node, fresh("graph", Type::graph),
                                 in_struct<flagos_graph_node_desc_t>("desc"),
                                 out_value("out_node", 8)));
  entries.push_back(FLAGOS_ENTRY(
      flagos_graph_add_dependency,
      Argument{.name = "graph", .kind = Kind::handle, .type = Type::graph, .valid = graph_of_two},
      noted_node("from", 0), noted_node("to", 1)));
  entries.push_back(
      FLAGOS_ENTRY(flagos_graph_get_info, graph(), out_struct<flagos_graph_info_t>("out_info")));
  entries.push_back(FLAGOS_ENTRY(flagos_graph_get_nodes, graph(), node_capacity().point(0, {ok}),
                                 node_buffer(), out_value("out_count", 8)));
  entries.push_back(FLAGOS_ENTRY(flagos_graph_get_node_info, graph(), node(),
                                 out_struct<flagos_graph_node_info_t>("out_info")));
  entries.push_back(FLAGOS_ENTRY(flagos_graph_get_dependencies, graph(), node(),
                                 node_capacity().point(0, {ok}), node_buffer(),
                                 out_value("out_count", 8)));
  entries.push_back(
      FLAGOS_ENTRY(flagos_graph_dump, graph(),
                   value("capacity_bytes", Kind::size, 4096).point(0, {ok}).point(1, {too_small}),
                   out_buffer("text", 4096), out_value("out_size_bytes", 8)));
  describe_executables(entries);
  describe_capture(entries);
  describe_profiling(entries);
}

}  // namespace flagos::conformance
