// TCP sockets with deadlines.
#pragma once

#include <flagos_comm.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace flagos::comm {

class Deadline {
 public:
  explicit Deadline(std::uint64_t timeout_ns);
  bool has_passed() const { return left_ms() == 0; }
  int left_ms() const;  // at most an hour, for poll

 private:
  std::chrono::steady_clock::time_point end_;
};

// An IPv4 or IPv6 address with its port, as it travels.
struct Address {
  std::uint8_t is_ipv6 = 0;
  std::uint8_t padding = 0;
  std::uint16_t port = 0;
  std::uint32_t scope = 0;
  std::uint8_t bytes[16] = {};

  std::string text() const;
  // Of an interface by name ("eth0") or by address; loopback for "". Throws NOT_FOUND with those there are.
  static Address of_interface(const std::string& name);
};

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket();
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  // Bound to this address only; its port is chosen when it is 0, and is set in `address`.
  static Socket listen(Address& address);
  static Socket connect(const Address& address, const Deadline& deadline);
  // The next connection; none when there is no one until the deadline.
  std::optional<Socket> accept(const Deadline& deadline);

  // Of this end; its port is 0.
  Address local_address() const;

  // All or throw: COMM_TIMEOUT at the deadline, RANK_FAILED when the other side has gone.
  void send(const void* data, std::size_t bytes, const Deadline& deadline);
  void receive(void* data, std::size_t bytes, const Deadline& deadline);

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace flagos::comm
