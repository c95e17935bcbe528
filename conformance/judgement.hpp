// What a run says about a plugin: one status per case, and the verdict.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "conformance/expectations.hpp"
#include "conformance/options.hpp"
#include "conformance/record.hpp"
#include "conformance/waivers.hpp"

namespace flagos::conformance {

// All runs of one case taken together.
struct Outcome {
  const Case* the_case = nullptr;
  Status status = Status::not_run;
  std::vector<Status> runs;  // before expectations
  std::string text;
  std::string digest;
  std::map<std::string, std::string> digests;  // of its subcases
  std::vector<Measurement> measurements;
  std::string reason;  // of the expectation or waiver that was applied
  std::string log;
  std::string repro;
  std::uint64_t checks = 0;
  std::uint64_t subcases = 0;
  double seconds = 0;
};

using Counts = std::array<std::size_t, status_count>;

struct Judgement {
  std::vector<Outcome> outcomes;  // sorted by id
  Counts totals{};
  std::map<std::string, Counts> by_category;
  std::vector<std::size_t> waiver_matches;  // how many cases each waiver excused
  std::vector<std::string> not_for_certification;
  std::vector<std::string> reasons;  // why it is not conformant
  bool conformant = false;
  int exit_code = 0;  // 0 allowed, 1 not allowed, 2 incomplete, 3 harness error
};

Judgement judge(const Options& options, const std::vector<const Case*>& cases, const Record& record,
                const Expectations& expectations, const Waivers& waivers = {});

// Adds a NOT_RUN for every run of a case that has no result: it says nothing about the plugin.
void add_not_run(Record& record, const std::vector<const Case*>& cases, const Options& options);

// For --null-check: ids of cases that pass although the plugin does nothing, and are not tagged
// `query`.
std::vector<std::string> passes_on_null(const Judgement& judgement);

}  // namespace flagos::conformance
