// Ranks in processes of their own: operations, and ranks that die, stop, leave or disagree.
#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "comm/testing/processes.hpp"
#include "comm/testing/world.hpp"
#include "comm/transport/ucx.hpp"

using namespace flagos::comm::testing;

namespace {

// How ranks may be made to talk.
std::vector<std::string> transports() {
  std::vector<std::string> all = {"FLAGOS_COMM_TRANSPORT=shm", "FLAGOS_COMM_TRANSPORT=tcp",
                                  "FLAGOS_COMM_HOST_RANKS=2"};
  std::string why;
  if (flagos::comm::has_ucx(why)) {
    all.push_back("FLAGOS_COMM_TRANSPORT=ucx");
  } else {
    MESSAGE("UCX is left out: ", why);
  }
  return all;
}
// Those by a network within a host.
std::vector<std::string> networks() {
  std::vector<std::string> all = transports();
  std::erase_if(all, [](const std::string& name) {
    return !name.ends_with("=tcp") && !name.ends_with("=ucx");
  });
  return all;
}

const std::string short_timeout = "FLAGOS_COMM_TIMEOUT_MS=1500";

// A failure is told within the timeout and a second, and what the rank measured that it was kept from running (testing/lateness.hpp).
bool is_in_time(const Outcome& outcome) {
  return outcome.number("ms") <= 2500 + outcome.number("late") + busy_ms();
}

}  // namespace

TEST_CASE("processes: random operations through shared memory") {
  for (const std::uint32_t size : {2U, 3U, 4U}) {
    auto ranks =
        start_ranks(size, {"cpu"}, {"random", std::to_string(seed() + size), "60", "100000"});
    for (auto& rank : ranks) {
      const Outcome outcome = rank->end(120'000);
      CHECK_MESSAGE(outcome.output == "ok\n", outcome.output);
      CHECK(outcome.exit_code == 0);
    }
  }
}

TEST_CASE("processes: random operations on the plugin's own collectives") {
  auto ranks = start_ranks(3, {"cpu"}, {"random", std::to_string(seed()), "60", "100000"},
                           {"FLAGOS_COMM_NATIVE=1"});
  for (auto& rank : ranks) {
    const Outcome outcome = rank->end(120'000);
    CHECK_MESSAGE(outcome.output == "ok\n", outcome.output);
    CHECK(outcome.exit_code == 0);
  }
}

TEST_CASE(
    "processes: a rank that is killed on the plugin's own collectives is named by all others") {
  auto ranks = start_ranks(3, {"cpu"}, {"kill", "1", "5", "1000"}, {"FLAGOS_COMM_NATIVE=1"});
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const Outcome outcome = ranks[i]->end(60'000);
    if (i == 1) continue;
    CHECK_MESSAGE(outcome.contains("status=FLAGOS_STATUS_RANK_FAILED"), outcome.output);
    CHECK_MESSAGE(outcome.contains("rank 1"), outcome.output);
  }
}

TEST_CASE(
    "processes: random operations over TCP and UCX, also on devices whose memory the host does not "
    "reach") {
  std::vector<std::string> devices = {"cpu"};
  if (RankDevice::exists("opencl")) devices.push_back("opencl");
  for (const std::string& network : networks()) {
    auto ranks =
        start_ranks(3, devices, {"random", std::to_string(seed() + 9), "40", "200000"}, {network});
    for (auto& rank : ranks) {
      const Outcome outcome = rank->end(120'000);
      CHECK_MESSAGE(outcome.output == "ok\n", network, ": ", outcome.output);
    }
  }
}

TEST_CASE("processes: every algorithm over two hosts, of which each is some processes here") {
  for (const std::string algorithm : {"tree", "ring", "clusters", "slices", "automatic"}) {
    auto ranks = start_ranks(4, {"cpu"}, {"random", std::to_string(seed() + 5), "25", "300000"},
                             {"FLAGOS_COMM_HOST_RANKS=2", "FLAGOS_COMM_ALGORITHM=" + algorithm});
    for (auto& rank : ranks) {
      const Outcome outcome = rank->end(120'000);
      CHECK_MESSAGE(outcome.output == "ok\n", algorithm, ": ", outcome.output);
    }
  }
}

TEST_CASE("processes: one-sided operations through shared memory, over TCP, both, and over UCX") {
  std::vector<std::string> devices = {"cpu"};
  if (RankDevice::exists("opencl")) devices.push_back("opencl");
  for (const std::string& variable : transports()) {
    auto ranks =
        start_ranks(3, devices, {"windows", std::to_string(seed()), "12", "900000"}, {variable});
    for (auto& rank : ranks) {
      const Outcome outcome = rank->end(120'000);
      CHECK_MESSAGE(outcome.output == "ok\n", variable, ": ", outcome.output);
    }
  }
}

TEST_CASE("processes: mpirun starts the same program") {
  if (std::system("command -v mpirun >/dev/null 2>&1") != 0) {
    MESSAGE("skipped: there is no mpirun (openmpi-bin) on this machine");
    return;
  }
  const std::string command =
      "env -u FLAGOS_COMM_ID OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
      "timeout 100 mpirun --oversubscribe -n 3 " FLAGOS_COMM_RANK_PROGRAM " 0 0 cpu random " +
      std::to_string(seed()) + " 20 10000";
  std::FILE* const output = popen(command.c_str(), "r");
  REQUIRE(output != nullptr);
  std::string text;
  for (int c = std::fgetc(output); c != EOF; c = std::fgetc(output)) text += static_cast<char>(c);
  const int ended = pclose(output);
  CHECK_MESSAGE(ended == 0, text);
  CHECK(text == "ok\nok\nok\n");
}

TEST_CASE("processes: a killed, a stopped and a disagreeing rank over TCP and UCX") {
  std::string network;
  const auto run = [&](const std::string& scenario, const std::string& status) {
    const auto outcomes = run_ranks(3, 1, {scenario, "1", "5", "100000"},
                                    {short_timeout, network, "FLAGOS_COMM_NATIVE=0"});
    for (const std::uint32_t rank : {0U, 2U}) {
      const Outcome& outcome = outcomes[rank];
      CHECK(outcome.exit_code == 3);
      CHECK_MESSAGE(outcome.contains("status=" + status), outcome.output);
      CHECK_MESSAGE(outcome.contains("rank 1"), outcome.output);
      CHECK_MESSAGE(outcome.contains("text=all_reduce #5: "), outcome.output);
      CHECK_MESSAGE(is_in_time(outcome), outcome.output);
    }
  };
  for (const std::string& each : networks()) {
    network = each;
    run("kill", "FLAGOS_STATUS_RANK_FAILED");
    run("stop", "FLAGOS_STATUS_COMM_TIMEOUT");
    run("mismatch", "FLAGOS_STATUS_RANK_MISMATCH");
  }
}

namespace {

// Rank 2 of 5 stops: most of the others wait for ranks that wait for it themselves, and all must name it.
void stop_in_a_chain(const std::string& algorithm, const std::string& transport) {
  const auto outcomes = run_ranks(
      5, 2, {"stop", "2", "5", "100000"},
      {short_timeout, transport, "FLAGOS_COMM_ALGORITHM=" + algorithm, "FLAGOS_COMM_NATIVE=0"});
  for (const std::uint32_t rank : {0U, 1U, 3U, 4U}) {
    const Outcome& outcome = outcomes[rank];
    const std::string what = transport + ", " + algorithm + ": " + outcome.output;
    CHECK_MESSAGE(outcome.contains("status=FLAGOS_STATUS_COMM_TIMEOUT"), what);
    CHECK_MESSAGE(outcome.contains("rank 2, which does not answer"), what);
    CHECK_MESSAGE(is_in_time(outcome), what);
  }
}

}  // namespace

TEST_CASE("processes: a rank that stops is named at the end of a chain of waits") {
  for (const std::string& transport : transports())
    for (const std::string algorithm : {"ring", "tree"}) stop_in_a_chain(algorithm, transport);
}

TEST_CASE("long: a rank that stops is named with every algorithm and transport") {
  for (const std::string& transport : transports())
    for (const std::string algorithm : {"one_step", "slices", "tree", "ring", "clusters"})
      stop_in_a_chain(algorithm, transport);
}

TEST_CASE("processes: ranks of other launchers find each other through a file") {
  char folder[] = "/tmp/flagos-comm-test-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string file = std::string(folder) + "/id";
  const auto run = [&](const std::string& rank, const std::string& size) {
    auto ranks = start_ranks(3, {"cpu"}, {"random", std::to_string(seed()), "5", "100"},
                             {rank + "={rank}", size + "=3", "FLAGOS_COMM_FILE=" + file});
    for (auto& started : ranks) {
      const Outcome outcome = started->end(60'000);
      CHECK_MESSAGE(outcome.output == "ok\n", outcome.output);
    }
  };
  run("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE");
  run("PMI_RANK", "PMI_SIZE");  // the file of an earlier job is in nobody's way
  CHECK(unlink(file.c_str()) == 0);
  CHECK(rmdir(folder) == 0);
  auto lost = start_ranks(1, {"cpu"}, {"random", "1", "1", "1"},
                          {"RANK={rank}", "WORLD_SIZE=1", "FLAGOS_COMM_FILE=/tmp/no/such/id"});
  const Outcome outcome = lost[0]->end(30'000);
  CHECK_MESSAGE(outcome.contains("FLAGOS_STATUS_NOT_FOUND"), outcome.output);
}

TEST_CASE("processes: a rank that is killed is named by all others") {
  for (const std::uint32_t victim : {0U, 2U}) {
    const auto outcomes =
        run_ranks(3, victim, {"kill", std::to_string(victim), "5", "100000"}, {short_timeout});
    for (std::uint32_t rank = 0; rank < 3; ++rank) {
      if (rank == victim) continue;
      const Outcome& outcome = outcomes[rank];
      CHECK(outcome.exit_code == 3);
      CHECK_MESSAGE(outcome.contains("status=FLAGOS_STATUS_RANK_FAILED"), outcome.output);
      CHECK_MESSAGE(outcome.contains("rank " + std::to_string(victim)), outcome.output);
      CHECK_MESSAGE(is_in_time(outcome), outcome.output);
    }
  }
}

TEST_CASE("processes: a rank that stops is found within the timeout") {
  const auto outcomes = run_ranks(3, 1, {"stop", "1", "5", "100000"}, {short_timeout});
  for (const std::uint32_t rank : {0U, 2U}) {
    const Outcome& outcome = outcomes[rank];
    CHECK(outcome.exit_code == 3);
    CHECK_MESSAGE(outcome.contains("status=FLAGOS_STATUS_COMM_TIMEOUT"), outcome.output);
    CHECK_MESSAGE(outcome.contains("for rank 1"), outcome.output);
    CHECK_MESSAGE(outcome.contains("all_reduce"), outcome.output);
    CHECK_MESSAGE(is_in_time(outcome), outcome.output);
  }
}

TEST_CASE("processes: ranks that disagree all hear of it") {
  for (const Outcome& outcome :
       run_ranks(3, no_victim, {"mismatch", "1", "4", "100000"}, {short_timeout})) {
    CHECK(outcome.exit_code == 3);
    CHECK_MESSAGE(outcome.contains("status=FLAGOS_STATUS_RANK_MISMATCH"), outcome.output);
    CHECK_MESSAGE(outcome.contains("all_reduce"), outcome.output);
    CHECK_MESSAGE(outcome.contains("50001"), outcome.output);
  }
}

TEST_CASE("processes: a rank that leaves is named") {
  for (const std::string& transport : transports()) {
    const Outcome outcome =
        run_ranks(2, no_victim, {"leave", "1", "3", "100000"}, {short_timeout, transport})[0];
    CHECK(outcome.exit_code == 3);
    CHECK_MESSAGE(outcome.contains("rank 1 has left"), transport, ": ", outcome.output);
  }
}
