// Streams, which are threads; events; host functions; values that are written and waited for.
#include <time.h>

#include <algorithm>
#include <chrono>

#include "base/thread.hpp"
#include "plugins/nvidia/fake_driver/fake.hpp"

namespace flagos::nvidia::fake {
namespace {

// Joins and frees what has ended.
void reap(CUcontext context) {
  std::vector<std::shared_ptr<CUstream_st>> over;
  {
    const std::lock_guard lock(context->mutex);
    const auto is_over = [](const std::shared_ptr<CUstream_st>& stream) {
      const std::lock_guard guard(stream->mutex);
      return stream->is_ending && (stream->is_over || !stream->thread.joinable());
    };
    const auto first = std::stable_partition(context->streams.begin(), context->streams.end(),
                                             [&](const auto& stream) { return !is_over(stream); });
    over.assign(first, context->streams.end());
    context->streams.erase(first, context->streams.end());
  }
  for (const auto& stream : over)
    if (stream->thread.joinable()) stream->thread.join();
}

void work(CUstream stream) {
  use_runner(stream->runner);
  std::unique_lock lock(stream->mutex);
  for (;;) {
    stream->changed.wait(lock, [&] { return !stream->tasks.empty() || stream->is_ending; });
    if (stream->tasks.empty()) break;
    Task task = std::move(stream->tasks.front());
    stream->tasks.pop_front();
    lock.unlock();
    std::atomic<CUresult>& error = stream->context->error;
    if (task.always || error == CUDA_SUCCESS) {
      const CUresult result = task.run();
      CUresult none = CUDA_SUCCESS;
      if (result != CUDA_SUCCESS) error.compare_exchange_strong(none, result);
    }
    task = {};
    lock.lock();
    ++stream->finished;
    stream->changed.notify_all();
  }
  stream->is_over = true;
}

// Looks at a value in memory until it is as asked.
template <typename Word>
CUresult wait_value(CUstream stream, CUdeviceptr address, Word value, unsigned flags) {
  using Signed = std::make_signed_t<Word>;
  const auto* word = reinterpret_cast<const Word*>(address);
  CUcontext context = stream->context;
  enqueue(stream, {[=] {
            while (!context->is_ending && context->error == CUDA_SUCCESS) {
              const Word now = __atomic_load_n(word, __ATOMIC_ACQUIRE);
              if (flags == CU_STREAM_WAIT_VALUE_EQ ? now == value
                                                   : static_cast<Signed>(now - value) >= 0)
                break;
              std::this_thread::sleep_for(std::chrono::microseconds(20));
            }
            return CUDA_SUCCESS;
          }});
  return CUDA_SUCCESS;
}

template <typename Word>
CUresult write_value(CUstream stream, CUdeviceptr address, Word value) {
  auto* word = reinterpret_cast<Word*>(address);
  enqueue(stream, {[=] {
            __atomic_store_n(word, value, __ATOMIC_RELEASE);
            return CUDA_SUCCESS;
          }});
  return CUDA_SUCCESS;
}

CUresult check_word(CUdeviceptr address, std::uint64_t size) {
  Block block;
  bool known = false;
  return address % size == 0 && find(address, size, &block, &known) && known
             ? CUDA_SUCCESS
             : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

void Point::pass() {
  const std::lock_guard lock(mutex_);
  time_ns_ = now_ns();
  passed_ = true;
  changed_.notify_all();
}
bool Point::is_passed() const {
  const std::lock_guard lock(mutex_);
  return passed_;
}
void Point::wait() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return passed_; });
}
std::uint64_t Point::time_ns() const {
  const std::lock_guard lock(mutex_);
  return time_ns_;
}

std::uint64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(time.tv_nsec);
}

void enqueue(CUstream stream, Task task) {
  const std::lock_guard lock(stream->mutex);
  stream->tasks.push_back(std::move(task));
  ++stream->submitted;
  stream->changed.notify_all();
}

void drain(CUstream stream) {
  std::unique_lock lock(stream->mutex);
  const std::uint64_t until = stream->submitted;
  stream->changed.wait(lock, [&] { return stream->finished >= until; });
}

}  // namespace flagos::nvidia::fake

using namespace flagos::nvidia;

FAKE_EXPORT CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned, int priority) try {
  FAKE_CONTEXT_CALL(cuStreamCreateWithPriority);
  fake::reap(context);
  const auto made = std::make_shared<CUstream_st>();
  made->context = context;
  made->priority = std::clamp(priority, -5, 0);
  {
    const std::lock_guard lock(context->mutex);
    context->streams.push_back(made);
  }
  try {
    made->runner = fake::make_runner();
    made->thread =
        flagos::start_thread("fake-cuda", {}, [stream = made.get()] { fake::work(stream); });
  } catch (const std::exception&) {
    {
      const std::lock_guard lock(made->mutex);
      made->is_ending = true;
    }
    fake::reap(context);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *stream = made.get();
  fake::enter(*stream);
  fake::count_object(1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuStreamDestroy_v2(CUstream stream) try {
  fake::leave(stream, __func__);
  CUcontext context = stream->context;
  fake::count_object(-1);
  {
    const std::lock_guard lock(stream->mutex);
    stream->is_ending = true;
  }
  stream->changed.notify_all();
  fake::reap(context);
  return context->error;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuStreamGetCtx(CUstream stream, CUcontext* context) try {
  FAKE_LIVE(stream);
  FAKE_CALL(cuStreamGetCtx);
  *context = stream->context;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuStreamQuery(CUstream stream) try {
  FAKE_LIVE(stream);
  FAKE_CALL(cuStreamQuery);
  if (stream->context->error != CUDA_SUCCESS) return stream->context->error;
  const std::lock_guard lock(stream->mutex);
  return stream->finished == stream->submitted ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuStreamSynchronize(CUstream stream) try {
  FAKE_LIVE(stream);
  FAKE_CALL(cuStreamSynchronize);
  fake::drain(stream);
  return stream->context->error;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) try {
  FAKE_LIVE(stream);
  FAKE_LIVE(event);
  FAKE_CALL(cuStreamWaitEvent);
  if (stream->context->error != CUDA_SUCCESS) return stream->context->error;
  std::shared_ptr<fake::Point> point;
  {
    const std::lock_guard lock(event->mutex);
    point = event->point;
  }
  if (point == nullptr || point->is_passed()) return CUDA_SUCCESS;
  fake::enqueue(stream, {[point] {
                           point->wait();
                           return CUDA_SUCCESS;
                         },
                         true});
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) try {
  FAKE_LIVE(stream);
  FAKE_CALL(cuLaunchHostFunc);
  if (stream->context->error != CUDA_SUCCESS) return stream->context->error;
  fake::enqueue(stream, {[=] {
                  function(data);
                  return CUDA_SUCCESS;
                }});
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr address,
                                             std::uint32_t value, unsigned) try {
  FAKE_LIVE(stream);
  FAKE_CONTEXT_CALL(cuStreamWriteValue32_v2);
  if (const CUresult wrong = fake::check_word(address, 4); wrong != CUDA_SUCCESS) return wrong;
  return fake::write_value(stream, address, value);
}
FAKE_CATCH
FAKE_EXPORT CUresult cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr address,
                                             std::uint64_t value, unsigned) try {
  FAKE_LIVE(stream);
  FAKE_CONTEXT_CALL(cuStreamWriteValue64_v2);
  if (const CUresult wrong = fake::check_word(address, 8); wrong != CUDA_SUCCESS) return wrong;
  return fake::write_value(stream, address, value);
}
FAKE_CATCH
FAKE_EXPORT CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr address,
                                            std::uint32_t value, unsigned flags) try {
  FAKE_LIVE(stream);
  FAKE_CONTEXT_CALL(cuStreamWaitValue32_v2);
  if (const CUresult wrong = fake::check_word(address, 4); wrong != CUDA_SUCCESS) return wrong;
  return fake::wait_value(stream, address, value, flags);
}
FAKE_CATCH
FAKE_EXPORT CUresult cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr address,
                                            std::uint64_t value, unsigned flags) try {
  FAKE_LIVE(stream);
  FAKE_CONTEXT_CALL(cuStreamWaitValue64_v2);
  if (const CUresult wrong = fake::check_word(address, 8); wrong != CUDA_SUCCESS) return wrong;
  return fake::wait_value(stream, address, value, flags);
}
FAKE_CATCH

// ---- events -----------------------------------------------------------------------------------

FAKE_EXPORT CUresult cuEventCreate(CUevent* event, unsigned flags) try {
  FAKE_CONTEXT_CALL(cuEventCreate);
  *event = new CUevent_st;
  (*event)->context = context;
  (*event)->flags = flags;
  fake::enter(*event);
  fake::count_object(1);
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuEventDestroy_v2(CUevent event) try {
  fake::leave(event, __func__);
  fake::count_object(-1);
  delete event;
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) try {
  FAKE_LIVE(stream);
  FAKE_LIVE(event);
  FAKE_CONTEXT_CALL(cuEventRecord);
  if (event->context != stream->context) return CUDA_ERROR_INVALID_HANDLE;
  auto point = std::make_shared<fake::Point>();
  {
    const std::lock_guard lock(event->mutex);
    event->point = point;
  }
  fake::enqueue(stream, {[point] {
                           point->pass();
                           return CUDA_SUCCESS;
                         },
                         true});
  return CUDA_SUCCESS;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuEventQuery(CUevent event) try {
  FAKE_LIVE(event);
  FAKE_CALL(cuEventQuery);
  if (event->context->error != CUDA_SUCCESS) return event->context->error;
  const std::lock_guard lock(event->mutex);
  return event->point == nullptr || event->point->is_passed() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuEventSynchronize(CUevent event) try {
  FAKE_LIVE(event);
  FAKE_CALL(cuEventSynchronize);
  std::shared_ptr<fake::Point> point;
  {
    const std::lock_guard lock(event->mutex);
    point = event->point;
  }
  if (point != nullptr) point->wait();
  return event->context->error;
}
FAKE_CATCH

FAKE_EXPORT CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) try {
  FAKE_LIVE(start);
  FAKE_LIVE(end);
  FAKE_CALL(cuEventElapsedTime);
  std::shared_ptr<fake::Point> points[2];
  for (int i = 0; i < 2; ++i) {
    CUevent event = i == 0 ? start : end;
    const std::lock_guard lock(event->mutex);
    if ((event->flags & CU_EVENT_DISABLE_TIMING) != 0 || event->point == nullptr)
      return CUDA_ERROR_INVALID_HANDLE;
    points[i] = event->point;
  }
  if (!points[0]->is_passed() || !points[1]->is_passed()) return CUDA_ERROR_NOT_READY;
  const auto ns = static_cast<std::int64_t>(points[1]->time_ns() - points[0]->time_ns());
  *milliseconds = static_cast<float>(static_cast<double>(ns) / 1e6);
  return CUDA_SUCCESS;
}
FAKE_CATCH
