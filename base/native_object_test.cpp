#include "base/native_object.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "base/error.hpp"

namespace flagos {
namespace {

std::string refusal(const flagos_native_t& native) {
  try {
    check_native(native, "thing", 3, {0, 2});
  } catch (const Error& error) {
    CHECK(error.status() == FLAGOS_STATUS_INVALID_ARGUMENT);
    return error.what();
  }
  return "";
}

TEST_CASE("a native object is taken as it was shown, and refused when it was changed") {
  flagos_native_t native{};
  show_native(native, "thing", {7, 0, 9});
  CHECK(native.handle_count == 3);
  CHECK(handle_at<int*>(native, 2) == reinterpret_cast<int*>(9));
  CHECK(number_of(handle_at<int*>(native, 0)) == 7);
  CHECK(refusal(native).empty());  // handle 1 is a number: it may be 0

  flagos_native_t changed = native;
  std::strcpy(changed.type, "thin");
  CHECK(refusal(changed) == "a native object of type 'thin'; here 'thing' is needed");
  changed = native;
  changed.handle_count = 2;
  CHECK(refusal(changed) == "'thing' with 2 handles; it has 3");
  changed = native;
  changed.handles[2] = 0;
  CHECK(refusal(changed) == "'thing' whose handle 2 is 0");
}

TEST_CASE("a type takes the place of the one before; one that is too long is cut") {
  flagos_native_t native{};
  std::memset(native.type, 'y', sizeof(native.type));
  show_native(native, std::string(40, 'x'), {1});
  CHECK(std::string(native.type) == std::string(31, 'x'));
  show_native(native, "thing", {1});
  CHECK(std::string(native.type) == "thing");
}

TEST_CASE("who owns a wrapped object") {
  CHECK(is_given_away(FLAGOS_WRAP_FLAG_OWN));
  CHECK_FALSE(is_given_away(0));
}

}  // namespace
}  // namespace flagos
