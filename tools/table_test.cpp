#include "tools/table.hpp"

#include <doctest/doctest.h>

using namespace flagos::tools;

TEST_CASE("columns are as wide as their widest cell, the last one is not padded") {
  Table table({"name", "state", "why"});
  table.add({"a", "loaded", ""});
  table.add({"longer", "x", "because"});
  CHECK(table.text("  ") ==
        "  name    state   why\n"
        "  a       loaded  \n"
        "  longer  x       because\n");
}

TEST_CASE("width counts characters, not bytes") {
  Table table({"\xc3\xa4\xc3\xb6", "x"});
  table.add({"abc", "y"});
  CHECK(table.text() == "\xc3\xa4\xc3\xb6   x\nabc  y\n");
}

TEST_CASE("what a plugin says cannot steer a terminal") {
  CHECK(printable("plain text") == "plain text");
  CHECK(printable("a\x1b[2Jb\nc\x7f") == "a?[2Jb?c?");
  CHECK(printable("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80") ==
        "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
  CHECK(printable("\xc3") == "?");
  CHECK(printable("\xff\xfe") == "??");
  CHECK(printable("\xc2\x9b") == "?");  // the one-character form of ESC [
  CHECK(printable("\xe2\x82") == "??");
  CHECK(printable(std::string("a\0b", 3)) == "a?b");
}
