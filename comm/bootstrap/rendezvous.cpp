#include "comm/bootstrap/rendezvous.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/guard.hpp"
#include "base/thread.hpp"

namespace flagos::comm {
namespace {

constexpr std::uint32_t most_ranks = 65536;

// What the server says: the table, or the outcome.
struct Word {
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::uint32_t bytes = 0;  // that follow
};
struct Outcome {
  flagos_status_t status = FLAGOS_STATUS_OK;
  std::uint32_t padding = 0;
  char text[504] = {};
};

Outcome make_outcome(flagos_status_t status, const std::string& text) {
  Outcome outcome;
  outcome.status = status;
  std::snprintf(outcome.text, sizeof(outcome.text), "%s", text.c_str());
  return outcome;
}

// A rank that has joined.
struct Member {
  std::unique_ptr<Guest> guest;
  RankCard card;
  bool has_card = false;
  Outcome outcome;
  bool has_outcome = false;
  bool is_told = false;

  std::uint32_t rank() const { return guest->greeting.rank; }
};

class Server {
 public:
  Server(Socket& listener, const Secret& secret, std::uint64_t timeout_ns)
      : door_(listener, secret), timeout_ns_(timeout_ns), deadline_(timeout_ns) {}

  void run() {
    while (!is_over_) {
      if (deadline_.has_passed()) return end(FLAGOS_STATUS_COMM_TIMEOUT, missing_ranks());
      sockets_.clear();
      for (const Member& member : members_) sockets_.push_back(member.guest->socket.fd());
      door_.wait(std::min(deadline_.left_ms(), 200), sockets_);
      for (auto& guest : door_.take_members())
        if (!is_over_) admit(std::move(guest));
      for (std::size_t i = 0; i < members_.size() && !is_over_; ++i) serve(members_[i]);
    }
    if (outcome_.status != FLAGOS_STATUS_OK) tell_late_ranks();
  }

 private:
  void admit(std::unique_ptr<Guest> guest) {
    const Greeting greeting = guest->greeting;
    if (members_.empty()) {
      size_ = greeting.size;
      deadline_ = Deadline(std::min(timeout_ns_, greeting.timeout_ns));
    }
    const bool is_taken = std::any_of(members_.begin(), members_.end(), [&](const Member& member) {
      return member.rank() == greeting.rank;
    });
    members_.push_back({std::move(guest), {}, false, {}, false, false});
    if (greeting.size != size_)
      return end(FLAGOS_STATUS_INVALID_ARGUMENT,
                 fmt::format("rank {} says that there are {} ranks, others say {}", greeting.rank,
                             greeting.size, size_));
    if (size_ == 0 || size_ > most_ranks || greeting.rank >= size_)
      return end(FLAGOS_STATUS_INVALID_ARGUMENT,
                 fmt::format("rank {} of {}", greeting.rank, size_));
    if (is_taken)
      end(FLAGOS_STATUS_INVALID_ARGUMENT,
          fmt::format("two ranks have the number {}", greeting.rank));
  }

  void serve(Member& member) {
    std::string error;
    const flagos_status_t status =
        guard([&] { read(member); }, [&](flagos_status_t, const char* text) { error = text; });
    if (status != FLAGOS_STATUS_OK)
      end(FLAGOS_STATUS_RANK_FAILED,
          fmt::format("rank {} has gone before all had joined: {}", member.rank(), error));
  }

  void read(Member& member) {
    if (!member.has_card) {
      if (!member.guest->read(&member.card, sizeof(member.card))) return;
      member.has_card = true;
      if (++cards_ == size_) send_table();
    } else if (!member.has_outcome && member.guest->read(&member.outcome, sizeof(member.outcome))) {
      member.has_outcome = true;
      member.outcome.text[sizeof(member.outcome.text) - 1] = '\0';
      if (member.outcome.status != FLAGOS_STATUS_OK) {
        end(member.outcome.status, member.outcome.text);
      } else if (++outcomes_ == size_) {
        end(FLAGOS_STATUS_OK, "");
      }
    }
  }

  void send_table() {
    std::vector<RankCard> table(size_);
    for (const Member& member : members_) table[member.rank()] = member.card;
    for (const RankCard& card : table)
      if (card.flags != table[0].flags)
        return end(FLAGOS_STATUS_INVALID_ARGUMENT,
                   "ranks disagree on the flags of the communicator");
    const Word word{FLAGOS_STATUS_OK, static_cast<std::uint32_t>(table.size() * sizeof(RankCard))};
    for (const Member& member : members_) {
      member.guest->socket.send(&word, sizeof(word), deadline_);
      member.guest->socket.send(table.data(), word.bytes, deadline_);
    }
  }

  std::string missing_ranks() const {
    if (members_.empty()) return "no rank has joined";
    std::string missing;
    int count = 0;
    for (std::uint32_t rank = 0; rank < size_; ++rank) {
      const bool is_here = std::any_of(members_.begin(), members_.end(),
                                       [&](const Member& member) { return member.rank() == rank; });
      if (!is_here && ++count <= 8)
        missing += fmt::format("{}{}", missing.empty() ? "" : ", ", rank);
    }
    if (count == 0)
      return fmt::format("all ranks have joined, but rank {} says nothing more", silent_rank());
    return fmt::format("{} of {} ranks have joined; missing: {}{}", members_.size(), size_, missing,
                       count > 8 ? ", ..." : "");
  }

  std::uint32_t silent_rank() const {
    const auto found = std::find_if(members_.begin(), members_.end(), [&](const Member& member) {
      return cards_ < size_ ? !member.has_card : !member.has_outcome;
    });
    return found != members_.end() ? found->rank() : size_;
  }

  // Tells all members.
  void end(flagos_status_t status, const std::string& text) {
    is_over_ = true;
    outcome_ = make_outcome(status, text);
    for (Member& member : members_) tell(member);
  }

  void tell(Member& member) {
    member.is_told = true;
    const Word word{outcome_.status, sizeof(Outcome)};
    // Who has gone need not be told.
    static_cast<void>(guard(
        [&] {
          member.guest->socket.send(&word, sizeof(word), Deadline(1'000'000'000));
          member.guest->socket.send(&outcome_, sizeof(outcome_), Deadline(1'000'000'000));
        },
        [](flagos_status_t, const char*) {}));
  }

  // Why there is no communicator, when they have said what they came to say.
  void tell_late_ranks() {
    const auto is_waiting = [&] {
      return members_.size() < size_ ||
             std::any_of(members_.begin(), members_.end(),
                         [](const Member& member) { return !member.is_told; });
    };
    while (is_waiting() && !deadline_.has_passed()) {
      sockets_.clear();
      for (const Member& member : members_)
        if (!member.is_told) sockets_.push_back(member.guest->socket.fd());
      door_.wait(std::min(deadline_.left_ms(), 200), sockets_);
      for (auto& guest : door_.take_members())
        members_.push_back({std::move(guest), {}, false, {}, false, false});
      for (Member& member : members_) {
        if (member.is_told) continue;
        bool is_here = false;
        const flagos_status_t status =
            guard([&] { is_here = member.guest->read(&member.card, sizeof(member.card)); },
                  [](flagos_status_t, const char*) {});
        if (is_here || status != FLAGOS_STATUS_OK) tell(member);
      }
    }
  }

  Door door_;
  const std::uint64_t timeout_ns_;
  Deadline deadline_;
  std::uint32_t size_ = 0, cards_ = 0, outcomes_ = 0;
  std::vector<Member> members_;
  std::vector<int> sockets_;
  bool is_over_ = false;
  Outcome outcome_;
};

// The server's next word; throws when it is about a failure.
Word read_word(Socket& socket, std::uint32_t expected_bytes, const Deadline& deadline) {
  Word word;
  socket.receive(&word, sizeof(word), deadline);
  if (word.status == FLAGOS_STATUS_OK && word.bytes == expected_bytes) return word;
  if (word.bytes != sizeof(Outcome))
    throw_error(FLAGOS_STATUS_COMM_REFUSED,
                "the server of the communicator sent {} bytes where {} belong", word.bytes,
                expected_bytes);
  Outcome outcome;
  socket.receive(&outcome, sizeof(outcome), deadline);
  outcome.text[sizeof(outcome.text) - 1] = '\0';
  throw Error(outcome.status == FLAGOS_STATUS_OK ? FLAGOS_STATUS_INTERNAL : outcome.status,
              outcome.text);
}

}  // namespace

Invitation Invitation::read(const flagos_comm_unique_id_t& id) {
  Invitation invitation;
  static_assert(sizeof(Invitation) <= sizeof(id.bytes));
  std::memcpy(&invitation, id.bytes, sizeof(invitation));
  if (invitation.magic != magic_value)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "these 128 bytes are not an id of flagos_comm_unique_id_create");
  if (invitation.version != 1)
    throw_error(FLAGOS_STATUS_UNSUPPORTED_VERSION, "the id is of version {}, this library knows 1",
                invitation.version);
  return invitation;
}

flagos_comm_unique_id_t Invitation::write() const {
  flagos_comm_unique_id_t id{};
  std::memcpy(id.bytes, this, sizeof(*this));
  return id;
}

Invitation Rendezvous::open(const std::string& interface, std::uint64_t timeout_ns) {
  Invitation invitation;
  random_bytes(invitation.secret.data(), invitation.secret.size());
  invitation.address = Address::of_interface(interface);
  auto listener = std::make_shared<Socket>(Socket::listen(invitation.address));
  start_thread("flagos-comm-join", {}, [listener, secret = invitation.secret, timeout_ns] {
    static_cast<void>(
        guard([&] { serve(*listener, secret, timeout_ns); }, [](flagos_status_t, const char*) {}));
  }).detach();
  return invitation;
}

void Rendezvous::serve(Socket& listener, const Secret& secret, std::uint64_t timeout_ns) {
  Server(listener, secret, timeout_ns).run();
}

Membership::Membership(const Invitation& invitation, std::uint32_t rank, std::uint32_t size,
                       std::uint64_t timeout_ns)
    // Longer than the server waits, so that its words arrive.
    : size_(size),
      deadline_(timeout_ns + 800'000'000),
      socket_(Socket::connect(invitation.address, deadline_)) {
  Greeting greeting;
  greeting.rank = rank;
  greeting.size = size;
  greeting.timeout_ns = timeout_ns;
  greet(socket_, invitation.secret, greeting, deadline_);
}

Address Membership::local_address() const { return socket_.local_address(); }

std::vector<RankCard> Membership::exchange(const RankCard& card) {
  socket_.send(&card, sizeof(card), deadline_);
  std::vector<RankCard> cards(size_);
  const auto bytes = static_cast<std::uint32_t>(size_ * sizeof(RankCard));
  read_word(socket_, bytes, deadline_);
  socket_.receive(cards.data(), bytes, deadline_);
  return cards;
}

void Membership::confirm(flagos_status_t status, const std::string& text) {
  Outcome outcome = make_outcome(status, text);
  socket_.send(&outcome, sizeof(outcome), deadline_);
  read_word(socket_, sizeof(Outcome), deadline_);
  socket_.receive(&outcome, sizeof(outcome), deadline_);
}

}  // namespace flagos::comm
