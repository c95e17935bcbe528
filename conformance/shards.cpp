#include "conformance/shards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "conformance/event_log.hpp"
#include "conformance/json_text.hpp"
#include "conformance/package/package.hpp"
#include "conformance/report.hpp"
#include "conformance/sha256.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

std::string name_of(const Shard& shard) {
  return fmt::format("shard {}/{}", shard.index + 1, shard.count);
}
std::string name_of(const LoggedRun& shard) { return name_of(shard.options.shard); }

// What the first lines of all shards must have in common.
json run_key(const LoggedRun& shard) {
  json key = shard.header;
  for (const char* const member : {"prev", "started_utc", "environment"}) key.erase(member);
  for (const char* const option : {"plugin", "jobs", "shard"}) key.at("options").erase(option);
  key.at("suite").erase("caselist_sha256");
  for (json& file : key.at("plugin_files")) file.erase("name");
  return key;
}

// What all shards must have seen: another card may have run a shard, another model may not.
json device_key(const LoggedRun& shard) {
  json key = shard.record.capabilities;
  for (const char* const member : {"uuid", "bus_id"}) key.at("device").erase(member);
  return key;
}

bool has_capabilities(const LoggedRun& shard) { return shard.record.capabilities.is_object(); }

void demand_each_once(const std::vector<LoggedRun>& shards) {
  const std::uint32_t count = shards.front().options.shard.count;
  if (count > most_merged_shards) {
    throw std::runtime_error(fmt::format("{} is one of {}; at most {} may be merged",
                                         name_of(shards.front()), count, most_merged_shards));
  }
  for (std::uint32_t index = 0; index < count; ++index) {
    const auto found = std::count_if(shards.begin(), shards.end(), [&](const LoggedRun& shard) {
      return shard.options.shard.index == index;
    });
    const Shard wanted{index, count};
    if (found == 0) throw std::runtime_error(name_of(wanted) + " is missing");
    if (found > 1)
      throw std::runtime_error(fmt::format("{} is there {} times", name_of(wanted), found));
  }
}

void demand_one_run(const std::vector<LoggedRun>& shards) {
  const LoggedRun& first = shards.front();
  for (const LoggedRun& shard : shards) {
    if (shard.options.shard.count == 1) throw std::runtime_error("a whole run is no shard");
    if (shard.options.shard.count != first.options.shard.count) {
      throw std::runtime_error(
          fmt::format("{} and {} are not parts of one run", name_of(first), name_of(shard)));
    }
    const std::string difference = first_difference(run_key(shard), run_key(first));
    if (!difference.empty()) {
      throw std::runtime_error(fmt::format("{} is of another run than {}: {}", name_of(shard),
                                           name_of(first), difference));
    }
  }
  demand_each_once(shards);
  const auto known = std::find_if(shards.begin(), shards.end(), &has_capabilities);
  for (auto shard = known; shard != shards.end(); ++shard) {
    if (!has_capabilities(*shard)) continue;
    const std::string difference = first_difference(device_key(*shard), device_key(*known));
    if (!difference.empty()) {
      throw std::runtime_error(fmt::format("{} saw another device than {}: {}", name_of(*shard),
                                           name_of(*known), difference));
    }
  }
}

// The hash of the file SHA256SUMS in the shard's own package: what its attestation is about.
std::string sums_sha256(LoggedRun shard, const std::string& log, const std::vector<Case>& cases) {
  const Judgement judgement = judge_log(shard, cases);
  Files files = make_report_files(shard, judgement);
  files["events.jsonl"] = log;
  return sha256_hex(make_sums(files));
}

struct Part {
  std::string log;
  LoggedRun run;
};

json make_merged_header(const std::vector<std::string>& logs, const LoggedRun& merged,
                        const std::vector<Case>& cases) {
  json header = merged.shards.front().header;
  header.erase("prev");
  header["options"]["shard"] = {{"index", 0}, {"count", 1}};
  header["started_utc"] = merged.record.started_utc;
  header["suite"]["caselist_sha256"] = caselist_sha256(select_cases(cases, merged.options));
  header["shards"] = json::array();
  for (std::size_t i = 0; i < logs.size(); ++i) {
    const LoggedRun& shard = merged.shards[i];
    header["shards"].push_back({{"events_root", shard.chain_root},
                                {"sha256sums", sums_sha256(shard, logs[i], cases)},
                                {"started_utc", shard.record.started_utc},
                                {"wall_seconds", shard.record.wall_seconds}});
  }
  return header;
}

void add_libraries(json& all, const json& more) {
  for (const json& library : more) {
    if (std::find(all.begin(), all.end(), library) == all.end()) all.push_back(library);
  }
}

void add_record(Record& all, const LoggedRun& shard) {
  const Record& one = shard.record;
  all.attempts.insert(one.attempts.begin(), one.attempts.end());
  if (all.capabilities.is_null()) {
    all.capabilities = one.capabilities;
    all.capabilities_hash = one.capabilities_hash;
    all.capabilities_hash_end = one.capabilities_hash_end;
  }
  all.capability_snapshots += one.capability_snapshots;
  add_libraries(all.libraries, one.libraries);
  const auto say = [&](const std::string& text) {
    return fmt::format("{}: {}", name_of(shard), text);
  };
  for (const std::string& fault : one.plugin_faults) all.plugin_faults.push_back(say(fault));
  for (const std::string& fault : one.harness_faults) all.harness_faults.push_back(say(fault));
  if (all.stopped.empty() && !one.stopped.empty()) all.stopped = say(one.stopped);
  all.started_utc =
      all.started_utc.empty() ? one.started_utc : std::min(all.started_utc, one.started_utc);
  all.ended_utc = std::max(all.ended_utc, one.ended_utc);
  all.wall_seconds += one.wall_seconds;  // what all machines together have taken
}

LoggedRun join(std::vector<LoggedRun> shards) {
  demand_one_run(shards);
  LoggedRun run;
  run.options = shards.front().options;
  run.options.shard = {};
  run.expectations = shards.front().expectations;
  run.waivers = shards.front().waivers;
  run.record.plugin_sha256 = shards.front().record.plugin_sha256;
  for (const LoggedRun& shard : shards) add_record(run.record, shard);
  run.shards = std::move(shards);
  return run;
}

LoggedRun read_shard(const std::string& log, const std::vector<Case>& cases) {
  LoggedRun run = read_run_log(log, cases);
  if (!run.shards.empty()) throw std::runtime_error("a run that was merged is no shard");
  return run;
}

// The logs of the shards, as they were.
std::vector<std::string> logs_in(const std::vector<json>& events) {
  std::vector<std::string> logs;
  for (std::size_t i = 1; i + 1 < events.size(); ++i) {
    const json& event = events[i];
    const auto index = event.at("shard").get<std::size_t>();
    const bool next = index == logs.size();
    if (event.at("event") != "shard" || !(next || index + 1 == logs.size())) {
      throw std::runtime_error(fmt::format("line {} is no line of the next shard", i + 1));
    }
    if (next) logs.emplace_back();
    logs.back() += canonical_json(event.at("line")) + "\n";
  }
  return logs;
}

class ChainedText {
 public:
  void append(json event) {
    event["prev"] = previous_;
    const std::string line = canonical_json(event);
    previous_ = sha256_hex(line);
    text_ += line + "\n";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string previous_ = std::string(64, '0');
};

}  // namespace

bool is_merged(const json& header) { return header.contains("shards"); }

std::string merge_logs(const std::vector<std::string>& logs, const std::vector<Case>& cases) {
  std::vector<Part> parts;
  for (const std::string& log : logs) parts.push_back({log, read_shard(log, cases)});
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    return a.run.options.shard.index < b.run.options.shard.index;
  });
  std::vector<std::string> sorted;
  std::vector<LoggedRun> shards;
  for (Part& part : parts) {
    sorted.push_back(std::move(part.log));
    shards.push_back(std::move(part.run));
  }
  LoggedRun run = join(std::move(shards));
  ChainedText text;
  text.append(make_merged_header(sorted, run, cases));
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    std::size_t used = 0;
    std::string root;
    for (const json& line : read_event_chain(sorted[i], &used, &root)) {
      text.append({{"event", "shard"}, {"shard", i}, {"line", line}});
    }
  }
  const Judgement judgement = judge_log(run, cases);
  text.append(make_run_totals(run.record, judgement));
  return text.text();
}

LoggedRun read_merged_log(const std::vector<json>& events, const std::string& chain_root,
                          const std::vector<Case>& cases) {
  const std::vector<std::string> logs = logs_in(events);
  if (logs.empty()) throw std::runtime_error("the log of a merged run has no shards");
  std::vector<LoggedRun> shards;
  for (std::size_t i = 0; i < logs.size(); ++i) {
    try {
      shards.push_back(read_shard(logs[i], cases));
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(fmt::format("shard {} of {}: {}", i + 1, logs.size(), error.what()));
    }
  }
  LoggedRun run = join(std::move(shards));
  run.header = events.front();
  run.totals = events.back();
  run.chain_root = chain_root;
  json header = run.header;
  header.erase("prev");
  const std::string difference = first_difference(header, make_merged_header(logs, run, cases));
  if (!difference.empty()) {
    throw std::runtime_error(fmt::format("line 1 is not what its shards give: {}", difference));
  }
  return run;
}

}  // namespace flagos::conformance
