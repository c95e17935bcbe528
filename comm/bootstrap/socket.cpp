#include "comm/bootstrap/socket.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace flagos::comm {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress to_system(const Address& address) {
  SocketAddress result;
  if (address.is_ipv6 != 0) {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(address.port);
    in6.sin6_scope_id = address.scope;
    std::memcpy(&in6.sin6_addr, address.bytes, 16);
    std::memcpy(&result.storage, &in6, sizeof(in6));
    result.size = sizeof(in6);
  } else {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    std::memcpy(&in.sin_addr, address.bytes, 4);
    std::memcpy(&result.storage, &in, sizeof(in));
    result.size = sizeof(in);
  }
  return result;
}

Address from_system(const sockaddr* system) {
  Address address;
  if (system->sa_family == AF_INET6) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, system, sizeof(in6));
    address.is_ipv6 = 1;
    address.port = ntohs(in6.sin6_port);
    address.scope = in6.sin6_scope_id;
    std::memcpy(address.bytes, &in6.sin6_addr, 16);
  } else {
    sockaddr_in in{};
    std::memcpy(&in, system, sizeof(in));
    address.port = ntohs(in.sin_port);
    std::memcpy(address.bytes, &in.sin_addr, 4);
  }
  return address;
}

[[noreturn]] void throw_system(const char* what, const Address& address) {
  throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "{} {}: {}", what, address.text(),
              std::strerror(errno));
}

// False at the deadline.
bool wait_for(int fd, short events, const Deadline& deadline) {
  while (true) {
    pollfd descriptor{fd, events, 0};
    const int left = deadline.left_ms();
    const int found = poll(&descriptor, 1, left);
    if (found > 0) return true;
    if (found == 0 && left == 0) return false;
    if (found < 0 && errno != EINTR) return true;
  }
}

void set_options(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

}  // namespace

Deadline::Deadline(std::uint64_t timeout_ns)
    : end_(std::chrono::steady_clock::now() +
           std::chrono::nanoseconds(std::min<std::uint64_t>(timeout_ns, 86'400'000'000'000))) {}

int Deadline::left_ms() const {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now())
          .count();
  return static_cast<int>(std::clamp<long>(left, 0, 3'600'000));
}

std::string Address::text() const {
  char buffer[INET6_ADDRSTRLEN] = "?";
  inet_ntop(is_ipv6 != 0 ? AF_INET6 : AF_INET, bytes, buffer, sizeof(buffer));
  return is_ipv6 != 0 ? fmt::format("[{}]:{}", buffer, port) : fmt::format("{}:{}", buffer, port);
}

Address Address::of_interface(const std::string& name) {
  Address address;
  if (name.empty()) {
    const std::uint32_t loopback = htonl(INADDR_LOOPBACK);
    std::memcpy(address.bytes, &loopback, 4);
    return address;
  }
  if (inet_pton(AF_INET, name.c_str(), address.bytes) == 1) return address;
  if (inet_pton(AF_INET6, name.c_str(), address.bytes) == 1) {
    address.is_ipv6 = 1;
    return address;
  }
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "interfaces: {}", std::strerror(errno));
  std::string names;
  std::optional<Address> found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    if (name == entry->ifa_name && (!found || (found->is_ipv6 != 0 && family == AF_INET)))
      found = from_system(entry->ifa_addr);
    if (names.find(entry->ifa_name) == std::string::npos)
      names += std::string(names.empty() ? "" : ", ") + entry->ifa_name;
  }
  freeifaddrs(list);
  if (!found)
    throw_error(FLAGOS_STATUS_NOT_FOUND,
                "FLAGOS_COMM_INTERFACE: there is no interface '{}' with an address; there are {}",
                name, names);
  found->port = 0;
  return *found;
}

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

Socket Socket::listen(Address& address) {
  Socket socket(::socket(address.is_ipv6 != 0 ? AF_INET6 : AF_INET,
                         SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const SocketAddress system = to_system(address);
  const int on = 1;
  if (socket.fd_ >= 0 && address.port != 0)
    setsockopt(socket.fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (socket.fd_ < 0 ||
      bind(socket.fd_, reinterpret_cast<const sockaddr*>(&system.storage), system.size) != 0 ||
      ::listen(socket.fd_, 1024) != 0)
    throw_system("listening at", address);
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (getsockname(socket.fd_, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    throw_system("listening at", address);
  address.port = from_system(reinterpret_cast<const sockaddr*>(&bound)).port;
  return socket;
}

Socket Socket::connect(const Address& address, const Deadline& deadline) {
  const SocketAddress system = to_system(address);
  while (true) {
    Socket socket(::socket(address.is_ipv6 != 0 ? AF_INET6 : AF_INET,
                           SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.fd_ < 0) throw_system("connecting to", address);
    int error =
        ::connect(socket.fd_, reinterpret_cast<const sockaddr*>(&system.storage), system.size) == 0
            ? 0
            : errno;
    if (error == EINPROGRESS) {
      socklen_t size = sizeof(error);
      if (!wait_for(socket.fd_, POLLOUT, deadline))
        error = ETIMEDOUT;
      else
        getsockopt(socket.fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error == 0) {
      set_options(socket.fd_);
      return socket;
    }
    // Who listens may come a little later, or have gone for good.
    if (error == ECONNREFUSED)
      throw_error(FLAGOS_STATUS_COMM_REFUSED,
                  "nobody listens at {}: the id is not of a communicator that waits for ranks",
                  address.text());
    if (deadline.has_passed())
      throw_error(FLAGOS_STATUS_COMM_TIMEOUT, "connecting to {}: {}", address.text(),
                  std::strerror(error));
    poll(nullptr, 0, std::min(50, deadline.left_ms()));
  }
}

std::optional<Socket> Socket::accept(const Deadline& deadline) {
  if (!wait_for(fd_, POLLIN, deadline)) return std::nullopt;
  Socket socket(accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket.fd_ < 0) return std::nullopt;
  set_options(socket.fd_);
  return socket;
}

Address Socket::local_address() const {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "the address of a connection: {}",
                std::strerror(errno));
  Address address = from_system(reinterpret_cast<const sockaddr*>(&bound));
  address.port = 0;
  return address;
}

void Socket::send(const void* data, std::size_t bytes, const Deadline& deadline) {
  const char* next = static_cast<const char*>(data);
  while (bytes != 0) {
    const ssize_t sent = ::send(fd_, next, bytes, MSG_NOSIGNAL);
    if (sent > 0) {
      next += sent;
      bytes -= static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(fd_, POLLOUT, deadline))
        throw_error(FLAGOS_STATUS_COMM_TIMEOUT, "the other side does not take {} bytes", bytes);
    } else if (errno != EINTR) {
      throw_error(FLAGOS_STATUS_RANK_FAILED, "the connection has ended: {}", std::strerror(errno));
    }
  }
}

void Socket::receive(void* data, std::size_t bytes, const Deadline& deadline) {
  char* next = static_cast<char*>(data);
  while (bytes != 0) {
    const ssize_t got = recv(fd_, next, bytes, 0);
    if (got > 0) {
      next += got;
      bytes -= static_cast<std::size_t>(got);
    } else if (got == 0) {
      throw_error(FLAGOS_STATUS_RANK_FAILED, "the other side has closed the connection");
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(fd_, POLLIN, deadline))
        throw_error(FLAGOS_STATUS_COMM_TIMEOUT,
                    "the other side does not answer: {} bytes are missing", bytes);
    } else if (errno != EINTR) {
      throw_error(FLAGOS_STATUS_RANK_FAILED, "the connection has ended: {}", std::strerror(errno));
    }
  }
}

}  // namespace flagos::comm
