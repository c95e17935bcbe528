// Files of waivers: any bytes are refused with a sentence, or give waivers that are written and read the same.
#include <stdexcept>

#include "conformance/waivers.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace flagos::fuzz {
namespace {

using namespace flagos::conformance;

const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> some;
    for (const char* const id : {"copy.a", "copy.b", "graph.c"})
      some.push_back({id, {.clause = "one"}, [](Context&) {}, std::source_location::current()});
    return some;
  }();
  return all;
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string entry =
      R"({"id": "copy.a", "class": "known-failure", "expect": "FAIL", "check": "data",
          "scope": {"plugin_version": {"min": "1.0", "max": "2.0"}, "device_ids": ["cpu:0"], "driver_version": {"min": "1"}},
          "reason": "a sentence that says at some length why this case cannot pass today",
          "issue": "https://example.org/issues/1", "owner": "somebody", "created": "2026-01-01", "expires": "2026-03-01"})";
  const std::string other =
      R"({"id": "copy.b", "params": "size=1", "class": "suite-bug", "expect": "CRASH",
          "scope": {"plugin_sha256": ["0000000000000000000000000000000000000000000000000000000000000000"]},
          "reason": "a sentence that says at some length why this case cannot pass today", "approval": "AAAA",
          "issue": "https://example.org/issues/2", "owner": "somebody", "created": "2026-01-01", "expires": "2026-02-30"})";
  return {R"({"waivers": []})", R"({"waivers": [)" + entry + "]}",
          R"({"waivers": [)" + entry + "," + other + "]}"};
}

}  // namespace flagos::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flagos::fuzz;
  const std::string path = folder() + "/waivers.json";
  write_file(path, {reinterpret_cast<const char*>(data), size});
  try {
    const Waivers waivers = load_waivers(path, cases());
    const auto again = parse_waivers(to_json(waivers), cases());
    demand(again.size() == waivers.size(), "what was read is read again");
    for (std::size_t i = 0; i < waivers.size(); ++i) {
      demand(approved_text(waivers[i]) == approved_text(again[i]), "an entry stays as it is");
      demand(days_between(waivers[i].created, waivers[i].expires).value_or(-1) >= 0,
             "a waiver has dates");
      waivers[i].covers({"0", "1.5", "cpu:0", "7"});
      waivers[i].foresees(Status::fail, "data");
    }
  } catch (const std::runtime_error& error) {
    demand(*error.what() != '\0', "a refusal says why");
  }
  return 0;
}
