// What a plugin's tables give back, called without core: each result is written within its room, and nothing else is.
#include <unistd.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/cases/guarded.hpp"
#include "conformance/cases/plugin_probe.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

// Room for one result, directly before a page that nobody may touch.
template <typename T>
class Room {
 public:
  Room() : memory_(sizeof(T)), value_(new (memory_.data()) T{}) {
    if constexpr (requires { value_->struct_size; }) value_->struct_size = sizeof(T);
  }
  T* out() { return value_; }
  T& operator*() { return *value_; }

 private:
  Guarded memory_;
  T* value_;
};

// A device of the plugin, with one object of each kind.
class Objects {
 public:
  Objects(Context& t, const flagos_plugin_t& plugin) : t_(t), plugin_(plugin) {}
  ~Objects() {
    if (stream != nullptr) plugin_.stream->synchronize(stream, a_minute);
    if (module != nullptr) plugin_.module->unload(module);
    if (event != nullptr) plugin_.event->destroy(event);
    if (stream != nullptr) plugin_.stream->destroy(stream);
    if (memory != 0) plugin_.memory->free(device, memory);
    if (device != nullptr) plugin_.device->close(device);
  }
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;

  void make_basic() {
    t_.subcase("device.open");
    Room<flagos_plugin_device_t*> opened;
    t_.ok(plugin_.device->open(plugin_.instance, t_.settings().device_ordinal, opened.out()),
          "open");
    device = *opened;
    t_.subcase("memory.alloc");
    const flagos_memory_desc_t memory_desc{
        sizeof memory_desc, FLAGOS_MEMORY_KIND_DEVICE, nullptr, 4096, 256, 0};
    Room<flagos_address_t> allocated;
    t_.ok(plugin_.memory->alloc(device, &memory_desc, allocated.out()), "alloc");
    memory = *allocated;
    t_.subcase("stream.create");
    const flagos_stream_desc_t stream_desc{sizeof stream_desc, 0, nullptr, 0};
    Room<flagos_plugin_stream_t*> made_stream;
    t_.ok(plugin_.stream->create(device, &stream_desc, made_stream.out()), "create a stream");
    stream = *made_stream;
    t_.subcase("event.create");
    const flagos_event_desc_t event_desc{sizeof event_desc, 0, nullptr};
    Room<flagos_plugin_event_t*> made_event;
    t_.ok(plugin_.event->create(device, &event_desc, made_event.out()), "create an event");
    event = *made_event;
  }

  // The suite's own kernels; nothing where the plugin takes none of their formats.
  void make_module() {
    std::string format;
    const auto image = t_.module_image(&format);
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.format = format.c_str();
    desc.data = image.data();
    desc.size_bytes = image.size();
    t_.subcase("module.load");
    Room<flagos_plugin_module_t*> loaded;
    t_.ok(plugin_.module->load(device, &desc, loaded.out()), "load");
    module = *loaded;
    flagos_kernel_desc_t kernel_desc{};
    kernel_desc.struct_size = sizeof kernel_desc;
    kernel_desc.name = "add_one";
    t_.subcase("module.get_kernel");
    Room<flagos_plugin_kernel_t*> found;
    t_.ok(plugin_.module->get_kernel(module, &kernel_desc, found.out()), "find a kernel");
    kernel = *found;
  }

  flagos_plugin_device_t* device = nullptr;
  flagos_address_t memory = 0;
  flagos_plugin_stream_t* stream = nullptr;
  flagos_plugin_event_t* event = nullptr;
  flagos_plugin_module_t* module = nullptr;
  flagos_plugin_kernel_t* kernel = nullptr;

 private:
  Context& t_;
  const flagos_plugin_t& plugin_;
};

// OK, or the plugin does not do this.
void fine(Context& t, flagos_status_t status, const char* what) {
  const bool allowed =
      status == ok || status == FLAGOS_STATUS_UNSUPPORTED || status == FLAGOS_STATUS_NOT_FOUND;
  t.check(allowed, std::string(what) + " says OK, UNSUPPORTED or NOT_FOUND");
}

#define HAS(group, slot) \
  (plugin.group != nullptr && FLAGOS_HAS(plugin.group, flagos_##group##_table_t, slot))

void look_at_device(Context& t, const flagos_plugin_t& plugin, const Objects& of) {
  t.subcase("device.get_count");
  Room<std::uint32_t> count;
  t.ok(plugin.device->get_count(plugin.instance, count.out()), "count the devices");
  t.subcase("device.get_info");
  Room<flagos_device_info_t> info;
  t.ok(plugin.device->get_info(plugin.instance, t.settings().device_ordinal, info.out()),
       "describe the device");
  t.equal((*info).struct_size, sizeof(flagos_device_info_t), "struct_size is the caller's");
  t.subcase("device.query_memory");
  Room<std::uint64_t> free_bytes, total_bytes;
  t.ok(plugin.device->query_memory(of.device, free_bytes.out(), total_bytes.out()),
       "query the memory");
  t.check(*free_bytes <= *total_bytes, "no more is free than there is");
  if (HAS(topology, get_link)) {
    t.subcase("topology.get_link");
    Room<flagos_link_info_t> link;
    if (*count > 1) {
      t.ok(plugin.topology->get_link(plugin.instance, 0, 1, link.out()), "a link");
      t.check((*link).type >= FLAGOS_LINK_TYPE_UNKNOWN && (*link).type <= FLAGOS_LINK_TYPE_SYSTEM,
              "the type of link is known");
      Room<flagos_link_info_t> again;
      t.ok(plugin.topology->get_link(plugin.instance, 0, 1, again.out()), "the same link");
      t.check(std::memcmp(link.out(), again.out(), sizeof(flagos_link_info_t)) == 0,
              "it does not change");
    }
  }
  if (HAS(profiling, get_clock)) {
    t.subcase("profiling.get_clock");
    Room<std::uint64_t> device_ns, host_ns;
    std::uint64_t last_device = 0, last_host = 0;
    for (int i = 0; i < 16; ++i) {
      *device_ns = *host_ns = 0;
      t.ok(plugin.profiling->get_clock(of.device, device_ns.out(), host_ns.out()),
           "read the clocks");
      t.check(*device_ns >= last_device && *host_ns >= last_host && *host_ns != 0, "clocks go on");
      last_device = *device_ns;
      last_host = *host_ns;
    }
  }
  if (HAS(interop, get_native_memory)) {
    t.subcase("interop.get_native_memory");
    Room<flagos_native_t> native;
    fine(t, plugin.interop->get_native_memory(of.device, of.memory, native.out()),
         "get_native_memory");
    if (HAS(interop, wrap_native_memory) && (*native).handle_count == 1) {
      t.subcase("interop.wrap_native_memory");
      Room<flagos_address_t> wrapped;
      t.ok(plugin.interop->wrap_native_memory(of.device, native.out(), 4096, 0, wrapped.out()),
           "wrap it");
      plugin.memory->free(of.device, *wrapped);
    }
  }
  if (HAS(memory, host_register)) {
    t.subcase("memory.host_register");
    Guarded page(4096);
    Room<flagos_address_t> address;
    const flagos_status_t status =
        plugin.memory->host_register(of.device, page.data(), 4096, 0, address.out());
    fine(t, status, "host_register");
    if (status == ok) t.ok(plugin.memory->host_unregister(of.device, page.data()), "unregister");
  }
}

void look_at_event(Context& t, const flagos_plugin_t& plugin, const Objects& of) {
  t.subcase("event.get_elapsed");
  t.ok(plugin.event->record(of.event, of.stream), "record");
  t.ok(plugin.event->synchronize(of.event, a_minute), "wait");
  Room<std::int64_t> elapsed;
  t.ok(plugin.event->get_elapsed(of.event, of.event, elapsed.out()),
       "the time between an event and itself");
  t.equal(static_cast<std::uint64_t>(*elapsed), 0, "nanoseconds");
}

void look_at_module(Context& t, const flagos_plugin_t& plugin, const Objects& of) {
  t.subcase("module.get_format");
  Room<flagos_format_info_t> format;
  t.ok(plugin.module->get_format(of.device, 0, format.out()), "the first format");
  if (HAS(module, get_kernel_name)) {
    t.subcase("module.get_kernel_name");
    Room<const char*> name;
    fine(t, plugin.module->get_kernel_name(of.module, 0, name.out()), "get_kernel_name");
    std::set<std::string> names;
    for (std::uint32_t k = 0; plugin.module->get_kernel_name(of.module, k, name.out()) == ok; ++k)
      t.check(names.insert(*name).second, "no kernel stands there twice: " + std::string(*name));
  }
  if (HAS(module, get_log)) {
    t.subcase("module.get_log");
    Room<const char*> text;
    fine(t, plugin.module->get_log(of.module, text.out()), "get_log");
  }
  if (HAS(module, get_binary)) {
    t.subcase("module.get_binary");
    Room<const void*> data;
    Room<std::uint64_t> size;
    fine(t, plugin.module->get_binary(of.module, data.out(), size.out()), "get_binary");
  }
  if (HAS(module, get_global)) {
    t.subcase("module.get_global");
    Room<flagos_address_t> address;
    Room<std::uint64_t> size;
    fine(t, plugin.module->get_global(of.module, "mod_global", address.out(), size.out()),
         "get_global");
  }
  for (std::uint32_t i = 0; HAS(module, get_compiler); ++i) {
    Room<flagos_format_info_t> each;
    if (plugin.module->get_format(of.device, i, each.out()) != ok) break;
    if (((*each).flags & FLAGOS_FORMAT_FLAG_COMPILE) == 0) continue;
    t.subcase("module.get_compiler of " + std::string((*each).name));
    Room<const char*> identity;
    const flagos_status_t named =
        plugin.module->get_compiler(of.device, (*each).name, identity.out());
    fine(t, named, "get_compiler");
    if (named == ok) t.check(*identity != nullptr, "a text, which may be empty");
    Room<const char*> again;
    if (named == ok && plugin.module->get_compiler(of.device, (*each).name, again.out()) == ok)
      t.check(std::strcmp(*identity, *again) == 0, "it is the same the next time");
    if (!HAS(module, compile)) continue;
    t.subcase("module.compile of " + std::string((*each).name));
    const char source[] = "this is no program";
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.format = (*each).name;
    desc.data = source;
    desc.size_bytes = sizeof source - 1;
    Room<flagos_compiled_t> compiled;
    t.check(plugin.module->compile(of.device, &desc, compiled.out()) != ok, "it does not compile");
    plugin.module->free_compiled(of.device, compiled.out());
  }
}

void look_at_kernel(Context& t, const flagos_plugin_t& plugin, const Objects& of) {
  t.subcase("kernel.get_info");
  Room<flagos_kernel_info_t> info;
  t.ok(plugin.kernel->get_info(of.kernel, info.out()), "describe the kernel");
  if ((*info).parameter_count != 0) {
    t.subcase("kernel.get_parameter");
    Room<flagos_parameter_t> parameter;
    t.ok(plugin.kernel->get_parameter(of.kernel, 0, parameter.out()), "its first parameter");
  }
  if (HAS(kernel, get_occupancy)) {
    t.subcase("kernel.get_occupancy");
    Room<std::uint32_t> blocks;
    fine(t, plugin.kernel->get_occupancy(of.kernel, 32, 0, blocks.out()), "get_occupancy");
  }
  if (HAS(kernel, suggest_block)) {
    t.subcase("kernel.suggest_block");
    Room<std::uint32_t> threads;
    fine(t, plugin.kernel->suggest_block(of.kernel, 0, threads.out()), "suggest_block");
  }
  if (!HAS(kernel, prepare)) return;
  t.subcase("kernel.prepare");
  std::vector<std::uint8_t> block((*info).argument_bytes);
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof desc;
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  desc.argument_block = block.data();
  desc.argument_bytes = block.size();
  Room<flagos_plugin_prepared_t*> prepared;
  const flagos_status_t status = plugin.kernel->prepare(of.kernel, &desc, prepared.out());
  fine(t, status, "prepare");
  if (status == ok) plugin.kernel->destroy_prepared(*prepared);
}

void look_at_timeline(Context& t, const flagos_plugin_t& plugin, const Objects& of) {
  if (plugin.timeline == nullptr) return;
  t.subcase("timeline.create");
  Room<flagos_plugin_timeline_t*> made;
  t.ok(plugin.timeline->create(of.device, 3, made.out()), "create");
  t.subcase("timeline.query");
  Room<std::uint64_t> value;
  t.ok(plugin.timeline->query(*made, value.out()), "query");
  t.equal(*value, 3, "its value");
  t.subcase("timeline.wait");
  Room<std::uint32_t> index;
  const std::uint64_t wanted = 2;
  t.ok(plugin.timeline->wait(1, made.out(), &wanted, FLAGOS_WAIT_MODE_ANY, a_minute, index.out()),
       "wait for any");
  t.equal(*index, 0, "which one");
  plugin.timeline->destroy(*made);
}

void look_at_virtual_memory(Context& t, const flagos_plugin_t& plugin, const Objects& of) {
  if (plugin.virtual_memory == nullptr) return;
  const flagos_virtual_memory_table_t& table = *plugin.virtual_memory;
  t.subcase("virtual_memory.get_granularity");
  flagos_physical_memory_desc_t desc{sizeof desc, FLAGOS_MEMORY_KIND_DEVICE, nullptr, 0, 0};
  Room<std::uint64_t> least, recommended;
  t.ok(table.get_granularity(of.device, &desc, least.out(), recommended.out()), "the granularity");
  t.subcase("virtual_memory.reserve");
  Room<flagos_address_t> address;
  t.ok(table.reserve(of.device, *least, *least, 0, address.out()), "reserve");
  table.release(of.device, *address, *least);
  t.subcase("virtual_memory.create");
  desc.size_bytes = *least;
  if (HAS(virtual_memory, export_memory)) desc.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
  Room<flagos_plugin_physical_memory_t*> memory;
  t.ok(table.create(of.device, &desc, memory.out()), "create");
  if (HAS(virtual_memory, export_memory)) {
    t.subcase("virtual_memory.export_memory");
    Room<flagos_plugin_external_t> external;
    t.ok(table.export_memory(*memory, external.out()), "export");
    t.subcase("virtual_memory.import_memory");
    Room<flagos_plugin_physical_memory_t*> imported;
    t.ok(table.import_memory(of.device, external.out(), imported.out()), "import");
    table.destroy(*imported);
    close((*external).fd);
  }
  table.destroy(*memory);
}

void look_at_collective(Context& t, const flagos_plugin_t& plugin, const Objects& of) {
  if (plugin.collective == nullptr) return;
  const flagos_collective_table_t& table = *plugin.collective;
  t.subcase("collective.query");
  Room<flagos_collective_support_t> support;
  t.ok(table.query(of.device, FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, FLAGOS_DTYPE_FLOAT32,
                   FLAGOS_COLLECTIVE_REDUCTION_SUM, support.out()),
       "query");
  t.subcase("collective.unique_id_create");
  Room<flagos_collective_id_t> id;
  t.ok(table.unique_id_create(of.device, id.out()), "make an id");
  t.subcase("collective.communicator_create");
  flagos_communicator_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.size = 1;
  desc.id = id.out();
  desc.timeout_ns = a_minute;
  Room<flagos_plugin_communicator_t*> alone;
  t.ok(table.communicator_create(of.device, &desc, alone.out()), "join alone");
  t.subcase("collective.communicator_query_error");
  Room<flagos_status_t> found;
  t.ok(table.communicator_query_error(*alone, found.out()), "ask what became of it");
  t.equal(static_cast<std::uint64_t>(*found), ok, "it is well");
  if (HAS(collective, communicator_split)) {
    t.subcase("collective.communicator_split");
    Room<flagos_plugin_communicator_t*> part;
    Room<std::uint32_t> rank, size;
    t.ok(table.communicator_split(*alone, 0, 0, part.out(), rank.out(), size.out()), "split");
    t.check(*rank == 0 && *size == 1, "rank 0 of one");
    table.communicator_destroy(*part);
  }
  table.communicator_destroy(*alone);
}

void look_at_graph(Context& t, const flagos_plugin_t& plugin, const Objects& of) {
  if (plugin.graph == nullptr) return;
  t.subcase("graph.instantiate");
  flagos_plugin_graph_node_t node{};
  node.type = FLAGOS_GRAPH_NODE_TYPE_FILL;
  node.fill_target = of.memory;
  node.fill_size_bytes = 16;
  node.fill_pattern_size_bytes = 1;
  Room<flagos_plugin_graph_t*> made;
  const flagos_status_t status = plugin.graph->instantiate(of.device, &node, 1, made.out());
  fine(t, status, "instantiate");
  if (status == ok) plugin.graph->destroy(*made);
}

void look_at_operators(Context& t, const flagos_plugin_t& plugin, const Objects& of) {
  if (plugin.operators == nullptr) return;
  t.subcase("operators.get_info");
  Room<flagos_operator_info_t> info;
  fine(t, plugin.operators->get_info(of.device, 0, info.out()), "get_info");
  if ((*info).name == nullptr) return;
  t.subcase("operators.query");
  Room<flagos_operator_support_t> support;
  flagos_operator_desc_t desc{};
  desc.struct_size = sizeof desc;
  t.ok(plugin.operators->query(of.device, &desc, support.out()), "query a call without arguments");
  t.equal((*support).flags, 0, "flags of a call that is not taken");
}

// ---- failures ----

// A call that must fail: with a status that says so, and a text for the host.
template <typename Function>
void must_fail(Context& t, PluginProbe& probe, const char* what, Function call,
               flagos_status_t expected = ok) {
  t.subcase(what);
  const flagos_host_t& host = *probe.host().table();
  host.set_error(host.context, ok, "");
  const flagos_status_t status = call();
  if (expected != ok) t.status(status, expected, "the call fails");
  t.check(FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER, "the call fails");
  t.check(!probe.host().last_error().empty(), "the host is told what was asked and what was found");
}

// The kernel "fail" of the suite's pack ends with the status that it is given.
void launch_failure(Context& t, const flagos_plugin_t& plugin, const Objects& of) {
  flagos_kernel_desc_t kernel_desc{};
  kernel_desc.struct_size = sizeof kernel_desc;
  kernel_desc.name = "fail";
  flagos_plugin_kernel_t* kernel = nullptr;
  if (plugin.module->get_kernel(of.module, &kernel_desc, &kernel) != ok)
    t.not_supported("the suite has no kernel that fails in this format");
  const std::int32_t status = FLAGOS_STATUS_EXECUTION_FAILED;
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof desc;
  for (int i = 0; i < 3; ++i) desc.grid[i] = desc.block[i] = 1;
  desc.argument_block = &status;
  desc.argument_bytes = sizeof status;
  t.ok(plugin.kernel->launch(of.stream, kernel, &desc), "queue a failure");
  t.check(plugin.stream->synchronize(of.stream, a_minute) == FLAGOS_STATUS_EXECUTION_FAILED,
          "the stream fails");
}

void fail_on_poisoned_stream(Context& t, PluginProbe& probe, const Objects& of) {
  const flagos_plugin_t& plugin = probe.plugin();
  const std::uint8_t byte = 1;
  const auto refused = [&](const char* what, auto call) {
    must_fail(t, probe, what, call, FLAGOS_STATUS_EXECUTION_FAILED);
  };
  refused("stream.synchronize", [&] { return plugin.stream->synchronize(of.stream, a_minute); });
  refused("memory.copy",
          [&] { return plugin.memory->copy(of.stream, of.memory, of.memory + 64, 16); });
  refused("memory.fill", [&] { return plugin.memory->fill(of.stream, of.memory, &byte, 1, 16); });
  refused("event.record", [&] {
    const flagos_status_t status = plugin.event->record(of.event, of.stream);
    // It may be recorded; then the event has the stream's status.
    return status == ok ? plugin.event->synchronize(of.event, a_minute) : status;
  });
  if (HAS(memory, update))
    refused("memory.update", [&] { return plugin.memory->update(of.stream, of.memory, &byte, 1); });
  if (HAS(stream, write_value))
    refused("stream.write_value",
            [&] { return plugin.stream->write_value(of.stream, of.memory, 1, 4); });
  if (HAS(stream, reset)) {
    t.subcase("stream.reset");
    t.ok(plugin.stream->reset(of.stream), "reset");
    t.ok(plugin.memory->fill(of.stream, of.memory, &byte, 1, 16), "submit again");
    t.ok(plugin.stream->synchronize(of.stream, a_minute), "and wait");
  }
}

}  // namespace

FLAGOS_CASE("abi.errtext.plugin_failures",
            {.clause = "flagos_plugin.h rule 7: a failure has a text, rule 9: poisoned streams",
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  PluginLibrary library(t.settings().plugin_path);
  t.check(library.error().empty(), library.error());
  PluginProbe probe(library);
  t.ok(probe.status(), "flagos_plugin_open");
  const flagos_plugin_t& plugin = probe.plugin();
  Objects objects(t, plugin);
  objects.make_basic();
  objects.make_module();
  must_fail(t, probe, "memory.alloc", [&] {
    const flagos_memory_desc_t desc{
        sizeof desc, FLAGOS_MEMORY_KIND_DEVICE, nullptr, std::uint64_t{1} << 62, 256, 0};
    flagos_address_t out = 0;
    return plugin.memory->alloc(objects.device, &desc, &out);
  });
  must_fail(t, probe, "module.load", [&] {
    std::string format;
    t.module_image(&format);
    const auto garbage = t.random_bytes(256);
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.format = format.c_str();
    desc.data = garbage.data();
    desc.size_bytes = garbage.size();
    flagos_plugin_module_t* out = nullptr;
    return plugin.module->load(objects.device, &desc, &out);
  });
  must_fail(t, probe, "module.get_kernel", [&] {
    flagos_kernel_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.name = "no_such_kernel";
    flagos_plugin_kernel_t* out = nullptr;
    return plugin.module->get_kernel(objects.module, &desc, &out);
  });
  must_fail(t, probe, "event.get_elapsed", [&] {
    std::int64_t out = 0;
    return plugin.event->get_elapsed(objects.event, objects.event, &out);
  });
  launch_failure(t, plugin, objects);
  fail_on_poisoned_stream(t, probe, objects);
}

FLAGOS_CASE("abi.struct.plugin_out_truncation",
            {.clause = "flagos_plugin.h: what comes out is written within its room",
             .isolation = Isolation::own}) {
  PluginLibrary library(t.settings().plugin_path);
  t.check(library.error().empty(), library.error());
  PluginProbe probe(library);
  t.ok(probe.status(), "flagos_plugin_open");
  const flagos_plugin_t& plugin = probe.plugin();
  Objects objects(t, plugin);
  objects.make_basic();
  look_at_device(t, plugin, objects);
  look_at_event(t, plugin, objects);
  look_at_timeline(t, plugin, objects);
  look_at_graph(t, plugin, objects);
  look_at_operators(t, plugin, objects);
  look_at_virtual_memory(t, plugin, objects);
  look_at_collective(t, plugin, objects);
  objects.make_module();
  look_at_module(t, plugin, objects);
  look_at_kernel(t, plugin, objects);
}

}  // namespace flagos::conformance
