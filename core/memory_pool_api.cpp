// The exported functions of memory pools.
#include "core/entry.hpp"
#include "core/memory_pool.hpp"

using namespace flagos;
using namespace flagos::core;

namespace {

MemoryPool& resolve_pool(flagos_memory_pool_t* pool) { return resolve<MemoryPool>(pool, "pool"); }

void check_kind(const Device& device, flagos_memory_kind_t kind) {
  switch (kind) {
    case FLAGOS_MEMORY_KIND_DEVICE:
      return;
    case FLAGOS_MEMORY_KIND_PINNED:
      return device.require_feature(FLAGOS_FEATURE_PINNED_MEMORY, "pinned memory");
    case FLAGOS_MEMORY_KIND_MANAGED:
      return device.require_feature(FLAGOS_FEATURE_MANAGED_MEMORY, "managed memory");
    default:
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "memory of kind {} cannot be allocated", kind);
  }
}

}  // namespace

flagos_status_t flagos_memory_pool_create(flagos_device_t* device, const flagos_memory_pool_desc_t* desc,
                                          flagos_memory_pool_t** out_pool) {
  clear_out(out_pool);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    flagos_memory_pool_desc_t used = check_desc(desc, "flagos_memory_pool_desc_t");
    require(out_pool, "out_pool");
    used.struct_size = sizeof(used);
    used.next = nullptr;
    check_flags(used.flags, 0, "flagos_memory_pool_desc_t.flags");
    check_kind(object, used.kind);
    object.throw_if_lost();
    *out_pool = publish<flagos_memory_pool_t>(Ref<MemoryPool>::adopt(new MemoryPool(object, used)));
  });
}

flagos_status_t flagos_memory_pool_destroy(flagos_memory_pool_t* pool) {
  if (pool == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] {
    MemoryPool& object = resolve_pool(pool);
    object.close();
    destroy_child(object);
  });
}

flagos_status_t flagos_memory_pool_alloc(flagos_memory_pool_t* pool, flagos_stream_t* stream, uint64_t size_bytes,
                                         flagos_address_t* out_address) {
  clear_out(out_address);
  return entry(__func__, [&] {
    MemoryPool& object = resolve_pool(pool);
    Stream& target = resolve<Stream>(stream, "stream");
    require(out_address, "out_address");
    if (&object.device() != &target.device()) check_same_device(object.device(), target.device(), "the stream");
    if (target.mode() != 0) [[unlikely]] {
      target.device().throw_if_lost();
      target.forbid_capture("flagos_memory_pool_alloc");
      if (const flagos_status_t status = target.poison_status())
        throw_error(status, "the stream was poisoned by work before; see flagos_stream_reset");
    }
    *out_address = object.alloc(target, size_bytes);
  });
}

flagos_status_t flagos_memory_pool_free(flagos_memory_pool_t* pool, flagos_stream_t* stream, flagos_address_t address) {
  return entry(__func__, [&] {
    MemoryPool& object = resolve_pool(pool);
    Stream& target = resolve<Stream>(stream, "stream");
    if (&object.device() != &target.device()) check_same_device(object.device(), target.device(), "the stream");
    if (address == 0) return;
    target.forbid_capture("flagos_memory_pool_free");
    object.free(target, address);
  });
}

flagos_status_t flagos_memory_pool_trim(flagos_memory_pool_t* pool, uint64_t keep_bytes) {
  return entry(__func__, [&] { resolve_pool(pool).trim(keep_bytes); });
}

flagos_status_t flagos_memory_pool_set_limit(flagos_memory_pool_t* pool, uint64_t limit_bytes) {
  return entry(__func__, [&] { resolve_pool(pool).set_limit(limit_bytes); });
}

flagos_status_t flagos_memory_pool_get_statistics(flagos_memory_pool_t* pool,
                                                  flagos_memory_pool_statistics_t* out_statistics) {
  return entry(
      __func__,
      [&] {
        begin_out(out_statistics, "flagos_memory_pool_statistics_t");
        finish_out(out_statistics, resolve_pool(pool).statistics());
      },
      Callback::allowed);
}
