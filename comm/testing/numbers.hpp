// Numbers of every dtype of collectives, as the tests see them.
#pragma once

#include <flagos_comm.h>

#include <cstddef>
#include <vector>

namespace flagos::comm::testing {

const std::vector<flagos_dtype_t>& all_dtypes();
bool is_floating(flagos_dtype_t dtype);
bool is_integer(flagos_dtype_t dtype);

// `value` rounded to the nearest of the dtype (ties to even), or wrapped for integers. complex64 gets it as both parts.
void encode(flagos_dtype_t dtype, double value, std::byte* target);
double decode(flagos_dtype_t dtype, const std::byte* source);

}  // namespace flagos::comm::testing
