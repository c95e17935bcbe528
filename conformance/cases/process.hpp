// What the cases that start processes share: a case's body inside a helper, and what a process
// holds.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "conformance/case.hpp"

namespace flagos::conformance {

// Runs `body` with a Context of its own in this process; 0 when every check held. The text goes to
// stderr.
int run_checks(const Helper& h, void (*body)(Context&));
// Ends the case when the helper does not return 0.
void expect_helper(Context& t, const std::string& name,
                   const std::vector<std::string>& arguments = {}, double seconds = 90);

std::set<int> open_descriptors();
std::set<int> thread_ids();
// Checks that no more threads are there than before. One that was joined leaves /proc a moment later.
void no_more_threads(Context& t, std::uint64_t before);
// The blocked signals of a thread of this process, one bit each.
std::uint64_t blocked_signals(int thread);
// The command line of this process.
std::vector<std::string> command_line();

}  // namespace flagos::conformance
