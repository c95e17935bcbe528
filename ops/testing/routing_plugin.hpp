// What the plugin for the tests of routing does with a product of so many rows.
#pragma once

#include <cstdint>

namespace flagos::ops::testing {

constexpr std::int64_t rows_refused = 1;     // query says no
constexpr std::int64_t rows_taken = 2;       // it runs
constexpr std::int64_t rows_workspace = 3;   // it runs, with a workspace
constexpr std::int64_t rows_unsuitable = 4;  // query says yes, and run UNSUPPORTED
constexpr std::int64_t rows_failing = 5;     // run fails
constexpr std::int64_t rows_at_once = 6;     // it runs, but not in a capture
constexpr std::int64_t rows_once = 7;        // query says yes the first time only
constexpr std::int64_t rows_broken = 8;      // query fails

constexpr std::uint64_t workspace_bytes = 1000;
constexpr float answer = 42;  // all that it computes

}  // namespace flagos::ops::testing
