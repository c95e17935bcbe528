// Runs of shards taken together. The log of a merged run holds the logs of its shards, line by line,
// so that nothing of them is lost and each can be checked as it was.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "conformance/run_log.hpp"

namespace flagos::conformance {

// Whether the log that begins with this line is of a merged run.
bool is_merged(const nlohmann::json& header);

// The log of the run whose shards have these logs, in any order. Throws std::runtime_error with one
// sentence where they are not the shards of one run, each of them once.
std::string merge_logs(const std::vector<std::string>& logs, const std::vector<Case>& cases);

// For read_run_log. Throws std::runtime_error with a sentence that names the shard.
LoggedRun read_merged_log(const std::vector<nlohmann::json>& events, const std::string& chain_root,
                          const std::vector<Case>& cases);

}  // namespace flagos::conformance
