// The driver's pipeline cache, kept in a file between processes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "plugins/vulkan/driver.hpp"

namespace flagos::vulkan {

class Device;

class PipelineCache {
 public:
  explicit PipelineCache(Device& device);
  ~PipelineCache();  // writes the file, if something is new
  PipelineCache(const PipelineCache&) = delete;
  PipelineCache& operator=(const PipelineCache&) = delete;

  VkPipelineCache handle() const noexcept { return handle_; }
  void note_created() noexcept { created_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::vector<char> load() const;
  void save() const;

  Device& device_;
  std::string path_;  // "": no file
  VkPipelineCache handle_ = VK_NULL_HANDLE;
  std::size_t loaded_bytes_ = 0;
  std::atomic<std::uint32_t> created_{0};
};

// Whether `bytes` begin with a header that was written for this device and driver.
bool is_cache_of(const std::vector<char>& bytes, const VkPhysicalDeviceProperties& properties);

}  // namespace flagos::vulkan
