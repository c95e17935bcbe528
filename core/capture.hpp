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
  Capture(Device& device, Stream& origin);

  std::uint64_t id() const { return id_; }
  flagos_capture_status_t status() const { return status_.load(std::memory_order_acquire); }
  void invalidate() { status_.store(FLAGOS_CAPTURE_STATUS_INVALIDATED, std::memory_order_release); }

 private:
  friend flagos_status_t capture_command(Stream& stream, Command command);
  friend bool capture_wait(Stream& stream, Event& event);
  friend void capture_forget(Stream& stream);
  friend struct CaptureCalls;

  // A stream that takes part, and the nodes that its next one runs behind.
  struct Member {
    Ref<Stream> stream;
    std::vector<flagos_graph_node_t> last;
  };
  Member* find(const Stream& stream);
  void append(Member& member, Command command);
  void record(Member& member, Event& event);
  bool joined();
  // Makes all members ordinary streams again.
  static void restore(const std::shared_ptr<Capture>& capture);

  const std::uint64_t id_;
  std::atomic<flagos_capture_status_t> status_{FLAGOS_CAPTURE_STATUS_ACTIVE};
  std::mutex mutex_;
  bool ended_ = false;
  Ref<Device> device_;
  std::vector<Member> members_;  // the origin first
  GraphBody body_;
  std::uint32_t number_;  // of the graph that it becomes
};

// ---- for stream.cpp and event.cpp ----

// Records a command of a capturing stream. NOT_PERMITTED, and the capture is invalidated, for what cannot be captured.
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
