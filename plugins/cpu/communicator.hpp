// One rank of a communicator of this plugin. Operations run on the threads for host functions, which may wait; the order of
// the calls is the order of the operations.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/plugin_host.hpp"
#include "base/reduce/reduce.hpp"
#include "plugins/cpu/message.hpp"
#include "plugins/cpu/rank_segment.hpp"

namespace flagos::cpu {

class Device;

const char* operation_name(flagos_collective_operation_t operation) noexcept;

class Communicator {
 public:
  Communicator(Device& device, const SegmentId& id, std::uint32_t rank, std::uint32_t size,
               std::uint64_t timeout_ns);
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  Device& device() const noexcept { return device_; }
  std::uint32_t rank() const noexcept { return rank_; }
  std::uint32_t size() const noexcept { return size_; }

  // The next place in the order of the operations; taken while a call is queued.
  std::uint64_t take_turn() noexcept { return next_turn_.fetch_add(1); }
  std::uint64_t take_number(bool is_send, std::uint32_t peer) noexcept {
    return (is_send ? sent_ : received_)[peer].fetch_add(1);
  }

  // Carry an operation out; OK as NULL.
  Failure run(std::uint64_t turn, flagos_collective_operation_t operation,
              const flagos_collective_desc_t& desc) noexcept;
  Failure exchange(std::span<Message> messages) noexcept;
  // The stream has failed before it.
  void skip(const char* what) noexcept;

  // Waits for the others, and for operations that were queued before. NULL for no color.
  std::unique_ptr<Communicator> split(std::int32_t color, std::int32_t key);

  void abort() noexcept;
  // Throws the status of a communicator that has failed.
  void check();
  flagos_status_t status(std::string& text);

 private:
  // Waits until `is_ready`, as long as all is well; `blamed` is the rank that is waited for. Throws.
  void wait(const std::string& what, const std::function<bool()>& is_ready,
            const std::function<std::uint32_t()>& blamed);
  void look_around(const std::string& what, std::uint32_t blamed, std::uint64_t since_ns);
  // While it lives, buffers of other ranks are read, unless it is too late for that.
  class Reading {
   public:
    Reading(Communicator& communicator, bool is_direct) noexcept;
    ~Reading();
    bool is_allowed() const noexcept { return is_allowed_; }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

   private:
    std::atomic<std::uint32_t>* readers_ = nullptr;
    bool is_allowed_ = true;
  };
  // After a failure: the caller may free its buffers then.
  void wait_for_readers() noexcept;
  [[noreturn]] void throw_failed();
  Failure guarded(const std::string& what, const std::function<void()>& body) noexcept;

  // Phases of an operation, the same ones on all ranks.
  void begin(const Announcement& mine, std::uint64_t turn, const std::string& what);
  void check_agreement(const std::string& what);
  void advance() noexcept;
  void wait_for_all(const std::string& what);

  // ---- communicator_run.cpp ----
  struct Work;
  void run_phases(const Work& work);
  void reduce_slices(const Work& work);
  void take(const Work& work, std::uint64_t parity, std::uint64_t start, std::uint64_t count);
  std::byte* given_by(const Work& work, std::uint32_t rank, std::uint64_t parity,
                      std::uint64_t start, std::uint64_t piece, std::uint64_t piece_count);
  void reduce_from(const Work& work, const std::vector<const void*>& sources, std::byte* target,
                   std::uint64_t count);

  // ---- communicator_exchange.cpp ----
  bool send(Message& message);
  bool receive(Message& message);

  Device& device_;
  const std::uint32_t rank_, size_;
  const std::uint64_t timeout_ns_;
  RankSegment segment_;
  std::uint64_t step_ = 0;   // of this rank; under its turn
  std::uint64_t count_ = 0;  // of operations that began
  std::atomic<std::uint64_t> next_turn_{0}, turn_{0};
  std::vector<std::atomic<std::uint64_t>> sent_, received_;           // messages queued, by peer
  std::vector<std::atomic<std::uint64_t>> send_turn_, receive_turn_;  // messages done, by peer
};

}  // namespace flagos::cpu
