#include "base/device_filter.hpp"

#include <doctest/doctest.h>

namespace flagos {
namespace {

using Indices = std::vector<std::size_t>;

const std::vector<FilterDevice> devices = {
    {"Acme Big 9000", {0xab, 0xcd, 0xef}},
    {"Acme Small 7", {0xab, 0x00}},
    {"Other 0", {0x10}},
};

DeviceSelection select(std::string_view filter) { return select_devices("FLAGOS_TEST_DEVICES", filter, devices); }

TEST_CASE("device filter: nothing asked for takes all") {
  for (const char* filter : {"", " ", ",", " , "}) {
    INFO(filter);
    CHECK(select(filter).indices == Indices{0, 1, 2});
    CHECK(select(filter).warnings.empty());
  }
}

TEST_CASE("device filter: entries give the order, and no device comes twice") {
  CHECK(select("2,0").indices == Indices{2, 0});
  CHECK(select("1, 1 ,uuid:ab00,small").indices == Indices{1});
  CHECK(select("1,acme").indices == Indices{1, 0});
  CHECK(select("1,acme").warnings.empty());
  CHECK(select("SMALL,oTHER").indices == Indices{1, 2});
}

TEST_CASE("device filter: a uuid is matched by its first digits") {
  CHECK(select("uuid:abcdef").indices == Indices{0});
  CHECK(select("UUID:AB-CD").indices == Indices{0});
  CHECK(select("uuid:ab").indices == Indices{0, 1});
  CHECK(select("uuid:1").indices == Indices{2});
  CHECK(select("uuid:").indices.empty());
  CHECK(select("uuid:xyz").indices.empty());
}

TEST_CASE("device filter: a number is an index, never a part of a name") {
  CHECK(select("9000").indices.empty());
  CHECK(select("7").indices.empty());
  CHECK(select("99999999999999999999999").indices.empty());
}

TEST_CASE("device filter: what matches nothing is told with what there is; the rest stays") {
  const DeviceSelection selection = select("nothing,2,5");
  CHECK(selection.indices == Indices{2});
  REQUIRE(selection.warnings.size() == 2);
  CHECK(selection.warnings[0] ==
        "FLAGOS_TEST_DEVICES: 'nothing' matches no device; there is 0: 'Acme Big 9000' "
        "(uuid:abcdef00000000000000000000000000), 1: 'Acme Small 7' "
        "(uuid:ab000000000000000000000000000000), 2: 'Other 0' "
        "(uuid:10000000000000000000000000000000)");
  CHECK(selection.warnings[1].find("'5' matches no device") != std::string::npos);
}

TEST_CASE("device filter: without devices") {
  CHECK(select_devices("V", "", {}).indices.empty());
  const DeviceSelection selection = select_devices("V", "0", {});
  CHECK(selection.indices.empty());
  REQUIRE(selection.warnings.size() == 1);
  CHECK(selection.warnings[0] == "V: '0' matches no device; there is no device");
}

}  // namespace
}  // namespace flagos
