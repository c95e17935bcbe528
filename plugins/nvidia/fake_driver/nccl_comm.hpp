// A rank of the fake's NCCL, and the messages of which operations and splits are made.
#pragma once

#include "plugins/nvidia/fake_driver/fake.hpp"
#include "plugins/nvidia/fake_driver/nccl_segment.hpp"
#include "plugins/nvidia/nccl.hpp"

#define FAKE_CATCH_NCCL           \
  catch (const std::exception&) { \
    return ncclSystemError;       \
  }
#define FAKE_NCCL_CALL(name) \
  if (fake::begin(#name) != CUDA_SUCCESS) return ncclUnhandledCudaError

namespace flagos::nvidia {

struct ncclComm {
  fake::NcclSegment segment;
  int rank = 0, size = 0, device = 0;
  bool is_blocking = true;
  std::atomic<bool> is_aborted{false};
  std::atomic<int> gone{-1};  // a rank that was waited for and lives no more
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t turns = 0,
                turns_over = 0;  // operations run one after the other, on whatever streams
  ncclResult_t state = ncclSuccess;
  bool shows_progress = false;  // the next question is answered with "in progress", as it may be
  std::string text;
  std::vector<double> scales;  // of reductions that were made
  std::thread job;             // joining, or splitting
};

namespace fake {

using CommRef = std::shared_ptr<ncclComm>;
CommRef find_comm(ncclComm_t comm);  // null where there is none

void add_message(std::vector<Part>& parts, bool is_send, int peer, const void* data,
                 std::uint64_t bytes);
// Moves them all. False where the communicator was aborted.
bool exchange(ncclComm& comm, std::vector<Part> parts);
// Whether it lies in memory that the driver knows.
bool is_reachable(const void* pointer, std::uint64_t bytes);

}  // namespace fake
}  // namespace flagos::nvidia
