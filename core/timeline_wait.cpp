// Waits for timelines: by the plugin where all are of one, else on a condition variable that core's timelines wake
// and, where a plugin's are among them, with polls that become rarer.
#include "core/timeline_wait.hpp"

#include <algorithm>

namespace flagos::core {

void TimelineWait::add(Timeline& timeline, std::uint64_t value) {
  timelines_.emplace_back(&timeline);
  values_.push_back(value);
}

flagos_status_t TimelineWait::run(std::uint64_t timeout_ns, std::uint32_t& index) {
  const flagos_status_t now = evaluate(index);
  if (now != FLAGOS_STATUS_TIMEOUT || timeout_ns == 0) return now;
  const Deadline deadline(timeout_ns);
  Pause pause;
  return native_of_one_plugin() ? run_native(deadline, index) : run_mixed(deadline, index);
}

// TIMEOUT when it is not over. A failure counts at once with ALL, and with ANY unless one is reached.
flagos_status_t TimelineWait::evaluate(std::uint32_t& index) const {
  flagos_status_t failure = FLAGOS_STATUS_OK;
  bool pending = false;
  for (std::size_t i = 0; i < timelines_.size(); ++i) {
    const flagos_status_t status = timelines_[i]->wait_status(values_[i], Timeline::By::host);
    if (status == FLAGOS_STATUS_TIMEOUT) {
      pending = true;
    } else if (status != FLAGOS_STATUS_OK) {
      if (mode_ == FLAGOS_WAIT_MODE_ALL) return status;
      if (failure == FLAGOS_STATUS_OK) failure = status;
    } else if (mode_ == FLAGOS_WAIT_MODE_ANY) {
      index = static_cast<std::uint32_t>(i);
      return FLAGOS_STATUS_OK;
    }
  }
  if (failure != FLAGOS_STATUS_OK) return failure;
  return pending ? FLAGOS_STATUS_TIMEOUT : FLAGOS_STATUS_OK;
}

bool TimelineWait::native_of_one_plugin() const {
  const Plugin& first = timelines_.front()->device().plugin();
  return std::all_of(timelines_.begin(), timelines_.end(), [&](const Ref<Timeline>& timeline) {
    return timeline->native() != nullptr && &timeline->device().plugin() == &first;
  });
}

// In slices, so that what only core knows of (a loss, a destroyed handle) ends it too.
flagos_status_t TimelineWait::run_native(const Deadline& deadline, std::uint32_t& index) {
  std::vector<flagos_plugin_timeline_t*> natives;
  natives.reserve(timelines_.size());
  for (const Ref<Timeline>& timeline : timelines_) natives.push_back(timeline->native());
  const flagos_timeline_table_t& table = timelines_.front()->tables().timeline;
  while (true) {
    const flagos_status_t status = table.wait(static_cast<std::uint32_t>(natives.size()), natives.data(),
                                              values_.data(), mode_, deadline.slice_ns(), &index);
    const flagos_status_t known = evaluate(index);
    if (known != FLAGOS_STATUS_TIMEOUT) return known;
    if (status != FLAGOS_STATUS_TIMEOUT) return checked(status, "timeline.wait");
    if (deadline.expired()) return FLAGOS_STATUS_TIMEOUT;
  }
}

flagos_status_t TimelineWait::run_mixed(const Deadline& deadline, std::uint32_t& index) {
  // Known to the timelines as long as this function runs.
  struct Registration {
    explicit Registration(const std::vector<Ref<Timeline>>& used) : timelines(used) {
      for (const Ref<Timeline>& timeline : timelines) timeline->add_waiter(waiter);
    }
    ~Registration() {
      for (const Ref<Timeline>& timeline : timelines) timeline->remove_waiter(waiter);
    }
    const std::vector<Ref<Timeline>>& timelines;
    TimelineWaiter waiter;
  } registration(timelines_);

  constexpr std::uint64_t longest_ns = 1'000'000;
  const bool polls = std::any_of(timelines_.begin(), timelines_.end(),
                                 [](const Ref<Timeline>& timeline) { return timeline->native() != nullptr; });
  std::uint64_t pause_ns = 10'000;
  while (true) {
    const flagos_status_t status = evaluate(index);
    if (status != FLAGOS_STATUS_TIMEOUT || deadline.expired()) return status;
    registration.waiter.sleep(polls ? std::min(pause_ns, deadline.slice_ns()) : deadline.slice_ns());
    pause_ns = std::min(pause_ns * 2, longest_ns);
  }
}

}  // namespace flagos::core
