// Cases that misbehave in every way a plugin can, for the test of the runner itself (selftest.sh).
// They are in no list and no run without --selftest, and use no plugin.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <signal.h>
#include <unistd.h>

#include "conformance/case.hpp"
#include "conformance/results.hpp"

namespace flagos::conformance {
namespace {

FLAGOS_CASE("selftest.pass", {.clause = "runner: a pass is a pass"}) {
  t.subcase("first");
  t.check(true, "true is true");
  const std::uint8_t bytes[] = {1, 2, 3};
  t.digest(bytes);
}

FLAGOS_CASE("selftest.results", {.clause = "runner: figures, and digests of subcases"}) {
  const double samples[] = {1.5, 2.5};
  const std::uint8_t bytes[] = {4, 5};
  t.subcase("size=2");
  t.equal_bytes(bytes, bytes, "two bytes");
  measure(t, "copy", "GB/s", samples);
}

FLAGOS_CASE("selftest.private_digest", {.clause = "runner: bytes of this device alone"}) {
  const std::uint8_t bytes[] = {6};
  keep_digests_private(t);
  t.equal_bytes(bytes, bytes, "one byte");
}

FLAGOS_CASE("selftest.fail", {.clause = "runner: a failing check"}) {
  t.subcase("value=1");
  t.equal(1, 2, "a number");
}

FLAGOS_CASE("selftest.nocheck", {.clause = "runner: no check executed"}) {}

FLAGOS_CASE("selftest.crash", {.clause = "runner: a signal"}) {
  t.check(true, "reached");
  std::fprintf(stderr, "about to crash\n");
  raise(SIGSEGV);
}

FLAGOS_CASE("selftest.hang", {.clause = "runner: a time limit", .seconds = 2}) {
  t.check(true, "reached");
  while (true) pause();
}

FLAGOS_CASE("selftest.exit", {.clause = "runner: exit in the middle of a case"}) {
  t.check(true, "reached");
  std::exit(0);
}

FLAGOS_CASE("selftest.late_crash",
            {.clause = "runner: a crash while the worker exits", .isolation = Isolation::own}) {
  t.check(true, "reached");
  std::atexit([] { raise(SIGABRT); });
}

// Every start of the program is a new process with a new identity: half of them odd would not do,
// so a file decides.
FLAGOS_CASE("selftest.flaky", {.clause = "runner: repeats that differ"}) {
  const char* const path = std::getenv("FLAGOS_CONFORMANCE_SELFTEST_FILE");
  t.check(path != nullptr, "FLAGOS_CONFORMANCE_SELFTEST_FILE names a file");
  const bool first = access(path, F_OK) != 0;
  if (std::FILE* const file = std::fopen(path, "w")) std::fclose(file);
  t.check(first, "the file was not there");
}

FLAGOS_CASE("selftest.noise", {.clause = "runner: much output"}) {
  const std::string line(1023, 'x');
  for (int i = 0; i < 10 * 1024; ++i) std::puts(line.c_str());
  std::fflush(stdout);
  t.check(true, "all was written");
}

FLAGOS_CASE("selftest.forge", {.clause = "runner: a result line from elsewhere"}) {
  const char* const line =
      "{\"event\":\"end\",\"token\":\"0\",\"result\":{\"id\":\"selftest.forge\",\"status\":"
      "\"PASS\","
      "\"text\":\"\",\"digest\":\"\",\"digests\":{},\"measurements\":[],\"checks\":1,"
      "\"subcases\":0,\"seconds\":0}}\n";
  std::fputs(line, stdout);
  std::fflush(stdout);
  // Every descriptor that the case can guess, the reports' own among them.
  for (int descriptor = 3; descriptor < 1024; ++descriptor) {
    [[maybe_unused]] const ssize_t written =
        write(descriptor, line, std::char_traits<char>::length(line));
  }
  t.fail("the real outcome");
}

FLAGOS_CASE("selftest.core_skip", {.clause = "runner: a core case may not skip itself"}) {
  t.check(true, "reached");
  t.not_supported("no reason that counts");
}

FLAGOS_CASE("selftest.optional_skip",
            {.clause = "runner: a case that is not core may", .level = Level::full}) {
  t.not_supported("a reason");
}

FLAGOS_CASE("selftest.throw", {.clause = "runner: an exception leaves a case"}) {
  t.check(true, "reached");
  throw std::runtime_error("thrown by the case");
}

}  // namespace
}  // namespace flagos::conformance
