// Profilers: the ring, and the exported functions.
#include "core/profiler.hpp"

#include <algorithm>

#include "core/entry.hpp"

namespace flagos::core {

Profiler::Profiler(Device& device, std::uint64_t capacity) : Child(Tag::profiler, device), ring_(capacity) {}

void Profiler::enable(bool enabled) {
  expect(tables().profiling.enable(device().native(), enabled ? 1 : 0), "profiling.enable");
}

void Profiler::on_destroy() {
  std::lock_guard lock(device().profiler_mutex);
  if (device().profiler.load(std::memory_order_relaxed) != this) return;
  tables().profiling.enable(device().native(), 0);
  device().profiler.store(nullptr, std::memory_order_release);
}

void Profiler::push(const flagos_record_t& record) {
  std::lock_guard lock(mutex_);
  if (count_ == ring_.size()) {
    ++dropped_;
    return;
  }
  ring_[(first_ + count_) % ring_.size()] = record;
  ++count_;
}

std::uint64_t Profiler::drain(flagos_record_t* records, std::uint64_t capacity, std::uint64_t& dropped) {
  constexpr std::uint64_t batch = 64;  // so that the plugin's threads never wait long for the lock
  std::uint64_t moved = 0;
  while (moved < capacity) {
    std::lock_guard lock(mutex_);
    const std::uint64_t size = std::min({batch, count_, capacity - moved});
    if (size == 0) break;
    for (std::uint64_t i = 0; i < size; ++i) records[moved + i] = ring_[(first_ + i) % ring_.size()];
    first_ = (first_ + size) % ring_.size();
    count_ -= size;
    moved += size;
  }
  std::lock_guard lock(mutex_);
  dropped = std::exchange(dropped_, 0);
  return moved;
}

void profiler_emit(Device& device, const flagos_record_t& record) noexcept {
  ReadSection section(this_thread());
  if (Profiler* profiler = device.profiler.load(std::memory_order_acquire)) profiler->push(record);
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_profiler_create(flagos_device_t* device, const flagos_profiler_desc_t* desc,
                                       flagos_profiler_t** out_profiler) {
  clear_out(out_profiler);
  return entry(__func__, [&] {
    constexpr std::uint64_t default_capacity = 65536;
    constexpr std::uint64_t most = std::uint64_t{1} << 24;
    Device& object = resolve<Device>(device, "device");
    require(out_profiler, "out_profiler");
    flagos_profiler_desc_t used{};
    if (desc != nullptr) used = check_desc(desc, "flagos_profiler_desc_t");
    check_flags(used.flags, 0, "flagos_profiler_desc_t.flags");
    if (used.capacity > most)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a capacity of {} records is above {}", used.capacity, most);
    object.require_feature(FLAGOS_FEATURE_PROFILING, "profiling");
    object.throw_if_lost();
    std::lock_guard lock(object.profiler_mutex);
    if (object.profiler.load(std::memory_order_relaxed) != nullptr)
      throw_error(FLAGOS_STATUS_BUSY, "device {} has a profiler already", object.info().id);
    auto profiler = Ref<Profiler>::adopt(new Profiler(object, used.capacity != 0 ? used.capacity : default_capacity));
    Profiler& published = *profiler;
    profiler->enable(true);
    *out_profiler = publish<flagos_profiler_t>(std::move(profiler));
    object.profiler.store(&published, std::memory_order_release);
  });
}

flagos_status_t flagos_profiler_destroy(flagos_profiler_t* profiler) {
  if (profiler == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] { destroy_child(resolve<Profiler>(profiler, "profiler")); });
}

flagos_status_t flagos_profiler_enable(flagos_profiler_t* profiler, uint32_t enabled) {
  return entry(__func__, [&] {
    Profiler& object = resolve<Profiler>(profiler, "profiler");
    if (enabled > 1) throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "enabled is {}, not 0 or 1", enabled);
    object.device().throw_if_lost();
    object.enable(enabled == 1);
  });
}

flagos_status_t flagos_profiler_drain(flagos_profiler_t* profiler, uint64_t capacity, flagos_record_t* out_records,
                                      uint64_t* out_count, uint64_t* out_dropped) {
  clear_out(out_count);
  clear_out(out_dropped);
  return entry(__func__, [&] {
    Profiler& object = resolve<Profiler>(profiler, "profiler");
    require(out_count, "out_count");
    if (capacity != 0) require(out_records, "out_records");
    std::uint64_t dropped = 0;
    *out_count = object.drain(out_records, capacity, dropped);
    if (out_dropped != nullptr) *out_dropped = dropped;
  });
}

flagos_status_t flagos_profiler_get_clock(flagos_device_t* device, uint64_t* out_device_ns, uint64_t* out_host_ns) {
  clear_out(out_device_ns);
  clear_out(out_host_ns);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_device_ns, "out_device_ns");
    require(out_host_ns, "out_host_ns");
    object.require_feature(FLAGOS_FEATURE_PROFILING, "profiling");
    object.throw_if_lost();
    std::uint64_t device_ns = 0;
    std::uint64_t host_ns = 0;
    expect(object.tables().profiling.get_clock(object.native(), &device_ns, &host_ns), "profiling.get_clock");
    *out_device_ns = device_ns;
    *out_host_ns = host_ns;
  });
}
