#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <set>
#include <string>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

struct Flag {
  std::uint64_t flag;
};

std::size_t thread_count() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
    ++count;
  return count;
}

flagos_device_info_t describe(const flagos_plugin_t& api, std::uint32_t index) {
  flagos_device_info_t info{};
  info.struct_size = sizeof(info);
  CHECK(api.device->get_info(api.instance, index, &info) == FLAGOS_STATUS_OK);
  return info;
}

TEST_CASE("plugin: versions are agreed on, or refused with the plugin's own range") {
  TestHost host;
  flagos_host_t table = host.table();
  flagos_plugin_t plugin{};
  plugin.struct_size = sizeof(plugin);
  table.abi_version_min = table.abi_version_max = FLAGOS_MAKE_VERSION(2, 0);
  CHECK(flagos_plugin_open(&table, &plugin) == FLAGOS_STATUS_UNSUPPORTED_VERSION);
  CHECK(plugin.abi_version == 0);
  CHECK(plugin.abi_version_min == FLAGOS_MAKE_VERSION(1, 0));
  CHECK(plugin.abi_version_max == FLAGOS_MAKE_VERSION(1, 0));
  CHECK(plugin.instance == nullptr);
  CHECK(host.last_error().find("2.0") != std::string::npos);

  table.abi_version_min = FLAGOS_MAKE_VERSION(1, 0);
  table.abi_version_max = FLAGOS_MAKE_VERSION(1, 9);
  plugin = {};
  // A core that knows less of the table: nothing is written behind what it knows.
  plugin.struct_size = offsetof(flagos_plugin_t, timeline);
  CHECK(flagos_plugin_open(&table, &plugin) == FLAGOS_STATUS_OK);
  CHECK(plugin.struct_size == offsetof(flagos_plugin_t, timeline));
  CHECK(plugin.abi_version == FLAGOS_MAKE_VERSION(1, 0));
  CHECK(std::string(plugin.name) == "cpu");
  CHECK(plugin.timeline == nullptr);
  plugin.close(plugin.instance);
}

TEST_CASE("plugin: the host is split into as many devices as asked for") {
  TestHost host;
  host.config["FLAGOS_CPU_DEVICES"] = "3";
  flagos_plugin_t api{};
  api.struct_size = sizeof(api);
  REQUIRE(flagos_plugin_open(&host.table(), &api) == FLAGOS_STATUS_OK);
  std::uint32_t count = 0;
  REQUIRE(api.device->get_count(api.instance, &count) == FLAGOS_STATUS_OK);
  CHECK(count == 3);
  std::set<std::string> uuids;
  for (std::uint32_t i = 0; i < count; ++i) {
    const flagos_device_info_t info = describe(api, i);
    CHECK(std::any_of(info.uuid, info.uuid + 16, [](std::uint8_t byte) { return byte != 0; }));
    uuids.emplace(info.uuid, info.uuid + 16);
    const flagos_device_info_t again = describe(api, i);
    CHECK(std::memcmp(info.uuid, again.uuid, 16) == 0);
    CHECK(info.compute_units >= 1);
    CHECK(info.memory_bytes > 0);
    CHECK(info.max_argument_bytes >= 4096);
    CHECK(std::strlen(info.name) > 0);
  }
  CHECK(uuids.size() == 3);
  api.close(api.instance);

  for (const char* wrong : {"0", "-1", "two", "3x", "100000"}) {
    host.config["FLAGOS_CPU_DEVICES"] = wrong;
    CHECK(flagos_plugin_open(&host.table(), &api) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(host.last_error().find("FLAGOS_CPU_DEVICES") != std::string::npos);
  }
}

TEST_CASE("plugin: a stream waits for an event of another device") {
  TestHost host;
  host.config["FLAGOS_CPU_DEVICES"] = "2";
  flagos_plugin_t api{};
  api.struct_size = sizeof(api);
  REQUIRE(flagos_plugin_open(&host.table(), &api) == FLAGOS_STATUS_OK);
  flagos_plugin_device_t* devices[2];
  flagos_plugin_stream_t* streams[2];
  flagos_stream_desc_t desc{};
  desc.struct_size = sizeof(desc);
  for (std::uint32_t i = 0; i < 2; ++i) {
    REQUIRE(api.device->open(api.instance, i, &devices[i]) == FLAGOS_STATUS_OK);
    REQUIRE(api.stream->create(devices[i], &desc, &streams[i]) == FLAGOS_STATUS_OK);
  }
  flagos_event_desc_t event_desc{};
  event_desc.struct_size = sizeof(event_desc);
  flagos_plugin_event_t* event = nullptr;
  REQUIRE(api.event->create(devices[0], &event_desc, &event) == FLAGOS_STATUS_OK);
  std::uint64_t flag = 0;
  REQUIRE(api.stream->wait_value(streams[0], address_of(&flag), 1, 8, FLAGOS_COMPARE_EQUAL) ==
          FLAGOS_STATUS_OK);
  REQUIRE(api.event->record(event, streams[0]) == FLAGOS_STATUS_OK);
  REQUIRE(api.stream->wait_event(streams[1], event) == FLAGOS_STATUS_OK);
  CHECK(api.stream->synchronize(streams[1], 1'000'000) == FLAGOS_STATUS_TIMEOUT);
  __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
  CHECK(api.stream->synchronize(streams[1], forever) == FLAGOS_STATUS_OK);
  api.event->destroy(event);
  for (std::uint32_t i = 0; i < 2; ++i) {
    api.stream->destroy(streams[i]);
    api.device->close(devices[i]);
  }
  api.close(api.instance);
}

TEST_CASE("plugin: close leaves no thread behind") {
  const std::size_t before = thread_count();
  {
    TestDevice device;
    flagos_plugin_stream_t* stream = device.stream();
    const std::uint64_t value = device.alloc(64);
    REQUIRE(device.api.stream->wait_value(stream, value, 0, 8, FLAGOS_COMPARE_EQUAL) ==
            FLAGOS_STATUS_OK);
    REQUIRE(device.launch_empty(stream) == FLAGOS_STATUS_OK);
    REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
    CHECK(thread_count() > before);
  }
  CHECK(thread_count() == before);
}

#if !defined(__SANITIZE_THREAD__)  // which does not follow a fork of several threads
TEST_CASE("plugin: a process ends while work is pending, and so does a child that forked from it") {
  std::cout.flush();  // else the child writes it once more
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto* device = new TestDevice;  // never closed
    static std::atomic<std::uint32_t> flag{0};
    static std::uint64_t value = 0;
    device->launch(device->stream(), "test_block", Flag{address_of(&flag)});
    device->api.stream->wait_value(device->stream(), address_of(&value), 1, 8,
                                   FLAGOS_COMPARE_EQUAL);
    const pid_t grandchild = fork();
    if (grandchild == 0) std::exit(7);
    int status = 0;
    waitpid(grandchild, &status, 0);
    std::exit(WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 9 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 9);
}
#endif

TEST_CASE("profiling: every operation leaves a record with times in order") {
  TestDevice device;
  flagos_plugin_stream_t* stream = device.stream();
  const std::uint64_t memory = device.alloc(4096);
  REQUIRE(device.launch_empty(stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  CHECK(device.host.take_records().empty());

  REQUIRE(device.api.profiling->enable(device.get(), 1) == FLAGOS_STATUS_OK);
  const std::uint32_t pattern = 5;
  REQUIRE(device.launch_empty(stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.memory->copy(stream, memory, memory + 2048, 1000) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.memory->fill(stream, memory, &pattern, 4, 2000) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->launch_host(
              stream, [](void*, flagos_status_t) {}, nullptr) == FLAGOS_STATUS_OK);
  flagos_plugin_graph_node_t node;
  std::memset(&node, 0, sizeof(node));
  const flagos_launch_desc_t launch = launch_desc(nullptr, 0);
  node.type = FLAGOS_GRAPH_NODE_TYPE_KERNEL;
  node.kernel = device.kernel("test_empty");
  node.launch = &launch;
  flagos_plugin_graph_t* graph = nullptr;
  REQUIRE(device.api.graph->instantiate(device.get(), &node, 1, &graph) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.graph->launch(graph, stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  device.api.graph->destroy(graph);
  REQUIRE(device.api.profiling->enable(device.get(), 0) == FLAGOS_STATUS_OK);
  REQUIRE(device.launch_empty(stream) == FLAGOS_STATUS_OK);
  REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);

  const std::vector<flagos_record_t> records = device.host.take_records();
  REQUIRE(records.size() == 6);
  const flagos_record_kind_t kinds[] = {FLAGOS_RECORD_KIND_KERNEL, FLAGOS_RECORD_KIND_COPY,
                                        FLAGOS_RECORD_KIND_FILL,   FLAGOS_RECORD_KIND_HOST,
                                        FLAGOS_RECORD_KIND_KERNEL, FLAGOS_RECORD_KIND_GRAPH};
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(records[i].kind == kinds[i]);
    CHECK(records[i].stream_id == records[0].stream_id);
    CHECK(records[i].queued_ns <= records[i].submitted_ns);
    CHECK(records[i].submitted_ns <= records[i].started_ns);
    CHECK(records[i].started_ns <= records[i].ended_ns);
    if (i > 0) CHECK(records[i].correlation_id >= records[i - 1].correlation_id);
  }
  CHECK(records[4].correlation_id == records[5].correlation_id);
  CHECK(std::string(records[0].name) == "test_empty");
  CHECK(records[1].size_bytes == 1000);
  CHECK(records[2].size_bytes == 2000);
  std::uint64_t device_ns = 0;
  std::uint64_t host_ns = 0;
  CHECK(device.api.profiling->get_clock(device.get(), &device_ns, &host_ns) == FLAGOS_STATUS_OK);
  CHECK(device_ns >= records[5].ended_ns);
  CHECK(host_ns >= device_ns);
}

}  // namespace
}  // namespace flagos::cpu::test
