#version 460
#pragma flagos kernel(test_add, test_bound, test_fail, test_large)
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Words { uint at[]; };
layout(buffer_reference, scalar, buffer_reference_align = 4) buffer Status { int value; };

#ifdef FLAGOS_KERNEL_test_add
layout(push_constant, scalar) uniform Arguments { Words target; uint count; uint more; } a;
void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < a.count) a.target.at[i] += a.more;
}
#endif

#ifdef FLAGOS_KERNEL_test_bound
// test_add for devices without buffer device addresses.
layout(push_constant, scalar) uniform Arguments { layout(align = 8) uvec2 target; uint count; uint more; } a;
layout(set = 0, binding = 1, scalar) buffer Target { uint at[]; } target;
void main() {
  const uint i = gl_GlobalInvocationID.x;
  // As a whole: the validation layer of Debian 12 crashes where a component of an argument is read.
  const uvec2 offset = a.target;
  if (i < a.count) target.at[offset.x / 4 + i] += a.more;
}
#endif

#ifdef FLAGOS_KERNEL_test_fail
layout(push_constant, scalar) uniform Arguments { int code; Status flagos_status; } a;
void main() { a.flagos_status.value = a.code; }
#endif

#ifdef FLAGOS_KERNEL_test_large
// More arguments than push constants hold.
layout(set = 0, binding = 0, scalar) readonly buffer Arguments { Words target; uint64_t words[80]; } a;
void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < 80) a.target.at[i] = uint(a.words[i]);
}
#endif
