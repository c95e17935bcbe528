#include "plugins/cpu/value_poller.hpp"

#include <algorithm>

#include "base/thread.hpp"
#include "plugins/cpu/stream.hpp"

namespace flagos::cpu {
namespace {
constexpr std::uint64_t shortest_ns = 20'000;
constexpr std::uint64_t longest_ns = 1'000'000;
}  // namespace

bool ValueCondition::holds() const noexcept {
  const void* pointer = reinterpret_cast<const void*>(source);
  // Other threads and streams write it meanwhile, so it is read as the atomic that it is.
  const std::uint64_t found =
      bytes == 4 ? __atomic_load_n(static_cast<const std::uint32_t*>(pointer), __ATOMIC_ACQUIRE)
                 : __atomic_load_n(static_cast<const std::uint64_t*>(pointer), __ATOMIC_ACQUIRE);
  const std::uint64_t wanted = bytes == 4 ? static_cast<std::uint32_t>(value) : value;
  return compare == FLAGOS_COMPARE_EQUAL ? found == wanted : found >= wanted;
}

ValuePoller::~ValuePoller() {
  stopping_ = true;
  signal_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ValuePoller::park(Stream& stream) {
  if (!thread_.joinable()) thread_ = start_thread("flagos-values", {}, [this] { poll(); });
  parked_.push(stream);
  waiting_.store(1);
  kick();
}

void ValuePoller::kick() noexcept {
  if (waiting_.load() == 0) return;
  kicks_.fetch_add(1);
  signal_.notify_all();
}

bool ValuePoller::release_ready() noexcept {
  const std::lock_guard lock(lot_.mutex);
  bool released = false;
  parked_.for_each([&](Parked& parked) {
    auto& stream = static_cast<Stream&>(parked);
    if (!stream.parked_condition.holds()) return;
    stream.unpark();
    released = true;
  });
  if (parked_.is_empty()) waiting_.store(0);
  return released;
}

void ValuePoller::poll() noexcept {
  std::uint64_t interval_ns = shortest_ns;
  while (!stopping_) {
    signal_.wait([this] { return waiting_.load() != 0 || stopping_.load(); }, Deadline(UINT64_MAX));
    const std::uint32_t kicks = kicks_.load();
    const bool released = release_ready();
    const bool kicked = signal_.wait([&] { return kicks_.load() != kicks || stopping_.load(); },
                                     Deadline(interval_ns));
    interval_ns = released || kicked ? shortest_ns : std::min(2 * interval_ns, longest_ns);
  }
}

}  // namespace flagos::cpu
