#include "conformance/selection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

constexpr std::string_view hidden_category = "selftest";
constexpr std::size_t most_per_worker = 64;

bool in_level(Level level, const Options& options) {
  return level != Level::full || options.level == Level::full;
}

bool is_hidden(const Case& the_case) { return category_of(the_case.id) == hidden_category; }

bool is_selected(const Case& the_case, const Options& options) {
  if (is_hidden(the_case) != options.selftest) return false;
  if (!in_level(the_case.options.level, options)) return false;
  if (!options.only.empty() && !matches_any(options.only, the_case.id)) return false;
  return !matches_any(options.except, the_case.id) && in_shard(the_case.id, options.shard);
}

// Not std::shuffle: its result differs between libraries, and an order must be repeatable
// everywhere.
void shuffle(std::vector<const Case*>& cases, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::size_t i = cases.size(); i > 1; --i) std::swap(cases[i - 1], cases[random() % i]);
}

std::vector<const Case*> order_of_pass(std::vector<const Case*> cases, const Options& options,
                                       std::uint32_t pass) {
  const std::uint32_t order = pass / options.repeat;
  if (options.shuffle || options.orders > 1) {
    shuffle(cases, stable_hash(fmt::format("order/{}/{}", options.seed, order)));
  }
  return cases;
}

// As few workers as the limit allows, but enough of them to keep every job busy.
std::size_t cases_per_worker(std::size_t cases, std::uint32_t jobs) {
  const std::size_t workers = std::max<std::size_t>(1, jobs) * 2;
  return std::clamp<std::size_t>((cases + workers - 1) / workers, 1, most_per_worker);
}

void append_batches(std::vector<Batch>& batches, std::uint32_t pass, Isolation isolation,
                    const std::vector<const Case*>& cases, std::size_t per_worker) {
  for (std::size_t i = 0; i < cases.size(); i += per_worker) {
    const auto first = cases.begin() + static_cast<std::ptrdiff_t>(i);
    const auto last = first + static_cast<std::ptrdiff_t>(std::min(per_worker, cases.size() - i));
    batches.push_back({pass, isolation, {first, last}});
  }
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;  // the last star, and where its text ends so far
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return glob_matches(pattern, text); });
}

std::string category_of(std::string_view id) { return std::string(id.substr(0, id.find('.'))); }

bool in_shard(std::string_view id, const Shard& shard) {
  return stable_hash(id) % shard.count == shard.index;
}

Shard parse_shard(const std::string& text) {
  unsigned index = 0;
  unsigned count = 0;
  int used = 0;
  const int found = std::sscanf(text.c_str(), "%u/%u%n", &index, &count, &used);
  const bool complete = found == 2 && static_cast<std::size_t>(used) == text.size();
  if (!complete || count == 0 || index == 0 || index > count) {
    throw std::runtime_error(
        fmt::format("--shard takes I/N with 1 <= I <= N, such as 1/4; it is '{}'", text));
  }
  return {index - 1, count};
}

std::vector<const Case*> select_cases(const std::vector<Case>& cases, const Options& options) {
  std::vector<const Case*> selected;
  for (const Case& the_case : cases) {
    if (is_selected(the_case, options)) selected.push_back(&the_case);
  }
  return selected;
}

std::vector<std::string> unmatched_patterns(const std::vector<Case>& cases,
                                            const Options& options) {
  std::vector<std::string> unmatched;
  for (const auto* patterns : {&options.only, &options.except}) {
    for (const std::string& pattern : *patterns) {
      const bool matched = std::any_of(cases.begin(), cases.end(), [&](const Case& the_case) {
        return is_hidden(the_case) == options.selftest && glob_matches(pattern, the_case.id);
      });
      if (!matched) unmatched.push_back(pattern);
    }
  }
  return unmatched;
}

std::vector<Batch> plan_batches(const std::vector<const Case*>& cases, const Options& options,
                                const std::set<Attempt>& done) {
  std::vector<Batch> batches;
  std::vector<Batch> destructive;
  for (std::uint32_t pass = 0; pass < passes(options); ++pass) {
    std::vector<const Case*> by_isolation[4];
    for (const Case* const the_case : order_of_pass(cases, options, pass)) {
      if (done.contains({pass, the_case->id})) continue;
      by_isolation[static_cast<int>(the_case->options.isolation)].push_back(the_case);
    }
    const auto& shared = by_isolation[static_cast<int>(Isolation::shared)];
    append_batches(batches, pass, Isolation::shared, shared,
                   cases_per_worker(shared.size(), options.jobs));
    for (const Isolation isolation : {Isolation::own, Isolation::multi}) {
      append_batches(batches, pass, isolation, by_isolation[static_cast<int>(isolation)], 1);
    }
    append_batches(destructive, pass, Isolation::destructive,
                   by_isolation[static_cast<int>(Isolation::destructive)], 1);
  }
  batches.insert(batches.end(), destructive.begin(), destructive.end());
  return batches;
}

double time_limit(const Case& the_case, const Options& options) {
  constexpr double defaults[] = {30, 120, 600, 120};  // shared, own, multi, destructive
  const double seconds = the_case.options.seconds != 0
                             ? the_case.options.seconds
                             : defaults[static_cast<int>(the_case.options.isolation)];
  return seconds * options.timeout_scale;
}

std::string_view level_name(Level level) {
  constexpr std::string_view names[] = {"core", "full", "optional"};
  return names[static_cast<int>(level)];
}

std::string_view oracle_name(Oracle oracle) {
  constexpr std::string_view names[] = {"exact", "model", "order", "code",
                                        "delta", "live",  "bound", "stat"};
  return names[static_cast<int>(oracle)];
}

std::string_view isolation_name(Isolation isolation) {
  constexpr std::string_view names[] = {"shared", "own", "multi", "destructive"};
  return names[static_cast<int>(isolation)];
}

}  // namespace flagos::conformance
