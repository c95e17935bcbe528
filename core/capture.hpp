// Captures of streams: submitted commands become nodes of a graph instead of work.
#pragma once

#include <flagos.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/command.hpp"
#include "core/device.hpp"
#include "core/graph.hpp"

namespace flagos::core {

class Event;
class Stream;

class Capture {
 public:
  // A stream that takes part, and the nodes that its next one runs behind.
  struct Member {
    Ref<Stream> stream;
    std::vector<flagos_graph_node_t> last;
  };

  explicit Capture(Device& device);

  std::uint64_t id() const { return id_; }
  std::uint32_t graph_number() const { return number_; }
  Device& device() const { return *device_; }
  flagos_capture_status_t status() const { return status_.load(std::memory_order_acquire); }
  void invalidate() { status_.store(FLAGOS_CAPTURE_STATUS_INVALIDATED, std::memory_order_release); }

  // All that follows under `mutex`.
  std::mutex mutex;
  bool ended = false;
  std::vector<Member> members;  // the stream that it began on first
  GraphBody body;

  Member* find(const Stream& stream);
  void add_node(Member& member, GraphNode node);
  // Whether all that was recorded runs before the end of the first stream.
  bool joined() const;

 private:
  const std::uint64_t id_;
  const std::uint32_t number_;
  std::atomic<flagos_capture_status_t> status_{FLAGOS_CAPTURE_STATUS_ACTIVE};
  Ref<Device> device_;
};

// ---- for stream.cpp and event.cpp ----

// Records a command of a capturing stream. Throws NOT_PERMITTED, and invalidates the capture, for what cannot be
// captured.
flagos_status_t capture_command(Stream& stream, Command command);
// A wait for an event whose last record lies in a capture (Event::captured): draws an ordinary stream in, or adds the
// dependency to one that takes part. False when that capture is over: the event is an ordinary one again.
bool capture_wait(Stream& stream, Event& event);
// A host wait or query of an event whose last record lies in a capture: throws NOT_PERMITTED and invalidates the
// capture. Returns when that capture is over.
void capture_forbid(Event& event, const char* name);
// Invalidates the capture of `stream`, which is capturing; `name` is the call that was made.
void capture_invalidate(Stream& stream, const char* name);
// The stream's handle is being destroyed: ends the capture that it began, invalidates one that it was drawn into.
void capture_forget(Stream& stream);

}  // namespace flagos::core
