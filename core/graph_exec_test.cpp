#include "core/graph_exec.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "core/entry.hpp"
#include "core/module.hpp"
#include "core/test_graph.hpp"
#include "core/timeline.hpp"

using namespace flagos::core::test;
using Trail = std::vector<std::uint32_t>;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;

}  // namespace

TEST_CASE("nodes run in an order that respects their dependencies") {
  std::mt19937 random(7);
  Fake f;
  GraphMaker g(f);
  constexpr std::uint32_t count = 300;
  std::vector<flagos_graph_node_t> nodes;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (std::uint32_t i = 0; i < count; ++i) nodes.push_back(g.append(i));
  std::vector<std::uint32_t> rank(count);
  for (std::uint32_t i = 0; i < count; ++i) rank[i] = i;
  std::shuffle(rank.begin(), rank.end(), random);
  for (int i = 0; i < 900; ++i) {
    std::uint32_t from = random() % count, to = random() % count;
    if (from == to) continue;
    if (rank[from] > rank[to]) std::swap(from, to);
    REQUIRE(flagos_graph_add_dependency(g.graph(), nodes[from], nodes[to]) == FLAGOS_STATUS_OK);
    edges.emplace_back(from, to);
  }
  flagos_stream_t* stream = f.stream();
  flagos_graph_exec_t* exec = g.instantiate();
  REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  const Trail trail = fake().trail();
  REQUIRE(trail.size() == count);
  std::vector<std::size_t> position(count);
  for (std::size_t i = 0; i < count; ++i) position[trail[i]] = i;
  for (const auto& [from, to] : edges) CHECK(position[from] < position[to]);
}

TEST_CASE("children and joins are flattened") {
  Fake f;
  GraphMaker inner(f), outer(f);
  const auto i1 = inner.append(10);
  inner.append(11, {i1});
  const auto a = outer.append(1);
  REQUIRE(outer.try_child(inner.graph(), {a}) == FLAGOS_STATUS_OK);
  inner.append(12);  // after it was copied
  std::uint64_t count = 0;
  flagos_graph_node_t nodes[2];
  REQUIRE(flagos_graph_get_nodes(outer.graph(), 2, nodes, &count) == FLAGOS_STATUS_OK);
  const auto join = outer.empty({nodes[1]});
  outer.append(2, {join});
  flagos_stream_t* stream = f.stream();
  flagos_graph_exec_t* exec = outer.instantiate();
  REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == Trail{1, 10, 11, 2});
}

TEST_CASE("joins keep the number of edges small and exact") {
  Fake f;
  GraphMaker g(f);
  std::vector<flagos_graph_node_t> first;
  for (std::uint32_t i = 0; i < 8; ++i) first.push_back(g.append(i));
  const auto join = g.empty(first);
  g.append(100, {join, first[0]});
  flagos::core::ReadSection section(flagos::core::this_thread());
  auto body = flagos::core::resolve<flagos::core::Graph>(g.graph(), "graph").snapshot();
  const auto flat = flagos::core::flatten(body);
  REQUIRE(flat.size() == 9);
  CHECK(flat.back().dependencies.size() == 8);
}

TEST_CASE("parameters of queued launches stay as they were") {
  for (const bool held : {false, true}) {
    CAPTURE(held);
    Fake f;
    GraphMaker g(f);
    const auto node = g.append(1);
    flagos_graph_exec_t* exec = g.instantiate();
    flagos_stream_t* stream = f.stream();
    flagos_timeline_t* gate = f.timeline();
    fake().hold = true;
    if (held) REQUIRE(flagos_stream_wait_timeline(stream, gate, 1) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
    REQUIRE(g.set(exec, node, 2) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
    GraphMaker other(f);
    other.append(3);
    REQUIRE(flagos_graph_exec_update(exec, other.graph()) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
    REQUIRE(g.set(exec, node, 4) == FLAGOS_STATUS_OK);  // by its old value
    REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_graph_exec_destroy(exec) == FLAGOS_STATUS_OK);
    fake().hold = false;
    REQUIRE(flagos_timeline_signal(gate, 1) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
    CHECK(fake().trail() == Trail{1, 2, 3, 4});
  }
}

TEST_CASE("an update of another topology names the difference and changes nothing") {
  Fake f;
  GraphMaker g(f), more(f), types(f), edges(f);
  const auto a = g.append(1);
  const auto b = g.append(2, {a});
  more.append(1);
  const auto t = types.append(1);
  types.empty({t});
  edges.append(1);
  edges.append(2);
  flagos_graph_exec_t* exec = g.instantiate();
  CHECK(flagos_graph_exec_update(exec, more.graph()) == FLAGOS_STATUS_GRAPH_MISMATCH);
  CHECK(std::string(flagos_last_error()).find("1 nodes, and 2") != std::string::npos);
  CHECK(flagos_graph_exec_update(exec, types.graph()) == FLAGOS_STATUS_GRAPH_MISMATCH);
  CHECK(std::string(flagos_last_error()).find("node 2 is of type empty, and kernel") != std::string::npos);
  CHECK(flagos_graph_exec_update(exec, edges.graph()) == FLAGOS_STATUS_GRAPH_MISMATCH);
  CHECK(std::string(flagos_last_error()).find("node 2 has other dependencies") != std::string::npos);
  flagos_graph_node_desc_t desc{};
  desc.struct_size = sizeof(desc);
  CHECK(flagos_graph_exec_set_node(exec, b, &desc) == FLAGOS_STATUS_GRAPH_MISMATCH);
  CHECK(flagos_graph_exec_set_node(exec, b + 50, &desc) == FLAGOS_STATUS_INVALID_GRAPH);
  flagos_stream_t* stream = f.stream();
  REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == Trail{1, 2});
}

TEST_CASE("runs of one executable never overlap, on whatever streams") {
  Fake f;
  GraphMaker g(f);
  const auto a = g.append(1);
  g.append(2, {a});
  flagos_graph_exec_t* exec = g.instantiate();
  flagos_stream_t* streams[3] = {f.stream(), f.stream(), f.stream()};
  flagos_timeline_t* gate = f.timeline();
  REQUIRE(flagos_stream_wait_timeline(streams[1], gate, 1) == FLAGOS_STATUS_OK);  // its run is held back
  fake().hold = true;
  for (int i = 0; i < 30; ++i) REQUIRE(flagos_graph_exec_launch(exec, streams[i % 3]) == FLAGOS_STATUS_OK);
  fake().hold = false;
  REQUIRE(flagos_timeline_signal(gate, 1) == FLAGOS_STATUS_OK);
  for (flagos_stream_t* stream : streams) REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  const Trail trail = fake().trail();
  REQUIRE(trail.size() == 60);
  for (std::size_t i = 0; i < 60; ++i) CHECK(trail[i] == 1 + i % 2);
}

TEST_CASE("host and event nodes, on a plugin without host functions") {
  Fake f;
  GraphMaker g(f);
  flagos_event_t* before = f.event();
  flagos_event_t* after = f.event();
  std::vector<std::size_t> seen;
  const auto wait = g.event(FLAGOS_GRAPH_NODE_TYPE_EVENT_WAIT, before);
  const auto a = g.append(1, {wait});
  const auto host =
      g.host([](void* data,
                flagos_status_t) { static_cast<std::vector<std::size_t>*>(data)->push_back(fake().trail().size()); },
             &seen, {a});
  const auto b = g.append(2, {host});
  g.event(FLAGOS_GRAPH_NODE_TYPE_EVENT_RECORD, after, {b});
  flagos_graph_exec_t* exec = g.instantiate();
  flagos_stream_t* stream = f.stream();
  flagos_stream_t* other = f.stream();
  for (int i = 0; i < 20; ++i) {
    REQUIRE(f.append(other, 0) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_event_record(before, other) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_event_synchronize(after, forever) == FLAGOS_STATUS_OK);
    CHECK(fake().trail().size() == 3u * (static_cast<std::size_t>(i) + 1));
    CHECK(seen.size() == static_cast<std::size_t>(i) + 1);
    CHECK(seen.back() == static_cast<std::size_t>(i) * 3 + 2);
  }
}

TEST_CASE("a node that fails at submission poisons the stream") {
  Fake f;
  GraphMaker g(f);
  g.append(1);
  flagos_graph_exec_t* exec = g.instantiate();
  flagos_stream_t* stream = f.stream();
  fake().submit = FLAGOS_STATUS_OUT_OF_RESOURCES;
  CHECK(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OUT_OF_RESOURCES);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OUT_OF_RESOURCES);
  CHECK(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OUT_OF_RESOURCES);
  REQUIRE(flagos_stream_reset(stream) == FLAGOS_STATUS_OK);
  CHECK(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
}

TEST_CASE("replays make no event of the plugin beyond the first") {
  Fake f;
  GraphMaker g(f);
  for (std::uint32_t i = 0; i < 10; ++i) g.append(i);
  flagos_graph_exec_t* exec = g.instantiate();
  flagos_stream_t* stream = f.stream();
  REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  const std::uint64_t events = fake().events;
  for (int i = 0; i < 100; ++i) REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  CHECK(fake().events == events);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail().size() == 1010);
}

TEST_CASE("an empty graph, and nodes with nothing to do") {
  Fake f;
  GraphMaker g(f);
  flagos_copy_node_desc_t copy{};
  copy.struct_size = sizeof(copy);
  const auto nothing = g.add(FLAGOS_GRAPH_NODE_TYPE_COPY, &copy, {g.empty()});
  flagos_stream_t* stream = f.stream();
  flagos_graph_exec_t* exec = g.instantiate();
  CHECK(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  g.append(5, {nothing});
  flagos_graph_exec_t* more = g.instantiate();
  CHECK(flagos_graph_exec_launch(more, stream) == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(fake().trail() == Trail{5});
}
