// The `flagos` command.
#include "tools/command.hpp"

int main(int argc, char** argv) {
  return flagos::tools::run_command_line({argv + (argc > 0 ? 1 : 0), argv + argc});
}
