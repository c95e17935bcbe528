#include "core/graph.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/test_graph.hpp"

using namespace flagos::core::test;

TEST_CASE("nodes, edges and what is asked about them") {
  Fake f;
  GraphMaker g(f);
  const flagos_graph_node_t a = g.append(1);
  const flagos_graph_node_t b = g.append(2, {a, a});
  const flagos_graph_node_t join = g.empty({a, b});
  flagos_graph_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_graph_get_info(g.graph(), &info) == FLAGOS_STATUS_OK);
  CHECK(info.node_count == 3);
  CHECK(info.edge_count == 3);
  std::uint64_t count = 0;
  REQUIRE(flagos_graph_get_nodes(g.graph(), 0, nullptr, &count) == FLAGOS_STATUS_OK);
  CHECK(count == 3);
  flagos_graph_node_t nodes[3] = {};
  CHECK(flagos_graph_get_nodes(g.graph(), 2, nodes, &count) == FLAGOS_STATUS_BUFFER_TOO_SMALL);
  CHECK(count == 3);
  CHECK(nodes[0] == 0);
  REQUIRE(flagos_graph_get_nodes(g.graph(), 3, nodes, &count) == FLAGOS_STATUS_OK);
  CHECK(nodes[2] == join);
  REQUIRE(flagos_graph_get_dependencies(g.graph(), join, 3, nodes, &count) == FLAGOS_STATUS_OK);
  CHECK(count == 2);
  CHECK(nodes[0] == a);
  flagos_graph_node_info_t node_info{};
  node_info.struct_size = sizeof(node_info);
  REQUIRE(flagos_graph_get_node_info(g.graph(), b, &node_info) == FLAGOS_STATUS_OK);
  CHECK(node_info.type == FLAGOS_GRAPH_NODE_TYPE_KERNEL);
  CHECK(node_info.dependency_count == 1);
  CHECK(flagos_graph_get_node_info(g.graph(), b + 100, &node_info) == FLAGOS_STATUS_INVALID_GRAPH);
}

TEST_CASE("cycles and foreign nodes are refused") {
  Fake f;
  GraphMaker g(f), other(f);
  const flagos_graph_node_t a = g.empty({}), b = g.empty({a}), c = g.empty({b});
  const flagos_graph_node_t foreign = other.empty({});
  CHECK(flagos_graph_add_dependency(g.graph(), a, a) == FLAGOS_STATUS_INVALID_GRAPH);
  CHECK(flagos_graph_add_dependency(g.graph(), c, a) == FLAGOS_STATUS_INVALID_GRAPH);
  CHECK(flagos_graph_add_dependency(g.graph(), foreign, a) == FLAGOS_STATUS_INVALID_GRAPH);
  CHECK(flagos_graph_add_dependency(g.graph(), a, c) == FLAGOS_STATUS_OK);
  CHECK(flagos_graph_add_dependency(g.graph(), a, c) == FLAGOS_STATUS_OK);
  const flagos_graph_node_t d = g.empty({});
  CHECK(flagos_graph_add_dependency(g.graph(), d, a) == FLAGOS_STATUS_OK);
  CHECK(flagos_graph_add_dependency(g.graph(), c, d) == FLAGOS_STATUS_INVALID_GRAPH);
  flagos_graph_node_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.dependencies = &foreign;
  desc.dependency_count = 1;
  flagos_graph_node_t node = 7;
  CHECK(flagos_graph_add_node(g.graph(), &desc, &node) == FLAGOS_STATUS_INVALID_GRAPH);
  CHECK(node == 0);
  flagos_graph_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_graph_get_info(g.graph(), &info) == FLAGOS_STATUS_OK);
  CHECK(info.node_count == 4);
  CHECK(info.edge_count == 4);
}

TEST_CASE("a clone keeps the values of nodes, and its own nodes are its own") {
  Fake f;
  GraphMaker g(f);
  const flagos_graph_node_t a = g.append(1);
  flagos_graph_t* clone = nullptr;
  REQUIRE(flagos_graph_clone(g.graph(), &clone) == FLAGOS_STATUS_OK);
  const flagos_graph_node_t b = g.append(2, {a});
  flagos_graph_node_info_t info{};
  info.struct_size = sizeof(info);
  CHECK(flagos_graph_get_node_info(clone, a, &info) == FLAGOS_STATUS_OK);
  CHECK(flagos_graph_get_node_info(clone, b, &info) == FLAGOS_STATUS_INVALID_GRAPH);
  CHECK(flagos_graph_destroy(clone) == FLAGOS_STATUS_OK);
}

TEST_CASE("payloads are checked as the stream functions check them") {
  Fake f;
  GraphMaker g(f);
  flagos_graph_node_t node = 0;
  flagos_graph_node_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.type = 99;
  CHECK(flagos_graph_add_node(g.graph(), &desc, &node) == FLAGOS_STATUS_INVALID_ARGUMENT);
  desc.type = FLAGOS_GRAPH_NODE_TYPE_FILL;
  CHECK(flagos_graph_add_node(g.graph(), &desc, &node) == FLAGOS_STATUS_INVALID_ARGUMENT);
  flagos_fill_node_desc_t fill{};
  fill.struct_size = sizeof(fill);
  fill.target = f.alloc(64);
  fill.pattern_size_bytes = 4;
  fill.size_bytes = 68;
  desc.payload = &fill;
  CHECK(flagos_graph_add_node(g.graph(), &desc, &node) == FLAGOS_STATUS_INVALID_ARGUMENT);
  fill.size_bytes = 64;
  CHECK(flagos_graph_add_node(g.graph(), &desc, &node) == FLAGOS_STATUS_OK);
  flagos_child_node_desc_t child{};
  child.struct_size = sizeof(child);
  child.graph = g.graph();
  desc.type = FLAGOS_GRAPH_NODE_TYPE_CHILD;
  desc.payload = &child;
  CHECK(flagos_graph_add_node(g.graph(), &desc, &node) == FLAGOS_STATUS_INVALID_GRAPH);
}

TEST_CASE("child graphs nest up to a limit, and cannot grow without bound") {
  Fake f;
  std::vector<std::unique_ptr<GraphMaker>> graphs;
  graphs.push_back(std::make_unique<GraphMaker>(f));
  graphs.back()->empty({});
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::size_t levels = 1;
  while (status == FLAGOS_STATUS_OK && levels < 1000) {
    auto next = std::make_unique<GraphMaker>(f);
    status = next->try_child(graphs.back()->graph());
    if (status != FLAGOS_STATUS_OK) break;
    graphs.push_back(std::move(next));
    ++levels;
  }
  CHECK(status == FLAGOS_STATUS_OUT_OF_RESOURCES);
  CHECK(levels == flagos::core::GraphBody::most_levels);

  graphs.clear();
  graphs.push_back(std::make_unique<GraphMaker>(f));
  graphs.back()->empty({});
  status = FLAGOS_STATUS_OK;
  for (int i = 0; i < 40 && status == FLAGOS_STATUS_OK; ++i) {
    auto next = std::make_unique<GraphMaker>(f);
    status = next->try_child(graphs.back()->graph());
    if (status == FLAGOS_STATUS_OK) status = next->try_child(graphs.back()->graph());
    graphs.push_back(std::move(next));
  }
  CHECK(status == FLAGOS_STATUS_OUT_OF_RESOURCES);
}

TEST_CASE("the text is in the DOT language") {
  Fake f;
  GraphMaker g(f);
  const flagos_graph_node_t a = g.append(1);
  g.empty({a});
  std::uint64_t size = 0;
  REQUIRE(flagos_graph_dump(g.graph(), 0, nullptr, &size) == FLAGOS_STATUS_OK);
  std::string text(size, '\0');
  CHECK(flagos_graph_dump(g.graph(), size - 1, text.data(), &size) == FLAGOS_STATUS_BUFFER_TOO_SMALL);
  REQUIRE(flagos_graph_dump(g.graph(), size, text.data(), &size) == FLAGOS_STATUS_OK);
  CHECK(text.find("digraph") == 0);
  CHECK(text.find("n1 [label=\"1: kernel append\"]") != std::string::npos);
  CHECK(text.find("n1 -> n2;") != std::string::npos);
}
