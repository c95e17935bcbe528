// A send or a receive between two ranks of a communicator, while it is carried out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace flagos::cpu {

// Those of one pair of ranks and one direction have numbers from 0 on.
struct Message {
  bool is_send = false;
  std::uint32_t peer = 0;
  std::uint64_t number = 0;
  std::byte* data = nullptr;
  std::uint64_t bytes = 0;
  std::uint64_t done = 0;  // bytes that were written or read
  bool is_begun = false, is_over = false;
};

}  // namespace flagos::cpu
