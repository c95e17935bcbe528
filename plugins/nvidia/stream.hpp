// An ordered queue of work: a stream of the driver's, and what has to wait in the plugin before it gets there.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "base/held_queue.hpp"
#include "base/plugin_host.hpp"
#include "base/wait.hpp"
#include "plugins/nvidia/device.hpp"
#include "plugins/nvidia/driver.hpp"
#include "plugins/nvidia/event.hpp"
#include "plugins/nvidia/profile.hpp"

namespace flagos::nvidia {

// Hands something to the driver. `word` is the address of the word for flagos_failure, 0 where there is none.
using Command = std::function<CUresult(CUstream stream, flagos_address_t word)>;

class Stream final : public Watched {
 public:
  // `given`: a stream of the caller's, destroyed with this where `owned`; NULL: one of our own.
  Stream(Device& device, std::int32_t priority, CUstream given = nullptr, bool owned = true);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Device& device() const noexcept { return device_; }
  const Driver& driver() const noexcept { return driver_; }
  std::uint64_t id() const noexcept { return id_; }

  // Queues what `issue(stream, word)` hands to the driver, at once where that can be; else, later, what `keep()` gives: a
  // Command that owns all that it needs. In the device's context. Throws the failure of a poisoned stream.
  template <typename Issue, typename Keep>
  void submit(const Operation& operation, const char* call, const Issue& issue, const Keep& keep) {
    const std::lock_guard lock(mutex_);
    if (holds_back()) [[unlikely]] {
      hold_back(operation, call, keep());
    } else {
      submit_now(operation, call, issue);
    }
  }
  // `issue` owns what it needs.
  template <typename Issue>
  void submit(const Operation& operation, const char* call, const Issue& issue) {
    submit(operation, call, issue, [&] { return Command(issue); });
  }
  // A launch of a kernel that may report a failure, see base/held_queue.hpp.
  template <typename Issue, typename Keep>
  void submit_guarded(const Operation& operation, const char* call, const Issue& issue,
                      const Keep& keep) {
    const std::lock_guard lock(mutex_);
    prepare_hold();
    if (holds_back()) {
      hold_back_guarded(operation, call, keep());
    } else {
      launch_guarded(operation, call, issue);
      held_.count_launch();
    }
  }

  // What is made by calls that wait for other ranks: `body` hands it to the driver, once nothing is held back here. Throws
  // COMM_TIMEOUT where that takes longer.
  template <typename Body>
  void submit_waiting(const Operation& operation, std::uint64_t timeout_ns, const Body& body) {
    std::unique_lock lock(mutex_);
    wait_for_held(lock, timeout_ns);
    const bool is_profiled = device_.is_profiling();
    if (is_profiled) profile_.begin(operation, stream_);
    bool is_issued = false;
    const auto end = [&] {
      if (is_profiled) profile_.end(stream_, is_issued);
    };
    try {
      body();
      is_issued = true;
    } catch (...) {
      end();
      throw;
    }
    end();
  }

  RecordRef record(bool is_timed);
  RecordRef failed_record() const;
  void wait_record(const RecordRef& record);
  flagos_status_t synchronize(std::uint64_t timeout_ns);
  // Whether the driver has done all of it, and nothing is held back.
  bool is_idle();

  // Hands on what nothing keeps back any more. True when something is still held back.
  bool advance() noexcept override;

  // With the stream's lock held: memory for copies in two steps, made at the first use.
  flagos_address_t scratch();  // of the device
  std::byte* staging();        // pinned
  static constexpr std::uint64_t scratch_bytes = 1 << 20;
  static constexpr std::uint64_t staging_bytes = 1 << 20;

  Failure failure() const noexcept { return health_->failure(); }
  const std::shared_ptr<Health>& health() const noexcept { return health_; }
  CUstream show() const noexcept { return stream_; }
  // What is submitted from one that begins to one that does not counts as one submission in records.
  void mark_launch(bool begins);

 private:
  // All of these with the lock held.
  template <typename Issue>
  void submit_now(const Operation& operation, const char* call, const Issue& issue) {
    health_->throw_if_poisoned();
    const bool is_profiled = device_.is_profiling();
    if (is_profiled) [[unlikely]]
      profile_.begin(operation, stream_);
    const CUresult code = issue(stream_, word_address());
    if (is_profiled) [[unlikely]]
      profile_.end(stream_, code == CUDA_SUCCESS);
    if (code != CUDA_SUCCESS) [[unlikely]]
      device_.fail(code, call);
  }
  flagos_address_t word_address() const noexcept {
    return reinterpret_cast<flagos_address_t>(word_);
  }
  void issue_record(Record& record);
  void issue_wait(const Record& record);
  bool wait_held(std::unique_lock<std::mutex>& lock, const Deadline& deadline);
  void wait_for_held(std::unique_lock<std::mutex>& lock, std::uint64_t timeout_ns);
  bool wait_driver(std::unique_lock<std::mutex>& lock, const Deadline& deadline);
  // Whether the driver has done all of it; throws when the context was lost.
  bool query();

  // What is held back.
  bool holds_back() {
    if (!held_.is_holding()) [[likely]]
      return false;
    advance_held();
    health_->throw_if_poisoned();
    return held_.is_holding();
  }
  void prepare_hold();
  void hold_back(const Operation& operation, const char* call, Command command);
  void hold_back_guarded(const Operation& operation, const char* call, Command command);
  void launch_guarded(const Operation& operation, const char* call, const Command& command);
  void advance_held() noexcept;
  bool advance_once() noexcept;
  void look_at_gate() noexcept;
  void read_report() noexcept;
  void issue(HeldWork<RecordRef> work) noexcept;

  Device& device_;
  const Driver& driver_;
  CUstream stream_ = nullptr;
  const bool owned_;
  const std::uint64_t id_;

  std::mutex mutex_;
  Profile profile_;
  flagos_address_t scratch_ = 0;
  std::byte* staging_ = nullptr;

  HeldQueue<RecordRef> held_;
  bool is_watched_ = false;
  volatile std::int32_t* word_ = nullptr;  // for flagos_failure; pinned
  const char* reporting_ = nullptr;        // the kernel behind whose launch the gate is closed
  // Set by the driver when the launch is over; outlives the stream, since it cannot take the call back.
  std::shared_ptr<std::atomic<bool>> is_reported_;

  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  const std::shared_ptr<Health> health_ = std::make_shared<Health>();
};

flagos_status_t stream_create(flagos_plugin_device_t* device, const flagos_stream_desc_t* desc,
                              flagos_plugin_stream_t** out_stream) noexcept;
void stream_destroy(flagos_plugin_stream_t* stream) noexcept;
void stream_begin_launch(flagos_plugin_stream_t* stream) noexcept;
void stream_end_launch(flagos_plugin_stream_t* stream) noexcept;
flagos_status_t stream_synchronize(flagos_plugin_stream_t* stream,
                                   std::uint64_t timeout_ns) noexcept;
flagos_status_t stream_wait_event(flagos_plugin_stream_t* stream,
                                  flagos_plugin_event_t* event) noexcept;
flagos_status_t stream_write_value(flagos_plugin_stream_t* stream, flagos_address_t target,
                                   std::uint64_t value, std::uint32_t size_bytes) noexcept;
flagos_status_t stream_wait_value(flagos_plugin_stream_t* stream, flagos_address_t source,
                                  std::uint64_t value, std::uint32_t size_bytes,
                                  flagos_compare_t compare) noexcept;

}  // namespace flagos::nvidia
