#include "comm/bootstrap/door.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/guard.hpp"

namespace flagos::comm {
namespace {

// A stranger has so long to prove itself; so many may try at once.
constexpr std::uint64_t greeting_ns = 5'000'000'000;
constexpr std::size_t most_strangers = 256;

using Nonce = std::array<std::uint8_t, 16>;

Digest proof_of(const Secret& secret, const char* side, const Nonce& first, const Nonce& second,
                const Greeting& greeting) {
  std::vector<std::uint8_t> message(side, side + std::strlen(side));
  message.insert(message.end(), first.begin(), first.end());
  message.insert(message.end(), second.begin(), second.end());
  const auto* const fields = reinterpret_cast<const std::uint8_t*>(&greeting);
  message.insert(message.end(), fields, fields + offsetof(Greeting, nonce));
  return prove(secret, message);
}

}  // namespace

void greet(Socket& socket, const Secret& secret, Greeting greeting, const Deadline& deadline) {
  Nonce theirs{};
  Digest answer{};
  random_bytes(greeting.nonce.data(), greeting.nonce.size());
  std::string text;
  const flagos_status_t status = guard(
      [&] {
        socket.receive(theirs.data(), theirs.size(), deadline);
        greeting.proof = proof_of(secret, "rank", theirs, greeting.nonce, greeting);
        socket.send(&greeting, sizeof(greeting), deadline);
        socket.receive(answer.data(), answer.size(), deadline);
      },
      [&](flagos_status_t, const char* found) { text = found; });
  if (status == FLAGOS_STATUS_RANK_FAILED)
    throw_error(FLAGOS_STATUS_COMM_REFUSED,
                "rank {} was refused: the secret is wrong, or the communicator is complete ({})",
                greeting.rank, text);
  if (status != FLAGOS_STATUS_OK) throw Error(status, text);
  if (!equal(answer, proof_of(secret, "server", greeting.nonce, theirs, greeting)))
    throw_error(FLAGOS_STATUS_COMM_REFUSED,
                "who listens there does not know the secret of the communicator");
}

bool Guest::read(void* target, std::size_t bytes) {
  while (received < bytes) {
    const ssize_t got =
        recv(socket.fd(), static_cast<char*>(target) + received, bytes - received, 0);
    if (got > 0) {
      received += static_cast<std::size_t>(got);
    } else if (got == 0) {
      throw_error(FLAGOS_STATUS_RANK_FAILED, "the connection was closed");
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return false;
    } else if (errno != EINTR) {
      throw_error(FLAGOS_STATUS_RANK_FAILED, "the connection has ended: {}", std::strerror(errno));
    }
  }
  received = 0;
  return true;
}

void Door::wait(int timeout_ms, const std::vector<int>& others) {
  polled_.clear();
  polled_.push_back({listener_.fd(), POLLIN, 0});
  for (const auto& stranger : strangers_) polled_.push_back({stranger->socket.fd(), POLLIN, 0});
  for (const int fd : others) polled_.push_back({fd, POLLIN, 0});
  poll(polled_.data(), polled_.size(), timeout_ms);
  while (auto socket = listener_.accept(Deadline(0))) {
    if (strangers_.size() >= most_strangers) strangers_.erase(strangers_.begin());
    auto guest =
        std::make_unique<Guest>(Guest{std::move(*socket), Deadline(greeting_ns), {}, {}, false, 0});
    random_bytes(guest->nonce.data(), guest->nonce.size());
    if (send(guest->socket.fd(), guest->nonce.data(), guest->nonce.size(),
             MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(guest->nonce.size()))
      strangers_.push_back(std::move(guest));
  }
  for (std::size_t i = 0; i < strangers_.size();) {
    Guest& guest = *strangers_[i];
    const bool is_welcome = is_stranger_welcome(guest);
    if (is_welcome && !guest.is_member) {
      ++i;
      continue;
    }
    if (is_welcome) members_.push_back(std::move(strangers_[i]));
    strangers_.erase(strangers_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// False when it is to be let go.
bool Door::is_stranger_welcome(Guest& guest) {
  if (guest.deadline.has_passed()) return false;
  const flagos_status_t status = guard(
      [&] {
        Greeting& greeting = guest.greeting;
        if (!guest.read(&greeting, sizeof(greeting))) return;
        if (greeting.magic != Greeting::magic_value ||
            !equal(greeting.proof,
                   proof_of(secret_, "rank", guest.nonce, greeting.nonce, greeting)))
          throw_error(FLAGOS_STATUS_COMM_REFUSED, "a stranger does not know the secret");
        const Digest answer = proof_of(secret_, "server", greeting.nonce, guest.nonce, greeting);
        guest.socket.send(answer.data(), answer.size(), Deadline(0));
        guest.is_member = true;
      },
      [](flagos_status_t, const char*) {});
  return status == FLAGOS_STATUS_OK;
}

std::vector<std::unique_ptr<Guest>> Door::take_members() { return std::exchange(members_, {}); }

}  // namespace flagos::comm
