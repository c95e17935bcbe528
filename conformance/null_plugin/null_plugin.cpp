// A plugin that says OK to everything and does nothing: a case that passes on it does not look.
// Every optional group is there, so that no case is excused by an absent feature.
#include <flagos_plugin.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// Objects are bytes of their own: handles differ, and nothing is behind them.
template <typename Object>
flagos_status_t make(Object** out) {
  *out = reinterpret_cast<Object*>(std::malloc(1));
  return *out == nullptr ? FLAGOS_STATUS_OUT_OF_HOST_MEMORY : FLAGOS_STATUS_OK;
}

template <typename Object>
void drop(Object* object) {
  std::free(object);
}

flagos_status_t ok() { return FLAGOS_STATUS_OK; }

flagos_status_t allocate(std::uint64_t size, std::uint64_t alignment, flagos_address_t* out) {
  const std::uint64_t wanted = alignment < 256 ? 256 : alignment;
  void* pointer = nullptr;
  if (size > (std::uint64_t{1} << 32) || posix_memalign(&pointer, wanted, size + 1) != 0) {
    return FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
  }
  *out = reinterpret_cast<std::uintptr_t>(pointer);
  return FLAGOS_STATUS_OK;
}

void release(flagos_address_t address) {
  std::free(reinterpret_cast<void*>(static_cast<std::uintptr_t>(address)));
}

// Members in the order of the header; each table ends where its group does.
#define HEAD(table) static_cast<std::uint32_t>(sizeof(table)), 1

// ---- device ----

flagos_status_t device_info(flagos_plugin_instance_t*, std::uint32_t, flagos_device_info_t* info) {
  std::snprintf(info->name, sizeof(info->name), "a device that does nothing");
  std::snprintf(info->vendor, sizeof(info->vendor), "flagos");
  std::snprintf(info->driver_version, sizeof(info->driver_version), "1.0");
  std::memcpy(info->uuid, "flagos-null-test", 16);
  info->type = FLAGOS_DEVICE_TYPE_OTHER;
  info->schedule_class = FLAGOS_SCHEDULE_CLASS_SERIAL;
  info->capabilities =
      FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT | FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS |
      FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES | FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS;
  info->memory_bytes = std::uint64_t{1} << 32;
  info->max_allocation_bytes = std::uint64_t{1} << 32;
  info->allocation_alignment = 256;
  info->compute_units = 4;
  for (int i = 0; i < 3; ++i) {
    info->max_grid[i] = 1u << 30;
    info->max_block[i] = 1024;
  }
  info->max_block_threads = 1024;
  info->subgroup_size = 1;
  info->max_shared_bytes = 65536;
  info->max_argument_bytes = 4096;
  info->priority_low = 1;
  info->priority_high = -1;
  return FLAGOS_STATUS_OK;
}

const flagos_device_table_t device_table = {
    HEAD(flagos_device_table_t),
    [](flagos_plugin_instance_t*, std::uint32_t* out_count) {
      *out_count = 1;
      return ok();
    },
    device_info,
    [](flagos_plugin_instance_t*, std::uint32_t, flagos_plugin_device_t** out) {
      return make(out);
    },
    drop<flagos_plugin_device_t>,
    [](flagos_plugin_device_t*, std::uint64_t* out_free, std::uint64_t* out_total) {
      *out_free = *out_total = std::uint64_t{1} << 32;
      return ok();
    },
    [](flagos_plugin_device_t*, std::uint64_t) { return ok(); },
    [](flagos_plugin_device_t*) { return ok(); },
    [](flagos_plugin_device_t*) { return ok(); },
};

// ---- memory ----

const flagos_memory_table_t memory_table = {
    HEAD(flagos_memory_table_t),
    [](flagos_plugin_device_t*, const flagos_memory_desc_t* desc, flagos_address_t* out) {
      return allocate(desc->size_bytes, desc->alignment_bytes, out);
    },
    [](flagos_plugin_device_t*, flagos_address_t address) { release(address); },
    [](flagos_plugin_stream_t*, flagos_address_t, flagos_address_t, std::uint64_t) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_address_t, const void*, std::uint32_t, std::uint64_t) {
      return ok();
    },
    [](flagos_plugin_stream_t*, const flagos_copy_2d_desc_t*) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_address_t, const void*, std::uint64_t) { return ok(); },
    [](flagos_plugin_device_t*, void* pointer, std::uint64_t, std::uint32_t,
       flagos_address_t* out) {
      *out = reinterpret_cast<std::uintptr_t>(pointer);
      return ok();
    },
    [](flagos_plugin_device_t*, void*) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_address_t, std::uint64_t) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_address_t, flagos_plugin_device_t*, flagos_address_t,
       flagos_plugin_device_t*, std::uint64_t) { return ok(); },
};

const flagos_memory_pool_table_t memory_pool_table = {
    HEAD(flagos_memory_pool_table_t),
    [](flagos_plugin_device_t*, const flagos_memory_pool_desc_t*,
       flagos_plugin_memory_pool_t** out) { return make(out); },
    drop<flagos_plugin_memory_pool_t>,
    [](flagos_plugin_memory_pool_t*, flagos_plugin_stream_t*, std::uint64_t size,
       flagos_address_t* out) { return allocate(size, 256, out); },
    [](flagos_plugin_memory_pool_t*, flagos_plugin_stream_t*, flagos_address_t address) {
      release(address);
      return ok();
    },
    [](flagos_plugin_memory_pool_t*, std::uint64_t) { return ok(); },
    [](flagos_plugin_memory_pool_t*, std::uint64_t) { return ok(); },
    [](flagos_plugin_memory_pool_t*, flagos_memory_pool_statistics_t*) { return ok(); },
};

// ---- streams, events, timelines ----

const flagos_stream_table_t stream_table = {
    HEAD(flagos_stream_table_t),
    [](flagos_plugin_device_t*, const flagos_stream_desc_t*, flagos_plugin_stream_t** out) {
      return make(out);
    },
    drop<flagos_plugin_stream_t>,
    [](flagos_plugin_stream_t*, std::uint64_t) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_plugin_event_t*) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_host_function_t, void*) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_address_t, std::uint64_t, std::uint32_t) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_address_t, std::uint64_t, std::uint32_t, flagos_compare_t) {
      return ok();
    },
    [](flagos_plugin_stream_t*) { return ok(); },
};

const flagos_event_table_t event_table = {
    HEAD(flagos_event_table_t),
    [](flagos_plugin_device_t*, const flagos_event_desc_t*, flagos_plugin_event_t** out) {
      return make(out);
    },
    drop<flagos_plugin_event_t>,
    [](flagos_plugin_event_t*, flagos_plugin_stream_t*) { return ok(); },
    [](flagos_plugin_event_t*, std::uint64_t) { return ok(); },
    [](flagos_plugin_event_t*, flagos_plugin_event_t*, std::int64_t* out_elapsed) {
      *out_elapsed = 1000;
      return ok();
    },
};

const flagos_timeline_table_t timeline_table = {
    HEAD(flagos_timeline_table_t),
    [](flagos_plugin_device_t*, std::uint64_t, flagos_plugin_timeline_t** out) {
      return make(out);
    },
    drop<flagos_plugin_timeline_t>,
    [](flagos_plugin_timeline_t*, std::uint64_t* out_value) {
      *out_value = 1;
      return ok();
    },
    [](flagos_plugin_timeline_t*, std::uint64_t) { return ok(); },
    [](std::uint32_t, flagos_plugin_timeline_t* const*, const std::uint64_t*, flagos_wait_mode_t,
       std::uint64_t, std::uint32_t*) { return ok(); },
    [](flagos_plugin_timeline_t*, flagos_status_t) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_plugin_timeline_t*, std::uint64_t) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_plugin_timeline_t*, std::uint64_t) { return ok(); },
};

// ---- modules, kernels, graphs ----

flagos_status_t format_info(flagos_plugin_device_t*, std::uint32_t index,
                            flagos_format_info_t* info) {
  if (index > 0) return FLAGOS_STATUS_NOT_FOUND;
  std::snprintf(info->name, sizeof(info->name), "elf-so");
  std::snprintf(info->version, sizeof(info->version), "1.0");
  info->flags = FLAGOS_FORMAT_FLAG_LOAD | FLAGOS_FORMAT_FLAG_COMPILE | FLAGOS_FORMAT_FLAG_PATH;
  info->schedule_class = FLAGOS_SCHEDULE_CLASS_SERIAL;
  return FLAGOS_STATUS_OK;
}

const flagos_module_table_t module_table = {
    HEAD(flagos_module_table_t),
    format_info,
    [](flagos_plugin_device_t*, const flagos_module_desc_t*, flagos_plugin_module_t** out) {
      return make(out);
    },
    drop<flagos_plugin_module_t>,
    // Kernels go with their module, and nobody drops them one by one: so one object stands for all.
    [](flagos_plugin_module_t*, const flagos_kernel_desc_t*, flagos_plugin_kernel_t** out) {
      static char kernel;
      *out = reinterpret_cast<flagos_plugin_kernel_t*>(&kernel);
      return ok();
    },
    [](flagos_plugin_module_t*, std::uint32_t index, const char** out_name) {
      *out_name = "noop";
      return index == 0 ? ok() : flagos_status_t{FLAGOS_STATUS_NOT_FOUND};
    },
    [](flagos_plugin_module_t*, const char*, flagos_address_t* out_address,
       std::uint64_t* out_size) {
      static char global[256];
      *out_address = reinterpret_cast<std::uintptr_t>(global);
      *out_size = sizeof(global);
      return ok();
    },
    [](flagos_plugin_module_t*, const char** out_text) {
      *out_text = "";
      return ok();
    },
    [](flagos_plugin_module_t*, const void** out_data, std::uint64_t* out_size) {
      *out_data = "nothing";
      *out_size = 7;
      return ok();
    },
    [](flagos_plugin_device_t*, const flagos_module_desc_t*, flagos_compiled_t* out) {
      out->data = "nothing";
      out->size_bytes = 7;
      out->format = "elf-so";
      out->log = "";
      return ok();
    },
    [](flagos_plugin_device_t*, flagos_compiled_t*) {},
    [](flagos_plugin_device_t*, const char*, const char** out_identity) {
      *out_identity = "nothing";
      return ok();
    },
};

const flagos_kernel_table_t kernel_table = {
    HEAD(flagos_kernel_table_t),
    [](flagos_plugin_kernel_t*, flagos_kernel_info_t* info) {
      std::snprintf(info->name, sizeof(info->name), "noop");
      info->max_block_threads = 1024;
      return ok();
    },
    [](flagos_plugin_kernel_t*, std::uint32_t, flagos_parameter_t*) { return ok(); },
    [](flagos_plugin_stream_t*, flagos_plugin_kernel_t*, const flagos_launch_desc_t*) {
      return ok();
    },
    [](flagos_plugin_kernel_t*, std::uint32_t, std::uint32_t, std::uint32_t* out_blocks) {
      *out_blocks = 1;
      return ok();
    },
    [](flagos_plugin_kernel_t*, std::uint32_t, std::uint32_t* out_threads) {
      *out_threads = 64;
      return ok();
    },
    [](flagos_plugin_kernel_t*, const flagos_launch_desc_t*, flagos_plugin_prepared_t** out) {
      return make(out);
    },
    [](flagos_plugin_stream_t*, flagos_plugin_prepared_t*) { return ok(); },
    drop<flagos_plugin_prepared_t>,
};

const flagos_graph_table_t graph_table = {
    HEAD(flagos_graph_table_t),
    [](flagos_plugin_device_t*, const flagos_plugin_graph_node_t*, std::uint32_t,
       flagos_plugin_graph_t** out) { return make(out); },
    [](flagos_plugin_graph_t*, const flagos_plugin_graph_node_t*, std::uint32_t) { return ok(); },
    [](flagos_plugin_graph_t*, flagos_plugin_stream_t*) { return ok(); },
    drop<flagos_plugin_graph_t>,
};

const flagos_profiling_table_t profiling_table = {
    HEAD(flagos_profiling_table_t),
    [](flagos_plugin_device_t*, std::uint32_t) { return ok(); },
    [](flagos_plugin_device_t*, std::uint64_t* out_device, std::uint64_t* out_host) {
      *out_device = *out_host = 1;
      return ok();
    },
    [](flagos_plugin_stream_t*) {},
    [](flagos_plugin_stream_t*) {},
};

// ---- interop, topology ----

// An object of no vendor's API.
flagos_status_t show(flagos_native_t* out) {
  std::snprintf(out->type, sizeof(out->type), "nothing");
  out->handle_count = 1;
  out->handles[0] = 1;
  return ok();
}

const flagos_interop_table_t interop_table = {
    HEAD(flagos_interop_table_t),
    // A descriptor of an empty file; whoever imports it gets other memory.
    [](flagos_plugin_device_t*, flagos_address_t, flagos_plugin_external_t* out) {
      out->fd = memfd_create("nothing", MFD_CLOEXEC);
      return out->fd >= 0 ? ok() : flagos_status_t{FLAGOS_STATUS_OUT_OF_RESOURCES};
    },
    [](flagos_plugin_device_t*, const flagos_plugin_external_t* external, flagos_address_t* out) {
      return allocate(external->size_bytes, 256, out);
    },
    [](flagos_plugin_device_t*, flagos_native_t* out) { return show(out); },
    [](flagos_plugin_stream_t*, flagos_native_t* out) { return show(out); },
    [](flagos_plugin_event_t*, flagos_native_t* out) { return show(out); },
    [](flagos_plugin_device_t*, flagos_address_t, flagos_native_t* out) { return show(out); },
    [](flagos_plugin_instance_t*, std::uint32_t, const flagos_native_t*, std::uint64_t,
       flagos_plugin_device_t** out) { return make(out); },
    [](flagos_plugin_device_t*, const flagos_native_t*, std::uint64_t,
       flagos_plugin_stream_t** out) { return make(out); },
    [](flagos_plugin_device_t*, const flagos_native_t*, std::uint64_t,
       flagos_plugin_event_t** out) { return make(out); },
    [](flagos_plugin_device_t*, const flagos_native_t*, std::uint64_t size, std::uint64_t,
       flagos_address_t* out) { return allocate(size, 256, out); },
};

const flagos_topology_table_t topology_table = {
    HEAD(flagos_topology_table_t),
    [](flagos_plugin_instance_t*, std::uint32_t, std::uint32_t, flagos_link_info_t*) {
      return ok();
    },
};

// ---- operators ----

// One that is offered and takes no call.
const flagos_operators_table_t operators_table = {
    HEAD(flagos_operators_table_t),
    [](flagos_plugin_device_t*, std::uint32_t index, flagos_operator_info_t* out) {
      if (index != 0) return flagos_status_t{FLAGOS_STATUS_NOT_FOUND};
      out->name = "nothing";
      out->schema = "nothing()";
      return ok();
    },
    [](flagos_plugin_device_t*, const flagos_operator_desc_t*, flagos_operator_support_t*) {
      return ok();
    },
    [](flagos_plugin_stream_t*, const flagos_operator_desc_t*) {
      return flagos_status_t{FLAGOS_STATUS_UNSUPPORTED};
    },
};

// ---- collectives ----

flagos_status_t no_collective(flagos_plugin_communicator_t*, flagos_plugin_stream_t*,
                              const flagos_collective_desc_t*) {
  return ok();
}

const flagos_collective_table_t collective_table = {
    HEAD(flagos_collective_table_t),
    [](flagos_plugin_device_t*, flagos_collective_operation_t, flagos_dtype_t,
       flagos_collective_reduction_t, flagos_collective_support_t* out) {
      out->flags = FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS | FLAGOS_COLLECTIVE_SUPPORT_FLAG_DEFERRABLE |
                   FLAGOS_COLLECTIVE_SUPPORT_FLAG_HOST_MEMORY |
                   FLAGOS_COLLECTIVE_SUPPORT_FLAG_QUEUES_ONLY;
      return ok();
    },
    [](flagos_plugin_device_t*, flagos_collective_id_t* out) {
      out->size_bytes = 16;
      return ok();
    },
    [](flagos_plugin_device_t*, const flagos_communicator_desc_t*,
       flagos_plugin_communicator_t** out) { return make(out); },
    [](flagos_plugin_communicator_t* communicator) { drop(communicator); },
    [](flagos_plugin_communicator_t*, flagos_status_t*) { return ok(); },
    [](flagos_plugin_communicator_t*, std::int32_t color, std::int32_t,
       flagos_plugin_communicator_t** out, std::uint32_t* out_rank, std::uint32_t* out_size) {
      *out_rank = 0;
      *out_size = 1;
      return color == FLAGOS_COMMUNICATOR_COLOR_NONE ? ok() : make(out);
    },
    [](flagos_plugin_communicator_t*) { return ok(); },
    no_collective,
    no_collective,
    no_collective,
    no_collective,
    no_collective,
    no_collective,
    no_collective,
    no_collective,
    no_collective,
    no_collective,
    [](flagos_plugin_instance_t*) { return ok(); },
    [](flagos_plugin_instance_t*) { return ok(); },
    [](flagos_plugin_communicator_t*, flagos_address_t, std::uint64_t,
       flagos_plugin_registration_t** out) { return make(out); },
    [](flagos_plugin_communicator_t*, flagos_plugin_registration_t* registration) {
      drop(registration);
    },
};

// ---- virtual memory ----

// Every reservation is memory already, so that nothing faults, and a mapping shows nobody's bytes.
const flagos_virtual_memory_table_t virtual_memory_table = {
    HEAD(flagos_virtual_memory_table_t),
    [](flagos_plugin_device_t*, const flagos_physical_memory_desc_t*, std::uint64_t* out_minimum,
       std::uint64_t* out_recommended) {
      *out_minimum = *out_recommended = 4096;
      return ok();
    },
    [](flagos_plugin_device_t*, std::uint64_t size, std::uint64_t alignment, flagos_address_t,
       flagos_address_t* out) { return allocate(size, alignment, out); },
    [](flagos_plugin_device_t*, flagos_address_t address, std::uint64_t) { release(address); },
    [](flagos_plugin_device_t*, const flagos_physical_memory_desc_t*,
       flagos_plugin_physical_memory_t** out) { return make(out); },
    drop<flagos_plugin_physical_memory_t>,
    [](flagos_plugin_device_t*, flagos_address_t, std::uint64_t, flagos_plugin_physical_memory_t*,
       std::uint64_t) { return ok(); },
    [](flagos_plugin_device_t*, flagos_address_t, std::uint64_t) {},
    [](flagos_plugin_device_t*, flagos_address_t, std::uint64_t, flagos_plugin_device_t*,
       flagos_memory_access_t) { return ok(); },
    [](flagos_plugin_physical_memory_t*, flagos_plugin_external_t* out) {
      out->fd = memfd_create("nothing", MFD_CLOEXEC);
      return out->fd >= 0 ? ok() : flagos_status_t{FLAGOS_STATUS_OUT_OF_RESOURCES};
    },
    [](flagos_plugin_device_t*, const flagos_plugin_external_t*,
       flagos_plugin_physical_memory_t** out) { return make(out); },
};

}  // namespace

flagos_status_t flagos_plugin_open(const flagos_host_t* host, flagos_plugin_t* out_plugin) {
  const std::uint32_t room = out_plugin->struct_size;
  flagos_plugin_t plugin{};
  plugin.struct_size = room < sizeof(plugin) ? room : static_cast<std::uint32_t>(sizeof(plugin));
  plugin.abi_version_min = plugin.abi_version_max = FLAGOS_ABI_VERSION;
  plugin.name = "null_test";
  plugin.vendor = "flagos";
  plugin.version = "1.0";
  const bool common =
      host->abi_version_min <= FLAGOS_ABI_VERSION && FLAGOS_ABI_VERSION <= host->abi_version_max;
  flagos_status_t status = FLAGOS_STATUS_UNSUPPORTED_VERSION;
  if (common) status = make(&plugin.instance);
  if (status == FLAGOS_STATUS_OK) {
    plugin.abi_version = FLAGOS_ABI_VERSION;
    plugin.close = drop<flagos_plugin_instance_t>;
    plugin.device = &device_table;
    plugin.memory = &memory_table;
    plugin.stream = &stream_table;
    plugin.event = &event_table;
    plugin.module = &module_table;
    plugin.kernel = &kernel_table;
    plugin.memory_pool = &memory_pool_table;
    plugin.timeline = &timeline_table;
    plugin.graph = &graph_table;
    plugin.profiling = &profiling_table;
    plugin.interop = &interop_table;
    plugin.topology = &topology_table;
    plugin.operators = &operators_table;
    plugin.collective = &collective_table;
    plugin.virtual_memory = &virtual_memory_table;
  }
  std::memcpy(out_plugin, &plugin, plugin.struct_size);
  return status;
}
