// A first kernel, so that what a software driver makes at its first compilation is made early.
#pragma once

namespace flagos::vulkan {

class Device;

// Runs a kernel that does nothing, and waits for it. Errors are the later work's to meet.
void warm_up(const Device& device) noexcept;

}  // namespace flagos::vulkan
