// Reads a Chrome trace and adds up its calls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flagos::tools {

struct CallTotal {
  std::string name;
  std::uint64_t count = 0;
  double total_us = 0;
};

struct TraceSummary {
  std::vector<CallTotal> calls;  // the most time first
  std::uint64_t events = 0;      // complete ones
  std::uint64_t dropped = 0;
};

// Throws CommandError with the first thing that is wrong in the text.
TraceSummary summarize_trace(const std::string& text);

}  // namespace flagos::tools
