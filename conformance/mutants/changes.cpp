#include "conformance/mutants/changes.hpp"

#include <cstring>
#include <utility>

namespace flagos::conformance::mutants {
namespace {

// A change of `s`, the structure of the list that it stands in.
#define CHANGE(name, ...)                         \
  NamedChange {                                   \
    name, [](void* structure) {                   \
      auto& s = *static_cast<Struct*>(structure); \
      __VA_ARGS__;                                \
    }                                             \
  }

}  // namespace

// ---- what goes in ----

template <>
std::vector<NamedChange> changes_in<flagos_memory_desc_t>() {
  using Struct = flagos_memory_desc_t;
  return {CHANGE("half-size", s.size_bytes = (s.size_bytes + 1) / 2),
          CHANGE("no-alignment", s.alignment_bytes = 1),
          CHANGE("kind-is-device", s.kind = FLAGOS_MEMORY_KIND_DEVICE),
          CHANGE("kind-is-pinned", s.kind = FLAGOS_MEMORY_KIND_PINNED),
          CHANGE("no-flags", s.flags = 0)};
}

template <>
std::vector<NamedChange> changes_in<flagos_copy_2d_desc_t>() {
  using Struct = flagos_copy_2d_desc_t;
  return {CHANGE("target+1", s.target += 1),
          CHANGE("source+1", s.source += 1),
          CHANGE("swap-target-source", std::swap(s.target, s.source)),
          CHANGE("swap-pitches", std::swap(s.target_pitch_bytes, s.source_pitch_bytes)),
          CHANGE("target-pitch-is-width", s.target_pitch_bytes = s.width_bytes),
          CHANGE("source-pitch-is-width", s.source_pitch_bytes = s.width_bytes),
          CHANGE("width+1", s.width_bytes += 1),
          CHANGE("width-1", s.width_bytes -= 1),
          CHANGE("height-1", s.height -= 1),
          CHANGE("height+1", s.height += 1)};
}

template <>
std::vector<NamedChange> changes_in<flagos_stream_desc_t>() {
  using Struct = flagos_stream_desc_t;
  return {CHANGE("no-priority", s.priority = 0)};
}

template <>
std::vector<NamedChange> changes_in<flagos_event_desc_t>() {
  using Struct = flagos_event_desc_t;
  return {CHANGE("no-flags", s.flags = 0),
          CHANGE("no-timing", s.flags |= FLAGOS_EVENT_FLAG_NO_TIMING),
          CHANGE("no-blocking-sync", s.flags &= ~std::uint32_t{FLAGOS_EVENT_FLAG_BLOCKING_SYNC})};
}

template <>
std::vector<NamedChange> changes_in<flagos_module_desc_t>() {
  using Struct = flagos_module_desc_t;
  return {CHANGE("half-size", s.size_bytes /= 2), CHANGE("no-options", s.options = nullptr)};
}

template <>
std::vector<NamedChange> changes_in<flagos_kernel_desc_t>() {
  using Struct = flagos_kernel_desc_t;
  return {
    CHANGE("no-signature", s.parameters = nullptr; s.parameter_count = 0),
        CHANGE("a-parameter-less", s.parameter_count -= s.parameter_count == 0 ? 0 : 1),
        CHANGE("name-is-add_one", s.name = "add_one")
  };
}

template <>
std::vector<NamedChange> changes_in<flagos_launch_desc_t>() {
  using Struct = flagos_launch_desc_t;
  return {
    CHANGE("grid-x+1", s.grid[0] += 1), CHANGE("grid-x-1", s.grid[0] -= 1),
        CHANGE("grid-y+1", s.grid[1] += 1), CHANGE("grid-z+1", s.grid[2] += 1),
        CHANGE("swap-grid-xy", std::swap(s.grid[0], s.grid[1])),
        CHANGE("block-x+1", s.block[0] += 1), CHANGE("block-x-1", s.block[0] -= 1),
        CHANGE("block-y+1", s.block[1] += 1), CHANGE("block-z+1", s.block[2] += 1),
        CHANGE("swap-block-xy", std::swap(s.block[0], s.block[1])),
        CHANGE("swap-block-yz", std::swap(s.block[1], s.block[2])),
        CHANGE("swap-grid-block", std::swap(s.grid, s.block)),
        CHANGE("no-shared", s.shared_bytes = 0),
        CHANGE("no-arguments", s.argument_block = nullptr; s.argument_bytes = 0),
        CHANGE("an-argument-less", s.argument_bytes -= s.argument_bytes < 8 ? s.argument_bytes : 8)
  };
}

template <>
std::vector<NamedChange> changes_in<flagos_operator_desc_t>() {
  using Struct = flagos_operator_desc_t;
  return {
    CHANGE("index+1", s.index += 1),
        CHANGE("an-argument-less", s.argument_count -= s.argument_count == 0 ? 0 : 1),
        CHANGE("no-workspace", s.workspace = 0; s.workspace_bytes = 0)
  };
}

template <>
std::vector<NamedChange> changes_in<flagos_native_t>() {
  using Struct = flagos_native_t;
  return {CHANGE("handle+1", s.handles[0] += 1), CHANGE("no-handle", s.handles[0] = 0),
          CHANGE("other-type", s.type[0] ^= 1), CHANGE("no-count", s.handle_count = 0)};
}

// Of the last node only: the function sees the array as it is.
template <>
std::vector<NamedChange> changes_in<flagos_plugin_graph_node_t>() {
  using Struct = flagos_plugin_graph_node_t;
  return {CHANGE("no-dependencies", s.dependency_count = 0),
          CHANGE("copy-width-1", s.copy.width_bytes -= 1),
          CHANGE("fill-size-1", s.fill_size_bytes -= 1),
          CHANGE("fill-pattern", s.fill_pattern[0] ^= 1),
          CHANGE("host-user-data", s.host_user_data = nullptr)};
}

template <>
std::vector<NamedChange> changes_in<flagos_physical_memory_desc_t>() {
  using Struct = flagos_physical_memory_desc_t;
  return {CHANGE("half-size", s.size_bytes /= 2), CHANGE("no-flags", s.flags = 0)};
}

template <>
std::vector<NamedChange> changes_in<flagos_communicator_desc_t>() {
  using Struct = flagos_communicator_desc_t;
  return {CHANGE("size+1", s.size += 1), CHANGE("swap-ranks", s.rank = s.size - 1 - s.rank),
          CHANGE("rank-is-0", s.rank = 0), CHANGE("no-timeout", s.timeout_ns = 0)};
}

template <>
std::vector<NamedChange> changes_in<flagos_collective_desc_t>() {
  using Struct = flagos_collective_desc_t;
  return {
    CHANGE("count-1", s.count -= s.count == 0 ? 0 : 1), CHANGE("no-count", s.count = 0),
        CHANGE("target+1", s.target += s.target == 0 ? 0 : 1),
        CHANGE("source+1", s.source += s.source == 0 ? 0 : 1),
        CHANGE("in-place", s.target = s.source == 0 ? s.target : s.source),
        CHANGE("reduction-is-sum", s.reduction = FLAGOS_COLLECTIVE_REDUCTION_SUM),
        CHANGE("peer-is-0", s.peer = 0), CHANGE("no-scale", s.scale = 1),
        CHANGE("unsigned", if (s.dtype == FLAGOS_DTYPE_INT32) s.dtype = FLAGOS_DTYPE_UINT32),
        CHANGE("float-is-integer",
               if (s.dtype == FLAGOS_DTYPE_FLOAT32) s.dtype = FLAGOS_DTYPE_INT32)
  };
}

// ---- what comes out ----

template <>
std::vector<NamedChange> changes_out<flagos_device_info_t>() {
  using Struct = flagos_device_info_t;
  return {
    CHANGE("no-capabilities", s.capabilities = 0),
        CHANGE("all-capabilities",
               s.capabilities |= FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT |
                                 FLAGOS_DEVICE_CAPABILITY_PAGEABLE_COPY_SYNC |
                                 FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS |
                                 FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES |
                                 FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS),
        CHANGE("no-name", s.name[0] = '\0'),
        CHANGE("name-without-end", std::memset(s.name, 'x', sizeof(s.name))),
        CHANGE("no-vendor", s.vendor[0] = '\0'),
        CHANGE("no-driver-version", s.driver_version[0] = '\0'),
        CHANGE("no-uuid", std::memset(s.uuid, 0, sizeof(s.uuid))),
        CHANGE("changing-uuid", static std::uint8_t calls = 0; s.uuid[0] ^= ++calls),
        CHANGE("bus-id", std::strcpy(s.bus_id, "here")),
        CHANGE("other-type", s.type = s.type == FLAGOS_DEVICE_TYPE_OTHER
                                          ? FLAGOS_DEVICE_TYPE_GPU
                                          : FLAGOS_DEVICE_TYPE_OTHER),
        CHANGE("unknown-type", s.type = 99),
        CHANGE("unknown-schedule-class", s.schedule_class = 99),
        CHANGE("no-memory", s.memory_bytes = 0), CHANGE("twice-the-memory", s.memory_bytes *= 2),
        CHANGE("no-allocation", s.max_allocation_bytes = 0),
        CHANGE("small-allocations", s.max_allocation_bytes = 1 << 20),
        CHANGE("more-allocation-than-memory", s.max_allocation_bytes = s.memory_bytes + 1),
        CHANGE("twice-the-alignment", s.allocation_alignment *= 64),
        CHANGE("odd-alignment", s.allocation_alignment += 1),
        CHANGE("no-compute-units", s.compute_units = 0), CHANGE("no-grid", s.max_grid[0] = 0),
        CHANGE("small-grid", s.max_grid[0] = s.max_grid[1] = s.max_grid[2] = 1),
        CHANGE("no-block", s.max_block[0] = 0),
        CHANGE("twice-the-block", s.max_block[0] *= 2; s.max_block_threads *= 2),
        CHANGE("one-thread-blocks", s.max_block_threads = 1),
        CHANGE("more-threads-than-block", s.max_block_threads = 0xffffffffu),
        CHANGE("no-subgroup", s.subgroup_size = 0),
        CHANGE("twice-the-shared-memory", s.max_shared_bytes *= 2),
        CHANGE("no-shared-memory", s.max_shared_bytes = 0),
        CHANGE("few-argument-bytes", s.max_argument_bytes = 64),
        CHANGE("twice-the-argument-bytes", s.max_argument_bytes *= 2),
        CHANGE("swap-priorities", s.priority_low = -3; s.priority_high = 3),
        CHANGE("unknown-dlpack-type", s.dlpack_device_type = -1)
  };
}

template <>
std::vector<NamedChange> changes_out<flagos_format_info_t>() {
  using Struct = flagos_format_info_t;
  return {
    CHANGE("no-name", s.name[0] = '\0'), CHANGE("other-name", s.name[0] ^= 1),
        CHANGE("no-flags", s.flags = 0), CHANGE("all-flags", s.flags = 0xffffffffu),
        CHANGE("no-version", s.version[0] = '\0'),
        CHANGE("other-target", std::strcpy(s.target, "elsewhere")),
        CHANGE("unknown-schedule-class", s.schedule_class = 99),
        CHANGE("changing-priority", static int calls = 0; s.priority += ++calls)
  };
}

template <>
std::vector<NamedChange> changes_out<flagos_kernel_info_t>() {
  using Struct = flagos_kernel_info_t;
  return {CHANGE("no-name", s.name[0] = '\0'),
          CHANGE("other-name", s.name[0] ^= 1),
          CHANGE("a-parameter-less", s.parameter_count -= s.parameter_count == 0 ? 0 : 1),
          CHANGE("a-parameter-more", s.parameter_count += 1),
          CHANGE("argument-bytes+8", s.argument_bytes += 8),
          CHANGE("no-block", s.max_block_threads = 0),
          CHANGE("one-thread-blocks", s.max_block_threads = 1),
          CHANGE("more-threads-than-device", s.max_block_threads *= 4),
          CHANGE("all-shared-memory", s.static_shared_bytes = 0xffffff00u)};
}

template <>
std::vector<NamedChange> changes_out<flagos_parameter_t>() {
  using Struct = flagos_parameter_t;
  return {CHANGE("other-type", s.dtype = FLAGOS_DTYPE_BYTES),
          CHANGE("size+1", s.size_bytes += 1),
          CHANGE("no-alignment", s.alignment_bytes = 1),
          CHANGE("alignment*2", s.alignment_bytes *= 2),
          CHANGE("offset+8", s.offset_bytes += 8),
          CHANGE("no-offset", s.offset_bytes = 0)};
}

template <>
std::vector<NamedChange> changes_out<flagos_compiled_t>() {
  using Struct = flagos_compiled_t;
  return {
    CHANGE("no-data", s.data = nullptr; s.size_bytes = 0), CHANGE("half-size", s.size_bytes /= 2),
        CHANGE("unknown-format", s.format = "elsewhere"), CHANGE("no-log", s.log = ""),
        CHANGE("null-log", s.log = nullptr)
  };
}

template <>
std::vector<NamedChange> changes_out<flagos_link_info_t>() {
  using Struct = flagos_link_info_t;
  return {
    CHANGE("unknown-type", s.type = 99), CHANGE("no-flags", s.flags = 0),
        CHANGE("all-flags", s.flags = ~std::uint64_t{0}), CHANGE("no-distance", s.distance = 0),
        CHANGE("changing-distance", static std::uint32_t calls = 0; s.distance += ++calls)
  };
}

template <>
std::vector<NamedChange> changes_out<flagos_native_t>() {
  using Struct = flagos_native_t;
  return {CHANGE("handle+1", s.handles[0] += 1), CHANGE("no-handle", s.handles[0] = 0),
          CHANGE("no-type", s.type[0] = '\0'), CHANGE("no-count", s.handle_count = 0),
          CHANGE("more-handles-than-room", s.handle_count = 7)};
}

template <>
std::vector<NamedChange> changes_out<flagos_operator_info_t>() {
  using Struct = flagos_operator_info_t;
  return {CHANGE("no-name", s.name = ""), CHANGE("no-schema", s.schema = ""),
          CHANGE("other-name", s.name = "elsewhere")};
}

template <>
std::vector<NamedChange> changes_out<flagos_operator_support_t>() {
  using Struct = flagos_operator_support_t;
  return {CHANGE("no-flags", s.flags = 0), CHANGE("all-flags", s.flags = 0xffffffffu),
          CHANGE("much-workspace", s.workspace_bytes += std::uint64_t{1} << 50)};
}

template <>
std::vector<NamedChange> changes_out<flagos_memory_pool_statistics_t>() {
  using Struct = flagos_memory_pool_statistics_t;
  return {CHANGE("no-used", s.used_bytes = 0), CHANGE("no-used-high", s.used_high_bytes = 0),
          CHANGE("no-reserved", s.reserved_bytes = 0), CHANGE("no-live-blocks", s.live_blocks = 0),
          CHANGE("no-allocations", s.allocations = 0)};
}

template <>
std::vector<NamedChange> changes_out<flagos_collective_support_t>() {
  using Struct = flagos_collective_support_t;
  return {CHANGE("no-flags", s.flags = 0), CHANGE("all-flags", s.flags = 31),
          CHANGE("unknown-flags", s.flags |= 0x80000000u)};
}

template <>
std::vector<NamedChange> changes_out<flagos_collective_id_t>() {
  using Struct = flagos_collective_id_t;
  return {CHANGE("no-size", s.size_bytes = 0), CHANGE("half-size", s.size_bytes /= 2),
          CHANGE("too-long", s.size_bytes = sizeof(s.bytes) + 1),
          CHANGE("always-the-same", std::memset(s.bytes, 7, s.size_bytes))};
}

template <>
std::vector<NamedChange> changes_out<flagos_plugin_external_t>() {
  using Struct = flagos_plugin_external_t;
  return {CHANGE("no-descriptor", s.fd = -1), CHANGE("half-size", s.size_bytes /= 2),
          CHANGE("no-data", std::memset(s.data, 0, sizeof(s.data)))};
}

}  // namespace flagos::conformance::mutants
