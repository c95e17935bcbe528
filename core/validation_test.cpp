// The layer is turned on for good, so this runs in a process of its own: see CMakeLists.txt.
#include "core/validation.hpp"

#include <doctest/doctest.h>
#include <flagos.h>

#include <string>
#include <vector>

#include "core/test_graph.hpp"
#include "core/trace.hpp"

using namespace flagos::core::test;

namespace {

flagos_status_t add(Fake& f, flagos_stream_t* stream, flagos_address_t address) {
  struct {
    flagos_address_t address;
    std::uint32_t count, value;
  } block{address, 1, 1};
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  desc.argument_block = &block;
  desc.argument_bytes = sizeof(block);
  return flagos_kernel_launch(stream, f.kernel("add"), &desc);
}

std::string last_error() { return flagos_last_error(); }

std::vector<std::string>& lines() {
  static std::vector<std::string> the_lines;
  return the_lines;
}

bool was_logged(const std::string& part) {
  for (const std::string& line : lines()) {
    if (line.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("freed and foreign memory is found before a kernel, a copy or a graph uses it") {
  REQUIRE(flagos_set_log_callback([](void*, flagos_log_level_t, const char* text) { lines().push_back(text); }, nullptr,
                                  FLAGOS_LOG_LEVEL_WARNING) == FLAGOS_STATUS_OK);
  flagos::core::enable_layers("validation", nullptr);
  {
    Fake f;
    flagos_stream_t* stream = f.stream();
    flagos_device_t* other = f.open(1);
    const flagos_address_t memory = f.alloc(4096);
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = 256;
    flagos_address_t foreign = 0;
    REQUIRE(flagos_memory_alloc(other, &desc, &foreign) == FLAGOS_STATUS_OK);
    CHECK(add(f, stream, memory) == FLAGOS_STATUS_OK);
    CHECK(add(f, stream, foreign) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(last_error().find("kernel 'add', parameter 0") != std::string::npos);
    CHECK(flagos_memory_copy(stream, memory, memory + 100, 200) == FLAGOS_STATUS_OK);
    CHECK(was_logged("overlaps itself"));

    GraphMaker g(f);
    flagos_fill_node_desc_t fill{};
    fill.struct_size = sizeof(fill);
    fill.pattern_size_bytes = 1;
    fill.target = memory;
    fill.size_bytes = 256;
    g.add(FLAGOS_GRAPH_NODE_TYPE_FILL, &fill, {});
    flagos_graph_exec_t* exec = g.instantiate();
    CHECK(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_memory_free(f.device(), memory) == FLAGOS_STATUS_OK);
    CHECK(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(last_error().find("freed") != std::string::npos);
    CHECK(add(f, stream, memory) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(flagos_memory_copy(stream, foreign, memory, 16) == FLAGOS_STATUS_INVALID_ARGUMENT);
    CHECK(flagos_memory_free(other, foreign) == FLAGOS_STATUS_OK);
  }
  CHECK(was_logged("when its runtime was destroyed"));
  REQUIRE(flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_WARNING) == FLAGOS_STATUS_OK);
}
