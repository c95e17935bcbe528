#include "base/plugin_open.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

namespace {

flagos_host_t host_of(std::uint32_t min, std::uint32_t max) {
  flagos_host_t host{};
  host.abi_version_min = min;
  host.abi_version_max = max;
  return host;
}

flagos_plugin_t table() {
  flagos_plugin_t table{};
  table.abi_version_min = table.abi_version_max = FLAGOS_MAKE_VERSION(1, 0);
  table.name = "test";
  return table;
}

// What came of opening with room for `bytes`; `made` counts instances.
std::string open(const flagos_host_t& host, std::size_t bytes, flagos_plugin_t& out, int& made) {
  out = {};
  out.struct_size = static_cast<std::uint32_t>(bytes);
  try {
    flagos::answer_open(host, out, table(), [&](flagos_plugin_t&) { ++made; });
  } catch (const flagos::Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a plugin opens for the versions it has, and tells them to others") {
  flagos_plugin_t out{};
  int made = 0;
  CHECK(open(host_of(FLAGOS_MAKE_VERSION(1, 0), FLAGOS_MAKE_VERSION(1, 3)), sizeof(out), out, made) == "");
  CHECK(made == 1);
  CHECK(out.abi_version == FLAGOS_MAKE_VERSION(1, 0));
  CHECK(open(host_of(FLAGOS_MAKE_VERSION(2, 0), FLAGOS_MAKE_VERSION(2, 1)), sizeof(out), out, made) ==
        "the test plugin implements ABI 1.0, asked for 2.0 to 2.1");
  CHECK(made == 1);
  CHECK(out.abi_version_max == FLAGOS_MAKE_VERSION(1, 0));
}

TEST_CASE("nothing is opened where the table has no room for the required groups") {
  flagos_plugin_t out{};
  int made = 0;
  const flagos_host_t host = host_of(FLAGOS_MAKE_VERSION(1, 0), FLAGOS_MAKE_VERSION(1, 0));
  const std::size_t least = offsetof(flagos_plugin_t, kernel) + sizeof(out.kernel);
  CHECK(open(host, least - 1, out, made).find("struct_size") != std::string::npos);
  CHECK(made == 0);
  CHECK(open(host, least, out, made) == "");
  CHECK(made == 1);
  CHECK(out.profiling == nullptr);
}
