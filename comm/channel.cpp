#include "comm/channel.hpp"

namespace flagos::comm {

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

}  // namespace flagos::comm
