// Hands commands to the plugin, with the emulations that need no waiting.
#include "core/issue.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "base/never_destroyed.hpp"
#include "core/collective.hpp"
#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/graph_exec.hpp"
#include "core/module.hpp"
#include "core/operators.hpp"
#include "core/soft_queue.hpp"
#include "core/stream.hpp"
#include "core/timeline.hpp"

namespace flagos::core {

namespace {

// Bytes that a queued copy reads; pinned where there is pinned memory, so that the copy need not wait.
class Staging {
 public:
  Staging(Device& device, const void* data, std::uint64_t size_bytes) : device_(&device) {
    if (device.support(FLAGOS_FEATURE_PINNED_MEMORY) == FLAGOS_SUPPORT_NATIVE) alloc_pinned(size_bytes);
    if (address_ == 0) {
      host_ = std::make_unique<std::byte[]>(size_bytes);
      address_ = reinterpret_cast<std::uintptr_t>(host_.get());
    }
    std::memcpy(reinterpret_cast<void*>(static_cast<std::uintptr_t>(address_)), data, size_bytes);
  }
  ~Staging() {
    if (host_ == nullptr && address_ != 0) device_->tables().memory.free(device_->native(), address_);
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  flagos_address_t address() const { return address_; }

 private:
  void alloc_pinned(std::uint64_t size_bytes) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_PINNED;
    desc.size_bytes = size_bytes;
    desc.alignment_bytes = device_->info().allocation_alignment;
    if (device_->tables().memory.alloc(device_->native(), &desc, &address_) != FLAGOS_STATUS_OK) address_ = 0;
  }

  Device* device_;  // its release queue holds this, so it outlives this
  flagos_address_t address_ = 0;
  std::unique_ptr<std::byte[]> host_;
};

flagos_status_t update(Stream& stream, flagos_address_t target, const void* data, std::uint64_t size_bytes) {
  const Tables& tables = stream.tables();
  if (tables.has.update) return tables.memory.update(stream.native(), target, data, size_bytes);
  Device& device = stream.device();
  auto staging = std::make_shared<Staging>(device, data, size_bytes);
  // Made beforehand: once the copy is queued, what it reads must stay, whatever runs out.
  std::function<void()> release = [staging]() mutable { staging.reset(); };
  flagos_status_t status = FLAGOS_STATUS_OK;
  {
    const Stream::Submission submission(stream, Stream::Submission::By::core);
    status = tables.memory.copy(stream.native(), target, staging->address(), size_bytes);
  }
  staging.reset();
  if (status == FLAGOS_STATUS_OK) device.releases().add(std::move(release));
  return status;
}

// The shortest pattern that repeats to the same bytes.
std::uint32_t shortest_pattern(const std::uint8_t* pattern, std::uint32_t size_bytes) {
  while (size_bytes > 1 && std::memcmp(pattern, pattern + size_bytes / 2, size_bytes / 2) == 0) size_bytes /= 2;
  return size_bytes;
}

// Host functions that a plugin has still to call. What is given back is used again, so that they cost no memory in the long run.
struct PendingCall {
  HostCall call;
  PendingCall* next;
};
class PendingCalls {
 public:
  static PendingCalls& get() {
    static NeverDestroyed<PendingCalls> made;
    return *made;
  }
  PendingCall& take(const HostCall& call) {
    {
      std::lock_guard lock(mutex_);
      if (free_ != nullptr) {
        PendingCall& taken = *std::exchange(free_, free_->next);
        taken.call = call;
        return taken;
      }
    }
    return *new PendingCall{call, nullptr};
  }
  void give_back(PendingCall& call) {
    std::lock_guard lock(mutex_);
    call.next = std::exchange(free_, &call);
  }

 private:
  std::mutex mutex_;
  PendingCall* free_ = nullptr;
};

// A few repeats are written, then doubled by copies of what is there already.
flagos_status_t fill_by_copies(Stream& stream, const FillCommand& command) {
  std::array<std::uint8_t, 4096> start;
  std::uint64_t done = std::min<std::uint64_t>(command.size_bytes, start.size());
  for (std::uint64_t i = 0; i < done; i += command.pattern_size_bytes)
    std::memcpy(start.data() + i, command.pattern.data(), command.pattern_size_bytes);
  flagos_status_t status = update(stream, command.target, start.data(), done);
  while (status == FLAGOS_STATUS_OK && done < command.size_bytes) {
    const std::uint64_t size = std::min(done, command.size_bytes - done);
    status = stream.tables().memory.copy(stream.native(), command.target + done, command.target, size);
    done += size;
  }
  return status;
}

flagos_status_t copy_rows(Stream& stream, const flagos_copy_2d_desc_t& desc) {
  for (std::uint64_t row = 0; row < desc.height; ++row) {
    const flagos_status_t status =
        stream.tables().memory.copy(stream.native(), desc.target + row * desc.target_pitch_bytes,
                                    desc.source + row * desc.source_pitch_bytes, desc.width_bytes);
    if (status != FLAGOS_STATUS_OK) return status;
  }
  return FLAGOS_STATUS_OK;
}

struct Issuer {
  Stream& stream;
  const Tables& tables = stream.tables();

  flagos_status_t operator()(const CopyCommand& command) const {
    if (command.size_bytes == 0) return FLAGOS_STATUS_OK;
    return tables.memory.copy(stream.native(), command.target, command.source, command.size_bytes);
  }

  flagos_status_t operator()(const Copy2dCommand& command) const {
    const flagos_copy_2d_desc_t& desc = command.desc;
    if (desc.width_bytes == 0 || desc.height == 0) return FLAGOS_STATUS_OK;
    const bool dense = desc.target_pitch_bytes == desc.width_bytes && desc.source_pitch_bytes == desc.width_bytes;
    if (dense || desc.height == 1)
      return tables.memory.copy(stream.native(), desc.target, desc.source, desc.width_bytes * desc.height);
    return tables.has.copy_2d ? tables.memory.copy_2d(stream.native(), &desc) : copy_rows(stream, desc);
  }

  flagos_status_t operator()(const FillCommand& command) const {
    if (command.size_bytes == 0) return FLAGOS_STATUS_OK;
    const std::uint32_t shortest = shortest_pattern(command.pattern.data(), command.pattern_size_bytes);
    if (shortest <= 4 || stream.device().support(FLAGOS_FEATURE_WIDE_FILL) == FLAGOS_SUPPORT_NATIVE)
      return tables.memory.fill(stream.native(), command.target, command.pattern.data(), shortest, command.size_bytes);
    return fill_by_copies(stream, command);
  }

  flagos_status_t operator()(const UpdateCommand& command) const {
    if (command.data.empty()) return FLAGOS_STATUS_OK;
    return update(stream, command.target, command.data.data(), command.data.size());
  }

  flagos_status_t operator()(const PrefetchCommand& command) const {
    if (command.size_bytes == 0) return FLAGOS_STATUS_OK;
    return tables.memory.prefetch(stream.native(), command.address, command.size_bytes);
  }

  flagos_status_t operator()(const WriteValueCommand& command) const {
    if (tables.has.write_value)
      return tables.stream.write_value(stream.native(), command.target, command.value, command.size_bytes);
    if (command.size_bytes == 8) return update(stream, command.target, &command.value, 8);
    const auto narrow = static_cast<std::uint32_t>(command.value);
    return update(stream, command.target, &narrow, 4);
  }

  flagos_status_t operator()(const WaitValueCommand& command) const {
    return tables.stream.wait_value(stream.native(), command.source, command.value, command.size_bytes,
                                    command.compare);
  }

  flagos_status_t operator()(const LaunchCommand& command) const {
    if (is_empty_launch(command.desc)) return FLAGOS_STATUS_OK;
    flagos_launch_desc_t desc = command.desc;
    desc.argument_block = command.arguments.empty() ? nullptr : command.arguments.data();
    return tables.kernel.launch(stream.native(), command.kernel->native(), &desc);
  }

  flagos_status_t operator()(const LaunchPreparedCommand& command) const {
    const Prepared& prepared = *command.prepared;
    if (prepared.empty()) return FLAGOS_STATUS_OK;
    if (prepared.native() != nullptr) return tables.kernel.launch_prepared(stream.native(), prepared.native());
    return (*this)(prepared.launch());
  }

  flagos_status_t operator()(const RecordCommand& command) const {
    if (command.record == nullptr) return issue_record(stream, *command.event);
    NativeEvent& record = *command.record;
    const flagos_status_t status = tables.event.record(record.native(), stream.native());
    if (record.issued.load(std::memory_order_acquire)) return status;  // nobody waits for it to be issued
    if (status != FLAGOS_STATUS_OK) record.failed.store(status, std::memory_order_release);
    record.issued.store(true, std::memory_order_release);
    soft_wake();
    return status;
  }

  flagos_status_t operator()(const WaitEventCommand& command) const {
    std::shared_ptr<NativeEvent> record = command.record;
    if (record == nullptr) record = command.event->current();
    // The wait for a record of another plugin, or for one that never happened, is over by now.
    if (&record->device().plugin() != &stream.device().plugin() || record->failed.load(std::memory_order_acquire) != 0)
      return FLAGOS_STATUS_OK;
    return tables.stream.wait_event(stream.native(), record->native());
  }

  flagos_status_t operator()(const HostCommand& command) const {
    PendingCall& call = PendingCalls::get().take({command.function, command.user_data});
    const flagos_status_t status = tables.stream.launch_host(
        stream.native(),
        [](void* data, flagos_status_t stream_status) {
          PendingCall& passed = *static_cast<PendingCall*>(data);
          const HostCall copy = passed.call;
          PendingCalls::get().give_back(passed);
          call_host_function(copy.function, copy.user_data, stream_status);
        },
        &call);
    if (status != FLAGOS_STATUS_OK) PendingCalls::get().give_back(call);
    return status;
  }

  flagos_status_t operator()(const WaitTimelineCommand& command) const {
    if (is_native_timeline(stream, *command.timeline))
      return tables.timeline.stream_wait(stream.native(), command.timeline->native(), command.value);
    return FLAGOS_STATUS_OK;  // it was reached already, or core would have queued the wait itself
  }

  flagos_status_t operator()(const SignalTimelineCommand& command) const {
    if (is_native_timeline(stream, *command.timeline))
      return tables.timeline.stream_signal(stream.native(), command.timeline->native(), command.value);
    return issue_notification(stream, [timeline = command.timeline, value = command.value](flagos_status_t status) {
      status == FLAGOS_STATUS_OK ? timeline->signal_or_fail(value) : timeline->fail(status);
    });
  }

  flagos_status_t operator()(const GraphCommand& command) const {
    const auto& program = *static_cast<const Program*>(command.program.get());
    if (program.native != nullptr) return tables.graph.launch(program.native->native(), stream.native());
    return replay(stream, program);
  }

  flagos_status_t operator()(const LaunchMarkCommand& command) const {
    (command.begins ? tables.profiling.begin_launch : tables.profiling.end_launch)(stream.native());
    return FLAGOS_STATUS_OK;
  }

  flagos_status_t operator()(const PeerCopyCommand&) const {
    throw_error(FLAGOS_STATUS_INTERNAL, "a copy between devices was not held back");  // see needs_soft_queue
  }

  flagos_status_t operator()(const WaitSharedCommand&) const { return FLAGOS_STATUS_OK; }  // it is over by now

  flagos_status_t operator()(const OperatorCommand& command) const {
    return tables.operators.run(stream.native(), &command.call->desc());
  }

  flagos_status_t operator()(const CollectiveCommand& command) const {
    return issue_collectives(stream, *command.calls);
  }

  flagos_status_t operator()(const NotifyCommand& command) const {
    return issue_notification(stream, command.function);
  }
};

}  // namespace

void call_host_function(flagos_host_function_t function, void* user_data, flagos_status_t status) noexcept {
  ThreadRecord& record = this_thread();
  const bool before = std::exchange(record.in_callback, true);
  function(user_data, status);
  record.in_callback = before;
}

flagos_status_t issue_notification(Stream& stream, std::function<void(flagos_status_t)> function) {
  using Function = std::function<void(flagos_status_t)>;
  auto* held = new Function(std::move(function));
  const flagos_status_t status = stream.tables().stream.launch_host(
      stream.native(),
      [](void* data, flagos_status_t stream_status) {
        const std::unique_ptr<Function> taken(static_cast<Function*>(data));
        (*taken)(stream_status);
      },
      held);
  if (status != FLAGOS_STATUS_OK) delete held;
  return status;
}

flagos_status_t issue_record(Stream& stream, Event& event) {
  if (event.rare() == 0) return stream.tables().event.record(event.native(), stream.native());
  return issue(stream, RecordCommand{Ref<Event>(&event), event.replace()});
}

flagos_status_t issue(Stream& stream, const Command& command) {
  const Stream::Submission submission(stream, Stream::Submission::By::core);
  return std::visit(Issuer{stream}, command);
}

}  // namespace flagos::core
