// Rows of neg.error_code_exact: graphs and captures.
#include "conformance/cases/neg_codes.hpp"

namespace flagos::conformance {
namespace {

constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
constexpr auto invalid_size = FLAGOS_STATUS_INVALID_STRUCT_SIZE;
constexpr auto invalid_graph = FLAGOS_STATUS_INVALID_GRAPH;
constexpr auto mismatch = FLAGOS_STATUS_GRAPH_MISMATCH;
constexpr auto unsupported = FLAGOS_STATUS_UNSUPPORTED;
constexpr auto not_permitted = FLAGOS_STATUS_NOT_PERMITTED;

using Node = flagos_graph_node_desc_t;

// A node with this payload, changed by `spoil`.
template <class Payload, class Spoil>
std::function<void(Call&)> payload(flagos_graph_node_type_t type, Spoil spoil) {
  return [=](Call& call) {
    auto* const made = static_cast<Payload*>(call.keep(sizeof(Payload)));
    call.world.describe(*made);
    spoil(*made);
    auto* const desc = call.desc<Node>("desc");
    desc->type = type;
    desc->payload = made;
  };
}

void node_rows(std::vector<CodeRow>& rows) {
  const char* const entry = "flagos_graph_add_node";
  for (const int type : {1, 2, 3, 4, 5, 6, 7, 8})
    rows.push_back({entry, "type " + std::to_string(type) + " without a payload",
                    change<Node>("desc", [=](Node& desc) { desc.type = type; }), invalid_argument});
  static const flagos_graph_node_t nobody[2] = {0, UINT64_MAX};
  for (const flagos_graph_node_t& dependency : nobody)
    rows.push_back({entry, "a dependency on node " + std::to_string(dependency),
                    change<Node>("desc",
                                 [&dependency](Node& desc) {
                                   desc.dependencies = &dependency;
                                   desc.dependency_count = 1;
                                 }),
                    invalid_graph});
  rows.push_back({entry, "dependencies that are counted but not given",
                  change<Node>("desc", [](Node& desc) { desc.dependency_count = 1; }),
                  invalid_argument});
  rows.push_back({entry, "struct_size 8",
                  change<Node>("desc", [](Node& desc) { desc.struct_size = 8; }), invalid_size});
  rows.push_back({entry, "an unknown extension",
                  change<Node>("desc", [](Node& desc) { desc.next = required_extension(); }),
                  unsupported});
  rows.push_back({entry, "a child that is the graph itself",
                  [](Call& call) {
                    auto* const child = static_cast<flagos_child_node_desc_t*>(
                        call.keep(sizeof(flagos_child_node_desc_t)));
                    *child = {sizeof *child, 0, reinterpret_cast<flagos_graph_t*>(call["graph"])};
                    call.desc<Node>("desc")->type = FLAGOS_GRAPH_NODE_TYPE_CHILD;
                    call.desc<Node>("desc")->payload = child;
                  },
                  invalid_graph});
}

void payload_rows(std::vector<CodeRow>& rows) {
  const auto bad = [&](const std::string& what, std::function<void(Call&)> spoil,
                       flagos_status_t status = invalid_argument) {
    rows.push_back({"flagos_graph_add_node", what, std::move(spoil), status});
  };
  using Copy = flagos_copy_node_desc_t;
  bad("a copy past its allocation",
      payload<Copy>(FLAGOS_GRAPH_NODE_TYPE_COPY, [](Copy& desc) { desc.size_bytes = 4096; }));
  bad("a copy to 0",
      payload<Copy>(FLAGOS_GRAPH_NODE_TYPE_COPY, [](Copy& desc) { desc.target = 0; }));
  bad("a copy that wraps",
      payload<Copy>(FLAGOS_GRAPH_NODE_TYPE_COPY, [](Copy& desc) { desc.size_bytes = UINT64_MAX; }));
  bad("a copy with flags",
      payload<Copy>(FLAGOS_GRAPH_NODE_TYPE_COPY, [](Copy& desc) { desc.flags = 1; }), unsupported);
  using Copy2d = flagos_copy_2d_desc_t;
  bad("a 2-D copy with a short pitch",
      payload<Copy2d>(FLAGOS_GRAPH_NODE_TYPE_COPY_2D,
                      [](Copy2d& desc) { desc.target_pitch_bytes = 1; }));
  bad("a 2-D copy past its allocation",
      payload<Copy2d>(FLAGOS_GRAPH_NODE_TYPE_COPY_2D, [](Copy2d& desc) { desc.height = 1000; }));
  using Fill = flagos_fill_node_desc_t;
  for (const std::uint32_t size : {0u, 3u, 32u})
    bad("a fill pattern of " + std::to_string(size),
        payload<Fill>(FLAGOS_GRAPH_NODE_TYPE_FILL,
                      [=](Fill& desc) { desc.pattern_size_bytes = size; }));
  bad("a misaligned fill",
      payload<Fill>(FLAGOS_GRAPH_NODE_TYPE_FILL, [](Fill& desc) { desc.target += 2; }));
  bad("a fill past its allocation",
      payload<Fill>(FLAGOS_GRAPH_NODE_TYPE_FILL, [](Fill& desc) { desc.size_bytes = 4096; }));
  using Host = flagos_host_node_desc_t;
  bad("a host node without a function",
      payload<Host>(FLAGOS_GRAPH_NODE_TYPE_HOST, [](Host& desc) { desc.function = nullptr; }));
  using Kernel = flagos_kernel_node_desc_t;
  bad("a kernel node without a launch",
      payload<Kernel>(FLAGOS_GRAPH_NODE_TYPE_KERNEL, [](Kernel& desc) { desc.launch = nullptr; }));
  bad("a payload of struct_size 4",
      payload<Copy>(FLAGOS_GRAPH_NODE_TYPE_COPY, [](Copy& desc) { desc.struct_size = 4; }),
      invalid_size);
}

void edge_rows(std::vector<CodeRow>& rows) {
  rows.push_back({"flagos_graph_add_dependency", "from a node to itself",
                  [](Call& call) { call["to"] = call["from"]; }, invalid_graph});
  rows.push_back({"flagos_graph_add_dependency", "an edge that closes a cycle",
                  [](Call& call) {
                    flagos_graph_add_dependency(reinterpret_cast<flagos_graph_t*>(call["graph"]),
                                                call["to"], call["from"]);
                  },
                  invalid_graph});
  for (const std::uint64_t distance : {1000, 1000000}) {
    rows.push_back({"flagos_graph_get_node_info", "a node that was never made",
                    [=](Call& call) { call["node"] += distance; }, invalid_graph});
    rows.push_back({"flagos_graph_get_dependencies", "a node that was never made",
                    [=](Call& call) { call["node"] += distance; }, invalid_graph});
    rows.push_back({"flagos_graph_exec_set_node", "a node that was never made",
                    [=](Call& call) { call["node"] += distance; }, invalid_graph});
  }
  rows.push_back({"flagos_graph_exec_set_node", "a node of another type",
                  payload<flagos_copy_node_desc_t>(FLAGOS_GRAPH_NODE_TYPE_COPY,
                                                   [](flagos_copy_node_desc_t&) {}),
                  mismatch});
  rows.push_back({"flagos_graph_exec_update", "a graph with one node more",
                  [](Call& call) {
                    flagos_graph_t* larger = nullptr;
                    flagos_graph_node_t added = 0;
                    const auto desc = call.world.valid<Node>();
                    flagos_graph_clone(call.world.graph(), &larger);
                    flagos_graph_add_node(larger, &desc, &added);
                    call.undo([larger] { flagos_graph_destroy(larger); });
                    call["graph"] = reinterpret_cast<std::uint64_t>(larger);
                  },
                  mismatch});
}

void capture_rows(std::vector<CodeRow>& rows) {
  const auto begin = [](Call& call) {
    flagos_stream_begin_capture(reinterpret_cast<flagos_stream_t*>(call["stream"]));
  };
  rows.push_back(
      {"flagos_stream_begin_capture", "a stream that captures already", begin, not_permitted});
  rows.push_back({"flagos_stream_end_capture", "a stream that does not capture",
                  [](Call& call) { call["stream"] = call.world.handle(Type::stream); },
                  not_permitted});
}

}  // namespace

std::vector<CodeRow> graph_code_rows(const CodeFacts&) {
  std::vector<CodeRow> rows;
  node_rows(rows);
  payload_rows(rows);
  edge_rows(rows);
  capture_rows(rows);
  return rows;
}

}  // namespace flagos::conformance
