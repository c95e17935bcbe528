// A rank that is killed, stands still or tells nonsense, at every phase: all survivors say so within the timeout and a second,
// an abort returns within a second, and the communicator of those that are left works within five.
#include <doctest/doctest.h>

#include "comm/testing/processes.hpp"
#include "comm/testing/world.hpp"

using namespace flagos::comm::testing;

namespace {

constexpr std::uint64_t timeout_ms = 1500;
const std::vector<std::string> phases = {"call", "inside", "queued", "group",
                                         "put",  "graph",  "split",  "window"};

bool is_within(const Outcome& outcome, const std::string& prefix, std::uint64_t ms) {
  return outcome.number(prefix + "ms") <= ms + outcome.number(prefix + "late") + busy_ms();
}

void check_survivor(const Outcome& outcome, const std::string& what, bool is_first) {
  const std::string all = what + ": " + outcome.output;
  CHECK_MESSAGE(outcome.exit_code == 3, all);
  CHECK_MESSAGE(is_within(outcome, "", timeout_ms + 1000), all);
  CHECK_MESSAGE(outcome.contains("sum=right"), all);
  CHECK_MESSAGE(is_within(outcome, "shrink_", 5000), all);
  CHECK_MESSAGE(outcome.contains("after_abort=FLAGOS_STATUS_COMM_ABORTED"), all);
  if (is_first) CHECK_MESSAGE(is_within(outcome, "abort_", 1000), all);
}

std::vector<std::string> with(const std::string& transport) {
  return {"FLAGOS_COMM_TIMEOUT_MS=" + std::to_string(timeout_ms), transport,
          "FLAGOS_COMM_NATIVE=0"};
}

// Rank 1 of 3.
void run(const std::string& action, const std::string& phase, const std::string& transport) {
  const std::string what = action + ", " + phase + ", " + transport;
  const auto outcomes = run_ranks(3, 1, {"fault", action, phase, "1"}, with(transport));
  for (const std::uint32_t rank : {0U, 2U}) {
    const Outcome& outcome = outcomes[rank];
    check_survivor(outcome, what, rank == 0);
    if (action == "corrupt") continue;
    const bool is_told = outcome.contains("rank 1") || outcome.contains("missing: 1");
    CHECK_MESSAGE(is_told, what, ": ", outcome.output);
    if (phase == "split") continue;  // where the new one is joined, who is missing times out
    const std::string status = action == "kill" ? "RANK_FAILED" : "COMM_TIMEOUT";
    CHECK_MESSAGE(outcome.contains("status=FLAGOS_STATUS_" + status), what, ": ", outcome.output);
  }
}

}  // namespace

TEST_CASE("faults: a rank that is killed at every phase") {
  for (const std::string& phase : phases) run("kill", phase, "FLAGOS_COMM_TRANSPORT=shm");
}

TEST_CASE("faults: a rank that stands still at every phase") {
  for (const std::string& phase : phases) run("stop", phase, "FLAGOS_COMM_TRANSPORT=shm");
}

TEST_CASE("faults: a rank that corrupts its messages at every phase") {
  for (const std::string phase : {"call", "inside", "queued", "group", "put", "graph"})
    run("corrupt", phase, "FLAGOS_COMM_TRANSPORT=shm");
}

TEST_CASE("faults: a rank that is killed or stands still at every phase, between two hosts") {
  for (const std::string& phase : phases)
    for (const std::string action : {"kill", "stop"})
      run(action, phase, "FLAGOS_COMM_HOST_RANKS=2");
}

TEST_CASE("faults: a rank that is killed or stands still while the ranks meet") {
  for (const std::string action : {"kill", "stop"}) {
    auto ranks = start_ranks(3, {"cpu"}, {"fault", action, "joining", "1"},
                             with("FLAGOS_COMM_TRANSPORT=shm"));
    for (const std::uint32_t rank : {0U, 2U}) {
      const Outcome outcome = ranks[rank]->end(60'000);
      const std::string what = action + ": " + outcome.output;
      // It may have come too late for that; then it fails in the first operation.
      CHECK_MESSAGE(outcome.exit_code == 3, what);
      CHECK_MESSAGE(is_within(outcome, "", timeout_ms + 1000), what);
      const bool is_told = outcome.contains("rank 1") || outcome.contains("missing: 1");
      CHECK_MESSAGE(is_told, what);
    }
  }
}
