// A thread that runs deferred releases when their work has passed, so that an idle device does not keep what was freed.
// One per process; it starts at the first release that has to wait, sleeps while none does, and ends with
// reaper_shutdown.
#pragma once

namespace flagos::core {

class Device;

// The device has a release that waits.
void reaper_watch(Device& device);
// Lets go of the device, whose releases are done: the caller's reference may be the last. Waits while the thread is
// just looking at it; not from a release.
void reaper_forget(Device& device);
// At the end of the last runtime.
void reaper_shutdown();

}  // namespace flagos::core
