// Ranks of the fake's NCCL, in one process or in several: a file of shared memory with a channel from each rank to each, and a
// lock for each rank by which the others see that it lives.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace flagos::nvidia::fake {

// One message of an exchange.
struct Part {
  bool is_send = false;
  int peer = 0;
  std::byte* data = nullptr;
  std::uint64_t left = 0;
};

class NcclSegment {
 public:
  static constexpr int most_ranks = 16;
  enum class Joined { yes, no_such_id, refused, given_up };

  // The file of a new communicator; "" where there can be none. It goes when all have joined, or one has given up.
  static std::string create();

  NcclSegment() = default;
  ~NcclSegment();
  NcclSegment(const NcclSegment&) = delete;
  NcclSegment& operator=(const NcclSegment&) = delete;

  // Waits for the others. `device` is this rank's.
  Joined join(const std::string& path, int rank, int size, int device,
              const std::atomic<bool>& gives_up);
  // The others take this rank for gone.
  void leave() noexcept;
  // Whether two ranks have the same device.
  bool shares_devices() const noexcept;
  // All messages of this rank move together, until all are through. False once `gives_up` is set. `gone` is a rank that is
  // waited for and does not live any more, -1 while there is none.
  bool exchange(std::vector<Part> parts, const std::atomic<bool>& gives_up,
                std::atomic<int>& gone) noexcept;

 private:
  struct Layout;
  bool step(Part& part) noexcept;
  bool lives(int rank) const noexcept;

  Layout* layout_ = nullptr;
  int fd_ = -1;
  int rank_ = 0, size_ = 0;
  std::string path_;
};

}  // namespace flagos::nvidia::fake
