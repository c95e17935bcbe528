// Two sides of a connection prove to each other that they know a secret. Nothing else that comes from a stranger is looked
// at; one who says nothing, or too slowly, is let go and holds up nobody.
#pragma once

#include <poll.h>

#include <memory>
#include <vector>

#include "comm/bootstrap/secret.hpp"
#include "comm/bootstrap/socket.hpp"

namespace flagos::comm {

// What a rank says first.
struct Greeting {
  static constexpr std::uint32_t magic_value = 0x31696867;
  std::uint32_t magic = magic_value;
  std::uint32_t rank = 0;
  std::uint32_t size = 0;
  std::uint32_t lane = 0;  // which of the connections between two ranks
  std::uint64_t timeout_ns = 0;
  std::array<std::uint8_t, 16> nonce{};
  Digest proof{};
};

// The side of the rank that has connected. Throws COMM_REFUSED.
void greet(Socket& socket, const Secret& secret, Greeting greeting, const Deadline& deadline);

// One connection to a door, read as far as it has said something.
struct Guest {
  Socket socket;
  Deadline deadline;  // until it has proved that it belongs here
  std::array<std::uint8_t, 16> nonce{};
  Greeting greeting;
  bool is_member = false;
  std::size_t received = 0;

  // Whether `target` is full now. Throws when the other side has gone.
  bool read(void* target, std::size_t bytes);
};

// The side that listens.
class Door {
 public:
  Door(Socket& listener, const Secret& secret) : listener_(listener), secret_(secret) {}

  // Lets strangers in, and waits up to `timeout_ms` for one of them or of `others` to say something.
  void wait(int timeout_ms, const std::vector<int>& others);
  // Guests that have proved themselves since the last call; nobody's but the caller's afterwards.
  std::vector<std::unique_ptr<Guest>> take_members();

 private:
  bool is_stranger_welcome(Guest& guest);

  Socket& listener_;
  const Secret secret_;
  std::vector<std::unique_ptr<Guest>> strangers_;
  std::vector<std::unique_ptr<Guest>> members_;
  std::vector<pollfd> polled_;
};

}  // namespace flagos::comm
