// A kernel of a module, with a pipeline for every block size that it was launched with.
#pragma once

#include <flagos_plugin.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugins/vulkan/driver.hpp"
#include "plugins/vulkan/spirv.hpp"

namespace flagos::vulkan {

class Device;

// What of a launch a pipeline depends on.
struct PipelineKey {
  std::array<std::uint32_t, 3> block;
  std::uint32_t shared_bytes;
  bool operator==(const PipelineKey&) const = default;
};

struct Pipeline {
  PipelineKey key;
  VkPipeline handle;
};

struct KernelLayout {
  static constexpr std::uint32_t none = UINT32_MAX;
  ArgumentBlock block;
  std::uint32_t block_bytes;
  std::uint32_t status_offset;
  std::vector<std::uint32_t> address_offsets;
  std::vector<SpirvBuffer> buffers;
  static constexpr std::size_t buffer_limit = 64;
};

class Kernel {
 public:
  // `shader` is the module's.
  Kernel(Device& device, VkShaderModule shader, SpirvKernel reflection);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  Device& device() const noexcept { return device_; }
  const std::string& name() const noexcept { return reflection_.name; }
  const SpirvKernel& reflection() const noexcept { return reflection_; }
  const KernelLayout& layout() const noexcept { return layout_; }
  VkPipelineLayout pipeline_layout() const noexcept { return pipeline_layout_; }
  VkDescriptorSetLayout argument_set_layout() const noexcept { return set_layout_; }
  VkDescriptorType descriptor_type() const noexcept;
  std::uint32_t max_block_threads() const noexcept;

  // The pipeline for this shape, made at its first use. Throws INVALID_ARGUMENT for a shape that the
  // kernel cannot have. Without the instance's lock.
  const Pipeline& pipeline(const flagos_launch_desc_t& desc);

 private:
  void check_shape(const flagos_launch_desc_t& desc) const;
  void make_layout();
  void release() noexcept;
  VkPipeline make_pipeline(const PipelineKey& key) const;

  Device& device_;
  const VkShaderModule shader_;
  const SpirvKernel reflection_;
  KernelLayout layout_;
  VkDescriptorSetLayout set_layout_ = VK_NULL_HANDLE;
  VkPipelineLayout pipeline_layout_ = VK_NULL_HANDLE;
  std::mutex mutex_;
  std::atomic<const Pipeline*> last_{nullptr};
  std::vector<std::unique_ptr<Pipeline>> pipelines_;
};

// What a kernel that left this in its status word fails its stream with.
std::shared_ptr<const Error> kernel_failure(const char* name, std::int32_t word) noexcept;

flagos_status_t kernel_get_info(flagos_plugin_kernel_t* kernel,
                                flagos_kernel_info_t* out_info) noexcept;
flagos_status_t kernel_get_parameter(flagos_plugin_kernel_t* kernel, std::uint32_t index,
                                     flagos_parameter_t* out_parameter) noexcept;
flagos_status_t kernel_launch(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                              const flagos_launch_desc_t* desc) noexcept;
flagos_status_t kernel_prepare(flagos_plugin_kernel_t* kernel, const flagos_launch_desc_t* desc,
                               flagos_plugin_prepared_t** out_prepared) noexcept;
flagos_status_t kernel_launch_prepared(flagos_plugin_stream_t* stream,
                                       flagos_plugin_prepared_t* prepared) noexcept;
void kernel_destroy_prepared(flagos_plugin_prepared_t* prepared) noexcept;

}  // namespace flagos::vulkan
