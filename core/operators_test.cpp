// Native operators of a plugin: what is listed, checked, run, captured and held back.
#include "core/operators.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "core/test_graph.hpp"

using namespace flagos::core::test;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;
constexpr std::uint32_t sum_of = 0, at_once = 1;
constexpr std::uint64_t workspace_bytes = 64;

// ---- the plugin's side -------------------------------------------------------------------------------------------

const flagos_operator_info_t infos[] = {{sizeof(flagos_operator_info_t), 0, "sum_of",
                                         "sum_of(Tensor[] inputs, int value, int[] more, float real, bool flag, str "
                                         "word=yes|no, Tensor? none, Tensor! out)"},
                                        {sizeof(flagos_operator_info_t), 0, "at_once", "at_once(Tensor! out)"}};

flagos_status_t get_info(flagos_plugin_device_t*, std::uint32_t index, flagos_operator_info_t* out_info) {
  if (index >= 2) return FLAGOS_STATUS_NOT_FOUND;
  *out_info = infos[index];
  return FLAGOS_STATUS_OK;
}

const flagos_tensor_t& tensor_in(const flagos_operator_argument_t& argument) {
  return *flagos::core::pointer_in<flagos_tensor_t>(argument);
}

bool takes(const flagos_operator_desc_t& desc) {
  const std::uint32_t count = desc.index == sum_of ? 8 : 1;
  if (desc.argument_count != count) return false;
  const flagos_operator_argument_t& out = desc.arguments[count - 1];
  return out.type == FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR && tensor_in(out).dtype == FLAGOS_DTYPE_INT32;
}

flagos_status_t query(flagos_plugin_device_t*, const flagos_operator_desc_t* desc,
                      flagos_operator_support_t* out_support) {
  out_support->workspace_bytes = desc->index == sum_of ? workspace_bytes : 0;
  if (!takes(*desc)) return FLAGOS_STATUS_OK;
  out_support->flags =
      FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS | (desc->index == sum_of ? FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE : 0);
  return FLAGOS_STATUS_OK;
}

std::int32_t* data_of(const flagos_tensor_t& tensor) {
  return reinterpret_cast<std::int32_t*>(static_cast<std::uintptr_t>(tensor.address));
}

// out[i] += inputs[..][i] + value + more[..] + real + flag, for the word "yes"; reads the desc before it returns.
flagos_status_t run(flagos_plugin_stream_t* stream, const flagos_operator_desc_t* desc) {
  if (!takes(*desc)) return FLAGOS_STATUS_UNSUPPORTED;
  const flagos_tensor_t& out = tensor_in(desc->arguments[desc->argument_count - 1]);
  const std::int64_t size = out.shape[0];
  std::int32_t* const target = data_of(out);
  if (desc->index == at_once)
    return submit_fake(stream, [=] {
      for (std::int64_t i = 0; i < size; ++i) target[i] = 7;
      return FLAGOS_STATUS_OK;
    });
  if (desc->workspace == 0 || desc->workspace_bytes < workspace_bytes) return FLAGOS_STATUS_UNSUPPORTED;
  double real = 0;
  std::memcpy(&real, &desc->arguments[3].value, sizeof(real));
  auto added = static_cast<std::int32_t>(desc->arguments[1].value) + static_cast<std::int32_t>(real) +
               static_cast<std::int32_t>(desc->arguments[4].value);
  for (std::uint32_t i = 0; i < desc->arguments[2].count; ++i)
    added += static_cast<std::int32_t>(flagos::core::pointer_in<std::int64_t>(desc->arguments[2])[i]);
  if (std::string(flagos::core::pointer_in<char>(desc->arguments[5])) != "yes") return FLAGOS_STATUS_UNSUPPORTED;
  std::vector<const std::int32_t*> inputs;
  for (std::uint32_t i = 0; i < desc->arguments[0].count; ++i)
    inputs.push_back(data_of(*flagos::core::pointer_in<const flagos_tensor_t*>(desc->arguments[0])[i]));
  return submit_fake(stream, [=] {
    for (std::int64_t i = 0; i < size; ++i) {
      target[i] += added;
      for (const std::int32_t* input : inputs) target[i] += input[i];
    }
    return FLAGOS_STATUS_OK;
  });
}

const flagos_operators_table_t table = {sizeof(table), 1, get_info, query, run};

FakeOptions with_operators() {
  FakeOptions options;
  options.operators = &table;
  return options;
}

// ---- the caller's side -------------------------------------------------------------------------------------------

constexpr std::int64_t size = 8;

// A call of sum_of that adds 1 + 2 + 3 + 4 + 5 + 1 and two inputs of 10 to out; nothing of it outlives a test.
struct SumOf {
  explicit SumOf(Fake& f) : workspace(f.alloc(workspace_bytes)), out_memory(f.alloc(4 * size)) {
    for (flagos_tensor_t* tensor : {&a, &b, &out}) {
      tensor->struct_size = sizeof(*tensor);
      tensor->dtype = FLAGOS_DTYPE_INT32;
      tensor->rank = 1;
      tensor->shape = &shape;
      tensor->strides = &stride;
      tensor->address = tensor == &out ? out_memory : f.alloc(4 * size);
      for (std::int64_t i = 0; i < size; ++i) data_of(*tensor)[i] = tensor == &out ? 0 : 10;
    }
    arguments[0] = {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSORS, 2, address(inputs)};
    arguments[1] = {FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGER, 0, 1};
    arguments[2] = {FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGERS, 3, address(more)};
    arguments[3] = {FLAGOS_OPERATOR_ARGUMENT_TYPE_REAL, 0, 0};
    std::memcpy(&arguments[3].value, &real, sizeof(real));
    arguments[4] = {FLAGOS_OPERATOR_ARGUMENT_TYPE_BOOLEAN, 0, 1};
    arguments[5] = {FLAGOS_OPERATOR_ARGUMENT_TYPE_TEXT, 0, address(word)};
    arguments[6] = {FLAGOS_OPERATOR_ARGUMENT_TYPE_NONE, 0, 0};
    arguments[7] = {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR, 0, address(&out)};
    desc.struct_size = sizeof(desc);
    desc.index = sum_of;
    desc.arguments = arguments;
    desc.argument_count = 8;
    desc.workspace = workspace;
    desc.workspace_bytes = workspace_bytes;
  }
  // As a caller's stack after it returned.
  void scribble() {
    std::memset(arguments, 0xcc, sizeof(arguments));
    std::memset(more, 0xcc, sizeof(more));
    std::memset(word, 'x', sizeof(word) - 1);
    for (flagos_tensor_t* tensor : {&a, &b, &out}) std::memset(tensor, 0xcc, sizeof(*tensor));
    shape = stride = -1;
  }
  std::int32_t result() const {
    const auto* data = reinterpret_cast<const std::int32_t*>(static_cast<std::uintptr_t>(out_memory));
    for (std::int64_t i = 1; i < size; ++i) CHECK(data[i] == data[0]);
    return data[0];
  }
  static std::uint64_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

  static constexpr std::int32_t once = 36;
  flagos_address_t workspace, out_memory;
  std::int64_t shape = size, stride = 1, more[3] = {2, 3, 4};
  double real = 5;
  char word[4] = "yes";
  flagos_tensor_t a{}, b{}, out{};
  const flagos_tensor_t* inputs[2] = {&a, &b};
  flagos_operator_argument_t arguments[8]{};
  flagos_operator_desc_t desc{};
};

void expect_text(const char* part) {
  const std::string text = flagos_last_error();
  CHECK_MESSAGE(text.find(part) != std::string::npos, text);
}

}  // namespace

TEST_CASE("operators: what the device offers") {
  Fake f(with_operators());
  std::uint32_t count = 9;
  REQUIRE(flagos_operator_get_count(f.device(), &count) == FLAGOS_STATUS_OK);
  CHECK(count == 2);
  flagos_operator_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_operator_get_info(f.device(), 1, &info) == FLAGOS_STATUS_OK);
  CHECK(std::string(info.name) == "at_once");
  CHECK(std::string(info.schema) == "at_once(Tensor! out)");
  CHECK(flagos_operator_get_info(f.device(), 2, &info) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(info.name == nullptr);
  flagos_support_t support = FLAGOS_SUPPORT_ABSENT;
  REQUIRE(flagos_device_get_feature(f.device(), FLAGOS_FEATURE_OPERATORS, &support) == FLAGOS_STATUS_OK);
  CHECK(support == FLAGOS_SUPPORT_NATIVE);
}

TEST_CASE("operators: a device without them says so") {
  Fake f;
  std::uint32_t count = 9;
  REQUIRE(flagos_operator_get_count(f.device(), &count) == FLAGOS_STATUS_OK);
  CHECK(count == 0);
  SumOf call(f);
  flagos_operator_support_t support{};
  support.struct_size = sizeof(support);
  CHECK(flagos_operator_query(f.device(), &call.desc, &support) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(flagos_operator_run(f.stream(), &call.desc) == FLAGOS_STATUS_UNSUPPORTED);
  expect_text("has no native operators");
}

TEST_CASE("operators: a call is asked for, runs in its place, and is copied at once") {
  Fake f(with_operators());
  flagos_stream_t* const stream = f.stream();
  SumOf call(f);
  flagos_operator_support_t support{};
  support.struct_size = sizeof(support);
  REQUIRE(flagos_operator_query(f.device(), &call.desc, &support) == FLAGOS_STATUS_OK);
  CHECK(support.flags == (FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS | FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE));
  CHECK(support.workspace_bytes == workspace_bytes);
  REQUIRE(flagos_operator_run(stream, &call.desc) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_operator_run(stream, &call.desc) == FLAGOS_STATUS_OK);
  call.scribble();
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(call.result() == 2 * SumOf::once);
}

TEST_CASE("operators: what is not taken is an answer to query, and UNSUPPORTED of run") {
  Fake f(with_operators());
  flagos_stream_t* const stream = f.stream();
  SumOf call(f);
  call.out.dtype = FLAGOS_DTYPE_FLOAT32;
  flagos_operator_support_t support{};
  support.struct_size = sizeof(support);
  support.flags = 9;
  REQUIRE(flagos_operator_query(f.device(), &call.desc, &support) == FLAGOS_STATUS_OK);
  CHECK(support.flags == 0);
  CHECK(support.workspace_bytes == 0);
  CHECK(flagos_operator_run(stream, &call.desc) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(call.result() == 0);
}

TEST_CASE("operators: a captured call runs each time the graph does") {
  Fake f(with_operators());
  flagos_stream_t* const stream = f.stream();
  SumOf call(f);
  REQUIRE(flagos_stream_begin_capture(stream) == FLAGOS_STATUS_OK);
  REQUIRE(f.append(stream, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_operator_run(stream, &call.desc) == FLAGOS_STATUS_OK);
  // One that runs at once only is refused, and the capture goes on.
  SumOf other(f);
  other.desc.index = at_once;
  other.desc.arguments += 7;
  other.desc.argument_count = 1;
  CHECK(flagos_operator_run(stream, &other.desc) == FLAGOS_STATUS_UNSUPPORTED);
  expect_text("'at_once' of device fake:0 runs at once or not at all, and the stream is captured");
  flagos_graph_t* graph = nullptr;
  REQUIRE(flagos_stream_end_capture(stream, &graph) == FLAGOS_STATUS_OK);
  call.scribble();
  flagos_graph_node_t nodes[2];
  std::uint64_t node_count = 0;
  REQUIRE(flagos_graph_get_nodes(graph, 2, nodes, &node_count) == FLAGOS_STATUS_OK);
  flagos_graph_node_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_graph_get_node_info(graph, nodes[1], &info) == FLAGOS_STATUS_OK);
  CHECK(info.type == FLAGOS_GRAPH_NODE_TYPE_OPERATOR);
  flagos_graph_node_desc_t by_hand{};
  by_hand.struct_size = sizeof(by_hand);
  by_hand.type = FLAGOS_GRAPH_NODE_TYPE_OPERATOR;
  flagos_graph_node_t node = 1;
  CHECK(flagos_graph_add_node(graph, &by_hand, &node) == FLAGOS_STATUS_INVALID_ARGUMENT);
  flagos_graph_exec_t* exec = nullptr;
  REQUIRE(flagos_graph_instantiate(graph, &exec) == FLAGOS_STATUS_OK);
  CHECK(call.result() == 0);
  for (int i = 1; i <= 3; ++i) {
    REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
    CHECK(call.result() == i * SumOf::once);
  }
  CHECK(fake().trail().size() == 3);
}

TEST_CASE("operators: a call that core holds back keeps its arguments") {
  Fake f(with_operators());
  flagos_stream_t* const stream = f.stream();
  flagos_timeline_t* const timeline = f.timeline();
  SumOf call(f), other(f);
  REQUIRE(flagos_stream_wait_timeline(stream, timeline, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_operator_run(stream, &call.desc) == FLAGOS_STATUS_OK);
  other.desc.index = at_once;
  other.desc.arguments += 7;
  other.desc.argument_count = 1;
  CHECK(flagos_operator_run(stream, &other.desc) == FLAGOS_STATUS_UNSUPPORTED);
  expect_text("is held back");
  call.scribble();
  CHECK(call.result() == 0);
  REQUIRE(flagos_timeline_signal(timeline, 1) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(call.result() == SumOf::once);
}

TEST_CASE("operators: a failing run, and a stream that failed") {
  Fake f(with_operators());
  flagos_stream_t* const stream = f.stream();
  SumOf call(f);
  fake().submit = FLAGOS_STATUS_OUT_OF_RESOURCES;
  CHECK(flagos_operator_run(stream, &call.desc) == FLAGOS_STATUS_OUT_OF_RESOURCES);
  REQUIRE(flagos_operator_run(stream, &call.desc) == FLAGOS_STATUS_OK);
  REQUIRE(f.launch(stream, "fail") == FLAGOS_STATUS_OK);
  CHECK(flagos_stream_synchronize(stream, forever) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(flagos_operator_run(stream, &call.desc) == FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(call.result() == SumOf::once);
}

TEST_CASE("operators: what is refused before the plugin sees it") {
  Fake f(with_operators());
  flagos_stream_t* const stream = f.stream();
  const auto refused = [&](const char* part, auto change, flagos_status_t status = FLAGOS_STATUS_INVALID_ARGUMENT) {
    SumOf call(f);
    change(call);
    CHECK(flagos_operator_run(stream, &call.desc) == status);
    expect_text(part);
  };
  refused(
      "operator 2 of the 2", [](SumOf& call) { call.desc.index = 2; }, FLAGOS_STATUS_NOT_FOUND);
  refused(
      "flags", [](SumOf& call) { call.desc.flags = 1; }, FLAGOS_STATUS_UNSUPPORTED);
  refused(
      "padding", [](SumOf& call) { call.desc.padding = 1; }, FLAGOS_STATUS_UNSUPPORTED);
  refused("33 arguments", [](SumOf& call) { call.desc.argument_count = 33; });
  refused("arguments", [](SumOf& call) { call.desc.arguments = nullptr; });
  refused("argument 1 of the operator is of type 8", [](SumOf& call) { call.arguments[1].type = 8; });
  refused("argument 1 of the operator is no list, and its count is 2",
          [](SumOf& call) { call.arguments[1].count = 2; });
  refused("argument 2 of the operator is NULL, and its count is 3", [](SumOf& call) { call.arguments[2].value = 0; });
  refused("argument 4 of the operator is a boolean of value 2", [](SumOf& call) { call.arguments[4].value = 2; });
  refused("argument 5 of the operator is a text that is NULL", [](SumOf& call) { call.arguments[5].value = 0; });
  refused("argument 7 of the operator is or holds a tensor that is NULL",
          [](SumOf& call) { call.arguments[7].value = 0; });
  refused("argument 0 of the operator is or holds a tensor that is NULL",
          [](SumOf& call) { call.inputs[1] = nullptr; });
  refused(
      "struct_size", [](SumOf& call) { call.a.struct_size = 8; }, FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  refused(
      "flags", [](SumOf& call) { call.a.flags = 2; }, FLAGOS_STATUS_UNSUPPORTED);
  refused("rank 65", [](SumOf& call) { call.a.rank = 65; });
  refused("shape[0] is -8", [](SumOf& call) { call.shape = -8; });
  refused("a tensor without strides", [](SumOf& call) { call.a.strides = nullptr; });
  refused("64 bits", [](SumOf& call) { call.shape = INT64_MAX; });
  refused("end past an allocation of 32 bytes", [](SumOf& call) { call.shape = size + 1; });
  refused("begins 28 bytes before", [](SumOf& call) { call.stride = -1; });
  refused("address 0", [](SumOf& call) { call.out.address = 0; });
  refused("the workspace is address 0", [](SumOf& call) { call.desc.workspace = 0; });
  refused("the workspace", [](SumOf& call) { call.desc.workspace_bytes = 65; });
  // Where memory is not looked at, addresses do not matter.
  SumOf call(f);
  call.out.address = call.a.address = call.desc.workspace = 0;
  flagos_operator_support_t support{};
  support.struct_size = sizeof(support);
  CHECK(flagos_operator_query(f.device(), &call.desc, &support) == FLAGOS_STATUS_OK);
  CHECK(support.flags != 0);
  CHECK(flagos_operator_query(f.device(), &call.desc, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("operators: a plugin that answers nonsense is named") {
  static const auto odd_flags = [](flagos_plugin_device_t*, const flagos_operator_desc_t*,
                                   flagos_operator_support_t* out) {
    out->flags = 8;
    return flagos_status_t{FLAGOS_STATUS_OK};
  };
  static const flagos_operators_table_t odd = {sizeof(odd), 1, get_info, odd_flags, run};
  FakeOptions options;
  options.operators = &odd;
  Fake f(options);
  SumOf call(f);
  flagos_operator_support_t support{};
  support.struct_size = sizeof(support);
  CHECK(flagos_operator_query(f.device(), &call.desc, &support) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
  expect_text("unknown flags 0x8");
}
