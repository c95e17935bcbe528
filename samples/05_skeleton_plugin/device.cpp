// Enumerate, describe, open and close the one device.
#include "skeleton.hpp"

namespace skeleton {

static void get_count(flagos_plugin_instance_t*, std::uint32_t* out_count) {
  *out_count = 1;  // where the driver is missing or sees no card: 0, which is not an error
}

static void get_info(flagos_plugin_instance_t*, std::uint32_t, flagos_device_info_t* out_info) {
  flagos_device_info_t info{};
  std::strcpy(info.name, "Skeleton device (runs on the host)");
  std::strcpy(info.vendor, "flagos samples");
  std::strcpy(info.driver_version, "0.1.0");
  std::memcpy(info.uuid, "flagos.skeleton.device", sizeof(info.uuid));
  info.type = FLAGOS_DEVICE_TYPE_CPU;
  info.schedule_class = FLAGOS_SCHEDULE_CLASS_SERIAL;
  info.capabilities =
      FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT | FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS |
      FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES | FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS;
  info.memory_bytes = info.max_allocation_bytes = kMemoryBytes;
  info.allocation_alignment = kAlignment;
  info.compute_units = 1;
  info.max_grid[0] = 1u << 20;
  info.max_grid[1] = info.max_grid[2] = 65535;
  info.max_block[0] = info.max_block[1] = kMaxBlockThreads;
  info.max_block[2] = 64;
  info.max_block_threads = kMaxBlockThreads;
  info.subgroup_size = 1;
  info.max_shared_bytes = 64 * 1024;
  info.max_argument_bytes = kMaxArgumentBytes;
  write_out(out_info, info);
}

static void open(flagos_plugin_instance_t* instance, std::uint32_t,
                 flagos_plugin_device_t** out_device) {
  *out_device = new flagos_plugin_device_t{instance->host, instance, {}};
}

static void query_memory(flagos_plugin_device_t* device, std::uint64_t* out_free_bytes,
                         std::uint64_t* out_total_bytes) {
  const std::lock_guard lock(device->instance->mutex);
  *out_free_bytes = kMemoryBytes - device->instance->used_bytes;
  *out_total_bytes = kMemoryBytes;
}

constinit const flagos_device_table_t device_table = {
    sizeof(device_table), 1, entry<get_count>, entry<get_info>, entry<open>, delete_object,
    entry<query_memory>};

}  // namespace skeleton
