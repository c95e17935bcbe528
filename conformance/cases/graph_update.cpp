// Executables that change: one node, all parameters, refusals, and launches that keep what they
// were queued with.
#include <flagos.h>

#include <atomic>

#include "conformance/cases/graph_support.hpp"

namespace flagos::conformance {
namespace {

std::vector<std::uint32_t> same(std::uint32_t count, std::uint32_t value) {
  return std::vector<std::uint32_t>(count, value);
}

flagos_status_t set_affine(Context& t, flagos_graph_exec_t* exec, flagos_graph_node_t node,
                           const Words& words, Shape shape, std::uint32_t multiply,
                           std::uint32_t add) {
  const KernelPayload payload(t.kernel("tl_affine"), shape, affine_arguments(words, multiply, add));
  const auto desc = node_desc(FLAGOS_GRAPH_NODE_TYPE_KERNEL, &payload.node);
  return flagos_graph_exec_set_node(exec, node, &desc);
}

}  // namespace

FLAGOS_CASE("graph.update.params", {.clause = "flagos_graph_exec_set_node",
                                    .level = Level::optional,
                                    .feature = "graph"}) {
  Words words(t, 128, 1), other(t, 128, 2), third(t, 128, 9);
  Graph graph(t);
  const auto kernel = graph.affine(words, 3, 1);
  const auto copy = graph.copy(other.at(), words.at(), 512, {kernel});
  const auto fill = graph.fill(third.at(), 5, 512);
  Executable exec(t, graph);
  Stream stream(t);
  const auto run = [&] {
    exec.launch(stream);
    stream.synchronize();
  };
  run();
  equal_words(t, other.read(), same(128, 4), "as it was made");
  t.subcase("kernel arguments");
  t.ok(set_affine(t, exec, kernel, words, shape_for(t, 128), 10, 2), "other arguments");
  run();
  equal_words(t, words.read(), same(128, 42), "the new arguments");
  t.subcase("grid");
  t.ok(set_affine(t, exec, kernel, words, {{1, 1, 1}, {32, 1, 1}}, 2, 0), "another shape");
  run();
  auto expected = same(128, 42);
  std::fill_n(expected.begin(), 32, 84);
  equal_words(t, words.read(), expected, "only the threads of the new grid ran");
  t.subcase("copy addresses");
  const auto copied = copy_payload(third.at(64), words.at(), 64 * 4);
  const auto copy_node = node_desc(FLAGOS_GRAPH_NODE_TYPE_COPY, &copied);
  t.ok(flagos_graph_exec_set_node(exec, copy, &copy_node), "other addresses and size");
  t.subcase("fill value");
  const auto filled = fill_payload(third.at(), 6, 64 * 4);
  const auto fill_node = node_desc(FLAGOS_GRAPH_NODE_TYPE_FILL, &filled);
  t.ok(flagos_graph_exec_set_node(exec, fill, &fill_node), "another value and size");
  run();
  expected = same(128, 6);
  std::fill_n(expected.begin() + 64, 32, 168);
  std::fill_n(expected.begin() + 96, 32, 42);
  equal_words(t, third.read(), expected, "the new copy and the new fill");
  t.subcase("refused as its stream function would");
  const auto far = fill_payload(third.at(), 6, 6);
  const auto bad = node_desc(FLAGOS_GRAPH_NODE_TYPE_FILL, &far);
  t.status(flagos_graph_exec_set_node(exec, fill, &bad), FLAGOS_STATUS_INVALID_ARGUMENT,
           "a size that is no multiple");
  t.status(flagos_graph_exec_set_node(exec, fill, &copy_node), FLAGOS_STATUS_GRAPH_MISMATCH,
           "another type");
  t.status(flagos_graph_exec_set_node(exec, ~flagos_graph_node_t{0}, &copy_node),
           FLAGOS_STATUS_INVALID_GRAPH, "no such node");
}

FLAGOS_CASE("graph.update.whole",
            {.clause = "flagos_graph_exec_update", .level = Level::optional, .feature = "graph"}) {
  Words words(t, 128, 1), other(t, 128);
  Graph graph(t), next(t);
  graph.copy(other.at(), words.at(), 512, {graph.affine(words, 3, 1)});
  next.copy(other.at(64), words.at(), 256, {next.affine(words, 2, 0)});
  Executable exec(t, graph);
  t.ok(flagos_graph_exec_update(exec, next), "parameters of another graph");
  next.destroy();
  Stream stream(t);
  exec.launch(stream);
  stream.synchronize();
  equal_words(t, words.read(), same(128, 2), "its kernel arguments");
  auto expected = same(128, 0);
  std::fill_n(expected.begin() + 64, 64, 2);
  equal_words(t, other.read(), expected, "its copy");
}

FLAGOS_CASE("graph.update.all_kinds", {.clause = "flagos_graph_exec_update: every kind of node",
                                       .level = Level::optional,
                                       .feature = "graph"}) {
  Words words(t, 64, 0x01010101), copied(t, 64), filled(t, 64);
  std::atomic<std::uint32_t> first_calls{0}, second_calls{0};
  const auto count = [](void* data, flagos_status_t) {
    ++*static_cast<std::atomic<std::uint32_t>*>(data);
  };
  const bool hosts = t.has(FLAGOS_FEATURE_HOST_CALLBACK);
  const auto build = [&](Graph& graph, std::uint32_t multiply, std::uint32_t size,
                         std::uint32_t value, void* data) {
    const auto kernel = graph.affine(words, multiply, 0);
    graph.copy(copied.at(), words.at(), size * 4, {kernel});
    graph.fill(filled.at(), value, size * 4, {kernel});
    if (hosts) graph.host(count, data, {kernel});
  };
  Graph graph(t), next(t);
  build(graph, 3, 16, 0x05050505, &first_calls);
  build(next, 2, 48, 0x06060606, &second_calls);
  Executable exec(t, graph);
  Stream stream(t);
  exec.launch(stream);
  t.ok(flagos_graph_exec_update(exec, next), "other parameters for every node");
  exec.launch(stream);
  stream.synchronize();
  // No byte is 0, so that none can be left out.
  auto expected = same(64, 0);
  std::fill_n(expected.begin(), 48, 0x06060606);
  equal_words(t, copied.read(), expected, "the copy has its new size");
  equal_words(t, filled.read(), expected, "the fill has its new size and value");
  if (!hosts) return;
  t.equal(first_calls, 1, "calls with the old data");
  t.equal(second_calls, 1, "calls with the new data");
}

FLAGOS_CASE("graph.update.topology_mismatch",
            {.clause = "GRAPH_MISMATCH: the executable is unchanged",
             .level = Level::optional,
             .oracle = Oracle::code,
             .feature = "graph"}) {
  Words words(t, 16, 1);
  Graph graph(t);
  graph.affine(words, 5, 1, {graph.affine(words, 3, 1)});
  Executable exec(t, graph);
  const auto refused = [&](const char* what, const Graph& other) {
    t.subcase(what);
    t.status(flagos_graph_exec_update(exec, other), FLAGOS_STATUS_GRAPH_MISMATCH,
             "another topology");
    t.check(!std::string(flagos_last_error()).empty(), "the text names the difference");
  };
  Graph more(t), fewer_edges(t), other_type(t), turned(t);
  more.affine(words, 2, 0, {more.affine(words, 2, 0, {more.affine(words, 2, 0)})});
  fewer_edges.affine(words, 2, 0);
  fewer_edges.affine(words, 2, 0);
  other_type.fill(words.at(), 0, 64, {other_type.affine(words, 2, 0)});
  const auto second = turned.affine(words, 2, 0);
  const auto first = turned.affine(words, 2, 0);
  t.ok(flagos_graph_add_dependency(turned, first, second), "an edge the other way round");
  refused("one node more", more);
  refused("one edge less", fewer_edges);
  refused("another type", other_type);
  refused("an edge the other way round", turned);
  Stream stream(t);
  exec.launch(stream);
  stream.synchronize();
  equal_words(t, words.read(), same(16, 21), "the executable is as it was");
}

FLAGOS_CASE("graph.update.while_running",
            {.clause = "launches queued before keep the old parameters",
             .level = Level::optional,
             .feature = "graph"}) {
  Words words(t, 16, 1);
  Graph graph(t);
  const auto node = graph.affine(words, 3, 1);
  Executable exec(t, graph);
  Stream stream(t);
  {
    Blocker blocker(t, stream);
    exec.launch(stream);
    t.ok(set_affine(t, exec, node, words, shape_for(t, 16), 10, 0),
         "an update while a launch is pending");
    exec.launch(stream);
    Graph next(t);
    next.affine(words, 2, 5);
    t.ok(flagos_graph_exec_update(exec, next), "another one");
    exec.launch(stream);
  }
  stream.synchronize();
  equal_words(t, words.read(), same(16, 85), "every launch has the parameters it was queued with");
}

FLAGOS_CASE("graph.update.loop_no_growth", {.clause = "flagos_graph_exec_set_node",
                                            .level = Level::optional,
                                            .oracle = Oracle::delta,
                                            .isolation = Isolation::own,
                                            .feature = "graph"}) {
  const std::uint32_t updates = repeats(t, 100'000, 4'000);
  Words words(t, 16, 1);
  Graph graph(t);
  const auto node = graph.affine(words, 1, 1);
  Executable exec(t, graph);
  Stream stream(t);
  const auto lap = [&](std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      t.ok(set_affine(t, exec, node, words, shape_for(t, 16), 1, i), "an update");
      if (i % 10 == 0) exec.launch(stream);
      if (i % 1000 == 0) stream.synchronize();
    }
    stream.synchronize();
  };
  lap(updates / 10);
  std::uint64_t free_before = 0, free_after = 0, total = 0;
  t.ok(flagos_device_query_memory(t.device(), &free_before, &total), "device memory");
  const auto before = resources_now();
  lap(updates);
  const auto after = resources_now();
  t.ok(flagos_device_query_memory(t.device(), &free_after, &total), "device memory");
  t.check(after.rss_bytes <= before.rss_bytes + (32u << 20), "host memory does not grow");
  if (t.info().type != FLAGOS_DEVICE_TYPE_CPU) {
    t.check(free_after + (64u << 20) >= free_before, "device memory does not grow");
  }
  std::uint32_t expected = 1;
  for (const std::uint32_t count : {updates / 10, updates}) {
    for (std::uint32_t i = 0; i < count; i += 10) expected += i;
  }
  equal_words(t, words.read(), same(16, expected), "every launch had its parameters");
}

}  // namespace flagos::conformance
