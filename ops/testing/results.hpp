// A record of which operators the tests of a device have called, in which types, and whether all test cases that call one
// pass. Written to the file that FLAGOS_OPS_STATUS_FILE names; `flagos ops list --status` reads it.
#pragma once

#include <string>

#include "ops/testing/examples.hpp"

namespace flagos::ops::testing {

// The running test case has called this operator. `worked`: it was not refused, and the device did not fail.
void note_call(const Operator& op, const Arguments& arguments, bool worked);
// Runs an example on the device of the tests, and notes it. What is wrong with it; "" when nothing is.
std::string run_noted(Example& example);
// The test case has ended.
void note_test_case(bool passed);
// `lacks_f64`: the device computes nothing in float64.
void write_results(const std::string& device, bool lacks_f64);

}  // namespace flagos::ops::testing
