// Random programs of device work over a few buffers, with a sequential model that says what they
// must give. However a program is run (eagerly on many streams, captured, as a graph), its
// dependencies must be kept.
#pragma once

#include <memory>
#include <vector>

#include "conformance/cases/work.hpp"

namespace flagos::conformance {

struct Operation {
  enum class Kind { affine, mix, copy, fill };
  Kind kind;
  std::uint32_t target;
  std::uint32_t source;
  std::uint32_t multiply;
  std::uint32_t add;
  std::uint32_t stream;
  std::vector<std::uint32_t> dependencies;  // earlier operations that touch the same buffers
};

struct Program {
  std::uint32_t buffers;
  std::uint32_t words;  // of a buffer
  std::uint32_t streams;
  std::vector<Operation> operations;
};

Program random_program(Context& t, std::uint32_t operations, std::uint32_t streams,
                       std::uint32_t buffers = 6, std::uint32_t words = 64);

// The buffers of a program: on the device, and as the sequential model has them.
class Memory {
 public:
  Memory(Context& t, const Program& program);
  const Words& operator[](std::uint32_t index) const { return *device_[index]; }
  void run_model(const Program& program);
  // Compares all buffers with the model.
  void verify(Context& t, const std::string& what);

 private:
  std::vector<std::unique_ptr<Words>> device_;
  std::vector<std::vector<std::uint32_t>> model_;
};

// Queues one operation.
void issue(Context& t, flagos_stream_t* stream, const Operation& operation, const Memory& memory);

// Queues all of it in program order, each operation on its own stream, with events where a
// dependency crosses streams. Few events serve for all: every wait binds to the record just before
// it.
void issue_on_streams(Context& t, const Program& program, const Memory& memory,
                      const std::vector<flagos_stream_t*>& streams,
                      const std::vector<flagos_event_t*>& events);

// Streams and events that are destroyed at the end.
struct Lanes {
  Lanes(Context& t, std::uint32_t stream_count, std::uint32_t event_count);
  std::vector<std::unique_ptr<Stream>> stream_owners;
  std::vector<std::unique_ptr<Event>> event_owners;
  std::vector<flagos_stream_t*> streams;
  std::vector<flagos_event_t*> events;
  void synchronize();
};

}  // namespace flagos::conformance
