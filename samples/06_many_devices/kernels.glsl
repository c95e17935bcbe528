#version 460
/* values[i] = values[i] * factor + addend, in the format glsl. */
#pragma flagos kernel(affine_step)
#extension GL_EXT_buffer_reference : require

layout(local_size_x_id = 0) in;
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Words { uint at[]; };
layout(push_constant) uniform Arguments { Words values; uint factor, addend, count; };

void main() {
  const uint i = gl_GlobalInvocationID.x;
  if (i < count) values.at[i] = values.at[i] * factor + addend;
}
