// Launching graphs: many nodes, many launches, order with the stream, lifetime, failure.
#include <flagos.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "conformance/cases/graph_support.hpp"

namespace flagos::conformance {
namespace {

std::vector<std::uint32_t> same(std::uint32_t count, std::uint32_t value) {
  return std::vector<std::uint32_t>(count, value);
}

// A chain of `length` additions to one word, by plain loads and stores: runs that overlap lose some
// of them.
void add_chain(Graph& graph, const Words& word, std::uint32_t length) {
  Nodes last;
  for (std::uint32_t i = 0; i < length; ++i) last = {graph.affine(word, 1, 1, last)};
}

// `count` kernel nodes, node i storing i * 3 + salt into word i.
void add_stores(Context& t, Graph& graph, const Words& words, std::uint32_t salt) {
  const std::uint32_t count = words.count();
  Nodes last;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto node =
        graph.kernel(t.kernel("tl_affine"), {},
                     {arg(words.at(i)), arg_u32(1), arg_u32(0), arg_u32(i * 3 + salt)},
                     i % 2 == 0 ? Nodes{} : last);
    last = {node};
  }
}

}  // namespace

FLAGOS_CASE("graph.same_kernel_distinct_args", {.clause = "everything a node points to is copied",
                                                .level = Level::optional,
                                                .feature = "graph"}) {
  Words a(t, 64, 1), b(t, 64, 1), c(t, 64, 1);
  Graph first(t), second(t);
  first.affine(a, 3, 1);
  first.affine(b, 5, 2);
  second.affine(c, 7, 3);
  Executable one(t, first), two(t, second);
  Stream stream(t);
  t.subcase("two nodes of one graph");
  one.launch(stream);
  stream.synchronize();
  equal_words(t, a.read(), same(64, 4), "the first node's arguments");
  equal_words(t, b.read(), same(64, 7), "the second node's arguments");
  t.subcase("two graphs");
  two.launch(stream);
  one.launch(stream);
  stream.synchronize();
  equal_words(t, c.read(), same(64, 10), "the second graph's arguments");
  equal_words(t, a.read(), same(64, 13), "the first graph's arguments");
  t.subcase("beside an ordinary launch");
  one.launch(stream);
  affine(t, stream, c, 2, 0);
  two.launch(stream);
  stream.synchronize();
  equal_words(t, c.read(), same(64, 143), "the launch and the graphs do not mix");
}

FLAGOS_CASE("graph.args_copied", {.clause = "everything it points to is copied",
                                  .level = Level::optional,
                                  .feature = "graph"}) {
  Words words(t, 64, 1);
  Graph graph(t);
  Stream stream(t);
  flagos_graph_node_t node = 0;
  t.subcase("after the add");
  {
    KernelPayload payload(t.kernel("tl_affine"), shape_for(t, 64), affine_arguments(words, 3, 5));
    node = graph.add(FLAGOS_GRAPH_NODE_TYPE_KERNEL, &payload.node);
    std::fill(payload.arguments.begin(), payload.arguments.end(),
              flagos_argument_t{FLAGOS_DTYPE_UINT32, 0, 0xeeeeeeee});
    std::memset(&payload.launch, 0xee, sizeof payload.launch);
    std::memset(&payload.node, 0xee, sizeof payload.node);
  }
  Executable exec(t, graph);
  exec.launch(stream);
  stream.synchronize();
  equal_words(t, words.read(), same(64, 8), "the arguments of the add");
  t.subcase("after set_node");
  {
    KernelPayload payload(t.kernel("tl_affine"), shape_for(t, 64), affine_arguments(words, 2, 1));
    const auto desc = node_desc(FLAGOS_GRAPH_NODE_TYPE_KERNEL, &payload.node);
    t.ok(flagos_graph_exec_set_node(exec, node, &desc), "other arguments");
    std::fill(payload.arguments.begin(), payload.arguments.end(),
              flagos_argument_t{FLAGOS_DTYPE_UINT32, 0, 0xeeeeeeee});
    std::memset(&payload.launch, 0xee, sizeof payload.launch);
  }
  exec.launch(stream);
  stream.synchronize();
  equal_words(t, words.read(), same(64, 17), "the arguments of set_node");
}

FLAGOS_CASE("graph.big", {.clause = "flagos_graph_instantiate",
                          .level = Level::optional,
                          .isolation = Isolation::own,
                          .feature = "graph"}) {
  for (const std::uint32_t count : {256u, 1024u, repeats(t, 10'000, 3000)}) {
    t.subcase(std::to_string(count) + " nodes");
    Words words(t, count);
    Graph graph(t);
    add_stores(t, graph, words, 7);
    t.equal(graph.info().node_count, count, "every node is in the graph");
    Executable exec(t, graph);
    Stream stream(t);
    const auto check_run = [&](std::uint32_t salt, const char* what) {
      exec.launch(stream);
      stream.synchronize();
      std::vector<std::uint32_t> expected(count);
      for (std::uint32_t i = 0; i < count; ++i) expected[i] = i * 3 + salt;
      equal_words(t, words.read(), expected, what);
    };
    check_run(7, "every node did its own work");
    Graph other(t);
    add_stores(t, other, words, 1000);
    t.ok(flagos_graph_exec_update(exec, other), "all parameters change");
    check_run(1000, "every node did what it was updated to");
  }
}

FLAGOS_CASE("graph.replay_many", {.clause = "flagos_graph_exec_launch",
                                  .level = Level::optional,
                                  .isolation = Isolation::own,
                                  .feature = "graph"}) {
  const std::uint32_t launches = repeats(t, 10'000, 500);
  Words words(t, 32, 1);
  Graph graph(t);
  graph.affine(words, 5, 2, {graph.affine(words, 3, 1)});
  Executable exec(t, graph);
  Stream stream(t);
  std::uint32_t expected = 1;
  for (std::uint32_t i = 0; i < launches; ++i) {
    exec.launch(stream);
    expected = (expected * 3 + 1) * 5 + 2;
  }
  stream.synchronize();
  equal_words(t, words.read(), same(32, expected), "every launch ran once, in order");
}

FLAGOS_CASE("graph.replay_new_data", {.clause = "a launch works on what is there then",
                                      .level = Level::optional,
                                      .feature = "graph"}) {
  const std::uint32_t launches = repeats(t, 1000, 100);
  constexpr std::uint32_t count = 256;
  Words input(t, count), output(t, count);
  Graph graph(t);
  graph.mix(output, input, 0);
  Executable exec(t, graph);
  Stream stream(t);
  t.subcase("waited for each time");
  for (std::uint32_t i = 0; i < launches / 2; ++i) {
    const auto values = random_words(t, count);
    t.ok(flagos_memory_copy(stream, input.at(), reinterpret_cast<flagos_address_t>(values.data()),
                            4 * count),
         "new input");
    exec.launch(stream);
    stream.synchronize();
    equal_words(t, output.read(), values, "the launch saw the new input");
  }
  t.subcase("queued one behind the other");
  Words sums(t, count);
  std::vector<std::uint32_t> expected(count, 0);
  std::vector<std::vector<std::uint32_t>> inputs;  // they must live until the copies are done
  for (std::uint32_t i = 0; i < launches / 2; ++i) {
    inputs.push_back(random_words(t, count));
    t.ok(flagos_memory_copy(stream, input.at(),
                            reinterpret_cast<flagos_address_t>(inputs.back().data()), 4 * count),
         "new input");
    exec.launch(stream);
    mix(t, stream, sums, output, 3);
    for (std::uint32_t k = 0; k < count; ++k) expected[k] = expected[k] * 3 + inputs.back()[k];
  }
  stream.synchronize();
  equal_words(t, sums.read(), expected, "every launch saw its own input");
}

FLAGOS_CASE("graph.launch_concurrent_same_exec", {.clause = "runs of one executable never overlap",
                                                  .level = Level::optional,
                                                  .feature = "graph"}) {
  const std::uint32_t launches = repeats(t, 200, 40);
  constexpr std::uint32_t threads = 4;
  Words word(t, 1);
  Graph graph(t);
  add_chain(graph, word, 10);
  Executable exec(t, graph);
  std::vector<std::unique_ptr<Stream>> streams;
  for (std::uint32_t i = 0; i < threads; ++i) streams.push_back(std::make_unique<Stream>(t));
  FirstFailure failure;
  Team team;
  for (std::uint32_t i = 0; i < threads; ++i) {
    team.start([&, i] {
      for (std::uint32_t k = 0; k < launches; ++k)
        failure.note(flagos_graph_exec_launch(exec, *streams[i]));
      failure.note(flagos_stream_synchronize(*streams[i], patience_ns));
    });
  }
  team.join();
  t.ok(failure.status(), "launches of one executable on four streams");
  t.equal(word.first(), threads * launches * 10, "no run overlapped another");
}

FLAGOS_CASE("graph.launch_concurrent_diff",
            {.clause = "flagos_graph_exec_launch", .level = Level::optional, .feature = "graph"}) {
  Words held(t, 16, 1), free(t, 16, 1);
  Graph first(t), second(t);
  first.affine(held, 3, 0);
  second.affine(free, 5, 0);
  Executable one(t, first), two(t, second);
  Stream blocked(t), open(t);
  const bool concurrent =
      (t.info().capabilities & FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS) != 0;
  {
    Blocker blocker(t, blocked);
    one.launch(blocked);
    two.launch(open);
    if (concurrent) {
      open.synchronize();
      t.equal(free.first(), 5, "an executable on another stream runs meanwhile");
      t.check(!stream_done(t, blocked), "the first one is still held");
    }
  }
  open.synchronize();
  blocked.synchronize();
  t.equal(held.first(), 3, "then the first one runs");
  t.equal(free.first(), 5, "and the second one has");
}

FLAGOS_CASE("graph.launch_order_with_stream", {.clause = "a launch is queued on its stream",
                                               .level = Level::optional,
                                               .feature = "graph"}) {
  Words words(t, 4096, 1), copy(t, 4096);
  Graph graph(t);
  graph.affine(words, 3, 1);
  graph.empty();
  Executable exec(t, graph);
  Stream stream(t);
  t.subcase("behind ordinary work");
  affine(t, stream, words, 10, 0);
  exec.launch(stream);
  stream.synchronize();
  equal_words(t, words.read(), same(4096, 31), "the kernel before, then the graph");
  t.subcase("before ordinary work");
  exec.launch(stream);
  t.ok(flagos_memory_copy(stream, copy.at(), words.at(), words.size_bytes()), "a copy behind");
  affine(t, stream, words, 0, 6);
  exec.launch(stream);
  stream.synchronize();
  equal_words(t, copy.read(), same(4096, 94), "the graph, then the copy");
  equal_words(t, words.read(), same(4096, 19), "then the kernel, then the graph");
}

FLAGOS_CASE("graph.random_dag", {.clause = "a graph keeps every dependency",
                                 .level = Level::optional,
                                 .oracle = Oracle::model,
                                 .isolation = Isolation::own,
                                 .feature = "graph"}) {
  for (std::uint32_t i = 0; i < repeats(t, 50, 10); ++i) {
    t.subcase("program " + std::to_string(i));
    const Program program = random_program(t, 60, 1);
    Memory memory(t, program);
    Graph graph(t);
    Nodes nodes;
    for (const Operation& operation : program.operations) {
      Nodes before;
      for (const std::uint32_t dependency : operation.dependencies)
        before.push_back(nodes[dependency]);
      nodes.push_back(graph.operation(operation, memory, before));
    }
    Executable exec(t, graph);
    Stream stream(t);
    for (int run = 0; run < 2; ++run) {
      exec.launch(stream);
      memory.run_model(program);
    }
    stream.synchronize();
    memory.verify(t, "the graph gives what its model gives");
  }
}

FLAGOS_CASE("graph.clone",
            {.clause = "flagos_graph_clone", .level = Level::optional, .feature = "graph"}) {
  Words words(t, 16, 1);
  Graph graph(t);
  const auto first = graph.affine(words, 3, 1);
  flagos_graph_t* copied = nullptr;
  t.ok(flagos_graph_clone(graph, &copied), "a clone");
  Graph clone(t, copied);
  t.subcase("it is a graph of its own");
  graph.affine(words, 100, 0, {first});
  clone.affine(words, 5, 2, {first});
  t.equal(clone.info().node_count, 2, "nodes of the original are valid in it");
  run_once(t, clone);
  equal_words(t, words.read(), same(16, 22), "what was added to the original is not in the clone");
  t.subcase("it outlives the original");
  graph.destroy();
  run_once(t, clone);
  equal_words(t, words.read(), same(16, 337), "the clone still runs");
}

FLAGOS_CASE("graph.destroy_graph_keep_exec",
            {.clause = "the graph may change or go away afterwards",
             .level = Level::optional,
             .feature = "graph"}) {
  Words words(t, 16, 1);
  Graph graph(t);
  const auto node = graph.affine(words, 3, 1);
  Executable exec(t, graph);
  graph.affine(words, 100, 0, {node});
  Stream stream(t);
  exec.launch(stream);
  stream.synchronize();
  equal_words(t, words.read(), same(16, 4), "a node that was added later is not in the executable");
  graph.destroy();
  exec.launch(stream);
  stream.synchronize();
  equal_words(t, words.read(), same(16, 13), "the executable runs without its graph");
}

FLAGOS_CASE("graph.destroy_exec_running", {.clause = "a launch that runs completes",
                                           .level = Level::optional,
                                           .feature = "graph"}) {
  Words words(t, 16, 1);
  Graph graph(t);
  add_chain(graph, words, 20);
  Executable exec(t, graph);
  Stream stream(t);
  Blocker blocker(t, stream);
  exec.launch(stream);
  exec.launch(stream);
  exec.destroy();
  graph.destroy();
  nap(0.02);
  blocker.release();
  stream.synchronize();
  equal_words(t, words.read(), same(16, 41), "both launches ran");
}

FLAGOS_CASE("graph.memory_freed_after_launch",
            {.clause = "flagos_memory_free: work submitted before may still use it",
             .level = Level::optional,
             .feature = "graph"}) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 1024;
  flagos_address_t scratch = 0;
  t.ok(flagos_memory_alloc(t.device(), &desc, &scratch), "memory");
  Words target(t, 256);
  Graph graph(t);
  graph.copy(target.at(), scratch, 1024, {graph.fill(scratch, 0x5eed, 1024)});
  Executable exec(t, graph);
  Stream stream(t);
  {
    Blocker blocker(t, stream);
    exec.launch(stream);
    t.ok(flagos_memory_free(t.device(), scratch),
         "its memory is freed while the launch is pending");
    t.ok(flagos_memory_alloc(t.device(), &desc, &scratch), "other memory of that size");
  }
  stream.synchronize();
  t.ok(flagos_memory_free(t.device(), scratch), "that is freed");
  equal_words(t, target.read(), same(256, 0x5eed), "the launch had its memory to the end");
}

FLAGOS_CASE("graph.event_after_launch", {.clause = "a launch is queued on its stream",
                                         .level = Level::optional,
                                         .feature = "graph"}) {
  Words words(t, 16, 1);
  Graph graph(t);
  add_chain(graph, words, 50);
  Executable exec(t, graph);
  Stream stream(t);
  Event event(t);
  Blocker blocker(t, stream);
  exec.launch(stream);
  t.ok(flagos_event_record(event, stream), "a record behind the launch");
  t.check(!event_done(t, event), "the event waits for the graph");
  blocker.release();
  t.ok(flagos_event_synchronize(event, patience_ns), "the wait for the event");
  equal_words(t, words.read(), same(16, 51), "the last node is done then");
}

FLAGOS_CASE("graph.error_in_node", {.clause = "a queued operation that fails poisons its stream",
                                    .level = Level::optional,
                                    .feature = "graph"}) {
  Stream stream(t), other(t);
  Words before(t, 16, 1), behind(t, 16, 1);
  queue_failure(t, stream);  // skips the case where no kernel can fail
  t.status(flagos_stream_synchronize(stream, patience_ns), FLAGOS_STATUS_EXECUTION_FAILED,
           "a failure");
  t.ok(flagos_stream_reset(stream), "a reset");
  flagos_kernel_t* const failing = t.kernel("tl_fail");
  Graph graph(t);
  const auto first = graph.affine(before, 3, 0);
  const auto fails = graph.kernel(failing, {}, {arg_u32(FLAGOS_STATUS_EXECUTION_FAILED)}, {first});
  graph.affine(behind, 5, 0, {fails});
  Executable exec(t, graph);
  {
    Blocker blocker(t, stream);  // all is queued before anything fails
    exec.launch(stream);
  }
  t.status(flagos_stream_synchronize(stream, patience_ns), FLAGOS_STATUS_EXECUTION_FAILED,
           "the launch fails with its node");
  affine(t, other, before, 2, 0);
  other.synchronize();
  t.equal(before.first(), 6, "the node before it ran, other streams go on");
  t.equal(behind.first(), 1, "the node behind it did not");
  t.ok(flagos_stream_reset(stream), "a reset");
  Graph good(t);
  good.affine(behind, 7, 0);
  Executable next(t, good);
  next.launch(stream);
  stream.synchronize();
  t.equal(behind.first(), 7, "graphs run on the stream again");
}

FLAGOS_CASE("graph.other_device", {.clause = "a stream of another open device",
                                   .level = Level::optional,
                                   .oracle = Oracle::code,
                                   .feature = "graph"}) {
  Words words(t, 4, 1);
  Graph graph(t);
  graph.affine(words, 3, 0);
  Executable exec(t, graph);
  OtherDevice other(t);
  flagos_stream_t* foreign = nullptr;
  t.ok(flagos_stream_create(other, nullptr, &foreign), "a stream of the other open device");
  const flagos_status_t refused = flagos_graph_exec_launch(exec, foreign);
  t.ok(flagos_stream_destroy(foreign), "it is destroyed");
  t.status(refused, FLAGOS_STATUS_INVALID_ARGUMENT, "a launch there");
  Stream stream(t);
  exec.launch(stream);
  stream.synchronize();
  t.equal(words.first(), 3, "only the launch on its own device ran");
}

}  // namespace flagos::conformance
