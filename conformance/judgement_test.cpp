#include "conformance/judgement.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace flagos::conformance {
namespace {

void nothing(Context&) {}

const Case& a_case() {
  static const Case the_case{
      "copy.a", {.clause = "test"}, &nothing, std::source_location::current()};
  return the_case;
}

Attempted attempt(std::uint32_t pass, Status status, std::string digest = "") {
  CaseResult result;
  result.id = "copy.a";
  result.status = status;
  result.digest = std::move(digest);
  result.checks = 1;
  return {pass, result, {}};
}

Options certifying() {
  Options options;
  options.plugin = options.plugin_path = "plugin.so";
  options.certify = true;
  options.orders = 2;
  return options;
}

nlohmann::json capabilities(bool fake = false) {
  return {{"device", {{"fake", fake}}},
          {"features",
           {{"host_callback", "native"},
            {"timeline", "emulated"},
            {"graph", "emulated"},
            {"capture", "emulated"},
            {"memory_pool", "absent"}}}};
}

Judgement judge_runs(const std::vector<Attempted>& attempts, const Options& options,
                     const Expectations& expectations = {}, Record record = {}) {
  record.attempts["copy.a"] = attempts;
  if (record.capabilities.is_null()) record.capabilities = capabilities();
  return judge(options, {&a_case()}, record, expectations);
}

bool mentions(const std::vector<std::string>& texts, const std::string& part) {
  return std::any_of(texts.begin(), texts.end(),
                     [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("two passes in two orders are conformant") {
  const Judgement judgement =
      judge_runs({attempt(0, Status::pass, "d"), attempt(1, Status::pass, "d")}, certifying());
  CHECK(judgement.conformant);
  CHECK(judgement.exit_code == 0);
}

TEST_CASE("runs that differ are flaky, whichever came first") {
  for (const auto& [first, second] :
       {std::pair{Status::pass, Status::fail}, std::pair{Status::fail, Status::pass},
        std::pair{Status::pass, Status::not_supported},
        std::pair{Status::crash, Status::timeout}}) {
    const Judgement judgement = judge_runs({attempt(0, first), attempt(1, second)}, certifying());
    CHECK(judgement.outcomes[0].status == Status::flaky);
    CHECK(judgement.exit_code == 1);
    CHECK_FALSE(judgement.conformant);
  }
}

TEST_CASE("passes with different bytes are flaky") {
  const Judgement judgement =
      judge_runs({attempt(0, Status::pass, "x"), attempt(1, Status::pass, "y")}, certifying());
  CHECK(judgement.outcomes[0].status == Status::flaky);
}

TEST_CASE("a run that was cut off is incomplete, not flaky") {
  const Judgement judgement =
      judge_runs({attempt(0, Status::pass), attempt(1, Status::not_run)}, certifying());
  CHECK(judgement.outcomes[0].status == Status::not_run);
  CHECK(judgement.exit_code == 2);
}

TEST_CASE("a failure outweighs a run that was cut off") {
  const Judgement judgement =
      judge_runs({attempt(0, Status::fail), attempt(1, Status::not_run)}, certifying());
  CHECK(judgement.outcomes[0].status == Status::fail);
  CHECK(judgement.exit_code == 1);
}

TEST_CASE("our own errors have an exit code of their own") {
  CHECK(judge_runs({attempt(0, Status::harness_error)}, certifying()).exit_code == 3);
  Record record;
  record.harness_faults = {"the plugin's file changed during the run"};
  CHECK(judge_runs({attempt(0, Status::pass)}, certifying(), {}, record).exit_code == 3);
}

TEST_CASE("a plugin that misbehaves outside of the cases is not conformant") {
  Record record;
  record.plugin_faults = {"described itself otherwise"};
  const Judgement judgement = judge_runs({attempt(0, Status::pass)}, certifying(), {}, record);
  CHECK_FALSE(judgement.conformant);
  CHECK(judgement.exit_code == 1);
}

TEST_CASE("no case, no conformance") {
  const Judgement judgement = judge(certifying(), {}, {}, {});
  CHECK_FALSE(judgement.conformant);
}

TEST_CASE("filtered, quick and one-order runs are not for certification but may succeed") {
  for (const auto change :
       {+[](Options& o) { o.quick = true; }, +[](Options& o) { o.only = {"copy.*"}; },
        +[](Options& o) { o.except = {"x"}; },
        +[](Options& o) {
          o.shard = {0, 2};
        },
        +[](Options& o) { o.orders = 1; }}) {
    Options options = certifying();
    options.certify = false;
    change(options);
    const Judgement judgement = judge_runs({attempt(0, Status::pass)}, options);
    CHECK_FALSE(judgement.conformant);
    CHECK(judgement.not_for_certification.size() == 1);
    CHECK(judgement.exit_code == 0);
  }
}

TEST_CASE("a device that stands in for a chip cannot be certified") {
  Record record;
  record.capabilities = capabilities(true);
  const Judgement judgement = judge_runs({attempt(0, Status::pass)}, certifying(), {}, record);
  CHECK_FALSE(judgement.conformant);
  CHECK(mentions(judgement.not_for_certification, "stands in"));
}

TEST_CASE("level full demands features") {
  Options options = certifying();
  options.level = Level::full;
  const Judgement judgement = judge_runs({attempt(0, Status::pass)}, options);
  CHECK_FALSE(judgement.conformant);
  CHECK(mentions(judgement.reasons, "memory_pool"));
  CHECK_FALSE(mentions(judgement.reasons, "timeline"));
}

TEST_CASE("expectations waive, but only a few") {
  const Expectations expectations = {
      {"copy.a", {Expect::expected_failure, "known, and to be fixed soon"}}};
  Options options = certifying();
  const Judgement waived = judge_runs({attempt(0, Status::fail)}, options, expectations);
  CHECK(waived.outcomes[0].status == Status::waived);
  CHECK(mentions(waived.reasons, "waived"));  // one of one is more than one in a hundred
  CHECK(waived.exit_code == 1);
  options.certify = false;
  CHECK(judge_runs({attempt(0, Status::fail)}, options, expectations).exit_code == 0);
  const Judgement passed = judge_runs({attempt(0, Status::pass)}, options, expectations);
  CHECK(passed.outcomes[0].status == Status::xpass);
  CHECK(passed.exit_code == 1);
}

TEST_CASE("the null check names what passes, except queries") {
  const Judgement passed = judge_runs({attempt(0, Status::pass)}, certifying());
  CHECK(passes_on_null(passed) == std::vector<std::string>{"copy.a"});
  CHECK(passes_on_null(judge_runs({attempt(0, Status::fail)}, certifying())).empty());
  // A case that passes now and then does not see the null plugin either.
  CHECK(
      passes_on_null(judge_runs({attempt(0, Status::fail), attempt(1, Status::pass)}, certifying()))
          .size() == 1);
}

}  // namespace flagos::conformance
