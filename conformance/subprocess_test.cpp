#include "conformance/subprocess.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

#include <signal.h>
#include <sys/wait.h>

#include "conformance/stacks.hpp"
#include "conformance/worker_process.hpp"

namespace flagos::conformance {

TEST_CASE("a program's code and text come back") {
  const Captured captured = run_captured({"/bin/sh", "-c", "echo out; echo err >&2; exit 7"}, 60);
  CHECK(captured.code == 7);
  CHECK(captured.text == "out\nerr\n");
}

TEST_CASE("a signal and a time limit are told apart from exit codes") {
  CHECK(run_captured({"/bin/sh", "-c", "kill -ABRT $$"}, 60).code == 1000 + SIGABRT);
  CHECK(run_captured({"/bin/sh", "-c", "exec sleep 1000"}, 0.05).code == killed_after_timeout);
}

TEST_CASE("a flood of output is cut and does not block the program") {
  const Captured captured =
      run_captured({"/bin/sh", "-c", "head -c 3000000 /dev/zero; exit 4"}, 60);
  CHECK(captured.code == 4);
  CHECK(captured.text.size() == 1 << 20);
}

TEST_CASE("a program that is not there is named") {
  CHECK_THROWS_WITH_AS(run_captured({"/nowhere/program"}, 1), doctest::Contains("/nowhere/program"),
                       std::runtime_error);
  CHECK(find_program("no-program-has-this-name").empty());
  CHECK_FALSE(find_program("sh").empty());
}

TEST_CASE("pipes stay above the numbers that workers get") {
  const Pipe pipe;
  CHECK(pipe.read_end >= 10);
  CHECK(pipe.write_end >= 10);
}

TEST_CASE("the end of a process in words") {
  CHECK(describe_wait_status(W_EXITCODE(3, 0)) == "ended with exit code 3");
  CHECK(describe_wait_status(W_EXITCODE(0, SIGSEGV)) == "was killed by SIGSEGV (11)");
}

TEST_CASE("stacks of a process that is gone are no error") {
  CHECK(dump_stacks(999999999).find("thread") == std::string::npos);
}

}  // namespace flagos::conformance
