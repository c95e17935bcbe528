// Open devices: features, loss, streams, ranges, and the end of their children.
#include "core/device.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory_resource>

#include "core/communicator.hpp"
#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/log.hpp"
#include "core/marker.hpp"
#include "core/module.hpp"
#include "core/operators.hpp"
#include "core/peer_copy.hpp"
#include "core/runtime.hpp"
#include "core/soft_queue.hpp"
#include "core/stream.hpp"
#include "core/tile_program.hpp"
#include "core/timeline.hpp"
#include "core/virtual_memory.hpp"

namespace flagos::core {

Device::Device(Runtime& runtime, Plugin& plugin, std::uint32_t ordinal, const flagos_device_info_t& info,
               const flagos_native_t* native, std::uint64_t flags)
    : Object(Tag::device),
      runtime_(runtime),
      plugin_(plugin),
      tables_(plugin.tables()),
      info_(info),
      releases_(*this),
      tiles_(std::make_unique<TileTable>(*this)) {
  if (native == nullptr) {
    expect(tables_.device.open(plugin.instance(), ordinal, &native_), "device.open");
  } else {
    expect(tables_.interop.wrap_native_device(plugin.instance(), ordinal, native, flags, &native_),
           "interop.wrap_native_device");
  }
  if (native_ == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object for an open device");
  try {
    fill_support();
    operators_ = read_operators(tables_, native_);
    plugin_.attach(native_, this);
    runtime_.attach(this);
  } catch (...) {
    plugin_.detach(native_);
    tables_.device.close(native_);
    throw;
  }
}

Device::~Device() {
  plugin_.detach(native_);
  releases_.flush();
  idle_ports_.clear();
  tiles_.reset();
  while (const std::optional<Allocation> left = addresses_.first()) {
    addresses_.erase(left->base, [](const Allocation&) { return true; });
  }
  tables_.device.close(native_);
  runtime_.detach(this);
}

void Device::fill_support() {
  const auto& has = tables_.has;
  const auto set = [&](flagos_feature_t feature, bool native, bool emulated) {
    support_[static_cast<std::size_t>(feature)] = native     ? FLAGOS_SUPPORT_NATIVE
                                                  : emulated ? FLAGOS_SUPPORT_EMULATED
                                                             : FLAGOS_SUPPORT_ABSENT;
  };
  set(FLAGOS_FEATURE_COPY_2D, has.copy_2d, true);
  set(FLAGOS_FEATURE_WIDE_FILL, fills_wide(), true);
  set(FLAGOS_FEATURE_MEMORY_UPDATE, has.update, true);
  set(FLAGOS_FEATURE_PINNED_MEMORY, allocates(FLAGOS_MEMORY_KIND_PINNED), false);
  set(FLAGOS_FEATURE_MANAGED_MEMORY, allocates(FLAGOS_MEMORY_KIND_MANAGED), false);
  set(FLAGOS_FEATURE_HOST_REGISTER, has.host_register, false);
  set(FLAGOS_FEATURE_PREFETCH, has.prefetch, false);
  set(FLAGOS_FEATURE_MEMORY_POOL, has.memory_pool, true);
  set(FLAGOS_FEATURE_HOST_CALLBACK, has.launch_host, true);
  set(FLAGOS_FEATURE_STREAM_VALUE, has.write_value && has.wait_value, false);
  set(FLAGOS_FEATURE_TIMELINE, has.timeline, true);
  set(FLAGOS_FEATURE_GRAPH, has.graph, true);
  set(FLAGOS_FEATURE_CAPTURE, false, true);  // core's own, on every plugin
  set(FLAGOS_FEATURE_COMPILE, has.compile, false);
  set(FLAGOS_FEATURE_PREPARED_LAUNCH, has.prepare, true);
  set(FLAGOS_FEATURE_PROFILING, has.profiling, false);
  set(FLAGOS_FEATURE_RECOVER, has.recover, false);
  set(FLAGOS_FEATURE_MODULE_GLOBAL, has.global, false);
  set(FLAGOS_FEATURE_PEER_COPY, has.copy_peer, true);
  set(FLAGOS_FEATURE_EXPORT_MEMORY, has.export_memory, has.host_register);
  set(FLAGOS_FEATURE_EXPORT_EVENT, false, true);
  set(FLAGOS_FEATURE_NATIVE_OBJECTS, has.native_objects, false);
  set(FLAGOS_FEATURE_OPERATORS, has.operators, false);
  set(FLAGOS_FEATURE_VIRTUAL_MEMORY, offers_virtual_memory(tables_, native_), false);
  set(FLAGOS_FEATURE_COLLECTIVE, has.collective, false);
}

// Kinds of memory and widths of fills are told by what the plugin does, not by a bit: so they are tried once.
bool Device::allocates(flagos_memory_kind_t kind) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = kind;
  desc.size_bytes = info_.allocation_alignment;
  desc.alignment_bytes = info_.allocation_alignment;
  flagos_address_t address = 0;
  const flagos_status_t status = tables_.memory.alloc(native_, &desc, &address);
  if (status == FLAGOS_STATUS_OK && address != 0) tables_.memory.free(native_, address);
  return status != FLAGOS_STATUS_UNSUPPORTED;
}

bool Device::fills_wide() {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = info_.allocation_alignment;
  desc.alignment_bytes = info_.allocation_alignment;
  flagos_stream_desc_t stream_desc{};
  stream_desc.struct_size = sizeof(stream_desc);
  flagos_address_t address = 0;
  flagos_plugin_stream_t* stream = nullptr;
  bool wide = false;
  if (tables_.memory.alloc(native_, &desc, &address) != FLAGOS_STATUS_OK || address == 0) return wide;
  if (tables_.stream.create(native_, &stream_desc, &stream) == FLAGOS_STATUS_OK && stream != nullptr) {
    const std::uint64_t pattern[2] = {1, 2};
    wide = tables_.memory.fill(stream, address, pattern, 8, 256) == FLAGOS_STATUS_OK &&
           tables_.memory.fill(stream, address, pattern, 16, 256) == FLAGOS_STATUS_OK;
    tables_.stream.synchronize(stream, FLAGOS_TIMEOUT_INFINITE);
    tables_.stream.destroy(stream);
  }
  tables_.memory.free(native_, address);
  return wide;
}

void Device::require_feature(flagos_feature_t feature, const char* name) const {
  if (support(feature) == FLAGOS_SUPPORT_ABSENT)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "device {} has no {}", info_.id, name);
}

void Device::throw_if_lost() const {
  if (const flagos_status_t status = lost(); status != FLAGOS_STATUS_OK)
    throw_error(status, "device {} is lost; close and open it, or use flagos_device_recover", info_.id);
}

void Device::set_lost(flagos_status_t status, const std::string& text) {
  flagos_status_t expected = FLAGOS_STATUS_OK;
  if (!lost_.compare_exchange_strong(expected, status, std::memory_order_acq_rel)) return;  // the first one counts
  log(FLAGOS_LOG_LEVEL_ERROR, "device {} is lost: {}", info_.id, text);
  for_each_stream([](Stream& stream) { stream.set_mode(Stream::lost); });
  fail_timelines(*this, status);
  soft_wake();
}

std::string Device::describe_children() const {
  std::string text;
  const auto append = [&](std::int64_t count, const char* what) {
    if (count <= 0) return;
    text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", count, what, count == 1 ? "" : "s");
  };
  for (std::uint32_t i = 0; i < tag_count; ++i) {
    const Tag tag = static_cast<Tag>(i);
    // Kernels go with their module, graphs hold nothing of the device.
    if (tag != Tag::kernel && tag != Tag::graph) append(live_[i].load(std::memory_order_relaxed), tag_name(tag));
  }
  append(static_cast<std::int64_t>(own_allocations_.load(std::memory_order_relaxed)), "allocation");
  return text;
}

void Device::attach(Stream* stream) {
  std::lock_guard lock(streams_mutex_);
  streams_.push_back(stream);
}

void Device::detach(Stream* stream) {
  std::lock_guard lock(streams_mutex_);
  std::erase(streams_, stream);
}

void Device::for_each_stream(const std::function<void(Stream&)>& function) {
  // A hundred streams are waited for, and what they use is released, also where no memory is left.
  std::array<std::byte, 1024> room;
  std::pmr::monotonic_buffer_resource memory(room.data(), room.size());
  std::pmr::vector<Ref<Stream>> streams(&memory);
  {
    std::lock_guard lock(streams_mutex_);
    streams.reserve(streams_.size());
    for (Stream* stream : streams_) {
      if (stream->try_retain()) streams.push_back(Ref<Stream>::adopt(stream));
    }
  }
  for (const Ref<Stream>& stream : streams) function(*stream);
}

void Device::hold(std::shared_ptr<Marker> marker) {
  std::lock_guard lock(streams_mutex_);
  std::erase_if(holds_, [](const std::shared_ptr<Marker>& held) { return held->done(); });
  holds_.push_back(std::move(marker));
}

std::vector<std::shared_ptr<Marker>> Device::holds() {
  std::lock_guard lock(streams_mutex_);
  std::erase_if(holds_, [](const std::shared_ptr<Marker>& held) { return held->done(); });
  return holds_;
}

std::unique_ptr<TransferPort> Device::take_port() {
  std::lock_guard lock(streams_mutex_);
  if (idle_ports_.empty()) return nullptr;
  std::unique_ptr<TransferPort> port = std::move(idle_ports_.back());
  idle_ports_.pop_back();
  return port;
}

void Device::give_port(std::unique_ptr<TransferPort> port) {
  std::lock_guard lock(streams_mutex_);
  idle_ports_.push_back(std::move(port));
}

bool Device::add_registered(flagos_address_t pointer, flagos_address_t address) {
  std::lock_guard lock(streams_mutex_);
  return registered_.try_emplace(pointer, address).second;
}

void Device::remove_registered(flagos_address_t pointer) {
  std::lock_guard lock(streams_mutex_);
  registered_.erase(pointer);
}

flagos_address_t Device::registered_address(flagos_address_t pointer) {
  std::lock_guard lock(streams_mutex_);
  const auto found = registered_.find(pointer);
  return found == registered_.end() ? 0 : found->second;
}

void Device::check_range(flagos_address_t address, std::uint64_t size, const char* what,
                         flagos_memory_access_t access) {
  if (address == 0) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} is address 0", what);
  if (size > UINT64_MAX - address)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: {} bytes at {:#x} wrap around", what, size, address);
  const Allocation* found = addresses_.find(address);
  if (found == nullptr) return;  // ordinary host memory
  const std::uint64_t offset = address - found->base;
  if (size > found->size_bytes - offset)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: {} bytes at offset {} end past an allocation of {} bytes", what,
                size, offset, found->size_bytes);
  if (found->reservation != nullptr) [[unlikely]]
    found->reservation->check_range(address, size, access, what);
}

flagos_status_t Device::synchronize(std::uint64_t timeout_ns) {
  const Deadline deadline(timeout_ns);
  flagos_status_t result = FLAGOS_STATUS_OK;
  for_each_stream([&](Stream& stream) {
    if (result == FLAGOS_STATUS_TIMEOUT) return;
    const flagos_status_t status = stream.synchronize(deadline.remaining_ns());
    if (result == FLAGOS_STATUS_OK || status == FLAGOS_STATUS_TIMEOUT) result = status;
  });
  // Work of the direct path, which core does not see.
  while (result == FLAGOS_STATUS_OK && tables_.has.synchronize) {
    const flagos_status_t status = tables_.device.synchronize(native_, deadline.slice_ns());
    if (status == FLAGOS_STATUS_OK) break;
    if (lost() != FLAGOS_STATUS_OK) return lost();
    if (status != FLAGOS_STATUS_TIMEOUT) return checked(status, "device.synchronize");
    if (deadline.expired()) return FLAGOS_STATUS_TIMEOUT;
  }
  return result;
}

void Device::destroy_children(std::uint64_t timeout_ns) {
  const std::string left = describe_children();
  if (!left.empty())
    log(FLAGOS_LOG_LEVEL_WARNING, "device {} still had {} when its runtime was destroyed", info_.id, left);
  // Work that waits for a signal that nobody will send any more, or for other ranks, is cancelled after a while.
  const Deadline deadline(timeout_ns);
  if (synchronize(std::min<std::uint64_t>(timeout_ns, 2'000'000'000)) == FLAGOS_STATUS_TIMEOUT) {
    fail_timelines(*this, FLAGOS_STATUS_CANCELLED);
    abort_communicators(*this);
    if (synchronize(deadline.remaining_ns()) == FLAGOS_STATUS_TIMEOUT)
      log(FLAGOS_LOG_LEVEL_ERROR, "device {} is still busy and is left behind", info_.id);
  }
  const auto children = handles.collect([&](const Object& object) {
    return object.tag() != Tag::runtime && object.tag() != Tag::device &&
           &static_cast<const Child&>(object).device() == this;
  });
  for (const Ref<Object>& child : children) {
    if (remove_handle(child.get())) static_cast<Child&>(*child).on_destroy();
  }
  while (const std::optional<Allocation> allocation = addresses_.first()) {
    release_allocation(*this, allocation->base, [](const Allocation&) { return true; });
  }
}

void Child::retired() {
  device().releases().add([this] { drop(); });
}

void check_same_device(const Device& expected, const Device& found, const char* what) {
  if (&expected == &found) return;
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} belongs to {} {}, not to {}", what,
              expected.info().index == found.info().index ? "another opening of" : "device", found.info().id,
              expected.info().id);
}

void throw_handle_gone(Tag tag) {
  throw_error(FLAGOS_STATUS_INVALID_HANDLE, "another thread destroyed this {} at the same time", tag_name(tag));
}

}  // namespace flagos::core
