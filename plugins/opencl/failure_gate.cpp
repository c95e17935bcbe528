#include "plugins/opencl/failure_gate.hpp"

#include <algorithm>
#include <utility>

#include "plugins/opencl/callback.hpp"

namespace flagos::opencl {

FailureGates::~FailureGates() {
  std::vector<std::shared_ptr<FailureGate>> open;
  {
    const std::lock_guard lock(mutex_);
    open.swap(open_);
  }
  for (const auto& gate : open) {
    const std::lock_guard lock(gate->mutex);
    gate->gates = nullptr;
    cancel_callback(gate->callback);
    driver_.clReleaseEvent(gate->user_event);
  }
}

std::shared_ptr<FailureGate> FailureGates::add(cl_context context, flagos_address_t word,
                                               std::string kernel) {
  auto gate = std::make_shared<FailureGate>();
  gate->gates = this;
  gate->word = word;
  gate->kernel = std::move(kernel);
  const std::lock_guard lock(mutex_);
  open_.reserve(open_.size() + 1);
  words_.reserve(words_.size() + open_.size() + 1);  // so that a word can always be given back
  cl_int code = CL_SUCCESS;
  gate->user_event = driver_.clCreateUserEvent(context, &code);
  Driver::check(code, "clCreateUserEvent");
  open_.push_back(gate);
  count_.fetch_add(1, std::memory_order_release);
  return gate;
}

void FailureGates::drop(const std::shared_ptr<FailureGate>& gate) noexcept { pass(gate); }

void FailureGates::watch(const RecordRef& record) {
  const std::lock_guard lock(mutex_);
  std::erase_if(records_, [](const auto& known) { return known.expired(); });
  records_.push_back(record);
}

void FailureGates::resolve(const std::shared_ptr<FailureGate>& gate, cl_int read_status) noexcept {
  const std::lock_guard lock(gate->mutex);
  if (gate->gates != nullptr) gate->gates->judge(gate, read_status);
}

void FailureGates::judge(const std::shared_ptr<FailureGate>& gate, cl_int read_status) noexcept {
  if (read_status < 0) {
    // The launch itself did not run: its stream tells why.
    fail();
    return;
  }
  if (gate->report == 0) {
    pass(gate);
    return;
  }
  const auto said = static_cast<flagos_status_t>(gate->report);
  const bool is_answer = FLAGOS_STATUS_CLASS(said) == FLAGOS_STATUS_CLASS_ANSWER;
  char text[300];
  const auto end = fmt::format_to_n(text, sizeof(text) - 1,
                                    "kernel '{:.100}' reported failure {:#x} in flagos_failure",
                                    gate->kernel, static_cast<std::uint32_t>(said));
  *end.out = '\0';
  health_->poison(is_answer ? FLAGOS_STATUS_EXECUTION_FAILED : said, text);
  fail();
}

// Once the user event has its status the stream may be seen idle and be destroyed: nothing of this
// object is touched behind that.
void FailureGates::pass(const std::shared_ptr<FailureGate>& gate) noexcept {
  const Driver& driver = driver_;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find(open_.begin(), open_.end(), gate);
    if (found == open_.end()) return;
    open_.erase(found);
    words_.push_back(gate->word);
    count_.fetch_sub(1, std::memory_order_release);
  }
  driver.clSetUserEventStatus(gate->user_event, CL_COMPLETE);
  driver.clReleaseEvent(gate->user_event);
}

// Nothing that is queued runs any more: every gate ends, and so does what waits for a record.
void FailureGates::fail() noexcept {
  const Driver& driver = driver_;
  const std::shared_ptr<Signal> signal = signal_;
  std::vector<std::shared_ptr<FailureGate>> open;
  std::vector<RecordRef> records;
  {
    const std::lock_guard lock(mutex_);
    failing_.fetch_add(1, std::memory_order_release);
    open.swap(open_);
    for (const auto& record : records_)
      if (RecordRef live = record.lock()) records.push_back(std::move(live));
    records_.clear();
    for (const auto& gate : open) words_.push_back(gate->word);
    count_.fetch_sub(static_cast<std::uint32_t>(open.size()), std::memory_order_release);
  }
  for (const auto& gate : open) {
    cancel_callback(gate->callback);
    driver.clSetUserEventStatus(gate->user_event, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    driver.clReleaseEvent(gate->user_event);
  }
  failed_.store(true, std::memory_order_release);
  failing_.fetch_sub(1, std::memory_order_release);  // from here on the stream may be gone
  for (const RecordRef& record : records) record->complete();
  signal->notify_all();
}

flagos_address_t FailureGates::take_word() noexcept {
  const std::lock_guard lock(mutex_);
  if (words_.empty()) return 0;
  const flagos_address_t word = words_.back();
  words_.pop_back();
  return word;
}

void FailureGates::give_word(flagos_address_t word) noexcept {
  const std::lock_guard lock(mutex_);
  words_.push_back(word);
}

}  // namespace flagos::opencl
