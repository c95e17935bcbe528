// Random programs alone, without the cases of the suite: small enough to be built with every sanitizer.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "conformance/program/soak.hpp"
#include "conformance/program/world.hpp"

int main(int argc, char** argv) {
  try {
    return flagos::conformance::soak_command(argc, argv);
  } catch (const flagos::conformance::NoDevice& none) {
    fmt::print("skipped: {}\n", none.what());
    return 77;
  } catch (const std::exception& error) {
    fmt::print(stderr, "flagos_programs: {}\n", error.what());
    return 3;
  }
}
