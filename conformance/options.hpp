// What a run was asked to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conformance/case.hpp"

namespace flagos::conformance {

struct Shard {
  std::uint32_t index = 0;
  std::uint32_t count = 1;
};

// More of them cannot be merged into one run.
constexpr std::uint32_t most_merged_shards = 16;

struct Options {
  std::string plugin;  // as given; "" only in the runner's own test
  std::string plugin_path;
  std::uint32_t device = 0;
  Level level = Level::core;  // core or full
  std::vector<std::string> only;
  std::vector<std::string> except;
  Shard shard;
  std::uint64_t seed = 0;
  std::uint32_t jobs = 1;
  std::uint32_t orders = 1;
  std::uint32_t repeat = 1;
  bool shuffle = false;
  bool quick = false;
  bool certify = false;
  bool resume = false;
  bool verbose = false;
  bool selftest = false;
  bool null_check = false;
  double timeout_scale = 1;
  std::string out;  // "": no files
  std::string expectations;
  std::string waivers;
  std::string approver_key;  // of whoever approves waivers; "": approvals are not checked here
  bool package = false;      // one file of the whole report
  std::string signing_key;   // "": no attestation
  std::string kernels_dir;
  std::string executable;  // of the suite: workers and helpers are started from it
};

// Why such a run cannot lead to a certificate; empty when it can.
std::vector<std::string> not_for_certification(const Options& options);

// Every case runs orders x repeat times.
std::uint32_t passes(const Options& options);

// The line that runs one case again under the same conditions.
std::string repro_line(const Options& options, const std::string& id);

}  // namespace flagos::conformance
