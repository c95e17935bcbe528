#include "plugins/nvidia/profile.hpp"

#include <algorithm>
#include <cstring>

#include "plugins/nvidia/clock.hpp"
#include "plugins/nvidia/device.hpp"
#include "plugins/nvidia/handles.hpp"

namespace flagos::nvidia {

Profile::~Profile() {
  for (const Pending& pending : pending_) give_back(pending);
}

void Profile::give_back(const Pending& pending) noexcept {
  device_.events().give_back(pending.begin, true);
  if (pending.end != nullptr) device_.events().give_back(pending.end, true);
}

void Profile::begin(const Operation& operation, CUstream stream) {
  if (pending_.size() >= 64 && pending_.size() % 32 == 0) collect();
  Pending& pending = pending_.emplace_back();
  pending.operation = operation;
  pending.queued_ns = device_.host().now_ns();
  try {
    pending.begin = device_.events().take(true);
    pending.end = device_.events().take(true);
    device_.check(device_.driver().cuEventRecord(pending.begin, stream), "cuEventRecord");
  } catch (...) {
    if (pending.begin != nullptr) give_back(pending);
    pending_.pop_back();
    throw;
  }
  ++submitted_;
  pending.correlation = launch_ != 0 ? launch_ : submitted_;
}

void Profile::end(CUstream stream, bool was_queued) {
  Pending& pending = pending_.back();
  if (was_queued && device_.driver().cuEventRecord(pending.end, stream) == CUDA_SUCCESS) return;
  give_back(pending);
  pending_.pop_back();
}

void Profile::collect() noexcept {
  while (!pending_.empty()) {
    const Pending& first = pending_.front();
    const CUresult code = device_.driver().cuEventQuery(first.end);
    if (code == CUDA_ERROR_NOT_READY) return;
    if (code == CUDA_SUCCESS && !first.operation.is_internal) emit(first);
    give_back(first);
    pending_.pop_front();
  }
}

// Times of the device are never before the host's for what came first.
void Profile::emit(const Pending& pending) const noexcept {
  flagos_record_t record{};
  record.kind = pending.operation.kind;
  record.stream_id = stream_id_;
  record.correlation_id = pending.correlation;
  record.queued_ns = record.submitted_ns = pending.queued_ns;
  record.started_ns = std::max(record.submitted_ns, device_.clock().time_of(pending.begin));
  record.ended_ns = std::max(record.started_ns, device_.clock().time_of(pending.end));
  record.size_bytes = pending.operation.size_bytes;
  std::strncpy(record.name, pending.operation.name, sizeof(record.name) - 1);
  device_.host().emit_record(to_c(&device_), record);
}

}  // namespace flagos::nvidia
