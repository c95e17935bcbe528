#include "core/virtual_memory.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "core/entry.hpp"
#include "core/epoch.hpp"
#include "core/external.hpp"

namespace flagos::core {

// ---- physical memory ---------------------------------------------------------------------------------------------

PhysicalMemory::PhysicalMemory(Device& device, flagos_plugin_physical_memory_t* native,
                               const flagos_physical_memory_desc_t& desc, std::uint64_t granularity)
    : Child(Tag::physical_memory, device), native_(native), desc_(desc), granularity_(granularity) {}

void PhysicalMemory::release() {
  tables().virtual_memory.destroy(native_);
  delete this;
}

// ---- reservations: lookups ---------------------------------------------------------------------------------------

Reservation::Reservation(Device& device, flagos_address_t base, std::uint64_t size_bytes)
    : device_(device), base_(base), size_bytes_(size_bytes), book_(new Book) {}

Reservation::~Reservation() { delete book_.load(std::memory_order_relaxed); }

std::optional<Reservation::Mapped> Reservation::find(flagos_address_t address) const {
  const std::vector<Mapped>& book = book_.load(std::memory_order_acquire)->mapped;
  auto next = std::upper_bound(book.begin(), book.end(), address,
                               [](flagos_address_t at, const Mapped& mapped) { return at < mapped.address; });
  if (next == book.begin() || address - (--next)->address >= next->size_bytes) return std::nullopt;
  return *next;
}

void Reservation::check_range(flagos_address_t address, std::uint64_t size_bytes, flagos_memory_access_t access,
                              const char* what) const {
  for (const flagos_address_t end = address + size_bytes; address < end;) {
    const std::optional<Mapped> mapped = find(address);
    if (!mapped)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: at {:#x} addresses are reserved and nothing is mapped", what,
                  address);
    if ((mapped->access & access) != access)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "{}: device {} may not {} the memory mapped at {:#x}; see flagos_virtual_memory_set_access", what,
                  device_.info().id, access == FLAGOS_MEMORY_ACCESS_READ ? "read" : "write", mapped->address);
    address = mapped->address + mapped->size_bytes;
  }
}

// ---- reservations: changes ---------------------------------------------------------------------------------------

std::unique_ptr<Reservation::Book> Reservation::book() const {
  auto next = std::make_unique<Book>();
  next->mapped.reserve(mappings_.size());
  for (const auto& [address, mapping] : mappings_) {
    if (!mapping.leaving)
      next->mapped.push_back({address, mapping.size_bytes, mapping.memory->desc().kind, mapping.access});
  }
  return next;
}

void Reservation::publish(std::unique_ptr<Book> next) {
  epoch::retire(std::unique_ptr<Book>(book_.exchange(next.release(), std::memory_order_acq_rel)));
}

void Reservation::check_free(flagos_address_t address, std::uint64_t size_bytes) const {
  auto next = mappings_.lower_bound(address);
  const bool over_next = next != mappings_.end() && next->first - address < size_bytes;
  if (!over_next && next != mappings_.begin()) --next;
  const bool overlaps = over_next || (next != mappings_.end() && next->first < address &&
                                      address - next->first < next->second.size_bytes);
  if (!overlaps) return;
  if (next->second.leaving)
    throw_error(FLAGOS_STATUS_BUSY,
                "what was unmapped at {:#x} is still used by work submitted before; wait for that work", next->first);
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes at {:#x} overlap the {} bytes mapped at {:#x}", size_bytes,
              address, next->second.size_bytes, next->first);
}

void Reservation::map(flagos_address_t address, std::uint64_t size_bytes, PhysicalMemory& memory,
                      std::uint64_t offset_bytes) {
  const std::uint64_t offset = address - base_;
  if (offset > size_bytes_ || size_bytes > size_bytes_ - offset)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes at offset {} end past a reservation of {} bytes", size_bytes,
                offset, size_bytes_);
  Mappings::node_type undone;  // dropped without the lock
  const std::lock_guard lock(mutex_);
  if (closed_)
    throw_error(FLAGOS_STATUS_INVALID_HANDLE, "the reservation at {:#x} was released at the same time", base_);
  check_free(address, size_bytes);
  const auto mapping = mappings_.emplace(address, Mapping{size_bytes, Ref<PhysicalMemory>(&memory)}).first;
  try {
    std::unique_ptr<Book> next = book();
    expect(device_.tables().virtual_memory.map(device_.native(), address, size_bytes, memory.native(), offset_bytes),
           "virtual_memory.map");
    publish(std::move(next));
  } catch (...) {
    undone = mappings_.extract(mapping);
    throw;
  }
}

bool Reservation::unmap(flagos_address_t address) {
  std::function<void()> release = [kept = Ref<Device>(&device_), self = shared_from_this(), address] {
    self->finish_unmap(address);
  };
  {
    const std::lock_guard lock(mutex_);
    const auto mapping = mappings_.find(address);
    if (mapping == mappings_.end() || mapping->second.leaving) return false;
    mapping->second.leaving = true;
    try {
      publish(book());
    } catch (...) {
      mapping->second.leaving = false;
      throw;
    }
  }
  device_.releases().add(std::move(release));
  return true;
}

Reservation::Mappings::node_type Reservation::take_out(Mappings::iterator mapping) {
  device_.tables().virtual_memory.unmap(device_.native(), mapping->first, mapping->second.size_bytes);
  return mappings_.extract(mapping);
}

void Reservation::finish_unmap(flagos_address_t address) {
  Mappings::node_type gone;  // dropped without the lock
  const std::lock_guard lock(mutex_);
  const auto mapping = mappings_.find(address);
  if (mapping == mappings_.end()) return;
  gone = take_out(mapping);
  if (ended_ && mappings_.empty()) device_.tables().virtual_memory.release(device_.native(), base_, size_bytes_);
}

void Reservation::set_access(flagos_address_t address, std::uint64_t size_bytes, Device& accessor,
                             flagos_memory_access_t access) {
  const std::lock_guard lock(mutex_);
  const flagos_address_t end = address + size_bytes;
  flagos_address_t covered = address;
  auto mapping = mappings_.find(address);
  for (; covered < end && mapping != mappings_.end() && mapping->first == covered && !mapping->second.leaving;
       ++mapping)
    covered += mapping->second.size_bytes;
  if (covered != end)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "access to {} bytes at {:#x}: that is not whole mappings side by side; those from there have {} bytes",
                size_bytes, address, covered - address);
  std::unique_ptr<Book> next = book();
  expect(device_.tables().virtual_memory.set_access(device_.native(), address, size_bytes, accessor.native(), access),
         "virtual_memory.set_access");
  if (&accessor != &device_) return;
  for (Mapped& mapped : next->mapped) {
    if (mapped.address < address || mapped.address >= end) continue;
    mapped.access = access;
    mappings_.find(mapped.address)->second.access = access;
  }
  publish(std::move(next));
}

void Reservation::close() {
  const std::lock_guard lock(mutex_);
  for (const auto& [address, mapping] : mappings_) {
    if (!mapping.leaving)
      throw_error(FLAGOS_STATUS_BUSY, "{} bytes are mapped at {:#x} in the reservation at {:#x}; unmap them first",
                  mapping.size_bytes, address, base_);
  }
  closed_ = true;
}

void Reservation::end() {
  std::vector<Mappings::node_type> gone;  // dropped without the lock
  const std::lock_guard lock(mutex_);
  closed_ = ended_ = true;
  for (auto mapping = mappings_.begin(); mapping != mappings_.end();) {
    const auto next = std::next(mapping);
    if (!mapping->second.leaving) gone.push_back(take_out(mapping));
    mapping = next;
  }
  if (mappings_.empty()) device_.tables().virtual_memory.release(device_.native(), base_, size_bytes_);
}

// ---- checks of arguments -----------------------------------------------------------------------------------------

bool offers_virtual_memory(const Tables& tables, flagos_plugin_device_t* device) {
  flagos_physical_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  std::uint64_t minimum = 0, recommended = 0;
  return tables.has.virtual_memory &&
         tables.virtual_memory.get_granularity(device, &desc, &minimum, &recommended) == FLAGOS_STATUS_OK;
}

namespace {

struct Granularity {
  std::uint64_t minimum = 0, recommended = 0;
};

Granularity granularity_of(const Device& device, const flagos_physical_memory_desc_t& desc) {
  Granularity found;
  expect(device.tables().virtual_memory.get_granularity(device.native(), &desc, &found.minimum, &found.recommended),
         "virtual_memory.get_granularity");
  if (!std::has_single_bit(found.minimum) || !std::has_single_bit(found.recommended) ||
      found.recommended < found.minimum)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin told granularities of {} and {} bytes", found.minimum,
                found.recommended);
  return found;
}

flagos_physical_memory_desc_t plain_desc(flagos_memory_kind_t kind, std::uint64_t size_bytes, std::uint64_t flags) {
  flagos_physical_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = kind;
  desc.size_bytes = size_bytes;
  desc.flags = flags;
  return desc;
}

// Without what a newer caller may have chained or appended.
flagos_physical_memory_desc_t checked_desc(const Device& device, const flagos_physical_memory_desc_t* desc) {
  const flagos_physical_memory_desc_t& used = check_desc(desc, "flagos_physical_memory_desc_t");
  device.require_feature(FLAGOS_FEATURE_VIRTUAL_MEMORY, "virtual memory");
  if (used.kind != FLAGOS_MEMORY_KIND_DEVICE && used.kind != FLAGOS_MEMORY_KIND_PINNED)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "memory of kind {} cannot be mapped by hand; FLAGOS_MEMORY_KIND_DEVICE and PINNED can", used.kind);
  check_flags(used.flags, FLAGOS_MEMORY_FLAG_EXPORTABLE, "flagos_physical_memory_desc_t.flags");
  if ((used.flags & FLAGOS_MEMORY_FLAG_EXPORTABLE) != 0 && !device.tables().has.export_physical_memory)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "device {} exports no physical memory", device.info().id);
  return plain_desc(used.kind, used.size_bytes, used.flags);
}

void check_multiple(std::uint64_t value, std::uint64_t unit, const char* what) {
  if (value % unit != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is {:#x}, no multiple of the granularity of {} bytes", what, value,
                unit);
}

void check_size(std::uint64_t size_bytes, std::uint64_t unit) {
  if (size_bytes == 0) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "size_bytes is 0");
  check_multiple(size_bytes, unit, "size_bytes");
}

// The live reservation that an address lies in. Kept: the read section may end before its last use.
std::shared_ptr<Reservation> reservation_at(Device& device, flagos_address_t address) {
  const Allocation* found = device.addresses().find(address);
  if (found == nullptr || found->reservation == nullptr)
    throw_error(FLAGOS_STATUS_INVALID_HANDLE, "{:#x} is in no live reservation of this opening of device {}", address,
                device.info().id);
  return found->reservation;
}

// ---- the work ----------------------------------------------------------------------------------------------------

flagos_physical_memory_t* publish_memory(Device& device, flagos_plugin_physical_memory_t* native,
                                         const flagos_physical_memory_desc_t& desc, std::uint64_t granularity) {
  if (native == nullptr) throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no physical memory");
  Ref<PhysicalMemory> memory;
  try {
    memory = Ref<PhysicalMemory>::adopt(new PhysicalMemory(device, native, desc, granularity));
  } catch (...) {
    device.tables().virtual_memory.destroy(native);
    throw;
  }
  return publish<flagos_physical_memory_t>(std::move(memory));
}

flagos_physical_memory_t* create_memory(Device& device, const flagos_physical_memory_desc_t& desc) {
  const std::uint64_t granularity = granularity_of(device, desc).minimum;
  check_size(desc.size_bytes, granularity);
  device.throw_if_lost();
  device.releases().poll();
  flagos_plugin_physical_memory_t* native = nullptr;
  expect(device.tables().virtual_memory.create(device.native(), &desc, &native), "virtual_memory.create");
  return publish_memory(device, native, desc, granularity);
}

void export_memory(PhysicalMemory& memory, flagos_external_t& external) {
  flagos_plugin_external_t made{};
  made.fd = -1;
  expect(memory.tables().virtual_memory.export_memory(memory.native(), &made), "virtual_memory.export_memory");
  FileDescriptor fd(made.fd);
  if (fd.get() < 0)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no descriptor of physical memory");
  ExternalBlob blob{};
  blob.kind = ExternalKind::physical_memory;
  blob.memory_kind = memory.desc().kind;
  blob.size_bytes = memory.desc().size_bytes;
  blob.plugin = name_digest(memory.device().plugin().name().c_str());
  blob.plugin_type = made.type;
  std::memcpy(blob.plugin_data, made.data, sizeof(blob.plugin_data));
  seal_blob(blob, fd.get(), external);
  external.fd = fd.release();
}

flagos_physical_memory_t* import_memory(Device& device, const ExternalBlob& blob, int fd) {
  if (!device.tables().has.export_physical_memory || blob.plugin != name_digest(device.plugin().name().c_str()))
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "the memory is of a driver that device {} does not share", device.info().id);
  const auto desc = plain_desc(blob.memory_kind, blob.size_bytes, FLAGOS_MEMORY_FLAG_EXPORTABLE);
  const std::uint64_t granularity = granularity_of(device, desc).minimum;
  flagos_plugin_external_t external{};
  external.fd = fd;
  external.type = blob.plugin_type;
  external.size_bytes = blob.size_bytes;
  std::memcpy(external.data, blob.plugin_data, sizeof(external.data));
  flagos_plugin_physical_memory_t* native = nullptr;
  expect(device.tables().virtual_memory.import_memory(device.native(), &external, &native),
         "virtual_memory.import_memory");
  return publish_memory(device, native, desc, granularity);
}

flagos_address_t reserve(Device& device, std::uint64_t size_bytes, std::uint64_t alignment_bytes,
                         flagos_address_t wanted) {
  const std::uint64_t granularity = granularity_of(device, plain_desc(FLAGOS_MEMORY_KIND_DEVICE, 0, 0)).minimum;
  check_size(size_bytes, granularity);
  if (alignment_bytes != 0 && !std::has_single_bit(alignment_bytes))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "alignment_bytes is {}, no power of two", alignment_bytes);
  const std::uint64_t alignment = std::max(alignment_bytes, granularity);
  device.throw_if_lost();
  device.releases().poll();
  const auto& table = device.tables().virtual_memory;
  Allocation allocation;
  allocation.size_bytes = size_bytes;
  expect(table.reserve(device.native(), size_bytes, alignment, wanted, &allocation.base), "virtual_memory.reserve");
  bool inserted = false;
  try {
    if (allocation.base != 0 && allocation.base % alignment == 0) {
      allocation.reservation = std::make_shared<Reservation>(device, allocation.base, size_bytes);
      inserted = device.addresses().insert(allocation);
    }
  } catch (...) {
    table.release(device.native(), allocation.base, size_bytes);
    throw;
  }
  if (!inserted)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL,
                "the plugin reserved {} bytes at {:#x}: not aligned to {}, or inside a live allocation", size_bytes,
                allocation.base, alignment);
  device.count_allocation(1);
  return allocation.base;
}

void map(Device& device, flagos_address_t address, std::uint64_t size_bytes, PhysicalMemory& memory,
         std::uint64_t offset_bytes) {
  check_same_device(device, memory.device(), "the physical memory");
  check_size(size_bytes, memory.granularity());
  check_multiple(address, memory.granularity(), "address");
  check_multiple(offset_bytes, memory.granularity(), "offset_bytes");
  const std::uint64_t whole = memory.desc().size_bytes;
  if (offset_bytes > whole || size_bytes > whole - offset_bytes)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} bytes at offset {} end past physical memory of {} bytes",
                size_bytes, offset_bytes, whole);
  device.throw_if_lost();
  const Ref<Device> kept(&device);
  const Ref<PhysicalMemory> kept_memory(&memory);
  {
    // What was mapped there may just be given back by another thread.
    const Pause pause;
    device.releases().settle();
  }
  reservation_at(device, address)->map(address, size_bytes, memory, offset_bytes);
}

void set_access(Device& device, flagos_address_t address, std::uint64_t size_bytes, Device& accessor,
                flagos_memory_access_t access) {
  if (access != FLAGOS_MEMORY_ACCESS_NONE && access != FLAGOS_MEMORY_ACCESS_READ &&
      access != FLAGOS_MEMORY_ACCESS_READ_WRITE)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "access is {}, not a FLAGOS_MEMORY_ACCESS_*", access);
  if (&accessor.plugin() != &device.plugin())
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "device {} of another plugin cannot reach memory of device {}",
                accessor.info().id, device.info().id);
  if (size_bytes == 0 || size_bytes > UINT64_MAX - address)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "access to {} bytes at {:#x}", size_bytes, address);
  device.throw_if_lost();
  reservation_at(device, address)->set_access(address, size_bytes, accessor, access);
}

}  // namespace

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_virtual_memory_get_granularity(flagos_device_t* device,
                                                      const flagos_physical_memory_desc_t* desc,
                                                      uint64_t* out_minimum_bytes, uint64_t* out_recommended_bytes) {
  clear_out(out_minimum_bytes);
  clear_out(out_recommended_bytes);
  return entry(__func__, [&] {
    const Device& object = resolve<Device>(device, "device");
    const flagos_physical_memory_desc_t used = checked_desc(object, desc);
    require(out_minimum_bytes, "out_minimum_bytes");
    const Granularity found = granularity_of(object, used);
    *out_minimum_bytes = found.minimum;
    if (out_recommended_bytes != nullptr) *out_recommended_bytes = found.recommended;
  });
}

flagos_status_t flagos_physical_memory_create(flagos_device_t* device, const flagos_physical_memory_desc_t* desc,
                                              flagos_physical_memory_t** out_memory) {
  clear_out(out_memory);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    const flagos_physical_memory_desc_t used = checked_desc(object, desc);
    require(out_memory, "out_memory");
    *out_memory = create_memory(object, used);
  });
}

flagos_status_t flagos_physical_memory_destroy(flagos_physical_memory_t* memory) {
  if (memory == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] { destroy_child(resolve<PhysicalMemory>(memory, "memory")); });
}

flagos_status_t flagos_physical_memory_export(flagos_physical_memory_t* memory, flagos_external_t* out_external) {
  return entry(__func__, [&] {
    begin_out(out_external, "out_external");
    out_external->fd = -1;
    PhysicalMemory& object = resolve<PhysicalMemory>(memory, "memory");
    if ((object.desc().flags & FLAGOS_MEMORY_FLAG_EXPORTABLE) == 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "the physical memory was created without FLAGOS_MEMORY_FLAG_EXPORTABLE");
    object.device().throw_if_lost();
    export_memory(object, *out_external);
  });
}

flagos_status_t flagos_physical_memory_import(flagos_device_t* device, const flagos_external_t* external,
                                              flagos_physical_memory_t** out_memory, uint64_t* out_size_bytes) {
  clear_out(out_memory);
  clear_out(out_size_bytes);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    const flagos_external_t& used = check_desc(external, "flagos_external_t");
    require(out_memory, "out_memory");
    object.require_feature(FLAGOS_FEATURE_VIRTUAL_MEMORY, "virtual memory");
    object.throw_if_lost();
    const ExternalBlob blob = open_blob(used);
    if (blob.kind != ExternalKind::physical_memory)
      throw_error(FLAGOS_STATUS_INVALID_HANDLE, "the external object is not physical memory");
    *out_memory = import_memory(object, blob, used.fd);
    if (out_size_bytes != nullptr) *out_size_bytes = blob.size_bytes;
  });
}

flagos_status_t flagos_virtual_memory_reserve(flagos_device_t* device, uint64_t size_bytes, uint64_t alignment_bytes,
                                              flagos_address_t wanted, flagos_address_t* out_address) {
  clear_out(out_address);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_address, "out_address");
    object.require_feature(FLAGOS_FEATURE_VIRTUAL_MEMORY, "virtual memory");
    *out_address = reserve(object, size_bytes, alignment_bytes, wanted);
  });
}

flagos_status_t flagos_virtual_memory_release(flagos_device_t* device, flagos_address_t address) {
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    object.require_feature(FLAGOS_FEATURE_VIRTUAL_MEMORY, "virtual memory");
    if (address == 0) return;
    const auto closed = [](const Allocation& allocation) {
      if (allocation.reservation == nullptr) return false;
      allocation.reservation->close();
      return true;
    };
    if (!release_allocation(object, address, closed))
      throw_error(FLAGOS_STATUS_INVALID_HANDLE,
                  "{:#x} is not the start of a live reservation of this opening of device {}", address,
                  object.info().id);
  });
}

flagos_status_t flagos_virtual_memory_map(flagos_device_t* device, flagos_address_t address, uint64_t size_bytes,
                                          flagos_physical_memory_t* memory, uint64_t offset_bytes) {
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    object.require_feature(FLAGOS_FEATURE_VIRTUAL_MEMORY, "virtual memory");
    PhysicalMemory& mapped = resolve<PhysicalMemory>(memory, "memory");
    map(object, address, size_bytes, mapped, offset_bytes);
  });
}

flagos_status_t flagos_virtual_memory_unmap(flagos_device_t* device, flagos_address_t address) {
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    object.require_feature(FLAGOS_FEATURE_VIRTUAL_MEMORY, "virtual memory");
    if (!reservation_at(object, address)->unmap(address))
      throw_error(FLAGOS_STATUS_INVALID_HANDLE, "{:#x} is not the start of a live mapping of this opening of device {}",
                  address, object.info().id);
  });
}

flagos_status_t flagos_virtual_memory_set_access(flagos_device_t* device, flagos_address_t address, uint64_t size_bytes,
                                                 flagos_device_t* accessor, flagos_memory_access_t access) {
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    Device& user = resolve<Device>(accessor, "accessor");
    object.require_feature(FLAGOS_FEATURE_VIRTUAL_MEMORY, "virtual memory");
    set_access(object, address, size_bytes, user, access);
  });
}
