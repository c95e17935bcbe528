#include "tools/trace_summary.hpp"

#include <doctest/doctest.h>

#include "tools/command.hpp"

using namespace flagos::tools;

TEST_CASE("calls are added up, the most time first") {
  const TraceSummary summary = summarize_trace(R"({"traceEvents": [
      {"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "flagos"}},
      {"name": "copy", "ph": "X", "ts": 1.5, "dur": 2, "pid": 1, "tid": 2},
      {"name": "launch", "ph": "X", "ts": 4, "dur": 10.25, "pid": 1, "tid": 2},
      {"name": "copy", "ph": "X", "ts": 20, "dur": 3, "pid": 1, "tid": 3}],
      "otherData": {"dropped_events": 7}})");
  REQUIRE(summary.calls.size() == 2);
  CHECK(summary.events == 3);
  CHECK(summary.dropped == 7);
  CHECK(summary.calls[0].name == "launch");
  CHECK(summary.calls[0].total_us == doctest::Approx(10.25));
  CHECK(summary.calls[1].count == 2);
  CHECK(summary.calls[1].total_us == doctest::Approx(5));
  CHECK(summarize_trace(R"({"traceEvents": []})").calls.empty());
}

TEST_CASE("a broken trace is a sentence") {
  for (const char* text :
       {"", "{", "[]", "{\"traceEvents\": 3}", "{\"traceEvents\": [3]}",
        "{\"traceEvents\": [{\"ph\": \"X\"}]}",
        "{\"traceEvents\": [{\"name\": \"a\", \"ph\": \"X\", \"ts\": 1}]}",
        "{\"traceEvents\": [{\"name\": \"a\", \"ph\": \"X\", \"ts\": \"1\", \"dur\": 1}]}",
        "{\"traceEvents\": [{\"name\": \"a\", \"ph\": \"X\", \"ts\": 1, \"dur\": -1}]}"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(summarize_trace(text), CommandError);
  }
}
