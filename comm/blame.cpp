#include "comm/blame.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace flagos::comm {
namespace {

constexpr std::uint64_t answer_ns = 400'000'000;
constexpr std::uint64_t whole_ns = 700'000'000;  // all answers together
constexpr std::uint64_t again_ns = 20'000'000;   // who is at work is asked again

}  // namespace

// ---- questions ---------------------------------------------------------------------------------------------------

void Questions::answer(std::uint32_t number, const Answer& answer) {
  const std::uint32_t version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, std::memory_order_seq_cst);
  what_.store(static_cast<std::uint64_t>(answer.state) |
                  static_cast<std::uint64_t>(answer.kind) << 8 |
                  std::uint64_t{answer.awaited} << 32,
              std::memory_order_seq_cst);
  sequence_.store(answer.sequence, std::memory_order_seq_cst);
  version_.store(version + 2, std::memory_order_seq_cst);
  answered.store(number, std::memory_order_release);
}

bool Questions::read(std::uint32_t number, Answer& out) const {
  if (static_cast<std::int32_t>(answered.load(std::memory_order_acquire) - number) < 0)
    return false;
  const std::uint32_t version = version_.load(std::memory_order_seq_cst);
  const std::uint64_t what = what_.load(std::memory_order_seq_cst);
  out.sequence = sequence_.load(std::memory_order_seq_cst);
  if (version % 2 != 0 || version_.load(std::memory_order_seq_cst) != version) return false;
  out.state = static_cast<Answer::State>(what & 255);
  out.kind = static_cast<Kind>(what >> 8 & 255);
  out.awaited = static_cast<std::uint32_t>(what >> 32);
  return true;
}

// ---- the chain ---------------------------------------------------------------------------------------------------

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
