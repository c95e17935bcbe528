// Allocation, and copies, fills and updates on streams.
#include <bit>
#include <cstring>
#include <functional>
#include <memory>

#include "core/device.hpp"
#include "core/entry.hpp"
#include "core/external.hpp"
#include "core/external_memory.hpp"
#include "core/memory.hpp"
#include "core/memory_pool.hpp"
#include "core/stream.hpp"
#include "core/validation.hpp"
#include "core/virtual_memory.hpp"

namespace flagos::core {

std::optional<Allocation> release_allocation(Device& device, flagos_address_t base,
                                             const std::function<bool(const Allocation&)>& wanted) {
  // What needs memory comes first: an allocation that has left the map must be released, whatever runs out.
  const auto released = std::make_shared<Allocation>();
  std::function<void()> release = [kept = Ref<Device>(&device), released] {
    const Allocation& allocation = *released;
    if (allocation.reservation != nullptr) {
      allocation.reservation->end();
    } else if (allocation.host_pointer != nullptr) {
      kept->tables().memory.host_unregister(kept->native(), allocation.host_pointer);
      delete allocation.file;
    } else {
      kept->tables().memory.free(kept->native(), allocation.base);
    }
  };
  const std::optional<Allocation> found = device.addresses().erase(base, wanted);
  if (!found) return found;
  *released = *found;
  if (!found->pool) device.count_allocation(-1);
  if (found->file != nullptr && !found->imported) found->file->withdraw();
  if ((process_state.load(std::memory_order_relaxed) & process_validating) &&
      (found->host_pointer == nullptr || found->file != nullptr))
    guard([&] { validate_freed(found->base, found->size_bytes); }, [](flagos_status_t, const char*) {});
  device.releases().add(std::move(release));
  return found;
}

void add_allocation(Device& device, const Allocation& allocation) {
  bool inserted = false;
  try {
    inserted = device.addresses().insert(allocation);
  } catch (...) {
    device.tables().memory.free(device.native(), allocation.base);
    throw;
  }
  if (!inserted)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin handed out {} bytes at {:#x}, inside a live allocation",
                allocation.size_bytes, allocation.base);
  device.count_allocation(1);
}

namespace {

constexpr std::uint64_t largest_alignment = 64 * 1024;

const char* kind_name(flagos_memory_kind_t kind) {
  switch (kind) {
    case FLAGOS_MEMORY_KIND_DEVICE:
      return "device";
    case FLAGOS_MEMORY_KIND_PINNED:
      return "pinned";
    case FLAGOS_MEMORY_KIND_MANAGED:
      return "managed";
    default:
      return "unknown";
  }
}

// The desc that the plugin gets: defaults filled in, sizes that it can serve.
flagos_memory_desc_t normalize(const Device& device, const flagos_memory_desc_t& desc) {
  if (desc.kind < FLAGOS_MEMORY_KIND_DEVICE || desc.kind > FLAGOS_MEMORY_KIND_MANAGED)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "memory of kind {} cannot be allocated", desc.kind);
  check_flags(desc.flags, FLAGOS_MEMORY_FLAG_ZERO | FLAGOS_MEMORY_FLAG_EXPORTABLE, "flagos_memory_desc_t.flags");
  const std::uint64_t alignment = desc.alignment_bytes;
  if (alignment != 0 && (!std::has_single_bit(alignment) || alignment > largest_alignment))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "alignment_bytes is {}, not a power of two of at most {}", alignment,
                largest_alignment);
  flagos_memory_desc_t used{};
  used.struct_size = sizeof(used);
  used.kind = desc.kind;
  used.flags = desc.flags;
  used.alignment_bytes = std::max<std::uint64_t>(alignment, device.info().allocation_alignment);
  used.size_bytes = std::max<std::uint64_t>(desc.size_bytes, 1);  // a zero-size allocation has an address too
  const flagos_status_t exhausted =
      desc.kind == FLAGOS_MEMORY_KIND_PINNED ? FLAGOS_STATUS_OUT_OF_HOST_MEMORY : FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY;
  if (used.size_bytes > device.info().max_allocation_bytes)
    throw_error(exhausted, "{} bytes of {} memory; device {} allocates at most {} at once", used.size_bytes,
                kind_name(desc.kind), device.info().id, device.info().max_allocation_bytes);
  return used;
}

flagos_address_t allocate(Device& device, const flagos_memory_desc_t& desc) {
  const flagos_memory_desc_t used = normalize(device, desc);
  device.releases().poll();
  const bool exportable = (used.flags & FLAGOS_MEMORY_FLAG_EXPORTABLE) != 0;
  // Pinned memory as a file, where the device can use one: that every plugin can take.
  const bool as_file = !device.tables().has.export_memory ||
                       (used.kind == FLAGOS_MEMORY_KIND_PINNED && device.tables().has.host_register);
  if (exportable && as_file) return allocate_host_file(device, used, desc.size_bytes);
  Ref<Device> kept;  // while the read section is left
  flagos_address_t address = 0;
  flagos_status_t status = device.tables().memory.alloc(device.native(), &used, &address);
  if (FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_RESOURCE) {
    // Pools may hold memory that they do not use, and freed memory may be waiting for work that is about to end.
    memory_pools_trim(device);
    kept = Ref<Device>(&device);
    Pause pause;
    device.releases().drain(1'000'000'000);
    status = device.tables().memory.alloc(device.native(), &used, &address);
  }
  expect(status, "memory.alloc");
  if (address == 0 || address % used.alignment_bytes != 0)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin allocated at {:#x}, which is not aligned to {}", address,
                used.alignment_bytes);
  Allocation allocation;
  allocation.base = address;
  allocation.size_bytes = desc.size_bytes;
  allocation.kind = desc.kind;
  allocation.exportable = exportable;
  add_allocation(device, allocation);
  return address;
}

void check_copy(Device& device, flagos_address_t target, flagos_address_t source, std::uint64_t size_bytes) {
  device.check_range(target, size_bytes, "the target of the copy", FLAGOS_MEMORY_ACCESS_READ_WRITE);
  device.check_range(source, size_bytes, "the source of the copy");
  if (process_state.load(std::memory_order_relaxed) & process_validating) [[unlikely]]
    validate_copy(device, target, source, size_bytes);
}

}  // namespace

// The extent of `height` rows; throws where it does not fit 64 bits.
std::uint64_t rows_extent(std::uint64_t pitch, std::uint64_t width, std::uint64_t height, const char* what) {
  std::uint64_t extent = 0;
  if (__builtin_mul_overflow(pitch, height - 1, &extent) || __builtin_add_overflow(extent, width, &extent))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: {} rows with a pitch of {} bytes wrap around", what, height,
                pitch);
  return extent;
}

void check_copy_2d(Device& device, const flagos_copy_2d_desc_t& desc) {
  check_flags(desc.flags, 0, "flagos_copy_2d_desc_t.flags");
  if (desc.width_bytes == 0 || desc.height == 0) return;
  if (desc.target_pitch_bytes < desc.width_bytes || desc.source_pitch_bytes < desc.width_bytes)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "rows of {} bytes with pitches of {} and {} bytes", desc.width_bytes,
                desc.target_pitch_bytes, desc.source_pitch_bytes);
  device.check_range(desc.target, rows_extent(desc.target_pitch_bytes, desc.width_bytes, desc.height, "the target"),
                     "the target of the copy", FLAGOS_MEMORY_ACCESS_READ_WRITE);
  device.check_range(desc.source, rows_extent(desc.source_pitch_bytes, desc.width_bytes, desc.height, "the source"),
                     "the source of the copy");
}

void check_fill(Device& device, flagos_address_t target, std::uint32_t pattern_size, std::uint64_t size_bytes) {
  if (!std::has_single_bit(pattern_size) || pattern_size > 16)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a pattern of {} bytes; 1, 2, 4, 8 and 16 are possible", pattern_size);
  if (size_bytes % pattern_size != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes are no multiple of a pattern of {}", size_bytes,
                pattern_size);
  if (size_bytes == 0) return;
  device.check_range(target, size_bytes, "the target of the fill", FLAGOS_MEMORY_ACCESS_READ_WRITE);
  if (target % pattern_size != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "the target of the fill, {:#x}, is not aligned to its pattern of {} bytes", target, pattern_size);
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_memory_alloc(flagos_device_t* device, const flagos_memory_desc_t* desc,
                                    flagos_address_t* out_address) {
  clear_out(out_address);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    const flagos_memory_desc_t& checked_desc = check_desc(desc, "flagos_memory_desc_t");
    require(out_address, "out_address");
    object.throw_if_lost();
    *out_address = allocate(object, checked_desc);
  });
}

flagos_status_t flagos_memory_free(flagos_device_t* device, flagos_address_t address) {
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    if (address == 0) return;
    const auto own = [](const Allocation& allocation) {
      return !allocation.pool && allocation.reservation == nullptr &&
             (allocation.host_pointer == nullptr || allocation.file != nullptr);
    };
    if (!release_allocation(object, address, own))
      throw_error(FLAGOS_STATUS_INVALID_HANDLE,
                  "{:#x} is not the start of a live allocation of this opening of device {}", address,
                  object.info().id);
  });
}

flagos_status_t flagos_memory_host_register(flagos_device_t* device, void* pointer, uint64_t size_bytes, uint32_t flags,
                                            flagos_address_t* out_address) {
  clear_out(out_address);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(pointer == nullptr ? nullptr : static_cast<char*>(pointer), "pointer");
    require(out_address, "out_address");
    object.require_feature(FLAGOS_FEATURE_HOST_REGISTER, "registration of host memory");
    check_flags(flags, 0, "flags");
    const auto base = static_cast<flagos_address_t>(reinterpret_cast<std::uintptr_t>(pointer));
    if (size_bytes == 0 || size_bytes > UINT64_MAX - base)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes cannot be registered at {:#x}", size_bytes, base);
    object.throw_if_lost();
    Allocation allocation;
    allocation.size_bytes = size_bytes;
    allocation.kind = FLAGOS_MEMORY_KIND_REGISTERED;
    allocation.host_pointer = pointer;
    flagos_address_t address = 0;
    expect(object.tables().memory.host_register(object.native(), pointer, size_bytes, flags, &address),
           "memory.host_register");
    allocation.base = address;
    bool is_new = false;
    try {
      is_new = object.add_registered(base, address);
      if (!is_new || !object.addresses().insert(allocation))
        throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                    "{} bytes at {:#x} overlap memory that is registered or allocated already", size_bytes, base);
    } catch (...) {
      if (is_new) object.remove_registered(base);
      object.tables().memory.host_unregister(object.native(), pointer);
      throw;
    }
    object.count_allocation(1);
    *out_address = address;
  });
}

flagos_status_t flagos_memory_host_unregister(flagos_device_t* device, void* pointer) {
  return entry(__func__, [&] {
    Ref<Device> object(&resolve<Device>(device, "device"));
    require(pointer == nullptr ? nullptr : static_cast<char*>(pointer), "pointer");
    object->require_feature(FLAGOS_FEATURE_HOST_REGISTER, "registration of host memory");
    const auto base = static_cast<flagos_address_t>(reinterpret_cast<std::uintptr_t>(pointer));
    const auto own = [&](const Allocation& allocation) {
      return allocation.host_pointer == pointer && allocation.file == nullptr;
    };
    if (!release_allocation(*object, object->registered_address(base), own))
      throw_error(FLAGOS_STATUS_INVALID_HANDLE,
                  "{:#x} is not the start of a live registration of this opening of device {}", base,
                  object->info().id);
    object->remove_registered(base);
    // The caller may unmap the memory next.
    Pause pause;
    object->releases().drain(FLAGOS_TIMEOUT_INFINITE);
  });
}

flagos_status_t flagos_memory_get_info(flagos_device_t* device, flagos_address_t address,
                                       flagos_memory_info_t* out_info) {
  return entry(
      __func__,
      [&] {
        begin_out(out_info, "out_info");
        Device& object = resolve<Device>(device, "device");
        flagos_memory_info_t info{};
        info.kind = FLAGOS_MEMORY_KIND_UNKNOWN;
        info.device_index = UINT32_MAX;
        const Allocation* found = object.addresses().find(address);
        if (found != nullptr && found->reservation != nullptr) {
          if (const auto mapped = found->reservation->find(address)) {
            info.kind = mapped->kind;
            info.base = mapped->address;
            info.size_bytes = mapped->size_bytes;
            info.device_index = object.info().index;
          }
        } else if (found != nullptr) {
          info.kind = found->kind;
          info.base = found->base;
          info.size_bytes = found->size_bytes;
          info.device_index = object.info().index;
        }
        finish_out(out_info, info);
      },
      Callback::allowed);
}

flagos_status_t flagos_memory_copy(flagos_stream_t* stream, flagos_address_t target, flagos_address_t source,
                                   uint64_t size_bytes) {
  return entry(__func__, [&]() -> flagos_status_t {
    Stream& object = resolve<Stream>(stream, "stream");
    if (size_bytes == 0) return FLAGOS_STATUS_OK;
    check_copy(object.device(), target, source, size_bytes);
    return object.submit([&] { return object.tables().memory.copy(object.native(), target, source, size_bytes); },
                         [&] {
                           return CopyCommand{target, source, size_bytes};
                         },
                         "memory.copy");
  });
}

flagos_status_t flagos_memory_copy_2d(flagos_stream_t* stream, const flagos_copy_2d_desc_t* desc) {
  return entry(__func__, [&]() -> flagos_status_t {
    Stream& object = resolve<Stream>(stream, "stream");
    flagos_copy_2d_desc_t used = check_desc(desc, "flagos_copy_2d_desc_t");
    used.struct_size = sizeof(used);
    used.next = nullptr;
    check_copy_2d(object.device(), used);
    if (used.width_bytes == 0 || used.height == 0) return FLAGOS_STATUS_OK;
    return object.submit_slow(Copy2dCommand{used});
  });
}

flagos_status_t flagos_memory_fill(flagos_stream_t* stream, flagos_address_t target, const void* pattern,
                                   uint32_t pattern_size_bytes, uint64_t size_bytes) {
  return entry(__func__, [&]() -> flagos_status_t {
    Stream& object = resolve<Stream>(stream, "stream");
    if (pattern == nullptr) throw_null("pattern");
    check_fill(object.device(), target, pattern_size_bytes, size_bytes);
    if (size_bytes == 0) return FLAGOS_STATUS_OK;
    const auto make = [&] {
      FillCommand command{target, {}, pattern_size_bytes, size_bytes};
      std::memcpy(command.pattern.data(), pattern, pattern_size_bytes);
      return command;
    };
    if (pattern_size_bytes > 4) return object.submit_slow(make());
    return object.submit(
        [&] { return object.tables().memory.fill(object.native(), target, pattern, pattern_size_bytes, size_bytes); },
        make, "memory.fill");
  });
}

flagos_status_t flagos_memory_update(flagos_stream_t* stream, flagos_address_t target, const void* data,
                                     uint64_t size_bytes) {
  return entry(__func__, [&]() -> flagos_status_t {
    Stream& object = resolve<Stream>(stream, "stream");
    if (size_bytes == 0) return FLAGOS_STATUS_OK;
    if (data == nullptr) throw_null("data");
    if (size_bytes > FLAGOS_MEMORY_UPDATE_MAX)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes; an update takes at most {}, use a copy", size_bytes,
                  FLAGOS_MEMORY_UPDATE_MAX);
    object.device().check_range(target, size_bytes, "the target of the update", FLAGOS_MEMORY_ACCESS_READ_WRITE);
    const auto* bytes = static_cast<const std::byte*>(data);
    const auto make = [&] { return UpdateCommand{target, std::vector<std::byte>(bytes, bytes + size_bytes)}; };
    if (!object.tables().has.update) return object.submit_slow(make());
    return object.submit([&] { return object.tables().memory.update(object.native(), target, data, size_bytes); }, make,
                         "memory.update");
  });
}

flagos_status_t flagos_memory_prefetch(flagos_stream_t* stream, flagos_address_t address, uint64_t size_bytes) {
  return entry(__func__, [&]() -> flagos_status_t {
    Stream& object = resolve<Stream>(stream, "stream");
    Device& device = object.device();
    device.require_feature(FLAGOS_FEATURE_PREFETCH, "prefetch");
    if (size_bytes == 0) return FLAGOS_STATUS_OK;
    device.check_range(address, size_bytes, "the range to prefetch");
    const Allocation* found = device.addresses().find(address);
    if (found == nullptr || found->kind != FLAGOS_MEMORY_KIND_MANAGED)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes at {:#x} are not in managed memory", size_bytes, address);
    return object.submit([&] { return object.tables().memory.prefetch(object.native(), address, size_bytes); },
                         [&] {
                           return PrefetchCommand{address, size_bytes};
                         },
                         "memory.prefetch");
  });
}
