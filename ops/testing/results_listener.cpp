// Tells the results of test cases to results.hpp.
#include <doctest/doctest.h>

#include "ops/testing/fixture.hpp"
#include "ops/testing/results.hpp"

namespace {

struct Results : doctest::IReporter {
  explicit Results(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {
    const auto& fixture = flagos::ops::testing::Fixture::get();
    flagos::ops::testing::write_results(fixture.device_id(),
                                        !fixture.computes_in(flagos::ops::DType::f64));
  }
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    flagos::ops::testing::note_test_case(stats.failure_flags == 0);
  }
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("results", 1, Results);

}  // namespace
