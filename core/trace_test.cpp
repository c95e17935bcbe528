// The layers are turned on for good, so this runs in a process of its own: see CMakeLists.txt.
#include "core/trace.hpp"

#include <doctest/doctest.h>
#include <flagos.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "core/test_plugin.hpp"

using flagos::core::enable_layers;
using flagos::core::test::Fake;

namespace {

std::size_t count_events(const nlohmann::json& trace, const std::string& name) {
  std::size_t count = 0;
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] != "X" || event["name"] != name) continue;
    CHECK(event["dur"].get<double>() >= 0);
    CHECK(event["pid"] == ::getpid());
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("calls and ranges of all threads are in the file, as JSON") {
  CHECK(flagos_range_pop() == FLAGOS_STATUS_NOT_FOUND);
  CHECK_THROWS_AS(enable_layers("speed", nullptr), flagos::Error);
  char folder[] = "/tmp/flagos_trace_XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string file = std::string(folder) + "/trace.json";
  REQUIRE(flagos_range_push("before the layer") == FLAGOS_STATUS_OK);
  enable_layers(" trace ,", file.c_str());
  {
    Fake f;
    flagos_stream_t* stream = f.stream();
    REQUIRE(flagos_range_push("a \"range\"\n\\ \xff") == FLAGOS_STATUS_OK);
    for (std::uint32_t i = 0; i < 3000; ++i) REQUIRE(f.append(stream, i) == FLAGOS_STATUS_OK);
    REQUIRE(flagos_range_pop() == FLAGOS_STATUS_OK);
    std::thread([&] { CHECK(f.append(stream, 1) == FLAGOS_STATUS_OK); }).join();
    REQUIRE(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
  }
  REQUIRE(flagos_range_pop() == FLAGOS_STATUS_OK);
  CHECK(flagos_range_pop() == FLAGOS_STATUS_NOT_FOUND);
  std::ifstream in(file);
  const nlohmann::json trace = nlohmann::json::parse(in);
  CHECK(count_events(trace, "flagos_kernel_launch") == 3001);
  CHECK(count_events(trace, "a \"range\"\\x0a\\ \\xff") == 1);
  CHECK(count_events(trace, "before the layer") == 0);
  CHECK(trace["otherData"]["dropped_events"] == 0);
  REQUIRE(std::remove(file.c_str()) == 0);
  CHECK(::rmdir(folder) == 0);  // no temporary file was left
  flagos::core::flush_trace();  // into a folder that is gone: a warning, no more
}
