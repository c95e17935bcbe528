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

// Arguments that are addresses. BUFFER stands behind the arguments, with the place of the member in them; AT is an
// element. On a device with buffer device addresses all is in the arguments. On one without, which defines
// FLAGOS_VULKAN_BUFFERS, the buffer is at binding 1 + place, and the member is the offset in it.
#define Bytes_type uint8_t
#define Words_type uint
#define Longs_type uint64_t
#define Floats_type float
#define Doubles_type double
#define Status_type int
#ifndef FLAGOS_VULKAN_BUFFERS
layout(buffer_reference, scalar, buffer_reference_align = 1) buffer Bytes { uint8_t at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Words { uint at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Longs { uint64_t at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Floats { float at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer Doubles { double at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Status { int at[]; };
#define POINTER(type, name) type name
#define BUFFER(place, type, name)
#define AT(name, index) a.name.at[index]
#else
#define Bytes_size 1
#define Words_size 4
#define Longs_size 8
#define Floats_size 4
#define Doubles_size 8
#define Status_size 4
// Words and not a long, so that spirv-link does not take the struct for one of another kernel that has a number there,
// and its names.
#define Bytes_address uvec2
#define Words_address uvec2
#define Longs_address uvec2
#define Floats_address uvec2
#define Doubles_address uvec2
#define Status_address ivec2
#define POINTER_OF(type, name) layout(align = 8) type##_address name
#define POINTER(type, name) POINTER_OF(type, name)
#define BUFFER_OF(place, type, name)                                                            \
  layout(set = 0, binding = 1 + place, scalar) buffer name##_block { type##_type at[]; } name##_buffer; \
  uint name##_first = uint(a.name.x) / type##_size;
#define BUFFER(place, type, name) BUFFER_OF(place, type, name)
#define AT(name, index) name##_buffer.at[name##_first + uint(index)]
#endif

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
