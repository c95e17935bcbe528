#include "conformance/progress.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "conformance/subprocess.hpp"

namespace flagos::conformance {
namespace {

constexpr std::size_t cases_per_line = 50;
constexpr double seconds_per_line = 10;

}  // namespace

Progress::Progress(std::size_t total, bool verbose, bool silent)
    : total_(total),
      verbose_(verbose),
      silent_(silent),
      start_(steady_seconds()),
      last_line_(start_) {}

std::string Progress::counts() const {
  std::string text = fmt::format("[{:5.0f} s] {}/{}", steady_seconds() - start_, done_, total_);
  for (std::size_t i = 0; i < by_status_.size(); ++i) {
    if (by_status_[i] == 0) continue;
    text += fmt::format("  {} {}", status_name(static_cast<Status>(i)), by_status_[i]);
  }
  return text;
}

void Progress::say(const std::string& text) const {
  if (!silent_) fmt::print(stderr, "conformance: {}\n", text);
}

void Progress::add(const CaseResult& result, const std::string& repro) {
  ++done_;
  ++by_status_[static_cast<std::size_t>(result.status)];
  const bool bad = !is_allowed(result.status);
  if (verbose_ || bad) {
    const std::string why = result.text.empty() ? "" : ": " + result.text;
    say(fmt::format("{} {} ({:.2f} s){}", status_name(result.status), result.id, result.seconds,
                    why));
  }
  if (bad) say("  again: " + repro);
  const double now = steady_seconds();
  if (done_ % cases_per_line == 0 || now - last_line_ > seconds_per_line) {
    say(counts());
    last_line_ = now;
  }
}

void Progress::finish() const { say(counts()); }

}  // namespace flagos::conformance
