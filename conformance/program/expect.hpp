// How the parts of a program make a call.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "conformance/program/program.hpp"

namespace flagos::conformance {

inline constexpr std::uint64_t patience_ns =
    300'000'000'000;  // nothing here takes so long but what hangs

template <typename Call>
flagos_status_t RandomProgram::timed(const char* entry, Call&& call) {
  ++calls_;
  entry_.store(entry, std::memory_order_relaxed);
  if (meter_ == nullptr) return call();
  const auto start = std::chrono::steady_clock::now();
  const flagos_status_t status = call();
  const auto time = std::chrono::steady_clock::now() - start;
  meter_->note(entry, static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count()));
  return status;
}

template <typename Call>
flagos_status_t RandomProgram::expect(std::initializer_list<flagos_status_t> expected,
                                      const char* entry, Call&& call) {
  const flagos_status_t status = timed(entry, std::forward<Call>(call));
  if (std::find(expected.begin(), expected.end(), status) != expected.end()) return status;
  std::string names;
  for (const flagos_status_t one : expected)
    names += (names.empty() ? "" : " or ") + std::string(flagos_status_get_name(one));
  fail(fmt::format("{} returned {} ({}), expected {}", entry, flagos_status_get_name(status),
                   status == FLAGOS_STATUS_OK ? "" : flagos_last_error(), names));
}

// A call and the statuses that it may end with.
#define FLAGOS_EXPECT(statuses, function, ...) \
  expect(statuses, #function, [&] { return function(__VA_ARGS__); })
#define FLAGOS_EXPECT_OK(function, ...) \
  expect({FLAGOS_STATUS_OK}, #function, [&] { return function(__VA_ARGS__); })
#define FLAGOS_EXPECT_STATUS(status, function, ...) \
  expect({status}, #function, [&] { return function(__VA_ARGS__); })

}  // namespace flagos::conformance
