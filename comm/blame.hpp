// Finds out who holds up an operation that gets nowhere: the rank that this one waits for is asked what it waits for itself,
// and so on along the chain. Who does not answer, or has not made the call, is to blame, not the neighbour.
#pragma once

#include <string>
#include <vector>

#include "comm/operation.hpp"
#include "comm/peer.hpp"

namespace flagos::comm {

class Blame {
 public:
  // `peers` are those through which ranks are asked: their messages are taken also while operations wait.
  Blame(std::uint32_t rank, std::vector<Peer>& peers);

  bool is_under_way() const { return !chain_.empty(); }
  // The operation of this rank waits for `awaited`.
  void begin(std::uint32_t awaited, std::uint64_t now_ns);
  // It has moved.
  void drop() { chain_.clear(); }

  struct Verdict {
    flagos_status_t status = FLAGOS_STATUS_COMM_TIMEOUT;
    std::string
        text;  // whom the operation waits for: "rank 2, which waits for rank 1, which does not answer"
  };
  // Goes on; whether it is known now. A rank that lives answers in much less than the time that it is given.
  bool look(const Operation& operation, std::uint64_t now_ns, Verdict& out);

 private:
  void ask_next(std::uint32_t rank, std::uint64_t now_ns);
  void ask(std::uint64_t now_ns);
  std::string judge(const Operation& operation, const Answer& answer) const;
  bool is_in_chain(std::uint32_t rank) const;
  std::string names() const;

  const std::uint32_t rank_;
  std::vector<Peer>& peers_;
  std::vector<std::uint32_t> chain_;  // of ranks, each of which waits for the next
  std::uint32_t question_ = 0;        // to the last of them
  std::uint64_t asked_ns_ = 0, began_ns_ = 0;
};

}  // namespace flagos::comm
