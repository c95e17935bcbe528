#include "plugins/vulkan/capabilities.hpp"

#include <spirv/unified1/spirv.hpp>

namespace flagos::vulkan {
namespace {

struct Need {
  bool is_known;
  bool is_there;
  const char* name;
};

Need need_of(std::uint32_t capability, const PhysicalDevice& device) {
  const Features& features = device.features();
  const VkPhysicalDeviceFeatures& core = features.base.features;
  const VkPhysicalDeviceVulkan11Features& v11 = features.vulkan11;
  const VkPhysicalDeviceVulkan12Features& v12 = features.vulkan12;
  switch (capability) {
#define FLAGOS_CAPABILITY(name, condition) \
  case spv::Capability##name:              \
    return {true, (condition) != 0, #name};
    FLAGOS_CAPABILITY(Matrix, 1)
    FLAGOS_CAPABILITY(Shader, 1)
    FLAGOS_CAPABILITY(Int64, core.shaderInt64)
    FLAGOS_CAPABILITY(Int16, core.shaderInt16)
    FLAGOS_CAPABILITY(Float64, core.shaderFloat64)
    FLAGOS_CAPABILITY(Int8, v12.shaderInt8)
    FLAGOS_CAPABILITY(Float16, v12.shaderFloat16)
    FLAGOS_CAPABILITY(Int64Atomics, v12.shaderBufferInt64Atomics || v12.shaderSharedInt64Atomics)
    FLAGOS_CAPABILITY(StorageBuffer16BitAccess, v11.storageBuffer16BitAccess)
    FLAGOS_CAPABILITY(UniformAndStorageBuffer16BitAccess, v11.uniformAndStorageBuffer16BitAccess)
    FLAGOS_CAPABILITY(StoragePushConstant16, v11.storagePushConstant16)
    FLAGOS_CAPABILITY(StorageBuffer8BitAccess, v12.storageBuffer8BitAccess)
    FLAGOS_CAPABILITY(UniformAndStorageBuffer8BitAccess, v12.uniformAndStorageBuffer8BitAccess)
    FLAGOS_CAPABILITY(StoragePushConstant8, v12.storagePushConstant8)
    FLAGOS_CAPABILITY(PhysicalStorageBufferAddresses, v12.bufferDeviceAddress)
    FLAGOS_CAPABILITY(VariablePointersStorageBuffer, v11.variablePointersStorageBuffer)
    FLAGOS_CAPABILITY(VariablePointers, v11.variablePointers)
    FLAGOS_CAPABILITY(VulkanMemoryModel, v12.vulkanMemoryModel)
    FLAGOS_CAPABILITY(VulkanMemoryModelDeviceScope, v12.vulkanMemoryModelDeviceScope)
    FLAGOS_CAPABILITY(ShaderClockKHR,
                      features.clock.shaderSubgroupClock || features.clock.shaderDeviceClock)
    FLAGOS_CAPABILITY(AtomicFloat32AddEXT, features.atomic_float.shaderBufferFloat32AtomicAdd)
    FLAGOS_CAPABILITY(AtomicFloat64AddEXT, features.atomic_float.shaderBufferFloat64AtomicAdd)
    FLAGOS_CAPABILITY(GroupNonUniform, device.has_subgroup(VK_SUBGROUP_FEATURE_BASIC_BIT))
    FLAGOS_CAPABILITY(GroupNonUniformVote, device.has_subgroup(VK_SUBGROUP_FEATURE_VOTE_BIT))
    FLAGOS_CAPABILITY(GroupNonUniformArithmetic,
                      device.has_subgroup(VK_SUBGROUP_FEATURE_ARITHMETIC_BIT))
    FLAGOS_CAPABILITY(GroupNonUniformBallot, device.has_subgroup(VK_SUBGROUP_FEATURE_BALLOT_BIT))
    FLAGOS_CAPABILITY(GroupNonUniformShuffle, device.has_subgroup(VK_SUBGROUP_FEATURE_SHUFFLE_BIT))
    FLAGOS_CAPABILITY(GroupNonUniformShuffleRelative,
                      device.has_subgroup(VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT))
    FLAGOS_CAPABILITY(GroupNonUniformClustered,
                      device.has_subgroup(VK_SUBGROUP_FEATURE_CLUSTERED_BIT))
    FLAGOS_CAPABILITY(GroupNonUniformQuad, device.has_subgroup(VK_SUBGROUP_FEATURE_QUAD_BIT))
#undef FLAGOS_CAPABILITY
    default:
      return {false, false, ""};
  }
}

}  // namespace

void check_capabilities(std::span<const std::uint32_t> capabilities, const PhysicalDevice& device) {
  for (const std::uint32_t capability : capabilities) {
    const Need need = need_of(capability, device);
    if (!need.is_known)
      throw_error(FLAGOS_STATUS_UNSUPPORTED,
                  "the module needs SPIR-V capability {}, which no kernel here may use",
                  capability);
    if (!need.is_there)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "the module needs SPIR-V capability {}, {} has it not",
                  need.name, device.name());
  }
}

}  // namespace flagos::vulkan
