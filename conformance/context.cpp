// Checks, subcases, random data, and the life of a case.
#include "conformance/context_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "conformance/features.hpp"
#include "conformance/results.hpp"

namespace flagos::conformance {
namespace {

// Of a case with more subcases than this, the rest share one digest.
constexpr std::size_t most_digests = 2048;
constexpr const char* other_subcases = "others";

std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string status_text(flagos_status_t status) {
  return fmt::format("{} (0x{:08x})", flagos_status_get_name(status),
                     static_cast<std::uint32_t>(status));
}

// Answers leave the error text of an older failure behind: it would only mislead.
std::string error_text(flagos_status_t status) {
  const bool failed = FLAGOS_STATUS_CLASS(status) != FLAGOS_STATUS_CLASS_ANSWER;
  return failed ? fmt::format("; last error: \"{}\"", flagos_last_error()) : std::string();
}

}  // namespace

// ---- State ----

Context::State::State(const Case& the_case, const Settings& the_settings)
    : owner(the_case),
      settings(the_settings),
      random(stable_hash(fmt::format("{}/{}", the_settings.seed, the_case.id))),
      publishes_digests(the_case.options.oracle == Oracle::exact) {}

void Context::State::note(Status new_status, const std::string& new_text) {
  const std::lock_guard lock(mutex);
  if (new_status <= status) return;
  status = new_status;
  text = new_text;
}

void Context::State::end(Status new_status, const std::string& new_text) {
  note(new_status, new_text);
  throw CaseEnded{};
}

std::string Context::State::describe(const std::string& what, const std::source_location& where) {
  const std::lock_guard lock(mutex);
  const std::string prefix = parameters.empty() ? std::string() : fmt::format("[{}] ", parameters);
  return fmt::format("{}{} ({}:{})", prefix, what, base_name(where.file_name()), where.line());
}

// ---- checks ----

Context::Context(const Case& the_case, const Settings& settings)
    : state_(std::make_unique<State>(the_case, settings)) {}

Context::~Context() = default;

void Context::check(bool condition, const std::string& what, std::source_location where) {
  ++state_->checks;
  if (!condition) state_->end(Status::fail, state_->describe("expected: " + what, where));
}

void Context::ok(flagos_status_t actual, const std::string& what, std::source_location where) {
  status(actual, FLAGOS_STATUS_OK, what, where);
}

void Context::status(flagos_status_t actual, flagos_status_t expected, const std::string& what,
                     std::source_location where) {
  ++state_->checks;
  if (actual == expected) return;
  const std::string text = fmt::format("{}: expected {}, found {}{}", what, status_text(expected),
                                       status_text(actual), error_text(actual));
  const bool lost = actual == FLAGOS_STATUS_DEVICE_LOST;
  state_->end(lost ? Status::device_lost : Status::fail, state_->describe(text, where));
}

void Context::equal(std::uint64_t actual, std::uint64_t expected, const std::string& what,
                    std::source_location where) {
  ++state_->checks;
  if (actual == expected) return;
  state_->end(Status::fail,
              state_->describe(fmt::format("{}: expected {} (0x{:x}), found {} (0x{:x})", what,
                                           expected, expected, actual, actual),
                               where));
}

void Context::equal_bytes(std::span<const std::uint8_t> actual,
                          std::span<const std::uint8_t> expected, const std::string& what,
                          std::source_location where) {
  ++state_->checks;
  digest(actual);
  if (actual.size() != expected.size()) {
    state_->end(Status::fail, state_->describe(fmt::format("{}: expected {} bytes, found {}", what,
                                                           expected.size(), actual.size()),
                                               where));
  }
  const auto [found, wanted] = std::mismatch(actual.begin(), actual.end(), expected.begin());
  if (found == actual.end()) return;
  const auto offset = static_cast<std::size_t>(found - actual.begin());
  std::size_t differing = 0;
  for (std::size_t i = offset; i < actual.size(); ++i) differing += actual[i] != expected[i];
  state_->end(Status::fail,
              state_->describe(
                  fmt::format("{}: byte {} of {} is 0x{:02x}, expected 0x{:02x}; {} bytes differ",
                              what, offset, actual.size(), *found, *wanted, differing),
                  where));
}

void Context::fail(const std::string& what, std::source_location where) {
  ++state_->checks;
  state_->end(Status::fail, state_->describe(what, where));
}

void Context::not_supported(const std::string& why) { state_->end(Status::not_supported, why); }

void Context::resource(const std::string& why) { state_->end(Status::resource, why); }

void Context::subcase(const std::string& parameters) {
  const std::lock_guard lock(state_->mutex);
  state_->parameters = parameters;
  ++state_->subcases;
}

void Context::digest(std::span<const std::uint8_t> bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->digest.update(bytes);
  state_->digested = true;
  if (!state_->publishes_digests) return;
  const bool fits =
      state_->digests.size() < most_digests || state_->digests.contains(state_->parameters);
  state_->digests[fits ? state_->parameters : other_subcases].update(bytes);
}

void measure(Context& t, const std::string& what, const std::string& unit,
             std::span<const double> samples) {
  Context::State& state = t.state();
  const std::lock_guard lock(state.mutex);
  state.measurements.push_back(
      {subcase_name(what, state.parameters), unit, {samples.begin(), samples.end()}});
}

void keep_digests_private(Context& t) {
  const std::lock_guard lock(t.state().mutex);
  t.state().publishes_digests = false;
}

// ---- data ----

const Context::Settings& Context::settings() const { return state_->settings; }

std::mt19937_64& Context::random() { return state_->random; }

std::uint64_t Context::random_below(std::uint64_t bound) {
  // Not std::uniform_int_distribution: its values differ between libraries, and digests must not.
  return bound == 0 ? 0 : state_->random() % bound;
}

std::vector<std::uint8_t> Context::random_bytes(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; i += 8) {
    std::uint64_t word = state_->random();
    for (std::size_t k = i; k < std::min(i + 8, size); ++k, word >>= 8) {
      bytes[k] = static_cast<std::uint8_t>(word);
    }
  }
  return bytes;
}

// ---- the life of a case ----

namespace {

void run_body(const Case& the_case, Context& t) {
  try {
    if (const auto feature = feature_from_name(the_case.options.feature)) {
      t.require(*feature);
    } else if (*the_case.options.feature != '\0') {
      t.state().end(Status::harness_error, fmt::format("the case names an unknown feature '{}'",
                                                       the_case.options.feature));
    }
    the_case.run(t);
  } catch (const CaseEnded&) {  // the outcome stands in the state
  } catch (const std::bad_alloc&) {
    t.state().note(Status::resource, "the case found no more host memory");
  } catch (const std::exception& error) {
    t.state().note(Status::fail, fmt::format("an exception left the case: {}", error.what()));
  }
}

// A skip must be earned: by an absent feature, or by a case that is not of the core.
void judge_skip(const Case& the_case, Context::State& state) {
  const bool optional = the_case.options.level != Level::core;
  if (state.status != Status::not_supported || state.excused || optional) return;
  state.note(Status::fail,
             fmt::format("a core case was skipped although no feature is absent: {}", state.text));
}

}  // namespace

CaseResult run_case(const Case& the_case, const Context::Settings& settings) {
  const double start = now_seconds();
  Context t(the_case, settings);
  Context::State& state = t.state();
  run_body(the_case, t);
  judge_skip(the_case, state);
  tear_down(t);
  if (state.status == Status::pass && state.checks == 0) {
    state.note(Status::fail, "no check executed");
  }
  CaseResult result;
  result.id = the_case.id;
  result.status = state.status;
  result.text = state.text;
  result.digest = state.digested ? state.digest.hex() : std::string();
  for (const auto& [parameters, digest] : state.digests) {
    result.digests[parameters] = digest.hex();
  }
  result.measurements = state.measurements;
  result.checks = state.checks;
  result.subcases = state.subcases;
  result.seconds = now_seconds() - start;
  return result;
}

}  // namespace flagos::conformance
