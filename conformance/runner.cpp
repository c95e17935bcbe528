#include "conformance/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <random>
#include <stdexcept>

#include <poll.h>
#include <sys/wait.h>

#include "conformance/helper.hpp"
#include "conformance/json_text.hpp"
#include "conformance/judgement.hpp"
#include "conformance/secrets.hpp"
#include "conformance/sha256.hpp"
#include "conformance/stacks.hpp"
#include "conformance/worker.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

constexpr double start_seconds = 60;  // from the start of a worker to its first case
constexpr double end_seconds = 60;    // from its last case to its end
constexpr int poll_milliseconds = 20;
constexpr std::size_t log_limit = 64 << 10;

std::atomic<bool> interrupted{false};

// Lines of another origin, a plugin's or a case's, do not have it.
std::string new_token() {
  std::random_device device;
  std::string token;
  for (int i = 0; i < 4; ++i) token += fmt::format("{:08x}", static_cast<std::uint32_t>(device()));
  return token;
}

const Case& harness_case(const char* id) {
  static const Case probe{
      probe_id, {.clause = "harness"}, nullptr, std::source_location::current()};
  static const Case ping{ping_id, {.clause = "harness"}, nullptr, std::source_location::current()};
  return std::string_view(id) == probe_id ? probe : ping;
}

bool is_harness_case(const Case& the_case) { return the_case.id.starts_with("harness."); }

CaseResult failed(const Case& the_case, Status status, const std::string& text, double seconds) {
  CaseResult result;
  result.id = the_case.id;
  result.status = status;
  result.text = text;
  result.seconds = seconds;
  return result;
}

}  // namespace

void interrupt_runner() { interrupted = true; }

struct Runner::Active {
  Active(const Options& options, Batch the_batch, const json& job, std::string the_token)
      : batch(std::move(the_batch)),
        token(std::move(the_token)),
        process(options.executable, job),
        deadline(steady_seconds() + start_seconds * options.timeout_scale) {}

  bool in_case() const { return current != nullptr; }
  bool all_done() const { return next == batch.cases.size(); }

  Batch batch;
  std::string token;
  WorkerProcess process;
  double deadline;
  std::size_t next = 0;           // the first case of the batch that has not ended
  const Case* current = nullptr;  // the one that has begun
  double begun = 0;
  bool timed_out = false;
  std::string stacks;
  std::optional<CaseResult> held;  // the last result: how the worker ends belongs to it
  std::string held_log;
};

Runner::Runner(const Options& options, std::vector<const Case*> cases, EventLog& log,
               Progress& progress)
    : options_(options), cases_(std::move(cases)), log_(log), progress_(progress) {}

Runner::~Runner() = default;

Record Runner::run() {
  start_ = steady_seconds();
  read_log();
  const bool uses_plugin = !options_.plugin_path.empty();
  if (uses_plugin) record_.plugin_sha256 = sha256_file(options_.plugin_path);
  if (uses_plugin) probe();
  const std::vector<Batch> batches = plan_batches(cases_, options_, done_);
  queue_.assign(batches.begin(), batches.end());
  if (record_.stopped.empty()) loop();
  add_not_run(record_, cases_, options_);  // not into the log, so that --resume runs it
  if (uses_plugin && sha256_file(options_.plugin_path) != record_.plugin_sha256) {
    record_.harness_faults.push_back("the plugin's file changed during the run");
  }
  record_.wall_seconds = seconds_of_run();
  return std::move(record_);
}

// Whole milliseconds are enough, and make short lines. A run that is gone on with counts on.
double Runner::seconds_of_run() const {
  return std::round((before_ + steady_seconds() - start_) * 1000) / 1000;
}

void Runner::read_log() {
  for (const json& event : log_.loaded()) {
    if (event.value("event", "") != "result") continue;
    Attempted attempted{event.at("pass").get<std::uint32_t>(), result_from_json(event.at("result")),
                        event.at("log").get<std::string>()};
    const std::string id = attempted.result.id;
    before_ = std::max(before_, event.at("at").get<double>());
    if (!done_.insert({attempted.pass, id}).second) continue;
    progress_.add(attempted.result, repro_line(options_, id));
    record_.attempts[id].push_back(std::move(attempted));
  }
}

// ---- the loop ----

// A worker of its own finds out whether the plugin opens at all, and what the device offers.
void Runner::probe() {
  start({0, Isolation::own, {&harness_case(probe_id)}});
  loop();
  if (record_.capabilities.is_null() && record_.stopped.empty()) {
    stop("the plugin did not describe itself");
  }
}

void Runner::loop() {
  while (!active_.empty() || (!queue_.empty() && record_.stopped.empty())) {
    if (interrupted && record_.stopped.empty()) stop("interrupted");
    start_workers();
    wait_for_events();
    for (auto entry = active_.begin(); entry != active_.end();) {
      Active& active = **entry;
      serve(active);
      check_deadline(active);
      const auto status = active.process.try_reap();
      if (!status) {
        ++entry;
        continue;
      }
      serve(active);  // what it wrote before it ended
      finish(active, *status);
      entry = active_.erase(entry);
    }
  }
}

void Runner::start_workers() {
  if (!record_.stopped.empty()) return;
  const bool pinging = std::any_of(active_.begin(), active_.end(), [](const auto& active) {
    return active->batch.cases.front()->id == ping_id;
  });
  if (pinging) return;
  if (ping_wanted_) {
    ping_wanted_ = false;
    return start({0, Isolation::own, {&harness_case(ping_id)}});
  }
  while (active_.size() < options_.jobs && !queue_.empty() && may_start(queue_.front())) {
    Batch batch = std::move(queue_.front());
    queue_.pop_front();
    start(std::move(batch));
  }
}

// A destructive case has the device to itself.
bool Runner::may_start(const Batch& batch) const {
  if (active_.empty()) return true;
  const bool exclusive = std::any_of(active_.begin(), active_.end(), [](const auto& active) {
    return active->batch.isolation == Isolation::destructive;
  });
  return !exclusive && batch.isolation != Isolation::destructive;
}

void Runner::start(Batch batch) {
  Context::Settings settings;
  settings.plugin_path = options_.plugin_path;
  settings.device_ordinal = options_.device;
  settings.seed = options_.seed;
  settings.kernels_dir = options_.kernels_dir;
  settings.helper_path = options_.executable;
  settings.quick = options_.quick;
  settings.null_check = options_.null_check;
  json ids = json::array();
  for (const Case* const the_case : batch.cases) ids.push_back(the_case->id);
  const bool snapshot =
      batch.isolation == Isolation::shared && !options_.plugin_path.empty() && !options_.null_check;
  const std::string token = new_token();
  const json job = {{"token", token},
                    {"settings", settings_to_json(settings)},
                    {"cases", ids},
                    {"snapshot", snapshot}};
  active_.push_back(std::make_unique<Active>(options_, std::move(batch), job, token));
}

void Runner::wait_for_events() const {
  std::vector<pollfd> entries;
  for (const auto& active : active_) {
    for (const int descriptor :
         {active->process.report_descriptor(), active->process.output_descriptor()}) {
      if (descriptor >= 0) entries.push_back({descriptor, POLLIN, 0});
    }
  }
  // The end of a process is no event of these descriptors when a child of it holds them: so look
  // now and then.
  poll(entries.data(), entries.size(), poll_milliseconds);
}

// ---- what a worker says ----

void Runner::serve(Active& active) {
  for (const std::string& line : active.process.pump()) take_line(active, line);
}

void Runner::take_line(Active& active, const std::string& line) {
  const json event = json::parse(line, nullptr, false);
  if (!event.is_object() || event.value("token", "") != active.token) return;
  const std::string kind = event.value("event", "");
  if (kind == "begin") {
    begin_case(active, event.at("id").get<std::string>());
  } else if (kind == "end") {
    end_case(active, event.at("result"));
  } else if (kind == "caps") {
    take_capabilities(event.at("caps"));
  } else if (kind == "libraries") {
    record_.libraries = event.at("libraries");
    log_.append({{"event", "libraries"}, {"libraries", record_.libraries}});
  } else if (kind == "caps_failed" && record_.stopped.empty()) {
    record_.plugin_faults.push_back("after its cases a worker could not describe the device: " +
                                    event.at("text").get<std::string>());
  }
}

void Runner::begin_case(Active& active, const std::string& id) {
  if (active.all_done() || active.batch.cases[active.next]->id != id) {
    throw std::runtime_error(fmt::format("a worker began '{}' out of turn", id));
  }
  if (active.held) keep(active, *std::exchange(active.held, std::nullopt), active.held_log);
  active.current = active.batch.cases[active.next];
  active.begun = steady_seconds();
  active.deadline = active.begun + time_limit(*active.current, options_);
}

void Runner::end_case(Active& active, const json& json_result) {
  CaseResult result = result_from_json(json_result);
  if (!active.in_case() || result.id != active.current->id) {
    throw std::runtime_error(fmt::format("a worker ended '{}' out of turn", result.id));
  }
  active.held_log = active.process.take_output();
  active.process.acknowledge();
  active.held = std::move(result);
  active.current = nullptr;
  ++active.next;
  active.deadline = steady_seconds() + end_seconds * options_.timeout_scale;
}

void Runner::take_capabilities(const json& capabilities) {
  const std::string hash = sha256_hex(canonical_json(capabilities));
  ++record_.capability_snapshots;
  record_.capabilities_hash_end = hash;
  if (record_.capabilities.is_null()) {
    record_.capabilities = capabilities;
    record_.capabilities_hash = hash;
    log_.append({{"event", "capabilities"}, {"sha256", hash}, {"capabilities", capabilities}});
  } else if (hash != record_.capabilities_hash) {
    record_.plugin_faults.push_back(
        "plugin and device described themselves otherwise in another process");
  }
}

void Runner::check_deadline(Active& active) {
  if (active.timed_out || steady_seconds() < active.deadline) return;
  active.timed_out = true;
  active.stacks = dump_stacks(active.process.pid());
  active.process.kill_group();
}

// ---- the end of a worker ----

void Runner::finish(Active& active, int wait_status) {
  std::string output = active.process.take_output();
  if (!active.stacks.empty()) output += "\n--- stacks ---\n" + active.stacks;
  if (active.in_case()) {
    finish_current(active, wait_status, output);
  } else {
    finish_idle(active, wait_status, output);
  }
}

// The worker ended in the middle of a case.
void Runner::finish_current(Active& active, int wait_status, const std::string& output) {
  if (!record_.stopped.empty()) return;  // killed by us: the case says nothing
  const Status status = active.timed_out ? Status::timeout : Status::crash;
  const double seconds = steady_seconds() - active.begun;
  const std::string text =
      active.timed_out
          ? fmt::format("no result after {:.1f} s", time_limit(*active.current, options_))
          : fmt::format("the process {} in the middle of the case",
                        describe_wait_status(wait_status));
  const Case& the_case = *active.current;
  ++active.next;
  keep(active, failed(the_case, status, text, seconds), output);
  requeue(active);
  if (!is_harness_case(the_case)) ask_for_ping();
}

// The worker ended between cases, or behind the last one.
void Runner::finish_idle(Active& active, int wait_status, const std::string& output) {
  const bool clean = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0 && active.all_done();
  const std::string how =
      active.timed_out ? "did not end in time" : describe_wait_status(wait_status);
  if (active.held) {
    CaseResult result = *std::exchange(active.held, std::nullopt);
    if (!clean && record_.stopped.empty()) {
      result.text =
          fmt::format("after its result ({}) the process {}", status_name(result.status), how);
      result.status = worse(result.status, active.timed_out ? Status::timeout : Status::crash);
      active.held_log += output;
      ask_for_ping();
    }
    keep(active, result, active.held_log);
  } else if (!clean && record_.stopped.empty() && !active.all_done()) {
    const Case& the_case = *active.batch.cases[active.next++];
    keep(active,
         failed(the_case, Status::harness_error, "before the case began the worker " + how, 0),
         output);
  }
  requeue(active);
}

void Runner::requeue(const Active& active) {
  if (active.all_done()) return;
  Batch rest = active.batch;
  rest.cases.erase(rest.cases.begin(),
                   rest.cases.begin() + static_cast<std::ptrdiff_t>(active.next));
  queue_.push_front(std::move(rest));
}

void Runner::ask_for_ping() {
  if (!options_.plugin_path.empty() && !options_.null_check) ping_wanted_ = true;
}

// A suite without kernels for this device cannot ping it; that is no fault of the device.
void Runner::finish_ping(bool passed) {
  if (!passed) stop("the device did not answer after a case had failed");
}

void Runner::keep(const Active& active, const CaseResult& result, const std::string& log) {
  if (result.id == ping_id) {
    return finish_ping(result.status == Status::pass || result.status == Status::not_run);
  }
  if (result.id == probe_id) {
    if (result.status != Status::pass) {
      record_.plugin_faults.push_back("the plugin cannot be used: " + result.text);
      stop(record_.plugin_faults.back());
    }
    return;
  }
  Attempted attempted{active.batch.pass, result, {}};
  if (!is_allowed(result.status)) {
    attempted.log =
        without_secrets(log.size() > log_limit ? log.substr(log.size() - log_limit) : log);
  }
  log_.append({{"event", "result"},
               {"run", log_.run()},
               {"at", seconds_of_run()},
               {"pass", attempted.pass},
               {"result", to_json(result)},
               {"log", attempted.log}});
  done_.insert({attempted.pass, result.id});
  record_.attempts[result.id].push_back(std::move(attempted));
  progress_.add(result, repro_line(options_, result.id));
  if (result.status == Status::device_lost) ask_for_ping();
}

void Runner::stop(const std::string& reason) {
  if (!record_.stopped.empty()) return;
  record_.stopped = reason;
  progress_.say("stopped: " + reason);
  log_.append({{"event", "stopped"}, {"reason", reason}});
  queue_.clear();
  for (const auto& active : active_) active->process.kill_group();
}

}  // namespace flagos::conformance
