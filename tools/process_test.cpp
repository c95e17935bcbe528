#include "tools/process.hpp"

#include <signal.h>

#include <doctest/doctest.h>

#include "tools/command.hpp"

using namespace flagos::tools;
using namespace std::chrono_literals;

namespace {

Ending shell(const char* script, std::chrono::seconds limit = 20s) {
  return run_watched({"/bin/sh", "-c", script}, limit);
}

}  // namespace

TEST_CASE("a watched child answers on 3, and its output is kept apart") {
  const Ending ending = shell("echo noise; echo more >&2; echo answer >&3; exit 4");
  CHECK(ending.answer == "answer\n");
  CHECK(ending.output == "noise\nmore\n");
  CHECK(ending.exit_code == 4);
  CHECK(ending.signal == 0);
  CHECK(!ending.timed_out);
  CHECK(describe_ending(ending, 20s) == "exited with code 4");
}

TEST_CASE("a signal is told by name") {
  const Ending ending = shell("kill -SEGV $$");
  CHECK(ending.signal == SIGSEGV);
  CHECK(describe_ending(ending, 20s) == "was ended by SIGSEGV");
}

TEST_CASE("a hanging child is killed, with what it started") {
  const Ending ending = shell("sleep 1000 & echo begun >&3; sleep 1000", 1s);
  CHECK(ending.timed_out);
  CHECK(ending.answer == "begun\n");
  CHECK(describe_ending(ending, 1s) == "did not answer within 1 s");
  // One that closes its answer and stays is found as well.
  CHECK(shell("exec 3>&-; sleep 1000", 1s).timed_out);
}

TEST_CASE("a flood does not fill our memory, and no file of ours is open in the child") {
  const Ending ending = shell(
      "head -c 3000000 /dev/zero >&3; head -c 100000 /dev/zero; ls /proc/self/fd | wc -l >&2");
  CHECK(ending.answer.size() == std::size_t{1} << 20);
  // 0 to 3, and the folder that ls reads.
  CHECK(ending.output.ends_with("5\n"));
  CHECK(ending.output.size() <= 2048);
}

TEST_CASE("what cannot be started is an error of ours, not an exit code") {
  CHECK_THROWS_AS(run_program({"/no/such/program"}), CommandError);
  CHECK(run_program({"/bin/sh", "-c", "exit 5"}) == 5);
  CHECK(run_program({"/bin/sh", "-c", "kill -TERM $$"}) == 128 + SIGTERM);
  CHECK(run_program({"/bin/sh", "-c", "test \"$FLAGOS_X\" = y"}, {{"FLAGOS_X", "y"}}) == 0);
  CHECK(run_watched({"/no/such/program"}, 5s).exit_code == 127);
}
