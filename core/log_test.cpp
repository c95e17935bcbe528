#include "core/log.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace flagos::core;

namespace {

struct Lines {
  std::vector<std::string> texts;
  static void add(void* user_data, flagos_log_level_t level, const char* text) {
    static_cast<Lines*>(user_data)->texts.push_back(std::to_string(level) + " " + text);
  }
};

}  // namespace

TEST_CASE("lines at and above the level reach the callback, escaped") {
  Lines lines;
  REQUIRE(flagos_set_log_callback(Lines::add, &lines, FLAGOS_LOG_LEVEL_INFO) == FLAGOS_STATUS_OK);
  log(FLAGOS_LOG_LEVEL_DEBUG, "not this");
  log(FLAGOS_LOG_LEVEL_INFO, "one {}", 1);
  log(FLAGOS_LOG_LEVEL_ERROR, "a\nb{}", "\x1b[31m");
  REQUIRE(flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_WARNING) == FLAGOS_STATUS_OK);
  log(FLAGOS_LOG_LEVEL_INFO, "nor this");
  REQUIRE(lines.texts.size() == 2);
  CHECK(lines.texts[0] == "2 one 1");
  CHECK(lines.texts[1] == "4 a\\x0ab\\x1b[31m");
}

TEST_CASE("a level that is none is refused") {
  CHECK(flagos_set_log_callback(nullptr, nullptr, 6) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_set_log_callback(nullptr, nullptr, -1) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(std::string(flagos_last_error()).find("min_level is -1") != std::string::npos);
}

TEST_CASE("escape keeps UTF-8 and shows everything else") {
  CHECK(escape("gr\xc3\xbc\xc3\x9f"
               "e \xe2\x82\xac") ==
        "gr\xc3\xbc\xc3\x9f"
        "e \xe2\x82\xac");
  CHECK(escape("\xff\xc3") == "\\xff\\xc3");
  CHECK(escape(std::string("\0\x7f", 2)) == "\\x00\\x7f");
}
