// Which operators the tests of a device have called, and whether all test cases that call one pass. Written to the file
// that FLAGOS_OPS_STATUS_FILE names; `flagos ops list --status` reads it.
#pragma once

#include <string>

namespace flagos::ops::testing {

// The running test case calls this operator.
void note_called(const std::string& op);
// It has ended.
void note_test_case(bool passed);
void write_results(const std::string& device);

}  // namespace flagos::ops::testing
