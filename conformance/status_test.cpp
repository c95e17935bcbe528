#include "conformance/status.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string_view>

namespace flagos::conformance {

TEST_CASE("every status has a name of its own that leads back to it") {
  std::set<std::string_view> names;
  for (int i = 0; i < status_count; ++i) {
    const auto status = static_cast<Status>(i);
    CHECK(names.insert(status_name(status)).second);
    CHECK(status_from_name(status_name(status)) == status);
  }
  CHECK_FALSE(status_from_name("pass"));
  CHECK_FALSE(status_from_name(""));
}

TEST_CASE("of two statuses the worse one wins") {
  const Status order[] = {Status::pass,  Status::not_supported, Status::waived,
                          Status::xpass, Status::not_run,       Status::flaky,
                          Status::leak,  Status::fail,          Status::timeout,
                          Status::crash, Status::harness_error};
  for (std::size_t i = 1; i < std::size(order); ++i) {
    CHECK(worse(order[i - 1], order[i]) == order[i]);
    CHECK(worse(order[i], order[i - 1]) == order[i]);
  }
}

TEST_CASE("a certificate holds passes, absent features and waivers, nothing else") {
  int allowed = 0;
  for (int i = 0; i < status_count; ++i) allowed += is_allowed(static_cast<Status>(i));
  CHECK(allowed == 3);
  CHECK(is_allowed(Status::pass));
  CHECK(is_allowed(Status::not_supported));
  CHECK(is_allowed(Status::waived));
  CHECK(is_incomplete(Status::not_run));
  CHECK_FALSE(is_incomplete(Status::fail));
}

}  // namespace flagos::conformance
