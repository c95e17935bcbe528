// Events that several processes know.
#include "core/shared_event.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/entry.hpp"
#include "core/stream.hpp"
#include "core/validation.hpp"

namespace flagos::core {

// In a file of zeros all is as it should be at the start.
struct SharedEvent::Page {
  struct Record {
    std::atomic<std::uint64_t> begun;     // its number
    std::atomic<std::uint64_t> complete;  // the same number when it is done
    std::atomic<std::uint32_t> process;   // who completes it
    std::atomic<flagos_status_t> status;
  };
  std::atomic<std::uint64_t> next;
  std::atomic<std::uint64_t> last;
  std::atomic<std::uint32_t> processes;
  // A record that is older than this many others counts as complete.
  std::array<Record, 128> records;

  Record& at(std::uint64_t record) { return records[record % records.size()]; }
};

SharedEvent::SharedEvent() : file_(sizeof(Page), 0), page_(static_cast<Page*>(file_.data())) { join(); }

SharedEvent::SharedEvent(int fd, const ExternalBlob& blob)
    : file_(fd, blob.size_bytes == sizeof(Page) ? blob.size_bytes : 0, blob.nonce, 0),
      page_(static_cast<Page*>(file_.data())) {
  join();
}

// An own open file description: locks belong to it, and descriptors that are sent away share theirs.
void SharedEvent::join() {
  const std::string path = fmt::format("/proc/self/fd/{}", file_.fd().get());
  lock_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (lock_.get() < 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "{} cannot be opened: {}", path, std::strerror(errno));
  process_ = page_->processes.fetch_add(1, std::memory_order_acq_rel) + 1;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = process_;
  lock.l_len = 1;
  if (::fcntl(lock_.get(), F_OFD_SETLK, &lock) != 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "a file in memory cannot be locked: {}", std::strerror(errno));
}

bool SharedEvent::alive(std::uint32_t process) const {
  if (process == process_) return true;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = process;
  lock.l_len = 1;
  return ::fcntl(lock_.get(), F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

std::uint64_t SharedEvent::begin_record() {
  const std::uint64_t record = page_->next.fetch_add(1, std::memory_order_acq_rel) + 1;
  Page::Record& entry = page_->at(record);
  entry.process.store(process_, std::memory_order_relaxed);
  entry.status.store(FLAGOS_STATUS_OK, std::memory_order_relaxed);
  entry.begun.store(record, std::memory_order_release);
  return record;
}

// Two records at once: the later number stands.
void SharedEvent::publish(std::uint64_t record) {
  std::uint64_t last = page_->last.load(std::memory_order_relaxed);
  while (last < record && !page_->last.compare_exchange_weak(last, record, std::memory_order_acq_rel)) {
  }
}

void SharedEvent::complete(std::uint64_t record, flagos_status_t status) {
  Page::Record& entry = page_->at(record);
  if (entry.begun.load(std::memory_order_acquire) != record) return;  // overtaken by many others
  entry.status.store(status, std::memory_order_relaxed);
  entry.complete.store(record, std::memory_order_release);
}

std::uint64_t SharedEvent::last_record() const { return page_->last.load(std::memory_order_acquire); }

flagos_status_t SharedEvent::test(std::uint64_t record) const {
  if (record == 0) return FLAGOS_STATUS_OK;
  const Page::Record& entry = page_->at(record);
  for (bool looked = false;; looked = true) {
    const std::uint64_t complete = entry.complete.load(std::memory_order_acquire);
    if (complete == record) {
      const flagos_status_t status = entry.status.load(std::memory_order_relaxed);
      return known_status(status) && FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER ? status
                                                                                               : FLAGOS_STATUS_OK;
    }
    if (complete > record || entry.begun.load(std::memory_order_acquire) != record) return FLAGOS_STATUS_OK;
    // It may have completed the record and then died: so look once more.
    if (looked) return FLAGOS_STATUS_CANCELLED;
    if (alive(entry.process.load(std::memory_order_relaxed))) return FLAGOS_STATUS_TIMEOUT;
  }
}

void SharedEvent::describe(flagos_external_t& external) const {
  FileDescriptor fd = duplicate(file_.fd().get());
  ExternalBlob blob{};
  blob.kind = ExternalKind::event;
  blob.size_bytes = file_.size_bytes();
  blob.nonce = file_.nonce();
  seal_blob(blob, fd.get(), external);
  external.fd = fd.release();
}

Ref<Event> make_shared_event(Device& device, const flagos_event_desc_t& desc) {
  if ((desc.flags & FLAGOS_EVENT_FLAG_NO_TIMING) == 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "FLAGOS_EVENT_FLAG_EXPORTABLE without FLAGOS_EVENT_FLAG_NO_TIMING: clocks of two processes' devices "
                "are not compared");
  flagos_event_desc_t used = desc;
  used.flags &= ~std::uint32_t{FLAGOS_EVENT_FLAG_EXPORTABLE};  // core's own, on every plugin
  return Ref<Event>::adopt(new Event(device, used, std::make_shared<SharedEvent>()));
}

flagos_status_t shared_record(Event& event, Stream& stream) {
  stream.forbid_capture("flagos_event_record of an exportable event");
  const std::shared_ptr<SharedEvent>& shared = event.shared_event();
  const std::uint64_t record = shared->begin_record();
  const flagos_status_t status =
      stream.submit_slow(NotifyCommand{[shared, record](flagos_status_t passed) { shared->complete(record, passed); }});
  if (status == FLAGOS_STATUS_OK) shared->publish(record);
  return status;
}

flagos_status_t shared_wait(Stream& stream, Event& event) {
  const std::uint64_t record = event.shared_event()->last_record();
  return stream.submit_slow(WaitSharedCommand{event.shared_event(), record});
}

flagos_status_t shared_synchronize(Event& event, std::uint64_t timeout_ns, const char* name) {
  using std::chrono::microseconds;
  const std::shared_ptr<SharedEvent> shared = event.shared_event();
  const std::uint64_t record = shared->last_record();
  const Deadline deadline(timeout_ns);
  flagos_status_t status = shared->test(record);
  if (status == FLAGOS_STATUS_TIMEOUT && timeout_ns != 0) {
    EventWait wait(event);
    Pause pause;
    microseconds nap(10);
    while ((status = shared->test(record)) == FLAGOS_STATUS_TIMEOUT && !deadline.expired() &&
           (event.rare() & Event::dead) == 0) {
      std::this_thread::sleep_for(nap);
      nap = std::min(nap * 2, microseconds(1000));
    }
  }
  if (status == FLAGOS_STATUS_TIMEOUT && (event.rare() & Event::dead))
    throw_error(FLAGOS_STATUS_CANCELLED, "the event was destroyed while {} waited for it", name);
  if (status == FLAGOS_STATUS_CANCELLED)
    throw_error(status, "the process that recorded the event ended before the record was complete");
  if (FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER)
    throw_error(status, "work before the event failed with {}", flagos_status_get_name(status));
  return status;
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_event_export(flagos_event_t* event, flagos_external_t* out_external) {
  return entry(__func__, [&] {
    begin_out(out_external, "out_external");
    out_external->fd = -1;
    Event& object = resolve<Event>(event, "event");
    if (object.shared_event() == nullptr)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "the event was created without FLAGOS_EVENT_FLAG_EXPORTABLE");
    object.device().throw_if_lost();
    object.shared_event()->describe(*out_external);
  });
}

flagos_status_t flagos_event_import(flagos_device_t* device, const flagos_external_t* external,
                                    flagos_event_t** out_event) {
  clear_out(out_event);
  return entry(__func__, [&] {
    Device& object = resolve<Device>(device, "device");
    const flagos_external_t& used = check_desc(external, "flagos_external_t");
    require(out_event, "out_event");
    object.throw_if_lost();
    const ExternalBlob blob = open_blob(used);
    if (blob.kind != ExternalKind::event)
      throw_error(FLAGOS_STATUS_INVALID_HANDLE, "the external object is memory, not an event");
    flagos_event_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING;
    auto shared = std::make_shared<SharedEvent>(used.fd, blob);
    *out_event = publish<flagos_event_t>(Ref<Event>::adopt(new Event(object, desc, std::move(shared))));
  });
}
