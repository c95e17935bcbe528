// A stream: a plugin's queue, and the rare modes in which core stands in front of it.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "core/command.hpp"
#include "core/device.hpp"

namespace flagos::core {

class Capture;
class Marker;
class SoftQueue;

class Stream : public Child {
 public:
  static constexpr Tag tag_of = Tag::stream;

  // Rare modes, bits of `mode`; 0 on the fast path.
  enum : std::uint32_t {
    capturing = 1,  // commands are recorded in `capture`
    soft = 2,       // commands are held back in `soft_queue`
    poisoned = 4,   // by core: a failed timeline, say; the status is in poison()
    lost = 8,       // the device is lost
    dead = 16,      // the handle was destroyed: waiters end with CANCELLED
  };

  Stream(Device& device, const flagos_stream_desc_t& desc);
  // On the caller's own queue.
  Stream(Device& device, const flagos_native_t& native, std::uint64_t flags);
  ~Stream() override;
  void release() override;
  void on_destroy() override;

  // Good until the end of the read section: a reset may put another in its place.
  flagos_plugin_stream_t* native() const { return native_.load(std::memory_order_acquire); }
  // For use outside a read section: what is returned keeps it.
  std::shared_ptr<flagos_plugin_stream_t> keep_native();
  std::uint32_t mode() const { return mode_.load(std::memory_order_acquire); }
  void set_mode(std::uint32_t bits) { mode_.fetch_or(bits, std::memory_order_acq_rel); }
  void clear_mode(std::uint32_t bits) { mode_.fetch_and(~bits, std::memory_order_acq_rel); }

  // Lives while something is submitted, and says so at its end. Said before, another thread that marks the stream could take it
  // back in between, having seen it idle, and what the new work uses would be released under it. Whoever destroys that
  // is behind the end: destruction waits for calls that are under way.
  // What core puts there for itself, or hands on of what it held back, is no new work of the program.
  class Submission {
   public:
    enum class By { program, core };
    explicit Submission(Stream& stream, By by = By::program) : stream_(stream), by_(by) {}
    ~Submission() {
      stream_.touched_.store(true, std::memory_order_relaxed);
      if (by_ == By::program) stream_.quiet_since_.store(0, std::memory_order_release);
    }
    Submission(const Submission&) = delete;
    Submission& operator=(const Submission&) = delete;

   private:
    Stream& stream_;
    const By by_;
  };

  // Queues one operation. `direct` calls the plugin; `make` builds the Command for the rare modes.
  template <typename Direct, typename Make>
  flagos_status_t submit(Direct&& direct, Make&& make, const char* slot) {
    const Submission submission(*this);
    if (mode() == 0) [[likely]]
      return checked_submit(direct(), slot);
    return submit_slow(make());
  }
  // For operations that may need the soft queue even on an ordinary stream; see soft_queue.cpp.
  flagos_status_t submit_slow(Command command);

  // Waits for everything submitted before; TIMEOUT, CANCELLED, or the status that poisoned it, and what the plugin says
  // of that.
  flagos_status_t synchronize(std::uint64_t timeout_ns, std::string* said = nullptr);
  void reset();
  void poison(flagos_status_t status);
  flagos_status_t poison_status() const { return poison_.load(std::memory_order_acquire); }

  // Throws NOT_PERMITTED and invalidates the capture when the stream is capturing.
  void forbid_capture(const char* name);

  const flagos_stream_desc_t& desc() const { return desc_; }

  // A marker behind all work submitted so far; nullptr when none is pending. Not while `rare_mutex` is held.
  std::shared_ptr<Marker> mark();

  // Set and read under `rare_mutex`.
  std::mutex rare_mutex;
  std::shared_ptr<Capture> capture;
  std::shared_ptr<SoftQueue> soft_queue;

 private:
  static flagos_status_t checked_submit(flagos_status_t status, const char* slot);
  flagos_status_t await(std::uint64_t timeout_ns, std::string* said);
  std::uint64_t begin_look();
  void end_look(std::uint64_t look);
  void start(flagos_plugin_stream_t* native, const char* slot);
  std::shared_ptr<flagos_plugin_stream_t> own(flagos_plugin_stream_t* native, const char* slot);
  void replace_native();
  std::shared_ptr<Marker> new_marker();

  const flagos_stream_desc_t desc_;
  const bool wrapped_ = false;
  std::atomic<std::uint32_t> mode_{0};
  std::atomic<flagos_plugin_stream_t*> native_{nullptr};
  std::mutex owner_mutex_;
  std::shared_ptr<flagos_plugin_stream_t> owner_;  // of native_; guarded by owner_mutex_
  std::atomic<bool> touched_{false};               // something was submitted since it was last seen idle or marked
  // Looks at the stream are numbered. The first one since the program last submitted something, 0 while there is none; and the last
  // one, or one that counts as it, that saw all work of the program done.
  std::atomic<std::uint64_t> quiet_since_{0}, looks_{0}, passed_{0};
  std::atomic<flagos_status_t> poison_{FLAGOS_STATUS_OK};
  std::mutex marker_mutex_;
  std::shared_ptr<Marker> marker_;  // the last one made, if nothing was submitted since
};

}  // namespace flagos::core
