#version 460
// The suite's kernels for Vulkan: what each computes stands beside its twin in conformance/kernels/*.c.
// One text holds them all; a kernel is compiled with FLAGOS_KERNEL_<name> defined.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference2 : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_shader_explicit_arithmetic_types : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_atomic_int64 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_ballot : require

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 3) const uint shared_bytes = 16;

layout(buffer_reference, scalar, buffer_reference_align = 1) buffer Bytes { uint8_t at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Words { uint at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Longs { uint64_t at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Floats { float at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Doubles { double at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Status { int value; };

// Threads of the launch, x fastest, blocks before threads.
uint64_t threads_of() {
  return uint64_t(gl_WorkGroupSize.x) * gl_WorkGroupSize.y * gl_WorkGroupSize.z;
}
uint64_t block_number() {
  return (uint64_t(gl_WorkGroupID.z) * gl_NumWorkGroups.y + gl_WorkGroupID.y) * gl_NumWorkGroups.x +
         gl_WorkGroupID.x;
}
uint64_t thread_number() { return block_number() * threads_of() + gl_LocalInvocationIndex; }

// A load for a loop of a block's one thread. A loop of Mesa's llvmpipe ends only when the unused lanes of the
// vector want to end as well, so all get the first one's word (plugins/vulkan/driver_bugs).
#define WATCH(word) \
  subgroupBroadcastFirst(atomicLoad(word, gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsAcquire))

// Gives up after some 20 s, so that a case that ends early does not hold the device for ever.
#define WAIT_ROUNDS 200000u
#define WAIT_SPINS 1250u

#define ARGUMENTS layout(push_constant, scalar) uniform Arguments
#define BLOCK_ARGUMENTS layout(set = 0, binding = 0, scalar) readonly buffer Arguments
