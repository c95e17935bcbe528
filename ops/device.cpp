#include "ops/device.hpp"

#include <algorithm>

#include "ops/native.hpp"

namespace flagos::ops {
namespace {

const char attachment_key = 0;

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

Key& Key::add(std::uint64_t value, int bits) {
  if (used_ + bits > 128 || (bits < 64 && (value >> bits) != 0))
    throw_error(FLAGOS_STATUS_INTERNAL,
                "{} does not fit into {} bits of a kernel's key with {} bits", value, bits, used_);
  if (used_ >= 64) {
    high_ |= value << (used_ - 64);
  } else {
    low_ |= value << used_;
    if (used_ != 0 && used_ + bits > 64) high_ |= value >> (64 - used_);
  }
  used_ += bits;
  return *this;
}

std::shared_ptr<Device> Device::of(flagos_stream_t* stream) {
  struct Last {
    flagos_stream_t* stream = nullptr;
    std::shared_ptr<Device> device;
  };
  thread_local Last last;
  if (last.stream == stream && stream != nullptr &&
      !last.device->closed_.load(std::memory_order_acquire))
    return last.device;
  flagos_device_t* handle = nullptr;
  expect(flagos_stream_get_device(stream, &handle));
  // The attachment is a shared pointer: threads that remember the device keep the object, not what it holds.
  void* kept = nullptr;
  expect(flagos_device_get_attachment(handle, &attachment_key, &kept));
  if (kept == nullptr) {
    auto made = std::make_unique<std::shared_ptr<Device>>(std::make_shared<Device>(handle));
    expect(flagos_device_attach(handle, &attachment_key, made.get(), &Device::release, &kept));
    if (kept == made.get()) static_cast<void>(made.release());
  }
  last = {stream, *static_cast<std::shared_ptr<Device>*>(kept)};
  return last.device;
}

Device::Device(flagos_device_t* handle)
    : handle_(handle), number_(next_number()), native_(native_indices(handle)) {
  info_.struct_size = sizeof(info_);
  expect(flagos_device_get_info(handle, &info_));
  flagos_schedule_class_t schedule = FLAGOS_SCHEDULE_CLASS_SIMT;
  if (!find_tile_format(handle, schedule))
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "device {} takes no portable kernels (format flagos.tile), which operators need",
                info_.id);
  serial_ = schedule == FLAGOS_SCHEDULE_CLASS_SERIAL;
  programs_ = std::min(info_.max_grid[0], info_.compute_units * (serial_ ? 4 : 32));
}

Device::~Device() { give_back(); }

void Device::release(flagos_device_t*, void* attachment) {
  const std::unique_ptr<std::shared_ptr<Device>> device(
      static_cast<std::shared_ptr<Device>*>(attachment));
  (*device)->give_back();
}

void Device::give_back() {
  if (closed_.exchange(true, std::memory_order_acq_rel)) return;
  std::lock_guard lock(mutex_);
  for (flagos_module_t* module : modules_) flagos_module_unload(module);
  for (const flagos_address_t address : captured_) flagos_memory_free(handle_, address);
  flagos_memory_pool_destroy(pool_.load());
}

flagos_kernel_t* Device::load(const Key& key, const std::function<std::string()>& build) {
  Node* node = nullptr;
  {
    std::lock_guard lock(mutex_);
    std::atomic<Node*>& slot = slots_[key.hash() % slot_count];
    for (node = slot.load(std::memory_order_relaxed); node && !(node->key == key);)
      node = node->next;
    if (node == nullptr) {
      nodes_.push_back(std::make_unique<Node>());
      node = nodes_.back().get();
      node->key = key;
      node->next = slot.load(std::memory_order_relaxed);
      slot.store(node, std::memory_order_release);
    }
  }
  // Others that want the same kernel wait; after a failure the next one tries again.
  std::call_once(node->once,
                 [&] { node->kernel.store(load_text(build()), std::memory_order_release); });
  return node->kernel.load(std::memory_order_acquire);
}

flagos_kernel_t* Device::load_text(const std::string& text) {
  flagos_module_t* const module = load_tile_module(handle_, text);
  {
    std::lock_guard lock(mutex_);
    modules_.push_back(module);
  }
  return first_kernel(module);
}

flagos_address_t Device::alloc(flagos_stream_t* stream, std::uint64_t size_bytes,
                               bool& out_captured) {
  flagos_capture_status_t status = FLAGOS_CAPTURE_STATUS_NONE;
  expect(flagos_stream_get_capture_status(stream, &status, nullptr));
  out_captured = status != FLAGOS_CAPTURE_STATUS_NONE;
  flagos_address_t address = 0;
  if (out_captured) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = size_bytes;
    expect(flagos_memory_alloc(handle_, &desc, &address));
    std::lock_guard lock(mutex_);
    captured_.push_back(address);
    return address;
  }
  flagos_memory_pool_t* pool = pool_.load(std::memory_order_acquire);
  if (pool == nullptr) {
    std::lock_guard lock(mutex_);
    pool = pool_.load(std::memory_order_relaxed);
    if (pool == nullptr) {
      flagos_memory_pool_desc_t desc{};
      desc.struct_size = sizeof(desc);
      desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
      expect(flagos_memory_pool_create(handle_, &desc, &pool));
      pool_.store(pool, std::memory_order_release);
    }
  }
  expect(flagos_memory_pool_alloc(pool, stream, size_bytes, &address));
  return address;
}

void Device::free(flagos_stream_t* stream, flagos_address_t address, bool captured) noexcept {
  if (!captured) flagos_memory_pool_free(pool_.load(std::memory_order_acquire), stream, address);
}

}  // namespace flagos::ops
