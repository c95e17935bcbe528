// Calls back when a driver event ends. Drivers call on threads of their own, late, after the plugin
// was closed, or (PoCL, for commands that failed) never: so a callback is a number in a table of
// the process, and whoever gives it up takes it out.
#pragma once

#include <cstdint>
#include <functional>

#include "plugins/opencl/driver.hpp"

namespace flagos::opencl {

// `function` runs once, with the event's status (CL_COMPLETE or a negative code), on a thread of
// the driver: it must not block. Gives the callback's number; throws when the driver refuses.
std::uint64_t call_when_done(const Driver& driver, cl_event event,
                             std::function<void(cl_int)> function);
// True when it was taken out before it ran.
bool cancel_callback(std::uint64_t number) noexcept;

}  // namespace flagos::opencl
