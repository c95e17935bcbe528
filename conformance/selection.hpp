// Which cases a run has, in which order, and which of them share a worker.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/options.hpp"

namespace flagos::conformance {

// `*` stands for any text, `?` for any one character.
bool glob_matches(std::string_view pattern, std::string_view text);

bool matches_any(const std::vector<std::string>& patterns, std::string_view text);

// The part of an id before the first dot.
std::string category_of(std::string_view id);

bool in_shard(std::string_view id, const Shard& shard);
// "2/4", counted from 1. Throws std::runtime_error with a sentence.
Shard parse_shard(const std::string& text);

// The cases of the run, sorted by id. Hidden ones (selftest.*) only with --selftest, and then
// nothing else.
std::vector<const Case*> select_cases(const std::vector<Case>& cases, const Options& options);
// The patterns of --only and --except that match no case: a mistake of the caller.
std::vector<std::string> unmatched_patterns(const std::vector<Case>& cases, const Options& options);

// Cases that one worker runs one behind the other.
struct Batch {
  std::uint32_t pass = 0;
  Isolation isolation = Isolation::shared;
  std::vector<const Case*> cases;
};

// One run of one case: the pass and the id.
using Attempt = std::pair<std::uint32_t, std::string>;

// What is still to run, in this order: the destructive ones last. At most 64 cases share a worker.
std::vector<Batch> plan_batches(const std::vector<const Case*>& cases, const Options& options,
                                const std::set<Attempt>& done);

// The time limit of a case in seconds.
double time_limit(const Case& the_case, const Options& options);

std::string_view level_name(Level level);
std::string_view oracle_name(Oracle oracle);
std::string_view isolation_name(Isolation isolation);

}  // namespace flagos::conformance
