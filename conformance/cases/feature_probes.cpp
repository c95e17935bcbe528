#include "conformance/cases/feature_probes.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

std::vector<std::uint8_t> target_bytes(Context& t, World& world, std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  t.ok(flagos_memory_copy(world.stream(), reinterpret_cast<flagos_address_t>(bytes.data()),
                          world.target(), size),
       "read back");
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "wait");
  return bytes;
}

void probe_copy_2d(Context& t, World& world) {
  flagos_copy_2d_desc_t desc = world.valid<flagos_copy_2d_desc_t>();
  const auto source = world.snapshot();
  t.ok(flagos_memory_copy_2d(world.stream(), &desc), "copy 4 rows of 32 bytes");
  const auto bytes = target_bytes(t, world, 256);
  const auto* const from = reinterpret_cast<const std::uint8_t*>(source.data());
  for (std::size_t row = 0; row < 4; ++row)
    t.check(std::memcmp(bytes.data() + row * 64, from + row * 128, 32) == 0,
            "row " + std::to_string(row));
}

void probe_fill(Context& t, World& world, std::uint32_t size) {
  const auto pattern = t.random_bytes(size);
  t.ok(flagos_memory_fill(world.stream(), world.target(), pattern.data(), size, 64), "fill");
  const auto bytes = target_bytes(t, world, 64);
  for (std::size_t i = 0; i < 64; ++i)
    t.equal(bytes[i], pattern[i % size], "byte " + std::to_string(i));
}

void probe_update(Context& t, World& world) {
  auto data = t.random_bytes(100);
  const auto sent = data;
  t.ok(flagos_memory_update(world.stream(), world.target(), data.data(), data.size()), "update");
  std::fill(data.begin(), data.end(), std::uint8_t{0});
  t.equal_bytes(target_bytes(t, world, 100), sent, "the bytes at the call");
}

// Memory of a kind: written through the device, read through the host's pointer.
void probe_host_memory(Context& t, flagos_memory_kind_t kind) {
  Buffer buffer(t, 4096, kind);
  const auto bytes = t.random_bytes(4096);
  buffer.write(bytes);
  t.check(std::memcmp(buffer.pointer(), bytes.data(), bytes.size()) == 0,
          "the host sees what the device wrote");
}

void probe_host_register(Context& t, World& world) {
  void* const page = std::aligned_alloc(4096, 4096);
  flagos_address_t address = 0;
  t.ok(flagos_memory_host_register(world.device(), page, 4096, 0, &address), "register");
  const std::uint8_t pattern = 0x77;
  t.ok(flagos_memory_fill(world.stream(), address, &pattern, 1, 4096), "fill through the device");
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "wait");
  t.ok(flagos_memory_host_unregister(world.device(), page), "unregister");
  const bool filled =
      static_cast<std::uint8_t*>(page)[0] == 0x77 && static_cast<std::uint8_t*>(page)[4095] == 0x77;
  std::free(page);
  t.check(filled, "the host sees what the device wrote");
}

void probe_prefetch(Context& t, World& world) {
  t.require(FLAGOS_FEATURE_MANAGED_MEMORY);
  Call call(world, entry_of("flagos_memory_prefetch"));
  t.ok(call.run(), "prefetch managed memory");
}

void probe_pool(Context& t, World& world) {
  flagos_address_t block = 0;
  t.ok(flagos_memory_pool_alloc(world.pool(), world.stream(), 4096, &block), "take a block");
  const auto bytes = t.random_bytes(4096);
  std::vector<std::uint8_t> back(4096);
  t.ok(flagos_memory_copy(world.stream(), block, reinterpret_cast<flagos_address_t>(bytes.data()),
                          4096),
       "write it");
  t.ok(flagos_memory_copy(world.stream(), reinterpret_cast<flagos_address_t>(back.data()), block,
                          4096),
       "read it");
  t.ok(flagos_memory_pool_free(world.pool(), world.stream(), block), "give it back");
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "wait");
  t.equal_bytes(back, bytes, "bytes of the block");
}

void probe_callback(Context& t, World& world) {
  std::atomic<int> calls{0};
  const auto function = [](void* user_data, flagos_status_t status) {
    *static_cast<std::atomic<int>*>(user_data) += status == ok ? 1 : 100;
  };
  t.ok(flagos_stream_launch_host(world.stream(), function, &calls), "launch a host function");
  t.ok(flagos_stream_synchronize(world.stream(), a_minute), "wait");
  t.equal(static_cast<std::uint64_t>(calls), 1, "calls of the function");
}

void probe_values(Context& t, World& world) {
  t.ok(flagos_stream_write_value(world.stream(), world.target(), 0x1234567890abcdefu, 8),
       "write a value");
  t.ok(flagos_stream_wait_value(world.stream(), world.target(), 0x1234567890abcdefu, 8,
                                FLAGOS_COMPARE_EQUAL),
       "wait for it");
  const auto bytes = target_bytes(t, world, 8);
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), 8);
  t.equal(value, 0x1234567890abcdefu, "the value");
}

void probe_timeline(Context& t, World& world) {
  flagos_timeline_t* timeline = nullptr;
  t.ok(flagos_timeline_create(world.device(), 3, &timeline), "create a timeline");
  std::uint64_t value = 0;
  t.ok(flagos_timeline_query(timeline, &value), "query");
  t.equal(value, 3, "initial value");
  t.ok(flagos_stream_signal_timeline(world.stream(), timeline, 9), "signal from a stream");
  const std::uint64_t wanted = 9;
  t.ok(flagos_timeline_wait(1, &timeline, &wanted, FLAGOS_WAIT_MODE_ALL, a_minute, nullptr),
       "wait on the host");
  t.ok(flagos_timeline_query(timeline, &value), "query");
  t.equal(value, 9, "value");
  t.ok(flagos_timeline_destroy(timeline), "destroy it");
}

void probe_graph(Context& t, World& world) {
  flagos_graph_t* graph = nullptr;
  flagos_graph_exec_t* exec = nullptr;
  flagos_graph_node_t node = 0;
  auto fill = world.valid<flagos_fill_node_desc_t>();
  std::memset(fill.pattern, 0x42, sizeof fill.pattern);
  auto desc = world.valid<flagos_graph_node_desc_t>();
  desc.type = FLAGOS_GRAPH_NODE_TYPE_FILL;
  desc.payload = &fill;
  t.ok(flagos_graph_create(world.device(), &graph), "create a graph");
  t.ok(flagos_graph_add_node(graph, &desc, &node), "add a fill");
  t.ok(flagos_graph_instantiate(graph, &exec), "instantiate");
  t.ok(flagos_graph_exec_launch(exec, world.stream()), "launch");
  t.equal_bytes(target_bytes(t, world, 64), std::vector<std::uint8_t>(64, 0x42), "filled bytes");
  t.ok(flagos_graph_exec_destroy(exec), "destroy the executable");
  t.ok(flagos_graph_destroy(graph), "destroy the graph");
}

void probe_capture(Context& t, World& world) {
  flagos_graph_t* graph = nullptr;
  flagos_graph_info_t info{sizeof info, 0, 0, 0};
  const std::uint8_t pattern = 0x11;
  t.ok(flagos_stream_begin_capture(world.stream()), "begin");
  t.ok(flagos_memory_fill(world.stream(), world.target(), &pattern, 1, 64),
       "a fill that is recorded");
  t.ok(flagos_stream_end_capture(world.stream(), &graph), "end");
  t.ok(flagos_graph_get_info(graph, &info), "describe the graph");
  t.equal(info.node_count, 1, "nodes of the captured graph");
  t.ok(flagos_graph_destroy(graph), "destroy the graph");
}

void probe_compile(Context& t, World& world) {
  std::uint32_t count = 0, compiles = 0;
  t.ok(flagos_module_get_format_count(world.device(), &count), "count the formats");
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_format_info_t format{};
    format.struct_size = sizeof format;
    t.ok(flagos_module_get_format(world.device(), i, &format), "describe a format");
    if ((format.flags & FLAGOS_FORMAT_FLAG_COMPILE) == 0) continue;
    ++compiles;
    // What every compiler refuses: the answer must come from the compiler, with its words.
    static const char nonsense[] = "this is {{ no ;; program )) in [ any language";
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.format = format.name;
    desc.data = nonsense;
    desc.size_bytes = sizeof nonsense - 1;
    flagos_blob_t* blob = nullptr;
    const char* text = nullptr;
    t.status(flagos_module_compile(world.device(), &desc, &blob), FLAGOS_STATUS_COMPILE_FAILED,
             "compile nonsense");
    t.ok(flagos_blob_get_log(blob, &text), "the compiler's messages");
    t.check(text != nullptr && text[0] != '\0', "the compiler says why");
    t.ok(flagos_blob_destroy(blob), "destroy the blob");
  }
  t.check(compiles > 0, "a format is compiled");
}

void probe_prepared(Context& t, World& world) {
  Call call(world, entry_of("flagos_kernel_launch_prepared"));
  const std::uint8_t zero = 0;
  t.ok(flagos_memory_fill(world.stream(), world.target(), &zero, 1, 64), "clear the target");
  t.ok(call.run(), "launch the prepared copy of 16 words");
  const auto source = world.snapshot();
  const auto bytes = target_bytes(t, world, 64);
  t.check(std::memcmp(bytes.data(), source.data(), 64) == 0, "the kernel ran");
}

void probe_profiling(Context& t, World& world) {
  auto* const profiler = reinterpret_cast<flagos_profiler_t*>(world.handle(Type::profiler));
  std::vector<flagos_record_t> records(4096);
  std::uint64_t count = 0;
  probe_fill(t, world, 4);
  t.ok(flagos_profiler_drain(profiler, records.size(), records.data(), &count, nullptr), "drain");
  bool seen = false;
  for (std::uint64_t i = 0; i < count; ++i) {
    t.check(records[i].started_ns <= records[i].ended_ns, "a record starts before it ends");
    seen = seen || records[i].kind == FLAGOS_RECORD_KIND_FILL;
  }
  t.check(seen, "the fill has a record");
}

// Of one rank: what it reduces is what it has.
void probe_collective(Context& t, World& world) {
  const auto desc = world.valid<flagos_collective_desc_t>();
  flagos_collective_support_t support{};
  support.struct_size = sizeof support;
  t.ok(flagos_collective_query(world.device(), FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, desc.dtype,
                               desc.reduction, &support),
       "ask for all_reduce");
  t.check((support.flags & FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS) != 0, "float32 is summed");
  t.ok(flagos_collective_all_reduce(world.communicator(), world.stream(), &desc), "all_reduce");
  const auto source = world.snapshot();
  const auto bytes = target_bytes(t, world, 64);
  t.check(std::memcmp(bytes.data(), source.data(), 64) == 0, "the target holds the source");
}

void probe_virtual_memory(Context& t, World& world) {
  t.ok(flagos_virtual_memory_set_access(world.device(), world.reserved(), world.unit(),
                                        world.device(), FLAGOS_MEMORY_ACCESS_READ_WRITE),
       "set access");
  const std::uint32_t word = 0x12345678;
  t.ok(flagos_memory_fill(world.stream(), world.reserved(), &word, 4, world.unit()),
       "fill mapped memory");
  t.ok(flagos_memory_copy(world.stream(), world.target(), world.reserved() + world.unit() - 64, 64),
       "copy from mapped memory");
  const auto bytes = target_bytes(t, world, 64);
  for (std::size_t i = 0; i < bytes.size(); i += 4)
    t.check(std::memcmp(&bytes[i], &word, 4) == 0, "what mapped memory holds");
}

constexpr FeatureProbe probes[] = {
    {FLAGOS_FEATURE_COPY_2D, "copy_2d", probe_copy_2d},
    {FLAGOS_FEATURE_WIDE_FILL, "wide_fill",
     [](Context& t, World& world) {
       probe_fill(t, world, 8);
       probe_fill(t, world, 16);
     }},
    {FLAGOS_FEATURE_MEMORY_UPDATE, "memory_update", probe_update},
    {FLAGOS_FEATURE_PINNED_MEMORY, "pinned_memory",
     [](Context& t, World&) { probe_host_memory(t, FLAGOS_MEMORY_KIND_PINNED); }},
    {FLAGOS_FEATURE_MANAGED_MEMORY, "managed_memory",
     [](Context& t, World&) { probe_host_memory(t, FLAGOS_MEMORY_KIND_MANAGED); }},
    {FLAGOS_FEATURE_HOST_REGISTER, "host_register", probe_host_register},
    {FLAGOS_FEATURE_PREFETCH, "prefetch", probe_prefetch},
    {FLAGOS_FEATURE_MEMORY_POOL, "memory_pool", probe_pool},
    {FLAGOS_FEATURE_HOST_CALLBACK, "host_callback", probe_callback},
    {FLAGOS_FEATURE_STREAM_VALUE, "stream_value", probe_values},
    {FLAGOS_FEATURE_TIMELINE, "timeline", probe_timeline},
    {FLAGOS_FEATURE_GRAPH, "graph", probe_graph},
    {FLAGOS_FEATURE_CAPTURE, "capture", probe_capture},
    {FLAGOS_FEATURE_COMPILE, "compile", probe_compile},
    {FLAGOS_FEATURE_PREPARED_LAUNCH, "prepared_launch", probe_prepared},
    {FLAGOS_FEATURE_PROFILING, "profiling", probe_profiling},
    {FLAGOS_FEATURE_COLLECTIVE, "collective", probe_collective},
    {FLAGOS_FEATURE_VIRTUAL_MEMORY, "virtual_memory", probe_virtual_memory},
    {FLAGOS_FEATURE_RECOVER, "recover", [](Context& t, World& world) {
       t.ok(flagos_device_recover(world.device()), "recover");
       t.smoke();
     }}};

}  // namespace

std::span<const FeatureProbe> feature_probes() { return probes; }

}  // namespace flagos::conformance
