// The trace layer: each thread appends to buffers of its own without a lock; a flush reads them all.
#include "core/trace.hpp"

#include <flagos.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "core/entry.hpp"
#include "core/log.hpp"

namespace flagos::core {

namespace {

struct TraceEvent {
  const char* name;  // static, or owned by the buffer for good
  std::uint64_t start_ns;
  std::uint64_t duration_ns;
};

struct Chunk {
  static constexpr std::uint32_t capacity = 1024;
  std::array<TraceEvent, capacity> events;
  std::atomic<std::uint32_t> used{0};  // written by the thread, read by a flush
  std::atomic<Chunk*> next{nullptr};
};

// One thread's events; lives until the end of the process, as a flush may come after the thread.
struct TraceBuffer {
  static constexpr std::uint32_t most_chunks = 1024;
  std::uint64_t thread = 0;
  Chunk first;
  Chunk* last = &first;
  std::uint32_t chunks = 1;
};

struct OpenRange {
  std::string name;
  std::uint64_t start_ns;
};

struct Trace {
  std::mutex mutex;  // of buffers and file
  std::vector<TraceBuffer*> buffers;
  std::string file;
  bool at_exit = false;
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<bool> warned{false};
};

Trace& trace() {
  static auto& the_trace = *new Trace;  // never destroyed: it is written at exit
  return the_trace;
}

thread_local TraceBuffer* buffer = nullptr;
thread_local std::vector<OpenRange>* ranges = nullptr;  // as many as were opened while tracing

// Ends a thread's range stack with the thread; the events stay.
struct RangesOwner {
  std::vector<OpenRange> stack;
  RangesOwner() { ranges = &stack; }
  ~RangesOwner() { ranges = nullptr; }
};

std::vector<OpenRange>& open_ranges() {
  static thread_local RangesOwner owner;
  return owner.stack;
}

TraceBuffer& this_buffer() {
  if (buffer != nullptr) return *buffer;
  auto fresh = std::make_unique<TraceBuffer>();
  fresh->thread = this_thread().number;
  std::lock_guard lock(trace().mutex);
  trace().buffers.push_back(fresh.get());
  buffer = fresh.release();
  return *buffer;
}

void append(const TraceEvent& event) {
  TraceBuffer& target = this_buffer();
  std::uint32_t used = target.last->used.load(std::memory_order_relaxed);
  if (used == Chunk::capacity) {
    if (target.chunks == TraceBuffer::most_chunks) {
      trace().dropped.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    auto* next = new Chunk;
    target.last->next.store(next, std::memory_order_release);
    target.last = next;
    ++target.chunks;
    used = 0;
  }
  target.last->events[used] = event;
  target.last->used.store(used + 1, std::memory_order_release);
}

std::string json_text(std::string_view text) {
  std::string out;
  // Control characters and broken UTF-8 come back as \xNN, whose backslash is doubled here.
  for (const char c : escape(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// Microseconds, as the format wants them, without losing the nanoseconds.
std::string microseconds(std::uint64_t ns) { return fmt::format("{}.{:03}", ns / 1000, ns % 1000); }

void write_buffer(std::string& out, const TraceBuffer& source, int pid) {
  out += fmt::format(
      ",\n{{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":{},\"tid\":{},\"args\":{{\"name\":\"thread {}\"}}}}", pid,
      source.thread, source.thread);
  for (const Chunk* chunk = &source.first; chunk != nullptr; chunk = chunk->next.load(std::memory_order_acquire)) {
    const std::uint32_t used = chunk->used.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < used; ++i) {
      const TraceEvent& event = chunk->events[i];
      out += fmt::format(
          ",\n{{\"name\":\"{}\",\"cat\":\"flagos\",\"ph\":\"X\",\"ts\":{},\"dur\":{},\"pid\":{},\"tid\":{}}}",
          json_text(event.name), microseconds(event.start_ns), microseconds(event.duration_ns), pid, source.thread);
    }
  }
}

// False, and no file of that name is changed, when it cannot be written whole.
bool write_file(const std::string& path, const std::string& text) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, ::getpid());
  std::FILE* file = std::fopen(temporary.c_str(), "we");
  if (file == nullptr) return false;
  bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  whole = std::fclose(file) == 0 && whole;
  if (whole && std::rename(temporary.c_str(), path.c_str()) == 0) return true;
  std::remove(temporary.c_str());
  return false;
}

void enable_layer(std::string_view layer, const char* trace_file) {
  if (layer == "validation") {
    process_state.fetch_or(process_validating, std::memory_order_relaxed);
  } else if (layer == "trace") {
    std::lock_guard lock(trace().mutex);
    if (trace_file != nullptr && trace_file[0] != '\0') trace().file = trace_file;
    if (trace().file.empty()) trace().file = fmt::format("flagos-trace-{}.json", ::getpid());
    if (!std::exchange(trace().at_exit, true)) std::atexit([] { flush_trace(); });
    process_state.fetch_or(process_tracing, std::memory_order_relaxed);
  } else if (layer == "crash") {
    enable_crash_report();
  } else {
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "there is no layer '{}'; there are 'validation', 'trace' and 'crash'",
                escape(layer));
  }
}

}  // namespace

void enable_layers(std::string_view layers, const char* trace_file) {
  while (!layers.empty()) {
    const std::size_t comma = layers.find(',');
    std::string_view layer = layers.substr(0, comma);
    layers.remove_prefix(comma == std::string_view::npos ? layers.size() : comma + 1);
    while (!layer.empty() && layer.front() == ' ') layer.remove_prefix(1);
    while (!layer.empty() && layer.back() == ' ') layer.remove_suffix(1);
    if (!layer.empty()) enable_layer(layer, trace_file);
  }
}

void trace_event(std::string_view name, bool is_static, std::uint64_t start_ns, std::uint64_t end_ns) noexcept {
  guard(
      [&] {
        const char* kept = name.data();
        if (!is_static) {
          auto copy = std::make_unique<char[]>(name.size() + 1);  // ends with a 0
          name.copy(copy.get(), name.size());
          kept = copy.release();
        }
        append({kept, start_ns, end_ns - start_ns});
      },
      [](flagos_status_t, const char*) { trace().dropped.fetch_add(1, std::memory_order_relaxed); });
}

std::string trace_json() {
  const int pid = ::getpid();
  std::string out = fmt::format(
      "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
      "{{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":{},\"tid\":0,\"args\":{{\"name\":\"flagos\"}}}}",
      pid);
  std::lock_guard lock(trace().mutex);
  for (const TraceBuffer* source : trace().buffers) write_buffer(out, *source, pid);
  out += fmt::format("\n],\"otherData\":{{\"dropped_events\":{}}}}}\n", trace_dropped());
  return out;
}

std::uint64_t trace_dropped() { return trace().dropped.load(std::memory_order_relaxed); }

void flush_trace() noexcept {
  const std::uint32_t state = process_state.load(std::memory_order_relaxed);
  if ((state & process_tracing) == 0 || (state & process_forked) != 0) return;
  guard(
      [] {
        const std::string text = trace_json();
        std::lock_guard lock(trace().mutex);
        if (write_file(trace().file, text)) return;
        if (!trace().warned.exchange(true))
          log(FLAGOS_LOG_LEVEL_WARNING, "the trace cannot be written to '{}'; its events are dropped", trace().file);
      },
      [](flagos_status_t, const char* text) {
        log(FLAGOS_LOG_LEVEL_WARNING, "the trace cannot be written: {}", text);
      });
}

WatchedCall::WatchedCall(const char* name, ThreadRecord& record, std::uint32_t state)
    : name_(name), record_(record), state_(state) {
  if (state_ & process_recording) {
    CallRecord& calls = record_.calls;
    outer_ = std::exchange(calls.running, name);
    outer_handle_ = std::exchange(calls.handle, nullptr);
    calls.names[calls.count++ % CallRecord::kept] = name;
  }
  if (state_ & process_tracing) start_ns_ = now_ns();
}

WatchedCall::~WatchedCall() {
  if (state_ & process_tracing) trace_event(name_, true, start_ns_, now_ns());
  if ((state_ & process_recording) == 0) return;
  record_.calls.running = outer_;
  record_.calls.handle = outer_handle_;
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_range_push(const char* name) {
  return entry(
      __func__,
      [&] {
        require(name, "name");
        const bool tracing = (process_state.load(std::memory_order_relaxed) & process_tracing) != 0;
        if (tracing) open_ranges().push_back({name, now_ns()});
        ++this_thread().range_depth;
      },
      Callback::allowed);
}

flagos_status_t flagos_range_pop(void) {
  return entry(
      __func__,
      [&] {
        std::uint32_t& depth = this_thread().range_depth;
        if (depth == 0) throw_error(FLAGOS_STATUS_NOT_FOUND, "no range of this thread is open");
        --depth;
        // Ranges from before the layer was turned on are not in the trace.
        if (ranges == nullptr || ranges->empty()) return;
        trace_event(ranges->back().name, false, ranges->back().start_ns, now_ns());
        ranges->pop_back();
      },
      Callback::allowed);
}
