#version 460
/* The kernel of the sample, for devices that take glsl. */
#pragma flagos kernel(add)
#extension GL_EXT_buffer_reference : require

layout(local_size_x_id = 0) in;
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats { float at[]; };
layout(push_constant) uniform Arguments { Floats a, b, sum; uint count; };

void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < count) sum.at[i] = a.at[i] + b.at[i];
}
