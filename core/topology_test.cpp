// Links between devices, and the part of the host near one.
#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;
using flagos::core::test::FakeOptions;

namespace {

flagos_link_info_t link(const Fake& f, std::uint32_t from, std::uint32_t to, flagos_status_t expected) {
  flagos_link_info_t info;
  std::memset(&info, 0xcc, sizeof(info));
  info.struct_size = sizeof(info);
  CHECK(flagos_device_get_link(f.runtime(), from, to, &info) == expected);
  CHECK(info.padding == 0);
  return info;
}

}  // namespace

TEST_CASE("topology: a device and itself") {
  Fake f;
  const flagos_link_info_t info = link(f, 1, 1, FLAGOS_STATUS_OK);
  CHECK(info.type == FLAGOS_LINK_TYPE_SAME);
  CHECK(info.distance == 0);
  CHECK((info.flags & FLAGOS_LINK_FLAG_DIRECT_ACCESS) != 0);
}

TEST_CASE("topology: devices that work in the host's memory, of one plugin and of two") {
  Fake f({}, 2);
  for (const std::uint32_t to : {1u, 2u, 3u}) {
    const flagos_link_info_t info = link(f, 0, to, FLAGOS_STATUS_OK);
    CHECK(info.type == FLAGOS_LINK_TYPE_HOST_MEMORY);
    CHECK(info.distance == 10);
  }
}

TEST_CASE("topology: nothing is known of chips without a bus") {
  FakeOptions options;
  options.foreign_memory = 3;
  Fake f(options);
  const flagos_link_info_t info = link(f, 0, 1, FLAGOS_STATUS_OK);
  CHECK(info.type == FLAGOS_LINK_TYPE_UNKNOWN);
  CHECK(info.flags == 0);
  CHECK(info.bandwidth_bytes_per_s == 0);
}

TEST_CASE("topology: an index past the count clears the answer") {
  Fake f;
  for (const auto& [from, to] : {std::pair{0u, 2u}, std::pair{2u, 0u}, std::pair{UINT32_MAX, UINT32_MAX}}) {
    const flagos_link_info_t info = link(f, from, to, FLAGOS_STATUS_NOT_FOUND);
    CHECK(info.type == 0);
    CHECK(info.distance == 0);
  }
  flagos_locality_info_t locality;
  std::memset(&locality, 0xcc, sizeof(locality));
  locality.struct_size = sizeof(locality);
  CHECK(flagos_device_get_locality(f.runtime(), 2, &locality) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(locality.processors[0] == '\0');
}

TEST_CASE("topology: a cpu is near all processors that are on") {
  FakeOptions options;
  options.foreign_memory = 2;
  Fake f(options);
  flagos_locality_info_t locality{};
  locality.struct_size = sizeof(locality);
  REQUIRE(flagos_device_get_locality(f.runtime(), 0, &locality) == FLAGOS_STATUS_OK);
  CHECK(std::string(locality.processors).find_first_not_of("0123456789-,") == std::string::npos);
  CHECK(locality.processors[0] == '0');
  REQUIRE(flagos_device_get_locality(f.runtime(), 1, &locality) == FLAGOS_STATUS_OK);
  CHECK(locality.numa_node == -1);
  CHECK(std::string(locality.processors).empty());
}

namespace {

// Bus ids of no device of this machine, so that nothing is known of their nodes.
void put_on_bus(flagos_device_info_t& info) {
  std::strcpy(info.bus_id, info.uuid[15] == 1 ? "fff1:00:00.0" : "fff2:00:00.0");
}

}  // namespace

TEST_CASE("topology: chips on buses of one node, and of another where the plugin says so") {
  FakeOptions options;
  options.foreign_memory = 3;
  options.change_info = put_on_bus;
  {
    Fake f(options);
    const flagos_link_info_t info = link(f, 0, 1, FLAGOS_STATUS_OK);
    CHECK(info.type == FLAGOS_LINK_TYPE_PCI);
    CHECK(info.distance == 10);
  }
  options.change = [](flagos::core::test::FakeTables& tables) {
    flagos::core::test::begin_table(tables.topology).get_link = [](flagos_plugin_instance_t*, std::uint32_t from,
                                                                   std::uint32_t to, flagos_link_info_t* out) {
      out->padding = 17;
      out->distance = 3 + from + to;
      out->bandwidth_bytes_per_s = 1000;
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
  };
  Fake f(options);
  const flagos_link_info_t info = link(f, 1, 0, FLAGOS_STATUS_OK);
  CHECK(info.type == FLAGOS_LINK_TYPE_PCI);
  CHECK(info.distance == 4);
  CHECK(info.bandwidth_bytes_per_s == 1000);
}

TEST_CASE("topology: one chip that two plugins drive is the same") {
  FakeOptions options;
  options.change_info = [](flagos_device_info_t& info) { std::memset(info.uuid, 7, sizeof(info.uuid)); };
  Fake f(options, 2);
  CHECK(link(f, 0, 2, FLAGOS_STATUS_OK).type == FLAGOS_LINK_TYPE_SAME);
}
