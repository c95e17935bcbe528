// Seeded bugs of modules, kernels, graphs, structures, and of the plugin as a whole.
#include <fcntl.h>

#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "conformance/mutants/catalogue.hpp"

namespace flagos::conformance::mutants {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

// ---- kernels ----

flagos_status_t swapped_grid(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                             const flagos_launch_desc_t* desc) {
  flagos_launch_desc_t copy = *desc;
  std::swap(copy.grid[1], copy.grid[2]);
  return next<slot::kernel_launch>(stream, kernel, static_cast<const flagos_launch_desc_t*>(&copy));
}

// M47: to float32 and back, which flushes subnormals and loses the last bits of a NaN.
std::uint16_t rerounded(std::uint16_t half) {
  const bool subnormal = (half & 0x7c00u) == 0;
  const bool nan = (half & 0x7c00u) == 0x7c00u && (half & 0x03ffu) != 0;
  if (subnormal) return static_cast<std::uint16_t>(half & 0x8000u);
  return nan ? static_cast<std::uint16_t>((half & 0x8000u) | 0x7e00u)
             : static_cast<std::uint16_t>((half + 1u) & ~1u);
}

flagos_status_t widened_half(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                             const flagos_launch_desc_t* desc) {
  flagos_kernel_info_t info{};
  info.struct_size = sizeof(info);
  const auto* const first = static_cast<const std::uint8_t*>(desc->argument_block);
  if (first == nullptr || next<slot::kernel_get_info>(kernel, &info) != ok)
    return next<slot::kernel_launch>(stream, kernel, desc);
  std::vector<std::uint8_t> block(first, first + desc->argument_bytes);
  for (std::uint32_t i = 0; i < info.parameter_count; ++i) {
    flagos_parameter_t parameter{};
    if (next<slot::kernel_get_parameter>(kernel, i, &parameter) != ok ||
        parameter.dtype != FLAGOS_DTYPE_FLOAT16)
      continue;
    std::uint16_t half = 0;
    if (parameter.offset_bytes + sizeof(half) > block.size()) continue;
    std::memcpy(&half, block.data() + parameter.offset_bytes, sizeof(half));
    half = rerounded(half);
    std::memcpy(block.data() + parameter.offset_bytes, &half, sizeof(half));
  }
  flagos_launch_desc_t copy = *desc;
  copy.argument_block = block.data();
  return next<slot::kernel_launch>(stream, kernel, static_cast<const flagos_launch_desc_t*>(&copy));
}

// ---- modules ----

void leaking_unload(flagos_plugin_module_t* module) {
  next<slot::module_unload>(module);
  [[maybe_unused]] const int lost = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

flagos_status_t prefix_lookup(flagos_plugin_module_t* module, const flagos_kernel_desc_t* desc,
                              flagos_plugin_kernel_t** out) {
  const flagos_status_t status = next<slot::module_get_kernel>(module, desc, out);
  if (status == ok) return ok;
  const char* name = nullptr;
  for (std::uint32_t i = 0; next<slot::module_get_kernel_name>(module, i, &name) == ok; ++i) {
    if (std::strncmp(name, desc->name, std::strlen(desc->name)) != 0) continue;
    flagos_kernel_desc_t copy = *desc;
    copy.name = name;
    return next<slot::module_get_kernel>(module, static_cast<const flagos_kernel_desc_t*>(&copy),
                                         out);
  }
  return status;
}

// ---- graphs ----

using Nodes = std::vector<flagos_plugin_graph_node_t>;

// Nodes of a graph as they were instantiated, with what their launches point to.
struct Kept {
  Nodes nodes;
  std::vector<flagos_launch_desc_t> launches;
  std::vector<std::vector<std::uint8_t>> blocks;
};
struct Graphs {
  std::mutex mutex;
  std::map<flagos_plugin_graph_t*, Kept> kept;
};
Graphs& graphs() {
  static Graphs made;
  return made;
}

Kept keep(const flagos_plugin_graph_node_t* nodes, std::uint32_t count) {
  Kept kept;
  kept.nodes.assign(nodes, nodes + count);
  kept.launches.resize(count);
  kept.blocks.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (nodes[i].launch == nullptr) continue;
    kept.launches[i] = *nodes[i].launch;
    const auto* const block = static_cast<const std::uint8_t*>(nodes[i].launch->argument_block);
    if (block != nullptr) kept.blocks[i].assign(block, block + nodes[i].launch->argument_bytes);
    kept.launches[i].argument_block = block == nullptr ? nullptr : kept.blocks[i].data();
    kept.nodes[i].launch = &kept.launches[i];
  }
  return kept;
}

flagos_status_t kept_instantiate(flagos_plugin_device_t* device,
                                 const flagos_plugin_graph_node_t* nodes, std::uint32_t count,
                                 flagos_plugin_graph_t** out) {
  const flagos_status_t status = next<slot::graph_instantiate>(device, nodes, count, out);
  if (status != ok) return status;
  const std::lock_guard lock(graphs().mutex);
  graphs().kept[*out] = keep(nodes, count);
  return ok;
}

flagos_status_t partial_update(flagos_plugin_graph_t* graph,
                               const flagos_plugin_graph_node_t* nodes, std::uint32_t count) {
  constexpr std::uint32_t updated = 200;
  const std::lock_guard lock(graphs().mutex);
  const Nodes& before = graphs().kept[graph].nodes;
  Nodes mixed(nodes, nodes + count);
  for (std::uint32_t i = updated; i < count && i < before.size(); ++i) {
    const std::uint32_t* const dependencies = mixed[i].dependencies;
    mixed[i] = before[i];
    mixed[i].dependencies = dependencies;
  }
  return next<slot::graph_update>(
      graph, static_cast<const flagos_plugin_graph_node_t*>(mixed.data()), count);
}

// M55: what the first launch computed is what the others leave, too.
flagos_status_t launch_once(flagos_plugin_graph_t* graph, flagos_plugin_stream_t* stream) {
  static std::mutex mutex;
  static std::map<flagos_plugin_graph_t*, bool> launched;
  const std::lock_guard lock(mutex);
  if (std::exchange(launched[graph], true)) return ok;
  return next<slot::graph_launch>(graph, stream);
}

// ---- structures and statuses ----

flagos_status_t long_info(flagos_plugin_kernel_t* kernel, flagos_kernel_info_t* out) {
  const std::uint32_t room = out->struct_size;
  const flagos_status_t status = next<slot::kernel_get_info>(kernel, out);
  if (status == ok) std::memset(reinterpret_cast<char*>(out) + room, 0, 8);
  return status;
}

flagos_status_t unsupported_wait(flagos_plugin_stream_t*, flagos_address_t, std::uint64_t,
                                 std::uint32_t, flagos_compare_t) {
  return FLAGOS_STATUS_UNSUPPORTED;
}

// ---- native operators ----

// M81: the inner dimension of a product is cut to a multiple of 16.
flagos_status_t short_product(flagos_plugin_stream_t* stream, const flagos_operator_desc_t* desc) {
  std::vector<flagos_operator_argument_t> arguments(desc->arguments,
                                                    desc->arguments + desc->argument_count);
  std::array<flagos_tensor_t, 2> tensors{};
  std::array<std::array<std::int64_t, 2>, 2> shapes{};
  for (std::size_t i = 0; i < 2; ++i) {
    if (arguments.size() < 3 || arguments[i].type != FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR)
      return next<slot::operators_run>(stream, desc);
    tensors[i] =
        *reinterpret_cast<const flagos_tensor_t*>(static_cast<std::uintptr_t>(arguments[i].value));
    if (tensors[i].rank != 2) return next<slot::operators_run>(stream, desc);
    shapes[i] = {tensors[i].shape[0], tensors[i].shape[1]};
  }
  const std::int64_t inner = shapes[0][1];
  if (inner != shapes[1][0] || inner < 16) return next<slot::operators_run>(stream, desc);
  // Strides that were left out follow from the shape that is changed here.
  const std::array<std::int64_t, 2> left = {inner, 1}, right = {shapes[1][1], 1};
  if (tensors[0].strides == nullptr) tensors[0].strides = left.data();
  if (tensors[1].strides == nullptr) tensors[1].strides = right.data();
  shapes[0][1] = shapes[1][0] = inner / 16 * 16;
  for (std::size_t i = 0; i < 2; ++i) {
    tensors[i].shape = shapes[i].data();
    arguments[i].value = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&tensors[i]));
  }
  flagos_operator_desc_t copy = *desc;
  copy.arguments = arguments.data();
  return next<slot::operators_run>(stream, static_cast<const flagos_operator_desc_t*>(&copy));
}

// M73: every entry that fails says INTERNAL.
void all_internal(Tables& tables) {
  tables.memory.alloc = &Entry<slot::memory_alloc>::other_status;
  tables.module.load = &Entry<slot::module_load>::other_status;
  tables.module.get_kernel = &Entry<slot::module_get_kernel>::other_status;
  tables.event.get_elapsed = &Entry<slot::event_get_elapsed>::other_status;
  tables.timeline.signal = &Entry<slot::timeline_signal>::other_status;
}

Mutant whole(const char* id, const char* bug, std::vector<std::string> cases,
             void (*prepare)(Tables&)) {
  Mutant mutant;
  mutant.id = id;
  mutant.kind = Class::seeded;
  mutant.bug = bug;
  mutant.cases = std::move(cases);
  mutant.prepare = prepare;
  return mutant;
}

}  // namespace

void add_seeded_objects(std::vector<Mutant>& list) {
  list.push_back(seeded<slot::kernel_launch>("M45", "y and z of the grid are swapped",
                                             {"krn.grid.ids_exact"}, &swapped_grid));
  list.push_back(seeded<slot::kernel_launch>("M47",
                                             "a float16 argument is widened and rounded again",
                                             {"krn.args.scalar_types"}, &widened_half));
  list.push_back(seeded<slot::module_unload>("M49", "unload leaks a file descriptor",
                                             {"mod.unload.cycle"}, &leaking_unload));
  list.push_back(seeded<slot::module_get_kernel>("M51",
                                                 "a kernel is found by the beginning of its name",
                                                 {"mod.func.lookup"}, &prefix_lookup));
  list.push_back(seeded<slot::graph_update>(
      "M53", "an update leaves the arguments of nodes beyond 200", {"graph.big"}, &partial_update));
  list.back().prepare = [](Tables& tables) { tables.graph.instantiate = &kept_instantiate; };
  list.push_back(seeded<slot::graph_launch>("M55", "a replay leaves what the first launch computed",
                                            {"graph.replay_new_data"}, &launch_once));
  list.push_back(seeded<slot::kernel_get_info>("M69",
                                               "a structure is written beyond its struct_size",
                                               {"abi.struct.plugin_out_truncation"}, &long_info));
  list.push_back(whole("M73", "INTERNAL instead of the exact status", {"neg.error_code_exact"},
                       &all_internal));
  list.push_back(seeded<slot::stream_wait_value>("M75", "what is advertised answers UNSUPPORTED",
                                                 {"dev.cap.bits_match_behaviour"},
                                                 &unsupported_wait));
  list.push_back(seeded<slot::operators_run>(
      "M81", "a product leaves out the tail of its inner dimension behind a multiple of 16",
      {"op.native.products"}, &short_product));
}

}  // namespace flagos::conformance::mutants
