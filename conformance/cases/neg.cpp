// Every entry point with every argument wrong, from the description in entries.hpp: handles and
// pointers.
#include <algorithm>

#include "conformance/cases/negatives.hpp"

namespace flagos::conformance {
namespace {

void check_all(Context& t, World& world, const std::vector<Negative>& negatives) {
  for (const Negative& negative : negatives) check_negative(t, world, negative);
}

// The world must be as good as new after a sweep of refused calls, and so must the device.
void still_works(Context& t, World& world) {
  t.subcase("after all of them");
  world.snapshot();
  t.status(world.close(), FLAGOS_STATUS_OK, "the objects can be destroyed");
  t.smoke();
}

// Handles of objects that are gone: [0] simply gone, [1] gone and followed by a live one of the
// same type.
struct Stale {
  std::uint64_t gone;
  std::uint64_t successor;
};

Stale make_stale(Context& t, World& world, Type type) {
  if (type == Type::kernel) {
    const std::uint64_t module = world.make(Type::module);
    const auto desc = world.valid<flagos_kernel_desc_t>();
    flagos_kernel_t* kernel = nullptr;
    t.ok(flagos_module_get_kernel(reinterpret_cast<flagos_module_t*>(module), &desc, &kernel),
         "get a kernel");
    t.ok(destroy_object(Type::module, module), "unload its module");
    return {reinterpret_cast<std::uint64_t>(kernel), 0};
  }
  const std::uint64_t gone = world.make(type);
  if (gone == 0) return {0, 0};
  t.ok(destroy_object(type, gone), "destroy a " + name_of(type));
  return {gone, 0};
}

bool is_live(Context& t, const World& world, std::uint64_t value) {
  for (const void* const known :
       {static_cast<const void*>(world.spare_device()), static_cast<const void*>(t.runtime()),
        static_cast<const void*>(t.device())})
    if (value == reinterpret_cast<std::uint64_t>(known)) return true;
  return std::find(world.handles().begin(), world.handles().end(), value) != world.handles().end();
}

// The cheapest entry that looks at one handle of the type and changes nothing.
const Entry& probe_of(Type type) {
  static const std::vector<std::pair<Type, std::string>> probes{
      {Type::runtime, "flagos_device_get_count"},
      {Type::device, "flagos_device_query_status"},
      {Type::stream, "flagos_stream_query"},
      {Type::event, "flagos_event_query"},
      {Type::module, "flagos_module_get_kernel_count"},
      {Type::blob, "flagos_blob_get_log"},
      {Type::kernel, "flagos_kernel_get_info"},
      {Type::prepared, "flagos_kernel_launch_prepared"},
      {Type::memory_pool, "flagos_memory_pool_get_statistics"},
      {Type::timeline, "flagos_timeline_query"},
      {Type::graph, "flagos_graph_get_info"},
      {Type::graph_exec, "flagos_graph_exec_launch"},
      {Type::profiler, "flagos_profiler_enable"},
      {Type::communicator, "flagos_communicator_get_info"},
      {Type::physical_memory, "flagos_physical_memory_export"}};
  for (const auto& [wanted, name] : probes)
    if (wanted == type) return entry_of(name);
  return entry_of("flagos_device_query_status");
}

std::size_t argument_of(const Entry& entry, Type type) {
  for (std::size_t i = 0; i < entry.arguments.size(); ++i)
    if (entry.arguments[i].is_handle() && entry.arguments[i].type == type) return i;
  return 0;
}

void check_random_handle(Context& t, World& world, Type type, std::uint64_t value) {
  if (is_live(t, world, value)) return;
  const Entry& entry = probe_of(type);
  Call call(world, entry);
  const std::size_t argument = argument_of(entry, type);
  call.values[argument] = value;
  const auto expected =
      expected_of(world, {&entry, argument, value, {FLAGOS_STATUS_INVALID_HANDLE}, ""});
  const flagos_status_t status = call.run();
  t.check(expected.contains(status),
          entry.name + " with the random handle " + std::to_string(value) + ": expected " +
              names_of(expected) + ", got " + flagos_status_get_name(status));
}

}  // namespace

FLAGOS_CASE("neg.table_complete",
            {.clause = "flagos.h: every entry point", .oracle = Oracle::code}) {
  const auto declared = header_functions();
  t.check(declared.size() > 100,
          "the functions of the header were found, there are " + std::to_string(declared.size()));
  for (const std::string& name : declared) {
    if (name == "flagos_status_get_name" || name == "flagos_last_error" ||
        name == "flagos_set_last_error")
      continue;  // they are about text and cannot fail
    const bool described = std::any_of(entries().begin(), entries().end(),
                                       [&](const Entry& entry) { return entry.name == name; });
    t.check(described, "the suite describes " + name);
  }
  t.equal(entries().size(), declared.size() - 3, "described functions");

  World world(t);
  for (const Entry& entry : entries()) {
    t.subcase(entry.name);
    Call call(world, entry);
    if (!applies(call)) continue;
    const auto expected = expected_when_valid(world, entry);
    const flagos_status_t status = call.run();
    t.check(expected.contains(status), "a valid call gives " + names_of(expected) + ", got " +
                                           flagos_status_get_name(status) + ": " +
                                           flagos_last_error());
  }
  still_works(t, world);
}

FLAGOS_CASE("neg.null_handle", {.clause = "flagos.h: Handles, Ownership", .oracle = Oracle::code}) {
  World world(t);
  check_all(t, world, null_handles());
  still_works(t, world);
}

FLAGOS_CASE("neg.null_inptr", {.clause = "flagos.h: General statuses", .oracle = Oracle::code}) {
  World world(t);
  check_all(t, world, null_in_pointers(world));
  still_works(t, world);
}

FLAGOS_CASE("neg.null_outptr", {.clause = "flagos.h: General statuses", .oracle = Oracle::code}) {
  World world(t);
  check_all(t, world, null_out_pointers(world));
  still_works(t, world);
}

FLAGOS_CASE("neg.wrong_type_handle", {.clause = "flagos.h: Handles", .oracle = Oracle::code}) {
  World world(t);
  check_all(t, world, wrong_type_handles(world));
  still_works(t, world);
}

FLAGOS_CASE("neg.stale_handle", {.clause = "flagos.h: Handles", .oracle = Oracle::code}) {
  World world(t);
  for (const Type type : all_types()) {
    Stale stale = make_stale(t, world, type);
    if (stale.gone == 0) continue;  // the device has no such object
    check_all(t, world, everywhere(type, stale.gone, "a destroyed " + name_of(type)));
    if (type != Type::kernel) stale.successor = world.make(type);
    t.check(stale.successor != stale.gone,
            "a new " + name_of(type) + " does not get the handle of a destroyed one");
    // There is one profiler at a time, and the calls below make one of their own.
    if (type == Type::profiler)
      t.ok(destroy_object(type, stale.successor), "destroy the successor");
    check_all(t, world,
              everywhere(type, stale.gone, "a " + name_of(type) + " whose slot was used again"));
    if (type != Type::profiler)
      t.ok(destroy_object(type, stale.successor), "destroy the successor");
  }
  still_works(t, world);
}

FLAGOS_CASE("neg.foreign_handle",
            {.clause = "flagos_device_open: every open is a context of its own",
             .oracle = Oracle::code}) {
  struct Row {
    const char* entry;
    const char* argument;
    Type type;
    std::set<flagos_status_t> statuses;
  };
  constexpr auto argument = FLAGOS_STATUS_INVALID_ARGUMENT;
  constexpr auto handle = FLAGOS_STATUS_INVALID_HANDLE;
  const std::vector<Row> rows{
      {"flagos_event_record", "stream", Type::stream, {argument}},
      {"flagos_event_record", "event", Type::event, {argument}},
      {"flagos_event_get_elapsed", "start", Type::event, {argument}},
      {"flagos_event_get_elapsed", "end", Type::event, {argument}},
      {"flagos_kernel_launch", "stream", Type::stream, {argument}},
      {"flagos_kernel_launch", "kernel", Type::kernel, {argument}},
      {"flagos_kernel_launch_prepared", "stream", Type::stream, {argument}},
      {"flagos_kernel_launch_prepared", "prepared", Type::prepared, {argument}},
      {"flagos_graph_exec_launch", "stream", Type::stream, {argument}},
      {"flagos_graph_exec_launch", "exec", Type::graph_exec, {argument}},
      {"flagos_memory_pool_alloc", "stream", Type::stream, {argument, handle}},
      {"flagos_memory_pool_free", "stream", Type::stream, {argument, handle}},
      {"flagos_memory_pool_free", "pool", Type::memory_pool, {handle, argument}},
      {"flagos_memory_free", "device", Type::device, {handle}},
      {"flagos_memory_copy_peer", "stream", Type::stream, {argument}},
      {"flagos_memory_copy_peer", "target_device", Type::device, {argument}},
      {"flagos_memory_export", "device", Type::device, {handle}},
      {"flagos_virtual_memory_map", "device", Type::device, {argument, handle}},
      {"flagos_virtual_memory_map", "memory", Type::physical_memory, {argument}},
      {"flagos_virtual_memory_unmap", "device", Type::device, {handle}},
      {"flagos_virtual_memory_release", "device", Type::device, {handle}},
      {"flagos_memory_get_native", "device", Type::device, {handle}},
      {"flagos_dlpack_export", "producer", Type::stream, {argument}},
      {"flagos_dlpack_export", "device", Type::device, {argument}},
      {"flagos_memory_host_unregister", "device", Type::device, {handle}}};
  flagos_runtime_t* second = nullptr;
  const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                   FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
  t.ok(flagos_runtime_create(&desc, &second), "create a second runtime");
  t.ok(flagos_runtime_add_plugin(second, t.settings().plugin_path.c_str()),
       "load the plugin there too");
  World world(t), other_open(t), other_runtime(t, second, t.settings().device_ordinal);
  for (World* const foreign : {&other_open, &other_runtime})
    for (const Row& row : rows) {
      const Entry& entry = entry_of(row.entry);
      const std::size_t index = Call(world, entry).index_of(row.argument);
      const std::string what =
          foreign == &other_open ? "of another open device" : "of another runtime";
      if (foreign->handle(row.type) != 0)
        check_negative(t, world,
                       {&entry, index, foreign->handle(row.type), row.statuses,
                        name_of(row.type) + " " + what});
    }
  t.ok(flagos_stream_synchronize(world.stream(), 60'000'000'000u), "the stream is healthy");
  other_open.close();
  t.ok(other_runtime.close(), "close what belongs to the second runtime");
  t.ok(flagos_runtime_destroy(second), "destroy the second runtime");
  still_works(t, world);
}

FLAGOS_CASE("neg.random_handle", {.clause = "flagos.h: Handles", .oracle = Oracle::code}) {
  World world(t);
  const int tries = t.settings().quick ? 200 : 1000;
  for (const Type type : all_types()) {
    t.subcase(name_of(type));
    for (int i = 0; i < tries; ++i) check_random_handle(t, world, type, t.random()());
    for (int i = 0; i < tries; ++i) check_random_handle(t, world, type, t.random_below(1 << 20));
    if (world.handle(type) == 0) continue;
    // One bit, then two: what differs in one bit only may be the next object of the same table.
    for (int bit = 0; bit < 64; ++bit)
      check_random_handle(t, world, type, world.handle(type) ^ (std::uint64_t{1} << bit));
    for (int i = 0; i < tries; ++i)
      check_random_handle(t, world, type,
                          world.handle(type) ^ (std::uint64_t{1} << t.random_below(64)) ^
                              (std::uint64_t{1} << t.random_below(64)));
  }
  still_works(t, world);
}

}  // namespace flagos::conformance
