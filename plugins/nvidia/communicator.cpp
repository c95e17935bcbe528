#include "plugins/nvidia/communicator.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/thread.hpp"

namespace flagos::nvidia {
namespace {

constexpr std::uint64_t usual_timeout_ns = 600'000'000'000u;
// How long an end that is in order may take before it is made short.
constexpr std::uint64_t farewell_ns = 5'000'000'000u;

ncclConfig_t config() {
  ncclConfig_t made;
  made.blocking = 0;
  return made;
}

// What became of a communicator: a status of class comm.
flagos_status_t failure_status(ncclResult_t result) {
  return result == ncclInvalidArgument || result == ncclInvalidUsage ? FLAGOS_STATUS_RANK_MISMATCH
                                                                     : FLAGOS_STATUS_RANK_FAILED;
}

// What became of an attempt to join one.
flagos_status_t join_status(ncclResult_t result) {
  switch (result) {
    case ncclInvalidArgument:
      return FLAGOS_STATUS_INVALID_ARGUMENT;
    case ncclInvalidUsage:
      return FLAGOS_STATUS_UNSUPPORTED;
    case ncclSystemError:
    case ncclRemoteError:
      return FLAGOS_STATUS_COMM_REFUSED;
    default:
      return FLAGOS_STATUS_INTERNAL;
  }
}

const char* join_advice(ncclResult_t result) {
  switch (result) {
    case ncclInvalidArgument:
      return "; each rank joins once, and all say the same size";
    case ncclInvalidUsage:
      return "; NCCL wants a device for each rank";
    case ncclSystemError:
    case ncclRemoteError:
      return "; is the id of a communicator that waits for ranks, and does its process live?";
    default:
      return "";
  }
}

}  // namespace

// ---- joining and leaving ----------------------------------------------------------------------

Communicator::Communicator(Device& device, const flagos_communicator_desc_t& desc)
    : device_(device),
      nccl_(*device.instance().nccl()),
      rank_(desc.rank),
      size_(desc.size),
      timeout_ns_(desc.timeout_ns != 0 ? desc.timeout_ns : usual_timeout_ns) {
  if (!device.is_primary())
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "NCCL works in the primary context, and this device is open on another one");
  ncclUniqueId id;
  if (desc.id->size_bytes != sizeof(id.internal))
    throw_error(FLAGOS_STATUS_COMM_REFUSED, "an id of {} bytes; those of NCCL have {}",
                desc.id->size_bytes, sizeof(id.internal));
  std::copy_n(desc.id->bytes, sizeof(id.internal), id.internal);
  ncclConfig_t wanted = config();
  {
    const SignalsBlocked blocked;
    const ncclResult_t result = nccl_.ncclCommInitRankConfig(&comm_, static_cast<int>(size_), id,
                                                             static_cast<int>(rank_), &wanted);
    if (result != ncclSuccess && result != ncclInProgress) {
      const std::string text = nccl_.text_of(result, comm_);
      end_comm();
      throw_error(join_status(result), "{}: ncclCommInitRankConfig: {}{}", who(), text,
                  join_advice(result));
    }
  }
  finish_join();
}

Communicator::Communicator(const Communicator& parent, ncclComm_t comm)
    : device_(parent.device_), nccl_(parent.nccl_), timeout_ns_(parent.timeout_ns_), comm_(comm) {
  finish_join();
  int rank = 0, size = 0;
  nccl_.ncclCommUserRank(comm_, &rank);
  nccl_.ncclCommCount(comm_, &size);
  rank_ = static_cast<std::uint32_t>(rank);
  size_ = static_cast<std::uint32_t>(size);
}

void Communicator::finish_join() {
  ncclResult_t result = ncclInProgress;
  const bool over = wait_until(
      [&] {
        const ncclResult_t asked = nccl_.ncclCommGetAsyncError(comm_, &result);
        if (asked != ncclSuccess) result = asked;
        return result != ncclInProgress;
      },
      Deadline(timeout_ns_), false);
  if (over && result == ncclSuccess) return;
  const std::string text = over ? nccl_.text_of(result, comm_) : "";
  end_comm();
  if (!over)
    throw_error(FLAGOS_STATUS_COMM_TIMEOUT, "{}: not all ranks have joined within {} ms", who(),
                timeout_ns_ / 1'000'000);
  throw_error(join_status(result), "{} cannot join: {}{}", who(), text, join_advice(result));
}

Communicator::~Communicator() {
  if (is_watched_) device_.instance().watcher().remove(*this);
  if (comm_ == nullptr) return;
  ncclResult_t result = nccl_.ncclCommFinalize(comm_);
  wait_until(
      [&] {
        if (result == ncclInProgress && nccl_.ncclCommGetAsyncError(comm_, &result) != ncclSuccess)
          result = ncclInternalError;
        return result != ncclInProgress;
      },
      Deadline(std::min(timeout_ns_, farewell_ns)), false);
  if (result == ncclSuccess) {
    nccl_.ncclCommDestroy(comm_);
  } else {
    end_comm();
  }
}

void Communicator::end_comm() noexcept {
  if (comm_ != nullptr) nccl_.ncclCommAbort(comm_);
  comm_ = nullptr;
}

std::unique_ptr<Communicator> Communicator::split(int color, int key) {
  if (nccl_.ncclCommSplit == nullptr)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "NCCL {} does not split, 2.18 does; make a communicator with an id of its own",
                nccl_.version_text());
  ncclConfig_t wanted = config();
  ncclComm_t part = nullptr;
  {
    const SignalsBlocked blocked;
    const Hold hold(*this);
    const ncclResult_t result = nccl_.ncclCommSplit(
        hold.handle(), color < 0 ? NCCL_SPLIT_NOCOLOR : color, key, &part, &wanted);
    if (result != ncclSuccess && result != ncclInProgress) {
      fail(failure_status(result), "ncclCommSplit: " + nccl_.text_of(result, comm_));
      throw Error(*failure_);
    }
  }
  wait_for("ncclCommSplit");
  if (part == nullptr) return nullptr;
  return std::unique_ptr<Communicator>(new Communicator(*this, part));
}

// ---- failing ----------------------------------------------------------------------------------

std::string Communicator::who() const { return fmt::format("rank {} of {}", rank_, size_); }

std::string Communicator::what_of(ncclResult_t result) const {
  return (failure_status(result) == FLAGOS_STATUS_RANK_FAILED ? "a rank was lost: " : "") +
         nccl_.text_of(result, comm_);
}

Failure Communicator::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Communicator::check() const {
  if (const Failure failed = failure()) throw Error(*failed);
}

// The streams are told first: when NCCL lets go of them, whoever waits for them comes back.
void Communicator::fail(flagos_status_t status, const std::string& text) noexcept {
  if (failure_) return;
  failure_ = make_failure(status, text.c_str());
  for (const std::unique_ptr<Span>& span : spans_)
    if (!span->is_closed || device_.driver().cuEventQuery(span->end) != CUDA_SUCCESS)
      span->health->poison(status, text.c_str());
  end_comm();
}

void Communicator::abort() {
  const std::lock_guard lock(mutex_);
  fail(FLAGOS_STATUS_COMM_ABORTED, who() + ": the communicator was aborted");
}

// ---- calls ------------------------------------------------------------------------------------

Communicator::Hold::Hold(Communicator& communicator)
    : communicator_(&communicator), lock_(communicator.mutex_) {
  if (communicator.failure_) throw Error(*communicator.failure_);
}

void Communicator::wait_for(const char* call) {
  ncclResult_t result = ncclInProgress;
  const bool over = wait_until(
      [&] {
        const Hold hold(*this);
        const ncclResult_t asked = nccl_.ncclCommGetAsyncError(comm_, &result);
        if (asked != ncclSuccess) result = asked;
        if (result != ncclInProgress && result != ncclSuccess)
          fail(failure_status(result), fmt::format("{}: {}: {}", who(), call, what_of(result)));
        return result != ncclInProgress;
      },
      Deadline(timeout_ns_));
  if (!over) {
    const std::lock_guard lock(mutex_);
    fail(FLAGOS_STATUS_COMM_TIMEOUT,
         fmt::format("{}: {}: the other ranks have not called within {} ms", who(), call,
                     timeout_ns_ / 1'000'000));
  }
  check();
}

void Communicator::wait_called() { wait_for("the call"); }

void* Communicator::register_buffer(flagos_address_t address, std::uint64_t size_bytes) {
  if (nccl_.ncclCommRegister == nullptr || nccl_.ncclCommDeregister == nullptr)
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "NCCL {} registers no buffers, 2.19 does",
                nccl_.version_text());
  void* handle = nullptr;
  {
    const Hold hold(*this);
    const ncclResult_t result = nccl_.ncclCommRegister(
        hold.handle(), reinterpret_cast<void*>(address), size_bytes, &handle);
    if (result != ncclSuccess && result != ncclInProgress)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "ncclCommRegister of {} bytes at {:#x}: {}",
                  size_bytes, address, nccl_.text_of(result, comm_));
  }
  wait_for("ncclCommRegister");
  return handle;
}

void Communicator::deregister_buffer(void* handle) noexcept {
  const std::lock_guard lock(mutex_);
  if (comm_ != nullptr) nccl_.ncclCommDeregister(comm_, handle);
}

// ---- the watch --------------------------------------------------------------------------------

Communicator::Span::Span(Device& of, const std::shared_ptr<Health>& stream_health)
    : device(of), health(stream_health) {
  begin = device.events().take(false);
  try {
    end = device.events().take(false);
  } catch (...) {
    device.events().give_back(begin, false);
    throw;
  }
}

Communicator::Span::~Span() {
  device.events().give_back(begin, false);
  device.events().give_back(end, false);
}

void Communicator::begin(Stream& stream) {
  auto span = std::make_unique<Span>(device_, stream.health());
  device_.check(device_.driver().cuEventRecord(span->begin, stream.show()), "cuEventRecord");
  const std::lock_guard lock(mutex_);
  if (failure_) throw Error(*failure_);
  spans_.push_back(std::move(span));
}

// The newest of the stream that was begun and not ended.
Communicator::Span* Communicator::open_span(const Stream& stream) noexcept {
  const auto found = std::find_if(spans_.rbegin(), spans_.rend(), [&](const auto& span) {
    return !span->is_closed && span->health == stream.health();
  });
  return found != spans_.rend() ? found->get() : nullptr;
}

void Communicator::end(Stream& stream) {
  {
    const std::lock_guard lock(mutex_);
    if (Span* const span = open_span(stream)) {
      device_.check(device_.driver().cuEventRecord(span->end, stream.show()), "cuEventRecord");
      span->is_closed = true;
    }
    if (!is_watched_) device_.instance().watcher().add(*this);
    is_watched_ = true;
  }
  device_.instance().watcher().signal()->notify_all();
}

void Communicator::cancel(Stream& stream) noexcept {
  const std::lock_guard lock(mutex_);
  const Span* const open = open_span(stream);
  std::erase_if(spans_, [&](const auto& span) { return span.get() == open; });
}

bool Communicator::advance() noexcept {
  bool has_more = false;
  guard([&] { has_more = look(); }, [](flagos_status_t, const char*) {});
  return has_more;
}

// By the watcher, while operations are under way. They end in the order of their calls.
bool Communicator::look() {
  const std::lock_guard lock(mutex_);
  if (failure_) return false;
  const Driver& driver = device_.driver();
  const Current current(driver, device_.context());
  ncclResult_t result = ncclSuccess;
  if (nccl_.ncclCommGetAsyncError(comm_, &result) == ncclSuccess && result != ncclSuccess &&
      result != ncclInProgress) {
    fail(failure_status(result), fmt::format("{}: {}", who(), what_of(result)));
    return false;
  }
  while (!spans_.empty() && spans_.front()->is_closed) {
    const CUresult code = driver.cuEventQuery(spans_.front()->end);
    if (code == CUDA_ERROR_NOT_READY) break;
    if (is_sticky(code)) {
      device_.report_lost(code, "cuEventQuery");
      fail(FLAGOS_STATUS_DEVICE_LOST, who() + ": its device was lost");
      return false;
    }
    spans_.pop_front();
  }
  if (spans_.empty()) return false;
  Span& first = *spans_.front();
  const std::uint64_t now = monotonic_ns();
  if (first.running_since_ns == 0) {
    if (driver.cuEventQuery(first.begin) == CUDA_SUCCESS) first.running_since_ns = now;
  } else if (now - first.running_since_ns > timeout_ns_) {
    fail(FLAGOS_STATUS_COMM_TIMEOUT,
         fmt::format("{}: an operation got nowhere for {} ms: a rank has not called it, or hangs",
                     who(), timeout_ns_ / 1'000'000));
    return false;
  }
  return true;
}

}  // namespace flagos::nvidia
