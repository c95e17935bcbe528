// How the ranks of a communicator find each other: one listens, all prove that they know the secret, and get the table of
// who they are. Nothing that comes from a stranger is looked at but a fixed number of bytes for the proof.
#pragma once

#include <flagos_comm.h>

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "comm/bootstrap/door.hpp"
#include "comm/segment.hpp"

namespace flagos::comm {

// What a unique id holds.
struct Invitation {
  static constexpr std::uint32_t magic_value = 0x31636667;
  std::uint32_t magic = magic_value;
  std::uint32_t version = 1;
  Secret secret{};
  Address address;

  static Invitation read(const flagos_comm_unique_id_t& id);
  flagos_comm_unique_id_t write() const;
};

// What a rank tells the others of itself.
struct RankCard {
  SegmentName segment{};
  Address listener;  // of its own, for those that come later
  std::uint64_t flags = 0;
  std::uint64_t has_ucx = 0;
};

// Listens for the ranks of one communicator on a thread of its own, until all have come or the time is over.
class Rendezvous {
 public:
  // Its invitation is for strangers to nobody but the ranks. The thread lives as long as it needs to.
  static Invitation open(const std::string& interface, std::uint64_t timeout_ns);
  // The same on a socket that listens already, with a secret that the ranks know; waits until it is over.
  static void serve(Socket& listener, const Secret& secret, std::uint64_t timeout_ns);
};

// A rank's side.
class Membership {
 public:
  // Proves that it belongs there.
  Membership(const Invitation& invitation, std::uint32_t rank, std::uint32_t size,
             std::uint64_t timeout_ns);
  // Of this end of the connection: where others reach this rank, too. Its port is 0.
  Address local_address() const;
  // Waits for all ranks, and gives their cards.
  std::vector<RankCard> exchange(const RankCard& card);
  // Tells whether this rank could reach the others, and waits until all have said so; throws what went wrong for anyone.
  void confirm(flagos_status_t status, const std::string& text);
  const Deadline& deadline() const { return deadline_; }

 private:
  const std::uint32_t size_;
  Deadline deadline_;
  Socket socket_;
};

}  // namespace flagos::comm
