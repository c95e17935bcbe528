// Export and import of memory.
#include "core/external_memory.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "core/device.hpp"
#include "core/entry.hpp"
#include "core/external.hpp"

namespace flagos::core {

namespace {

// Host memory that such a device uses as its own: there registered memory is device memory.
bool uses_host_memory_as_its_own(const Device& device) {
  constexpr std::uint64_t needed =
      FLAGOS_DEVICE_CAPABILITY_HOST_ADDRESSES | FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS;
  return (device.info().capabilities & needed) == needed;
}

// Gives the file to the plugin and enters it as an allocation, which owns it from then on.
flagos_address_t register_file(Device& device, std::unique_ptr<HostFile> file, Allocation allocation) {
  const Tables& tables = device.tables();
  expect(tables.memory.host_register(device.native(), file->data(), file->size_bytes(), 0, &allocation.base),
         "memory.host_register");
  allocation.host_pointer = file->data();
  allocation.file = file.get();
  bool inserted = false;
  try {
    inserted = device.addresses().insert(allocation);
  } catch (...) {
    tables.memory.host_unregister(device.native(), file->data());
    throw;
  }
  if (!inserted) {
    tables.memory.host_unregister(device.native(), file->data());
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin registered {} bytes at {:#x}, inside a live allocation",
                allocation.size_bytes, allocation.base);
  }
  file.release();
  device.count_allocation(1);
  return allocation.base;
}

flagos_address_t import_host_file(Device& device, const ExternalBlob& blob, int fd) {
  device.require_feature(FLAGOS_FEATURE_HOST_REGISTER, "way to use host memory of another process");
  auto file = std::make_unique<HostFile>(fd, blob.size_bytes, blob.nonce, device.info().allocation_alignment);
  Allocation allocation;
  allocation.size_bytes = blob.size_bytes;
  allocation.kind = uses_host_memory_as_its_own(device) ? blob.memory_kind : FLAGOS_MEMORY_KIND_PINNED;
  allocation.exportable = true;
  allocation.imported = true;
  return register_file(device, std::move(file), allocation);
}

flagos_address_t import_by_plugin(Device& device, const ExternalBlob& blob, int fd) {
  if (!device.tables().has.export_memory || blob.plugin != name_digest(device.plugin().name().c_str()))
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "the memory is of a driver that device {} does not share", device.info().id);
  flagos_plugin_external_t external{};
  external.fd = fd;
  external.type = blob.plugin_type;
  external.size_bytes = blob.size_bytes;
  std::memcpy(external.data, blob.plugin_data, sizeof(external.data));
  Allocation allocation;
  expect(device.tables().interop.import_memory(device.native(), &external, &allocation.base), "interop.import_memory");
  allocation.size_bytes = blob.size_bytes;
  allocation.kind = blob.memory_kind;
  allocation.exportable = true;
  allocation.imported = true;
  add_allocation(device, allocation);
  return allocation.base;
}

void export_by_plugin(Device& device, const Allocation& allocation, ExternalBlob& blob, flagos_external_t& external) {
  flagos_plugin_external_t made{};
  made.fd = -1;
  expect(device.tables().interop.export_memory(device.native(), allocation.base, &made), "interop.export_memory");
  FileDescriptor fd(made.fd);
  if (fd.get() < 0)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no descriptor from interop.export_memory");
  blob.kind = ExternalKind::plugin_memory;
  blob.plugin = name_digest(device.plugin().name().c_str());
  blob.plugin_type = made.type;
  std::memcpy(blob.plugin_data, made.data, sizeof(blob.plugin_data));
  seal_blob(blob, fd.get(), external);
  external.fd = fd.release();
}

}  // namespace

flagos_address_t allocate_host_file(Device& device, const flagos_memory_desc_t& desc, std::uint64_t asked_bytes) {
  device.require_feature(FLAGOS_FEATURE_EXPORT_MEMORY, "memory that can be exported");
  if (desc.kind != FLAGOS_MEMORY_KIND_PINNED && !uses_host_memory_as_its_own(device))
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "device {} exports pinned memory only", device.info().id);
  Allocation allocation;
  allocation.size_bytes = asked_bytes;
  allocation.kind = desc.kind;
  allocation.exportable = true;
  return register_file(device, std::make_unique<HostFile>(desc.size_bytes, desc.alignment_bytes), allocation);
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_memory_export(flagos_device_t* device, flagos_address_t address,
                                     flagos_external_t* out_external) {
  return entry(__func__, [&] {
    begin_out(out_external, "out_external");
    out_external->fd = -1;
    Device& object = resolve<Device>(device, "device");
    object.require_feature(FLAGOS_FEATURE_EXPORT_MEMORY, "memory that can be exported");
    const Allocation* found = object.addresses().find(address);
    if (found == nullptr || found->base != address || found->pool)
      throw_error(FLAGOS_STATUS_INVALID_HANDLE,
                  "{:#x} is not the start of a live allocation of this opening of device {}", address,
                  object.info().id);
    if (!found->exportable)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "the allocation at {:#x} was made without FLAGOS_MEMORY_FLAG_EXPORTABLE", address);
    if (found->size_bytes == 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "an allocation of 0 bytes has nothing to export");
    object.throw_if_lost();
    ExternalBlob blob{};
    blob.memory_kind = found->kind;
    blob.size_bytes = found->size_bytes;
    if (found->file == nullptr) return export_by_plugin(object, *found, blob, *out_external);
    FileDescriptor fd = duplicate(found->file->fd().get());
    blob.kind = ExternalKind::host_memory;
    blob.nonce = found->file->nonce();
    seal_blob(blob, fd.get(), *out_external);
    out_external->fd = fd.release();
  });
}

flagos_status_t flagos_memory_import(flagos_device_t* device, const flagos_external_t* external,
                                     flagos_address_t* out_address, uint64_t* out_size_bytes) {
  clear_out(out_address);
  clear_out(out_size_bytes);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    const flagos_external_t& used = check_desc(external, "flagos_external_t");
    require(out_address, "out_address");
    object.require_feature(FLAGOS_FEATURE_EXPORT_MEMORY, "way to import memory");
    object.throw_if_lost();
    const ExternalBlob blob = open_blob(used);
    flagos_address_t address = 0;
    switch (blob.kind) {
      case ExternalKind::host_memory:
        address = import_host_file(object, blob, used.fd);
        break;
      case ExternalKind::plugin_memory:
        address = import_by_plugin(object, blob, used.fd);
        break;
      default:
        throw_error(FLAGOS_STATUS_INVALID_HANDLE, "the external object is {}, not memory with addresses",
                    blob.kind == ExternalKind::event ? "an event" : "physical memory");
    }
    *out_address = address;
    if (out_size_bytes != nullptr) *out_size_bytes = blob.size_bytes;
  });
}
