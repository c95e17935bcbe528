// Streams: submission past the fast path, waits, poison, reset.
#include "core/stream.hpp"

#include "core/capture.hpp"
#include "core/entry.hpp"
#include "core/marker.hpp"
#include "core/memory_pool.hpp"
#include "core/soft_queue.hpp"
#include "core/validation.hpp"

namespace flagos::core {

Stream::Stream(Device& device, const flagos_stream_desc_t& desc) : Child(Tag::stream, device), desc_(desc) {
  flagos_plugin_stream_t* native = nullptr;
  expect(tables().stream.create(device.native(), &desc_, &native), "stream.create");
  start(native, "stream.create");
}

Stream::Stream(Device& device, const flagos_native_t& native_queue, std::uint64_t flags)
    : Child(Tag::stream, device), desc_{sizeof(flagos_stream_desc_t), 0, nullptr, 0}, wrapped_(true) {
  flagos_plugin_stream_t* native = nullptr;
  expect(tables().interop.wrap_native_stream(device.native(), &native_queue, flags, &native),
         "interop.wrap_native_stream");
  start(native, "interop.wrap_native_stream");
}

void Stream::start(flagos_plugin_stream_t* native, const char* slot) {
  owner_ = own(native, slot);
  native_.store(native, std::memory_order_release);
  device().attach(this);
  // A loss in between set the mode of the streams it saw; it did not see this one.
  if (device().lost() != FLAGOS_STATUS_OK) set_mode(lost);
}

Stream::~Stream() = default;

void Stream::release() {
  device().detach(this);
  marker_.reset();
  soft_queue.reset();
  owner_.reset();
  delete this;
}

std::shared_ptr<flagos_plugin_stream_t> Stream::own(flagos_plugin_stream_t* native, const char* slot) {
  if (native == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from {}", slot);
  validate_made(&device(), NativeKind::stream, native, slot);
  return {native, [of = &device(), destroy = tables().stream.destroy](flagos_plugin_stream_t* stream) {
            validate_gone(of, NativeKind::stream, stream);
            destroy(stream);
          }};
}

std::shared_ptr<flagos_plugin_stream_t> Stream::keep_native() {
  // With a reset of the plugin's own it stays the same one, and needs no count.
  if (tables().has.reset) return {std::shared_ptr<void>(), native()};
  std::lock_guard lock(owner_mutex_);
  return owner_;
}

// A new stream in the place of one that failed. The old one goes when nobody can be calling it any more: submissions
// end with their read sections, and whoever waits keeps it.
void Stream::replace_native() {
  struct Old : epoch::Retired {
    Ref<Stream> stream;
    std::shared_ptr<flagos_plugin_stream_t> native;
  };
  auto old = std::make_unique<Old>();
  old->stream = Ref<Stream>(this);
  old->native = keep_native();
  if (tables().stream.synchronize(old->native.get(), FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK) return;
  if (wrapped_)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "the plugin cannot reset a stream on the caller's own queue; wrap another");
  flagos_plugin_stream_t* created = nullptr;
  expect(tables().stream.create(device().native(), &desc_, &created), "stream.create");
  std::shared_ptr<flagos_plugin_stream_t> fresh = own(created, "stream.create");
  {
    std::lock_guard lock(owner_mutex_);
    if (owner_ != old->native) return;  // another thread reset it meanwhile
    native_.store(fresh.get(), std::memory_order_release);
    owner_ = std::move(fresh);
  }
  epoch::retire(std::move(old));
}

void Stream::on_destroy() {
  set_mode(dead);
  if (mode() & capturing) capture_forget(*this);
  memory_pools_forget(*this);
}

flagos_status_t Stream::checked_submit(flagos_status_t status, const char* slot) { return checked(status, slot); }

flagos_status_t Stream::submit_slow(Command command) {
  const Submission submission(*this);
  const std::uint32_t bits = mode();
  if (bits & lost) device().throw_if_lost();
  if (bits & capturing) return capture_command(*this, std::move(command));
  if (bits & poisoned) throw_error(poison_status(), "the stream was poisoned by work before; see flagos_stream_reset");
  if ((bits & soft) || needs_soft_queue(*this, command)) return soft_submit(*this, std::move(command));
  return checked(issue(*this, command), "a submission");
}

void Stream::poison(flagos_status_t status) {
  flagos_status_t expected = FLAGOS_STATUS_OK;
  poison_.compare_exchange_strong(expected, status, std::memory_order_acq_rel);  // the first failure stays
  set_mode(poisoned);
}

void Stream::forbid_capture(const char* name) {
  if ((mode() & capturing) == 0) return;
  capture_invalidate(*this, name);
  throw_error(FLAGOS_STATUS_NOT_PERMITTED, "{} is not allowed on a capturing stream; the capture is invalidated", name);
}

// A look that begins while nothing new was submitted sees what the one before it saw: it has the same number.
std::uint64_t Stream::begin_look() {
  std::uint64_t known = quiet_since_.load(std::memory_order_acquire);
  if (known != 0) return known;
  const std::uint64_t fresh = looks_.fetch_add(1, std::memory_order_relaxed) + 1;
  return quiet_since_.compare_exchange_strong(known, fresh, std::memory_order_acq_rel) ? fresh : known;
}

void Stream::end_look(std::uint64_t look) {
  std::uint64_t known = passed_.load(std::memory_order_relaxed);
  while (known < look && !passed_.compare_exchange_weak(known, look, std::memory_order_acq_rel)) {
  }
}

// A stream that was seen to be done stays so until the program submits something: events that core records in it to learn
// when memory may go are no work of the program.
flagos_status_t Stream::synchronize(std::uint64_t timeout_ns, std::string* said) {
  const std::uint64_t look = begin_look();
  flagos_status_t status = await(timeout_ns, said);
  if (status == FLAGOS_STATUS_TIMEOUT) {
    const std::uint64_t quiet_since = quiet_since_.load(std::memory_order_acquire);
    if (quiet_since != 0 && passed_.load(std::memory_order_acquire) == quiet_since) status = poison_status();
  }
  if (status == FLAGOS_STATUS_OK) end_look(look);
  return status;
}

flagos_status_t Stream::await(std::uint64_t timeout_ns, std::string* said) {
  const Deadline deadline(timeout_ns);
  // A stream whose handle is gone already is waited for by core itself, for its device.
  const bool watch_handle = (mode() & dead) == 0;
  if (mode() & soft) {
    const flagos_status_t status = soft_synchronize(*this, timeout_ns);
    if (status != FLAGOS_STATUS_OK) return status;
  }
  while (true) {
    if (device().lost() != FLAGOS_STATUS_OK) return device().lost();
    const flagos_status_t status = tables().stream.synchronize(keep_native().get(), deadline.slice_ns());
    if (status == FLAGOS_STATUS_OK) return poison_status();
    if (status != FLAGOS_STATUS_TIMEOUT) {
      if (device().lost() != FLAGOS_STATUS_OK) return device().lost();
      const flagos_status_t known = checked(status, "stream.synchronize");
      if (said != nullptr) *said = flagos_last_error();
      return known;
    }
    if (deadline.expired()) return FLAGOS_STATUS_TIMEOUT;
    if (watch_handle && (mode() & dead)) return FLAGOS_STATUS_CANCELLED;
  }
}

void Stream::reset() {
  if (mode() & soft) {
    // The plugin may have poisoned it without core's knowledge. A healthy stream keeps what core holds back.
    const flagos_status_t status = tables().stream.synchronize(native(), 0);
    if (status != FLAGOS_STATUS_OK && status != FLAGOS_STATUS_TIMEOUT) poison(checked(status, "stream.synchronize"));
    if (poison_status() == FLAGOS_STATUS_OK) return;
    soft_wake();
    Pause pause;
    soft_synchronize(*this, FLAGOS_TIMEOUT_INFINITE);
  }
  if (tables().has.reset) {
    expect(tables().stream.reset(native()), "stream.reset");
  } else {
    replace_native();
  }
  poison_.store(FLAGOS_STATUS_OK, std::memory_order_release);
  clear_mode(poisoned);
}

// NULL where nothing is pending.
std::shared_ptr<Marker> Stream::new_marker() {
  if (mode() & soft) {
    auto marker = std::make_shared<Marker>(tables());
    soft_submit(*this, NotifyCommand{[marker](flagos_status_t) { marker->finish(); }});
    return marker;
  }
  if (tables().stream.synchronize(keep_native().get(), 0) != FLAGOS_STATUS_TIMEOUT) return nullptr;
  return std::make_shared<Marker>(*this);
}

std::shared_ptr<Marker> Stream::mark() {
  std::lock_guard lock(marker_mutex_);
  // First the flag, then the look: work that comes in between sets the flag afterwards.
  if (touched_.exchange(false, std::memory_order_acq_rel)) {
    marker_.reset();
    try {
      marker_ = new_marker();
    } catch (...) {
      touched_.store(true, std::memory_order_release);  // the next look marks what this one could not
      throw;
    }
  }
  if (marker_ != nullptr && marker_->done()) marker_.reset();
  return marker_;
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

namespace {

void throw_if_failed(flagos_status_t status, const std::string& said) {
  if (FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_ANSWER) return;
  throw_error(status, "work on the stream failed with {}{}{}; see flagos_stream_reset", flagos_status_get_name(status),
              said.empty() ? "" : ": ", said);
}

// A wait on the host: not in a capture, outside the read section, and with the poison's text.
flagos_status_t wait_for(flagos_stream_t* stream, std::uint64_t timeout_ns, const char* name) {
  Ref<Stream> object(&resolve<Stream>(stream, "stream"));
  object->forbid_capture(name);
  std::string said;
  const flagos_status_t status = [&] {
    Pause pause;
    return object->synchronize(timeout_ns, &said);
  }();
  if (status == FLAGOS_STATUS_OK) object->device().releases().poll();
  if (status == FLAGOS_STATUS_CANCELLED && (object->mode() & Stream::dead))
    throw_error(status, "the stream was destroyed while {} waited for it", name);
  throw_if_failed(status, said);
  return status;
}

}  // namespace

flagos_status_t flagos_stream_create(flagos_device_t* device, const flagos_stream_desc_t* desc,
                                     flagos_stream_t** out_stream) {
  clear_out(out_stream);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    require(out_stream, "out_stream");
    flagos_stream_desc_t used{};
    if (desc != nullptr) used = check_desc(desc, "flagos_stream_desc_t");
    used.struct_size = sizeof(used);
    used.next = nullptr;
    check_flags(used.flags, 0, "flagos_stream_desc_t.flags");
    const flagos_device_info_t& info = object.info();
    if (used.priority < info.priority_high || used.priority > info.priority_low)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "priority {} is outside {} to {} of device {}", used.priority,
                  info.priority_high, info.priority_low, info.id);
    object.throw_if_lost();
    *out_stream = publish<flagos_stream_t>(Ref<Stream>::adopt(new Stream(object, used)));
  });
}

flagos_status_t flagos_stream_destroy(flagos_stream_t* stream) {
  if (stream == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] { destroy_child(resolve<Stream>(stream, "stream")); });
}

flagos_status_t flagos_stream_query(flagos_stream_t* stream, uint32_t* out_complete) {
  clear_out(out_complete);
  return entry(
      __func__,
      [&] {
        Stream& object = resolve<Stream>(stream, "stream");
        require(out_complete, "out_complete");
        object.forbid_capture("flagos_stream_query");
        std::string said;
        const flagos_status_t status = object.synchronize(0, &said);
        throw_if_failed(status, said);
        *out_complete = status == FLAGOS_STATUS_OK ? 1 : 0;
      },
      Callback::allowed);
}

flagos_status_t flagos_stream_synchronize(flagos_stream_t* stream, uint64_t timeout_ns) {
  return entry(__func__, [&] { return wait_for(stream, timeout_ns, "flagos_stream_synchronize"); });
}

flagos_status_t flagos_stream_launch_host(flagos_stream_t* stream, flagos_host_function_t function, void* user_data) {
  return entry(__func__, [&] {
    Stream& object = resolve<Stream>(stream, "stream");
    if (function == nullptr) throw_null("function");
    // Always as a command: core puts its own function around the application's, see issue.cpp.
    return object.submit_slow(HostCommand{function, user_data});
  });
}

flagos_status_t flagos_stream_get_device(flagos_stream_t* stream, flagos_device_t** out_device) {
  clear_out(out_device);
  return entry(
      __func__,
      [&] {
        Stream& object = resolve<Stream>(stream, "stream");
        require(out_device, "out_device") = to_handle<flagos_device_t>(object.device());
      },
      Callback::allowed);
}

flagos_status_t flagos_stream_reset(flagos_stream_t* stream) {
  return entry(__func__, [&] {
    Ref<Stream> object(&resolve<Stream>(stream, "stream"));
    object->forbid_capture("flagos_stream_reset");
    object->device().throw_if_lost();
    object->reset();
  });
}

namespace {

void check_value_operation(Stream& stream, flagos_address_t address, std::uint32_t size_bytes,
                           flagos_memory_access_t access) {
  if (size_bytes != 4 && size_bytes != 8)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "size_bytes is {}, not 4 or 8", size_bytes);
  stream.device().check_range(address, size_bytes, "the value", access);
  if (address % size_bytes != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a value of {} bytes at {:#x} is not aligned", size_bytes, address);
}

}  // namespace

flagos_status_t flagos_stream_write_value(flagos_stream_t* stream, flagos_address_t target, uint64_t value,
                                          uint32_t size_bytes) {
  return entry(__func__, [&] {
    Stream& object = resolve<Stream>(stream, "stream");
    check_value_operation(object, target, size_bytes, FLAGOS_MEMORY_ACCESS_READ_WRITE);
    return object.submit_slow(WriteValueCommand{target, value, size_bytes});
  });
}

flagos_status_t flagos_stream_wait_value(flagos_stream_t* stream, flagos_address_t source, uint64_t value,
                                         uint32_t size_bytes, flagos_compare_t compare) {
  return entry(__func__, [&] {
    Stream& object = resolve<Stream>(stream, "stream");
    object.device().require_feature(FLAGOS_FEATURE_STREAM_VALUE, "waits for values");
    if (compare != FLAGOS_COMPARE_EQUAL && compare != FLAGOS_COMPARE_GREATER_EQUAL)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "compare is {}, not a FLAGOS_COMPARE_*", compare);
    check_value_operation(object, source, size_bytes, FLAGOS_MEMORY_ACCESS_READ);
    object.forbid_capture("flagos_stream_wait_value");
    return object.submit_slow(WaitValueCommand{source, value, size_bytes, compare});
  });
}
