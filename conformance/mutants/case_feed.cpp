#include "conformance/mutants/case_feed.hpp"

#include <poll.h>
#include <sys/wait.h>

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <random>

#include "conformance/helper.hpp"
#include "conformance/subprocess.hpp"

namespace flagos::conformance::mutants {
namespace {

using nlohmann::json;

constexpr double seconds_to_end = 30;
constexpr int poll_milliseconds = 2;
const std::string token = "mutants";

json job_of(const Context::Settings& settings, const std::vector<const Case*>& cases) {
  json ids = json::array();
  for (const Case* const the_case : cases) ids.push_back(the_case->id);
  return {{"token", token},
          {"settings", settings_to_json(settings)},
          {"cases", ids},
          {"snapshot", false}};
}

bool is_shared(const Case& the_case) { return the_case.options.isolation == Isolation::shared; }

CaseResult ended(const Case& the_case, Status status, const std::string& text) {
  CaseResult result;
  result.id = the_case.id;
  result.status = status;
  result.text = text;
  return result;
}

void wait_a_little(const WorkerProcess& worker) {
  pollfd descriptors[] = {{worker.report_descriptor(), POLLIN, 0},
                          {worker.output_descriptor(), POLLIN, 0}};
  poll(descriptors, 2, poll_milliseconds);
}

}  // namespace

CaseFeed::CaseFeed(const Context::Settings& settings, std::vector<const Case*> cases)
    : settings_(settings), cases_(std::move(cases)) {
  last_shared_.status = Status::pass;
}

CaseFeed::~CaseFeed() = default;

void CaseFeed::start_shared() {
  std::vector<const Case*> rest;
  for (std::size_t i = next_; i < cases_.size(); ++i)
    if (is_shared(*cases_[i])) rest.push_back(cases_[i]);
  shared_ = std::make_unique<WorkerProcess>(settings_.helper_path, job_of(settings_, rest));
}

CaseResult CaseFeed::next(double seconds) {
  const Case& the_case = coming();
  CaseResult result;
  if (is_shared(the_case)) {
    if (shared_ == nullptr) {
      start_shared();
    } else {
      shared_->acknowledge();
    }
    result = last_shared_ = run(*shared_, the_case, seconds);
    if (result.status == Status::crash || result.status == Status::timeout) shared_.reset();
  } else {
    WorkerProcess worker(settings_.helper_path, job_of(settings_, {&the_case}));
    result = run(worker, the_case, seconds);
    if (result.status != Status::crash && result.status != Status::timeout)
      result = finish(worker, std::move(result));
  }
  ++next_;
  return result;
}

CaseResult CaseFeed::run(WorkerProcess& worker, const Case& the_case, double seconds) {
  const double start = steady_seconds();
  for (bool over = false; !over;) {
    over = worker.try_reap().has_value();
    for (const std::string& line : worker.pump()) {
      const json event = json::parse(line, nullptr, false);
      if (!event.is_object() || event.value("token", "") != token ||
          event.value("event", "") != "end")
        continue;
      CaseResult result = result_from_json(event.at("result"));
      if (result.id == the_case.id) return result;
    }
    if (!over && steady_seconds() - start > seconds) {
      worker.kill_group();
      return ended(the_case, Status::timeout, fmt::format("no result after {:.0f} s", seconds));
    }
    if (!over) wait_a_little(worker);
  }
  return ended(the_case, Status::crash, "the process ended in the middle of the case");
}

CaseResult CaseFeed::finish(WorkerProcess& worker, CaseResult result) {
  worker.acknowledge();
  const double start = steady_seconds();
  while (steady_seconds() - start < seconds_to_end) {
    worker.pump();
    const auto status = worker.try_reap();
    if (!status) {
      wait_a_little(worker);
      continue;
    }
    if (WIFEXITED(*status) && WEXITSTATUS(*status) == 0) return result;
    result.status = worse(result.status, Status::crash);
    result.text = "after its result the process " + describe_wait_status(*status);
    return result;
  }
  result.status = worse(result.status, Status::timeout);
  result.text = "after its result the process did not end";
  return result;
}

CaseResult CaseFeed::end() {
  // It has ended in the middle of a case, which was told; or it has cases left that nobody asks for.
  if (shared_ == nullptr || !at_end()) return last_shared_;
  CaseResult result = finish(*shared_, last_shared_);
  shared_.reset();
  return result;
}

}  // namespace flagos::conformance::mutants
