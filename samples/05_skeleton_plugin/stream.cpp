// A stream: an ordered queue and one worker thread.
#include <signal.h>

#include "skeleton.hpp"

using namespace skeleton;

// The worker inherits a mask that blocks all signals: they belong to the application (rule 6).
flagos_plugin_stream_t::flagos_plugin_stream_t(const flagos_host_t* stream_host)
    : host(stream_host) {
  last_->complete(failure_);  // an empty stream is complete
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    worker_ = std::thread([this] { run(); });
  } catch (const std::exception&) {  // told below, when the mask is back
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!worker_.joinable()) {
    throw Error(FLAGOS_STATUS_OUT_OF_RESOURCES, "the thread of a stream cannot be started");
  }
}

flagos_plugin_stream_t::~flagos_plugin_stream_t() {
  std::unique_lock lock(mutex_);
  stop_ = true;
  wake_.notify_one();
  lock.unlock();
  worker_.join();
}

PointPtr flagos_plugin_stream_t::submit(std::function<void()> work) {
  auto point = std::make_shared<Point>();
  const std::lock_guard lock(mutex_);
  if (failure_) throw *failure_;
  queue_.push_back({std::move(work), point});
  wake_.notify_one();
  return last_ = point;
}

PointPtr flagos_plugin_stream_t::last() {
  const std::lock_guard lock(mutex_);
  return last_;
}

void flagos_plugin_stream_t::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Operation operation = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    execute(std::move(operation));
    lock.lock();
  }
}

// A point completes on a poisoned stream too, with the failure, so that nobody waits for ever.
void flagos_plugin_stream_t::execute(Operation operation) {
  std::optional<Error> failure = failure_;
  try {
    if (!failure) operation.work();
  } catch (const Error& error) {
    failure = error;
  } catch (...) {
    failure.emplace(FLAGOS_STATUS_EXECUTION_FAILED, "a kernel threw an exception");
  }
  const std::lock_guard lock(mutex_);
  failure_ = failure;
  operation.point->complete(failure);
}

namespace skeleton {

static void create(flagos_plugin_device_t* device, const flagos_stream_desc_t*,
                   flagos_plugin_stream_t** out_stream) {
  *out_stream = new flagos_plugin_stream_t(device->host);
}

static flagos_status_t synchronize(flagos_plugin_stream_t* stream, std::uint64_t timeout_ns) {
  return stream->last()->wait(timeout_ns);
}

// Binds to the record that came before this call. A failed record ends the wait like any other.
static void wait_event(flagos_plugin_stream_t* stream, flagos_plugin_event_t* event) {
  const PointPtr point = event->get();
  if (point) stream->submit([point] { point->passed(FLAGOS_TIMEOUT_INFINITE); });
}

constinit const flagos_stream_table_t stream_table = {
    sizeof(stream_table), 1, entry<create>, delete_object, entry<synchronize>, entry<wait_event>};

}  // namespace skeleton
