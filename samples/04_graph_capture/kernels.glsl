#version 460
/* One small step, repeated many times: what a graph is for. */
#pragma flagos kernel(mix_values)
#extension GL_EXT_buffer_reference : require

layout(local_size_x_id = 0) in;
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Words { uint at[]; };
layout(push_constant) uniform Arguments { Words values; uint factor, addend; };

void main() {
  const uint i = gl_GlobalInvocationID.x;
  values.at[i] = values.at[i] * factor + addend;
}
