#include "conformance/program/soak.hpp"

#include <fmt/format.h>

#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "conformance/context_state.hpp"
#include "conformance/program/latencies.hpp"
#include "conformance/program/world.hpp"
#include "conformance/statistics.hpp"
#include "conformance/status.hpp"

namespace flagos::conformance {
namespace {

using Json = nlohmann::json;

constexpr std::uint32_t longest_program = 400;  // steps
constexpr double longest_silence = 400;         // seconds without any step: a call hangs
constexpr double share_of_cases = 0.25;         // of an interval
constexpr auto glance = std::chrono::milliseconds(20);

std::atomic<bool> is_interrupted{false};
std::atomic<std::uint64_t> signals_taken{0};

// SIGALRM by the clock and SIGPROF by the time used, each as fast as timers go, to whichever thread they meet. No call of
// flagos may end with EINTR, or wait longer.
class Storm {
 public:
  explicit Storm(bool wanted) : wanted_(wanted) {
    if (!wanted) return;
    struct sigaction action {};
    action.sa_handler = [](int) {
      const int kept = errno;
      signals_taken.fetch_add(1, std::memory_order_relaxed);
      errno = kept;
    };
    action.sa_flags = 0;  // no SA_RESTART
    sigaction(SIGALRM, &action, nullptr);
    sigaction(SIGPROF, &action, nullptr);
    set_timers(200);
  }
  ~Storm() {
    if (wanted_) set_timers(0);
  }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

 private:
  static void set_timers(suseconds_t microseconds) {
    const itimerval timer{{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, nullptr);
    setitimer(ITIMER_PROF, &timer, nullptr);
  }
  const bool wanted_;
};

// Cases that share their process with others, and do not look at the process itself.
std::vector<const Case*> fitting_cases() {
  std::vector<const Case*> fitting;
  for (const Case& one : all_cases()) {
    const std::string category = one.id.substr(0, one.id.find('.'));
    const bool looks_around =
        category == "leak" || category == "perf" || category == "lim" || category == "selftest";
    if (one.options.isolation == Isolation::shared && !looks_around) fitting.push_back(&one);
  }
  return fitting;
}

// One thread of an interval.
struct Runner {
  std::uint64_t seed = 0;
  std::uint64_t steps_left = 0;  // with a number of steps
  Latencies latencies;
  std::atomic<std::uint64_t> steps{0}, live{0};
  std::uint64_t calls = 0;
  std::atomic<const RandomProgram*> program{nullptr};
};

class Soak {
 public:
  explicit Soak(const SoakOptions& options)
      : options_(options), world_(options.plugin_path, options.kernels_dir, options.devices) {
    if (options.cases) cases_ = fitting_cases();
    if (!options.out.empty()) {
      log_.open(options.out, std::ios::trunc);
      if (!log_) throw std::runtime_error(fmt::format("cannot write '{}'", options.out));
    }
  }

  int run();

 private:
  double now() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  bool is_over() const {
    if (is_interrupted || failed_) return true;
    return options_.steps != 0 ? round_ != 0 : now() >= options_.seconds;
  }
  void interval();
  void run_programs(Runner& runner, std::uint32_t index, double end);
  void watch(std::vector<std::unique_ptr<Runner>>& runners, std::atomic<std::uint32_t>& running);
  void run_cases(double end);
  void sample(const std::vector<std::unique_ptr<Runner>>& runners);
  void note_failure(const std::string& text);
  void write(const Json& line);
  int verdict();

  const SoakOptions options_;
  ProgramWorld world_;
  Board board_;
  std::vector<const Case*> cases_;
  std::ofstream log_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::uint32_t round_ = 0;
  std::vector<Sample> samples_;
  std::vector<double> p99s_;
  std::uint64_t calls_ = 0, steps_ = 0, most_live_ = 0, cases_run_ = 0;
  std::atomic<bool> failed_{false};
  std::mutex mutex_;  // of what follows
  std::vector<std::string> failures_;
};

void Soak::note_failure(const std::string& text) {
  const std::lock_guard lock(mutex_);
  failed_ = true;
  failures_.push_back(text);
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Soak::write(const Json& line) {
  if (!log_.is_open()) return;
  log_ << line.dump() << std::endl;  // to be read while the soak goes on
  if (!log_) throw std::runtime_error(fmt::format("cannot write '{}'", options_.out));
}

void Soak::run_programs(Runner& runner, std::uint32_t index, double end) {
  RandomChoices choices(runner.seed);
  const auto goes_on = [&] {
    if (failed_ || is_interrupted) return false;
    return options_.steps != 0 ? runner.steps_left > 0 : now() < end;
  };
  try {
    while (goes_on()) {
      RandomProgram program(world_.places(), choices, board_, &runner.latencies);
      runner.program = &program;
      for (std::uint32_t left = 1 + choices.below(longest_program); left > 0 && goes_on(); --left) {
        program.step();
        ++runner.steps;
        runner.live = program.live_objects();
        if (options_.steps != 0) --runner.steps_left;
      }
      program.finish();
      runner.calls += program.calls();
      runner.program = nullptr;
    }
  } catch (const Mismatch& mismatch) {
    runner.program = nullptr;
    note_failure(fmt::format("thread {} of round {}: {}", index, round_, mismatch.what()));
  }
  runner.live = 0;
}

// Until all have ended: what is alive at most, and whether anybody still gets on.
void Soak::watch(std::vector<std::unique_ptr<Runner>>& runners,
                 std::atomic<std::uint32_t>& running) {
  std::uint64_t seen = 0;
  double seen_at = now();
  while (running != 0) {
    std::this_thread::sleep_for(glance);
    std::uint64_t live = 0, steps = 0;
    for (const auto& runner : runners) {
      live += runner->live;
      steps += runner->steps;
    }
    most_live_ = std::max(most_live_, live);
    if (steps != seen) {
      seen = steps;
      seen_at = now();
    }
    if (now() - seen_at < longest_silence) continue;
    fmt::print("no thread has made a step for {} s; they are in:\n", longest_silence);
    for (const auto& runner : runners) {
      const RandomProgram* const program = runner->program;
      if (program != nullptr) fmt::print("  {}\n", program->entry());
    }
    std::fflush(stdout);
    _exit(1);
  }
}

void Soak::interval() {
  const double end = now() + options_.interval;
  std::vector<std::unique_ptr<Runner>> runners;
  std::vector<std::thread> threads;
  std::atomic<std::uint32_t> running{options_.threads};
  for (std::uint32_t i = 0; i < options_.threads; ++i) {
    runners.push_back(std::make_unique<Runner>());
    runners.back()->seed = options_.seed + round_ * 1'000'003ull + i;
    runners.back()->steps_left = options_.steps;
  }
  for (std::uint32_t i = 0; i < options_.threads; ++i) {
    threads.emplace_back([&, i] {
      run_programs(*runners[i], i, end);
      --running;
    });
  }
  watch(runners, running);
  for (std::thread& thread : threads) thread.join();
  run_cases(now() + options_.interval * share_of_cases);
  sample(runners);
  ++round_;
}

void Soak::run_cases(double end) {
  RandomChoices choices(options_.seed + round_);
  while (!cases_.empty() && !failed_ && !is_interrupted && now() < end) {
    const Case& chosen = *cases_[choices.below(static_cast<std::uint32_t>(cases_.size()))];
    Context::Settings settings;
    settings.plugin_path = options_.plugin_path;
    settings.kernels_dir = options_.kernels_dir;
    settings.helper_path = options_.executable;
    settings.seed = options_.seed;
    settings.quick = true;
    const CaseResult result = run_case(chosen, settings);
    ++cases_run_;
    if (result.status != Status::pass && result.status != Status::not_supported &&
        result.status != Status::resource)
      note_failure(fmt::format("case {} in round {}: {}: {}", chosen.id, round_,
                               status_name(result.status), result.text));
  }
}

void Soak::sample(const std::vector<std::unique_ptr<Runner>>& runners) {
  Latencies all;
  std::uint64_t calls = 0, steps = 0;
  for (const auto& runner : runners) {
    all.add(runner->latencies);
    calls += runner->calls;
    steps += runner->steps;
  }
  calls_ += calls;
  steps_ += steps;
  const Resources held = resources_now();
  Sample now_held{now(),
                  calls_,
                  static_cast<double>(held.rss_bytes),
                  static_cast<double>(held.file_descriptors),
                  static_cast<double>(held.threads),
                  static_cast<double>(held.maps),
                  0};
  now_held.device_used_bytes = -static_cast<double>(world_.free_bytes());
  if (!samples_.empty()) now_held.device_used_bytes -= samples_.front().device_used_bytes;
  samples_.push_back(now_held);

  Json latency = Json::object();
  Histogram together;
  for (const auto& [entry, histogram] : all.all()) {
    together.add(histogram);
    latency[std::string(entry)] = {{"calls", histogram.total()},
                                   {"p50", histogram.at(0.5)},
                                   {"p99", histogram.at(0.99)},
                                   {"p999", histogram.at(0.999)},
                                   {"max", histogram.largest()}};
  }
  p99s_.push_back(static_cast<double>(together.at(0.99)));
  write({{"event", "interval"},
         {"at", now_held.at},
         {"steps", steps},
         {"calls", calls},
         {"cases", cases_run_},
         {"live_objects_most", most_live_},
         {"rss_bytes", held.rss_bytes},
         {"descriptors", held.file_descriptors},
         {"threads", held.threads},
         {"mappings", held.maps},
         {"device_free_bytes", world_.free_bytes()},
         {"latency_ns", latency}});
}

int Soak::verdict() {
  // Devices whose objects were all destroyed can be closed.
  const std::string alive = world_.close();
  if (!alive.empty() && !failed_)
    note_failure("something is alive when all programs have ended: " + alive);
  if (!samples_.empty()) samples_.front().device_used_bytes = 0;
  const Growth growth = judge_growth(samples_);
  for (const std::string& text : growth.grows) note_failure(text);
  const std::size_t third = p99s_.size() / 3;
  const double first =
      summarize({p99s_.begin(), p99s_.begin() + static_cast<std::ptrdiff_t>(third)}).median;
  const double last =
      summarize({p99s_.end() - static_cast<std::ptrdiff_t>(third), p99s_.end()}).median;
  Json line = {{"event", "verdict"},
               {"passed", !failed_},
               {"interrupted", is_interrupted.load()},
               {"seconds", now()},
               {"steps", steps_},
               {"calls", calls_},
               {"cases", cases_run_},
               {"growth_judged", growth.judged},
               {"growth", Json::parse(growth.json)},
               {"failures", failures_}};
  if (third > 0) line["p99_ns"] = {{"first", first}, {"last", last}};
  write(line);
  fmt::print("{} steps, {} calls, {} cases in {:.1f} s, at most {} objects at a time\n", steps_,
             calls_, cases_run_, now(), most_live_);
  if (third > 0)
    fmt::print("p99 of all calls: {:.0f} ns at the start, {:.0f} ns at the end\n", first, last);
  if (!growth.judged)
    fmt::print("growth was not judged: {} intervals are too few\n", samples_.size());
  fmt::print("{}\n", failed_         ? "FAILED"
                     : growth.judged ? "PASSED: no mismatch, no growth"
                                     : "PASSED: no mismatch");
  return failed_ ? 1 : 0;
}

int Soak::run() {
  fmt::print("soak of {} on {} device(s), {} threads, seed {}\n", options_.plugin_path,
             world_.places().size(), options_.threads, options_.seed);
  std::fflush(stdout);
  write({{"event", "start"},
         {"plugin", options_.plugin_path},
         {"devices", world_.places().size()},
         {"programs", options_.threads},
         {"seed", options_.seed},
         {"interval", options_.interval}});
  {
    const Storm storm(options_.storm);
    while (!is_over()) interval();
  }
  if (options_.storm) {
    fmt::print("{} signals were taken\n", signals_taken.load());
    if (signals_taken < 100) note_failure("hardly any signal came: the storm was none");
  }
  return verdict();
}

}  // namespace

int run_soak(const SoakOptions& options) {
  // The first one ends the soak with a verdict, the second one at once.
  struct sigaction action {};
  action.sa_handler = [](int) { is_interrupted = true; };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return Soak(options).run();
}

}  // namespace flagos::conformance
