#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "plugins/opencl/test_plugin.hpp"

namespace flagos::opencl::test {
namespace {

TEST_CASE("plugin: versions are agreed on, or refused with the plugin's own range") {
  TestHost host;
  flagos_host_t table = host.table();
  flagos_plugin_t plugin{};
  plugin.struct_size = sizeof(plugin);
  table.abi_version_min = table.abi_version_max = FLAGOS_MAKE_VERSION(2, 0);
  CHECK(flagos_plugin_open(&table, &plugin) == FLAGOS_STATUS_UNSUPPORTED_VERSION);
  CHECK(plugin.abi_version == 0);
  CHECK(plugin.abi_version_max == FLAGOS_MAKE_VERSION(1, 0));
  CHECK(plugin.instance == nullptr);
  CHECK(host.last_error().find("2.0") != std::string::npos);
}

TEST_CASE("plugin: variables that mean nothing are refused, by name and value") {
  struct Wrong {
    const char* name;
    const char* value;
    flagos_status_t status;
  };
  for (const Wrong& wrong :
       {Wrong{"FLAGOS_OPENCL_MEMORY", "ram", FLAGOS_STATUS_INVALID_ARGUMENT},
        Wrong{"FLAGOS_OPENCL_SUBDEVICES", "yes", FLAGOS_STATUS_INVALID_ARGUMENT},
        Wrong{"FLAGOS_OPENCL_DRIVER", "/no/such/library.so", FLAGOS_STATUS_NOT_FOUND}}) {
    CAPTURE(wrong.name);
    TestInstance instance(Config{{wrong.name, wrong.value}});
    CHECK(instance.opened == wrong.status);
    const std::string text = instance.host.last_error();
    CHECK(text.find(wrong.name) != std::string::npos);
    CHECK(text.find(wrong.value) != std::string::npos);
  }
}

TEST_CASE("plugin: devices are described, the same on every start") {
  if (!has_device()) return;
  TestInstance first, second;
  REQUIRE(first.count() == second.count());
  for (std::uint32_t i = 0; i < first.count(); ++i) {
    const flagos_device_info_t info = first.info(i);
    const flagos_device_info_t again = second.info(i);
    CHECK(std::memcmp(info.uuid, again.uuid, sizeof(info.uuid)) == 0);
    CHECK(std::any_of(info.uuid, info.uuid + 16, [](std::uint8_t byte) { return byte != 0; }));
    CHECK(std::string(info.name) == again.name);
    CHECK(info.name[0] != '\0');
    CHECK(info.driver_version[0] != '\0');
    CHECK(info.memory_bytes > 0);
    CHECK(info.max_block_threads >= 1);
    CHECK((info.capabilities & FLAGOS_DEVICE_CAPABILITY_FAKE) == 0);
  }
}

TEST_CASE("plugin: a filter picks devices; what matches nothing is a warning that lists them") {
  if (!has_device()) return;
  const std::uint32_t all = TestInstance().count();
  const std::string name = TestInstance().info(0).name;
  TestInstance by_name(Config{{"FLAGOS_OPENCL_DEVICES", name}});
  REQUIRE(by_name.count() >= 1);
  CHECK(std::string(by_name.info(0).name) == name);
  TestInstance twice(Config{{"FLAGOS_OPENCL_DEVICES", "0,0"}});
  CHECK(twice.count() == 1);
  TestInstance none(Config{{"FLAGOS_OPENCL_DEVICES", "no such card"}});
  CHECK(none.opened == FLAGOS_STATUS_OK);
  CHECK(none.count() == 0);
  CHECK(none.host.log().find("no such card") != std::string::npos);
  CHECK(none.host.log().find(name) != std::string::npos);
  TestInstance past(Config{{"FLAGOS_OPENCL_DEVICES", "0," + std::to_string(all)}});
  CHECK(past.count() == 1);
}

TEST_CASE("plugin: a memory mode that the device lacks is refused at open, with what it has") {
  if (!has_device()) return;
  for (const char* mode : {"svm", "usm", "buffer"}) {
    CAPTURE(mode);
    TestInstance instance(Config{{"FLAGOS_OPENCL_MEMORY", mode}});
    REQUIRE(instance.opened == FLAGOS_STATUS_OK);
    flagos_plugin_device_t* device = nullptr;
    const flagos_status_t status = instance.api.device->open(instance.api.instance, 0, &device);
    if (status == FLAGOS_STATUS_OK) {
      instance.api.device->close(device);
      continue;
    }
    CHECK(status == FLAGOS_STATUS_UNSUPPORTED);
    CHECK(std::string(mode) != "buffer");
    CHECK(instance.host.last_error().find(mode) != std::string::npos);
  }
}

}  // namespace
}  // namespace flagos::opencl::test
