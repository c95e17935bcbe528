#include <doctest/doctest.h>

#include <string>

#include "base/error.hpp"
#include "core/plugin.hpp"

using namespace flagos;
using namespace flagos::core;

namespace {

// The test plugin's tables, to be spoiled one by one.
struct Raw {
  flagos_device_table_t device;
  flagos_memory_table_t memory;
  flagos_stream_table_t stream;
  flagos_event_table_t event;
  flagos_module_table_t module;
  flagos_kernel_table_t kernel;
  flagos_graph_table_t graph{};
  flagos_plugin_t root{};

  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;
  Raw() {
    device = fill<flagos_device_table_t>(5);
    memory = fill<flagos_memory_table_t>(4);
    stream = fill<flagos_stream_table_t>(4);
    event = fill<flagos_event_table_t>(5);
    module = fill<flagos_module_table_t>(4);
    kernel = fill<flagos_kernel_table_t>(3);
    graph.struct_size = sizeof(graph);
    root.struct_size = sizeof(root);
    root.device = &device;
    root.memory = &memory;
    root.stream = &stream;
    root.event = &event;
    root.module = &module;
    root.kernel = &kernel;
  }

  // A table whose first `count` slots are filled, and which ends behind them.
  template <typename Table>
  static Table fill(int count) {
    Table table{};
    auto* slots = reinterpret_cast<void (**)()>(reinterpret_cast<char*>(&table) + 2 * sizeof(std::uint32_t));
    for (int i = 0; i < count; ++i) slots[i] = [] {};
    table.struct_size = static_cast<std::uint32_t>(2 * sizeof(std::uint32_t) + count * sizeof(void*));
    return table;
  }

  std::string fault() const {
    Tables tables;
    try {
      complete_tables(root, tables);
    } catch (const Error& error) {
      CHECK(error.status() == FLAGOS_STATUS_PLUGIN_PROTOCOL);
      return error.what();
    }
    return "";
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a slot that the end of a table cuts in two is not there") {
  Raw raw;
  raw.event.struct_size -= sizeof(void*) / 2;
  CHECK(has(raw.fault(), "event."));
  Raw optional;
  optional.memory = Raw::fill<flagos_memory_table_t>(5);
  optional.memory.struct_size -= 1;
  Tables tables;
  complete_tables(optional.root, tables);
  CHECK_FALSE(tables.has.copy_2d);
  CHECK(tables.memory.copy_2d(nullptr, nullptr) == FLAGOS_STATUS_UNSUPPORTED);
}

TEST_CASE("tables with the required slots alone are completed") {
  const Raw raw;
  Tables tables;
  complete_tables(raw.root, tables);
  CHECK_FALSE(tables.has.copy_2d);
  CHECK_FALSE(tables.has.timeline);
  CHECK(tables.root.timeline != nullptr);
  std::uint64_t value = 0;
  CHECK(tables.root.timeline->query(nullptr, &value) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(tables.memory.copy_2d(nullptr, nullptr) == FLAGOS_STATUS_UNSUPPORTED);
  tables.root.graph->destroy(nullptr);
}

TEST_CASE("what is missing is named") {
  CHECK(Raw().fault().empty());
  Raw no_slot;
  no_slot.memory.fill = nullptr;
  CHECK(has(no_slot.fault(), "memory.fill"));
  Raw short_table;
  short_table.event.struct_size -= sizeof(void*);  // the slot is filled, but past the end
  CHECK(has(short_table.fault(), "event.get_elapsed"));
  Raw no_head;
  no_head.stream.struct_size = 4;
  CHECK(has(no_head.fault(), "'stream' has struct_size 4"));
  Raw no_table;
  no_table.root.kernel = nullptr;
  CHECK(has(no_table.fault(), "is NULL"));
  Raw empty_group;
  empty_group.root.graph = &empty_group.graph;
  CHECK(has(empty_group.fault(), "'graph'"));
  Raw raw;
  raw.module.compile = [](flagos_plugin_device_t*, const flagos_module_desc_t*, flagos_compiled_t*) {
    return flagos_status_t{FLAGOS_STATUS_OK};
  };
  raw.module.struct_size = sizeof(raw.module);
  CHECK(has(raw.fault(), "module.compile"));
}
