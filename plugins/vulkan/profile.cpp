#include "plugins/vulkan/profile.hpp"

#include <algorithm>
#include <cstring>

#include "plugins/vulkan/batch.hpp"
#include "plugins/vulkan/command.hpp"
#include "plugins/vulkan/device.hpp"
#include "plugins/vulkan/handles.hpp"
#include "plugins/vulkan/kernel.hpp"
#include "plugins/vulkan/stream.hpp"

namespace flagos::vulkan {
namespace {

struct Kind {
  flagos_record_kind_t kind;
  const char* name;
};

Kind kind_of(const Command& command) noexcept {
  switch (command.type) {
    case Command::Type::launch:
      return {FLAGOS_RECORD_KIND_KERNEL, command.kernel->name().c_str()};
    case Command::Type::copy:
      return {FLAGOS_RECORD_KIND_COPY, "copy"};
    case Command::Type::fill:
      return {FLAGOS_RECORD_KIND_FILL, "fill"};
    default:
      return {FLAGOS_RECORD_KIND_HOST, "host"};
  }
}

bool is_operation(Command::Type type) noexcept {
  return type == Command::Type::launch || type == Command::Type::copy ||
         type == Command::Type::fill || type == Command::Type::host;
}

flagos_record_t record_of(const Command& command, std::uint64_t stream_id) noexcept {
  flagos_record_t record{};
  const Kind kind = kind_of(command);
  record.kind = kind.kind;
  std::strncpy(record.name, kind.name, sizeof(record.name) - 1);
  record.stream_id = stream_id;
  record.correlation_id = command.correlation;
  record.size_bytes = command.bytes;
  return record;
}

}  // namespace

Profile::Profile(Device& device)
    : device_(device), stream_id_(device.instance().next_stream_id.fetch_add(1)) {}

void Profile::note(Command& command, std::uint64_t submitted) const noexcept {
  if (!device_.is_profiling() || !is_operation(command.type)) return;
  command.correlation = launch_ != 0 ? launch_ : submitted + 1;
  command.queued_ns = monotonic_ns();
}

void Profile::begin(const Command& command) {
  Operation& operation = begun_.emplace_back();
  operation.sequence = command.sequence;
  operation.record = record_of(command, stream_id_);
  operation.record.queued_ns = device_.device_ns(command.queued_ns);
}

// In the order of the stream. What failed between its two stamps has no second one.
void Profile::finish(const Batch& batch) noexcept {
  for (const Stamp& stamp : batch.stamps()) {
    while (!begun_.empty() && begun_.front().sequence < stamp.sequence) begun_.pop_front();
    if (begun_.empty() || begun_.front().sequence != stamp.sequence) continue;
    flagos_record_t& record = begun_.front().record;
    const std::uint64_t time_ns =
        stamp.query == UINT32_MAX ? monotonic_ns() : batch.timestamp_ns(stamp.query);
    if (!stamp.ends) {
      record.submitted_ns = device_.device_ns(batch.submitted_ns);
      record.started_ns = time_ns;
      continue;
    }
    record.ended_ns = time_ns;
    emit(record);
    begun_.pop_front();
  }
}

void Profile::emit_host(const Command& command, std::uint64_t started_ns,
                        std::uint64_t ended_ns) noexcept {
  flagos_record_t record = record_of(command, stream_id_);
  record.queued_ns = device_.device_ns(command.queued_ns);
  record.submitted_ns = record.started_ns = device_.device_ns(started_ns);
  record.ended_ns = device_.device_ns(ended_ns);
  emit(record);
}

// Two clocks never agree on the last microsecond: what must come later is no earlier.
void Profile::emit(flagos_record_t& record) noexcept {
  record.submitted_ns = std::max(record.submitted_ns, record.queued_ns);
  record.started_ns = std::max({record.started_ns, record.submitted_ns, last_ended_ns_});
  record.ended_ns = std::max(record.ended_ns, record.started_ns);
  last_ended_ns_ = record.ended_ns;
  device_.host().emit_record(to_c(&device_), record);
}

// ---- the device's clock ----------------------------------------------------------------------

Device::Moment Device::look_at_clock() {
  Moment moment{};
  moment.before_ns = moment.device_ns = moment.after_ns = monotonic_ns();
  if (physical_.timestamp_bits() == 0) return moment;
  run_internally([&](Stream& stream) {
    Lock lock(*this);
    if (is_lost()) throw Error(*loss());
    RecordRef record = instance_.records.take();
    record->has_timing = true;
    moment.before_ns = monotonic_ns();
    Command command(Command::Type::record);
    command.record = record;
    stream.submit(std::move(command));
    stream.wait_for(stream.submitted(), Deadline(UINT64_MAX), lock.raw());
    moment.after_ns = monotonic_ns();
    const Failure failure = record->failure();
    moment.device_ns = record->time_ns();
    record = RecordRef();
    if (failure) throw Error(*failure);
  });
  return moment;
}

// A look that took short tells most exactly what the two clocks said at once.
Device::Moment Device::look_well() {
  constexpr int looks = 5;
  Moment best = look_at_clock();
  for (int i = 1; i < looks; ++i) {
    const Moment moment = look_at_clock();
    if (moment.after_ns - moment.before_ns < best.after_ns - best.before_ns) best = moment;
  }
  return best;
}

void Device::set_profiling(bool enabled) {
  const Moment moment = enabled ? look_well() : Moment{};
  Lock lock(*this);
  is_profiling_ = enabled;
  // So that what the host saw before the device never seems to be after it.
  if (enabled) clock_offset_ns_ = static_cast<std::int64_t>(moment.device_ns - moment.after_ns);
}

void stream_begin_launch(flagos_plugin_stream_t* stream) noexcept {
  Stream& self = from_c(stream);
  Lock lock(self.device());
  self.mark_launch(true);
}

void stream_end_launch(flagos_plugin_stream_t* stream) noexcept {
  Stream& self = from_c(stream);
  Lock lock(self.device());
  self.mark_launch(false);
}

flagos_status_t profiling_enable(flagos_plugin_device_t* device, std::uint32_t enabled) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] { self.set_profiling(enabled != 0); });
}

flagos_status_t profiling_get_clock(flagos_plugin_device_t* device, std::uint64_t* out_device_ns,
                                    std::uint64_t* out_host_ns) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    const Device::Moment moment = self.look_at_clock();
    *out_device_ns = moment.device_ns;
    *out_host_ns = moment.before_ns + (moment.after_ns - moment.before_ns) / 2;
  });
}

}  // namespace flagos::vulkan
