// Random programs on many threads, and cases of the suite between them, for as long as is wanted, with a log of what the
// process holds and how long calls take. docs/soak.md tells how to read it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conformance/case.hpp"

namespace flagos::conformance {

struct SoakOptions {
  std::string plugin_path;
  std::string kernels_dir;
  std::string executable;
  std::uint32_t devices = 2;  // at most so many of the plugin's
  std::uint32_t threads = 8;
  double seconds = 60;
  std::uint64_t steps = 0;  // of each thread; then `seconds` are not looked at
  double interval = 10;     // seconds between two lines of the log
  std::uint64_t seed = 0;
  std::string out;  // the log, a JSON object a line; "" writes none
  bool storm =
      false;          // signals all the time, with handlers that do not restart what they interrupt
  bool cases = true;  // quick ones of the suite at the end of each interval
};

// Exit codes: 0 nothing was found, 1 a mismatch or growth. Throws std::runtime_error with one sentence.
int run_soak(const SoakOptions& options);

// `flagos-conformance soak ...`: argv[1] is the first of its options.
int soak_command(int argc, char** argv);

// What is held after each interval, when all programs have ended.
struct Sample {
  double at = 0;            // seconds since the start
  std::uint64_t calls = 0;  // so far
  double rss_bytes = 0, descriptors = 0, threads = 0, mappings = 0, device_used_bytes = 0;
};

// What grows, a sentence for each; `judged` is false when there are too few samples to tell.
struct Growth {
  bool judged = false;
  std::vector<std::string> grows;
  std::string json;  // the slopes
};
Growth judge_growth(const std::vector<Sample>& samples);

}  // namespace flagos::conformance
