#include "conformance/selection.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace flagos::conformance {
namespace {

void nothing(Context&) {}

Case make_case(std::string id, Level level = Level::core, Isolation isolation = Isolation::shared) {
  return {std::move(id),
          {.clause = "test", .level = level, .isolation = isolation},
          &nothing,
          std::source_location::current()};
}

std::vector<Case> many_cases(int count) {
  std::vector<Case> cases;
  for (int i = 0; i < count; ++i)
    cases.push_back(make_case(fmt::format("cat{}.case{:04}", i % 7, i)));
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.id < b.id; });
  return cases;
}

std::vector<std::string> ids_of(const std::vector<const Case*>& cases) {
  std::vector<std::string> ids;
  for (const Case* const the_case : cases) ids.push_back(the_case->id);
  return ids;
}

std::vector<std::string> order_of(const std::vector<Batch>& batches, std::uint32_t pass) {
  std::vector<std::string> ids;
  for (const Batch& batch : batches) {
    if (batch.pass != pass) continue;
    for (const Case* const the_case : batch.cases) ids.push_back(the_case->id);
  }
  return ids;
}

}  // namespace

TEST_CASE("globs") {
  CHECK(glob_matches("copy.*", "copy.len_zero"));
  CHECK(glob_matches("*", ""));
  CHECK(glob_matches("*zero", "copy.len_zero"));
  CHECK(glob_matches("c?py.*.b*", "copy.a.bc"));
  CHECK(glob_matches("*a*b*c", "xxaxxbxxbxc"));
  CHECK(glob_matches("copy.len_zero", "copy.len_zero"));
  CHECK_FALSE(glob_matches("copy", "copy.len_zero"));
  CHECK_FALSE(glob_matches("copy.?", "copy."));
  CHECK_FALSE(glob_matches("", "x"));
  CHECK_FALSE(glob_matches("*a*b", "ba"));
  CHECK(glob_matches("", ""));
}

TEST_CASE("a star does not take exponential time") {
  std::string pattern;
  for (int i = 0; i < 40; ++i) pattern += "*a";
  CHECK_FALSE(glob_matches(pattern + "b", std::string(2000, 'a')));
}

TEST_CASE("every case is in exactly one shard, and stays there") {
  const std::vector<Case> cases = many_cases(500);
  for (const std::uint32_t count : {1u, 2u, 3u, 16u}) {
    std::map<std::string, int> seen;
    for (std::uint32_t index = 0; index < count; ++index) {
      Options options;
      options.shard = {index, count};
      const auto selected = select_cases(cases, options);
      CHECK_FALSE(selected.empty());
      for (const Case* const the_case : selected) ++seen[the_case->id];
    }
    CHECK(seen.size() == cases.size());
    for (const auto& [id, times] : seen) CHECK_MESSAGE(times == 1, id);
  }
  // Computed elsewhere from SHA-256: a new library or compiler must not move a case.
  std::uint32_t home = 0;
  while (!in_shard("copy.len_zero", {home, 16})) ++home;
  CHECK(home == 4);
}

TEST_CASE("levels, globs and hidden cases select") {
  const std::vector<Case> cases = {make_case("copy.a"), make_case("copy.b", Level::full),
                                   make_case("graph.a", Level::optional), make_case("selftest.x")};
  Options options;
  CHECK(ids_of(select_cases(cases, options)) == std::vector<std::string>{"copy.a", "graph.a"});
  options.level = Level::full;
  CHECK(select_cases(cases, options).size() == 3);
  options.only = {"copy.*"};
  options.except = {"*.b"};
  CHECK(ids_of(select_cases(cases, options)) == std::vector<std::string>{"copy.a"});
  options.only = {"nothing.*"};
  CHECK(unmatched_patterns(cases, options) == std::vector<std::string>{"nothing.*"});
  options = {};
  options.selftest = true;
  CHECK(ids_of(select_cases(cases, options)) == std::vector<std::string>{"selftest.x"});
}

TEST_CASE("a plan holds every case once per pass, destructive ones last") {
  std::vector<Case> cases = many_cases(200);
  cases.push_back(make_case("x.own", Level::core, Isolation::own));
  cases.push_back(make_case("a.destructive", Level::core, Isolation::destructive));
  Options options;
  options.orders = 2;
  options.jobs = 2;
  const auto selected = select_cases(cases, options);
  const std::vector<Batch> batches = plan_batches(selected, options, {});
  for (std::uint32_t pass = 0; pass < 2; ++pass) {
    std::vector<std::string> order = order_of(batches, pass);
    CHECK(order.size() == cases.size());
    std::sort(order.begin(), order.end());
    CHECK(std::unique(order.begin(), order.end()) == order.end());
  }
  CHECK(order_of(batches, 0) != order_of(batches, 1));
  for (const Batch& batch : batches) {
    CHECK(batch.cases.size() <= 64);
    if (batch.isolation != Isolation::shared) CHECK(batch.cases.size() == 1);
  }
  CHECK(batches.back().isolation == Isolation::destructive);
  CHECK(batches[batches.size() - 2].isolation == Isolation::destructive);
  CHECK(batches[batches.size() - 3].isolation != Isolation::destructive);
}

TEST_CASE("a seed gives the same order again, another one another order") {
  const std::vector<Case> cases = many_cases(100);
  Options options;
  options.shuffle = true;
  options.seed = 1;
  const auto selected = select_cases(cases, options);
  const auto first = order_of(plan_batches(selected, options, {}), 0);
  CHECK(first == order_of(plan_batches(selected, options, {}), 0));
  CHECK(first != ids_of(selected));
  options.seed = 2;
  CHECK(first != order_of(plan_batches(selected, options, {}), 0));
}

TEST_CASE("what is done is not planned again") {
  const std::vector<Case> cases = many_cases(10);
  Options options;
  options.repeat = 2;
  const auto selected = select_cases(cases, options);
  const std::set<Attempt> done = {{0, cases[3].id}, {1, cases[4].id}};
  const auto batches = plan_batches(selected, options, done);
  CHECK(order_of(batches, 0).size() == 9);
  CHECK(order_of(batches, 1).size() == 9);
  const auto first = order_of(batches, 0);
  CHECK(std::count(first.begin(), first.end(), cases[3].id) == 0);
}

TEST_CASE("time limits follow the isolation class, the case, and the scale") {
  Options options;
  CHECK(time_limit(make_case("a.a"), options) == 30);
  CHECK(time_limit(make_case("a.a", Level::core, Isolation::own), options) == 120);
  CHECK(time_limit(make_case("a.a", Level::core, Isolation::multi), options) == 600);
  Case slow = make_case("a.a");
  slow.options.seconds = 7;
  options.timeout_scale = 2;
  CHECK(time_limit(slow, options) == 14);
}

}  // namespace flagos::conformance
