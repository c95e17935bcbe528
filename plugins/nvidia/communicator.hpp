// One rank of a communicator of NCCL. No call of NCCL is waited for without a limit, and what is under way is watched: where a
// rank is lost, or nothing moves for too long, the communicator ends, and so does the wait of its streams.
#pragma once

#include <flagos_plugin.h>

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/watcher.hpp"
#include "plugins/nvidia/device.hpp"
#include "plugins/nvidia/nccl.hpp"
#include "plugins/nvidia/stream.hpp"

namespace flagos::nvidia {

class Communicator final : public Watched {
 public:
  // Waits for the other ranks. In the device's context, as all that follows.
  Communicator(Device& device, const flagos_communicator_desc_t& desc);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  Device& device() const noexcept { return device_; }
  const Nccl& nccl() const noexcept { return nccl_; }
  std::uint32_t rank() const noexcept { return rank_; }
  std::uint32_t size() const noexcept { return size_; }
  std::uint64_t timeout_ns() const noexcept { return timeout_ns_; }

  // Throws why it has failed.
  void check() const;
  Failure failure() const;
  void abort();
  // NULL for no color. Waits for the other ranks.
  std::unique_ptr<Communicator> split(int color, int key);
  void* register_buffer(flagos_address_t address, std::uint64_t size_bytes);
  void deregister_buffer(void* handle) noexcept;

  // Calls of NCCL are made while this is held, which keeps the handle alive. Throws why it has failed.
  class Hold {
   public:
    explicit Hold(Communicator& communicator);
    ncclComm_t handle() const noexcept { return communicator_->comm_; }

   private:
    Communicator* communicator_;
    std::unique_lock<std::mutex> lock_;
  };
  // Until what was called is with the driver: the other ranks may have to call first.
  void wait_called();
  // Where an operation on a stream begins and ends, for the watch over it. Between them come the calls.
  void begin(Stream& stream);
  void end(Stream& stream);
  void cancel(Stream& stream) noexcept;

  bool advance() noexcept override;

 private:
  struct Span {
    Span(Device& device, const std::shared_ptr<Health>& health);
    ~Span();
    Device& device;
    const std::shared_ptr<Health> health;  // of its stream
    CUevent begin = nullptr, end = nullptr;
    bool is_closed = false;
    std::uint64_t running_since_ns = 0;
  };

  Communicator(const Communicator& parent, ncclComm_t comm);
  // Until NCCL has done what was asked of it. Throws what went wrong.
  void wait_for(const char* call);
  void finish_join();
  // With the lock held: the first failure stays. Lets go of the streams, and of NCCL.
  void fail(flagos_status_t status, const std::string& text) noexcept;
  void end_comm() noexcept;
  bool look();
  Span* open_span(const Stream& stream) noexcept;
  std::string who() const;
  std::string what_of(ncclResult_t result) const;

  Device& device_;
  const Nccl& nccl_;
  std::uint32_t rank_ = 0, size_ = 0;
  const std::uint64_t timeout_ns_;
  mutable std::mutex mutex_;
  ncclComm_t comm_ = nullptr;
  Failure failure_;
  std::deque<std::unique_ptr<Span>> spans_;
  bool is_watched_ = false;
};

}  // namespace flagos::nvidia
