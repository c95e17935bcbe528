// A random program: makes, uses and destroys objects, with valid and invalid handles, one call after the other, and
// knows for each call which status there must be and what every buffer holds. Many of them run at a time, each on a
// thread of its own; on a board they show each other handles, which may end at any moment.
#pragma once

#include <flagos.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "conformance/program/choices.hpp"

namespace flagos::conformance {

// A device, and the kernels that programs launch on it (conformance/kernels): those that are NULL are not used.
struct Place {
  flagos_device_t* device = nullptr;
  flagos_kernel_t* step = nullptr;  // data_step: word = word * multiplier + addend
  flagos_kernel_t* add = nullptr;   // data_add: target[i] = source[i] + addend
  flagos_kernel_t* fail = nullptr;  // data_fail: poisons its stream
};

// Handles that all programs see.
class Board {
 public:
  enum Kind { stream, event, timeline };
  static constexpr std::uint32_t slots = 64;

  void show(Kind kind, std::uint32_t slot, std::uint64_t handle) {
    handles_[kind][slot % slots] = handle;
  }
  std::uint64_t look(Kind kind, std::uint32_t slot) const { return handles_[kind][slot % slots]; }

 private:
  std::array<std::array<std::atomic<std::uint64_t>, slots>, 3> handles_{};
};

// Is told how long each call took.
class Meter {
 public:
  virtual ~Meter() = default;
  virtual void note(const char* entry, std::uint64_t nanoseconds) = 0;
};

// A call that did not end as the model says, or bytes that are others.
struct Mismatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class RandomProgram {
 public:
  RandomProgram(std::span<const Place> places, Choices& choices, Board& board,
                Meter* meter = nullptr);
  ~RandomProgram();
  RandomProgram(const RandomProgram&) = delete;
  RandomProgram& operator=(const RandomProgram&) = delete;

  void step();    // throws Mismatch
  void finish();  // compares what is left, and destroys it; throws Mismatch
  std::uint64_t calls() const { return calls_; }
  std::uint64_t live_objects() const;
  // The entry point that is called now, or was called last; any thread may ask.
  const char* entry() const { return entry_.load(std::memory_order_relaxed); }

 private:
  struct Stream {
    flagos_stream_t* handle;
    std::size_t place;
    std::uint64_t number;                         // for people
    std::uint64_t submitted = 0, finished = 0;    // how far work has come, as far as the host knows
    std::vector<flagos_timeline_t*> timelines{};  // it waits for: destroyed when that is over
  };
  using StreamPointer = std::shared_ptr<Stream>;
  struct Event {
    flagos_event_t* handle;
    std::size_t place;
    bool timing;
    StreamPointer recorded_on;
    std::uint64_t recorded_at = 0;
  };
  struct Timeline {
    flagos_timeline_t* handle;
    std::size_t place;
    std::uint64_t value;
  };
  struct Pool {
    flagos_memory_pool_t* handle;
    std::size_t place;
    std::uint32_t live = 0;
  };
  struct Buffer {
    std::size_t place;
    flagos_address_t address;
    std::vector<std::uint8_t> bytes;    // that it holds once `home` is done
    std::shared_ptr<Pool> pool;         // it came from; may be none
    StreamPointer home;                 // orders all work on it; none: all is done
    flagos_event_t* fence = nullptr;    // or else what the next stream has to wait for
    std::deque<std::string> history{};  // what was done to it last
  };
  using BufferPointer = std::shared_ptr<Buffer>;
  static void note(Buffer& buffer, std::string text);
  // Work on one or two buffers of one place.
  struct Work {
    enum Kind { fill, copy, step, add } kind;
    BufferPointer target, source;  // step has no source
    std::uint32_t target_at, source_at, size;
    std::uint32_t first, second;  // pattern; multiplier and addend
  };
  struct Graph {
    flagos_graph_exec_t* exec;
    std::size_t place;
    std::vector<Work> works;
    std::vector<flagos_graph_node_t> nodes;  // none of a capture
  };

  template <typename Call>
  flagos_status_t timed(const char* entry, Call&& call);
  template <typename Call>
  flagos_status_t expect(std::initializer_list<flagos_status_t> expected, const char* entry,
                         Call&& call);
  [[noreturn]] void fail(const std::string& what) const;
  void demand(bool condition, const char* what) const;

  // ---- objects ----
  std::size_t any_place() { return choices_.below(static_cast<std::uint32_t>(places_.size())); }
  StreamPointer make_stream(std::size_t place);
  StreamPointer stream_of(std::size_t place);  // any, or a new one
  void drop_stream();
  void destroy(const StreamPointer& stream);
  void make_buffer();
  BufferPointer any_buffer();
  BufferPointer buffer_of(std::size_t place, const Buffer* other_than);
  void drop_buffer(std::size_t index);
  void make_event();
  void drop_event();
  void make_timeline();
  void drop_timeline();
  void make_pool();
  void alloc_from_pool();
  void drop_pool();

  // ---- work ----
  void bring(Buffer& buffer, const StreamPointer& stream);
  // Tells how.
  const char* order(const StreamPointer& home, const StreamPointer& stream);
  void wait_for_fence(Buffer& buffer, const StreamPointer& stream);
  Work any_work(std::size_t place);
  void submit(const Work& work, flagos_stream_t* stream);
  void apply(const Work& work);
  void work();
  void update();
  void copy_2d();
  void copy_to_other_place();
  void values();
  void host_function();
  void synchronize(const StreamPointer& stream);
  void compare(Buffer& buffer);
  void use_event();
  void use_timeline();
  void poison();
  void make_graph();
  void capture_graph(std::size_t place, std::vector<Work> works);
  void build_graph(std::size_t place, std::vector<Work> works);
  void launch_graph();
  void change_graph();
  void drop_graph(std::size_t index);

  // ---- what is wrong ----
  void bad_arguments();
  void bad_handle();
  void foreign_handle();
  template <typename Object>
  Object* no_handle();
  void retire(const void* handle);
  void show();

  const std::span<const Place> places_;
  Choices& choices_;
  Board& board_;
  Meter* const meter_;
  std::uint64_t calls_ = 0, steps_ = 0, streams_made_ = 0;
  std::atomic<const char*> entry_{"nothing"};

  std::vector<StreamPointer> streams_;
  std::vector<BufferPointer> buffers_;
  std::vector<Event> events_;
  std::vector<Timeline> timelines_;
  std::vector<std::shared_ptr<Pool>> pools_;
  std::vector<Graph> graphs_;
  std::deque<std::uint64_t> retired_;  // handles that were destroyed
};

}  // namespace flagos::conformance
