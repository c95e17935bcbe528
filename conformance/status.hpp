// What became of a case, and which of two outcomes is the worse one.
#pragma once

#include <optional>
#include <string_view>

namespace flagos::conformance {

// From best to worst: of several runs of one case the worst counts.
enum class Status {
  pass,
  not_supported,  // the device does not have the feature, and says so
  waived,         // failed as the expectations say
  xpass,          // passed although the expectations say that it fails
  not_run,
  resource,    // the machine is too small
  mistrusted,  // the oracle was too weak to tell
  flaky,       // runs of one case differ
  leak,
  fail,
  timeout,
  device_lost,
  crash,
  harness_error,
};
inline constexpr int status_count = static_cast<int>(Status::harness_error) + 1;

// "PASS", "NOT_SUPPORTED", ...
std::string_view status_name(Status status);
std::optional<Status> status_from_name(std::string_view name);

Status worse(Status a, Status b);

// Statuses that a certificate may hold.
bool is_allowed(Status status);
// Statuses that say nothing about the plugin: the run was cut short.
bool is_incomplete(Status status);

}  // namespace flagos::conformance
