// Graphs node by node: every type, dependencies, and what a graph says of itself.
#include <flagos.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "conformance/cases/graph_support.hpp"

namespace flagos::conformance {
namespace {

std::vector<std::uint32_t> same(std::uint32_t count, std::uint32_t value) {
  return std::vector<std::uint32_t>(count, value);
}

}  // namespace

FLAGOS_CASE("graph.create_destroy",
            {.clause = "flagos_graph_create", .level = Level::optional, .feature = "graph"}) {
  t.subcase("an empty graph");
  {
    Graph graph(t);
    t.equal(graph.info().node_count + graph.info().edge_count, 0, "it holds nothing");
  }
  t.ok(flagos_graph_destroy(nullptr), "NULL is destroyed");
  t.subcase("a hundred with nodes");
  Words words(t, 4, 1);
  for (std::uint32_t i = 0; i < 100; ++i) {
    Graph graph(t);
    graph.affine(words, 1, 1, {graph.affine(words, 1, 1)});
    if (i == 50) run_once(t, graph);
  }
  t.equal(words.first(), 3, "only the one that was launched ran");
}

FLAGOS_CASE("graph.empty_launch",
            {.clause = "flagos_graph_exec_launch", .level = Level::optional, .feature = "graph"}) {
  Graph graph(t);
  Executable exec(t, graph);
  Stream stream(t);
  Words words(t, 4, 1);
  affine(t, stream, words, 2, 0);
  exec.launch(stream);
  affine(t, stream, words, 2, 1);
  exec.launch(stream);
  stream.synchronize();
  t.equal(words.first(), 5, "an empty graph lets the work around it pass");
  Graph joins(t);
  joins.empty({joins.empty(), joins.empty()});
  run_once(t, joins);
}

FLAGOS_CASE("graph.node.kernel", {.clause = "FLAGOS_GRAPH_NODE_TYPE_KERNEL",
                                  .level = Level::optional,
                                  .feature = "graph"}) {
  for (const bool two : {false, true}) {
    t.subcase(two ? "two nodes" : "one node");
    Words words(t, 1000, 3);
    Graph graph(t);
    const auto first = graph.affine(words, 5, 1);
    if (two) graph.affine(words, 7, 2, {first});
    t.equal(words.first(), 3, "nothing runs before the launch");
    run_once(t, graph);
    equal_words(t, words.read(), same(1000, two ? 114 : 16), "the kernels ran in their order");
  }
}

FLAGOS_CASE("graph.node.copy", {.clause = "FLAGOS_GRAPH_NODE_TYPE_COPY",
                                .level = Level::optional,
                                .feature = "graph"}) {
  const auto values = random_words(t, 1024);
  std::vector<std::uint32_t> host(1024, 0);
  const auto host_at = [](const std::vector<std::uint32_t>& words) {
    return reinterpret_cast<flagos_address_t>(words.data());
  };
  t.subcase("host to device");
  Words one(t, 1024), two(t, 1024);
  {
    Graph graph(t);
    graph.copy(one.at(), host_at(values), 4096);
    run_once(t, graph);
    equal_words(t, one.read(), values, "the device has the host's words");
  }
  t.subcase("device to device");
  {
    Graph graph(t);
    graph.copy(two.at(), one.at(), 4096);
    run_once(t, graph);
    equal_words(t, two.read(), values, "the second array is the first");
  }
  t.subcase("device to host");
  {
    Graph graph(t);
    graph.copy(host_at(host), two.at(), 4096);
    run_once(t, graph);
    equal_words(t, host, values, "the host has the device's words");
  }
  t.subcase("pinned to device");
  if (t.has(FLAGOS_FEATURE_PINNED_MEMORY)) {
    Buffer pinned(t, 4096, FLAGOS_MEMORY_KIND_PINNED);
    pinned.write(std::vector<std::uint8_t>(4096, 0x33));
    Graph graph(t);
    graph.copy(one.at(), pinned.address(), 4096);
    run_once(t, graph);
    equal_words(t, one.read(), same(1024, 0x33333333), "the device has the pinned bytes");
  }
  t.subcase("two dimensions");
  if (t.has(FLAGOS_FEATURE_COPY_2D)) {
    Words target(t, 1024, 9);
    flagos_copy_2d_desc_t rows{};
    rows.struct_size = sizeof rows;
    rows.target = target.at();
    rows.source = two.at();
    rows.target_pitch_bytes = 128;
    rows.source_pitch_bytes = 64;
    rows.width_bytes = 40;
    rows.height = 32;
    Graph graph(t);
    graph.add(FLAGOS_GRAPH_NODE_TYPE_COPY_2D, &rows);
    run_once(t, graph);
    auto expected = same(1024, 9);
    for (std::size_t y = 0; y < 32; ++y)
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(y * 16), 10,
                  expected.begin() + static_cast<std::ptrdiff_t>(y * 32));
    equal_words(t, target.read(), expected, "rows are copied, gaps stay");
  }
  t.subcase("zero bytes");
  Graph graph(t);
  graph.copy(one.at(), two.at(), 0, {graph.affine(two, 0, 4)});
  run_once(t, graph);
  equal_words(t, two.read(), same(1024, 4), "a copy of nothing lets the others run");
}

FLAGOS_CASE("graph.node.fill", {.clause = "FLAGOS_GRAPH_NODE_TYPE_FILL",
                                .level = Level::optional,
                                .feature = "graph"}) {
  t.subcase("the value is captured at the add");
  Words words(t, 256);
  Graph graph(t);
  auto payload = fill_payload(words.at(), 0x11223344, 1024);
  graph.add(FLAGOS_GRAPH_NODE_TYPE_FILL, &payload);
  payload.pattern[0] = 0;
  payload.target = 1;
  run_once(t, graph);
  equal_words(t, words.read(), same(256, 0x11223344), "the fill is the one that was added");
  for (const std::uint32_t size : {1u, 2u, 8u, 16u}) {
    t.subcase("a pattern of " + std::to_string(size) + " bytes");
    if (size > 4 && !t.has(FLAGOS_FEATURE_WIDE_FILL)) continue;
    Buffer target(t, 160);
    const auto pattern = t.random_bytes(size);
    auto fill = fill_payload(target.address(), 0, 160);
    fill.pattern_size_bytes = size;
    std::copy(pattern.begin(), pattern.end(), fill.pattern);
    Graph patterned(t);
    patterned.add(FLAGOS_GRAPH_NODE_TYPE_FILL, &fill);
    run_once(t, patterned);
    std::vector<std::uint8_t> expected(160);
    for (std::size_t i = 0; i < 160; ++i) expected[i] = pattern[i % size];
    t.equal_bytes(target.read(), expected, "the pattern repeats");
  }
  t.subcase("refused as a fill is");
  payload.pattern_size_bytes = 3;
  t.status(graph.try_add(node_desc(FLAGOS_GRAPH_NODE_TYPE_FILL, &payload)),
           FLAGOS_STATUS_INVALID_ARGUMENT, "a pattern of 3");
}

FLAGOS_CASE("graph.node.host", {.clause = "FLAGOS_GRAPH_NODE_TYPE_HOST",
                                .level = Level::optional,
                                .feature = "graph"}) {
  t.require(FLAGOS_FEATURE_HOST_CALLBACK);
  struct Seen {
    std::vector<std::uint32_t> words = std::vector<std::uint32_t>(1, 0);
    std::vector<std::uint32_t> order;
  } seen;
  Stream stream(t);
  Drain drain(stream);
  Words words(t, 1, 1);
  Graph graph(t);
  const auto kernel = graph.affine(words, 3, 1);
  const auto copy =
      graph.copy(reinterpret_cast<flagos_address_t>(seen.words.data()), words.at(), 4, {kernel});
  const auto note = [](void* data, flagos_status_t) {
    auto& s = *static_cast<Seen*>(data);
    s.order.push_back(s.words[0]);
  };
  const auto host = graph.host(note, &seen, {copy});
  graph.affine(words, 1, 10, {host});
  Executable exec(t, graph);
  for (const std::uint32_t launches : {1u, 4u}) {
    t.subcase(std::to_string(launches) + " launches");
    for (std::uint32_t i = 0; i < launches; ++i) exec.launch(stream);
    stream.synchronize();
  }
  std::uint32_t value = 1;
  std::vector<std::uint32_t> expected;
  for (int i = 0; i < 5; ++i) {
    expected.push_back(value * 3 + 1);
    value = value * 3 + 11;
  }
  equal_words(t, seen.order, expected,
              "the host function runs once per launch, between its neighbours");
  t.equal(words.first(), value, "the kernels ran");
}

FLAGOS_CASE("graph.node.event", {.clause = "FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD",
                                 .level = Level::optional,
                                 .feature = "graph"}) {
  Stream stream(t), other(t);
  Event event(t);
  t.subcase("record");
  {
    Words words(t, 4, 1);
    Graph graph(t);
    graph.event(true, event, {graph.affine(words, 6, 0)});
    Executable exec(t, graph);
    Blocker blocker(t, stream);
    exec.launch(stream);
    blocker.release();
    stream.synchronize();
    t.check(event_done(t, event), "the event of the graph is complete with it");
    t.equal(words.first(), 6, "the kernel before the record ran");
  }
  t.subcase("record, waited for by another stream");
  {
    Words words(t, 4, 1);
    Graph graph(t);
    graph.event(true, event, {graph.affine(words, 6, 0)});
    Executable exec(t, graph);
    exec.launch(stream);
    t.ok(flagos_stream_wait_event(other, event), "a wait behind the launch");
    affine(t, other, words, 2, 3);
    other.synchronize();
    t.equal(words.first(), 15, "the other stream waited for the graph's record");
    stream.synchronize();
  }
  t.subcase("wait");
  if ((t.info().capabilities & FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS) != 0) {
    Words words(t, 4, 1);
    Graph graph(t);
    graph.affine(words, 10, 0, {graph.event(false, event)});
    Executable exec(t, graph);
    Blocker blocker(t, other);
    affine(t, other, words, 1, 4);
    t.ok(flagos_event_record(event, other), "a record on the other stream");
    exec.launch(stream);
    nap(0.02);
    t.check(!stream_done(t, stream), "the graph waits for the other stream");
    blocker.release();
    stream.synchronize();
    t.equal(words.first(), 50, "the node behind the wait ran after the other stream's work");
  }
}

FLAGOS_CASE("graph.node.child", {.clause = "FLAGOS_GRAPH_NODE_TYPE_CHILD",
                                 .level = Level::optional,
                                 .feature = "graph"}) {
  t.subcase("nested eight deep");
  {
    Words words(t, 16, 1);
    std::vector<std::unique_ptr<Graph>> levels;
    std::uint32_t expected = 1;
    for (std::uint32_t depth = 0; depth < 8; ++depth) {
      auto graph = std::make_unique<Graph>(t);
      Nodes before;
      if (depth > 0) before.push_back(graph->child(*levels.back()));
      graph->affine(words, 3, depth, before);
      levels.push_back(std::move(graph));
      expected = expected * 3 + depth;
    }
    run_once(t, *levels.back());
    equal_words(t, words.read(), same(16, expected), "inner nodes run before outer ones");
  }
  t.subcase("changed after the add");
  {
    Words words(t, 16, 1);
    Graph child(t), parent(t);
    child.affine(words, 2, 1);
    const auto node = parent.child(child);
    parent.affine(words, 10, 0, {node});
    child.affine(words, 100, 0);
    child.destroy();
    run_once(t, parent);
    equal_words(t, words.read(), same(16, 30), "the parent keeps the child as it was");
  }
  t.subcase("twice in one parent");
  {
    Words words(t, 16, 1);
    Graph child(t), parent(t);
    child.affine(words, 5, 2, {child.affine(words, 3, 1)});
    const auto first = parent.child(child);
    const auto between = parent.affine(words, 1, 100, {first});
    parent.child(child, {between});
    run_once(t, parent);
    equal_words(t, words.read(), same(16, ((4 * 5 + 2 + 100) * 3 + 1) * 5 + 2),
                "both run as a whole");
  }
  t.subcase("itself");
  Graph graph(t);
  const flagos_child_node_desc_t payload{sizeof payload, 0, graph};
  t.status(graph.try_add(node_desc(FLAGOS_GRAPH_NODE_TYPE_CHILD, &payload)),
           FLAGOS_STATUS_INVALID_GRAPH, "a graph in itself");
}

FLAGOS_CASE("graph.deps.chain", {.clause = "a node behind its dependencies",
                                 .level = Level::optional,
                                 .feature = "graph"}) {
  Words words(t, 64, 1);
  Graph graph(t);
  std::uint32_t expected = 1;
  Nodes last;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    last = {graph.affine(words, 3, i, last)};
    expected = expected * 3 + i;
  }
  run_once(t, graph);
  equal_words(t, words.read(), same(64, expected), "a thousand nodes run one behind the other");
}

FLAGOS_CASE("graph.deps.diamond", {.clause = "a node behind its dependencies",
                                   .level = Level::optional,
                                   .feature = "graph"}) {
  constexpr std::uint32_t width = 64;
  for (const bool late_edges : {false, true}) {
    t.subcase(late_edges ? "edges added afterwards" : "edges given with the nodes");
    Words source(t, 16, 1), sum(t, 16);
    std::vector<std::unique_ptr<Words>> lanes;
    Graph graph(t);
    const auto top = graph.affine(source, 4, 3);
    Nodes middle;
    for (std::uint32_t i = 0; i < width; ++i) {
      lanes.push_back(std::make_unique<Words>(t, 16));
      const auto node = graph.mix(*lanes[i], source, 0, late_edges ? Nodes{} : Nodes{top});
      if (late_edges) t.ok(flagos_graph_add_dependency(graph, top, node), "an edge");
      middle.push_back(graph.affine(*lanes[i], 1, i, {node}));
    }
    Nodes last = middle;
    for (std::uint32_t i = 0; i < width; ++i) last = {graph.mix(sum, *lanes[i], 1, last)};
    run_once(t, graph);
    equal_words(t, sum.read(), same(16, width * 7 + width * (width - 1) / 2),
                "every lane saw the top, the bottom every lane");
  }
}

FLAGOS_CASE("graph.deps.cycle_reject", {.clause = "INVALID_GRAPH: an edge that closes a cycle",
                                        .level = Level::optional,
                                        .oracle = Oracle::code,
                                        .feature = "graph"}) {
  Words words(t, 4, 1);
  Graph graph(t);
  Nodes chain{graph.affine(words, 2, 0)};
  for (int i = 0; i < 100; ++i) chain.push_back(graph.empty({chain.back()}));
  t.subcase("a node on itself");
  t.status(flagos_graph_add_dependency(graph, chain[5], chain[5]), FLAGOS_STATUS_INVALID_GRAPH,
           "an edge to itself");
  t.subcase("a long cycle");
  t.status(flagos_graph_add_dependency(graph, chain.back(), chain.front()),
           FLAGOS_STATUS_INVALID_GRAPH, "a cycle of 101");
  t.status(flagos_graph_add_dependency(graph, chain[1], chain[0]), FLAGOS_STATUS_INVALID_GRAPH,
           "a cycle of 2");
  t.equal(graph.info().edge_count, 100, "the edges that were refused are not there");
  run_once(t, graph);
  t.equal(words.first(), 2, "the graph still runs");
}

FLAGOS_CASE("graph.deps.dup_edge",
            {.clause = "a duplicate counts once", .level = Level::optional, .feature = "graph"}) {
  Words words(t, 4, 1);
  Graph graph(t);
  const auto first = graph.affine(words, 2, 1);
  const auto second = graph.affine(words, 5, 0, {first, first, first});
  t.equal(graph.info().edge_count, 1, "three times the same dependency is one edge");
  t.ok(flagos_graph_add_dependency(graph, first, second), "the same edge again");
  t.equal(graph.info().edge_count, 1, "is still one");
  run_once(t, graph);
  t.equal(words.first(), 15, "every node ran once");
}

FLAGOS_CASE("graph.deps.foreign_node", {.clause = "INVALID_GRAPH: not a node of this graph",
                                        .level = Level::optional,
                                        .oracle = Oracle::code,
                                        .feature = "graph"}) {
  Words words(t, 4, 1);
  Graph graph(t), other(t);
  const auto own = graph.affine(words, 2, 1);
  // Nodes are values: only one that this graph never gave out is foreign for certain.
  Nodes others;
  for (int i = 0; i < 20; ++i) others.push_back(other.empty());
  for (const flagos_graph_node_t foreign :
       {others.back(), flagos_graph_node_t{0}, ~flagos_graph_node_t{0}}) {
    t.subcase("node " + std::to_string(foreign));
    t.status(graph.try_add(node_desc(FLAGOS_GRAPH_NODE_TYPE_EMPTY, nullptr, {foreign})),
             FLAGOS_STATUS_INVALID_GRAPH, "as a dependency");
    t.status(flagos_graph_add_dependency(graph, foreign, own), FLAGOS_STATUS_INVALID_GRAPH,
             "as the start of an edge");
    t.status(flagos_graph_add_dependency(graph, own, foreign), FLAGOS_STATUS_INVALID_GRAPH,
             "as its end");
    flagos_graph_node_info_t info{};
    info.struct_size = sizeof info;
    t.status(flagos_graph_get_node_info(graph, foreign, &info), FLAGOS_STATUS_INVALID_GRAPH,
             "in a query");
  }
  t.equal(graph.info().node_count, 1, "nothing was added");
  run_once(t, graph);
  t.equal(words.first(), 3, "the graph still runs");
}

FLAGOS_CASE("graph.introspect",
            {.clause = "flagos_graph_get_nodes", .level = Level::optional, .feature = "graph"}) {
  Words words(t, 64, 1), copy(t, 64);
  Graph graph(t);
  const auto a = graph.affine(words, 2, 1);
  const auto b = graph.fill(copy.at(), 5, 256);
  const auto c = graph.copy(copy.at(), words.at(), 256, {a, b});
  const auto d = graph.empty({c, a});
  const Nodes all{a, b, c, d};
  t.subcase("counts");
  t.equal(graph.info().node_count, 4, "nodes");
  t.equal(graph.info().edge_count, 4, "edges");
  t.subcase("nodes");
  std::uint64_t count = 0;
  Nodes nodes(4, 0x77);
  t.status(flagos_graph_get_nodes(graph, 3, nodes.data(), &count), FLAGOS_STATUS_BUFFER_TOO_SMALL,
           "room for three");
  t.check(count == 4 && nodes == Nodes(4, 0x77), "the count is written, the room is not");
  t.ok(flagos_graph_get_nodes(graph, 0, nullptr, &count), "only the count");
  t.ok(flagos_graph_get_nodes(graph, 4, nodes.data(), &count), "room for four");
  t.check(nodes == all, "in the order in which they were added");
  t.subcase("types");
  const flagos_graph_node_type_t types[4] = {
      FLAGOS_GRAPH_NODE_TYPE_KERNEL, FLAGOS_GRAPH_NODE_TYPE_FILL, FLAGOS_GRAPH_NODE_TYPE_COPY,
      FLAGOS_GRAPH_NODE_TYPE_EMPTY};
  const std::uint64_t dependencies[4] = {0, 0, 2, 2};
  for (std::size_t i = 0; i < 4; ++i) {
    flagos_graph_node_info_t info{};
    info.struct_size = sizeof info;
    t.ok(flagos_graph_get_node_info(graph, all[i], &info), "what a node is");
    t.equal(static_cast<std::uint64_t>(info.type), static_cast<std::uint64_t>(types[i]),
            "its type");
    t.equal(info.dependency_count, dependencies[i], "how many nodes it runs after");
  }
  t.subcase("dependencies");
  Nodes before(2);
  t.ok(flagos_graph_get_dependencies(graph, c, 2, before.data(), &count), "of the copy");
  t.check(count == 2 && std::set(before.begin(), before.end()) == std::set{a, b},
          "the kernel and the fill");
  run_once(t, graph);
  equal_words(t, copy.read(), same(64, 3), "the graph runs");
}

FLAGOS_CASE("graph.export_dump",
            {.clause = "flagos_graph_dump", .level = Level::optional, .feature = "graph"}) {
  Words words(t, 4, 1);
  Graph graph(t);
  Nodes nodes{graph.affine(words, 2, 1)};
  for (int i = 0; i < 9; ++i) nodes.push_back(graph.empty({nodes.back()}));
  std::uint64_t size = 0;
  t.ok(flagos_graph_dump(graph, 0, nullptr, &size), "the size first");
  std::vector<char> buffer(size + 1, 'x');
  t.status(flagos_graph_dump(graph, size - 1, buffer.data(), &size), FLAGOS_STATUS_BUFFER_TOO_SMALL,
           "one byte short");
  t.check(buffer[0] == 'x', "then nothing is written");
  t.ok(flagos_graph_dump(graph, size, buffer.data(), &size), "the text");
  t.check(buffer[size - 1] == '\0' && buffer[size] == 'x', "it ends with a NUL, in its size");
  const std::string text(buffer.data());
  t.check(text.find("digraph") < text.find('{') && text.rfind('}') > text.find('{') &&
              text.rfind('}') != std::string::npos,
          "it is one digraph");
  std::size_t edges = 0;
  for (std::size_t at = text.find("->"); at != std::string::npos; at = text.find("->", at + 2))
    ++edges;
  t.equal(edges, 9, "every edge stands in it");
  t.equal(static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '{')),
          static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '}')), "braces match");
  run_once(t, graph);
  t.equal(words.first(), 3, "the graph runs");
}

}  // namespace flagos::conformance
