// The grid of a kernel that runs until it is told to end.
#pragma once

#include "conformance/case.hpp"

namespace flagos::conformance {

// One block, or many where the driver ends every loop after so many rounds (llvmpipe: 65535), so that the
// next goes on when one was ended.
Dim3 holding_grid(Context& t);

}  // namespace flagos::conformance
