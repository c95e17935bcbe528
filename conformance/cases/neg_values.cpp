// Wrong sizes, counts and texts: nothing past what the caller gave is read, nothing is believed
// unchecked.
#include <cstring>

#include "conformance/cases/guarded.hpp"
#include "conformance/cases/negatives.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

void finish(Context& t, World& world) {
  t.subcase("after all of them");
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "the stream is healthy");
  world.snapshot();
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

// A class of errors is enough where several reasons are equally good.
void refused(Context& t, flagos_status_t status, const std::string& what) {
  const auto status_class = FLAGOS_STATUS_CLASS(status);
  t.check(status_class == FLAGOS_STATUS_CLASS_ARGUMENT ||
              status_class == FLAGOS_STATUS_CLASS_RESOURCE ||
              status_class == FLAGOS_STATUS_CLASS_UNSUPPORTED,
          what + " is refused, got " + flagos_status_get_name(status));
  check_error_text(t, status);
}

void huge_launch_counts(Context& t, World& world) {
  const auto good = world.valid<flagos_launch_desc_t>();
  const Guarded arguments(
      {reinterpret_cast<const std::uint8_t*>(good.arguments), 3 * sizeof(flagos_argument_t)});
  for (const std::uint32_t count : {4u, 1u << 20, UINT32_MAX}) {
    t.subcase("argument_count " + std::to_string(count));
    auto desc = good;
    desc.arguments = reinterpret_cast<const flagos_argument_t*>(arguments.data());
    desc.argument_count = count;
    t.status(flagos_kernel_launch(world.stream(), world.kernel(), &desc),
             FLAGOS_STATUS_INVALID_ARGUMENT, "more arguments than parameters");
  }
  const Guarded block(24);
  for (const std::uint64_t size : {std::uint64_t{1} << 20, std::uint64_t{1} << 40, UINT64_MAX}) {
    t.subcase("argument_bytes " + std::to_string(size));
    auto desc = good;
    desc.arguments = nullptr;
    desc.argument_count = 0;
    desc.argument_block = block.data();
    desc.argument_bytes = size;
    t.status(flagos_kernel_launch(world.stream(), world.kernel(), &desc),
             FLAGOS_STATUS_INVALID_ARGUMENT, "a larger block than the kernel's");
  }
}

void huge_timeline_counts(Context& t, World& world) {
  const Guarded timelines(sizeof(std::uint64_t)), values(sizeof(std::uint64_t));
  const std::uint64_t timeline = world.handle(Type::timeline);
  std::memcpy(timelines.data(), &timeline, sizeof timeline);
  for (const std::uint32_t count : {65537u, 1u << 30, UINT32_MAX}) {
    t.subcase("flagos_timeline_wait, count " + std::to_string(count));
    t.status(
        flagos_timeline_wait(count, reinterpret_cast<flagos_timeline_t* const*>(timelines.data()),
                             reinterpret_cast<const std::uint64_t*>(values.data()),
                             FLAGOS_WAIT_MODE_ALL, 0, nullptr),
        FLAGOS_STATUS_INVALID_ARGUMENT, "more timelines than may be");
  }
}

void huge_parameter_counts(Context& t, World& world) {
  const Guarded parameters(sizeof(flagos_parameter_t));
  for (const std::uint32_t count : {1u << 24, UINT32_MAX}) {
    t.subcase("parameter_count " + std::to_string(count));
    auto desc = world.valid<flagos_kernel_desc_t>();
    desc.parameters = reinterpret_cast<const flagos_parameter_t*>(parameters.data());
    desc.parameter_count = count;
    flagos_kernel_t* kernel = nullptr;
    t.status(flagos_module_get_kernel(world.module(), &desc, &kernel),
             FLAGOS_STATUS_INVALID_ARGUMENT, "more parameters than can fit");
  }
}

void huge_dependency_counts(Context& t, World& world) {
  const Guarded nodes(sizeof(flagos_graph_node_t));
  const flagos_graph_node_t node = world.node();
  std::memcpy(nodes.data(), &node, sizeof node);
  for (const std::uint64_t count : {UINT64_MAX, UINT64_MAX / 8 + 1, std::uint64_t{1} << 40}) {
    t.subcase("dependency_count " + std::to_string(count));
    auto desc = world.valid<flagos_graph_node_desc_t>();
    desc.dependencies = reinterpret_cast<const flagos_graph_node_t*>(nodes.data());
    desc.dependency_count = count;
    flagos_graph_node_t added = 0;
    refused(t, flagos_graph_add_node(world.graph(), &desc, &added),
            "more dependencies than the graph has nodes");
  }
}

void huge_byte_counts(Context& t, World& world) {
  const Guarded bytes(16);
  t.subcase("flagos_memory_update of more than it takes");
  refused(t, flagos_memory_update(world.stream(), world.target(), bytes.data(), UINT64_MAX),
          "an update of 2^64 - 1 bytes");
  t.subcase("flagos_memory_fill with a pattern of 2^32 - 1 bytes");
  t.status(flagos_memory_fill(world.stream(), world.target(), bytes.data(), UINT32_MAX, 64),
           FLAGOS_STATUS_INVALID_ARGUMENT, "such a pattern");
  t.subcase("an image that wraps around the address space");
  auto image = world.valid<flagos_module_desc_t>();
  image.data = bytes.data();
  image.size_bytes = UINT64_MAX;
  flagos_module_t* module = nullptr;
  refused(t, flagos_module_load(world.device(), &image, &module), "an image of 2^64 - 1 bytes");
}

// A capacity is room, not an order: only the answer is written.
void huge_capacities(Context& t, World& world) {
  std::uint64_t size = 0;
  t.subcase("flagos_graph_get_nodes, capacity 2^64 - 1");
  const Guarded nodes(sizeof(flagos_graph_node_t));
  t.ok(flagos_graph_get_nodes(world.graph(), UINT64_MAX,
                              reinterpret_cast<flagos_graph_node_t*>(nodes.data()), &size),
       "the node is told");
  t.equal(size, 1, "nodes of the graph");
  t.subcase("flagos_graph_dump, capacity 2^64 - 1");
  t.ok(flagos_graph_dump(world.graph(), 0, nullptr, &size), "the question for the size");
  const Guarded text(size);
  t.ok(flagos_graph_dump(world.graph(), UINT64_MAX, reinterpret_cast<char*>(text.data()), &size),
       "the text fits exactly");
  t.equal(text.data()[size - 1], 0, "the text ends");
}

// Texts that a careless reader would take for a format, a path or the whole heap.
std::vector<std::pair<std::string, std::string>> odd_texts() {
  return {{"empty", ""},
          {"1 MiB", std::string(1 << 20, 'a')},
          {"not UTF-8", "\xff\xfe\xc0\x80\xf5"},
          {"a newline", "one\ntwo\r\n"},
          {"format specifiers", "%n%s%s%s%n%x{}{0}{:>99999}"},
          {"a path upwards", "../../../../etc/passwd"},
          {"control characters", "\x01\x1b[2J\x7f"}};
}

void odd_names(Context& t, World& world, const std::string& name, const std::string& text) {
  const auto expect = [&](flagos_status_t status, std::set<flagos_status_t> statuses,
                          const std::string& what) {
    t.subcase(what + ", " + name);
    t.check(statuses.contains(status),
            "expected " + names_of(statuses) + ", got " + flagos_status_get_name(status));
    check_error_text(t, status);
  };
  constexpr auto not_found = FLAGOS_STATUS_NOT_FOUND;
  constexpr auto argument = FLAGOS_STATUS_INVALID_ARGUMENT;
  std::uint32_t index = 7;
  expect(flagos_device_find(world.runtime(), text.c_str(), &index), {not_found}, "device id");
  t.equal(index, 0, "the index is cleared");
  auto kernel_desc = world.valid<flagos_kernel_desc_t>();
  kernel_desc.name = text.c_str();
  flagos_kernel_t* kernel = nullptr;
  expect(flagos_module_get_kernel(world.module(), &kernel_desc, &kernel),
         {text.empty() ? argument : not_found}, "kernel name");
  flagos_proc_t procedure = nullptr;
  expect(flagos_get_proc(text.c_str(), FLAGOS_ABI_VERSION, &procedure), {not_found},
         "function name");
  flagos_address_t address = 0;
  std::uint64_t size = 0;
  expect(flagos_module_get_global(world.module(), text.c_str(), &address, &size),
         {not_found, argument, FLAGOS_STATUS_UNSUPPORTED}, "global");
  auto module_desc = world.valid<flagos_module_desc_t>();
  module_desc.format = text.c_str();
  flagos_module_t* module = nullptr;
  expect(flagos_module_load(world.device(), &module_desc, &module), {FLAGOS_STATUS_UNSUPPORTED},
         "format");
  expect(flagos_range_push(text.c_str()), {ok}, "range");
  t.ok(flagos_range_pop(), "the range is closed");
}

void odd_paths(Context& t, World& world, const std::string& name, const std::string& text) {
  t.subcase("path of a plugin, " + name);
  flagos_runtime_t* runtime = nullptr;
  const auto runtime_desc = world.valid<flagos_runtime_desc_t>();
  t.ok(flagos_runtime_create(&runtime_desc, &runtime), "create a runtime");
  const flagos_status_t status = flagos_runtime_add_plugin(runtime, text.c_str());
  t.check(status == FLAGOS_STATUS_PLUGIN_REJECTED || status == FLAGOS_STATUS_INVALID_ARGUMENT,
          "such a plugin is rejected, got " + std::string(flagos_status_get_name(status)));
  check_error_text(t, status);
  t.ok(flagos_runtime_destroy(runtime), "destroy the runtime");
}

}  // namespace

FLAGOS_CASE("neg.bad_size", {.clause = "flagos.h: Zero, ranges and limits of every size and count",
                             .oracle = Oracle::code}) {
  World world(t);
  for (const Negative& negative :
       listed_values({Kind::size, Kind::number, Kind::address, Kind::timeout}))
    check_negative(t, world, negative);
  finish(t, world);
}

FLAGOS_CASE("neg.huge_counts",
            {.clause = "flagos.h: arrays and their counts", .oracle = Oracle::code}) {
  World world(t);
  const auto before = world.snapshot();
  huge_launch_counts(t, world);
  huge_timeline_counts(t, world);
  huge_parameter_counts(t, world);
  huge_dependency_counts(t, world);
  huge_byte_counts(t, world);
  huge_capacities(t, world);
  t.check(world.snapshot() == before, "nothing changed");
  finish(t, world);
}

FLAGOS_CASE("neg.string_args",
            {.clause = "flagos.h: names, paths and texts", .oracle = Oracle::code}) {
  World world(t);
  for (const auto& [name, text] : odd_texts()) {
    odd_names(t, world, name, text);
    odd_paths(t, world, name, text);
  }
  finish(t, world);
}

FLAGOS_CASE("neg.deep_nesting", {.clause = "flagos_graph_add_node: a child is copied",
                                 .level = Level::full,
                                 .oracle = Oracle::live}) {
  t.require(FLAGOS_FEATURE_GRAPH);
  World world(t);
  const int depth = t.settings().quick ? 100 : 500;
  flagos_graph_t* inner = nullptr;
  t.ok(flagos_graph_clone(world.graph(), &inner), "the innermost graph");
  flagos_status_t status = ok;
  int reached = 0;
  for (; reached < depth && status == ok; ++reached) {
    flagos_graph_t* outer = nullptr;
    flagos_graph_node_t node = 0;
    t.ok(flagos_graph_create(world.device(), &outer), "create a graph");
    const flagos_child_node_desc_t child{sizeof child, 0, inner};
    auto desc = world.valid<flagos_graph_node_desc_t>();
    desc.type = FLAGOS_GRAPH_NODE_TYPE_CHILD;
    desc.payload = &child;
    status = flagos_graph_add_node(outer, &desc, &node);
    t.ok(flagos_graph_destroy(inner), "the child was copied");
    inner = outer;
  }
  if (status != ok) refused(t, status, "a graph nested " + std::to_string(reached) + " deep");
  flagos_graph_exec_t* exec = nullptr;
  status = flagos_graph_instantiate(inner, &exec);
  if (status == ok) {
    t.ok(flagos_graph_exec_launch(exec, world.stream()), "launch it");
    t.ok(flagos_graph_exec_destroy(exec), "destroy it");
  } else {
    refused(t, status, "instantiating a deep graph");
  }
  t.ok(flagos_graph_destroy(inner), "destroy the outermost graph");
  finish(t, world);
}

}  // namespace flagos::conformance
