#include "comm/blame.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace flagos::comm {
namespace {

constexpr std::uint64_t answer_ns = 400'000'000;
constexpr std::uint64_t whole_ns = 700'000'000;  // all answers together
constexpr std::uint64_t again_ns = 20'000'000;   // who is at work is asked again

}  // namespace

Blame::Blame(std::uint32_t rank, std::vector<Peer>& peers) : rank_(rank), peers_(peers) {
  chain_.reserve(peers.size());
}

void Blame::begin(std::uint32_t awaited, std::uint64_t now_ns) {
  chain_.clear();
  began_ns_ = now_ns;
  ask_next(awaited, now_ns);
}

void Blame::ask_next(std::uint32_t rank, std::uint64_t now_ns) {
  chain_.push_back(rank);
  ask(now_ns);
}

void Blame::ask(std::uint64_t now_ns) {
  Peer& peer = peers_[chain_.back()];
  question_ = peer.segment->head().questions.ask();
  asked_ns_ = now_ns;
  peer.wake_always();
}

bool Blame::is_in_chain(std::uint32_t rank) const {
  return rank == rank_ || std::find(chain_.begin(), chain_.end(), rank) != chain_.end();
}

std::string Blame::names() const {
  std::string text;
  for (const std::uint32_t rank : chain_)
    text += fmt::format("{}rank {}", text.empty() ? "" : ", which waits for ", rank);
  return text;
}

bool Blame::look(const Operation& operation, std::uint64_t now_ns, Verdict& out) {
  while (true) {
    SegmentHead& head = peers_[chain_.back()].segment->head();
    if (head.closed.load(std::memory_order_acquire) != 0) {
      out = {FLAGOS_STATUS_RANK_FAILED, names() + ", which has left the communicator"};
      return true;
    }
    Answer answer;
    if (!head.questions.read(question_, answer)) {
      if (now_ns - asked_ns_ < answer_ns && now_ns - began_ns_ < whole_ns) return false;
      out = {FLAGOS_STATUS_COMM_TIMEOUT, names() + ", which does not answer"};
      return true;
    }
    if (answer.state == Answer::State::device && now_ns - began_ns_ < whole_ns) {
      if (now_ns - asked_ns_ >= again_ns) ask(now_ns);
      return false;
    }
    const bool goes_on = answer.state == Answer::State::peer && answer.awaited < peers_.size() &&
                         !is_in_chain(answer.awaited);
    if (!goes_on) {
      out = {FLAGOS_STATUS_COMM_TIMEOUT, names() + judge(operation, answer)};
      return true;
    }
    ask_next(answer.awaited, now_ns);
  }
}

// What the last one of the chain does, as the end of the sentence.
std::string Blame::judge(const Operation& operation, const Answer& answer) const {
  const Kind kind = operation.request.kind;
  const bool is_numbered = kind < Kind::exchange && answer.kind < Kind::exchange;
  switch (answer.state) {
    case Answer::State::idle:
      if (kind >= Kind::exchange) return ", which has no operation under way";
      return answer.sequence > operation.sequence
                 ? ", which is done with it: what it has sent did not come"
                 : ", which has not made the call";
    case Answer::State::stream:
      return ", whose stream has not come to it";
    case Answer::State::device:
      return ", whose device does not answer";
    case Answer::State::peer:
      break;
  }
  // They wait in a circle; where one is in another operation that is why.
  const bool differs =
      answer.kind != kind || (is_numbered && answer.sequence != operation.sequence);
  return fmt::format(
      ", which waits for rank {}{}", answer.awaited,
      differs ? fmt::format(" in {} #{}", name_of(answer.kind), answer.sequence) : "");
}

}  // namespace flagos::comm
