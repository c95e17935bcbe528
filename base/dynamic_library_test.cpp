#include "base/dynamic_library.hpp"

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <string>

#include "base/error.hpp"

namespace {

using flagos::DynamicLibrary;
using flagos::Error;

std::string failure_of(const std::string& path) {
  try {
    const DynamicLibrary library(path);
  } catch (const Error& error) {
    CHECK(error.status() == FLAGOS_STATUS_NOT_FOUND);
    return error.what();
  }
  return "";
}

TEST_CASE("dynamic library: a failed load tells the dynamic linker's words and nothing else") {
  for (const std::string path : {"/nowhere/libnothing.so", __FILE__}) {
    CAPTURE(path);
    REQUIRE(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr);
    const std::string words = dlerror();
    CHECK(failure_of(path) == "it cannot be loaded: " + words);
  }
}

TEST_CASE("dynamic library: symbols are found, or named") {
  const DynamicLibrary library(FLAGOS_ELF_TEST_LIBRARY);
  const bool found = library.symbol("elf_test_function") != nullptr;
  CHECK(found);
  CHECK_THROWS_WITH_AS(library.symbol("no_such_symbol"), "it has no symbol no_such_symbol", Error);
}

}  // namespace
