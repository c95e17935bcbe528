// Where the threads of a process that hangs are.
#pragma once

#include <string>

#include <sys/types.h>

namespace flagos::conformance {

// With a debugger where there is one, and from /proc. Takes at most half a minute.
std::string dump_stacks(pid_t pid);

}  // namespace flagos::conformance
