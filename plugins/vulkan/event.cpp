#include "plugins/vulkan/event.hpp"

#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"
#include "plugins/vulkan/semaphore_watch.hpp"
#include "plugins/vulkan/stream.hpp"

namespace flagos::vulkan {

RecordRef::~RecordRef() {
  if (record_ != nullptr && --record_->references_ == 0) record_->pool_->give_back(*record_);
}

void Record::complete(const Failure& failure, std::uint64_t time_ns) noexcept {
  if (done_) return;
  failure_ = failure;
  time_ns_ = time_ns;
  done_ = true;
  batch = nullptr;
  // A stream that is unparked lets go of its reference, perhaps the last one.
  const RecordRef self(this);
  for (std::size_t i = 0; i < parked_.size(); ++i) parked_[i]->unpark();
  parked_.clear();
}

RecordRef RecordPool::take() {
  if (free_ == nullptr) {
    auto block = std::make_unique<Record[]>(block_size);
    blocks_.push_back(nullptr);  // first: what follows must not throw
    for (std::size_t i = 0; i < block_size; ++i) {
      block[i].pool_ = this;
      block[i].next_free_ = free_;
      free_ = &block[i];
    }
    blocks_.back() = std::move(block);
  }
  Record& record = *free_;
  free_ = record.next_free_;
  record.done_ = false;
  record.batch = nullptr;
  record.time_ns_ = 0;
  record.semaphore = VK_NULL_HANDLE;
  record.value = 0;
  return RecordRef(&record);
}

void RecordPool::give_back(Record& record) noexcept {
  record.failure_.reset();
  record.next_free_ = free_;
  free_ = &record;
}

Event::~Event() {
  if (is_following_) device_.semaphore_watch().remove(*this);
  {
    Lock lock(device_);
    current_ = RecordRef();
  }
  device_.vk().vkDestroySemaphore(device_.handle(), own_semaphore_, nullptr);
}

void Event::follow(VkSemaphore semaphore, std::uint64_t value, bool own) {
  Lock lock(device_);
  RecordRef record = device_.instance().records.take();
  record->semaphore = semaphore;
  record->value = value;
  current_ = record;
  lock.unlock();
  device_.semaphore_watch().add(*this, std::move(record));
  is_following_ = true;
  if (own) own_semaphore_ = semaphore;
}

std::pair<VkSemaphore, std::uint64_t> Event::native() {
  Lock lock(device_);
  if (!current_)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "the event was never recorded, so no semaphore is its own");
  if (current_->batch != nullptr) current_->batch->owner->flush_open();
  if (current_->semaphore == VK_NULL_HANDLE)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "the event's record is held back by what its stream waits for, or has failed: no "
                "semaphore tells of it");
  return {current_->semaphore, current_->value};
}

void Event::record(Stream& stream) {
  Lock lock(device_);
  RecordRef record = device_.instance().records.take();
  record->has_timing = has_timing();
  try {
    Command command(Command::Type::record);
    command.record = record;
    stream.submit(std::move(command));
  } catch (const Error& error) {
    // The stream was poisoned, perhaps a moment ago: waiting for this event must tell of it either
    // way.
    if (stream.failure()) {
      record->complete(stream.failure(), 0);
      current_ = std::move(record);
    }
    throw;
  }
  current_ = std::move(record);
}

flagos_status_t Event::synchronize(std::uint64_t timeout_ns) {
  const Deadline deadline(timeout_ns);
  Lock lock(device_);
  RecordRef record = current_;
  Instance& instance = device_.instance();
  while (record && !record->is_done()) {
    Batch* const batch = record->batch;
    if (batch == nullptr) {  // held back in its stream
      if (deadline.has_passed()) return FLAGOS_STATUS_TIMEOUT;
      ++instance.sleepers;
      deadline.wait(instance.changed, lock.raw());
      --instance.sleepers;
      continue;
    }
    Stream& stream = *batch->owner;
    Queue& queue = stream.queue();
    stream.flush_open();
    queue.reap();
    Stream::run_ready(instance);
    if (record->is_done()) break;
    if (deadline.has_passed()) return FLAGOS_STATUS_TIMEOUT;
    if (record->batch == nullptr) continue;
    const std::uint64_t value = record->batch->value;
    lock.unlock();
    const VkResult result = queue.wait_for(value, deadline.left_ns());
    lock.lock();
    if (result < VK_SUCCESS) device_.lose(failure_of(result, "vkWaitSemaphores"));
  }
  if (record && record->failure()) throw Error(*record->failure());
  record = RecordRef();
  return FLAGOS_STATUS_OK;
}

flagos_status_t event_create(flagos_plugin_device_t* device, const flagos_event_desc_t* desc,
                             flagos_plugin_event_t** out_event) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    *out_event = to_c(std::make_unique<Event>(self, desc != nullptr ? desc->flags : 0).release());
  });
}

void event_destroy(flagos_plugin_event_t* event) noexcept { delete &from_c(event); }

flagos_status_t event_record(flagos_plugin_event_t* event,
                             flagos_plugin_stream_t* stream) noexcept {
  Event& self = from_c(event);
  return entry(self.device().host(), [&] { self.record(from_c(stream)); });
}

flagos_status_t event_synchronize(flagos_plugin_event_t* event, std::uint64_t timeout_ns) noexcept {
  Event& self = from_c(event);
  return entry(self.device().host(), [&] { return self.synchronize(timeout_ns); });
}

flagos_status_t event_get_elapsed(flagos_plugin_event_t* start, flagos_plugin_event_t* end,
                                  std::int64_t* out_elapsed_ns) noexcept {
  Device& device = from_c(start).device();
  return entry(device.host(), [&] {
    Lock lock(device);
    std::uint64_t times[2];
    bool pending = false;
    for (int i = 0; i < 2; ++i) {
      Event& event = from_c(i == 0 ? start : end);
      const char* which = i == 0 ? "start" : "end";
      if (!event.has_timing())
        throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the {} event was created without timing",
                    which);
      const RecordRef& record = event.current();
      if (!record)
        throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the {} event was never recorded", which);
      if (record->batch != nullptr) record->batch->owner->queue().reap();
      pending = pending || !record->is_done();
      times[i] = record->time_ns();
    }
    if (pending) return FLAGOS_STATUS_NOT_READY;
    *out_elapsed_ns = static_cast<std::int64_t>(times[1] - times[0]);
    return FLAGOS_STATUS_OK;
  });
}

}  // namespace flagos::vulkan
