// What the fake loader exports beside vkGetInstanceProcAddr; for the tests.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

#include <cstdint>

#define FLAGOS_FAKE_API extern "C" __attribute__((visibility("default")))

// The plugin looks for it: its devices are FLAGOS_DEVICE_CAPABILITY_FAKE.
FLAGOS_FAKE_API void flagos_fake_driver();

// Lets the n-th call from now fail with `code`, 0 none; with VK_ERROR_OUT_OF_HOST_MEMORY lookups count too, and find nothing. After
// VK_ERROR_DEVICE_LOST from a call that works on the queue, all of these say so until the device is
// destroyed. Returns how many calls there were since the last time. Calls that return nothing never fail.
FLAGOS_FAKE_API std::uint64_t flagos_vulkan_fake_control(std::uint64_t n, VkResult code);
// The function that was made to fail; "" when none was yet.
FLAGOS_FAKE_API const char* flagos_vulkan_fake_failed();
// How many objects of a kind ("Buffer", "Memory", "CommandPool", ...) there are, or of all for "".
FLAGOS_FAKE_API std::int64_t flagos_vulkan_fake_live(const char* kind);
// The most that there were at a time since flagos_vulkan_fake_control.
FLAGOS_FAKE_API std::int64_t flagos_vulkan_fake_most(const char* kind);
