#include "conformance/status.hpp"

#include <algorithm>
#include <array>

namespace flagos::conformance {
namespace {

constexpr std::array<std::string_view, status_count> names = {
    "PASS",  "NOT_SUPPORTED", "WAIVED", "XPASS",   "NOT_RUN",     "RESOURCE", "MISTRUSTED",
    "FLAKY", "LEAK",          "FAIL",   "TIMEOUT", "DEVICE_LOST", "CRASH",    "HARNESS_ERROR",
};

}  // namespace

std::string_view status_name(Status status) { return names[static_cast<std::size_t>(status)]; }

std::optional<Status> status_from_name(std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Status>(found - names.begin());
}

Status worse(Status a, Status b) { return std::max(a, b); }

bool is_allowed(Status status) {
  return status == Status::pass || status == Status::not_supported || status == Status::waived;
}

bool is_incomplete(Status status) {
  return status == Status::not_run || status == Status::resource;
}

}  // namespace flagos::conformance
