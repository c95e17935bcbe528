#include "conformance/program/program.hpp"

#include <iterator>

#include "conformance/program/expect.hpp"

namespace flagos::conformance {
namespace {

constexpr std::size_t most_streams = 4, most_buffers = 10, most_events = 5, most_timelines = 3,
                      most_pools = 2;
constexpr std::uint32_t largest_words = 1024;

template <typename T>
T take_out(std::vector<T>& from, std::size_t index) {
  T taken = std::move(from[index]);
  from.erase(from.begin() + static_cast<std::ptrdiff_t>(index));
  return taken;
}

}  // namespace

RandomProgram::RandomProgram(std::span<const Place> places, Choices& choices, Board& board,
                             Meter* meter)
    : places_(places), choices_(choices), board_(board), meter_(meter) {}

// What a failed program leaves behind is nobody's: it ends with the runtime.
RandomProgram::~RandomProgram() = default;

void RandomProgram::fail(const std::string& what) const {
  throw Mismatch(fmt::format("step {}, call {}: {}", steps_, calls_, what));
}

void RandomProgram::demand(bool condition, const char* what) const {
  if (!condition) fail(what);
}

std::uint64_t RandomProgram::live_objects() const {
  return streams_.size() + buffers_.size() + events_.size() + timelines_.size() + pools_.size() +
         graphs_.size();
}

void RandomProgram::step() {
  ++steps_;
  switch (choices_.below(32)) {
    case 0:
      make_stream(any_place());
      break;
    case 1:
      drop_stream();
      break;
    case 2:
    case 3:
      make_buffer();
      break;
    case 4:
      if (!buffers_.empty())
        drop_buffer(choices_.below(static_cast<std::uint32_t>(buffers_.size())));
      break;
    case 5:
      make_event();
      break;
    case 6:
      drop_event();
      break;
    case 7:
      make_timeline();
      break;
    case 8:
      drop_timeline();
      break;
    case 9:
      make_pool();
      break;
    case 10:
    case 11:
      alloc_from_pool();
      break;
    case 12:
      drop_pool();
      break;
    case 13:
      update();
      break;
    case 14:
      copy_2d();
      break;
    case 15:
      copy_to_other_place();
      break;
    case 16:
      values();
      break;
    case 17:
      host_function();
      break;
    case 18:
      use_event();
      break;
    case 19:
      use_timeline();
      break;
    case 20:
      make_graph();
      break;
    case 21:
    case 22:
      launch_graph();
      break;
    case 23:
      change_graph();
      break;
    case 24:
      poison();
      break;
    case 25:
      bad_arguments();
      break;
    case 26:
      bad_handle();
      break;
    case 27:
      foreign_handle();
      break;
    case 28:
      if (!buffers_.empty()) compare(*any_buffer());
      break;
    default:
      work();
      break;
  }
  if (choices_.once_in(8)) show();
}

void RandomProgram::finish() {
  while (!graphs_.empty()) drop_graph(graphs_.size() - 1);
  while (!buffers_.empty()) {
    compare(*buffers_.back());
    drop_buffer(buffers_.size() - 1);
  }
  while (!pools_.empty()) drop_pool();
  while (!events_.empty()) drop_event();
  while (!timelines_.empty()) drop_timeline();
  while (!streams_.empty()) drop_stream();
}

// ---- streams -------------------------------------------------------------------------------------------------------

RandomProgram::StreamPointer RandomProgram::make_stream(std::size_t place) {
  if (streams_.size() >= most_streams) {
    for (const StreamPointer& stream : streams_) {
      if (stream->place == place) return stream;
    }
    drop_stream();
  }
  flagos_stream_t* handle = nullptr;
  FLAGOS_EXPECT_OK(flagos_stream_create, places_[place].device, nullptr, &handle);
  demand(handle != nullptr, "a stream is there");
  streams_.push_back(std::make_shared<Stream>(Stream{handle, place, ++streams_made_}));
  return streams_.back();
}

RandomProgram::StreamPointer RandomProgram::stream_of(std::size_t place) {
  std::vector<StreamPointer> fitting;
  for (const StreamPointer& stream : streams_) {
    if (stream->place == place) fitting.push_back(stream);
  }
  if (fitting.empty()) return make_stream(place);
  return fitting[choices_.below(static_cast<std::uint32_t>(fitting.size()))];
}

void RandomProgram::drop_stream() {
  if (streams_.empty()) return;
  destroy(take_out(streams_, choices_.below(static_cast<std::uint32_t>(streams_.size()))));
}

// Whoever uses what the stream works on waits for a fence, or the stream is waited for now.
void RandomProgram::destroy(const StreamPointer& stream) {
  if (!stream->timelines.empty() || choices_.once_in(2)) synchronize(stream);
  for (const BufferPointer& buffer : buffers_) {
    if (buffer->home != stream) continue;
    buffer->home = nullptr;
    note(*buffer, "its stream was destroyed");
    if (stream->finished == stream->submitted) continue;
    FLAGOS_EXPECT_OK(flagos_event_create, places_[stream->place].device, nullptr, &buffer->fence);
    FLAGOS_EXPECT_OK(flagos_event_record, buffer->fence, stream->handle);
  }
  retire(stream->handle);
  FLAGOS_EXPECT_OK(flagos_stream_destroy, stream->handle);
  stream->handle = nullptr;
}

void RandomProgram::synchronize(const StreamPointer& stream) {
  FLAGOS_EXPECT_OK(flagos_stream_synchronize, stream->handle, patience_ns);
  stream->finished = stream->submitted;
  for (flagos_timeline_t* const timeline : stream->timelines) {
    retire(timeline);
    FLAGOS_EXPECT_OK(flagos_timeline_destroy, timeline);
  }
  stream->timelines.clear();
  std::uint32_t complete = 0;
  FLAGOS_EXPECT_OK(flagos_stream_query, stream->handle, &complete);
  demand(complete == 1, "a stream that was waited for is complete");
}

// ---- buffers and pools ---------------------------------------------------------------------------------------------

void RandomProgram::make_buffer() {
  if (buffers_.size() >= most_buffers) return drop_buffer(choices_.below(most_buffers));
  const std::size_t place = any_place();
  const std::uint32_t size = 4 * (1 + choices_.below(largest_words));
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = choices_.once_in(4) ? FLAGOS_MEMORY_KIND_PINNED : FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = size;
  desc.flags = FLAGOS_MEMORY_FLAG_ZERO;
  flagos_address_t address = 0;
  FLAGOS_EXPECT_OK(flagos_memory_alloc, places_[place].device, &desc, &address);
  demand(address != 0, "memory has an address");
  buffers_.push_back(std::make_shared<Buffer>(
      Buffer{place, address, std::vector<std::uint8_t>(size), nullptr, nullptr}));
}

RandomProgram::BufferPointer RandomProgram::any_buffer() {
  return buffers_[choices_.below(static_cast<std::uint32_t>(buffers_.size()))];
}

RandomProgram::BufferPointer RandomProgram::buffer_of(std::size_t place, const Buffer* other_than) {
  std::vector<BufferPointer> fitting;
  for (const BufferPointer& buffer : buffers_) {
    if (buffer->place == place && buffer.get() != other_than) fitting.push_back(buffer);
  }
  if (fitting.empty()) return nullptr;
  return fitting[choices_.below(static_cast<std::uint32_t>(fitting.size()))];
}

// Memory may go while work on it is pending; what would be launched again on it goes first.
void RandomProgram::drop_buffer(std::size_t index) {
  const BufferPointer buffer = buffers_[index];
  for (std::size_t i = graphs_.size(); i-- > 0;) {
    const auto& works = graphs_[i].works;
    const bool uses = std::any_of(works.begin(), works.end(), [&](const Work& work) {
      return work.target == buffer || work.source == buffer;
    });
    if (uses) drop_graph(i);
  }
  if (buffer->pool != nullptr) {
    const StreamPointer stream = stream_of(buffer->place);
    bring(*buffer, stream);
    FLAGOS_EXPECT_OK(flagos_memory_pool_free, buffer->pool->handle, stream->handle,
                     buffer->address);
    --buffer->pool->live;
  } else {
    FLAGOS_EXPECT_OK(flagos_memory_free, places_[buffer->place].device, buffer->address);
  }
  buffers_.erase(std::find(buffers_.begin(), buffers_.end(), buffer));
  if (buffer->fence != nullptr) FLAGOS_EXPECT_OK(flagos_event_destroy, buffer->fence);
}

void RandomProgram::make_pool() {
  if (pools_.size() >= most_pools) return drop_pool();
  const std::size_t place = any_place();
  flagos_memory_pool_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  flagos_memory_pool_t* handle = nullptr;
  FLAGOS_EXPECT_OK(flagos_memory_pool_create, places_[place].device, &desc, &handle);
  pools_.push_back(std::make_shared<Pool>(Pool{handle, place}));
}

// The bytes of a block are undefined: it is filled at once.
void RandomProgram::alloc_from_pool() {
  if (pools_.empty() || buffers_.size() >= most_buffers) return make_pool();
  const std::shared_ptr<Pool> pool =
      pools_[choices_.below(static_cast<std::uint32_t>(pools_.size()))];
  const StreamPointer stream = stream_of(pool->place);
  const std::uint32_t size = 4 * (1 + choices_.below(largest_words));
  flagos_address_t address = 0;
  FLAGOS_EXPECT_OK(flagos_memory_pool_alloc, pool->handle, stream->handle, size, &address);
  ++pool->live;
  const std::uint8_t value = static_cast<std::uint8_t>(choices_.below(256));
  FLAGOS_EXPECT_OK(flagos_memory_fill, stream->handle, address, &value, 1, size);
  ++stream->submitted;
  buffers_.push_back(std::make_shared<Buffer>(
      Buffer{pool->place, address, std::vector<std::uint8_t>(size, value), pool, stream}));
  flagos_memory_pool_statistics_t statistics{};
  statistics.struct_size = sizeof(statistics);
  FLAGOS_EXPECT_OK(flagos_memory_pool_get_statistics, pool->handle, &statistics);
  demand(statistics.live_blocks == pool->live, "a pool counts its live blocks");
  if (choices_.once_in(4))
    FLAGOS_EXPECT_OK(flagos_memory_pool_trim, pool->handle, choices_.below(65536));
}

void RandomProgram::drop_pool() {
  if (pools_.empty()) return;
  const std::size_t index = choices_.below(static_cast<std::uint32_t>(pools_.size()));
  const std::shared_ptr<Pool> pool = pools_[index];
  if (pool->live != 0) {
    FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_BUSY, flagos_memory_pool_destroy, pool->handle);
    return;
  }
  take_out(pools_, index);
  retire(pool->handle);
  FLAGOS_EXPECT_OK(flagos_memory_pool_destroy, pool->handle);
}

// ---- events and timelines ------------------------------------------------------------------------------------------

void RandomProgram::make_event() {
  if (events_.size() >= most_events) return drop_event();
  const std::size_t place = any_place();
  const bool timing = choices_.once_in(2);
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.flags = timing ? 0 : FLAGOS_EVENT_FLAG_NO_TIMING;
  flagos_event_t* handle = nullptr;
  FLAGOS_EXPECT_OK(flagos_event_create, places_[place].device, &desc, &handle);
  std::uint32_t complete = 0;
  FLAGOS_EXPECT_OK(flagos_event_query, handle, &complete);
  demand(complete == 1, "an event that was never recorded is complete");
  events_.push_back({handle, place, timing, nullptr});
}

void RandomProgram::drop_event() {
  if (events_.empty()) return;
  const Event event = take_out(events_, choices_.below(static_cast<std::uint32_t>(events_.size())));
  retire(event.handle);
  FLAGOS_EXPECT_OK(flagos_event_destroy, event.handle);
}

void RandomProgram::make_timeline() {
  if (timelines_.size() >= most_timelines) return drop_timeline();
  const std::size_t place = any_place();
  const std::uint64_t value = choices_.below(1000);
  flagos_timeline_t* handle = nullptr;
  FLAGOS_EXPECT_OK(flagos_timeline_create, places_[place].device, value, &handle);
  timelines_.push_back({handle, place, value});
}

// Streams may not have come to their waits yet: what was reached passes.
void RandomProgram::drop_timeline() {
  if (timelines_.empty()) return;
  const Timeline timeline =
      take_out(timelines_, choices_.below(static_cast<std::uint32_t>(timelines_.size())));
  retire(timeline.handle);
  FLAGOS_EXPECT_OK(flagos_timeline_destroy, timeline.handle);
}

void RandomProgram::use_event() {
  if (events_.empty()) return make_event();
  Event& event = events_[choices_.below(static_cast<std::uint32_t>(events_.size()))];
  const StreamPointer stream = stream_of(choices_.once_in(4) ? any_place() : event.place);
  if (stream->place != event.place) {
    FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_INVALID_ARGUMENT, flagos_event_record, event.handle,
                         stream->handle);
    return;
  }
  FLAGOS_EXPECT_OK(flagos_event_record, event.handle, stream->handle);
  event.recorded_on = stream;
  event.recorded_at = ++stream->submitted;
  if (choices_.once_in(2)) {
    FLAGOS_EXPECT_OK(flagos_event_synchronize, event.handle, patience_ns);
    stream->finished = std::max(stream->finished, event.recorded_at);
  }
  std::uint32_t complete = 0;
  FLAGOS_EXPECT_OK(flagos_event_query, event.handle, &complete);
  demand(complete == 1 || stream->finished < event.recorded_at,
         "an event that was waited for is complete");
  // The record behind the one that the elapsed time begins with is on the same stream or on another one.
  for (const Event& start : events_) {
    if (start.place != event.place || start.recorded_on == nullptr || !start.timing ||
        !event.timing)
      continue;
    const bool both =
        start.recorded_on->finished >= start.recorded_at && stream->finished >= event.recorded_at;
    std::int64_t elapsed = 0;
    const auto status =
        expect({FLAGOS_STATUS_OK, FLAGOS_STATUS_NOT_READY}, "flagos_event_get_elapsed",
               [&] { return flagos_event_get_elapsed(start.handle, event.handle, &elapsed); });
    demand(status == FLAGOS_STATUS_OK || !both, "the time between two complete events is known");
    break;
  }
}

void RandomProgram::use_timeline() {
  if (timelines_.empty()) return make_timeline();
  Timeline& timeline = timelines_[choices_.below(static_cast<std::uint32_t>(timelines_.size()))];
  const std::uint64_t next = timeline.value + 1 + choices_.below(3);
  const StreamPointer stream = stream_of(timeline.place);
  switch (choices_.below(3)) {
    case 0:  // by a stream
      FLAGOS_EXPECT_OK(flagos_stream_signal_timeline, stream->handle, timeline.handle, next);
      ++stream->submitted;
      // Signals of two streams would not be in order: the next one comes behind this one.
      FLAGOS_EXPECT_OK(flagos_timeline_wait, 1, &timeline.handle, &next, FLAGOS_WAIT_MODE_ALL,
                       patience_ns, nullptr);
      break;
    case 1:  // the wait comes before the signal
      FLAGOS_EXPECT_OK(flagos_stream_wait_timeline, stream->handle, timeline.handle, next);
      ++stream->submitted;
      FLAGOS_EXPECT_OK(flagos_timeline_signal, timeline.handle, next);
      break;
    default:
      FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_TIMEOUT, flagos_timeline_wait, 1, &timeline.handle, &next,
                           FLAGOS_WAIT_MODE_ANY, 0, nullptr);
      FLAGOS_EXPECT_OK(flagos_timeline_signal, timeline.handle, next);
      FLAGOS_EXPECT_STATUS(FLAGOS_STATUS_INVALID_ARGUMENT, flagos_timeline_signal, timeline.handle,
                           timeline.value);
      break;
  }
  timeline.value = next;
  std::uint64_t value = 0;
  FLAGOS_EXPECT_OK(flagos_timeline_query, timeline.handle, &value);
  demand(value == next, "a timeline has the value that was signalled");
}

}  // namespace flagos::conformance
