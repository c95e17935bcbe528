// Native collectives: communicators, the checks of calls, groups, captures, what is held back, failures.
#include "core/collective.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/test_graph.hpp"

using namespace flagos::core::test;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;
constexpr std::uint32_t size = 4, rank = 2;

// ---- the plugin's side: one rank of four, whose sums are four times what it has ------------------------------------

struct Side {
  std::vector<std::string> calls;  // what the plugin was asked, in order
  std::int64_t live = 0, registered = 0, aborts = 0;
  bool is_deferrable = true;
  flagos_status_t create = FLAGOS_STATUS_OK, call = FLAGOS_STATUS_OK, error = FLAGOS_STATUS_OK;
};
Side side;

flagos_status_t query(flagos_plugin_device_t*, flagos_collective_operation_t, flagos_dtype_t dtype,
                      flagos_collective_reduction_t, flagos_collective_support_t* out_support) {
  if (dtype != FLAGOS_DTYPE_INT32) return FLAGOS_STATUS_OK;
  out_support->flags = FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS | FLAGOS_COLLECTIVE_SUPPORT_FLAG_PREFERRED;
  if (side.is_deferrable) out_support->flags |= FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE;
  return FLAGOS_STATUS_OK;
}
flagos_status_t unique_id_create(flagos_plugin_device_t*, flagos_collective_id_t* out_id) {
  out_id->size_bytes = 4;
  out_id->bytes[0] = 7;
  return FLAGOS_STATUS_OK;
}
flagos_plugin_communicator_t* new_object() {
  ++side.live;
  return reinterpret_cast<flagos_plugin_communicator_t*>(new int(0));
}
flagos_status_t create(flagos_plugin_device_t*, const flagos_communicator_desc_t* desc,
                       flagos_plugin_communicator_t** out_communicator) {
  CHECK(desc->id->bytes[0] == 7);
  if (side.create == FLAGOS_STATUS_OK) *out_communicator = new_object();
  return side.create;
}
void destroy(flagos_plugin_communicator_t* communicator) {
  CHECK(side.registered == 0);
  --side.live;
  delete reinterpret_cast<int*>(communicator);
}
flagos_status_t query_error(flagos_plugin_communicator_t*, flagos_status_t* out_status) {
  *out_status = side.error;
  return FLAGOS_STATUS_OK;
}
constexpr std::int32_t beyond_color = 99;  // a split that says nonsense
flagos_status_t split(flagos_plugin_communicator_t*, std::int32_t color, std::int32_t,
                      flagos_plugin_communicator_t** out_communicator, std::uint32_t* out_rank,
                      std::uint32_t* out_size) {
  if (color == FLAGOS_COMMUNICATOR_COLOR_NONE) return FLAGOS_STATUS_OK;
  *out_communicator = new_object();
  *out_rank = color == beyond_color ? 2 : 1;
  *out_size = 2;
  return FLAGOS_STATUS_OK;
}
flagos_status_t abort_one(flagos_plugin_communicator_t*) {
  ++side.aborts;
  return FLAGOS_STATUS_OK;
}
template <flagos_collective_operation_t operation>
flagos_status_t run(flagos_plugin_communicator_t*, flagos_plugin_stream_t* stream,
                    const flagos_collective_desc_t* desc) {
  if (side.call != FLAGOS_STATUS_OK) return std::exchange(side.call, FLAGOS_STATUS_OK);
  side.calls.push_back(flagos::core::collective_name(operation));
  const flagos_collective_desc_t copy = *desc;
  return submit_fake(stream, [copy] {
    if (operation != FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE) return FLAGOS_STATUS_OK;
    const auto* const source = reinterpret_cast<const std::int32_t*>(static_cast<std::uintptr_t>(copy.source));
    auto* const target = reinterpret_cast<std::int32_t*>(static_cast<std::uintptr_t>(copy.target));
    for (std::uint64_t i = 0; i < copy.count; ++i) target[i] = source[i] * static_cast<std::int32_t>(size);
    return FLAGOS_STATUS_OK;
  });
}
flagos_status_t group_begin(flagos_plugin_instance_t*) {
  side.calls.push_back("begin");
  return FLAGOS_STATUS_OK;
}
flagos_status_t group_end(flagos_plugin_instance_t*) {
  side.calls.push_back("end");
  return FLAGOS_STATUS_OK;
}
flagos_status_t buffer_register(flagos_plugin_communicator_t*, flagos_address_t, std::uint64_t,
                                flagos_plugin_registration_t** out_registration) {
  ++side.registered;
  *out_registration = nullptr;
  return FLAGOS_STATUS_OK;
}
void buffer_deregister(flagos_plugin_communicator_t*, flagos_plugin_registration_t*) { --side.registered; }

flagos_collective_table_t full_table() {
  flagos_collective_table_t table{};
  table.struct_size = sizeof(table);
  table.group_version = 1;
  table.query = query;
  table.unique_id_create = unique_id_create;
  table.communicator_create = create;
  table.communicator_destroy = destroy;
  table.communicator_query_error = query_error;
  table.communicator_split = split;
  table.communicator_abort = abort_one;
  table.all_reduce = run<FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE>;
  table.reduce_scatter = run<FLAGOS_COLLECTIVE_OPERATION_REDUCE_SCATTER>;
  table.broadcast = run<FLAGOS_COLLECTIVE_OPERATION_BROADCAST>;
  table.all_gather = run<FLAGOS_COLLECTIVE_OPERATION_ALL_GATHER>;
  table.all_to_all = run<FLAGOS_COLLECTIVE_OPERATION_ALL_TO_ALL>;
  table.scatter = run<FLAGOS_COLLECTIVE_OPERATION_SCATTER>;
  table.send = run<FLAGOS_COLLECTIVE_OPERATION_SEND>;
  table.receive = run<FLAGOS_COLLECTIVE_OPERATION_RECEIVE>;
  table.group_begin = group_begin;
  table.group_end = group_end;
  table.buffer_register = buffer_register;
  table.buffer_deregister = buffer_deregister;
  return table;
}
// reduce and gather are not offered.
const flagos_collective_table_t table = full_table();
// What a plugin must have of the group.
const flagos_collective_table_t small_table = [] {
  flagos_collective_table_t small = full_table();
  small.communicator_split = nullptr;
  small.communicator_abort = nullptr;
  small.group_begin = small.group_end = nullptr;
  small.buffer_register = nullptr;
  small.buffer_deregister = nullptr;
  return small;
}();

// ---- the caller's side -------------------------------------------------------------------------------------------

struct Ranks {
  explicit Ranks(const flagos_collective_table_t& used = table) : fake(options(used)), memory(fake.alloc(4096)) {
    side = Side{};
    communicator = join();
    desc.struct_size = sizeof(desc);
    desc.dtype = FLAGOS_DTYPE_INT32;
    desc.source = memory;
    desc.target = memory + 2048;
    desc.count = 8;
    for (int i = 0; i < 8; ++i) at(0)[i] = i + 1;
  }
  static FakeOptions options(const flagos_collective_table_t& used) {
    FakeOptions options;
    options.collective = &used;
    return options;
  }
  flagos_communicator_t* join() {
    flagos_collective_id_t id{};
    REQUIRE(flagos_collective_id_create(fake.device(), &id) == FLAGOS_STATUS_OK);
    flagos_communicator_desc_t made{};
    made.struct_size = sizeof(made);
    made.rank = rank;
    made.size = size;
    made.id = &id;
    flagos_communicator_t* out = nullptr;
    REQUIRE(flagos_communicator_create(fake.device(), &made, &out) == FLAGOS_STATUS_OK);
    return out;
  }
  std::int32_t* at(std::uint64_t offset) const {
    return reinterpret_cast<std::int32_t*>(static_cast<std::uintptr_t>(memory + offset));
  }
  void wait(flagos_stream_t* stream) { REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK); }

  Fake fake;
  flagos_address_t memory;
  flagos_communicator_t* communicator = nullptr;
  flagos_collective_desc_t desc{};
};

void expect_text(const char* part) {
  const std::string text = flagos_last_error();
  CHECK_MESSAGE(text.find(part) != std::string::npos, text);
}

using Calls = std::vector<std::string>;

}  // namespace

TEST_CASE("collective: a device without them says so") {
  Fake f;
  flagos_collective_support_t support{};
  support.struct_size = sizeof(support);
  CHECK(flagos_collective_query(f.device(), 0, FLAGOS_DTYPE_INT32, 0, &support) == FLAGOS_STATUS_UNSUPPORTED);
  expect_text("native collectives");
  flagos_collective_id_t id{};
  CHECK(flagos_collective_id_create(f.device(), &id) == FLAGOS_STATUS_UNSUPPORTED);
  id.size_bytes = 4;
  flagos_communicator_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.size = 1;
  desc.id = &id;
  flagos_communicator_t* made = nullptr;
  CHECK(flagos_communicator_create(f.device(), &desc, &made) == FLAGOS_STATUS_UNSUPPORTED);
}

TEST_CASE("collective: what is offered depends on slot and dtype") {
  Ranks r;
  const auto flags = [&](flagos_collective_operation_t operation, flagos_dtype_t dtype) {
    flagos_collective_support_t support{};
    support.struct_size = sizeof(support);
    REQUIRE(flagos_collective_query(r.fake.device(), operation, dtype, 0, &support) == FLAGOS_STATUS_OK);
    return support.flags;
  };
  CHECK(flags(FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_INT32) ==
        (FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS | FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE |
         FLAGOS_COLLECTIVE_SUPPORT_FLAG_PREFERRED));
  CHECK(flags(FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_FLOAT64) == 0);
  CHECK(flags(FLAGOS_COLLECTIVE_OPERATION_GATHER, FLAGOS_DTYPE_INT32) == 0);
  r.desc.peer = 1;
  CHECK(flagos_collective_gather(r.communicator, r.fake.stream(), &r.desc) == FLAGOS_STATUS_UNSUPPORTED);
}

TEST_CASE("collective: a communicator has a rank, a device, an end") {
  Ranks r;
  flagos_communicator_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_communicator_get_info(r.communicator, &info) == FLAGOS_STATUS_OK);
  CHECK(info.rank == rank);
  CHECK(info.size == size);
  CHECK(info.device == r.fake.device());
  CHECK(flagos_device_close(r.fake.device()) == FLAGOS_STATUS_BUSY);
  flagos_communicator_t* part = nullptr;
  REQUIRE(flagos_communicator_split(r.communicator, 3, 0, &part) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_communicator_get_info(part, &info) == FLAGOS_STATUS_OK);
  CHECK(info.rank == 1);
  CHECK(info.size == 2);
  flagos_communicator_t* none = part;
  REQUIRE(flagos_communicator_split(r.communicator, FLAGOS_COMMUNICATOR_COLOR_NONE, 0, &none) == FLAGOS_STATUS_OK);
  CHECK(none == nullptr);
  CHECK(flagos_communicator_split(r.communicator, -2, 0, &none) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(side.live == 2);
  CHECK(flagos_communicator_split(r.communicator, beyond_color, 0, &none) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
  CHECK(std::string(flagos_last_error()).find("the plugin made rank 2 of 2 ranks") != std::string::npos);
  CHECK(none == nullptr);
  CHECK(side.live == 2);
  CHECK(flagos_communicator_destroy(part) == FLAGOS_STATUS_OK);
  CHECK(flagos_communicator_destroy(part) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(flagos_communicator_destroy(r.communicator) == FLAGOS_STATUS_OK);
  CHECK(flagos_communicator_destroy(nullptr) == FLAGOS_STATUS_OK);
  CHECK(side.live == 0);
}

TEST_CASE("collective: what create refuses") {
  Ranks r;
  flagos_collective_id_t id{};
  REQUIRE(flagos_collective_id_create(r.fake.device(), &id) == FLAGOS_STATUS_OK);
  flagos_communicator_desc_t good{};
  good.struct_size = sizeof(good);
  good.size = 1;
  good.id = &id;
  flagos_communicator_t* made = nullptr;
  const auto status = [&](auto change) {
    flagos_communicator_desc_t desc = good;
    change(desc);
    return flagos_communicator_create(r.fake.device(), &desc, &made);
  };
  CHECK(status([](auto& desc) { desc.rank = 1; }) == FLAGOS_STATUS_INVALID_ARGUMENT);
  expect_text("rank 1 of a communicator of 1 ranks");
  CHECK(status([](auto& desc) { desc.size = 0; }) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(status([](auto& desc) { desc.id = nullptr; }) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(status([](auto& desc) { desc.flags = 1; }) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(status([](auto& desc) { desc.struct_size = 8; }) == FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  id.size_bytes = sizeof(id.bytes) + 1;
  CHECK(status([](auto&) {}) == FLAGOS_STATUS_COMM_REFUSED);
  id.size_bytes = 4;
  side.create = FLAGOS_STATUS_COMM_TIMEOUT;
  CHECK(status([](auto&) {}) == FLAGOS_STATUS_COMM_TIMEOUT);
  CHECK(made == nullptr);
  // What was counted while it waited is not counted any more.
  CHECK(flagos_communicator_destroy(r.communicator) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(r.fake.device(), r.memory) == FLAGOS_STATUS_OK);
  CHECK(flagos_device_close(r.fake.device()) == FLAGOS_STATUS_OK);
}

TEST_CASE("collective: an operation runs in its place in the stream") {
  Ranks r;
  flagos_stream_t* const stream = r.fake.stream();
  REQUIRE(flagos_collective_all_reduce(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  r.desc.source = r.desc.target;  // in place
  REQUIRE(flagos_collective_all_reduce(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  std::memset(&r.desc, 0xcc, sizeof(r.desc));
  r.wait(stream);
  for (int i = 0; i < 8; ++i) CHECK(r.at(2048)[i] == 16 * (i + 1));
  CHECK(side.calls == Calls{"all_reduce", "all_reduce"});
}

TEST_CASE("collective: what an operation refuses") {
  Ranks r;
  flagos_stream_t* const stream = r.fake.stream();
  using Function = decltype(&flagos_collective_all_reduce);
  const auto status = [&](Function function, auto change) {
    flagos_collective_desc_t desc = r.desc;
    change(desc);
    return function(r.communicator, stream, &desc);
  };
  const auto all_reduce = [&](auto change) { return status(flagos_collective_all_reduce, change); };
  constexpr auto invalid = FLAGOS_STATUS_INVALID_ARGUMENT;
  CHECK(all_reduce([](auto& desc) { desc.dtype = FLAGOS_DTYPE_NONE; }) == invalid);
  CHECK(all_reduce([](auto& desc) { desc.dtype = FLAGOS_MAKE_DTYPE(0, 4, 1); }) == invalid);
  CHECK(all_reduce([](auto& desc) { desc.reduction = 9; }) == invalid);
  CHECK(all_reduce([](auto& desc) { desc.reduction = -1; }) == invalid);
  CHECK(all_reduce([](auto& desc) { desc.peer = 1; }) == invalid);
  CHECK(all_reduce([](auto& desc) { desc.scale = 2; }) == invalid);
  CHECK(all_reduce([](auto& desc) { desc.count = 513; }) == invalid);
  CHECK(all_reduce([](auto& desc) { desc.count = UINT64_MAX / 4; }) == invalid);
  expect_text("do not fit 64 bits");
  CHECK(all_reduce([](auto& desc) { desc.source = 0; }) == invalid);
  CHECK(all_reduce([](auto& desc) { desc.target = desc.source + 4; }) == invalid);
  expect_text("overlap");
  CHECK(all_reduce([](auto& desc) { desc.flags = 1; }) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(all_reduce([](auto& desc) { desc.struct_size = 8; }) == FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  CHECK(status(flagos_collective_broadcast, [](auto& desc) { desc.peer = size; }) == invalid);
  expect_text("peer 4 of 4 ranks");
  CHECK(status(flagos_collective_all_gather, [](auto& desc) { desc.reduction = 1; }) == invalid);
  CHECK(status(flagos_collective_all_to_all, [](auto& desc) { desc.target = desc.source; }) == invalid);
  CHECK(status(flagos_collective_all_to_all, [](auto& desc) { desc.count = 129; }) == invalid);
  CHECK(status(flagos_collective_send, [](auto& desc) { desc.peer = rank; }) == invalid);
  expect_text("needs a group");
  // The block of this rank may be the other buffer.
  CHECK(status(flagos_collective_all_gather, [&](auto& desc) { desc.source = desc.target + rank * 32; }) ==
        FLAGOS_STATUS_OK);
  CHECK(status(flagos_collective_all_gather, [&](auto& desc) { desc.source = desc.target + 32; }) == invalid);
  CHECK(status(flagos_collective_reduce_scatter, [&](auto& desc) { desc.target = desc.source + rank * 32; }) ==
        FLAGOS_STATUS_OK);
  // What other ranks have is not looked at, nor is anything with a count of 0.
  CHECK(status(flagos_collective_scatter, [](auto& desc) { desc.source = 0; }) == FLAGOS_STATUS_OK);
  CHECK(all_reduce([](auto& desc) { desc.count = desc.source = desc.target = 0; }) == FLAGOS_STATUS_OK);
  flagos_stream_t* const foreign = r.fake.stream(r.fake.open(1));
  CHECK(flagos_collective_all_reduce(r.communicator, foreign, &r.desc) == invalid);
  r.wait(stream);
}

TEST_CASE("collective: groups are collected, nest, and fail as one") {
  Ranks r;
  flagos_stream_t* const stream = r.fake.stream();
  flagos_stream_t* const other = r.fake.stream();
  CHECK(flagos_collective_group_end() == FLAGOS_STATUS_NOT_PERMITTED);
  REQUIRE(flagos_collective_group_begin() == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_group_begin() == FLAGOS_STATUS_OK);
  r.desc.peer = rank;
  REQUIRE(flagos_collective_send(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_group_end() == FLAGOS_STATUS_OK);
  CHECK(side.calls.empty());
  REQUIRE(flagos_collective_receive(r.communicator, other, &r.desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_group_end() == FLAGOS_STATUS_OK);
  CHECK(side.calls == Calls{"begin", "send", "receive", "end"});
  // Nothing of a group that has a wrong call is queued.
  side.calls.clear();
  REQUIRE(flagos_collective_group_begin() == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_send(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  r.desc.peer = size;
  CHECK(flagos_collective_receive(r.communicator, stream, &r.desc) == FLAGOS_STATUS_INVALID_ARGUMENT);
  r.desc.peer = rank;
  REQUIRE(flagos_collective_receive(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  CHECK(flagos_collective_group_end() == FLAGOS_STATUS_INVALID_ARGUMENT);
  expect_text("peer 4 of 4 ranks");
  CHECK(side.calls.empty());
  // One operation needs no group of the plugin's, and none is nothing.
  r.desc.peer = 0;
  REQUIRE(flagos_collective_group_begin() == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_group_end() == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_group_begin() == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_send(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_group_end() == FLAGOS_STATUS_OK);
  CHECK(side.calls == Calls{"send"});
  // A failure inside is told, and the plugin's group is closed.
  side.calls.clear();
  side.call = FLAGOS_STATUS_OUT_OF_RESOURCES;
  REQUIRE(flagos_collective_group_begin() == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_send(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_receive(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  CHECK(flagos_collective_group_end() == FLAGOS_STATUS_OUT_OF_RESOURCES);
  CHECK(side.calls == Calls{"begin", "end"});
  r.wait(stream);
  r.wait(other);
}

TEST_CASE("collective: captured operations run each time the graph does, a group as one node") {
  Ranks r;
  flagos_stream_t* const stream = r.fake.stream();
  REQUIRE(flagos_stream_begin_capture(stream) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_all_reduce(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_group_begin() == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_send(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_receive(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_group_end() == FLAGOS_STATUS_OK);
  side.is_deferrable = false;
  CHECK(flagos_collective_all_reduce(r.communicator, stream, &r.desc) == FLAGOS_STATUS_UNSUPPORTED);
  expect_text("the stream is captured");
  flagos_graph_t* graph = nullptr;
  REQUIRE(flagos_stream_end_capture(stream, &graph) == FLAGOS_STATUS_OK);
  flagos_graph_node_t nodes[2];
  std::uint64_t node_count = 0;
  REQUIRE(flagos_graph_get_nodes(graph, 2, nodes, &node_count) == FLAGOS_STATUS_OK);
  CHECK(node_count == 2);
  flagos_graph_node_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_graph_get_node_info(graph, nodes[1], &info) == FLAGOS_STATUS_OK);
  CHECK(info.type == FLAGOS_GRAPH_NODE_TYPE_COLLECTIVE);
  flagos_graph_node_desc_t by_hand{};
  by_hand.struct_size = sizeof(by_hand);
  by_hand.type = FLAGOS_GRAPH_NODE_TYPE_COLLECTIVE;
  flagos_graph_node_t node = 1;
  CHECK(flagos_graph_add_node(graph, &by_hand, &node) == FLAGOS_STATUS_INVALID_ARGUMENT);
  flagos_graph_exec_t* exec = nullptr;
  REQUIRE(flagos_graph_instantiate(graph, &exec) == FLAGOS_STATUS_OK);
  CHECK(side.calls.empty());
  // The graph keeps the communicator.
  CHECK(flagos_communicator_destroy(r.communicator) == FLAGOS_STATUS_OK);
  CHECK(side.live == 1);
  for (int i = 0; i < 2; ++i) REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  r.wait(stream);
  CHECK(r.at(2048)[7] == 32);
  CHECK(side.calls ==
        Calls{"all_reduce", "begin", "send", "receive", "end", "all_reduce", "begin", "send", "receive", "end"});
  CHECK(flagos_graph_exec_destroy(exec) == FLAGOS_STATUS_OK);
  CHECK(flagos_graph_destroy(graph) == FLAGOS_STATUS_OK);
}

TEST_CASE("collective: what is held back is not overtaken on another stream") {
  Ranks r;
  flagos_stream_t* const stream = r.fake.stream();
  flagos_stream_t* const other = r.fake.stream();
  flagos_timeline_t* const timeline = r.fake.timeline();
  REQUIRE(flagos_stream_wait_timeline(stream, timeline, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_all_reduce(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_all_gather(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  CHECK(flagos_collective_all_reduce(r.communicator, other, &r.desc) == FLAGOS_STATUS_NOT_PERMITTED);
  expect_text("is held back on another stream");
  REQUIRE(flagos_collective_group_begin() == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_all_to_all(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  flagos_communicator_t* const second = r.join();
  REQUIRE(flagos_collective_all_reduce(second, other, &r.desc) == FLAGOS_STATUS_OK);
  CHECK(flagos_collective_group_end() == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(side.calls.empty());
  REQUIRE(flagos_timeline_signal(timeline, 1) == FLAGOS_STATUS_OK);
  r.wait(stream);
  CHECK(side.calls == Calls{"all_reduce", "all_gather"});
  CHECK(flagos_collective_all_reduce(r.communicator, other, &r.desc) == FLAGOS_STATUS_OK);
  r.wait(other);
}

TEST_CASE("collective: a plugin with the least of the group") {
  Ranks r(small_table);
  flagos_stream_t* const stream = r.fake.stream();
  flagos_communicator_t* part = nullptr;
  CHECK(flagos_communicator_split(r.communicator, 0, 0, &part) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(flagos_communicator_abort(r.communicator) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(flagos_communicator_register(r.communicator, r.memory, 64) == FLAGOS_STATUS_UNSUPPORTED);
  REQUIRE(flagos_collective_group_begin() == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_all_reduce(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_collective_all_reduce(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  CHECK(flagos_collective_group_end() == FLAGOS_STATUS_UNSUPPORTED);
  expect_text("has no groups");
  CHECK(flagos_collective_all_reduce(r.communicator, stream, &r.desc) == FLAGOS_STATUS_OK);
  r.wait(stream);
}

TEST_CASE("collective: abort, asynchronous errors, registered buffers") {
  Ranks r;
  flagos_stream_t* const stream = r.fake.stream();
  CHECK(flagos_communicator_register(r.communicator, r.memory, 64) == FLAGOS_STATUS_OK);
  CHECK(flagos_communicator_register(r.communicator, r.memory, 64) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_communicator_register(r.communicator, r.memory + 64, 4096) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_communicator_register(r.communicator, r.memory + 64, 64) == FLAGOS_STATUS_OK);
  CHECK(flagos_communicator_deregister(r.communicator, r.memory) == FLAGOS_STATUS_OK);
  CHECK(flagos_communicator_deregister(r.communicator, r.memory) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(side.registered == 1);
  flagos_status_t status = FLAGOS_STATUS_BUSY;
  REQUIRE(flagos_communicator_query_error(r.communicator, &status) == FLAGOS_STATUS_OK);
  CHECK(status == FLAGOS_STATUS_OK);
  side.error = FLAGOS_STATUS_RANK_FAILED;
  REQUIRE(flagos_communicator_query_error(r.communicator, &status) == FLAGOS_STATUS_OK);
  CHECK(status == FLAGOS_STATUS_RANK_FAILED);
  expect_text("RANK_FAILED");
  REQUIRE(flagos_communicator_abort(r.communicator) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_communicator_abort(r.communicator) == FLAGOS_STATUS_OK);
  CHECK(side.aborts == 1);
  CHECK(flagos_collective_all_reduce(r.communicator, stream, &r.desc) == FLAGOS_STATUS_COMM_ABORTED);
  CHECK(flagos_communicator_destroy(r.communicator) == FLAGOS_STATUS_OK);
  CHECK(side.registered == 0);
  CHECK(side.live == 0);
}

TEST_CASE("collective: what a plugin may not answer") {
  flagos_collective_table_t broken = full_table();
  flagos_communicator_t* out = nullptr;
  flagos_collective_id_t id{};
  SUBCASE("flags that are not known") {
    broken.query = [](flagos_plugin_device_t*, flagos_collective_operation_t, flagos_dtype_t,
                      flagos_collective_reduction_t, flagos_collective_support_t* out_support) {
      out_support->flags = 1u << 31;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    Fake f(Ranks::options(broken));
    flagos_collective_support_t support{};
    support.struct_size = sizeof(support);
    CHECK(flagos_collective_query(f.device(), FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_INT32,
                                  FLAGOS_COLLECTIVE_REDUCTION_SUM, &support) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
    expect_text("unknown flags");
  }
  SUBCASE("an id of no bytes") {
    broken.unique_id_create = [](flagos_plugin_device_t*, flagos_collective_id_t*) {
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    Fake f(Ranks::options(broken));
    CHECK(flagos_collective_id_create(f.device(), &id) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
    expect_text("an id of 0 bytes");
  }
  SUBCASE("no communicator") {
    broken.communicator_create = [](flagos_plugin_device_t*, const flagos_communicator_desc_t*,
                                    flagos_plugin_communicator_t**) { return flagos_status_t{FLAGOS_STATUS_OK}; };
    Fake f(Ranks::options(broken));
    REQUIRE(flagos_collective_id_create(f.device(), &id) == FLAGOS_STATUS_OK);
    flagos_communicator_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.size = 1;
    desc.id = &id;
    CHECK(flagos_communicator_create(f.device(), &desc, &out) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
    expect_text("no object from collective.communicator_create");
  }
  CHECK(out == nullptr);
}
