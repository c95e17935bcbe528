// Another process that does what a case asks for, message by message; descriptors go with messages.
#pragma once

#include <string>
#include <vector>

#include "conformance/case.hpp"

namespace flagos::conformance {

enum class Order : std::uint32_t {
  import_memory,  // external -> address, size
  check,          // address, seed, size -> OK when the bytes are the pattern
  write,          // address, seed, size
  free_memory,    // address
  export_memory,  // seed, size -> external of new memory with the pattern
  import_event,   // external
  export_event,   // -> external of a new event
  record,  // the event, behind the pattern of seed written to address; size 0: nothing before it
  record_blocked,  // the event, behind work that does not end
  query,           // -> address: whether the event is complete
  wait,            // for the event on a stream, then checks the pattern of seed at address
  cycles,          // size times: import external, free
  forward,         // to a process of its own: import external, check
  die
};

struct Message {
  Order order = Order::check;
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::uint64_t address = 0, seed = 0, size = 0;
  flagos_external_t external{};  // its descriptor travels when fd >= 0
};

// One end of a socket between two processes.
class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  bool send(const Message& message);
  bool receive(Message& message);  // at most 60 s; a descriptor that comes is the caller's

 private:
  int fd_;
};

// Starts the suite's executable as a process that follows orders; killed at the end.
class Follower {
 public:
  explicit Follower(const Context::Settings& settings);
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  bool send(const Message& message) { return channel_->send(message); }
  bool receive(Message& message) { return channel_->receive(message); }
  // False when the process is gone.
  bool ask(Message& message);
  void kill();

 private:
  pid_t pid_ = 0;
  std::unique_ptr<Channel> channel_;
};

// Asks and ends the case when the process is gone or answers something else than `expected`.
Message ask(Context& t, Follower& follower, Message message,
            flagos_status_t expected = FLAGOS_STATUS_OK);

Message order(Order what, std::uint64_t address = 0, std::uint64_t seed = 0,
              std::uint64_t size = 0);
Message order(Order what, const flagos_external_t& external);

std::vector<std::uint8_t> pattern(std::uint64_t seed, std::uint64_t size);
std::vector<std::uint8_t> read_memory(Context& t, flagos_address_t address, std::uint64_t size);
void write_memory(Context& t, flagos_address_t address, std::span<const std::uint8_t> bytes);

// Memory that can be exported; some devices export pinned memory only. Freed in the destructor.
class Exportable {
 public:
  // Its first `written` bytes are the pattern of `seed`.
  Exportable(Context& t, std::uint64_t size, std::uint64_t seed, std::uint64_t written);
  Exportable(Context& t, std::uint64_t size, std::uint64_t seed)
      : Exportable(t, size, seed, size) {}
  ~Exportable();
  Exportable(const Exportable&) = delete;
  Exportable& operator=(const Exportable&) = delete;
  flagos_address_t address() const { return address_; }
  void free();

 private:
  Context& t_;
  flagos_address_t address_ = 0;
};

// An export; its descriptor is closed in the destructor.
class External {
 public:
  External(Context& t, flagos_address_t address);
  External(Context& t, flagos_event_t* event);
  explicit External(const flagos_external_t& received) : value_(received) {}
  ~External();
  External(const External&) = delete;
  External& operator=(const External&) = delete;
  const flagos_external_t& value() const { return value_; }

 private:
  flagos_external_t value_{};
};

// The options of a case on exported memory.
#define IPC_MEMORY                                                                  \
  .clause = "flagos_memory_export, flagos_memory_import", .level = Level::optional, \
  .isolation = Isolation::multi, .feature = "export_memory"

}  // namespace flagos::conformance
